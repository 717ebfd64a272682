"""How busy the processors are, from the standard library alone. Knows nothing of sockets."""

import os
import re
import time
from pathlib import Path

__all__ = ["CpuMeter"]

STAT = Path("/proc/stat")
# "cpu0 4705 150 1120 16250 520 ...": ticks as user, nice, system, idle, iowait, irq, softirq, steal
# (proc_stat(5)). The guest columns after these are already counted in user and nice.
CORE = re.compile(r"^cpu\d+((?: \d+){8})", re.MULTILINE)


class CpuMeter:
    """The load since the previous reading, in percent for each processor."""

    def __init__(self) -> None:
        self._before = ticks()

    def read(self) -> list[float]:
        """One figure per processor; where the system does not tell, one for this process alone."""
        before, self._before = self._before, ticks()
        return [percent(*old, *new) for old, new in zip(before, self._before, strict=False)]


def ticks() -> list[tuple[float, float]]:
    """Busy and total time of each processor since some fixed moment, in one unit."""
    if not STAT.exists():
        return [(time.process_time(), time.monotonic() * (os.cpu_count() or 1))]
    cores = [[int(n) for n in core.split()] for core in CORE.findall(STAT.read_text("ascii"))]
    return [(sum(core) - core[3] - core[4], sum(core)) for core in cores]


def percent(busy_before: float, total_before: float, busy: float, total: float) -> float:
    elapsed = total - total_before
    if elapsed <= 0:  # two readings within one tick
        return 0.0
    return round(min(max(100 * (busy - busy_before) / elapsed, 0.0), 100.0), 1)
