"""What a client may learn of another: its public sid; never the id of its session, which speaks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from asocketio import BaseNamespace, BroadcastMixin, ConnectionRefused, Disconnected, Packet, RoomsMixin, SocketIOApp
from asocketio.protocol.base import Decoder, Frame
from asocketio.testing import TestClient, settle
from examples import ack, echo
from examples.chat import app as chat
from examples.live_cpu import app as live_cpu
from examples.observability import app as observability
from examples.three_generations import app as three_generations
from tests.behaviour.test_security import UNKNOWN, Browser, Generation
from tests.compat.test_readme import PROGRAMS, run
from tests.support.worlds import GENERATIONS, Way


class Telling(BaseNamespace, RoomsMixin, BroadcastMixin):
    """Tells others all that is said to be safe to show."""

    def recv_connect(self) -> None:
        self.join("room")

    def on_tell(self) -> None:
        shown = [
            self.sid,
            repr(self),
            str(self),
            repr(self.socket),
            str(self._member),
            sorted(self.rooms),
            self.ns_name,
        ]
        about = self.socket.fields(self.ns_name, "tell")
        self.emit_to_room("room", "told", shown, about)
        self.broadcast_event("told", shown, about)
        try:
            self.join(self.sid + "more")
            self.to("room").emit("told", list(self.rooms))
            self.emit("x", object())
        except Exception as error:
            self.to("room").emit("told", repr(error))

    async def recv_disconnect(self, reason: str) -> None:
        await self.emit_to_room("room", "left", self.sid, reason)


def programs() -> Iterator[tuple[str, Callable[[], SocketIOApp]]]:
    """All programs that README and the examples show, as far as they serve namespaces by themselves."""
    yield "telling", lambda: SocketIOApp(namespaces={"/": Telling, "/b": Telling})
    for heading, blocks in PROGRAMS.items():
        if "app = SocketIOApp(namespaces" in blocks[0]:
            yield heading, lambda heading=heading: run(heading)["app"]  # type: ignore[misc]
    for module in (ack, echo, chat, live_cpu, observability, three_generations):
        yield module.__name__, lambda module=module: module.app  # type: ignore[misc]


SHOWN = dict(programs())
ARGUMENTS: list[tuple[Any, ...]] = [("red",), ("red",), (), (1, 2), (True,), ("room",), (0.001,)]
LAST = {"leave"}


def test_the_programs_are_found() -> None:
    assert {"Rooms and broadcasts", "Serve old clients too", "Events", "examples.chat.app"} < set(SHOWN)


class Curious(TestClient):
    """Keeps all that it ever receives."""

    __test__ = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard: list[str] = []

    def received(self, frame: Frame) -> Any:
        self.heard.append(frame if isinstance(frame, str) else frame.decode("latin-1"))
        return super().received(frame)


async def live(app: SocketIOApp, client: TestClient, name: str) -> None:
    """Come in, and do all that can be done."""
    assert app.namespaces is not None
    for namespace in app.namespaces.names:
        auth = {"password": "sesame", "name": name, "nickname": name, "client": name}
        with suppress(ConnectionRefused):
            joined = await client.connect(namespace or "/", auth)
            joined.on("ready?", lambda: "yes")
    for namespace in app.namespaces.names:
        joined = client.namespaces[namespace]
        found = app.namespaces.resolve(namespace)
        assert found is not None
        events = [*found[0]._handlers.events, "anything"]
        for event in sorted(events, key=LAST.__contains__):
            for args in ARGUMENTS:
                with suppress(Disconnected):
                    await joined.emit(event, *args)
        with suppress(Disconnected):
            await joined.send("hello")
    await settle()


@pytest.mark.json_wire  # the examples' apps were made before another parser could be chosen
@pytest.mark.parametrize("program", SHOWN)
async def test_a_neighbour_never_hears_the_id_of_a_session(program: str, way: Way) -> None:
    app = SHOWN[program]()
    async with Curious(app) as spy, TestClient(app, **way) as victim:
        await live(app, spy, "eve")
        with suppress(ConnectionRefused):
            await live(app, victim, "ada")
        await settle()
        secret = victim.handshake["sid"]
        own = spy.handshake["sid"]
        assert [frame for frame in spy.heard if secret in frame] == []
        if victim.namespaces:
            assert any(socket is not None for socket in map(app.server.find, (secret, own)))
        words = {word for frame in spy.heard for word in re.findall(r"[A-Za-z0-9_-]{10,}", frame)} - {own}
        words |= {word[at:] for word in words for at in range(1, len(word) - 19)}
        assert [word for word in words if app.server.find(word) is not None] == []


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_what_is_told_of_a_client_opens_nothing(generation: Generation) -> None:
    app = SHOWN["telling"]()
    async with Curious(app) as spy, TestClient(app, generation=generation) as victim:
        await live(app, spy, "eve")
        await live(app, victim, "ada")
        sids = {app.server.sockets[victim.handshake["sid"]][name].sid for name in ("/", "/b")}
        words = {word for frame in spy.heard for word in re.findall(r"[~A-Za-z0-9_-]{10,}", frame)}
        assert sids < words
        words -= {spy.handshake["sid"]}
        for other in GENERATIONS:
            thief = Browser(app, other)
            for word in sorted({*words, *(sid[1:] for sid in sids), *(f"/b#{sid}" for sid in sids)}):
                answers = (await thief.gets(word), await thief.posts(word))
                assert answers in (((400, UNKNOWN), (400, UNKNOWN)), ((200, "7:::1+0"), (200, "1"))), word
        assert app.server.sockets[victim.handshake["sid"]].connected


# ---- acks ---------------------------------------------------------------------------------------------------------


class Asking(BaseNamespace, BroadcastMixin):
    async def on_ask_me(self, times: int) -> None:
        for _ in range(times):
            await self.call("question")

    async def on_ask_me_later(self) -> None:
        self.emit("question", callback=lambda *args: None)

    async def on_ask_all(self) -> Any:
        return await self.environ["asocketio"].of("/").call("question", timeout=5)


class Noting:
    """A decoder that keeps the numbers of the acks that are asked for."""

    def __init__(self, decoder: Decoder) -> None:
        self.split = decoder.split
        self.asked: list[int] = []
        self._decoder = decoder

    def feed(self, frame: Frame) -> Packet | None:
        packet = self._decoder.feed(frame)
        if packet is not None and packet.name == "question" and packet.id is not None:
            self.asked.append(packet.id)
        return packet


def noting(client: TestClient) -> list[int]:
    """The numbers of the acks that ``client`` is asked for, from now on."""
    decoder: Any = Noting(client.decoder)
    client.decoder = decoder
    asked: list[int] = decoder.asked
    return asked


async def test_the_numbers_of_acks_tell_nothing_of_others(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Asking})
    async with TestClient(app, **way) as quiet, TestClient(app, **way) as busy:
        asked, much_asked = noting(quiet), noting(busy)
        one, other = [await client.connect(on={"question": lambda: "yes"}) for client in (quiet, busy)]
        await one.call("ask_me", 2)
        await other.call("ask_me", 40)
        await one.call("ask_me", 1)
        await one.emit("ask_me_later")
        await settle()
        assert asked == [1, 2, 3, 4]  # as if nobody else were there
        assert much_asked == list(range(1, 41))
        for _ in range(20):
            assert await other.call("ask_all") == ["yes", "yes"]
        shared = asked[4:]
        assert much_asked[40:] == shared  # one packet for both
        assert len(set(shared)) == 20
        assert shared != sorted(shared)
        assert all(10**14 <= number < 10**15 for number in shared)
        await one.call("ask_me", 1)
        assert asked[-1] == 5
