"""The servers that are compared, each as a process on a core of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.cases import Case
from tests.benchmarks.usage import pin
from tests.support.servers import free_port

__all__ = ["ROOT", "Running", "Server", "available", "environment", "found_modules", "running"]

ROOT = Path(__file__).resolve().parent.parent.parent
CORE = 0
STARTS_WITHIN = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Server:
    """How one is started."""

    name: str
    command: list[str]
    """``{port}`` and ``{max_payload}`` are filled in."""
    env: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Running:
    """One that listens."""

    pid: int
    port: int
    log: Path


def environment() -> dict[str, str]:
    """This process's, and the checkout to import from."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def available(modules: Path | None) -> dict[str, Server]:
    """Ours in both ways, and the peers that this machine has."""
    arguments = ["--port", "{port}", "--max-payload", "{max_payload}"]
    ours = [sys.executable, "-m", "tests.benchmarks.server", *arguments, "--ws"]
    servers = [
        Server(
            "lane",
            [*ours, "asocketio.servers.uvicorn:WebSocketProtocol", "--http", "asocketio.servers.uvicorn:HTTPProtocol"],
        ),
        Server("asgi", [*ours, "websockets-sansio"]),
    ]
    if importlib.util.find_spec("socketio"):
        peer = [sys.executable, "-m", "tests.benchmarks.peers.python", *arguments]
        servers.append(Server("python-socketio", peer))
    node = _node()
    if node and modules:
        peer = [node, str(Path(__file__).parent / "peers" / "node.js"), "{port}", "{max_payload}"]
        servers.append(Server("node", peer, {"NODE_PATH": str(modules.resolve()), "NODE_ENV": "production"}))
    return {server.name: server for server in servers}


def _node() -> str | None:
    try:
        from tests.support.node import node_binary
    except ImportError:
        return shutil.which("node")
    return str(node_binary())


def found_modules() -> Path | None:
    """A ``node_modules`` with socket.io, here or in the checkout."""
    for folder in (Path.cwd() / "node_modules", ROOT / "node_modules"):
        if (folder / "socket.io").is_dir():
            return folder
    return None


@contextlib.contextmanager
def running(server: Server, case: Case) -> Generator[Running]:
    """Start it, wait until it listens, and end it in the end."""
    port = free_port()
    filled = {"port": port, "max_payload": 1_000_000 if case.size < 500_000 else 4_000_000}
    with tempfile.NamedTemporaryFile() as written:
        log = Path(written.name)
        process = subprocess.Popen(
            [part.format(**filled) if "{" in part else part for part in server.command],
            cwd=ROOT,
            env={**environment(), **server.env},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
        )
        try:
            pin(process.pid, CORE)
            _await_listening(process, port, log)
            yield Running(process.pid, port, log)
        finally:
            process.kill()  # what it would do at its end is not measured
            process.wait()


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server does not listen:\n{log.read_text()}")
