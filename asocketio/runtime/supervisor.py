"""The process that started this one and its siblings, and the folder in which they meet."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

from asocketio.errors import UsageError

__all__ = ["find_supervisor", "runtime_folder", "start_of"]


def find_supervisor() -> int | None:
    """The id of the process that started this worker and its siblings; None where there is none.

    Workers are known below a supervisor: that of ``multiprocessing`` (uvicorn, the ``asocketio`` command, hypercorn,
    granian), or gunicorn's.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        return parent.pid
    return os.getppid() if "gunicorn.arbiter" in sys.modules else None


def start_of(pid: int) -> str:
    """When a process started, where the system tells: ids of processes are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]  # proc_pid_stat(5), field 22
    except OSError:
        return ""


def runtime_folder() -> Path:
    """A folder of this user's alone, ``asocketio-<uid>`` in the folder for temporary files. It is made where missing.

    Raises:
        UsageError: it belongs to somebody else, or others may write to it, or it cannot be made.
    """
    folder = Path(tempfile.gettempdir()) / f"asocketio-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UsageError(f"{folder}, where the workers of a server meet, cannot be made: {error.strerror}") from error
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UsageError(f"{folder} belongs to somebody else, or others may write to it: remove it")
    return folder
