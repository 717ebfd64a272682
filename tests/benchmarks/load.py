"""The load generator: one process, one case, one server; it prints one line of JSON.

python -m tests.benchmarks.load --port 3000 --pid PID --case '{"name": "echo-50", "kind": "echo", "clients": 50}'
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any, TypeVar

from tests.benchmarks.cases import ROOM, Case
from tests.benchmarks.clients import Poller, WebSocket
from tests.benchmarks.usage import cpu_seconds, pin, raise_limit, resident_bytes
from tests.clients.frames import BINARY, masked, server_frame

OPENING = 32  # handshakes under way at a time
WARM_CONNECTIONS = 200  # before memory is measured
STALLED = 20  # seconds without an answer
FIRST_ACK = 10  # acks of two digits: all answers have one length

T = TypeVar("T", WebSocket, Poller)


async def opened(make: Callable[[int], Awaitable[T]], port: int, count: int) -> list[T]:
    """Clients, some at a time."""
    clients: list[T] = []
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            clients.append(await make(port))

    await asyncio.gather(*(some() for _ in range(min(OPENING, count))))
    return clients


def event(name: str, *args: str, ack: int | None = None) -> str:
    """An event, compact as every client sends it."""
    return f"42{'' if ack is None else ack}{json.dumps([name, *args], separators=(',', ':'))}"


class Work:
    """Keeps the server busy; ``done`` counts its messages."""

    def __init__(self, case: Case, port: int) -> None:
        self.case, self.port = case, port
        self.text = "x" * case.size
        self.done = 0
        self.clients: list[Any] = []

    async def prepare(self) -> None:
        """Connect the clients."""
        self.clients = await opened(WebSocket.open, self.port, self.case.clients)

    def begin(self) -> None:
        """Send the first messages; the answers bring the next."""
        raise NotImplementedError

    def close(self) -> None:
        """Nobody waits for the server here."""
        for client in self.clients:
            client.close()


class Echo(Work):
    """Each client has ``window`` acks in flight."""

    def begin(self) -> None:
        window = self.case.window
        acks = range(FIRST_ACK, FIRST_ACK + window)
        requests = [masked(event("echo", self.text, ack=ack)) for ack in acks]
        self.request = requests[0]
        self.size = len(self.request)
        self.ring = b"".join(requests) * 2  # from any ack a whole window
        self.burst = self.size * window
        for client in self.clients:
            client.counter.learn(server_frame(f'43{FIRST_ACK}["{self.text}"]'))
            client.got = self.again if window > 1 else self.once
            client.write(self.ring[: self.burst])

    def once(self, client: WebSocket, count: int) -> None:
        self.done += count
        client.write(self.request)

    def again(self, client: WebSocket, count: int) -> None:
        self.done += count
        start = client.count
        end = start + count * self.size
        client.write(self.ring[start:end])
        client.count = end % self.burst


class Binary(Work):
    """Bytes go there and come back, one ack in flight."""

    def begin(self) -> None:
        data = b"\xa5" * self.case.size
        placeholder = '{"_placeholder":true,"num":0}'
        self.request = masked(f'451-{FIRST_ACK}["echo",{placeholder}]') + masked(data, BINARY)
        expected = server_frame(f"461-{FIRST_ACK}[{placeholder}]") + server_frame(data)
        for client in self.clients:
            client.counter.opcode = BINARY
            client.counter.learn(expected)
            client.got = self.again
            client.write(self.request)

    def again(self, client: WebSocket, count: int) -> None:
        self.done += count
        client.write(self.request)


class Fanout(Work):
    """One client speaks to all; the next word follows when everybody has heard the last."""

    def begin(self) -> None:
        self.request = masked(event("broadcast", self.text))
        self.waiting = len(self.clients)
        self.speaker = self.clients[0]
        for client in self.clients:
            client.counter.learn(server_frame(f'42["msg","{self.text}"]'))
            client.got = self.heard
        self.speaker.write(self.request)

    def heard(self, _client: WebSocket, count: int) -> None:
        self.done += count
        self.waiting -= count
        if self.waiting <= 0:
            self.waiting += len(self.clients)
            self.speaker.write(self.request)


class Rooms(Work):
    """All members of a room speak to it, once for each time that everybody in it has spoken.

    Rooms are dealt to blocks of ten clients, so that with many rooms each client is in many, and each room still has
    ten members. Speakers take their rooms in turn.
    """

    async def prepare(self) -> None:
        await super().prepare()
        case = self.case
        blocks = case.clients // ROOM
        self.names = [[f"room-{room}" for room in range(block, case.rooms, blocks)] for block in range(blocks)]
        await asyncio.gather(*(self.join(client, self.names[at // ROOM]) for at, client in enumerate(self.clients)))

    async def join(self, client: WebSocket, rooms: list[str]) -> None:
        """Wait for the acks."""
        left = len(rooms)
        joined = asyncio.get_running_loop().create_future()

        def got(_client: WebSocket, count: int) -> None:
            nonlocal left
            left -= count
            if left == 0:
                joined.set_result(None)

        client.got = got
        client.write(b"".join(masked(event("join", room, ack=at)) for at, room in enumerate(rooms)))
        if rooms:
            await joined

    def begin(self) -> None:
        expected = server_frame(f'42["msg","{self.text}"]')
        says = [[masked(event("say", room, self.text)) for room in rooms] for rooms in self.names]
        self.says = {client: cycle(says[at // ROOM] or [b""]) for at, client in enumerate(self.clients)}
        for client in self.clients:
            client.counter.learn(expected)
            client.got = self.heard
        for client in self.clients[: self.case.speakers or None]:
            client.write(next(self.says[client]))

    def heard(self, client: WebSocket, count: int) -> None:
        self.done += count
        client.count += count
        if client.count >= ROOM:
            client.count -= ROOM
            client.write(next(self.says[client]))


class Polls(Work):
    """Echo by long-polling: a POST, and the poll that brings the ack."""

    async def prepare(self) -> None:
        self.clients = await opened(Poller.open, self.port, self.case.clients)

    def begin(self) -> None:
        self.request = event("echo", self.text, ack=FIRST_ACK)
        for client in self.clients:
            client.again = client.request(self.request)
            client.got = self.again
            client.write(client.again)

    def again(self, client: Poller, count: int) -> None:
        self.done += count
        client.write(client.again)


WORKS: dict[str, type[Work]] = {"echo": Echo, "binary": Binary, "fanout": Fanout, "rooms": Rooms, "poll": Polls}


class Window:
    """What the server and this process use from here on."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.began, self.cpu, self.own = time.monotonic(), cpu_seconds(pid), time.process_time()

    def end(self, messages: int) -> dict[str, Any]:
        """The figures."""
        cpu = cpu_seconds(self.pid) - self.cpu
        own, passed = time.process_time() - self.own, time.monotonic() - self.began
        return {
            "messages": messages,
            "value": cpu / messages * 1e6 if messages else None,
            "unit": "µs",
            "rate": messages / passed,
            "server_busy": cpu / passed,
            "generator_busy": own / passed,
        }


async def worked(case: Case, port: int, pid: int, warm: float, seconds: float) -> dict[str, Any]:
    """CPU time per message, while the load lasts."""
    work = WORKS[case.kind](case, port)
    await work.prepare()
    gc.freeze()
    work.begin()
    await asyncio.sleep(warm)
    window, before = Window(pid), work.done
    await asyncio.sleep(seconds)
    for _ in range(STALLED):
        if work.done > before:
            break
        await asyncio.sleep(1)  # a turn of a large load may take longer than a short run
    figures = window.end(work.done - before)
    figures["remarks"] = flaws(work.clients)
    work.close()
    return figures


def flaws(clients: list[Any]) -> list[str]:
    """What makes the figures doubtful."""
    ended = [client.ended for client in clients if client.ended]
    return [f"{len(ended)} of {len(clients)} clients were lost: {ended[0]}"] if ended else []


async def connected(case: Case, port: int, pid: int, warm: float) -> dict[str, Any]:
    """CPU time per handshake."""
    clients = await opened(WebSocket.open, port, case.clients if warm else 10)
    window = Window(pid)
    clients += await opened(WebSocket.open, port, case.clients)
    return {**window.end(case.clients), "remarks": flaws(clients)}


async def idle(case: Case, port: int, pid: int) -> dict[str, Any]:
    """Memory per client that has joined and says nothing."""
    clients = await opened(WebSocket.open, port, WARM_CONNECTIONS)
    await asyncio.sleep(1)
    before = resident_bytes(pid)
    clients += await opened(WebSocket.open, port, case.clients)
    await asyncio.sleep(1)
    kilobytes = (resident_bytes(pid) - before) / case.clients / 1000
    return {"messages": case.clients, "value": kilobytes, "unit": "kB", "remarks": flaws(clients)}


async def measured(case: Case, given: argparse.Namespace) -> dict[str, Any]:
    """The case's figures."""
    if case.kind == "connect":
        return await connected(case, given.port, given.pid, given.warm)
    if case.kind == "idle":
        return await idle(case, given.port, given.pid)
    return await worked(case, given.port, given.pid, given.warm, given.seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True, help="the server's process")
    parser.add_argument("--case", type=json.loads, required=True)
    parser.add_argument("--warm", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--core", type=int, default=1)
    given = parser.parse_args()
    pin(0, given.core)
    raise_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        print(json.dumps(runner.run(measured(Case(**given.case), given))), flush=True)
        sys.stdout.flush()
        os._exit(0)  # thousands of connections need no farewell


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, if there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
