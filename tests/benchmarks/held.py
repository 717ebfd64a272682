"""What a socket holds of the view that let it in: ``python -m tests.benchmarks.held``.

Threads, open database connections and memory of a server with 1000 websockets, for Django and FastAPI
(``tests.integration.held``): by a view that awaits `socketio_manage`, and by one that calls `socketio_accept`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.usage import raise_limit, resident_bytes
from tests.clients.frames import masked
from tests.clients.http import HEAD_END, request, upgrade_request
from tests.clients.tcp import Connection
from tests.support.servers import Server

__all__ = ["APPS", "Held", "held_by", "held_server", "log_in", "main", "open_websockets"]

APPS = ("django_held", "django_guarded", "fastapi_held", "fastapi_guarded")
PARALLEL = 10
"""Handshakes at a time: SQLite lets one write at a time."""
REST = 1.0
"""Seconds after the last handshake, in which what has ended is let go."""


@dataclass(frozen=True)
class Held:
    """What a process has now."""

    threads: int
    connections: int
    """To the database: descriptors of its file."""
    memory: int


def held_server(app: str, folder: Path) -> Server:
    """A server of one of `APPS`, whose database is in ``folder``."""
    database = folder / "held.sqlite3"
    return Server(
        f"tests.integration.held:{app}", "asocketio", folder / "log", args=("--no-access-log",),
        env={"HELD_DATABASE": str(database)},
    )  # fmt: skip


def held_by(server: Server, folder: Path) -> Held:
    """What ``server`` holds now."""
    proc = Path("/proc") / str(server.process.pid)
    threads = re.search(r"^Threads:\s+(\d+)$", (proc / "status").read_text(), re.MULTILINE)
    assert threads is not None
    connections = 0
    for descriptor in (proc / "fd").iterdir():
        try:
            connections += str(descriptor.readlink()) == str(folder / "held.sqlite3")
        except OSError:
            pass  # closed meanwhile
    return Held(int(threads[1]), connections, resident_bytes(server.process.pid))


async def log_in(port: int) -> str:
    """The cookie of a client that the views know."""
    with await Connection.tcp(port) as connection:
        await connection.send(request("GET", "/login"))
        response = await connection.response()
        found = re.search(rb"\r\nset-cookie: ([^;]+)", response.head, re.IGNORECASE)
        assert found is not None, response
        return found[1].decode()


async def open_websockets(port: int, cookie: str, count: int) -> list[Connection]:
    """Websockets that have joined the global namespace."""
    places = asyncio.Semaphore(PARALLEL)

    async def one() -> Connection:
        async with places:
            connection = await Connection.tcp(port)
            await connection.send(upgrade_request("/socket.io/?EIO=4&transport=websocket", ("cookie", cookie)))
            head = await connection.until(HEAD_END)
            assert b" 101 " in head, head
            await connection.until(b"}")
            await connection.send(masked("40"))
            await connection.until(b"}")
            return connection

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def measure(server: Server, folder: Path, count: int) -> tuple[Held, Held, float]:
    """Before and after ``count`` websockets, and the seconds that they took to open."""
    with ExitStack() as stack:
        cookie = await log_in(server.port)
        for connection in await open_websockets(server.port, cookie, 20):
            connection.close()
        await asyncio.sleep(REST)
        before, began = held_by(server, folder), time.monotonic()
        for connection in await open_websockets(server.port, cookie, count):
            stack.callback(connection.close)
        took = time.monotonic() - began
        await asyncio.sleep(REST)
        return before, held_by(server, folder), took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--apps", nargs="*", default=APPS, choices=APPS)
    options = parser.parse_args()
    raise_limit()
    print(f"| {options.count} websockets | threads | database connections | kB each | ms each to open |")
    print("|---|--:|--:|--:|--:|")
    for app in options.apps:
        with tempfile.TemporaryDirectory() as name, held_server(app, Path(name)) as server:
            before, after, took = asyncio.run(measure(server, Path(name), options.count))
        each = (after.memory - before.memory) / options.count / 1000
        print(
            f"| `{app}` | {before.threads} → {after.threads} | {before.connections} → {after.connections} "
            f"| {each:.1f} | {1000 * took / options.count:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
