"""Random lives of several clients at a time: each who was let in has one goodbye, and nothing is left."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    ConnectionRefused,
    Disconnected,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
)
from asocketio.testing import ClientRefused, TestClient, settle
from tests.support.worlds import Way

CLIENTS = 5
STEPS = 12
EVENTS = ("slow", "fail", "out", "out_silent", "thrown", "ask", "all", "joins", "nothing")
GARBAGE = ("4", "42[", "1", "2", "41/b,", "0::/b", "1::/b", "5:::x", "", "8::")


class Life(BaseNamespace, RoomsMixin, BroadcastMixin):
    """Does what chance says, and notes its beginning and its end."""

    chance: ClassVar[random.Random]
    lived: ClassVar[list[list[str]]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log: list[str] = []
        self.lived.append(self.log)

    async def pause(self) -> None:
        await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.004]))

    async def recv_connect(self) -> None:
        self.log.append("asked")
        await self.pause()
        what = self.chance.randrange(12)
        if what == 0:
            raise ConnectionRefused("no")
        if what == 1:
            raise ValueError("broken")
        if what == 2:
            self.disconnect()
        elif what == 3:
            self.socket.disconnect()
        elif what == 4:
            self.socket.close("transport error")
        elif what == 5:
            self.spawn(self.job)
        elif what == 6:
            self.emit("question", callback=lambda *args: self.disconnect())
        await self.pause()
        self.log.append("in")

    async def job(self) -> None:
        await self.pause()
        await self.emit("said")
        await self.disconnect()

    async def on_slow(self) -> None:
        await self.pause()

    async def on_fail(self) -> None:
        await self.pause()
        raise ValueError("broken")

    async def on_out(self) -> None:
        await self.disconnect()

    async def on_out_silent(self) -> None:
        await self.disconnect(silent=True)

    async def on_thrown(self) -> None:
        await self.socket.disconnect()

    async def on_ask(self) -> None:
        await self.call("why", timeout=1)

    async def on_all(self) -> None:
        await self.broadcast_event("said", 1)

    def on_joins(self) -> None:
        self.join("room")

    async def recv_disconnect(self, reason: str) -> None:
        self.log.append("gone")
        await self.pause()
        if self.chance.randrange(8) == 0:
            raise ValueError("broken")


async def step(client: TestClient, chance: random.Random) -> None:
    """Something that a client does."""
    name = chance.choice(["/", "/b"])
    endpoint = "" if name == "/" else name
    what = chance.randrange(10)
    if what < 3 and (endpoint not in client.namespaces or client.namespaces[endpoint].reason is not None):
        joining = asyncio.ensure_future(client.connect(name))
        await asyncio.wait([joining], timeout=0.5)
        if not joining.done():
            joining.cancel()
        with suppress(asyncio.CancelledError, ConnectionRefused):
            await joining
    elif what < 7:
        await client.post(Packet(PacketType.EVENT, endpoint, name=chance.choice(EVENTS)))
    elif what == 7:
        await client.post(Packet(PacketType.DISCONNECT, endpoint))
    elif what == 8:
        await client.post_frames(chance.choice(GARBAGE))
    else:
        await asyncio.sleep(chance.random() * 0.004)


async def live(app: SocketIOApp, way: Way, chance: random.Random) -> None:
    async with TestClient(app, **way) as client:
        with suppress(Disconnected, ClientRefused):
            await client.connect("/b" if chance.randrange(3) == 0 else "/")
        with suppress(Disconnected, ClientRefused):
            for _ in range(chance.randrange(STEPS)):
                await step(client, chance)
            if chance.randrange(3) == 0:
                await client.lose()


@pytest.mark.parametrize("seed", range(4))
async def test_in_random_lives_each_end_is_told_once(seed: int, way: Way) -> None:
    Life.chance, Life.lived = chance, _ = random.Random(seed), []
    app = SocketIOApp(namespaces={"/": Life, "/b": Life}, concurrency=chance.choice([1, 3]), close_window=0)
    lives = [asyncio.ensure_future(live(app, way, chance)) for _ in range(CLIENTS)]
    if seed % 2:
        await asyncio.sleep(0.01)
        await app.close()
    for life in lives:
        with suppress(ConnectionRefused):
            await life
    await settle()
    assert app.server.active_sessions == 0
    assert app.server.adapter.local.namespaces == {}
    assert app.server.adapter.local.rooms == {}
    for log in Life.lived:
        assert log in ([], ["asked"], ["asked", "in", "gone"])
