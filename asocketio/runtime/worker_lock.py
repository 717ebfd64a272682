"""WorkerLock: one of the workers of a server holds it; another one can take it when that one has ended, or died."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asocketio.errors import UsageError
from asocketio.runtime.supervisor import find_supervisor, runtime_folder, start_of

__all__ = ["WorkerLock", "run_once", "worker_lock"]

PAUSE = 1.0
"""Seconds between two tries to take a lock: so long nobody may have it."""


class WorkerLock:
    """A lock on a file, which the system gives back when its process dies, however that happens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    async def acquire(self) -> None:
        """Wait until no other process has it."""
        while not self.try_acquire():  # noqa: ASYNC110  (another process gives it back)
            await asyncio.sleep(PAUSE)

    def try_acquire(self) -> bool:
        """Take it, if no other process has it."""
        import fcntl  # not on Windows

        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of the process: its children do not inherit it
        except OSError:
            os.close(file)
            return False
        try:
            still_there = os.path.samestat(os.stat(self.path), os.fstat(file))
        except FileNotFoundError:
            still_there = False
        if not still_there:  # its last owner has removed it a moment ago
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


def worker_lock(name: str) -> WorkerLock | None:
    """The lock ``name`` that the workers of one server share; None where this process is no worker.

    Workers are known below a supervisor, see `find_supervisor`.

    Raises:
        UsageError: this system has no such locks.
    """
    parent = find_supervisor()
    if parent is None:
        return None
    if sys.platform == "win32":
        raise UsageError("once=True among several workers needs locks that this system does not have: run one worker")
    key = f"{parent} {start_of(parent)} {os.getcwd()} {name}"
    return WorkerLock(runtime_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.lock")


async def run_once(lock: WorkerLock | None, function: Callable[..., Any], *args: Any) -> None:
    """Run ``function`` with the lock, and keep that, also when the function has ended: others need not run it again."""
    if lock is None:
        await _run(function, *args)
        return
    await lock.acquire()
    try:
        await _run(function, *args)
        await asyncio.get_running_loop().create_future()
    finally:
        lock.release()


async def _run(function: Callable[..., Any], *args: Any) -> None:
    result = function(*args)
    if hasattr(result, "__await__"):
        await result
