"""Memory of a process that holds thousands of sockets: when it is collected, and when it goes back to the kernel.

Collecting takes time in proportion to all objects that live, and happens the more often the more of them are made:
while 16 000 clients connect, Python's own thresholds stop the event loop for up to 190 ms at a time, and take half of
the CPU time. Sockets need no collector: when one has ended, nothing leads back to it.

glibc gives the end of its heap back as soon as 128 kB of it are free, which is after each large message, and the next
one pays for sixteen fresh pages: 60 of 165 µs of an echo of 64 kB.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

__all__ = ["TUNE_ENV", "tune"]

TUNE_ENV = "ASOCKETIO_TUNE"
"""Set to ``1`` in the environment by the ``asocketio`` command, unless it is there: the processes it starts `tune`."""

THRESHOLDS = 10_000, 50, 100
"""Objects made and not freed until the youngest are looked at; such rounds until older ones are; and until all are."""

FREE = 8_000_000
"""Bytes at the end of the heap that may lie free; and"""
MAPPED = 2_000_000
"""bytes from which a block is not taken from the heap: the two are one setting to glibc."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h; see mallopt(3)


def tune() -> None:
    """Collect less often, and never what the program made before it began to serve; keep a little freed memory.

    Only where the command asks for it.
    """
    if os.environ.get(TUNE_ENV) == "1":
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        if sys.platform == "linux":
            _keep_freed()


def _keep_freed() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return  # not glibc
    mallopt(_M_TRIM_THRESHOLD, FREE)
    mallopt(_M_MMAP_THRESHOLD, MAPPED)
