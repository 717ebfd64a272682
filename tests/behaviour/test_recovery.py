"""Clients of 4.6 and later that come back within ``recovery`` seconds: with all that they missed, or as new ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asocketio import Adapter, BaseNamespace, ConnectionRefused, SocketIOApp, UsageError
from asocketio.testing import ClientNamespace, TestClient, settle
from tests.support.adapters import CountingAdapter
from tests.support.worlds import Recorder, until

RECOVERY = 120.0


@pytest.fixture(params=["websocket", "polling", "taken-over"])
def carrier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways of generation 4."""
    if request.param == "taken-over":
        from asocketio.testing.transports import CLIENT_TRANSPORTS
        from tests.clients.takeover_transport import TakeoverTransport

        monkeypatch.setitem(CLIENT_TRANSPORTS, "websocket", TakeoverTransport)
        return "websocket"
    return str(request.param)


class Room(Recorder):
    """Lets everybody into one room, unless they come back; and notes what it is told."""

    log: list[Any]

    def recv_connect(self, auth: Any) -> None:
        self.log.append(("in", self.recovered, auth))
        if not self.recovered:
            self.data = {"name": auth.get("name", "")}
            self.join("lobby")

    async def recv_disconnect(self, reason: str) -> None:
        self.log.append(("out", reason, sorted(self.rooms)))

    def on_join(self, room: str) -> None:
        self.join(room)

    def on_leave(self, room: str) -> None:
        self.leave(room)

    def on_rooms(self) -> list[str]:
        return sorted(self.rooms)

    def on_name(self) -> Any:
        return self.data["name"]

    async def on_say(self, *args: Any) -> None:
        await self.emit("said", *args)


class World:
    """An app, a client that stays, and others that come and go."""

    def __init__(self, app: SocketIOApp, carrier: Any) -> None:
        self.app = app
        self.carrier = carrier
        self.all = app.of("/")
        self.staying: TestClient
        self.clients: list[TestClient] = []

    async def client(self) -> TestClient:
        client = TestClient(self.app, transport=self.carrier)
        await client.__aenter__()
        self.clients.append(client)
        return client

    async def join(self, name: str = "ada") -> ClientNamespace:
        return await (await self.client()).connect(auth={"name": name})

    async def back(self, former: ClientNamespace, **auth: Any) -> ClientNamespace:
        return await (await self.client()).connect(auth=auth or None, recover=former)

    async def lose(self, chat: ClientNamespace) -> None:
        await chat.client.lose()
        await settle()

    @property
    def store(self) -> Any:
        return self.app.server.adapter.recovery


@asynccontextmanager
async def world(carrier: str = "websocket", cls: type[BaseNamespace] = Room, **settings: Any) -> AsyncIterator[World]:
    if issubclass(cls, Room):
        cls.log = []
    app = SocketIOApp(namespaces={"/": cls, "/other": cls}, **{"recovery": RECOVERY, **settings})
    made = World(app, carrier)
    async with TestClient(app) as staying:  # the app lives on while all others are away
        made.staying = staying
        await staying.open()
        try:
            yield made
        finally:
            for client in made.clients:
                await client.__aexit__(None, None, None)


def pending(chat: ClientNamespace) -> list[tuple[Any, ...]]:
    """What has come to a client."""
    taken = list(chat.pending)
    chat.pending.clear()
    return taken


async def test_who_comes_back_is_the_same_and_has_missed_nothing(carrier: str) -> None:
    async with world(carrier) as w:
        ada = await w.join()
        await ada.emit("say", 1)
        assert await ada.receive() == ("said", 1)
        w.all.to("lobby").emit("news", 2)
        assert await ada.receive() == ("news", 2)
        await w.lose(ada)
        w.all.emit("all", b"raw", {"a": [b"more"]})
        w.all.to("lobby").emit("news", 3)
        w.all.to("elsewhere").emit("news", "no")
        w.all.except_("lobby").emit("news", "no")
        w.all.to(ada.sid).emit("private", "text")
        back = await w.back(ada, name="ada")
        assert (back.recovered, back.sid, back.pid) == (True, ada.sid, ada.pid)
        assert pending(back) == [("all", b"raw", {"a": [b"more"]}), ("news", 3), ("private", "text")]
        assert await back.call("rooms") == ["lobby"]
        assert await back.call("name") == "ada"
        w.all.to("lobby").emit("news", 4)
        assert await back.receive() == ("news", 4)
        lost = "transport error" if carrier == "polling" else "transport close"
        assert Room.log == [
            ("in", False, {"name": "ada"}), ("out", lost, ["lobby"]), ("in", True, {"name": "ada"}),
        ]  # fmt: skip


async def test_so_it_is_again_and_again() -> None:
    async with world() as w:
        chat = await w.join()
        for number in range(5):
            await w.lose(chat)
            w.all.emit("n", number)
            chat = await w.back(chat)
            assert chat.recovered
            assert pending(chat) == [("n", number)]


@pytest.mark.json_wire
async def test_on_the_wire_it_is_as_from_node() -> None:
    """Missed events, then CONNECT with the same sid and pid, then what the connection says."""

    class Greeting(Room):
        def recv_connect(self, auth: Any) -> None:
            super().recv_connect(auth)
            self.emit("hello")

    async with world(cls=Greeting) as w:
        ada = await w.join()
        assert await ada.receive() == ("hello",)
        await w.lose(ada)
        w.all.emit("missed", 1)
        w.all.emit("missed", 2)
        client = await w.client()
        frames: list[Any] = []
        received = client.received
        client.received = lambda frame: (frames.append(frame), received(frame))[1]  # type: ignore[method-assign]
        back = await client.connect(recover=ada)
        await settle()
        assert pending(back) == [("missed", 1), ("missed", 2), ("hello",)]
        kinds = [str(frame).split(",")[0] for frame in frames if str(frame).startswith("4")]
        assert kinds == ['42["missed"', '42["missed"', f'40{{"sid":"{ada.sid}"', '42["hello"']


@pytest.mark.parametrize("silent", [False, True])
async def test_a_quick_return_takes_over_from_a_connection_that_lives(carrier: str, silent: bool) -> None:
    """Half-open TCP: the client is back before the server has noticed."""
    async with world(carrier) as w:
        ada = await w.join()
        await ada.emit("say", 0)
        assert await ada.receive() == ("said", 0)
        former = Room.last
        if silent:
            await settle()
            offset = ada.offset
            w.all.emit("n", 1)
            await settle()
            pending(ada)
            ada.offset = offset  # it never got that one
        back = await w.back(ada)
        assert back.recovered
        assert pending(back) == ([("n", 1)] if silent else [])
        assert former.socket.reason == "transport close"
        assert [entry[:2] for entry in Room.log] == [("in", False), ("out", "transport close"), ("in", True)]


async def test_without_an_offset_all_is_missed_since_it_came(carrier: str) -> None:
    async with world(carrier) as w:
        w.all.emit("before")
        ada = await w.join()
        await w.lose(ada)
        w.all.emit("n", 1)
        assert ada.offset is None
        back = await w.back(ada)
        assert back.recovered
        assert pending(back) == [("n", 1)]


async def test_an_event_that_got_lost_under_way_is_sent_again() -> None:
    async with world() as w:
        ada = await w.join()
        w.all.emit("n", 1)  # and the connection breaks before it is there
        await settle()
        ada.offset = None
        pending(ada)
        await w.lose(ada)
        back = await w.back(ada)
        assert pending(back) == [("n", 1)]


async def test_volatile_events_and_those_that_want_acks_are_not_sent_again(carrier: str) -> None:
    async with world(carrier) as w:
        ada = await w.join()
        instance = Room.last
        ada.on("asked", lambda *args: "yes")
        await settle()
        await instance.volatile.emit("v", "text")
        assert await ada.receive() == ("v", "text")
        await settle()
        await w.all.volatile.emit("v", "more text")
        assert await ada.receive() == ("v", "more text")
        assert await instance.call("asked", "text") == "yes"
        assert await w.all.call("asked", "text") == ["yes"]
        await w.lose(ada)
        w.all.volatile.emit("v", 2)
        w.all.emit("n", 3)
        back = await w.back(ada)
        assert back.recovered
        assert pending(back) == [("n", 3)]


async def test_local_events_are_sent_again() -> None:
    async with world() as w:
        ada = await w.join()
        await w.lose(ada)
        w.all.local.emit("n", 1)
        assert pending(await w.back(ada)) == [("n", 1)]


async def test_messages_are_numbered_like_events() -> None:
    async with world() as w:
        ada = await w.join()
        instance = Room.last
        instance.send("text")
        assert await ada.receive() == ("message", "text")
        instance.send("late")
        instance.send(["json"], json=True)
        await settle()
        assert pending(ada) == [("message", "late"), ("message", ["json"])]
        await w.lose(ada)
        back = await w.back(ada)
        assert back.recovered
        assert pending(back) == []


async def test_what_a_handler_says_after_the_connection_broke_is_missed() -> None:
    class Slow(Room):
        gate: asyncio.Event

        async def on_slow(self) -> None:
            await self.gate.wait()
            self.emit("done")
            self.join("late")

        async def recv_disconnect(self, reason: str) -> None:
            self.emit("goodbye")
            await super().recv_disconnect(reason)

    Slow.gate = asyncio.Event()
    async with world(cls=Slow) as w:
        ada = await w.join()
        await ada.emit("slow")
        await settle()
        await w.lose(ada)
        Slow.gate.set()
        await until(lambda: len(Slow.log) == 2)
        back = await w.back(ada)
        assert back.recovered
        assert pending(back) == [("done",), ("goodbye",)]
        assert await back.call("rooms") == ["late", "lobby"]


@pytest.mark.parametrize("how", ["client leaves", "thrown out", "thrown out of all"])
async def test_who_left_or_was_thrown_out_is_new(carrier: str, how: str) -> None:
    async with world(carrier) as w:
        ada = await w.join()
        if how == "client leaves":
            await ada.disconnect()
        elif how == "thrown out":
            await Room.last.disconnect()
        else:
            await Room.last.socket.disconnect()
        await settle()
        w.all.emit("n", 1)
        back = await w.back(ada)
        assert not back.recovered
        assert (back.sid != ada.sid, back.pid != ada.pid, pending(back)) == (True, True, [])
        assert w.store.find(ada.pid) is None


async def test_it_is_restored_once() -> None:
    async with world() as w:
        ada = await w.join()
        w.all.emit("n", 0)
        assert await ada.receive() == ("n", 0)
        await w.lose(ada)
        first = await w.back(ada)
        await Room.last.disconnect()
        await settle()
        second = await w.back(ada)
        assert (first.recovered, second.recovered) == (True, False)


async def test_two_that_come_back_at_once_are_one_after_the_other() -> None:
    async with world() as w:
        ada = await w.join()
        await w.lose(ada)
        w.all.emit("n", 1)
        backs = await asyncio.gather(w.back(ada), w.back(ada), return_exceptions=True)
        await settle()
        assert len(w.app.server.adapter.local.namespaces[""]) == 1
        assert all(isinstance(back, BaseException) or back.recovered for back in backs)


@pytest.mark.parametrize("seconds", [RECOVERY - 1, RECOVERY + 1])
async def test_after_its_time_it_is_new(seconds: float) -> None:
    async with world(ping_interval=1000.0, ping_timeout=1000.0) as w:
        ada = await w.join()
        await w.lose(ada)
        await w.staying.advance(seconds)
        w.all.emit("n", 1)
        back = await w.back(ada)
        assert back.recovered is (seconds < RECOVERY)
        assert pending(back) == ([("n", 1)] if back.recovered else [])


FORGED: dict[str, Any] = {
    "text": "9nonsense", "empty": "", "long": "A" * 10_000, "a number": 7, "a list": [1], "an object": {"a": 1},
    "true": True, "16 characters": "A" * 16, "beyond ASCII": "é" * 16, "a lone surrogate": "\ud800" * 16,
    "of Node": "Q84EgUn", "of a stream": "1795367303993-0",
}  # fmt: skip


@pytest.mark.parametrize("lives", [False, True])
@pytest.mark.parametrize("offset", FORGED.values(), ids=FORGED)
async def test_a_forged_offset_is_refused_without_any_effect(offset: Any, lives: bool) -> None:
    async with world() as w:
        ada = await w.join()
        w.all.emit("n", 0)
        assert await ada.receive() == ("n", 0)
        if not lives:
            await w.lose(ada)
            w.all.emit("n", 1)
        thief = await (await w.client()).connect(auth={"pid": ada.pid, "offset": offset})
        assert thief.sid != ada.sid
        assert pending(thief) == []
        if lives:
            assert await ada.call("rooms") == ["lobby"]
        back = await w.back(ada)
        assert back.recovered
        assert pending(back) == ([] if lives else [("n", 1)])


@pytest.mark.parametrize("pid", ["", "A" * 20, 7, None, [], {"a": 1}, True, "\ud800"])
async def test_a_forged_private_id_is_refused_without_any_effect(pid: Any) -> None:
    async with world() as w:
        ada = await w.join()
        w.all.emit("n", 0)
        await ada.receive()
        await w.lose(ada)
        thief = await (await w.client()).connect(auth={"pid": pid, "offset": ada.offset})
        assert thief.sid != ada.sid
        assert (await w.back(ada)).recovered


async def test_the_offset_of_another_is_refused() -> None:
    async with world() as w:
        ada, bob = await w.join("ada"), await w.join("bob")
        w.all.emit("n", 0)
        await ada.receive(), await bob.receive()
        w.all.to(ada.sid).emit("to ada")
        w.all.to(bob.sid).emit("to bob")
        await ada.receive(), await bob.receive()
        await w.lose(ada)
        stolen = await (await w.client()).connect(auth={"pid": ada.pid, "offset": bob.offset})
        assert stolen.sid != ada.sid
        assert (await w.back(ada)).recovered


async def test_an_offset_is_good_for_one_namespace() -> None:
    async with world() as w:
        client = await w.client()
        ada, other = await client.connect(), await client.connect("/other")
        w.all.emit("n", 0)
        await ada.receive()
        w.app.of("/other").emit("n", 0)
        await other.receive()
        await client.lose()
        await settle()
        for wrong in ({"pid": ada.pid, "offset": other.offset}, {"pid": other.pid, "offset": ada.offset}):
            assert (await (await w.client()).connect(auth=wrong)).sid != ada.sid
        again = await w.client()
        assert (await again.connect("/other", recover=other)).recovered
        assert (await again.connect(recover=ada)).recovered


async def test_an_offset_that_was_used_is_not_used_again() -> None:
    async with world() as w:
        ada = await w.join()
        w.all.emit("n", 0)
        await ada.receive()
        first = ada.offset
        w.all.emit("n", 1)
        await ada.receive()
        await w.lose(ada)
        ada = await w.back(ada)
        await w.lose(ada)
        ada.offset, second = first, ada.offset
        assert not (await w.back(ada)).recovered
        ada.offset = second
        assert (await w.back(ada)).recovered


async def test_an_older_offset_counts_from_the_beginning_of_the_session() -> None:
    """Clients keep their offset where they could not be recovered, and send it with the next private id."""
    async with world() as w:
        ada = await w.join()
        w.all.emit("n", 0)
        await ada.receive()
        stale = ada.offset
        await w.lose(ada)
        w.all.emit("n", "before")
        again = await w.join()
        again.offset = stale
        await w.lose(again)
        w.all.emit("n", 2)
        back = await w.back(again)
        assert back.recovered
        assert pending(back) == [("n", 2)]


async def test_what_was_said_in_a_room_before_it_came_is_not_for_it() -> None:
    async with world() as w:
        ada = await w.join()
        await ada.emit("say", 0)
        await ada.receive()
        bob = await w.join("bob")
        await bob.call("join", "red")
        w.all.to("red").emit("n", "before")
        await ada.call("join", "red")
        await w.lose(ada)
        w.all.to("red").emit("n", 1)
        assert pending(await w.back(ada)) == [("n", 1)]


async def test_what_was_said_in_a_room_that_it_left_later_is() -> None:
    async with world() as w:
        ada = await w.join()
        await ada.call("join", "red")
        w.all.to("red").emit("n", 1)
        await settle()
        Room.last.leave("red")
        w.all.to("red").emit("n", "after")
        pending(ada)
        ada.offset = None  # lost under way
        await w.lose(ada)
        assert pending(await w.back(ada)) == [("n", 1)]


async def test_of_rooms_that_it_leaves_on_its_return_nothing_comes() -> None:
    class Picky(Room):
        def recv_connect(self, auth: Any) -> None:
            super().recv_connect(auth)
            if self.recovered:
                self.leave("lobby")

    async with world(cls=Picky) as w:
        ada = await w.join()
        await w.lose(ada)
        w.all.to("lobby").emit("n", 1)
        w.all.to("lobby", ada.sid).emit("n", 2)
        back = await w.back(ada)
        assert back.recovered
        assert pending(back) == [("n", 2)]


async def test_who_is_refused_on_return_may_come_back_as_if_nothing_was() -> None:
    class Guarded(Room):
        async def recv_connect(self, auth: Any) -> None:
            super().recv_connect(auth)
            if self.recovered and auth.get("name") != self.data["name"]:
                self.data["name"] = "mallory"
                self.join("changed")
                self.leave("lobby")
                await self.emit("secret")
                raise ConnectionRefused("not you")

    async with world(cls=Guarded) as w:
        ada = await w.join()
        await w.lose(ada)
        w.all.to("lobby").emit("n", 1)
        with pytest.raises(ConnectionRefused, match="not you"):
            await w.back(ada, name="mallory")
        w.all.to("lobby").emit("n", 2)
        back = await w.back(ada, name="ada")
        assert back.recovered
        assert [entry for entry in pending(back) if entry[0] == "n"] == [("n", 1), ("n", 2)]
        assert await back.call("rooms") == ["lobby"]
        assert await back.call("name") == "ada"


class SlowReturn(Room):
    """Takes its time with who comes back."""

    gate: asyncio.Event

    async def recv_connect(self, auth: Any) -> None:
        super().recv_connect(auth)
        if self.recovered:
            await self.gate.wait()


async def test_who_breaks_off_while_it_returns_may_come_back() -> None:
    SlowReturn.gate = asyncio.Event()
    async with world(cls=SlowReturn) as w:
        ada = await w.join()
        await w.lose(ada)
        w.all.emit("n", 1)
        client = await w.client()
        joining = asyncio.ensure_future(client.connect(recover=ada))
        await until(lambda: len(SlowReturn.log) == 3)
        await client.lose()
        w.all.emit("n", 2)
        SlowReturn.gate.set()
        await asyncio.wait([joining])
        joining.exception()
        back = await w.back(ada)
        assert back.recovered
        assert pending(back) == [("n", 1), ("n", 2)]


async def test_what_comes_while_recv_connect_runs_comes_once() -> None:
    SlowReturn.gate = asyncio.Event()
    async with world(cls=SlowReturn) as w:
        ada = await w.join()
        await w.lose(ada)
        w.all.emit("n", 1)
        joining = asyncio.ensure_future(w.back(ada))
        await until(lambda: len(SlowReturn.log) == 3)
        w.all.emit("n", 2)
        w.all.to("lobby").emit("n", 3)
        SlowReturn.gate.set()
        back = await joining
        await settle()
        assert pending(back) == [("n", 1), ("n", 2), ("n", 3)]


async def test_a_return_waits_for_the_recv_disconnect_of_the_connection_that_it_ends() -> None:
    class Slow(Room):
        gate: asyncio.Event

        async def recv_disconnect(self, reason: str) -> None:
            await super().recv_disconnect(reason)
            await self.gate.wait()
            self.log.append("gone")

    Slow.gate = asyncio.Event()
    async with world(cls=Slow) as w:
        ada = await w.join()
        returning = asyncio.ensure_future(w.back(ada))
        await until(lambda: len(Slow.log) == 2)
        await settle()
        assert not returning.done()
        w.all.to("lobby").emit("n", 1)
        Slow.gate.set()
        back = await returning
        assert (back.recovered, pending(back)) == (True, [("n", 1)])
        assert [entry[0] for entry in Slow.log] == ["in", "out", "g", "in"]


async def test_auth_is_without_what_belongs_to_recovery() -> None:
    async with world() as w:
        await (await w.client()).connect(auth={"pid": "x", "offset": "y", "mine": 1})
        assert Room.log == [("in", False, {"mine": 1})]


async def test_off_it_is_as_ever() -> None:
    async with world(recovery=None) as w:
        ada = await w.join()
        assert (ada.pid, w.store) == (None, None)
        w.all.emit("n", "text")
        assert await ada.receive() == ("n", "text")
        await (await w.client()).connect(auth={"pid": "x", "offset": "y"})
        assert Room.log[-1] == ("in", False, {"pid": "x", "offset": "y"})
        assert Room.last.recoverable is False
        Room.last.recoverable = False
        with pytest.raises(UsageError, match="recoverable"):
            Room.last.recoverable = True


@pytest.mark.parametrize("generation", ["0.9", 3])
async def test_older_generations_hear_no_offsets(generation: Any) -> None:
    async with world() as w:
        ada = await w.join()
        async with TestClient(w.app, generation=generation) as client:
            old = await client.connect()
            w.all.emit("n", 1)
            Room.last.emit("mine", 2)
            assert [await old.receive(), await old.receive()] == [("n", 1), ("mine", 2)]
        assert await ada.receive() == ("n", 1)


async def test_not_for_this_client() -> None:
    class Unwanted(Room):
        async def recv_connect(self, auth: Any) -> None:
            super().recv_connect(auth)
            if auth.get("name") == "old":
                self.emit("held back", b"raw", "é")
                self.recoverable = False
                self.emit("held back", 2)

    async with world(cls=Unwanted) as w:
        ada, old = await w.join(), await w.join("old")
        assert old.pid is None
        w.all.emit("n", 1)
        assert [await old.receive() for _ in range(3)] == [("held back", b"raw", "é"), ("held back", 2), ("n", 1)]
        assert await ada.receive() == ("n", 1)
        await w.lose(old)
        assert not w.store.find_away("", None, frozenset())


async def test_data_that_is_no_json_stays_behind(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Room):
        def recv_connect(self, auth: Any) -> None:
            super().recv_connect(auth)
            if not self.recovered:
                self.data |= {"list": [1], "bytes": b"raw", "object": object()}

    async with world(cls=Odd) as w:
        ada = await w.join()
        await w.lose(ada)
        assert (await w.back(ada)).recovered
        assert Odd.last.data == {"name": "ada", "list": [1]}
    assert "data['bytes'] stays behind" in caplog.text


async def test_a_pinned_session_comes_back_to_its_own_only() -> None:
    async with world(pin="address") as w:
        ada = await w.join()
        await w.lose(ada)
        thief = TestClient(w.app)
        thief._scope["client"] = ("10.0.0.9", 1)
        async with thief:
            assert not (await thief.connect(recover=ada)).recovered
        assert (await w.back(ada)).recovered


# ---- bounds ----------------------------------------------------------------------------------------------------


async def test_of_too_many_events_none_is_sent() -> None:
    async with world(recovery_events=10) as w:
        ada, bob = await w.join(), await w.join("bob")
        await w.lose(ada)
        for number in range(30):
            w.all.to(ada.sid).emit("n", number)
            assert w.store.kept[0] <= 10
        back = await w.back(ada)
        assert (back.recovered, pending(back)) == (False, [])
        await w.lose(bob)
        w.all.to(bob.sid).emit("n", 1)
        assert pending(await w.back(bob)) == [("n", 1)]


async def test_of_too_many_bytes_none_is_sent() -> None:
    async with world(recovery_bytes=100_000) as w:
        ada = await w.join()
        await w.lose(ada)
        for number in range(30):
            w.all.emit("n", number, b"x" * 10_000)
            assert w.store.kept[1] <= 100_000
        back = await w.back(ada)
        assert (back.recovered, pending(back)) == (False, [])


async def test_more_than_half_of_max_outbox_is_too_much() -> None:
    async with world(max_outbox=200_000, max_attachment_bytes=100_000, max_payload=50_000) as w:
        for count, expected in ((9, True), (11, False)):
            ada = await w.join()
            await w.lose(ada)
            for _ in range(count):
                w.all.emit("n", b"x" * 10_000)
            back = await w.back(ada)
            assert back.recovered is expected
            assert len(pending(back)) == (count if expected else 0)


async def test_of_too_many_clients_the_oldest_are_forgotten() -> None:
    async with world(recovery_events=6) as w:
        clients = [await w.join(str(number)) for number in range(5)]
        for client in clients:
            await w.lose(client)
        assert w.store.kept[0] == 3
        assert [(await w.back(client)).recovered for client in clients] == [False, False, True, True, True]


async def test_a_quiet_namespace_keeps_its_share() -> None:
    async with world(recovery_events=20) as w:
        ada = await w.join()
        other = await (await w.client()).connect("/other")
        await w.lose(other)
        w.app.of("/other").emit("n", 1)
        for number in range(100):
            w.all.emit("n", number)
        client = await w.client()
        back = await client.connect("/other", recover=other)
        assert back.recovered
        assert pending(back) == [("n", 1)]
        assert ada.sid


async def test_nothing_is_kept_when_nobody_is_there_or_may_come_back() -> None:
    async with world() as w:
        w.all.emit("n", 1)
        ada = await w.join()
        w.all.emit("n", 2)
        w.all.to("elsewhere").emit("n", 3)
        assert w.store.kept[0] == 1
        await ada.disconnect()
        await settle()
        assert w.store.kept == (0, 0)


async def test_in_time_all_is_forgotten_by_itself() -> None:
    async with world(recovery=10.0, ping_interval=1000.0, ping_timeout=1000.0) as w:
        ada, bob = await w.join(), await w.join("bob")
        w.all.emit("n", 1)
        await w.lose(ada)
        assert w.store.kept[0] == 2
        await w.staying.advance(11.0)
        assert w.store.kept[0] == 1
        assert bob.sid
        await w.staying.advance(3000.0)
        assert w.store.kept == (0, 0)


async def test_an_adapter_without_a_store_says_so_at_the_start() -> None:
    class Elsewhere(CountingAdapter):
        make_recovery = Adapter.make_recovery

    with pytest.raises(UsageError, match="recovery=1: Elsewhere has no store for it"):
        SocketIOApp(namespaces={"/": Room}, recovery=1, adapter=Elsewhere())


@pytest.mark.parametrize("value", [True, 0, -1, "120", float("inf"), float("nan")])
def test_recovery_is_a_number_of_seconds(value: Any) -> None:
    with pytest.raises(UsageError, match=r"recovery=.*: expected a number of seconds above 0, or None"):
        SocketIOApp(namespaces={"/": Room}, recovery=value)
