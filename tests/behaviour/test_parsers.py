"""JSON and MessagePack on one port, told apart by a client's first packet; and a parser of the program's own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar, Literal

import msgpack
import pytest

from asocketio import (
    Config,
    Overflow,
    Packet,
    PacketDecoder,
    PacketType,
    Parser,
    RoomsMixin,
    SocketIOApp,
    UsageError,
    socketio_manage,
)
from asocketio.errors import MalformedPacket
from asocketio.protocol.json_parser import JSONParser
from asocketio.protocol.msgpack_parser import MsgpackParser
from asocketio.testing import TestClient
from asocketio.testing.transports import CLIENT_TRANSPORTS
from tests.clients.takeover_transport import TakeoverTransport
from tests.support.worlds import Recorder, until

Name = Literal["json", "msgpack"]
BOTH: tuple[Name, Name] = ("json", "msgpack")


class Talk(Recorder, RoomsMixin):
    async def on_join(self, room: str) -> None:
        self.join(room)


@pytest.fixture(params=["websocket", "polling", "jsonp", "taken-over"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "taken-over":
        monkeypatch.setitem(CLIENT_TRANSPORTS, "websocket", TakeoverTransport)
        return "websocket"
    return str(request.param)


@asynccontextmanager
async def clients(app: SocketIOApp, *parsers: Any, **options: Any) -> AsyncIterator[list[Any]]:
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(TestClient(app, parser=parser, **options)) for parser in parsers]
        yield [await client.connect() for client in opened]


async def test_both_are_served_on_one_port(transport: str) -> None:
    app = SocketIOApp(namespaces={"/": Talk, "/chat": Talk}, parsers=BOTH)
    async with clients(app, "json", "msgpack", transport=transport) as namespaces:
        for namespace in namespaces:
            assert await namespace.call("echo", "é", {"a": [1, None, 1.5]}, b"\0\xff") == (
                "é",
                {"a": [1, None, 1.5]},
                b"\0\xff",
            )
            again = await namespace.client.connect("/chat")
            assert await again.call("echo", b"x") == b"x"
        await app.of("/").emit("news", b"raw", 1)
        assert [await namespace.receive() for namespace in namespaces] == [("news", b"raw", 1)] * 2
        for namespace in namespaces:
            namespace.on("vote", lambda: b"yes")
        assert await app.of("/").call("vote") == [b"yes"] * 2


@pytest.mark.parametrize("generation", ["0.9", 3])
async def test_older_clients_speak_json_beside_it(generation: Any) -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parsers=BOTH)
    async with (
        TestClient(app, generation=generation) as old,
        TestClient(app, parser="msgpack") as new,
    ):
        first, second = await old.connect(), await new.connect()
        await app.of("/").emit("news", "é")
        assert (await first.receive(), await second.receive()) == (("news", "é"), ("news", "é"))


async def test_a_broadcast_is_encoded_once_for_each_of_both(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = {"json": 0, "msgpack": 0}

    def counted(name: str, cls: type[Parser]) -> None:
        encode = cls.encode

        def counting(self: Any, packet: Packet, prefix: str) -> Any:
            count[name] += packet.name == "news"
            return encode(self, packet, prefix)

        monkeypatch.setattr(cls, "encode", counting)

    counted("json", JSONParser)
    counted("msgpack", MsgpackParser)
    app = SocketIOApp(namespaces={"/": Talk}, parsers=BOTH)
    async with clients(app, *BOTH * 4, transport=transport) as namespaces:
        for namespace in namespaces:
            await namespace.call("join", "lobby")
        await app.of("/").to("lobby").emit("news", "é", b"raw")
        assert [await namespace.receive() for namespace in namespaces] == [("news", "é", b"raw")] * 8
    assert count == {"json": 1, "msgpack": 1}


async def test_a_client_that_has_told_is_read_and_written_by_nothing_in_between() -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parsers=BOTH)
    plain = SocketIOApp(namespaces={"/": Talk})
    async with clients(app, "json", "msgpack") as _, clients(plain, "json") as _:
        (of_json, of_msgpack), (alone,) = app.server.sockets.values(), plain.server.sockets.values()
        decoders = [socket.reader._decoder for socket in (of_json, of_msgpack, alone)]
        assert type(decoders[0]) is type(decoders[1]) is type(decoders[2])
        parsers = [type(socket.protocol.parser) for socket in (of_json, of_msgpack, alone)]  # type: ignore[attr-defined]
        assert parsers == [JSONParser, MsgpackParser, JSONParser]
        assert type(of_json.protocol).encode is type(alone.protocol).encode


@pytest.mark.parametrize(
    ("served", "spoken", "reason"),
    [(("json",), "msgpack", "forced close"), (("msgpack",), "json", "parse error")],  # binary that is announced by none
)
async def test_a_parser_that_is_not_served_ends_its_client(served: Any, spoken: Name, reason: str) -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parsers=served)
    async with TestClient(app, parser=spoken) as client:
        await client.open()
        (socket,) = app.server.sockets.values()
        await client.post_frames(*client.protocol.encode(Packet(PacketType.CONNECT)).frames)
        await until(lambda: socket.reason)
        assert socket.reason == reason


@pytest.mark.parametrize(
    "frame",
    [
        "4garbage",
        '42["x"]',
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        msgpack.packb({"type": 2, "data": ["x", float("nan")], "nsp": "/"}),
        msgpack.packb({"type": 9, "data": ["x"], "nsp": "/"}),
        msgpack.packb({"type": 2, "data": ["x", msgpack.Timestamp(1)], "nsp": "/"}),
        msgpack.packb({"type": 2, "data": ["x"], "nsp": "/"}) + b"\0",
        msgpack.packb({"type": 2, "data": ["x", *[b""] * 11], "nsp": "/"}),
    ],
    ids=range(10),
)
async def test_garbage_ends_its_client_and_no_other(frame: Any, transport: str) -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parsers=BOTH)
    async with clients(app, "msgpack", "msgpack", "json", transport=transport) as (rude, *others):
        ends: list[str] = next(iter(app.server.sockets.values()))[""].reasons  # type: ignore[attr-defined]
        await rude.client.post_frames(frame)
        await until(lambda: ends)
        assert ends == ["parse error"]
        for other in others:
            assert await other.call("echo", b"alive") == b"alive"


async def test_before_its_first_packet_a_client_may_ping_and_send_garbage() -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parsers=BOTH)
    for garbage in ("9", "bA", "4", b"", b"\xc1"):
        async with TestClient(app) as client:
            await client.open()
            (socket,) = app.server.sockets.values()
            await client.post_frames("3")
            await client.post_frames(garbage)
            await until(lambda socket=socket: socket.reason)
            assert socket.reason == "parse error"


async def test_what_one_of_both_cannot_hold_is_told_when_the_others_have_theirs() -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parsers=BOTH)
    async with clients(app, *BOTH) as (of_json, of_msgpack):
        with pytest.raises(UsageError, match="over 64 bits"):
            await app.of("/").emit("news", 2**70)
        assert await of_json.receive() == ("news", 2**70)
        for value in ({1}, float("nan"), object()):
            with pytest.raises(UsageError):
                await app.of("/").emit("news", value)
        await of_msgpack.nothing()


async def test_a_packet_over_max_outbox_is_refused() -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parsers=BOTH, max_outbox=10_000)
    async with clients(app, "msgpack") as (namespace,):
        await app.of("/").emit("news", b"x" * 9_900)
        assert await namespace.receive() == ("news", b"x" * 9_900)
        with pytest.raises(Overflow):
            await app.of("/").emit("news", b"x" * 10_001)
        assert await namespace.call("echo", 1) == 1


async def test_json_functions_of_a_view_are_for_those_who_speak_json() -> None:
    def dumps(value: Any) -> str:
        return json.dumps(value, default=sorted)

    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await socketio_manage(scope, {"/": Talk}, json_dumps=dumps)

    app = SocketIOApp(view, parsers=BOTH)
    async with clients(app, *BOTH) as (of_json, of_msgpack):
        with pytest.raises(UsageError, match="MessagePack: set"):
            await app.of("/").emit("news", {1, 2})
        assert await of_json.receive() == ("news", [1, 2])
        await app.of("/").emit("news", 1)
        assert (await of_json.receive(), await of_msgpack.receive()) == (("news", 1), ("news", 1))


# ---- one of the program's own --------------------------------------------------------------------------------------


class Lines(Parser):
    """A packet as one line: its type, its namespace, its number, and JSON. It knows no binary."""

    def encode(self, packet: Packet, prefix: str) -> tuple[str | bytes, ...]:
        value: Any = [packet.name, *packet.args] if packet.type is PacketType.EVENT else packet.args or packet.data
        number = "" if packet.id is None else str(packet.id)
        return (f"{prefix}{packet.type.value} {packet.endpoint} {number} {json.dumps(value, default=str)}",)

    def decoder(self, config: Config) -> PacketDecoder:
        return LinesDecoder()


class LinesDecoder(PacketDecoder):
    def text(self, frame: str, start: int) -> Packet | None:
        kind, endpoint, number, value = frame[start:].split(" ", 3)
        packet = Packet(PacketType(kind), endpoint, id=int(number) if number else None)
        value = json.loads(value)
        if packet.type is PacketType.EVENT:
            packet.name, *packet.args = value
            packet.ack = None if packet.id is None else "data"
        elif packet.type is PacketType.ACK:
            packet.args = value or []
        else:
            packet.data = value or {}
        return packet

    def binary(self, data: bytes) -> Packet | None:
        raise MalformedPacket("binary, expected a line")


async def test_a_parser_of_ones_own(transport: str) -> None:
    app = SocketIOApp(namespaces={"/": Talk, "/chat": Talk}, parser=Lines())
    async with clients(app, Lines(), Lines(), transport=transport) as (one, two):
        assert await one.call("echo", "é", [1]) == ("é", [1])
        chat = await two.client.connect("/chat")
        assert await chat.call("echo", 1) == 1
        await app.of("/").emit("news", complex(1, 2))
        assert [await one.receive(), await two.receive()] == [("news", "(1+2j)")] * 2


async def test_what_only_ones_own_parser_can_write_is_fine_when_nobody_is_there() -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parser=Lines())
    await app.of("/").emit("news", complex(1, 2))
    with pytest.raises(UsageError):
        await SocketIOApp(namespaces={"/": Talk}).of("/").emit("news", complex(1, 2))


@pytest.mark.parametrize("frame", ["4", "4what", "4event  x []", "4event   {", '4event   "', b"x", b""])
async def test_what_ones_own_parser_fails_at_is_a_parse_error_of_that_client(frame: Any) -> None:
    app = SocketIOApp(namespaces={"/": Talk}, parser=Lines())
    async with clients(app, Lines(), Lines()) as (rude, other):
        ends: list[str] = next(iter(app.server.sockets.values()))[""].reasons  # type: ignore[attr-defined]
        await rude.client.post_frames(frame)
        await until(lambda: ends)
        assert ends == ["parse error"]
        assert await other.call("echo", 1) == 1


class Returns(Lines):
    """Returns what it is told to, in the place of an event."""

    gives: ClassVar[Any] = None

    def encode(self, packet: Packet, prefix: str) -> tuple[str | bytes, ...]:
        if packet.name != "news":
            return super().encode(packet, prefix)
        if isinstance(self.gives, Exception):
            raise self.gives
        given: tuple[str | bytes, ...] = self.gives
        return given


@pytest.mark.parametrize("gives", [None, (), ["4x"], ("x",), ("4x", 1), (b"x", None), "4x", KeyError("x")], ids=repr)
async def test_a_mistake_of_ones_own_parser_is_named(gives: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Returns, "gives", gives)
    app = SocketIOApp(namespaces={"/": Talk}, parser=Returns())
    async with clients(app, Lines()) as (namespace,):
        with pytest.raises(UsageError, match=r"Returns\.encode"):
            await app.of("/").emit("news")
        assert await namespace.call("echo", 1) == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"parsers": "json"}, "parsers='json': expected"),
        ({"parsers": ()}, "expected 'json', 'msgpack' or both"),
        ({"parsers": ("json", "xml")}, "expected 'json', 'msgpack' or both"),
        ({"parsers": (1,)}, "expected 'json', 'msgpack' or both"),
        ({"parsers": None}, "expected 'json', 'msgpack' or both"),
        ({"parser": "msgpack", "parsers": BOTH}, "give one of the two"),
        ({"parser": Lines}, "an instance of a subclass of asocketio.Parser"),
        ({"parser": object()}, "an instance of a subclass of asocketio.Parser"),
        ({"parser": Lines(), "parsers": ["msgpack"]}, "give one of the two"),
    ],
)
def test_wrong_parsers_are_refused_at_the_start(given: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        SocketIOApp(namespaces={"/": Talk}, **given)


def test_without_the_package_the_app_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asocketio.protocol.msgpack_parser.msgpack", None)
    with pytest.raises(UsageError, match=r"pip install 'asocketio\[msgpack\]'"):
        SocketIOApp(namespaces={"/": Talk}, parsers=BOTH)


def test_a_test_client_of_an_older_generation_has_no_parser() -> None:
    with pytest.raises(UsageError, match="clients of generation 3 speak JSON"):
        TestClient(SocketIOApp(namespaces={"/": Talk}), generation=3, parser="msgpack")
