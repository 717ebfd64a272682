"""What is no room, no sid, no namespace, no event and no number of seconds is a `UsageError` at the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import asocketio
from asocketio import Adapter, RoomsMixin, SocketIOApp, UsageError
from asocketio.operators import RemoteSocket
from asocketio.testing import TestClient, settle
from tests.support.adapters import Bus, LateAdapter
from tests.support.worlds import Recorder, serve, until

NO_TEXT: dict[str, Any] = {
    "None": None, "an int": 1, "a float": 1.5, "bytes": b"red", "a list": ["red"], "a tuple": ("red",),
    "a set": {"red"}, "a dict": {"red": 1}, "True": True, "an object": object(), "a class": str,
    "much": [b"x" * 1_000_000],
}  # fmt: skip
TEXT = {
    "empty": "", "a space": " ", "a megabyte": "x" * 1_000_000, "a megabyte of é": "é" * 300_000,
    "a lone surrogate": "\ud800", "a null": "\0", "lines": "a\nb\r\n", "a slash": "/",
    "words": "a b, c?d=[0]", "nearly a sid": "~" + "x" * 19,
}  # fmt: skip
LONGEST_MESSAGE = 300


class Rooms(Recorder, RoomsMixin):
    """Joins what its clients say."""

    async def on_join(self, room: Any) -> None:
        await self.join(room)

    async def on_leave(self, room: Any) -> None:
        await self.leave(room)


ROOM_VERBS: dict[str, Callable[[SocketIOApp, Any, RemoteSocket, Any], Any]] = {
    "self.join": lambda app, me, peer, room: me.join(room),
    "self.leave": lambda app, me, peer, room: me.leave(room),
    "self.to": lambda app, me, peer, room: me.to(room),
    "self.to several": lambda app, me, peer, room: me.to("red", room),
    "self.except_": lambda app, me, peer, room: me.except_(room),
    "self.emit_to_room": lambda app, me, peer, room: me.emit_to_room(room, "x"),
    "self.volatile.to": lambda app, me, peer, room: me.volatile.to(room),
    "RoomsMixin.join": lambda app, me, peer, room: RoomsMixin.join(me, room),
    "RoomsMixin.leave": lambda app, me, peer, room: RoomsMixin.leave(me, room),
    "of.to": lambda app, me, peer, room: app.of("/").to(room),
    "of.except_": lambda app, me, peer, room: app.of("/").except_(room),
    "of.join": lambda app, me, peer, room: app.of("/").join("red", room),
    "of.leave": lambda app, me, peer, room: app.of("/").leave("red", room),
    "nobody.join": lambda app, me, peer, room: app.of("/").to(*[]).join(room),
    "nobody.leave": lambda app, me, peer, room: app.of("/").to(*[]).leave(room),
    "peer.join": lambda app, me, peer, room: peer.join(room),
    "peer.leave": lambda app, me, peer, room: peer.leave(room),
}


async def refused(verb: Callable[..., Any], *args: Any) -> str:
    """The message with which a verb refuses at the call, here and in another thread."""
    with pytest.raises(UsageError) as there:
        await asyncio.to_thread(verb, *args)
    with pytest.raises(UsageError) as here:
        verb(*args)
    assert str(here.value) == str(there.value)
    assert len(str(here.value)) < LONGEST_MESSAGE
    return str(here.value)


@pytest.mark.parametrize("room", NO_TEXT.values(), ids=NO_TEXT)
@pytest.mark.parametrize("verb", ROOM_VERBS.values(), ids=ROOM_VERBS)
async def test_what_is_no_room(verb: Callable[..., Any], room: Any) -> None:
    async with serve(Rooms) as client:
        await client.connect()
        app: Any = client.app
        [peer] = await app.of("/").sockets()
        assert "a room is named by text" in await refused(verb, app, Rooms.last, peer, room)
        await settle()
        assert Rooms.last.rooms == frozenset()


@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize("room", TEXT.values(), ids=TEXT)
async def test_any_text_is_a_room(room: str, cluster: bool) -> None:
    bus = Bus()
    adapters: list[Adapter | None] = [LateAdapter(bus), LateAdapter(bus)] if cluster else [None]
    apps = [SocketIOApp(namespaces={"/": Rooms}, adapter=adapter) for adapter in adapters]
    everybody, told = apps[0].of("/"), []
    apps[-1].of("/").on_room("joined")(lambda name, sid: told.append(name))
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(TestClient(app))
        ada = await (await stack.enter_async_context(TestClient(apps[-1]))).connect()
        bob = await (await stack.enter_async_context(TestClient(apps[0]))).connect()
        await everybody.to(ada.sid).join(room)
        await until(lambda: told == [room])
        await everybody.to(room).emit("to", 1)
        await everybody.except_(room).emit("except", 2)
        assert (await ada.receive(), await bob.receive()) == (("to", 1), ("except", 2))
        [peer] = await everybody.to(room).sockets()
        assert (peer.sid, peer.rooms) == (ada.sid, {room})
        await peer.leave(room)
        assert await everybody.to(room).count() == 0
        await ada.nothing()


@pytest.mark.parametrize("room", [None, 1, ["red"], {"red": 1}, True, 1.5], ids=str)
async def test_a_client_that_names_no_room_gets_an_error_and_goes_on(
    room: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(Rooms) as client:
        rooms = await client.connect()
        for verb in ("join", "leave"):
            assert (await rooms.call(verb, room))["error"]["name"] == "handler_error"
        await rooms.call("join", "\ud800")
        assert Rooms.last.rooms == {"\ud800"}
    assert caplog.text.count("a room is named by text") >= 2


@pytest.mark.parametrize("sid", NO_TEXT.values(), ids=NO_TEXT)
async def test_what_is_no_sid(sid: Any) -> None:
    async with serve(Rooms) as client:
        await client.connect()
        assert "a client is found by its sid" in await refused(client.app.of("/").get, sid)  # type: ignore[attr-defined]


@pytest.mark.parametrize("sid", TEXT.values(), ids=TEXT)
async def test_a_text_that_is_no_sid_finds_nobody(sid: str) -> None:
    async with serve(Rooms) as client:
        await client.connect()
        assert client.app.of("/").get(sid) is None  # type: ignore[attr-defined]


NO_NAMESPACES = {**NO_TEXT, **{name: text for name, text in TEXT.items() if text not in ("", "/")}}


@pytest.mark.parametrize("name", NO_NAMESPACES.values(), ids=NO_NAMESPACES)
async def test_what_is_no_namespace(name: Any) -> None:
    app = SocketIOApp(namespaces={"/": Rooms})
    assert "namespace" in await refused(app.of, name)
    assert "namespace" in await refused(asocketio.of, app, name)
    if isinstance(name, str):
        assert "there is no namespace" in await refused(app.of, "/" + name.replace(",", "").replace("?", ""))


@pytest.mark.parametrize("name", [*NO_TEXT.values(), "connect", "disconnect"], ids=[*NO_TEXT, "connect", "disconnect"])
async def test_what_is_no_event(name: Any) -> None:
    async with serve(Rooms) as client:
        await client.connect()
        everybody: Any = client.app.of("/")  # type: ignore[attr-defined]
        expected = "is reserved" if isinstance(name, str) else "an event is named by text"
        for verb in (everybody.emit, everybody.server_emit, everybody.on_server_event, Rooms.last.emit):
            assert expected in await refused(verb, name)
        for asking in (everybody.call, everybody.server_call, Rooms.last.call):
            with pytest.raises(UsageError, match=expected):
                await asking(name)
        assert len(Rooms.last.socket.acks) == 0


NO_SECONDS = {**NO_TEXT, "text": "5", "not a number": float("nan")}


@pytest.mark.parametrize("seconds", NO_SECONDS.values(), ids=NO_SECONDS)
async def test_what_is_no_number_of_seconds(seconds: Any) -> None:
    number = (isinstance(seconds, float) and seconds == seconds) or type(seconds) is int
    async with serve(Rooms) as client:
        rooms = await client.connect()
        everybody: Any = client.app.of("/")  # type: ignore[attr-defined]
        [peer] = await everybody.sockets()
        for verb in (everybody.timeout, Rooms.last.timeout):
            if number:
                assert verb(seconds).seconds == seconds
            else:
                assert "expected a number of seconds" in await refused(verb, seconds)
        for asking in (everybody.call, peer.call, Rooms.last.call, Rooms.last.timeout(1).call):
            if number or seconds is None:  # None: as without it
                continue
            with pytest.raises(UsageError, match="expected a number of seconds"):
                await asking("x", timeout=seconds)
        await rooms.nothing()
        assert len(Rooms.last.socket.acks) == 0


@pytest.mark.parametrize("close", [None, 1, 0, "", "bye", "kicked: " + "x" * 1000], ids=str)
async def test_disconnect_takes_no_reason(close: Any) -> None:
    async with serve(Rooms) as client:
        await client.connect()
        [peer] = await client.app.of("/").sockets()  # type: ignore[attr-defined]
        for verb in (client.app.of("/").disconnect, peer.disconnect):  # type: ignore[attr-defined]
            assert "expected True or False" in await refused(verb, close)
        await settle()
        assert Rooms.last.socket.connected


# ---- joining while clients leave -----------------------------------------------------------------------------------


@pytest.mark.parametrize("close", [False, True])
async def test_who_is_thrown_out_while_others_are_moved_stays_in_no_room(close: bool) -> None:
    app = SocketIOApp(namespaces={"/": Rooms})
    everybody, told = app.of("/"), []

    @everybody.on_room("joined")
    def joined(room: str, sid: str) -> None:
        told.append(sid)
        everybody.to(*told).disconnect(close=close)  # itself, in the middle of joining
        everybody.except_(*told).disconnect(close=close)  # and those who come after it

    async with AsyncExitStack() as stack:
        for _ in range(3):
            await (await stack.enter_async_context(TestClient(app))).connect()
        await everybody.join("red", "blue")
        await until(lambda: not everybody.instances())
        await settle()
        assert (app.server.adapter.local.rooms, app.server.adapter.local.namespaces) == ({}, {})


async def test_who_leaves_while_it_is_moved_stays_in_no_room() -> None:
    class Ending(Rooms):
        gate: asyncio.Event

        async def recv_disconnect(self, reason: str) -> None:
            await self.gate.wait()
            with pytest.raises(asocketio.Disconnected):
                await self.join("late")
            await self.namespace.to(self.sid).join("late")
            await self.leave("late")
            await super().recv_disconnect(reason)

    Ending.gate = asyncio.Event()
    async with serve(Ending) as client:
        app: Any = client.app
        rooms = await client.connect()
        peers = await app.of("/").sockets()
        await rooms.call("join", "red")
        await client.disconnect()
        await settle()
        for verb in (app.of("/").join, app.of("/").to("red").join, peers[0].join):
            await verb("blue")
        assert Ending.last.rooms == {"red"}
        Ending.gate.set()
        await until(lambda: Ending.last.reasons)
        await until(lambda: not app.server.adapter.local.rooms)
        assert app.server.adapter.local.namespaces == {}


# ---- other servers that do not answer -------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 0.0, -1, 3, None])
async def test_a_server_call_that_nobody_answers(seconds: Any) -> None:
    bus = Bus()
    adapters = [LateAdapter(bus), LateAdapter(bus)]
    apps = [SocketIOApp(namespaces={"/": Rooms}, adapter=adapter) for adapter in adapters]
    async with TestClient(apps[0]) as client, TestClient(apps[1]):
        everybody = apps[0].of("/")
        asker = everybody if seconds is None else everybody.timeout(seconds)
        asking = asyncio.ensure_future(asker.server_call("stats"))
        await settle()
        await client.advance(60.1 if seconds is None else max(seconds, 0) + 0.1)
        with pytest.raises(asocketio.AckTimeout) as caught:
            await asking
        assert (caught.value.answers, caught.value.missing, caught.value.servers_missing) == ([], 0, 1)
        apps[1].of("/").on_server_event("stats")(lambda: "late")
        assert await everybody.timeout(3).server_call("stats") == ["late"]
