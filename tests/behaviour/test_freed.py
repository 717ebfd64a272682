"""A socket that has ended is freed at once, without the garbage collector, whatever its handlers were doing."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import anyio
import pytest

from asocketio import BaseNamespace, BroadcastMixin, Packet, PacketType, SocketIOApp
from asocketio.session.socket import Socket
from asocketio.testing import TestClient, settle
from tests.support.worlds import Way

SIZE = 100_000


class Busy(BaseNamespace, BroadcastMixin):
    """Each event is something that a handler may be doing when its client goes."""

    refs: dict[str, weakref.ref[Socket]]
    failing: set[asyncio.Future[None]]

    def process_packet(self, packet: Packet) -> Any:
        if packet.type is PacketType.EVENT:
            self.refs[packet.name] = weakref.ref(self.socket)
        return super().process_packet(packet)

    async def on_nothing(self) -> None:
        pass

    async def on_call(self) -> None:
        await self.call("ask")

    async def on_call_and_translate(self) -> None:
        try:
            await self.call("ask")
        except Exception as error:
            raise LookupError("no answer") from error

    async def on_call_all(self) -> None:
        await self.timeout(3600).call("ask")

    async def on_gather(self) -> None:
        await asyncio.gather(self.call("ask"), self.call("ask"))

    async def on_sleep(self) -> None:
        await asyncio.sleep(3600)

    async def on_sleep_in_a_group(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)

    async def on_sleep_on(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)

    async def on_future(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self.failing.add(future)
        await future

    async def on_job(self) -> None:
        async def job() -> None:
            await self.call("ask")

        self.spawn(job)
        self.spawn(asyncio.sleep, 3600)
        await asyncio.sleep(0)

    async def on_callback(self) -> None:
        await self.emit("ask", callback=lambda: self.emit("never"))

    async def on_fill(self) -> None:
        for _ in range(5):  # more than may wait for a client that does not read
            await self.emit("more", "x" * SIZE)
        await asyncio.sleep(3600)

    async def on_closed(self) -> None:
        await self.socket.wait_closed()

    async def on_fail(self) -> None:
        await asyncio.sleep(0)
        raise ValueError("for the log")

    async def on_leave(self) -> None:
        await self.disconnect()
        await asyncio.sleep(3600)


class Farewell(Busy):
    """Has something to do when its client has gone."""

    async def recv_disconnect(self, reason: str) -> None:
        await asyncio.sleep(0)
        raise ValueError(reason)


EVENTS = sorted(name.removeprefix("on_").replace("_", " ") for name in vars(Busy) if name.startswith("on_"))


async def leave(client: TestClient) -> None:
    await client.disconnect()


async def vanish(client: TestClient) -> None:
    await client.lose()


async def fall_silent(client: TestClient) -> None:
    client.answers_pings = False
    if client.transport != "websocket" and client.protocol.generation == "0.9":
        await client.lose()


async def break_the_rules(client: TestClient) -> None:
    with suppress(Exception):
        await client.post_frames("9nonsense", "9nonsense")
    await client.disconnect()


async def thrown_out(client: TestClient) -> None:
    app: Any = client.app
    for sessid in list(app.server.sockets):
        app.server.sockets[sessid].disconnect()


async def server_closes(client: TestClient) -> None:
    app: Any = client.app
    closing = asyncio.ensure_future(app.close())
    for _ in range(20):
        await client.advance(5)
    assert closing.done()


ENDS = [leave, vanish, fall_silent, break_the_rules, thrown_out, server_closes]


@pytest.fixture
def collected_by_none() -> Iterator[None]:
    """No collector, and no log that keeps what it is told."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    logging.disable(logging.NOTSET)


def fail(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(OSError("the database has gone"))


SELDOM: Any = {"ping_interval": 1000, "heartbeat_interval": 500, "polling_duration": 500, "close_timeout": 1000}
"""So that clients have little to do while time passes."""


@pytest.mark.no_cover  # the tracer keeps frames, and the lines are those of other tests
@pytest.mark.usefixtures("collected_by_none")
@pytest.mark.parametrize("end", ENDS, ids=[end.__name__ for end in ENDS])
async def test_whatever_a_handler_does_its_socket_is_freed(
    way: Way, end: Callable[[TestClient], Awaitable[None]]
) -> None:
    Busy.refs, Busy.failing = {}, set()
    app = SocketIOApp(namespaces={"/": Busy, "/farewell": Farewell}, **SELDOM)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(TestClient(app, **way)) for _ in EVENTS]
        for client, event in zip(clients, EVENTS, strict=True):
            await client.connect()
            await client.connect("/farewell")
            await client.post(Packet(PacketType.EVENT, name=event, args=[]))
        await settle()
        assert set(Busy.refs) == set(EVENTS)
        for client in clients if end not in (thrown_out, server_closes) else clients[:1]:
            await end(client)
        await clients[0].advance(1600)  # longer than any silence is borne
        while Busy.failing:
            fail(Busy.failing.pop())
        await clients[0].advance(100)
        for client in clients:
            await client.disconnect()  # hangs up, where the server has closed
        assert [event for event, ref in Busy.refs.items() if ref() is not None] == []
