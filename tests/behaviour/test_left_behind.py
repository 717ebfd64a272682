"""A socket that ends in the middle of anything leaves nothing behind: no deadline, no place in a table, no memory."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import MethodType
from typing import Any

import pytest

from asocketio import BaseNamespace, BroadcastMixin, ConnectionRefused, Packet, PacketType, RoomsMixin, SocketIOApp
from asocketio.errors import SocketIOError
from asocketio.operators import BroadcastOperator
from asocketio.session.socket import CLOSED, Socket
from asocketio.testing import TestClient
from asocketio.transports.base import Transport
from tests.support.worlds import Recorder, Way, serve


class Stuck(Transport):
    """Takes nothing more, whatever it is asked, until it is set free."""

    writable = False

    def __init__(self, former: Transport) -> None:
        self.former = former
        self.name = former.name  # type: ignore[misc]

    def flush(self) -> None:
        pass

    def end(self, close_code: int = 1000) -> None:
        self.former.end(close_code)


def stick(socket: Socket) -> None:
    """The next packet that is queued for this client ends it, inside of that very call."""
    if socket.transport is not None:
        socket.transport = Stuck(socket.transport)
    socket.writer.outbox.limit = 0


class Chat(Recorder, RoomsMixin, BroadcastMixin):
    """Each event sticks its own client first."""

    def own(self) -> None:
        stick(self.socket)

    async def on_ack(self) -> str:
        self.own()
        return "over"

    async def on_late_ack(self) -> str:
        await asyncio.sleep(0)
        self.own()
        return "over"

    async def on_emit(self) -> None:
        self.own()
        self.emit("x")
        self.join("lobby")
        self.spawn(asyncio.sleep, 3600)

    async def on_callback(self) -> None:
        self.own()
        self.emit("x", callback=print)

    async def on_call(self) -> None:
        self.own()
        await self.call("x")

    async def on_broadcast(self) -> None:
        self.own()
        await self.broadcast_event("x")

    async def on_ask_all(self) -> None:
        self.own()
        with suppress(SocketIOError):
            await BroadcastOperator(self.socket.server, self.ns_name).call("x", timeout=0.01)

    async def on_fail(self) -> None:
        self.own()
        raise ValueError("not told")

    async def on_leave(self) -> None:
        self.own()
        await self.disconnect()

    async def on_throw_out(self) -> None:
        self.own()
        self.socket.close("forced close")
        await self.socket.disconnect()


class Guarded(BaseNamespace):
    """Lets its client in, or not, when nothing can be said to it any more."""

    async def recv_connect(self) -> None:
        stick(self.socket)
        self.emit("early")
        self.join_rooms()

    def join_rooms(self) -> None:
        self.spawn(asyncio.sleep, 3600)


class Refusing(BaseNamespace):
    async def recv_connect(self) -> None:
        stick(self.socket)
        raise ConnectionRefused("no")


async def event(client: TestClient, name: str) -> None:
    packet = Packet(PacketType.EVENT, name=name, args=[], id=7, ack="data")
    if client.protocol.generation == "0.9" and name not in ("ack", "late ack", "fail"):
        packet.id = packet.ack = None
    await client.post(packet)


async def ping(client: TestClient, socket: Socket) -> None:
    """The server asks whether the client is there, or answers that it is."""
    if client.protocol.pings == "client":
        stick(socket)
        await client.post(Packet(PacketType.PING))
        return
    client.answers_pings = False
    stick(socket)
    await client.advance(26)


async def connect(client: TestClient, name: str) -> None:
    connect = client.client_protocol.connect(name, None)
    assert connect is not None
    await client.post(connect)


async def unknown(client: TestClient, socket: Socket) -> None:
    stick(socket)
    await connect(client, "/unknown")


async def error(client: TestClient, socket: Socket) -> None:
    stick(socket)
    await client.post(Packet(PacketType.EVENT, name="no such", args=[]))


def named(name: str) -> Callable[[TestClient, Socket], Awaitable[None]]:
    return lambda client, socket: event(client, name)


ACTS: dict[str, Callable[[TestClient, Socket], Awaitable[None]]] = {
    **{name: named(name) for name in ("ack", "late ack", "emit", "callback", "call", "broadcast", "ask all")},
    **{name: named(name) for name in ("fail", "leave", "throw out")},
    "ping": ping,
    "join": lambda client, socket: connect(client, "/guarded"),
    "refuse": lambda client, socket: connect(client, "/refusing"),
    "unknown": unknown,
    "error": error,
}


@pytest.mark.parametrize("act", ACTS)
async def test_a_socket_that_ends_inside_of_an_act_leaves_nothing_behind(act: str, way: Way) -> None:
    also: Any = {"/guarded": Guarded, "/refusing": Refusing}
    settings: Any = {"heartbeat_interval": 25.0, "polling_duration": 3000.0, "close_timeout": 4000.0}
    async with serve(Chat, also=also, close_grace=0.1, **way, **settings) as client:
        if act == "ping" and client.protocol.generation == "0.9" and way["transport"] != "websocket":
            pytest.skip("a poll of 0.9 is answered in time; there are no pings")
        await client.connect()
        socket = Chat.last.socket
        with suppress(SocketIOError):
            await ACTS[act](client, socket)
        assert isinstance(client.app, SocketIOApp)
        server = client.app.server
        async with asyncio.timeout(5):
            while server.active_sessions:
                await client.advance(0.1)
        assert socket.state is CLOSED
        assert reached(server, socket) is None


def reached(root: object, wanted: object) -> str | None:
    """By which way ``wanted`` is still held by ``root``: through tables and our own objects."""
    seen, left = {id(root)}, [(root, type(root).__name__)]
    while left:
        holder, way = left.pop()
        if holder is wanted:
            return way
        for each in gc.get_referents(holder):
            ours = type(each).__module__.startswith("asocketio") or isinstance(each, _TABLES)
            if ours and not isinstance(each, type) and id(each) not in seen:
                seen.add(id(each))
                left.append((each, f"{way} > {type(each).__name__}"))
    return None


_TABLES = (dict, list, tuple, set, frozenset, deque, MethodType)
