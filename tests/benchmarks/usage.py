"""What a process and its children have used, by Linux's ``/proc``."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

__all__ = ["cpu_seconds", "pin", "raise_limit", "resident_bytes"]

PROC = Path("/proc")


def _family(pid: int) -> list[int]:
    """The process and what descends from it."""
    found = [pid]
    for task in (PROC / str(pid) / "task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += _family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    ticks = 0
    for member in _family(pid):
        with contextlib.suppress(OSError):
            ended_name = (PROC / str(member) / "stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, ended_name[11:15]))  # its own, and its children's that have ended
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory that is really there."""
    pages = 0
    for member in _family(pid):
        with contextlib.suppress(OSError):
            pages += int((PROC / str(member) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where there is such a thing."""
    if hasattr(os, "sched_setaffinity") and core in os.sched_getaffinity(0):
        os.sched_setaffinity(pid, {core})


def raise_limit() -> int:
    """Allow this process, and those it starts, as many open files as it may have; how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
