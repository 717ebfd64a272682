"""The short run of the wire fuzzer: a fixed seed, the fast lane and plain uvicorn in a form each; that it can fail.

The long run is ``python -m tests.fuzz.wire.run``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.fuzz.wire import run
from tests.fuzz.wire.client import Fault, Player
from tests.fuzz.wire.making import KINDS, Making
from tests.fuzz.wire.shrink import shrunk
from tests.fuzz.wire.steps import Input, Step, load, save
from tests.fuzz.wire.watch import ALARMS, LogWatch, leftovers, signature

SEED = 20
INPUTS = 1200
PATIENT = 60.0
"""Seconds for an answer: other tests run beside this one."""

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(("name", "form"), [("asocketio", "fast"), ("uvicorn-h11-websockets-sansio", "plain")])
def test_no_input_breaks_a_promise(name: str, form: str, tmp_path: Path) -> None:
    inputs = run.numbered(SEED, 0, INPUTS)
    result = run.fuzz(name, inputs, tmp_path, form=form, jobs=60, patience=PATIENT)
    assert [f"{found.what}\n{found.about}" for found in result.findings] == []
    assert result.kinds.total() == INPUTS
    assert result.kinds.keys() == KINDS.keys()
    assert {"101", "200", "400", "403", "404", "413", "frames", "close 1000", "close 1002"} <= result.counts.keys()


# ---- the fuzzer itself -----------------------------------------------------------------------------------------


@asynccontextmanager
async def served(answer: bytes, *, closes: bool = False) -> AsyncIterator[Player]:
    """A player against a server that has one answer to everything, and may never close."""
    stays = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        if not closes:
            await stays.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Player(server.sockets[0].getsockname()[1], patience=0.3)
        stays.set()
        await asyncio.sleep(0.05)


def ask(*steps: Step) -> Input:
    return Input("hand", 0, (Step("send", data=b"GET / HTTP/1.1\r\n\r\n", answers=1), *steps))


async def test_what_is_answered_is_well() -> None:
    async with served(ANSWER) as player:
        await player.play(ask(Step("end", how="abort")))
    assert player.counts == {"200": 1}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "1 requests unanswered"),
        (ANSWER[:-1], "1 requests unanswered"),
        (ANSWER.replace(b"200 OK", b"500 Oh"), "server's failure"),
        (b"HTTP/1.1 101 Ha\r\n\r\n\x88\x02\x03\xf3", "server's failure"),
        (ANSWER, "the connection is open"),
    ],
)
async def test_what_is_not_is_a_fault(answer: bytes, told: str) -> None:
    async with served(answer) as player:
        with pytest.raises(Fault, match=told):
            await player.play(ask())


async def test_a_close_is_an_answer_unless_one_is_due() -> None:
    async with served(b"", closes=True) as player:
        await player.play(ask())
        with pytest.raises(Fault, match="closed without an answer"):
            await player.play(Input("hand", 0, (replace(ask().steps[0], firm=True),)))
        with pytest.raises(Fault, match="no session"):
            await player.play(Input("hand", 0, (replace(ask().steps[0], catch="a"),)))


async def test_no_server_is_a_fault() -> None:
    async with served(b"") as player:
        pass
    with pytest.raises(Fault, match="no connection"):
        await player.play(ask())


def test_inputs_can_be_made_again(tmp_path: Path) -> None:
    inputs = list(run.numbered(1, 0, 300))
    assert inputs == [Making(1).make(each.number) for each in inputs]
    save(tmp_path / "inputs", inputs, "")
    assert load(tmp_path / "inputs") == inputs


def test_an_input_gets_smaller_while_it_fails() -> None:
    given = Input(
        "hand", 0, (Step("hear"), Step("send", data=b"a" * 50 + b"XY" + b"b" * 50, cuts=(3, 9)), Step("hear"))
    )
    small = shrunk(given, lambda tried: any(b"XY" in step.data for step in tried.steps))
    assert small.steps == (Step("send", data=b"XY"),)


def test_the_log_is_watched(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("INFO:     fine\n")
    watch = LogWatch(path)
    assert watch.alarms() == []
    with path.open("a") as log:
        log.write("INFO:     well\nERROR:    ASGI callable returned without completing handshake.\n")
        log.write("ERROR:    Exception\n")
        log.write(
            'Traceback (most recent call last):\n  File "/x/y.py", line 3, in z\n    z()\nKeyError: 92\nINFO:   -\n'
        )
    (entry,) = watch.alarms()
    assert signature(entry) == "y.py:3 z KeyError"
    assert watch.alarms() == []
    assert sum(watch.known.values()) == 1
    assert ALARMS.search("sys:1: RuntimeWarning: coroutine 'f' was never awaited")


def test_a_failure_is_found_narrowed_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By an application that fails at one word."""
    monkeypatch.setattr(run, "APP", "tests.fuzz.wire.failing:app")
    monkeypatch.setattr(run, "SETTLED", 0.05)
    monkeypatch.setattr(run, "IMPATIENCE", 3.0)
    monkeypatch.setattr(run, "leftovers", partial(leftovers, within=0.3))
    words = ["good"] * 3 + ["xxBADxx"] + ["good"] * 4
    inputs = [Input("hand", number, (request(word), END)) for number, word in enumerate(words)]
    path = tmp_path / "failure"
    result = run.fuzz("uvicorn-h11-websockets", iter(inputs), tmp_path, jobs=4)
    found = {finding.what: finding for finding in result.findings}
    assert {what.partition(" ")[0] for what in found} == {"hand:", "log:", "left"}
    for finding in (found[what] for what in found if what.startswith(("hand", "log"))):
        run.examine(finding, "uvicorn-h11-websockets", tmp_path, budget=1)
        assert finding.alone
        (small,) = finding.inputs
        assert b"BAD" in small.steps[0].data
        save(path, finding.inputs, finding.about)
        assert run.main(["--replay", str(path), "--server", "uvicorn-h11-websockets"]) == 1
    assert "LOG: ERROR" in capsys.readouterr().out


END = Step("end", how="abort")


def request(word: str) -> Step:
    return Step("send", data=f"GET /{word} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), answers=1)
