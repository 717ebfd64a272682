"""Instructions per message, counted by callgrind: the same from run to run, however busy the machine is.

Each case runs twice, in processes of its own, with N and with 2 N messages: the difference is N messages and nothing
else, neither start nor preparation. Under valgrind everything is some fifty times slower. So that the product does not
see that, and look at its clocks another number of times, they go on by a microsecond whenever one looks at them.

CPython caches what attributes of classes are found in a table of 4096 entries, by memory addresses. Two that collide
evict each other, and each use searches the class again. Which ones collide changes whenever a module moves: 0.5 % of
an event in the one change that was looked into. So these searches are counted separately.

`instructions` starts valgrind, which runs this module.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from tests.benchmarks.servers import ROOT, environment

if TYPE_CHECKING:
    from tests.benchmarks.messages import MessageCase

__all__ = ["Count", "count_of", "instructions"]

MISS = "find_name_in_mro"
"""The C function that CPython calls when its type cache misses."""


class Count(NamedTuple):
    """Instructions. Those of ``cache_misses``, of CPython's type cache, are not among the ``others``."""

    others: float
    cache_misses: float


def instructions(names: Sequence[str], messages: int | None = None) -> dict[str, Count]:
    """Instructions of one message, by the name of the case. ``messages`` is N, instead of what each case says."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise SystemExit("instructions are counted by callgrind, and valgrind is not installed: apt install valgrind")
    with tempfile.TemporaryDirectory() as folder:
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={folder}/%p", "--quiet", sys.executable]
        command += ["-m", "tests.benchmarks.instructions", str(messages or 0), *names]
        env = {**environment(), "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"callgrind ended with {done.returncode}")
        totals: dict[str, list[tuple[int, Count]]] = {}
        for line in done.stdout.splitlines():
            name, counted, pid = line.split()
            totals.setdefault(name, []).append((int(counted), count_of(Path(folder, pid).read_text())))
    found: dict[str, Count] = {}
    for name in names:
        (fewer, before), (more, after) = sorted(totals[name])
        found[name] = Count(*((late - early) / (more - fewer) for early, late in zip(before, after, strict=True)))
    return found


def count_of(written: str) -> Count:
    """What stands in a file that callgrind has ``written``.

    A called function has a number, and its name where the number is new. The line after ``calls=`` is the cost of the
    calls, with all that the function calls in turn.
    """
    total = int(re.findall(r"^totals: (\d+)", written, re.MULTILINE)[0])
    number = re.search(rf"^c?fn=(\(\d+\)) {MISS}$", written, re.MULTILINE)
    if number is None:
        return Count(total, 0)
    calls = rf"^cfn={re.escape(number[1])}(?: .*)?\ncalls=.*\n\S+ (\d+)$"
    cache_misses = sum(map(int, re.findall(calls, written, re.MULTILINE)))
    return Count(total - cache_misses, cache_misses)


def _run(case: MessageCase, counted: int) -> NoReturn:
    """What one of the processes does. It ends without the interpreter's own clean-up, which is not measured."""
    try:
        case.run(counted, lambda take: take())
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _main(messages: int, names: Sequence[str]) -> None:
    """Under valgrind: a process for each case and count, made by fork: what they import is imported once."""
    time.monotonic = time.perf_counter = count(1000.0, 1e-6).__next__  # before others take them from there
    from tests.benchmarks.messages import MESSAGES

    cases = [MESSAGES[name] for name in names]
    left = [(case, times * case.whole(messages or case.counted)) for case in cases for times in (1, 2)]
    alive = 0
    failed = False
    while left or alive:
        if left and alive < (os.cpu_count() or 1):
            case, counted = left.pop()
            pid = os.fork()
            if not pid:
                _run(case, counted)
            print(case.name, counted, pid, flush=True)
            alive += 1
        else:
            _, status = os.wait()
            failed |= status != 0
            alive -= 1
    sys.exit(failed)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
