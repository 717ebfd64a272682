"""Clients lose their connections at random while numbered events are sent to rooms, to all, and to one.

What each of them must get is known beforehand, from who was in which room when an event was sent. A client that comes
back as the same has got all of it, each event once and in order; one that was not recovered gets nothing of before.

    python -m tests.load.recovery.run --events 10000 --clients 200
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

from asocketio import BaseNamespace, ConnectionRefused, Disconnected, SocketIOApp
from asocketio.adapters.memory_recovery import MemoryRecovery
from asocketio.protocol.packet import Packet, PacketType
from asocketio.testing import ClientNamespace, ClientRefused, TestClient, settle
from asocketio.testing.transports import CLIENT_TRANSPORTS
from tests.clients.takeover_transport import TakeoverTransport

ROOMS = [f"room {number}" for number in range(12)]
CARRIERS: list[Literal["websocket", "polling", "jsonp"]] = ["websocket", "websocket", "jsonp", "polling"]
ASGI = CLIENT_TRANSPORTS["websocket"]


@dataclass
class Session:
    """One client as the server knows it, from its first connection to the last that was recovered."""

    rooms: set[str] = field(default_factory=set)
    expected: list[int] = field(default_factory=list)
    """The events that are for it."""


class Numbers(BaseNamespace):
    """Puts each new client into some rooms. `World` makes a class of its own of it."""

    world: World

    async def recv_connect(self) -> None:
        world, chance = self.world, self.world.chance
        world.here[self.sid] = self
        if not self.recovered:
            session = world.sessions[self.sid] = Session()
            for room in chance.sample(ROOMS, chance.randrange(4)):
                self.join(room)
                session.rooms.add(room)
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)

    async def recv_disconnect(self) -> None:
        await asyncio.sleep(0)


class Noting(ClientNamespace):
    """Hands each event on with its offset, and says when the server has let it in."""

    def __init__(self, client: TestClient, owner: Client) -> None:
        super().__init__(client, "")
        self.owner = owner
        self.buffered: list[tuple[int, str | None]] = []
        """What came before it was let in."""
        self.ended = False

    def take(self, packet: Packet) -> None:
        if self.ended:
            return
        super().take(packet)
        got = self.owner.got if self.joined.done() else self.buffered
        while self.pending:
            name, *args = self.pending.popleft()
            if name == "n":
                got.append((args[0], self.offset))
        if packet.type is PacketType.CONNECT:
            self.owner.on_connect(self)


class Client:
    """One that comes back whenever it has lost its connection."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chat: Noting | None = None
        self.got: list[tuple[int, str | None]] = []
        """The events of the present session, each with its offset."""
        self.stale: str | None = None
        """The offset of a former session, which clients do not forget when they are new."""
        self.kept = 0  # of these came by former connections
        self.opened: list[TestClient] = []
        self.busy: asyncio.Task[None] | None = None

    async def come(self, *, breaks: bool = False) -> None:
        """Come, or come back, and with ``breaks`` lose that connection before it is answered."""
        client = TestClient(self.world.app, transport=self.world.chance.choice(CARRIERS))
        await client.__aenter__()
        self.opened.append(client)
        chat = Noting(client, self)
        client.namespaces[""] = chat
        connecting = asyncio.ensure_future(client.connect(recover=self.chat))
        if breaks:
            for _ in range(self.world.chance.randrange(6)):
                await asyncio.sleep(0)
            if not chat.joined.done():
                chat.ended = True
                chat.end("broken")
                with suppress(Disconnected, ClientRefused):
                    await client.lose()
        with suppress(Disconnected, ConnectionRefused, ClientRefused):
            await connecting

    def on_connect(self, chat: Noting) -> None:
        """The server has let it in."""
        report, former = self.world.report, self.chat
        if former is not None:
            report["recovered" if chat.recovered else "new"] += 1
        if former is not None and not chat.recovered:
            self.check(former.sid, whole=False)
        if not chat.recovered:
            self.got.clear()
            self.stale = chat.offset
            if chat.buffered:
                self.world.wrong.append(f"{chat.sid}: is new, and got {len(chat.buffered)} events of before")
        report["replayed"] += len(chat.buffered)
        self.kept = len(self.got)
        self.got += chat.buffered
        self.chat = chat

    async def lose(self) -> None:
        """Lose the connection, with what is under way; or only seem to, for the server does not notice."""
        chance, chat = self.world.chance, self.chat
        if chat is None or chat.ended:
            return
        chat.ended = True
        self.world.report["lost"] += 1
        for _ in range(chance.choice([0, 0, 1, 2, 5])):
            if len(self.got) > self.kept:
                self.got.pop()
        chat.offset = self.got[-1][1] if self.got else self.stale
        if chat.client.transport == "websocket" and chance.randrange(3):
            with suppress(Disconnected):
                await chat.client.lose()

    async def live(self, last: bool) -> None:
        """One loss, a time away, and the return."""
        await self.lose()
        for _ in range(self.world.chance.choice([0, 1, 5, 60])):
            await asyncio.sleep(0)
        if not self.world.chance.randrange(5) and not last:
            await self.come(breaks=True)
        if self.chat is None or self.chat.ended:
            await self.come()

    def check(self, sid: str, *, whole: bool) -> None:
        """Compare what it got with what was for it: with all of that, or with its beginning."""
        expected = self.world.sessions[sid].expected
        got = [number for number, _ in self.got]
        if got != (expected if whole else expected[: len(got)]):
            missing, foreign = sorted(set(expected) - set(got))[:5], sorted(set(got) - set(expected))[:5]
            self.world.wrong.append(f"{sid}: {len(got)} of {len(expected)}, lacks {missing}, has {foreign}")


class World:
    """The app, its clients, and who is in which room."""

    def __init__(self, seed: int, clients: int, **settings: Any) -> None:
        self.chance = random.Random(seed)
        self.sessions: dict[str, Session] = {}
        self.here: dict[str, Numbers] = {}
        self.report: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.most_kept = (0, 0)
        cls = type("Numbers", (Numbers,), {"world": self})
        self.app = SocketIOApp(namespaces={"/": cls}, recovery=120.0, **settings)
        self.clients = [Client(self) for _ in range(clients)]

    def send(self, number: int) -> None:
        """One event, to somebody."""
        chance, all_ = self.chance, self.app.of("/")
        args = (number, *chance.choice([(), ("text",), (b"raw",), ({"a": [b"raw", number]},), (b"x" * 3000, "é")]))
        kind, sid = chance.randrange(10), chance.choice(list(self.sessions))
        one, other = chance.sample(ROOMS, 2)
        if kind < 1:
            self._expect(number, lambda sid, rooms: True)
            all_.emit("n", *args)
        elif kind < 4:
            self._expect(number, lambda sid, rooms: bool(rooms & {one, other}))
            all_.to(one, other).emit("n", *args)
        elif kind < 6:
            self._expect(number, lambda sid, rooms: one in rooms and other not in rooms)
            all_.to(one).except_(other).emit("n", *args)
        elif kind < 8:
            self._expect(number, lambda each, rooms: each == sid)
            all_.to(sid).emit("n", *args)
        elif sid in self.here and self.here[sid]._member.rule.posts != "dropped":  # pyright: ignore[reportPrivateUsage]
            self._expect(number, lambda each, rooms: each == sid)
            self.here[sid].emit("n", *args)
        if not chance.randrange(4):
            all_.volatile.emit("v", "text")
        if not chance.randrange(10):
            self._move(chance.choice(list(self.here)))

    def _expect(self, number: int, is_for: Any) -> None:
        for sid, session in self.sessions.items():
            if is_for(sid, session.rooms):
                session.expected.append(number)
                self.report["deliveries"] += 1

    def _move(self, sid: str) -> None:
        """Let a client that is here enter a room, or leave one."""
        instance, session, room = self.here[sid], self.sessions[sid], self.chance.choice(ROOMS)
        if instance._member.rule.left or instance._member.rule.connecting:  # pyright: ignore[reportPrivateUsage]
            return
        if room in session.rooms:
            instance.leave(room)
            session.rooms.discard(room)
        else:
            instance.join(room)
            session.rooms.add(room)

    async def run(self, events: int) -> None:
        async with TestClient(self.app) as host:
            await host.open()
            for client in self.clients:
                await client.come()
            store = self.app.server.adapter.recovery
            assert isinstance(store, MemoryRecovery)
            for number in range(events):
                self.send(number)
                self.most_kept = max(self.most_kept[0], store.kept[0]), max(self.most_kept[1], store.kept[1])
                client = self.chance.choice(self.clients)
                if not self.chance.randrange(4) and (client.busy is None or client.busy.done()):
                    client.busy = asyncio.ensure_future(client.live(False))
                for _ in range(self.chance.choice([0, 1, 4])):
                    await asyncio.sleep(0)
            await self._finish()

    async def _finish(self) -> None:
        await asyncio.gather(*(client.busy for client in self.clients if client.busy is not None))
        for client in self.clients:
            await client.live(True)
        await settle()
        for client in self.clients:
            assert client.chat is not None
            client.check(client.chat.sid, whole=True)
        for client in self.clients:
            for opened in client.opened:
                with suppress(Disconnected, ClientRefused):
                    await opened.__aexit__(None, None, None)


def simulate(events: int, clients: int, seed: int, *, lane: bool, **settings: Any) -> World:
    """A whole run in an event loop of its own; ``lane`` lets websockets be taken over by the server's front."""
    CLIENT_TRANSPORTS["websocket"] = TakeoverTransport if lane else ASGI
    try:
        world = World(seed, clients, **settings)
        asyncio.run(world.run(events))
    finally:
        CLIENT_TRANSPORTS["websocket"] = ASGI
    return world


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recovery-events", type=int, default=10_000)
    parser.add_argument("--lane", action="store_true", help="websockets are taken over by the server's front")
    given = parser.parse_args(arguments)
    began = perf_counter()
    world = simulate(given.events, given.clients, given.seed, lane=given.lane, recovery_events=given.recovery_events)
    print(dict(world.report), f"most kept: {world.most_kept}", f"{perf_counter() - began:.1f} s")
    print(*world.wrong, sep="\n")
    return 1 if world.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
