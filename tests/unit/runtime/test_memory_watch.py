"""When garbage is collected, by the size of the process; and when freed memory is given back."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from typing import Any

import pytest

from asocketio.runtime.memory_watch import EACH, FREE, OLD, YOUNG, Allocator, MemoryWatch
from asocketio.runtime.tuning import TUNE_ENV

SMALL = 1000


class World:
    """A process whose size the test says, and what is done to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int = 40_000_000) -> None:
        self.size = size
        self.garbage = 0
        self.sessions = 0
        self.done: list[str] = []
        monkeypatch.setattr(gc, "collect", self._collect)
        self.watch = MemoryWatch(asyncio.get_running_loop(), lambda: self.size)
        self.watch.counters.append(lambda: self.sessions)

    def _collect(self, generation: int = 2) -> int:
        self.done.append("all" if generation == 2 else "young")
        self.size, self.garbage = self.size - self.garbage, 0
        return 0

    def look(self, grown: int = 0, sessions: int = 0) -> list[str]:
        """What is done when the process has grown, or shrunk, by so much."""
        self.size += grown
        self.sessions += sessions
        self.done.clear()
        self.watch.look()
        return list(self.done)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_nothing_is_done_while_nothing_grows(world: World) -> None:
    assert [world.look() for _ in range(100)] == [[]] * 100
    assert [world.look(change) for change in (20_000_000, -20_000_000) * 50] == [[]] * 100


async def test_the_young_are_looked_at_when_the_process_has_grown(world: World) -> None:
    assert world.look(YOUNG) == ["young"]
    assert world.look(YOUNG - SMALL) == []
    assert world.look(SMALL) == ["young"]


async def test_large_garbage_is_found_at_the_next_look(world: World) -> None:
    for _ in range(20):
        world.garbage = YOUNG
        assert world.look(YOUNG) == ["young"]
    assert world.size == 40_000_000


async def test_all_are_looked_at_when_it_has_grown_much_and_stands_still(world: World) -> None:
    assert "all" not in world.look(OLD)
    assert world.look() == ["all"]
    assert world.look() == []
    assert "all" not in world.look(OLD)
    assert world.look() == ["all"]


async def test_all_are_looked_at_while_it_grows_on_at_twice_the_bound(world: World) -> None:
    looks = [world.look(10_000_000) for _ in range(2 * OLD // 10_000_000 + 1)]
    assert [number for number, done in enumerate(looks) if "all" in done] == [2 * OLD // 10_000_000]


async def test_what_clients_explain_is_no_reason(world: World) -> None:
    """A storm of 10 000, each in a hundred rooms."""
    looks = [world.look(1_400_000, 50) for _ in range(200)]
    looks += [world.look() for _ in range(10)]
    assert not any("all" in done for done in looks)
    assert world.look(-200_000_000, -10_000) == []
    assert "all" not in world.look(OLD)
    assert world.look() == ["all"]


async def test_what_clients_leave_behind_is(world: World) -> None:
    """Who came and went explains nothing."""
    for _ in range(20):
        world.look(EACH * 100, 100)
    for _ in range(20):
        world.look(0, -100)
    assert world.look(OLD - EACH * 2000) == ["young"]
    assert world.look() == ["all"]


async def test_a_process_that_was_large_may_grow_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 1_000_000_000)
    world.look(499_000_000)
    assert world.look() == []
    assert world.look(1_000_000) == ["all"]


# ---- what is given back ------------------------------------------------------------------------------------------


class Heap:
    def __init__(self) -> None:
        self.free = 0
        self.trims = 0
        self.watch = MemoryWatch(asyncio.get_running_loop(), lambda: 0)

    def _trim(self) -> None:
        self.trims += 1

    def look(self, free: int) -> int:
        """How often it was trimmed until now, when so much is free."""
        self.free = free
        self.watch.trim(Allocator(lambda: self.free, self._trim))
        return self.trims


async def test_what_stays_free_is_given_back_once() -> None:
    heap = Heap()
    assert [heap.look(free) for free in (0, FREE, FREE, FREE, FREE)] == [0, 0, 1, 1, 1]
    assert [heap.look(free) for free in (2 * FREE, 2 * FREE, 2 * FREE)] == [1, 2, 2]
    assert [heap.look(free) for free in (FREE // 2, 2 * FREE, 2 * FREE, 2 * FREE)] == [2, 2, 3, 3]


async def test_what_is_used_again_and_again_is_kept() -> None:
    heap = Heap()
    assert [heap.look(free) for free in (10 * FREE, SMALL) * 10] == [0] * 20
    assert [heap.look(FREE - SMALL) for _ in range(10)] == [0] * 10


# ---- a real process ----------------------------------------------------------------------------------------------

BEGIN = """
import asyncio, gc, os
from asocketio.runtime import memory_watch
from asocketio.runtime.tuning import tune
memory_watch.LOOK = 0.02
memory_watch.LOOKS_TO_TRIM = 2
def size():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000
"""
# A handler that leaves 100 kB in a cycle each time: at once, or some time after it was last used.
CYCLES = """
async def main():
    tune(asyncio.get_running_loop(), lambda: 0)
    kept, most = [], 0
    for number in range(6000):
        cycle = [bytearray(100_000)]
        cycle.append(cycle)
        kept.append(cycle)
        if len(kept) > KEPT:
            del kept[0]
        most = max(most, size())
        await asyncio.sleep(0.0005)
    print(most)
asyncio.run(main())
"""
PEAK = """
async def main():
    tune(asyncio.get_running_loop(), lambda: 0)
    blocks = [(bytearray(70_000), bytearray(2000)) for _ in range(3000)]
    pins = [small for _, small in blocks]
    peak = size()
    del blocks
    async with asyncio.timeout(TIME):
        while size() > 100:
            await asyncio.sleep(0.01)
    print(peak - size())
asyncio.run(main())
"""


def run(code: str, tuned: str = "1", **names: Any) -> int:
    given = "".join(f"{name} = {value}\n" for name, value in names.items())
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + given + code],
        env={**os.environ, TUNE_ENV: tuned},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


linux = pytest.mark.skipif(sys.platform != "linux", reason="only there the size of the process is known")


@linux
@pytest.mark.parametrize("kept", [0, 500])
def test_what_a_program_leaves_in_cycles_is_bounded(kept: int) -> None:
    """600 MB of it; by numbers alone, 1000 objects of any size, there is no bound."""
    assert run(CYCLES, KEPT=kept) < 400 + kept // 10


@linux
def test_memory_comes_back_after_a_peak() -> None:
    assert run(PEAK, TIME=10) > 100
    with pytest.raises(subprocess.CalledProcessError):
        run(PEAK, "0", TIME=1)
