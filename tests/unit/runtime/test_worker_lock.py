"""A lock that one of the workers has."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asocketio.runtime import worker_lock
from asocketio.runtime.worker_lock import WorkerLock, run_once
from asocketio.testing import settle
from tests.support.worlds import until

OTHER = """
import sys
from pathlib import Path
from asocketio.runtime.worker_lock import WorkerLock
print(WorkerLock(Path(sys.argv[1])).try_acquire(), flush=True)
sys.stdin.read()
"""


async def test_a_lock_that_another_process_has_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_lock, "PAUSE", 0.001)
    root = Path(worker_lock.__file__).parents[2]
    path = tmp_path / "lock"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OTHER, str(path), cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"True\n"
    lock = WorkerLock(path)
    assert not lock.try_acquire()
    waiting = asyncio.create_task(lock.acquire())
    await asyncio.sleep(0)
    assert not waiting.done()
    other.kill()
    await other.communicate()
    await asyncio.wait_for(waiting, 10)
    lock.release()


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_lock_is_kept_when_the_function_has_ended(tmp_path: Path, is_async: bool) -> None:
    done: list[int] = []

    async def append(value: int) -> None:
        done.append(value)

    lock = WorkerLock(tmp_path / "lock")
    function: Any = append if is_async else done.append
    task = asyncio.create_task(run_once(lock, function, 1))
    await until(lambda: done)
    await settle()
    assert (task.done(), lock.path.exists()) == (False, True)
    task.cancel()
    await asyncio.wait([task])
    assert not lock.path.exists()


async def test_a_function_that_fails_gives_the_lock_back(tmp_path: Path) -> None:
    lock = WorkerLock(tmp_path / "lock")

    def fail() -> None:
        raise ValueError("oh")

    with pytest.raises(ValueError, match="oh"):
        await run_once(lock, fail)
    assert not lock.path.exists()


def test_the_lock_has_the_name_of_the_job_and_of_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert worker_lock.worker_lock("job") is None  # this process has none
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", sys)
    lock, same, other = map(worker_lock.worker_lock, ("job", "job", "other"))
    paths = [None if each is None else each.path for each in (lock, same, other)]
    assert paths[0] == paths[1] != paths[2]
    monkeypatch.setattr(worker_lock, "find_supervisor", lambda: 2**30)  # nothing is known of it
    unknown = worker_lock.worker_lock("job")
    assert unknown is not None
    assert unknown.path not in paths
