"""The wire fuzzer's long run: python -m tests.fuzz.wire.run --inputs 100000 --seed 1 --server asocketio.

Failures are made smaller and written to files: ``--replay FILE`` runs one again, step by step.

The server is asked in which form it runs (``tests.support.forms``). ``asocketio`` reads HTTP by h11 and sockets by
asyncio's loop in the plain form, by httptools and uvloop in the fast form. Other servers are named after their parser
and loop: only JSON depends on the form, and those that name an accelerator cannot start in the plain form. The fuzzer
itself is slower in the plain form, because it has no uvloop either.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.fuzz.wire.app import MAX_PAYLOAD
from tests.fuzz.wire.client import PATIENCE, Fault, Player
from tests.fuzz.wire.making import KINDS, Making
from tests.fuzz.wire.shrink import shrunk
from tests.fuzz.wire.steps import Input, load, save
from tests.fuzz.wire.watch import Health, LogWatch, form_of, leftovers, signature, stats
from tests.support.forms import add_form, announce, unlike
from tests.support.servers import SERVERS, Server

try:
    import uvloop
except ImportError:  # the plain form
    uvloop = None

T = TypeVar("T")

__all__ = ["Finding", "Result", "fuzz", "main", "started"]

APP = "tests.fuzz.wire.app:app"
RECENT = 150
"""Inputs that may have caused what the log tells now."""
LOOK_EVERY = 0.25  # seconds between two looks at the log
MOST_FINDINGS = 10
IMPATIENCE = 6.0
"""Seconds for an answer while an input is made smaller: many smaller ones are answered no more."""
SETTLED = 0.3
"""Seconds after which the log has what an input did: the calls of the handlers have timed out."""
PROMPT = 6.0
"""Seconds for a server to end when all clients have gone."""
GROWTH = 80_000_000
"""Bytes that the server may grow by after the first tenth of a run."""


@dataclass
class Finding:
    """A promise that was broken; ``inputs`` may have done it."""

    what: str
    about: str
    inputs: list[Input]
    alone: bool = False
    """One input does it by itself."""


@dataclass
class Result:
    """What came of a run."""

    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    known: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    slowest: float = 0.0
    memory: tuple[int, int] = (0, 0)
    after: dict[str, int] = field(default_factory=dict)


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """On uvloop where there is one: the fuzzer needs more of the processor than the server does."""
    return asyncio.run(coroutine) if uvloop is None else uvloop.run(coroutine)


def arguments_of(name: str) -> list[str]:
    """What the server needs on its command line to keep our limits."""
    if name.startswith("uvicorn") and not name.endswith("lane"):
        return ["--ws-max-size", str(MAX_PAYLOAD), "--ws-per-message-deflate", "false"]
    return []


@contextmanager
def started(name: str, folder: Path, *, plain: bool = False) -> Iterator[tuple[Server, LogWatch]]:
    """A server and the watch over its log. ``asocketio`` and all names of ``tests.support.servers``."""
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    with Server(APP, name, log, args=arguments_of(name), plain=plain) as server:
        yield server, LogWatch(log)


class Fuzzing:
    """One run against one server."""

    def __init__(self, server: Server, log: LogWatch, patience: float = PATIENCE) -> None:
        self.server = server
        self.log = log
        self.result = Result()
        self.player = Player(server.port, patience, half_closes=not server.name.startswith("hypercorn"))
        self._running: dict[int, Input] = {}
        self._recent: deque[Input] = deque(maxlen=RECENT)
        self._seen: set[str] = set()
        self._stopped = False
        self._begun = 0

    def found(self, what: str, about: str, inputs: Sequence[Input]) -> None:
        """Note a fault, once for each kind of it."""
        if what in self._seen:
            return
        self._seen.add(what)
        self.result.findings.append(Finding(what, about, list(inputs)))
        self._stopped = len(self.result.findings) >= MOST_FINDINGS

    async def run(self, inputs: Iterator[Input], jobs: int) -> None:
        """Play all inputs, ``jobs`` at a time."""
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.gather(*(self._work(inputs) for _ in range(jobs)))
        finally:
            watching.cancel()
        self._look()

    async def _work(self, inputs: Iterator[Input]) -> None:
        for given in inputs:
            if self._stopped or self.server.process.poll() is not None:
                return
            self._running[given.number] = given
            self.result.kinds[given.kind] += 1
            try:
                await self.player.play(given)
            except Fault as fault:
                self.found(name_of(given, fault), str(fault), [given])
            del self._running[given.number]
            self._recent.append(given)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self._look()

    def _look(self) -> None:
        for entry in self.log.alarms():
            self.found(f"log: {signature(entry)}", entry[-4000:], [*self._recent, *self._running.values()])
        if self.server.process.poll() is not None and not self._stopped:
            self.found("the server has ended", self.server.log()[-3000:], [*self._recent, *self._running.values()])
            self._stopped = True


def numbered(seed: int, first: int, count: int, kinds: Sequence[str] = ()) -> Iterator[Input]:
    """The inputs of a run."""
    making = Making(seed)
    for number in range(first, first + count):
        yield making.make(number, kinds[number % len(kinds)] if kinds else "")


def fuzz(
    name: str,
    inputs: Iterator[Input],
    folder: Path,
    *,
    form: str = "",
    jobs: int = 40,
    patience: float = PATIENCE,
    warm: int = 0,
) -> Result:
    """Start a server, play ``inputs``, and see what is left. ``warm`` of them come before its memory is measured.

    ``form`` is that in which it must run; the accelerators are hidden from it for the plain one.
    """
    with started(name, folder, plain=form == "plain") as (server, log):
        if form and (wrong := unlike(form_of(server), form, name)):
            sys.exit(wrong)
        before = stats(server, collect=True)
        fuzzing = Fuzzing(server, log, patience)
        result = fuzzing.result
        health = Health(server.port, patience)
        health.start()
        begun = time.monotonic()
        try:
            _run(fuzzing.run((next(inputs) for _ in range(warm)), jobs))
            grown = stats(server)["memory"] if warm else before["memory"]
            _run(fuzzing.run(inputs, jobs))
        finally:
            result.seconds = time.monotonic() - begun
            health.stop()
        result.slowest = health.slowest
        if health.fault:
            fuzzing.found("hung", health.fault, [*fuzzing._recent])
        if server.process.poll() is None:
            result.after, left = leftovers(server, before)
            result.memory = grown, result.after["memory"]
            if left:
                fuzzing.found("left over", left, [])
            if warm and result.after["memory"] > grown + GROWTH:
                fuzzing.found("memory", f"{grown:,} bytes became {result.after['memory']:,}", [])
            fuzzing._look()
            code, took = server.stop()
            fuzzing._stopped = True
            fuzzing._look()
            if took > PROMPT:
                fuzzing.found("slow end", f"the server took {took:.1f} s to end, though nobody was there", [])
            if code not in (0, -15, -2):
                fuzzing.found("exit", f"the server ended with {code}", [])
        result.counts, result.known = fuzzing.player.counts, log.known
    return result


def breaks(server: Server, log: LogWatch, inputs: Sequence[Input], what: str) -> bool:
    """Whether these inputs, played at once, break the same promise again."""
    if what.startswith("log: "):
        log.alarms()
    faults = _run(_play_all(server.port, inputs))
    if not what.startswith("log: "):
        return what in faults
    time.sleep(SETTLED)
    if server.process.poll() is None:
        stats(server, collect=True)
        time.sleep(0.02)
    return any(f"log: {signature(entry)}" == what for entry in log.alarms())


async def _play_all(port: int, inputs: Sequence[Input]) -> set[str]:
    player = Player(port, IMPATIENCE)

    async def play(given: Input) -> str:
        try:
            await player.play(given)
        except Fault as fault:
            return name_of(given, fault)
        return ""

    return set(await asyncio.gather(*map(play, inputs)))


def name_of(given: Input, fault: Fault) -> str:
    """What faults of the same kind have in common."""
    return f"{given.kind}: {str(fault)[:40]}"


def examine(finding: Finding, name: str, folder: Path, budget: float = 40.0) -> None:
    """Find the few inputs that do it, the one if one does, and make that smaller for ``budget`` seconds."""
    with started(name, folder) as (server, log):

        def fails(*inputs: Input) -> bool:
            return server.process.poll() is None and breaks(server, log, inputs, finding.what)

        while len(finding.inputs) > 1:
            middle = len(finding.inputs) // 2
            for part in (finding.inputs[middle:], finding.inputs[:middle]):
                if fails(*part):
                    finding.inputs = part
                    break
            else:
                return
        if finding.inputs and fails(*finding.inputs):
            finding.alone = True
            deadline = time.monotonic() + budget
            small = shrunk(finding.inputs[0], lambda tried: time.monotonic() < deadline and fails(tried))
            finding.inputs = [small]


def report(name: str, form: str, seed: int, result: Result) -> str:
    """What was done and what came of it."""
    inputs = result.kinds.total()
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.kinds.items()))
    counts = ", ".join(f"{what}: {count:,}" for what, count in sorted(result.counts.items()))
    grown, last = result.memory
    answers = sum(count for what, count in result.counts.items() if what.isdecimal())
    seconds = max(result.seconds, 0.1)
    lines = [
        f"{name}, {form}, seed {seed}: {inputs:,} inputs in {seconds:.1f} s, {inputs / seconds:,.0f}/s, with "
        f"{answers / seconds:,.0f} answers/s; slowest /health {result.slowest:.2f} s; "
        f"memory {grown / 1e6:.0f} -> {last / 1e6:.0f} MB",
        f"  kinds: {kinds}",
        f"  answers: {counts}",
        f"  left: {result.after}",
    ]
    lines += [f"  known, {count} times: {piece}" for piece, count in result.known.items()]
    return "\n".join(lines)


def replay(path: Path, name: str, folder: Path) -> int:
    """Run the inputs of a file against a fresh server, and show each step."""
    faults = 0
    with started(name, folder) as (server, log):
        for given in load(path):
            print(f"--- {given.kind} {given.number}")
            try:
                _run(Player(server.port, 5.0).play(given, print))
            except Fault as fault:
                faults += 1
                print(f"FAULT: {fault}")
        time.sleep(0.3)
        stats(server, collect=True)
        time.sleep(0.2)
        for entry in log.alarms():
            faults += 1
            print(f"LOG: {entry}")
    return 1 if faults else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.wire.run", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--server", action="append", choices=list(SERVERS), help="may be given several times")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="only these")
    parser.add_argument("--jobs", type=int, default=40, help="inputs at a time")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()), help="folder for logs and failures")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="the inputs of a failure, once more")
    add_form(parser)
    options = parser.parse_args(arguments)
    form = announce(options.form)
    names = options.server or ["asocketio"]
    failed = 0
    with tempfile.TemporaryDirectory() as logs:
        if options.replay is not None:
            return max(replay(options.replay, name, Path(logs)) for name in names)
        for name in names:
            inputs = numbered(options.seed, options.first, options.inputs, options.kind or ())
            result = fuzz(name, inputs, Path(logs), form=form, jobs=options.jobs, warm=options.inputs // 10)
            print(report(name, form, options.seed, result), flush=True)
            failed += len(result.findings)
            for finding in result.findings:
                print(f"FAULT {finding.what}\n{finding.about}", flush=True)
            for number, finding in enumerate(result.findings):
                path = options.out / f"wire-{name}-{options.seed}-{number}.json"
                examine(finding, name, Path(logs))
                save(path, finding.inputs, f"{finding.what}\n{finding.about}")
                count = f"{len(finding.inputs)} inputs{', alone' if finding.alone else ''}"
                print(
                    f"{finding.what}: {count}: python -m tests.fuzz.wire.run --server {name} --replay {path}",
                    flush=True,
                )
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers must not outlive it
    sys.exit(main())
