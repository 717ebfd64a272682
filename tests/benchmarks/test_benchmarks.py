"""The benchmark works: its parts together, and its reading of a server's bytes. How fast anything is, is not tested."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import run
from tests.benchmarks.cases import CASES, Case
from tests.benchmarks.instructions import count_of, instructions
from tests.benchmarks.messages import MESSAGES
from tests.benchmarks.servers import ROOT, environment
from tests.benchmarks.table import Results, table
from tests.benchmarks.wire import Counter, body_of
from tests.clients.frames import BINARY, server_frame

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc")


@linux
def test_echo_and_poll_come_to_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    short = ["--rounds", "1", "--warm", "0", "--seconds", "0.2", "--servers", "lane"]
    run.main(["--cases", "echo-50,poll-100", *short, "--json", str(tmp_path / "runs.json")])
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines() if line.startswith(("| echo-50,", "| poll-100,"))]
    assert len(rows) == 2, printed
    assert all("±" in row for row in rows), printed
    assert "clients were lost" not in printed.err
    assert '"messages"' in (tmp_path / "runs.json").read_text()


def test_steps_run_with_few_messages() -> None:
    done = python("-m", "tests.benchmarks.steps", "--messages", "64", "--sockets", "10")
    assert done.returncode == 0, done.stderr
    assert {*MESSAGES, "idle", "decode"} <= {line.split()[0] for line in done.stdout.splitlines()}


@linux
def test_what_callgrind_counts_runs_without_it() -> None:
    done = python("-m", "tests.benchmarks.instructions", "2", *MESSAGES)
    assert done.returncode == 0, done.stderr
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == sorted(2 * list(MESSAGES))


def test_cache_misses_are_counted_separately() -> None:
    calls = (
        "cfn=(7) find_name_in_mro\ncalls=2 3750\n* 300\n",
        "* 5\ncfn=(8)\ncalls=9 1\n+3 4\n",
        "cfn=(7)\ncalls=1 3750\n-2 50\n",
    )
    assert count_of("fn=(1) f\n" + "".join(calls) + "totals: 1000\n") == (650, 350)
    assert count_of("fn=(1) f\n2 1000\ntotals: 1000\n") == (1000, 0)


def test_without_valgrind_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="valgrind is not installed"):
        instructions(["echo"])


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter in the checkout."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)


def test_unknown_cases_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="there is no nonsense; there are echo-50"):
        run.main(["--cases", "nonsense"])


@pytest.mark.parametrize("size", [10, 1000, 100_000])
@pytest.mark.parametrize("opcode", [1, BINARY])
def test_answers_are_counted_however_they_are_torn(size: int, opcode: int) -> None:
    """Pings between them are handed out, and not counted."""
    dice = random.Random(size + opcode)
    one = server_frame(b"x" * size) if opcode == BINARY else server_frame("43" + "x" * size)
    one = server_frame('461-10[{"_placeholder":true,"num":0}]') + one if opcode == BINARY else one
    stream = (one * 5 + server_frame("2")) * 4
    counter = Counter(opcode)
    counter.learn(one)
    count = 0
    while stream:
        torn = dice.choice((1, 2, 3, len(one), len(one) + 1, 2 * len(one)))
        count += counter.push(stream[:torn])
        stream = stream[torn:]
    assert count == 20
    assert counter.control == [(1, b"2")] * 4


def test_bodies_of_responses() -> None:
    known = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert body_of(known[:20]) is None
    assert body_of(known + b"ab") is None
    assert body_of(known + b"abc") == body_of(chunked) == b"abc"
    with pytest.raises(ValueError, match="400"):
        body_of(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_table_without_a_peer_has_no_ratios() -> None:
    case: Case = CASES["idle"]
    results = Results([case], ["lane", "asgi"])
    for value in (1.0, 2.0, 6.0):
        results.add(case, "lane", {"value": value, "unit": "kB"})
    assert "2.0 ± 2.5 |" in table(results)
    assert table(results).splitlines()[2].endswith("– |")


def test_the_ratio_is_that_of_each_round() -> None:
    case: Case = CASES["echo-50"]
    results = Results([case], ["lane", "node"])
    for mine, theirs in ((1.0, 2.0), (30.0, 50.0), (4.0, 5.0)):
        results.add(case, "lane", {"value": mine, "unit": "µs"})
        results.add(case, "node", {"value": theirs, "unit": "µs"})
    assert "4.0 ± 14.5 (0.60)" in table(results)
