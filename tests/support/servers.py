"""Real servers on a free port of 127.0.0.1, each in its own process.

``SERVERS`` names the ways an application can be served; ``Server`` starts one of them, waits until it listens, keeps
its log, and stops it by a signal. Nothing here knows Socket.IO; nothing of ours is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["ASOCKETIO", "GRANIAN", "HYPERCORN", "ROOT", "SERVERS", "UVICORN", "WORKERS", "Server", "free_port"]

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
STARTS_WITHIN = 30.0  # seconds; two noisy cores import a framework slowly
STOPS_WITHIN = 20.0  # seconds until a server that does not end is killed; how prompt an end must be is the test's word


def _uvicorn(http: str, ws: str, loop: str = "asyncio") -> tuple[str, ...]:
    return ("uvicorn", "{app}", "--host", HOST, "--port", "{port}", "--http", http, "--ws", ws, "--loop", loop)


# All three websocket classes and ours on the two HTTP parsers; uvloop once with each parser.
UVICORN: dict[str, tuple[str, ...]] = {
    **{
        f"uvicorn-{http}-{ws}": _uvicorn(http, ws)
        for http in ("h11", "httptools")
        for ws in ("websockets", "websockets-sansio", "wsproto")
    },
    "uvicorn-h11-websockets-uvloop": _uvicorn("h11", "websockets", "uvloop"),
    "uvicorn-httptools-websockets-sansio-uvloop": _uvicorn("httptools", "websockets-sansio", "uvloop"),
    "uvicorn-h11-lane": _uvicorn("h11", "asocketio.servers.uvicorn:WebSocketProtocol"),
    "uvicorn-httptools-lane-uvloop": _uvicorn("httptools", "asocketio.servers.uvicorn:WebSocketProtocol", "uvloop"),
}
HYPERCORN: dict[str, tuple[str, ...]] = {"hypercorn": ("hypercorn", "{app}", "--bind", HOST + ":{port}")}
GRANIAN: dict[str, tuple[str, ...]] = {
    "granian": ("granian", "{app}", "--interface", "asgi", "--host", HOST, "--port", "{port}")
}
ASOCKETIO: dict[str, tuple[str, ...]] = {"asocketio": ("asocketio", "{app}", "--host", HOST, "--port", "{port}")}
SERVERS: dict[str, tuple[str, ...]] = {**UVICORN, **HYPERCORN, **GRANIAN, **ASOCKETIO}

WORKERS: dict[str, tuple[str, ...]] = {
    "uvicorn": ("uvicorn", "{app}", "--host", HOST, "--port", "{port}", "--workers", "3"),
    "gunicorn": ("gunicorn", "{app}", "-k", "uvicorn_worker.UvicornWorker", "-b", HOST + ":{port}", "-w", "3"),
    "hypercorn": ("hypercorn", "{app}", "--bind", HOST + ":{port}", "-w", "3"),
    "granian": (*GRANIAN["granian"], "--workers", "3"),
    "asocketio": (*ASOCKETIO["asocketio"], "--workers", "3"),
}
"""The same as commands that serve by three workers."""


def free_port() -> int:
    """A port nobody listens on, below the range from which outgoing connections take theirs."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind((HOST, port))
            return port


class Server:
    """One server process, from ``with`` to the end of its block.

    ``app`` is an import string such as ``tests.interop.app:app``; ``name`` a key of ``SERVERS``; ``args`` are further
    arguments of the command line, ``env`` further variables. ``workers``: ``name`` is a key of ``WORKERS``. ``plain``
    hides the accelerators from it (``tests.support.forms``). The process leads its own group, as in a shell.
    """

    def __init__(
        self,
        app: str,
        name: str,
        log: Path,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        plain: bool = False,
        workers: bool = False,
    ) -> None:
        self._command = WORKERS[name] if workers else SERVERS[name]
        self.app, self.name, self.args, self.cwd = app, name, tuple(args), cwd
        self._runner = ("-m", "tests.support.forms") if plain else ("-m",)
        self.port = free_port()
        self._path = [str(cwd), str(ROOT)]
        self._log = log
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    async def logs(self, text: str, within: float = 10.0) -> None:
        """Waits until ``text`` is in the log."""
        deadline = time.monotonic() + within
        while text not in self.log():
            assert time.monotonic() < deadline, f"{text!r} is not in the log after {within} s:\n{self.log()}"
            await asyncio.sleep(0.02)

    def __enter__(self) -> Self:
        command = [word.format(app=self.app, port=self.port) for word in self._command]
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(self._path), **self._env}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._runner, *command, *self.args],
                cwd=self.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOPS_WITHIN)
        self.kill()

    def stop(self, number: int = signal.SIGTERM, *, group: bool = False) -> tuple[int, float]:
        """Sends a signal and waits; the exit code, and how many seconds the end took.

        ``group``: to every process of the group, which is what Ctrl+C in a terminal does.
        """
        begun = time.monotonic()
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        try:
            code = self.process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {STOPS_WITHIN} s:\n{self.log()}") from None
        return code, time.monotonic() - begun

    def kill(self) -> None:
        """Ends what is left of the process group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.name} does not listen after {STARTS_WITHIN} s:\n{self.log()}")
