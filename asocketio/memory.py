"""The garbage collector of a process that holds thousands of sockets.

Collecting takes time in proportion to all objects that live, and happens the more often the more of them are made:
while 16 000 clients connect, Python's own thresholds stop the event loop for up to 190 ms at a time, and take half of
the CPU time. Sockets need no collector: when one has ended, nothing leads back to it.
"""

from __future__ import annotations

import gc
import os

__all__ = ["TUNE", "tune"]

TUNE = "ASOCKETIO_TUNE_GC"
"""Set to ``1`` in the environment by the ``asocketio`` command, unless it is there: the processes it starts `tune`."""

THRESHOLDS = 10_000, 50, 100
"""Objects made and not freed until the youngest are looked at; such rounds until older ones are; and until all are."""


def tune() -> None:
    """Collect less often, and never what the program made before it began to serve; where the command asks for it."""
    if os.environ.get(TUNE) == "1":
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
