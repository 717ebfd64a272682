"""The long form of the fuzzing: ``python -m tests.fuzz.run --inputs 10000000 --jobs 2``.

Ends at the first promise that does not hold, with exit code 1 and what is needed to meet it again. Input ``number`` of
a target is the same for a seed, however many jobs there are, and in both forms (``tests.support.forms``). The form
decides what reads and writes JSON; uvloop and httptools are not reached by these targets.
"""

from __future__ import annotations

import argparse
import ast
import gc
import multiprocessing
import queue
import shlex
import sys
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.inputs import Inputs
from tests.fuzz.promises import Broken, Target, examine, grown, module_state
from tests.fuzz.targets import TARGETS
from tests.support.forms import add_form, announce

__all__ = ["Failure", "Found", "Tally", "main", "run_chunk", "shrunk"]

CHUNK = 20_000
"""Inputs between two looks at what has stayed behind."""
MEMORY_ONE_IN = 1000
"""Of short inputs so many are run once more to measure their memory; and all long ones."""
LONG = 10_000
BYTES = 1_000_000
BYTES_PER_BYTE = 500
"""Memory that an input may take while it is handled. The shortest packets make objects a hundred times as large."""
BLOCKS = 1000
BLOCKS_ONE_IN = 20
"""So few inputs may leave a block of memory behind, and so many are left to the interpreter and to other threads."""
STUCK = 180.0
"""Seconds without the next input: something never ends."""
SHRINKING = 1500
SHOWN = 4000


@dataclass(slots=True)
class Tally:
    """What came of the inputs of one target."""

    inputs: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    slowest: tuple[float, int, int] = (0.0, 0, 0)
    """Seconds, size and number."""
    peak: tuple[int, int, int] = (0, 0, 0)
    """Bytes of memory, size and number; of the inputs whose memory was measured."""

    def add(self, other: Tally) -> None:
        """Count in what another part of the inputs came to."""
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.refused += other.refused
        self.slowest = max(self.slowest, other.slowest)
        self.peak = max(self.peak, other.peak)


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that broke a promise."""

    target: str
    seed: int
    number: int
    message: str
    trace: str
    given: str = ""
    """As a literal."""

    def __str__(self) -> str:
        again = f"python -m tests.fuzz.run --target {self.target}"
        lines = [self.trace] if self.trace else []
        lines.append(f"BROKEN: {self.target}, seed {self.seed}, input {self.number}: {self.message}")
        if len(self.given) > SHOWN:
            lines.append(f"input: {self.given[:SHOWN]}... ({len(self.given)} characters)")
        elif self.given:
            lines += [f"input: {self.given}", f"again: {again} --replay {shlex.quote(self.given)}"]
        lines.append(f"as it was made: {again} --seed {self.seed} --first {self.number} --inputs 1")
        return "\n".join(lines)


class Found(Exception):
    """A `Failure` was found."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


# ---- one part of the inputs -------------------------------------------------------------------------------------


def run_chunk(inputs: Inputs, target: Target, numbers: range, seen: Callable[[int], None] | None = None) -> Tally:
    """Examine the inputs of these numbers. ``seen`` is told each number before.

    Raises:
        Found: one of them broke a promise.
    """
    tally = Tally(inputs=len(numbers))
    before = module_state()
    middle = numbers.start + len(numbers) // 2
    blocks = 0
    for number in numbers:
        if seen is not None:
            seen(number)
        if number == middle:
            blocks = _blocks()
        given = inputs.make(number)
        try:
            _look(target, given, number, tally)
        except Broken as error:
            raise Found(_failure(inputs, target, number, given, error)) from error
    left = grown(before)
    more = _blocks() - blocks - BLOCKS - (numbers.stop - middle) // BLOCKS_ONE_IN
    if left or (more > 0 and len(numbers) >= CHUNK // 2):
        what = f"modules that hold more than before: {left}" if left else f"{more} more blocks of memory than explained"
        message = f"up to input {numbers.stop - 1}: {what}"
        raise Found(Failure(target.name, inputs.seed, numbers.start, message, ""))
    return tally


def _look(target: Target, given: Any, number: int, tally: Tally) -> None:
    outcome = examine(target, given)
    if outcome.refused:
        tally.refused[outcome.refused] += 1
    else:
        tally.accepted += 1
    if outcome.seconds > tally.slowest[0]:
        tally.slowest = (outcome.seconds, target.size(given), number)
    del outcome
    size = target.size(given)
    if number % MEMORY_ONE_IN == 0 or size > LONG:
        peak = _memory(target, given)
        if peak > BYTES + BYTES_PER_BYTE * size:
            raise Broken(f"takes {peak} bytes of memory for {size} bytes of input")
        tally.peak = max(tally.peak, (peak, size, number))


def _memory(target: Target, given: Any) -> int:
    tracemalloc.start()
    try:
        target.run(given)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


def _failure(inputs: Inputs, target: Target, number: int, given: Any, error: Broken) -> Failure:
    small = given if str(error).startswith(("took", "takes")) else shrunk(target, given, str(error))
    trace = "" if error.__cause__ is None else "".join(traceback.format_exception(error.__cause__))
    return Failure(target.name, inputs.seed, number, str(error), trace, _literal(small))


def _literal(given: Any) -> str:
    return ascii(tuple(given) if isinstance(given, tuple) else given)


def shrunk(target: Target, given: Any, message: str) -> Any:
    """A smaller input that breaks the same promise, as far as some attempts find one."""
    words = message.split()[:2]
    attempts = 0
    progress = target.size(given) < LONG
    while progress:
        progress = False
        for smaller in _smaller(given):
            attempts += 1
            if attempts > SHRINKING:
                return given
            try:
                examine(target, smaller)
            except Broken as error:
                if str(error).split()[:2] == words:
                    given, progress = smaller, True
                    break
    return given


def _smaller(given: Any) -> Iterator[Any]:
    """``given`` without this or that part of it."""
    if isinstance(given, str | bytes | list):
        step = len(given)
        while step:
            for at in range(0, len(given), step):
                yield _without(given, at, at + step)
            step //= 2
    if isinstance(given, list | tuple):
        parts: list[Any] = list(given)
        for at, part in enumerate(parts):
            if isinstance(part, str | bytes):
                for smaller in _smaller(part):
                    others = [*parts[:at], smaller, *parts[at + 1 :]]
                    yield others if isinstance(given, list) else tuple(others)


def _without(given: Any, start: int, stop: int) -> Any:
    return given[:start] + given[stop:]


# ---- all of them, by several processes ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """What one process does: the parts of the whole that are its own."""

    job: int
    seed: int
    parts: Sequence[tuple[str, range]]


def work(task: Task, results: Any, progress: MutableSequence[int]) -> None:
    """The whole of a process: put a `Tally` by target, or a `Failure`, into ``results``, and None at the end."""
    made: dict[str, Inputs] = {}
    names = list(TARGETS)

    def seen(number: int) -> None:
        progress[2 * task.job + 1] = number

    try:
        for name, numbers in task.parts:
            progress[2 * task.job] = names.index(name)
            if name not in made:
                made[name] = Inputs(name, task.seed)
            results.put((name, run_chunk(made[name], TARGETS[name], numbers, seen)))
    except Found as found:
        results.put((found.failure.target, found.failure))
    except KeyboardInterrupt:
        pass
    except Exception:  # not of the package: those are found
        name, number = names[progress[2 * task.job]], progress[2 * task.job + 1]
        results.put((name, Failure(name, task.seed, number, "the fuzzer itself failed", traceback.format_exc())))
    else:
        results.put(None)


def run_all(names: Sequence[str], seed: int, first: int, inputs: int, jobs: int) -> tuple[dict[str, Tally], str]:
    """Examine so many inputs, shared out evenly; the tallies, and what went wrong."""
    context = multiprocessing.get_context("spawn")
    parts = list(_parts(names, first, inputs))
    progress: Any = context.Array("q", 2 * jobs, lock=False)
    results: Any = context.Queue()
    tasks = [Task(job, seed, parts[job::jobs]) for job in range(jobs)]
    processes = [context.Process(target=work, args=(task, results, progress), daemon=True) for task in tasks]
    for process in processes:
        process.start()
    tallies = {name: Tally() for name in names}
    watch = Watch(seed, progress, [process.is_alive for process in processes])
    running = jobs
    try:
        while running:
            try:
                result = results.get(timeout=1.0)
            except queue.Empty:
                stuck = watch.look()
                if stuck is not None:
                    return tallies, str(stuck)
                continue
            if result is None:
                running -= 1
            elif isinstance(result[1], Failure):
                return tallies, str(result[1])
            else:
                tallies[result[0]].add(result[1])
            watch.tell(sum(tally.inputs for tally in tallies.values()))
        return tallies, ""
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        results.close()


def _parts(names: Sequence[str], first: int, inputs: int) -> Iterator[tuple[str, range]]:
    each, more = divmod(inputs, len(names))
    for start in range(0, each + 1, CHUNK):
        for index, name in enumerate(names):
            stop = min(start + CHUNK, each + (index < more))
            if stop > start:
                yield name, range(first + start, first + stop)


class Watch:
    """Sees whether the processes get on: one that meets an endless loop cannot say so itself."""

    def __init__(self, seed: int, progress: Sequence[int], alive: Sequence[Callable[[], bool]]) -> None:
        self._seed = seed
        self._progress = progress
        self._alive = alive
        self._began = self._told = time.monotonic()
        self._last = [(self._began, (-1, -1)) for _ in alive]
        self._over = [0] * len(alive)

    def look(self) -> Failure | None:
        """What the process was doing that does not get on."""
        now = time.monotonic()
        for job, (since, before) in enumerate(self._last):
            place = (self._progress[2 * job], self._progress[2 * job + 1])
            if place != before:
                self._last[job] = (now, place)
            elif self._alive[job]() and now - since > STUCK:
                return self._failure(place, f"does not end within {STUCK:.0f} s")
            elif not self._alive[job]():
                self._over[job] += 1
                if self._over[job] == 5:  # what it has sent may be on its way
                    others = any(alive() for alive in self._alive)
                    return None if others else self._failure(place, "the process has died")
        return None

    def _failure(self, place: tuple[int, int], message: str) -> Failure:
        name = list(TARGETS)[place[0]]
        given = Inputs(name, self._seed).make(place[1])
        return Failure(name, self._seed, place[1], message, "", _literal(given))

    def tell(self, inputs: int) -> None:
        """Say now and then how far it is."""
        now = time.monotonic()
        if now - self._told > 30:
            self._told = now
            print(f"{inputs:,} inputs, {inputs / (now - self._began):,.0f}/s", file=sys.stderr, flush=True)


# ---- the command line -------------------------------------------------------------------------------------------


def report(tallies: dict[str, Tally]) -> str:
    """A table of the tallies."""
    lines = [f"{'target':16} {'inputs':>11} {'accepted':>9}  {'slowest':31} {'most memory':27} refused"]
    for name, tally in tallies.items():
        if not tally.inputs:
            continue
        seconds, size, number = tally.slowest
        slowest = f"{seconds * 1000:.1f} ms, {size:,} long (#{number})"
        memory = f"{tally.peak[0] / 1e6:.1f} MB, {tally.peak[1]:,} long"
        refused = ", ".join(f"{error} {count:,}" for error, count in tally.refused.most_common())
        share = f"{tally.accepted / tally.inputs:.1%}"
        lines.append(f"{name:16} {tally.inputs:>11,} {share:>9}  {slowest:31} {memory:27} {refused}")
    return "\n".join(lines)


def replay(target: Target, literal: str) -> int:
    """Examine one input, and show what comes of it."""
    try:
        outcome = examine(target, ast.literal_eval(literal))
    except Broken as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(f"BROKEN: {error}")
        return 1
    print(*map(ascii, outcome.results), f"{outcome.seconds * 1000:.3f} ms", sep="\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument(
        "--target", action="append", choices=list(TARGETS), help="may be given several times; default: all"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each target")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--replay", metavar="INPUT", help="one input, as it is shown for a failure; needs --target")
    add_form(parser)
    options = parser.parse_args(arguments)
    form = announce(options.form)
    if options.replay is not None:
        if options.target is None:
            parser.error("--replay needs --target")
        return replay(TARGETS[options.target[0]], options.replay)
    names = options.target or list(TARGETS)
    started = time.monotonic()
    tallies, failure = run_all(names, options.seed, options.first, options.inputs, max(1, options.jobs))
    took = time.monotonic() - started
    inputs = sum(tally.inputs for tally in tallies.values())
    print(report(tallies))
    print(
        f"{form}, seed {options.seed}: {inputs:,} inputs in {took:.0f} s, {inputs / took:,.0f}/s, {options.jobs} jobs"
    )
    if failure:
        print(failure)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
