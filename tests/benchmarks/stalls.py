"""How long the event loop stands still while thousands come, join and leave: ``python -m tests.benchmarks.stalls``.

For each storm the longest time between two turns of the server's loop, as it passes for others and as CPU time of its
thread (which the noise of a shared machine does not reach), and the longest collection of garbage in it. `app` is what
is served; the ``asocketio`` command serves it, with its own settings of the collector.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from asocketio import BaseNamespace, RoomsMixin, SocketIOApp
from tests.benchmarks.connections import CONNECTORS, Connector, Opened, storm
from tests.benchmarks.usage import raise_limit, resident_bytes
from tests.clients.frames import masked
from tests.support.servers import Server

__all__ = ["app", "main"]

TICK = 0.001
ROOMS = 100
"""Rooms that each client joins in the storm of joins."""


class Probe:
    """Looks at the clocks each `TICK`, and at each collection."""

    def __init__(self) -> None:
        self.reset()
        self._began = 0.0

    def reset(self) -> None:
        self.wall = self.cpu = self.collection = 0.0
        self.collections = [0, 0, 0]
        self._last = time.monotonic(), time.thread_time()

    def start(self) -> None:
        gc.callbacks.append(self._on_collection)
        self._tick()

    def _tick(self) -> None:
        now = time.monotonic(), time.thread_time()
        self.wall = max(self.wall, now[0] - self._last[0] - TICK)
        self.cpu = max(self.cpu, now[1] - self._last[1])
        self._last = now
        asyncio.get_running_loop().call_later(TICK, self._tick)

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.collections[info["generation"]] += 1
            self.collection = max(self.collection, time.thread_time() - self._began)

    def report(self) -> dict[str, Any]:
        return {
            "wall_ms": self.wall * 1000, "cpu_ms": self.cpu * 1000, "collection_ms": self.collection * 1000,
            "collections": self.collections, "cpu_seconds": time.process_time(),
        }  # fmt: skip


class Crowd(BaseNamespace, RoomsMixin):
    def on_join(self, number: int) -> None:
        self.join(f"room-{number}")


probe = Probe()


async def site(scope: Any, receive: Any, send: Any) -> None:
    """``/probe``: what was seen since it was asked for last."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            probe.start()
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = json.dumps(probe.report()).encode()
    probe.reset()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


app = SocketIOApp(site, namespaces={"/": Crowd}, max_sessions_per_address=None)


async def ask(server: Server) -> dict[str, Any]:
    with await asyncio.to_thread(urllib.request.urlopen, f"{server.url}/probe") as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


async def measure(server: Server, count: int, carrier: str, connector: Connector, joins: bool) -> None:
    clients: list[Opened] = []

    async def connect() -> None:
        clients.extend(await storm(lambda _: connector(server.port), count))

    async def join() -> None:
        events = b"".join(masked(f'42["join",{number}]') for number in range(ROOMS)) + masked('420["none"]')

        async def one(number: int) -> None:
            clients[number].writer.write(events)
            await clients[number].reader.readuntil(b"430")

        await storm(one, count, 5)  # all at once they keep the loop busy by themselves: 6 s on one core

    async def leave() -> None:
        for client in clients:
            client.writer.transport.abort()
        await asyncio.sleep(1)

    for name, step in {"connect": connect, **({"join": join} if joins else {}), "leave": leave}.items():
        before = await ask(server)
        await step()
        found = await ask(server)
        print(
            f"{carrier:9} {name:7} wall {found['wall_ms']:6.0f} ms, cpu {found['cpu_ms']:6.1f} ms, "
            f"collection {found['collection_ms']:6.1f} ms of {found['collections']}, "
            f"all {found['cpu_seconds'] - before['cpu_seconds']:5.2f} s, {resident_bytes(server.process.pid) >> 20} MB",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    given = parser.parse_args()
    raise_limit()
    for carrier, connector in CONNECTORS.items():
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            arguments = ("--backlog", "8192", "--log-level", "warning", "--timeout-keep-alive", "60")
            with Server("tests.benchmarks.stalls:app", "asocketio", log, args=arguments) as server:
                asyncio.run(measure(server, given.clients, carrier, connector, joins=carrier == "websocket"))


if __name__ == "__main__":
    main()
