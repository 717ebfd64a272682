"""What one client can make the server hold, beside what docs/trust.md promises: ``python -m tests.attack.promises``.

For each promise a client does, in every generation and over every transport, what should exceed it, with the default
settings, until the server closes it or takes nothing more. What is held is looked at after each step, by tracemalloc.
The client is in the same process; what it holds itself is in `SLACK`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import re
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from asocketio import (
    BaseNamespace,
    ConnectionRefused,
    Disconnected,
    Overflow,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
)
from asocketio.config import Config
from asocketio.testing import ClientNamespace, TestClient, settle
from tests.attack.amplification import stop_reading
from tests.attack.ways import TAKEN_OVER, WAYS, Way, client_of

__all__ = ["PROMISES", "Promise", "main", "measure"]

DEFAULTS = Config()
PACKET = 100_000
"""Bytes of what is sent at a time."""
SLACK = 400_000
"""Bytes of a packet or two on their way, in the client too, and of tables that have grown."""
NAMESPACE = 6000
"""Bytes of a namespace of the program, with its member and its places in tables."""


class Target(BaseNamespace, RoomsMixin):
    """Lets its clients do what a careless program lets them do."""

    never: asyncio.Event

    async def on_wait(self, *args: Any) -> None:
        await self.never.wait()

    async def on_wait_for_me(self, *args: Any) -> None:
        await self.call("never answered")

    def on_nothing(self, *args: Any) -> None:
        pass

    async def on_echo(self, *args: Any) -> None:
        await self.emit("echoed", *args)

    def on_echo_often(self, text: str, times: int) -> None:
        for number in range(times):
            self.emit("echoed", text, number)

    def on_ask(self, times: int) -> None:
        with suppress(Overflow):
            for _ in range(times):
                self.emit("answer", callback=lambda *args: None)

    def on_join(self, first: int, count: int, tail: str) -> None:
        with suppress(Overflow):
            for number in range(first, first + count):
                self.join(f"{number}{tail}")


class Attack:
    """What one client tries. ``most``: the bytes that were held at most when it looked."""

    def __init__(self, client: TestClient, namespace: ClientNamespace, way: Way) -> None:
        self.client = client
        self.namespace = namespace
        self.way = way
        self.most = 0
        self._sending: set[asyncio.Future[None]] = set()

    async def send(self, *frames: Any) -> bool:
        """Send frames, look, and tell whether the server has taken them and the client is still there."""
        sending = asyncio.ensure_future(self.client.post_frames(*frames))
        del frames
        self._sending.add(sending)
        await self.look()
        return sending.done() and self.namespace.reason is None and self._is_read()

    async def event(self, name: str, *args: Any) -> bool:
        """`send` an event."""
        return await self.send(*self.frames(name, *args))

    def frames(self, name: str, *args: Any) -> Any:
        """An event in the client's generation."""
        return self.client.protocol.encode(Packet(PacketType.EVENT, name=name, args=list(args))).frames

    async def look(self) -> None:
        await settle()
        gc.collect()
        self.most = max(self.most, tracemalloc.get_traced_memory()[0])

    async def stop(self) -> None:
        for each in self._sending:
            each.cancel()
        if self._sending:
            await asyncio.wait(self._sending)

    def _is_read(self) -> bool:
        """A websocket's server has read all that came; a POST is answered when it was."""
        transport: Any = self.client._transport
        if self.way.carrier == TAKEN_OVER:
            return not transport._front._transport._sent
        return self.way.carrier != "websocket" or transport._call.inbox.empty()


# ---- attempts ----------------------------------------------------------------------------------------------------


async def attachments(attack: Attack) -> None:
    """A packet of which the last attachment never comes; another, whose attachments are too many bytes."""
    mark = b"\x04" if attack.way.generation == 3 else b""
    named = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(10))
    for size, count in ((DEFAULTS.max_attachment_bytes // 9, 9), (DEFAULTS.max_attachment_bytes // 5, 10)):
        if await attack.send(f'4510-["nothing",{named}]'):
            for number in range(count):
                if not await attack.send(mark + bytes([number]) * (size - 1)):
                    break


async def backlog(attack: Attack) -> None:
    """Events behind one that is being handled."""
    await attack.event("wait", "x" * PACKET)
    for number in range(30):
        if not await attack.event("nothing", number, f"{number:0{PACKET}}"):
            break


async def backlog_of_who_is_waited_for(attack: Attack) -> None:
    """The same, of a client whose answer the handler awaits: it is read on."""
    await attack.event("wait for me")
    for number in range(30):
        if not await attack.event("nothing", number, f"{number:0{PACKET}}"):
            break


async def small_packets(attack: Attack) -> None:
    """The same, of events that are hardly more than their names."""
    await attack.event("wait")
    for number in range(30):
        frames = [frame for each in range(100) for frame in attack.frames("nothing", 100 * number + each)]
        if not await attack.send(*frames):
            break


async def outbox(attack: Attack) -> None:
    """A client that has everything sent back, and reads nothing."""
    again = stop_reading(attack.client)
    for number in range(150):
        if not await attack.event("echo", f"{number:0{PACKET}}"):
            break
    again.set()


async def outbox_in_a_turn(attack: Attack) -> None:
    """The same, by events that have much sent at once."""
    again = stop_reading(attack.client)
    for times in (38, 38, 78):
        if not await attack.event("echo often", "x" * PACKET, times):
            break
    again.set()


async def acks(attack: Attack) -> None:
    """Answers that are asked for and never given."""
    await attack.event("ask", 2 * DEFAULTS.max_pending_acks)


async def rooms(attack: Attack, tail: str, count: int) -> None:
    for step in range(20):
        if not await attack.event("join", step * count // 20, count // 20 + 1, tail):
            break


async def namespaces(attack: Attack, name: str = "/open/{:0180}😀", count: int = 150) -> None:
    for number in range(count):
        with suppress(ConnectionRefused, Disconnected):
            await attack.client.connect(name.format(number))
        attack.client.namespaces.pop(name.format(number), None)
    await attack.look()


async def auth(attack: Attack) -> None:
    """Much beside the name of a namespace, for each of many."""
    for number in range(40):
        with suppress(ConnectionRefused, Disconnected):
            await attack.client.connect(f"/open/{number}", {"token": f"{number:0{PACKET}}"})
        attack.client.namespaces.pop(f"/open/{number}", None)
    await attack.look()


# ---- promises ----------------------------------------------------------------------------------------------------


class Promise(NamedTuple):
    """``most``: bytes, as docs/trust.md has them. ``attempts``: what tries to have more held."""

    most: int
    attempts: tuple[Callable[[Attack], Awaitable[None]], ...]
    without: tuple[Any, ...] = ()
    """Generations and transports where there is no such thing."""


def _rooms(tail: str, count: int) -> Callable[[Attack], Awaitable[None]]:
    return lambda attack: rooms(attack, tail, count)


PROMISES = {
    "attachments": Promise(DEFAULTS.max_attachment_bytes, (attachments,), without=("0.9",)),
    "backlog": Promise(DEFAULTS.max_backlog + 2 * PACKET, (backlog, backlog_of_who_is_waited_for, small_packets)),
    "outbox": Promise(2 * DEFAULTS.max_outbox, (outbox, outbox_in_a_turn), without=(TAKEN_OVER,)),
    "acks": Promise(1000 * DEFAULTS.max_pending_acks, (acks,)),
    "rooms": Promise(
        DEFAULTS.max_room_bytes, (_rooms("", 10_100), _rooms("x" * 1000, 5000), _rooms("😀" * 1000, 2000))
    ),
    "namespaces": Promise((NAMESPACE + 4 * 200) * DEFAULTS.max_namespaces, (namespaces,)),
    "auth": Promise(NAMESPACE * 40, (auth,)),
}


async def measure(attempt: Callable[[Attack], Awaitable[None]], way: Way) -> int:
    """The bytes that were held at most."""
    Target.never = asyncio.Event()
    app = SocketIOApp(namespaces={"": Target, re.compile("/open/.*"): Target})
    async with client_of(app, way) as client:
        attack = Attack(client, await client.connect(), way)
        await settle()
        gc.collect()
        tracemalloc.start()
        try:
            await attempt(attack)
        finally:
            tracemalloc.stop()
        Target.never.set()
        await attack.stop()
    return attack.most


async def measure_all(name: str, step: int) -> list[tuple[int, str]]:
    """What was held at most, and by whom, for each attempt to break a promise; or for every ``step``-th."""
    promise = PROMISES[name]
    ways = [way for way in WAYS if way.generation not in promise.without and way.carrier not in promise.without]
    attempts = [(attempt, way) for attempt in promise.attempts for way in ways]
    return [(await measure(attempt, way), str(way)) for attempt, way in attempts[::step]]


def main(arguments: list[str] | None = None) -> int:
    """Print the worst of each promise. The exit status says whether one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack.promises", description=__doc__)
    parser.add_argument("promises", nargs="*", metavar="PROMISE", help=f"of {', '.join(PROMISES)}; all by default")
    parser.add_argument("--step", type=int, default=1, help="measure only each so-manieth")
    options = parser.parse_args(arguments)
    broken = 0
    logging.disable(logging.CRITICAL)
    try:
        for name in options.promises or PROMISES:
            measured = asyncio.run(measure_all(name, options.step))
            (held, way), most = max(measured), PROMISES[name].most
            broken += held > most + SLACK
            verdict = "more than promised" if held > most + SLACK else "holds"
            row = f"{name:11} {held:>10,} held at most, {most:>10,} promised: {verdict}. {way}, of {len(measured)}"
            print(row, flush=True)
    finally:
        logging.disable(logging.NOTSET)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
