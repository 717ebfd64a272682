"""The thresholds of the garbage collector, and what glibc keeps."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from asocketio.runtime import memory_watch
from asocketio.runtime.tuning import THRESHOLDS, TUNE_ENV, WATCHED_THRESHOLDS, tune


@pytest.fixture(autouse=True)
def untuned() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def tune_here() -> None:
    tune(asyncio.get_running_loop(), lambda: 0)


async def test_they_are_raised_where_the_environment_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TUNE_ENV, "1")
    tune_here()
    assert gc.get_threshold() == (WATCHED_THRESHOLDS if sys.platform == "linux" else THRESHOLDS)
    assert gc.get_freeze_count() > 0


async def test_python_decides_when_all_are_looked_at_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TUNE_ENV, "1")
    monkeypatch.setattr(memory_watch.os, "open", refuse)
    tune_here()
    assert gc.get_threshold() == THRESHOLDS


def refuse(*_: object) -> int:
    raise FileNotFoundError


@pytest.mark.parametrize("value", ["0", "", "yes"])
async def test_they_are_left_alone_elsewhere(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    monkeypatch.setenv(TUNE_ENV, value)
    tune_here()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, frozen)


FAULTS = """
import asyncio, resource
from asocketio.runtime.tuning import tune
tune(asyncio.new_event_loop(), lambda: 0)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def message():
    return [b"x" * size for size in [65_600] * 100]
message()
before = faults()
for _ in range(100):
    message()
print(faults() - before)
"""


def fresh_pages(tuned: str) -> int:
    """Pages that a hundred bursts of large messages take from the kernel: 1600 each, at most."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env={**os.environ, TUNE_ENV: tuned}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_large_messages_do_not_take_fresh_pages_each_time() -> None:
    assert fresh_pages("1") < 2000 < 20_000 < fresh_pages("0")
