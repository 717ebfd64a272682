"""MemoryWatch: collects garbage when memory has grown, not when objects were counted; and gives freed memory back.

Looking at all objects takes 25 ms for each 100 000 of them, and a crowd that comes makes nothing but objects that stay.
So only the young are looked at by number. All are when the process has grown by more than the clients who came explain,
and has stopped growing: what a program leaves in cycles is bounded by bytes.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["EACH", "FREE", "OLD", "YOUNG", "Allocator", "MemoryWatch"]

LOOK = 0.5
"""Seconds between two looks at the size of the process."""

YOUNG = 32_000_000
"""Bytes of growth after which the young objects are looked at, though they are few: they may be large."""

OLD = 128_000_000
"""Bytes of growth, or half of what there was if that is more, after which all objects are looked at; and"""

EACH = 40_000
"""bytes more for each session that is there and was not at the last time."""

STEADY = 2_000_000
"""Bytes of growth from one look to the next that count as none. While it grows on, the bound is twice as high."""

FREE = 32_000_000
"""Bytes that were freed, and are still this process's `LOOKS_TO_TRIM` later, which are given back."""

LOOKS_TO_TRIM = 20

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Allocator(NamedTuple):
    """The allocator of C, where it can be asked. Both are called in a thread: they stop the allocator, not the loop."""

    free: Callable[[], int]
    """Bytes that are free, given back or not."""
    trim: Callable[[], object]
    """Gives back what is free. 0.3 ms for each MB."""


class MemoryWatch:
    """Looks at the size of the process each `LOOK` seconds. ``resident`` tells it, in bytes."""

    __slots__ = (
        "_allocator", "_free", "_last", "_looks", "_old", "_resident", "_returned", "_sessions", "_young", "counters",
        "loop",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, resident: Callable[[], int], allocator: Allocator | None = None
    ) -> None:
        self.loop = loop
        self._resident = resident
        self._allocator = allocator
        self._young = self._old = self._last = resident()
        """The size at the last collection, and at the last look."""
        self.counters: list[Callable[[], int]] = []
        """Each tells how many sessions there are."""
        self._sessions = 0
        self._looks = 0
        self._free = self._returned = 0
        """What was free at the last look at the allocator, and what of it is not there any more."""

    @classmethod
    def of_process(cls, loop: asyncio.AbstractEventLoop, allocator: Allocator | None) -> MemoryWatch | None:
        """The watch of this process, which runs as long as ``loop``; None where the size cannot be asked for."""
        try:
            file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, AttributeError):
            return None
        watch = cls(loop, lambda: int(os.pread(file, 100, 0).split()[1]) * _PAGE, allocator)
        loop.call_later(LOOK, watch._tick)
        return watch

    def _tick(self) -> None:
        self.look()
        self.loop.call_later(LOOK, self._tick)

    def look(self) -> None:
        """Do what the size of the process asks for."""
        size = self._resident()
        sessions = sum(count() for count in self.counters)
        grown = size - self._old - EACH * max(sessions - self._sessions, 0)
        bound = max(OLD, self._old // 2)
        if grown >= 2 * bound or (grown >= bound and size - self._last < STEADY):
            gc.collect()
            size = self._old = self._young = self._resident()
            self._sessions = sessions
        elif size - self._young >= YOUNG:
            gc.collect(1)
            size = self._young = self._resident()
        self._old, self._young, self._last = min(self._old, size), min(self._young, size), size
        self._sessions = min(self._sessions, sessions)
        self._looks += 1
        if self._allocator is not None and self._looks % LOOKS_TO_TRIM == 0 and size >= FREE:
            self.loop.run_in_executor(None, self.trim, self._allocator)

    def trim(self, allocator: Allocator) -> None:
        """Give back what has been free since the last call, if it is much."""
        former, self._free = self._free, allocator.free()
        self._returned = min(self._returned, self._free)
        if min(former, self._free) - self._returned >= FREE:
            allocator.trim()
            self._free = self._returned = allocator.free()
