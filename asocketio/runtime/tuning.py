"""Memory of a process that holds thousands of sockets: when it is collected, and when it goes back to the kernel.

Collecting takes time in proportion to all objects that live, and happens the more often the more of them are made:
while 16 000 clients connect, Python's own thresholds stop the event loop for up to 190 ms at a time, and take half of
the CPU time. Sockets need no collector: when one has ended, nothing leads back to it. What a program leaves in cycles
is found among the young objects, a few at a time, and by `MemoryWatch`.

glibc gives the end of its heap back as soon as 128 kB of it are free, which is after each large message, and the next
one pays for sixteen fresh pages: 60 of 165 µs of an echo of 64 kB. It does not give back what lies free further down:
that is the watch's, too.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
from collections.abc import Callable

from asocketio.runtime.memory_watch import Allocator, MemoryWatch

__all__ = ["THRESHOLDS", "TUNE_ENV", "WATCHED_THRESHOLDS", "tune"]

TUNE_ENV = "ASOCKETIO_TUNE"
"""Set to ``1`` in the environment by the ``asocketio`` command, unless it is there: the processes it starts `tune`."""

THRESHOLDS = 1_000, 20, 10
"""Objects made and not freed until the youngest are looked at; such rounds until older ones are; and until all are.
20 000 objects take 10 ms. Python looks at all only where a quarter of them is new, too."""

WATCHED_THRESHOLDS = 1_000, 20, 1_000_000
"""Where a `MemoryWatch` decides when all are looked at."""

FREE = 8_000_000
"""Bytes at the end of the heap that may lie free; and"""
MAPPED = 2_000_000
"""bytes from which a block is not taken from the heap: the two are one setting to glibc."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h; see mallopt(3)

_watch: MemoryWatch | None = None


def tune(loop: asyncio.AbstractEventLoop, count_sessions: Callable[[], int]) -> None:
    """Collect less often, and never what the program made before it began to serve; keep little of what was freed.

    A `MemoryWatch` runs in ``loop``, where the process can tell its size. Only where the command asks for all that.
    """
    global _watch
    if os.environ.get(TUNE_ENV) != "1":
        return
    allocator = _tune_allocator() if sys.platform == "linux" else None
    gc.collect()
    gc.freeze()
    if _watch is None or _watch.loop is not loop:
        _watch = MemoryWatch.of_process(loop, allocator)
    gc.set_threshold(*(THRESHOLDS if _watch is None else WATCHED_THRESHOLDS))
    if _watch is not None:
        _watch.counters.append(count_sessions)


class _Usage(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()  # noqa: SIM905
    ]


def _tune_allocator() -> Allocator | None:
    """Let glibc keep what is freed at the end of its heap. What else it has to offer, where it has."""
    libc = ctypes.CDLL(None)
    try:
        libc.mallopt(_M_TRIM_THRESHOLD, FREE)
        libc.mallopt(_M_MMAP_THRESHOLD, MAPPED)
        usage, trim = libc.mallinfo2, libc.malloc_trim
    except AttributeError:
        return None  # not glibc, or one from before 2.33
    usage.restype = _Usage
    return Allocator(lambda: int(usage().fordblks), lambda: trim(0))
