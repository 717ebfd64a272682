"""How long an answer takes while thousands are broadcast to: ``python -m tests.benchmarks.beside``.

A crowd is broadcast to each `PERIOD`; some clients in another namespace have a small event acknowledged all the time.
Printed are percentiles of the time from the event to its ack, as those clients see it, for crowds and clients by
websocket and by polling. `app` is what is served, by the ``asocketio`` command. The machine needs two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import os
import random
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from asocketio import BaseNamespace, SocketIOApp
from tests.benchmarks.connections import CONNECTORS, Opened, polling, storm, websocket
from tests.benchmarks.usage import raise_limit
from tests.clients.frames import masked
from tests.clients.http import request
from tests.support.servers import Server

__all__ = ["app", "main"]

PERIOD = 1.0
"""Seconds between two broadcasts."""
PAUSE = 0.05
"""Seconds that a client waits, on average, before its next event."""
EVENT, ACK = '427["echo","x"]', b'437["x"]'


class Crowd(BaseNamespace):
    """Only listens."""


class Busy(BaseNamespace):
    def on_echo(self, text: str) -> str:
        return text

    async def on_broadcast(self) -> None:
        for number in itertools.count():
            await asyncio.sleep(PERIOD)
            await app.of("/crowd").emit("news", number, "x" * 100)


app = SocketIOApp(namespaces={"/": Busy, "/crowd": Crowd}, max_sessions_per_address=None)


class Listener(asyncio.Protocol):
    """One of the crowd: throws away what comes; by polling it asks again."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened  # a writer that nobody holds closes its transport
        self._poll = opened.poll

    def data_received(self, data: bytes) -> None:
        if self._poll:
            self._opened.writer.transport.write(self._poll)


def listen(port: int, carrier: str, count: int, ready: Event) -> None:
    """The crowd, in a process of its own."""

    async def work() -> None:
        for opened in await storm(lambda _: CONNECTORS[carrier](port, "/crowd,"), count):
            opened.writer.transport.set_protocol(Listener(opened))
        ready.set()
        await asyncio.Event().wait()

    raise_limit()
    os.nice(10)  # it must not stand in the way of those who measure
    asyncio.run(work())


async def ask_by_websocket(port: int, until: float, seconds: list[float]) -> None:
    opened = await websocket(port)
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(0, 2 * PAUSE))
        began = time.monotonic()
        opened.writer.write(masked(EVENT))
        await opened.reader.readuntil(ACK)
        seconds.append(time.monotonic() - began)


async def ask_by_polling(port: int, until: float, seconds: list[float]) -> None:
    opened = await polling(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(0, 2 * PAUSE))
        began = time.monotonic()
        writer.write(request("POST", opened.target, EVENT))
        await opened.reader.readuntil(ACK)
        seconds.append(time.monotonic() - began)
        opened.writer.write(opened.poll)
        await reader.readuntil(b"\r\n\r\nok")


ASKERS = {"websocket": ask_by_websocket, "polling": ask_by_polling}


async def ask(port: int, carrier: str, clients: int, duration: float) -> list[float]:
    """Seconds of each answer."""
    speaker = await websocket(port)
    speaker.writer.write(masked('42["broadcast"]'))
    seconds: list[float] = []
    until = time.monotonic() + duration
    await asyncio.gather(*(ASKERS[carrier](port, until, seconds) for _ in range(clients)))
    return seconds


def measure(crowd: str, carrier: str, given: argparse.Namespace) -> None:
    """One row."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--backlog", "8192", "--log-level", "warning", "--timeout-keep-alive", "60")
        with Server("tests.benchmarks.beside:app", "asocketio", Path(folder) / "log", args=arguments) as server:
            listeners = context.Process(target=listen, args=(server.port, crowd, given.crowd, ready))
            listeners.start()
            try:
                if not ready.wait(120):
                    raise SystemExit("the crowd did not get in within two minutes")
                seconds = sorted(asyncio.run(ask(server.port, carrier, given.clients, given.seconds)))
            finally:
                listeners.kill()
                listeners.join()
    at = {rank: 1000 * seconds[int(rank / 100 * (len(seconds) - 1))] for rank in (50, 99, 99.9, 100)}
    spelled = ", ".join(f"p{rank:g} {value:5.1f} ms" for rank, value in at.items())
    print(f"crowd by {crowd:9}, clients by {carrier:9}: {spelled}, of {len(seconds)}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crowd", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    raise_limit()
    for crowd in CONNECTORS:
        for carrier in ASKERS:
            measure(crowd, carrier, given)


if __name__ == "__main__":
    main()
