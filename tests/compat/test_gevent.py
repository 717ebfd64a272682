"""gevent-socketio's ways, kept for its own clients: its packets, the way of an event, access control, acks, errors.

What is different on purpose has its tests at the end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
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
    Socket,
    SocketIOApp,
    UsageError,
    default_error_handler,
    socketio_manage,
)
from asocketio.config import Config
from asocketio.protocol.base import Frame
from asocketio.protocol.socketio09 import SocketIO09
from asocketio.testing import ClientRefused, TestClient, settle
from tests.support.worlds import Transport

Log = pytest.LogCaptureFixture
Table = dict[str, type[BaseNamespace]]


class Wire(TestClient):
    """A 0.9 client that keeps every frame of the server."""

    def __init__(self, app: SocketIOApp, transport: Transport = "websocket") -> None:
        super().__init__(app, generation="0.9", transport=transport)
        self.frames: list[Frame] = []

    def received(self, frame: Frame) -> Packet | None:
        self.frames.append(frame)
        return super().received(frame)

    async def says(self, *frames: Frame) -> list[Frame]:
        """Send frames; what the server sends then."""
        self.frames.clear()
        await self.post_frames(*frames)
        return await self.heard()

    async def heard(self) -> list[Frame]:
        """What the server has sent since the last time."""
        await settle()
        await settle()
        frames = self.frames.copy()
        self.frames.clear()
        return frames


def app_of(table: Table, **manage: Any) -> SocketIOApp:
    """An app that manages its sockets at once; or, with arguments for ``socketio_manage``, in a view."""
    if not manage:
        return SocketIOApp(namespaces=table)

    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
            await socketio_manage(scope, table, **manage)

    return SocketIOApp(view)


@asynccontextmanager
async def talking(
    *classes: type[BaseNamespace], transport: Transport = "websocket", **manage: Any
) -> AsyncGenerator[Wire]:
    """A client that is in the global namespace, of the first class, and in ``/chat``, of the second."""
    table: Table = dict(zip(("/", "/chat"), classes, strict=False))
    client = Wire(app_of(table, **manage), transport)
    async with client:
        for name in table:
            await client.connect(name)
        await client.heard()
        yield client


def event(name: str, *args: Any, ack: str = "", endpoint: str = "") -> str:
    """An event as a client writes it."""
    return f"5:{ack}:{endpoint}:" + json.dumps({"name": name, "args": args}, separators=(",", ":"))


class Kept(BaseNamespace):
    """``last`` is the newest object of each class; ``seen`` is what its handlers were called with."""

    last: ClassVar[Any]

    def initialize(self) -> None:
        type(self).last = self
        self.seen: list[Any] = []


# ---- packets ---------------------------------------------------------------------------------------------------

SENT: list[tuple[dict[str, Any], str]] = [
    ({"type": "disconnect", "endpoint": "/woot"}, "0::/woot"),
    ({"type": "disconnect", "endpoint": ""}, "0::"),
    ({"type": "connect", "endpoint": "/tobi", "qs": ""}, "1::/tobi"),
    ({"type": "heartbeat", "endpoint": ""}, "2::"),
    ({"type": "message", "endpoint": "", "data": "woot"}, "3:::woot"),
    ({"type": "message", "endpoint": "", "data": "\n"}, "3:::\n"),
    ({"type": "message", "endpoint": "/tobi", "id": 5, "ack": True, "data": "x"}, "3:5:/tobi:x"),
    ({"type": "json", "endpoint": "", "data": "2"}, '4:::"2"'),
    ({"type": "json", "endpoint": "", "id": 1, "ack": "data", "data": {"a": "b"}}, '4:1+::{"a":"b"}'),
    ({"type": "event", "endpoint": "", "name": "woot", "args": []}, '5:::{"name":"woot"}'),
    ({"type": "event", "name": "tobi", "id": 1, "ack": True, "data": ""}, '5:1::{"name":"tobi"}'),
    ({"type": "event", "name": "tobi", "id": 1, "ack": "data", "data": ""}, '5:1+::{"name":"tobi"}'),
    (
        {"type": "event", "endpoint": "/chat", "name": "edwald", "args": [{"a": "b"}, 2, "3"]},
        '5::/chat:{"name":"edwald","args":[{"a":"b"},2,"3"]}',
    ),
    ({"type": "event", "name": "tuple", "args": (1, 2)}, '5:::{"name":"tuple","args":[1,2]}'),
    ({"type": "ack", "ackId": 140, "endpoint": "", "args": []}, "6:::140"),
    ({"type": "ack", "ackId": 140}, "6:::140"),
    ({"type": "ack", "ackId": 12, "endpoint": "", "args": ["woot", "wa"]}, '6:::12+["woot","wa"]'),
    ({"type": "ack", "ackId": 12, "endpoint": "/chat", "args": ["woot", "wa"]}, '6::/chat:12+["woot","wa"]'),
    ({"type": "error", "reason": "transport not supported", "advice": "", "endpoint": ""}, "7:::0"),
    ({"type": "error", "reason": "client not handshaken", "advice": "reconnect", "endpoint": ""}, "7:::1+0"),
    ({"type": "error", "reason": "unauthorized", "advice": "reconnect", "endpoint": ""}, "7:::2+0"),
    ({"type": "error", "reason": "unauthorized", "advice": "", "endpoint": "/woot"}, "7::/woot:2"),
    ({"type": "noop", "endpoint": "", "data": ""}, "8::"),
]


@pytest.mark.parametrize(("packet", "frame"), SENT, ids=[frame for _, frame in SENT])
def test_a_dict_of_gevent_socketio_is_spelled_as_it_was(packet: dict[str, Any], frame: str) -> None:
    assert SocketIO09().encode(Packet.of(packet)).frames == (frame,)


@pytest.mark.parametrize(
    ("frame", "packet"),
    [
        ("0::/woot", {"type": "disconnect", "endpoint": "/woot"}),
        ("1::/tobi", {"type": "connect", "endpoint": "/tobi"}),
        ("1::/test:?test=1", {"type": "connect", "endpoint": "/test", "data": {"test": "1"}}),
        ("2:::", {"type": "heartbeat", "endpoint": ""}),
        ("3:::woot", {"type": "message", "endpoint": "", "data": "woot"}),
        ("3:::\n", {"type": "message", "endpoint": "", "data": "\n"}),
        ("3:5:/tobi", {"type": "message", "endpoint": "/tobi", "id": 5, "ack": True, "data": ""}),
        ('4:::"2"', {"type": "json", "endpoint": "", "data": "2"}),
        ("4:::0", {"type": "json", "endpoint": "", "data": 0}),
        ("4:::null", {"type": "json", "endpoint": "", "data": None}),
        ('4:1+::{"a":"b"}', {"type": "json", "endpoint": "", "id": 1, "ack": "data", "data": {"a": "b"}}),
        (
            '5:::{"name":"woot", "args": ["foo"]}',
            {"type": "event", "endpoint": "", "name": "woot", "args": ["foo"]},
        ),
        ('5:::{"name":"woot"}', {"type": "event", "endpoint": "", "name": "woot", "args": []}),
        (
            '5:1+::{"name":"tobi"}',
            {"type": "event", "endpoint": "", "id": 1, "ack": "data", "name": "tobi", "args": []},
        ),
        ("6:::140", {"type": "ack", "endpoint": "", "ackId": 140, "args": []}),
        ("6::/chat:140", {"type": "ack", "endpoint": "/chat", "ackId": 140, "args": []}),
        (
            '6::/chat:140+["bob", "bob2"]',
            {"type": "ack", "endpoint": "/chat", "ackId": 140, "args": ["bob", "bob2"]},
        ),
        ("7:::0", {"type": "error", "endpoint": "", "reason": "transport not supported", "advice": ""}),
        ("7:::2+0", {"type": "error", "endpoint": "", "reason": "unauthorized", "advice": "reconnect"}),
        ("7:::", {"type": "error", "endpoint": "", "reason": "", "advice": ""}),
        ("7::/woot", {"type": "error", "endpoint": "/woot", "reason": "", "advice": ""}),
        ("8::", {"type": "noop", "endpoint": ""}),
    ],
)
def test_a_packet_answers_to_the_keys_it_had(frame: str, packet: dict[str, Any]) -> None:
    read = SocketIO09().decoder(Config()).feed(frame)
    assert read is not None
    assert {key: read[key] for key in packet} == packet


@pytest.mark.parametrize("frame", ["2::", "0::/woot", "3:::x", '4:::"2"', '5:::{"name":"x"}', "7:::0"])
def test_who_wants_no_ack_has_neither_number_nor_ack(frame: str) -> None:
    read = SocketIO09().decoder(Config()).feed(frame)
    assert read is not None
    assert [key for key in ("id", "ack", "ackId") if key in read] == []


# ---- the way of a packet ---------------------------------------------------------------------------------------


class Traced(Kept):
    """Writes down each step of each packet."""

    steps: ClassVar[list[str]] = []

    def process_packet(self, packet: Packet) -> Any:
        self.steps.append(f"process_packet {packet['type']}")
        return super().process_packet(packet)

    def process_event(self, packet: Packet) -> Any:
        self.steps.append(f"process_event {packet['name']}")
        return super().process_event(packet)

    def call_method_with_acl(self, method_name: str, packet: Packet, *args: Any) -> Any:
        self.steps.append(f"call_method_with_acl {method_name} {list(args)}")
        return super().call_method_with_acl(method_name, packet, *args)

    def call_method(self, method_name: str, packet: Packet, *args: Any) -> Any:
        self.steps.append(f"call_method {method_name}")
        return super().call_method(method_name, packet, *args)

    def on_user_message(self, *args: Any) -> None:
        self.steps.append("on_user_message")

    def recv_message(self, data: Any, /) -> None:
        self.steps.append("recv_message")

    def recv_json(self, data: Any, /) -> None:
        self.steps.append("recv_json")

    def recv_error(self, packet: Packet, /) -> None:
        self.steps.append(f"recv_error {packet['reason']}")

    def recv_connect(self) -> None:
        self.steps.append("recv_connect")

    def recv_disconnect(self) -> None:
        self.steps.append("recv_disconnect")


STEPS: dict[str, list[str]] = {
    "1::/chat": ["process_packet connect", "call_method recv_connect", "recv_connect"],
    '5::/chat:{"name":"user message","args":["hi",2]}': [
        "process_packet event",
        "process_event user message",
        "call_method_with_acl on_user_message ['hi', 2]",
        "call_method on_user_message",
        "on_user_message",
    ],
    "3::/chat:hi": [
        "process_packet message",
        "call_method_with_acl recv_message ['hi']",
        "call_method recv_message",
        "recv_message",
    ],
    '4::/chat:{"j":1}': [
        "process_packet json",
        "call_method_with_acl recv_json [{'j': 1}]",
        "call_method recv_json",
        "recv_json",
    ],
    "6::/chat:1": [],
    "2::": [],
    "0::/chat": ["process_packet disconnect", "call_method recv_disconnect", "recv_disconnect"],
}


async def test_a_packet_goes_from_one_overridable_method_to_the_next(transport: Transport) -> None:
    client = Wire(SocketIOApp(namespaces={"/": Kept, "/chat": Traced}), transport)
    async with client:
        await client.connect()
        steps: dict[str, list[str]] = {}
        for frame in STEPS:
            Traced.steps.clear()
            await client.says(frame)
            steps[frame] = Traced.steps.copy()
        assert steps == STEPS


async def test_an_error_packet_goes_to_recv_error() -> None:
    async with talking(Kept, Traced) as client:
        Traced.steps.clear()
        await client.says("7::/chat:2+0")
        assert (Traced.steps[0], Traced.steps[-1]) == ("process_packet error", "recv_error unauthorized")


@pytest.mark.parametrize("is_async", [False, True])
async def test_process_packet_may_be_replaced_altogether(is_async: bool, transport: Transport) -> None:
    class Plain(Kept):
        def process_packet(self, packet: Packet) -> Any:
            self.seen.append((str(packet.type), packet.get("data")))
            return "taken"

        def on_x(self) -> None:
            raise AssertionError("nothing calls it")

    class Async(Plain):
        async def process_packet(self, packet: Packet) -> Any:
            await asyncio.sleep(0)
            return super().process_packet(packet)

    cls = Async if is_async else Plain
    async with talking(Kept, cls, transport=transport) as client:
        assert await client.says(event("x", ack="1+", endpoint="/chat")) == ['6::/chat:1+["taken"]']
        assert await client.says("3:2+:/chat:hi") == ['6::/chat:2+["taken"]']
    assert cls.last.seen == [("connect", {}), ("event", None), ("message", "hi"), ("disconnect", "transport close")]


async def test_process_event_may_have_a_dispatch_of_its_own(transport: Transport) -> None:
    class Own(Kept):
        def process_event(self, packet: Packet) -> Any:
            return self.call_method_with_acl("on_" + packet["name"].replace(":", "_"), packet, len(packet["args"]))

        def on_file_chunk(self, count: int) -> int:
            return count

        async def on_file_end(self, packet: Packet) -> str:
            return str(packet["name"])

    async with talking(Own, transport=transport) as client:
        assert await client.says(event("file:chunk", 1, 2, ack="1+")) == ["6:::1+[2]"]
        assert await client.says(event("file:end", ack="2+")) == ['6:::2+["file:end"]']


async def test_steps_may_be_awaited_in_between() -> None:
    class Careful(Kept):
        async def process_event(self, packet: Packet) -> Any:
            result = await super().process_event(packet)
            return ["checked", result]

        async def call_method(self, method_name: str, packet: Packet, *args: Any) -> Any:
            await asyncio.sleep(0)
            return await super().call_method(method_name, packet, *args)

        def on_x(self, value: int) -> int:
            return value

    async with talking(Careful) as client:
        assert await client.says(event("x", 1, ack="1+")) == ['6:::1+[["checked",1]]']


async def test_a_space_in_an_event_is_an_underscore_and_a_dict_is_one_argument(transport: Transport) -> None:
    class Chat(Kept):
        def on_user_message(self, *args: Any) -> None:
            self.seen.append(("plain", args))

        async def on_a_b_c(self, first: Any, second: Any = "default") -> None:
            self.seen.append(("async", first, second))

    async with talking(Chat, transport=transport) as client:
        for frame in (
            event("user message", "hi"),
            event("user_message", {"a": 1}),
            event("user message", [1, 2]),
            event("a b c", None),
            event("a b_c", 1, 2),
        ):
            assert await client.says(frame) == []
        assert Chat.last.seen == [
            ("plain", ("hi",)),
            ("plain", ({"a": 1},)),
            ("plain", ([1, 2],)),
            ("async", None, "default"),
            ("async", 1, 2),
        ]


async def test_a_sole_argument_named_packet_is_the_packet_whatever_the_handler(transport: Transport) -> None:
    class Curious(Kept):
        def on_sole(self, packet: Packet) -> None:
            self.seen.append(packet)

        def on_two(self, packet: Any, more: Any) -> None:
            self.seen.append((packet, more))

        def on_other(self, pkt: Any) -> None:
            self.seen.append(pkt)

        def recv_connect(self, packet: Packet) -> None:
            self.seen.append(packet)

        def recv_message(self, packet: Packet) -> None:
            self.seen.append(packet)

        async def recv_json(self, packet: Packet) -> None:
            self.seen.append(packet)

        def recv_error(self, packet: Packet) -> None:
            self.seen.append(packet)

        def recv_disconnect(self, packet: Packet) -> None:
            self.seen.append(packet)

    async with talking(Kept, Curious, transport=transport) as client:
        for frame in (
            event("sole", 1, 2, ack="3+", endpoint="/chat"),
            event("two", 1, 2, endpoint="/chat"),
            event("other", 1, endpoint="/chat"),
            "3:4:/chat:hi",
            "4::/chat:[]",
            "7::/chat:0",
            "0::/chat",
        ):
            await client.says(frame)
    assert Curious.last.seen == [
        Packet(PacketType.CONNECT, "/chat", data={}),
        Packet(PacketType.EVENT, "/chat", name="sole", args=[1, 2], id=3, ack="data"),
        (1, 2),
        1,
        Packet(PacketType.MESSAGE, "/chat", data="hi", id=4, ack=True),
        Packet(PacketType.JSON, "/chat", data=[]),
        Packet(PacketType.ERROR, "/chat", data={"message": "transport not supported"}),
        Packet(PacketType.DISCONNECT, "/chat", data="client namespace disconnect"),
    ]


async def test_messages_and_events_of_that_name_are_different_things(transport: Transport) -> None:
    class Both(Kept):
        def recv_message(self, data: Any) -> None:
            self.seen.append(("recv_message", data))

        def on_message(self, data: Any) -> None:
            self.seen.append(("on_message", data))

        def recv_json(self, data: Any) -> None:
            self.seen.append(("recv_json", data))

        def on_json(self, data: Any) -> None:
            self.seen.append(("on_json", data))

    async with talking(Both, transport=transport) as client:
        for frame in ("3:::hi", event("message", "hi"), '4:::{"a":[1]}', event("json", 2), "3:::", "4:::null"):
            await client.says(frame)
        assert Both.last.seen == [
            ("recv_message", "hi"),
            ("on_message", "hi"),
            ("recv_json", {"a": [1]}),
            ("on_json", 2),
            ("recv_message", ""),
            ("recv_json", None),
        ]


async def test_without_handlers_of_their_own_messages_are_returned_to_who_wants_an_ack(transport: Transport) -> None:
    async with talking(Kept, transport=transport) as client:
        assert await client.says("3:1+::hi", '4:2+::{"a":1}') == ['6:::1+["hi"]', '6:::2+[{"a":1}]']
        assert await client.says("3:::hi", "4:::1", "7:::2", "8::") == []


# ---- a namespace and its socket --------------------------------------------------------------------------------


async def test_initialize_runs_on_every_class_without_super_before_the_client_is_in() -> None:
    order: list[str] = []

    class Mixin:
        def initialize(self) -> None:
            order.append("Mixin")

    class Base(BaseNamespace):
        def initialize(self) -> None:
            order.append(f"Base of {self.request} in {self.ns_name}")

    class Chat(Base, Mixin):
        def initialize(self) -> None:
            order.append("Chat")

        def recv_connect(self) -> None:
            order.append("recv_connect")

    async with talking(Kept, Chat, request="request"):
        assert order == ["Chat", "Base of request in /chat", "Mixin", "recv_connect"]


async def test_a_namespace_knows_its_scope_its_request_its_session_and_its_name(transport: Transport) -> None:
    class Chat(Kept):
        def recv_connect(self) -> None:
            self.session[self.ns_name] = len(self.session)

    async with talking(Kept, Chat, transport=transport, request="request") as client:
        root, chat = Kept.last, Chat.last
        socket = chat.socket
        assert (root.ns_name, chat.ns_name, Socket.GLOBAL_NS, socket.GLOBAL_NS) == ("", "/chat", "", "")
        assert (root.request, chat.request, socket.request) == ("request",) * 3
        assert root.environ is chat.environ is socket.environ
        assert (socket.environ["type"], socket.environ["path"]) == ("http", "/socket.io/1/")
        assert socket.environ["socketio"] is socket is root.socket
        assert root.session is chat.session is socket.session
        assert socket.session == {"/chat": 0}
        assert (socket[Socket.GLOBAL_NS], socket["/"], socket["/chat"]) == (root, root, chat)
        assert (socket.active_ns, "/chat" in socket, "/nope" in socket) == ({"": root, "/chat": chat}, True, False)
        assert (socket.sessid, socket.connected) == (client.handshake["sid"], True)
        app: Any = client.app
        assert socket.server is app.server
        assert socket.error_handler is default_error_handler
        await client.disconnect()
        assert (socket.connected, socket.active_ns) == (False, {})


async def test_a_namespace_that_the_client_is_not_in_cannot_be_had() -> None:
    async with talking(Kept) as client:
        with pytest.raises(KeyError, match=r"this client is not in the namespace '/chat'; it is in \[''\]"):
            Kept.last.socket["/chat"]
        await client.says("0::")
        with pytest.raises(KeyError):
            Kept.last.socket["/"]


async def test_each_client_has_a_session_of_its_own() -> None:
    app = SocketIOApp(namespaces={"/": Kept})
    async with Wire(app) as one, Wire(app) as two:
        dicts: list[Any] = []
        for client in (one, two):
            await client.connect()
            dicts.append(Kept.last.session)
        dicts[0]["name"] = "ada"
        assert dicts == [{"name": "ada"}, {}]


async def test_one_namespace_talks_and_opens_up_another(transport: Transport) -> None:
    class Door(Kept):
        def on_open(self) -> None:
            self.socket["/chat"].add_acl_method("on_kick")
            self.socket["/chat"].emit("opened")

    class Room(Kept):
        def get_initial_acl(self) -> list[str]:
            return []

        def on_kick(self) -> str:
            return "kicked"

    async with talking(Door, Room, transport=transport) as client:
        kick = event("kick", ack="1+", endpoint="/chat")
        assert error_of(await client.says(kick)) == "method_access_denied"
        assert await client.says(event("open")) == ['5::/chat:{"name":"opened"}']
        assert await client.says(kick) == ['6::/chat:1+["kicked"]']


def error_of(frames: list[Frame]) -> str:
    """The name of the error in an ack."""
    (frame,) = frames
    return str(json.loads(str(frame).partition("+")[2])[0]["error"]["name"])


@pytest.mark.parametrize(("packet", "frame"), SENT, ids=[frame for _, frame in SENT])
@pytest.mark.parametrize("as_packet", [False, True])
async def test_a_dict_of_gevent_socketio_is_sent_as_it_was(packet: Any, frame: str, as_packet: bool) -> None:
    async with talking(Kept, Kept) as client:
        Kept.last.socket.send_packet(Packet.of(packet) if as_packet else packet)
        assert await client.heard() == [frame]


async def test_what_is_no_packet_cannot_be_sent() -> None:
    async with talking(Kept) as client:
        socket = Kept.last.socket
        for packet in ({}, {"type": "unknown"}, {"type": "ack", "args": [1]}, {"type": "event", "args": [object()]}):
            with pytest.raises(UsageError):
                socket.send_packet(packet)
        assert await client.heard() == []


# ---- sending and acks ------------------------------------------------------------------------------------------


async def test_emit_and_send_carry_the_endpoint_of_their_namespace(transport: Transport) -> None:
    class Talk(Kept):
        def on_talk(self) -> None:
            self.emit("a")
            self.emit("b", 1, {"c": "é"})
            self.send("text é")
            self.send({"j": 1}, json=True)
            self.send("text", json=True)

    class Chat(Talk):
        pass

    async with talking(Talk, Chat, transport=transport) as client:
        for endpoint in ("", "/chat"):
            assert await client.says(event("talk", endpoint=endpoint)) == [
                f'5::{endpoint}:{{"name":"a"}}',
                f'5::{endpoint}:{{"name":"b","args":[1,{{"c":"\\u00e9"}}]}}',
                f"3::{endpoint}:text é",
                f'4::{endpoint}:{{"j":1}}',
                f'4::{endpoint}:"text"',
            ]


@pytest.mark.parametrize(
    ("returned", "args"),
    [
        ("value", '+["value"]'),
        (("a", 1), '+["a",1]'),
        (("one",), '+["one"]'),
        (["a", 1], '+[["a",1]]'),
        ({"a": None}, '+[{"a":null}]'),
        (False, "+[false]"),
        (0, "+[0]"),
        ("", '+[""]'),
        ("é\u2028", '+["\\u00e9\\u2028"]'),
        ((), ""),
    ],
)
async def test_what_a_handler_returns_answers_who_asked_with_a_plus(
    returned: Any, args: str, transport: Transport
) -> None:
    class Answering(Kept):
        def on_plain(self) -> Any:
            return returned

        async def on_async(self) -> Any:
            await asyncio.sleep(0)
            return returned

        def recv_message(self, data: Any) -> Any:
            return returned

        def recv_json(self, data: Any) -> Any:
            return returned

    class Chat(Answering):
        pass

    async with talking(Answering, Chat, transport=transport) as client:
        for endpoint in ("", "/chat"):
            asked = [
                event("plain", ack="1+", endpoint=endpoint),
                event("async", ack="2+", endpoint=endpoint),
                f"3:3+:{endpoint}:hi",
                f"4:4+:{endpoint}:{{}}",
            ]
            assert await client.says(*asked) == [f"6::{endpoint}:{number}{args}" for number in (1, 2, 3, 4)]
            assert await client.says(event("plain", endpoint=endpoint), f"3::{endpoint}:hi") == []


async def test_a_receipt_is_acknowledged_once_at_once_and_without_arguments(transport: Transport) -> None:
    gate = asyncio.Event()

    class Slow(Kept):
        async def on_x(self) -> str:
            await gate.wait()
            return "not sent"

        async def recv_message(self, data: Any) -> str:
            await gate.wait()
            return "not sent"

        async def recv_json(self, data: Any) -> str:
            await gate.wait()
            return "not sent"

    class Chat(Slow):
        pass

    async with talking(Slow, Chat, transport=transport) as client:
        asked = ["3:2::with ack", "4:3::{}", event("x", ack="4"), "3:5:/chat:hi", event("x", ack="6", endpoint="/chat")]
        assert await client.says(*asked) == ["6:::2", "6:::3", "6:::4", "6::/chat:5", "6::/chat:6"]
        gate.set()
        assert await client.heard() == []


async def test_who_is_not_in_a_namespace_gets_no_receipt_from_it(transport: Transport) -> None:
    async with talking(Kept, transport=transport) as client:
        assert await client.says("3:2:/chat:hi", event("x", ack="3+", endpoint="/chat"), "3:4::here") == ["6:::4"]


def number_of(frame: Frame) -> str:
    found = re.match(r"[35]:(\d+)\+:", str(frame))
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("answer", "args"), [("", ()), ("+[]", ()), ("+[1]", (1,)), ('+["a",{"b":null}]', ("a", {"b": None}))]
)
async def test_a_callback_gets_the_arguments_of_the_clients_ack(answer: str, args: Any, transport: Transport) -> None:
    class Asking(Kept):
        def on_ask(self) -> None:
            self.emit("question", "q?", callback=self.answered)

        def answered(self, *args: Any) -> None:
            self.seen.append(args)

    class Chat(Asking):
        pass

    async with talking(Asking, Chat, transport=transport) as client:
        for cls, endpoint in ((Asking, ""), (Chat, "/chat")):
            (asked,) = await client.says(event("ask", endpoint=endpoint))
            number = number_of(asked)
            assert asked == f'5:{number}+:{endpoint}:{{"name":"question","args":["q?"]}}'
            assert await client.says(f"6::{endpoint}:{number}{answer}", f"6::{endpoint}:{number}{answer}") == []
            assert cls.last.seen == [args]


@pytest.mark.parametrize(
    ("answer", "value"), [("", None), ("+[]", None), ("+[1]", 1), ("+[[1]]", [1]), ('+["a",2]', ("a", 2))]
)
async def test_call_returns_the_arguments_of_the_clients_ack(answer: str, value: Any, transport: Transport) -> None:
    class Asking(Kept):
        async def on_ask(self) -> None:
            self.seen.append(await self.call("question", "q?"))

    async with talking(Asking, transport=transport) as client:
        (asked,) = await client.says(event("ask"))
        assert asked == f'5:{number_of(asked)}+::{{"name":"question","args":["q?"]}}'
        await client.says(f"6:::{number_of(asked)}{answer}")
        assert Asking.last.seen == [value]


async def test_an_ack_of_another_namespace_or_number_is_none(transport: Transport) -> None:
    class Asking(Kept):
        def on_ask(self) -> None:
            self.emit("question", callback=self.seen.append)

    class Chat(Asking):
        pass

    async with talking(Asking, Chat, transport=transport) as client:
        (asked,) = await client.says(event("ask", endpoint="/chat"))
        number = number_of(asked)
        assert await client.says(f"6:::{number}+[1]", "6::/chat:999+[2]", f"6::/nope:{number}+[3]") == []
        assert await client.says(f"6::/chat:{number}+[4]") == []
        assert (Asking.last.seen, Chat.last.seen) == ([], [4])


async def test_clients_of_the_test_client_answer_calls_and_callbacks_too(transport: Transport) -> None:
    class Asking(Kept):
        async def on_ask(self) -> Any:
            self.emit("question", 1, callback=self.seen.append)
            return await self.call("question", 2)

    async with talking(Asking, transport=transport) as client:
        root = client.namespaces[""]
        root.on("question", (10).__mul__)
        assert await root.call("ask") == 20
        assert Asking.last.seen == [10]


# ---- errors ----------------------------------------------------------------------------------------------------


class Faulty(Kept):
    def get_initial_acl(self) -> list[str]:
        return ["on_x", "on_raise", "on_tell", "on_two"]

    def on_x(self) -> None: ...

    def on_secret(self) -> None: ...

    def on_two(self, a: Any, b: Any) -> None: ...

    def on_raise(self) -> None:
        raise ValueError("the secret of the program")

    def on_tell(self, *args: Any) -> None:
        self.error(*args)


class FaultyChat(Faulty):
    pass


ERRORS: list[tuple[str, str, str]] = [
    ("secret", "method_access_denied", 'You do not have access to method "on_secret"'),
    ("nothing", "no_such_method", "There is no handler for the event 'nothing'"),
    ("two", "invalid_arguments", 'The method "on_two" takes 2 arguments, 0 given'),
    ("raise", "handler_error", "The handler of 'raise' failed"),
]


@pytest.mark.parametrize(("name", "error", "message"), ERRORS)
async def test_an_error_is_told_by_an_event_or_by_the_ack_that_is_awaited(
    name: str, error: str, message: str, transport: Transport, caplog: Log
) -> None:
    async with talking(Faulty, FaultyChat, transport=transport) as client:
        for endpoint in ("", "/chat"):
            told = json.dumps({"name": "error", "args": [error, message]}, separators=(",", ":"))
            assert await client.says(event(name, endpoint=endpoint)) == [f"5::{endpoint}:{told}"]
            answer = json.dumps([{"error": {"name": error, "message": message}}], separators=(",", ":"))
            assert await client.says(event(name, ack="7+", endpoint=endpoint)) == [f"6::{endpoint}:7+{answer}"]
            assert await client.says(event(name, ack="8", endpoint=endpoint)) == [
                f"6::{endpoint}:8",
                f"5::{endpoint}:{told}",
            ]
    assert error == "handler_error" or message in caplog.text


@pytest.mark.parametrize(("name", "error", "message"), ERRORS)
async def test_the_error_handler_of_the_view_is_told_instead(name: str, error: str, message: str) -> None:
    told: list[Any] = []

    def error_handler(socket: Any, *args: Any) -> None:
        assert socket is Faulty.last.socket
        told.append(args)

    async with talking(Faulty, Faulty, error_handler=error_handler) as client:
        assert await client.says(event(name)) == []
        assert error_of(await client.says(event(name, ack="7+", endpoint="/chat"))) == error
        assert await client.says(event(name, ack="8")) == ["6:::8"]
    assert told == [
        (error, message, "", None, False),
        (error, message, "/chat", 7, True),
        (error, message, "", 8, False),
    ]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("name", "message"), ("name", "message", "/chat", None, False)),
        (("name", "message", 7), ("name", "message", "/chat", 7, False)),
        (("name", "message", None, True), ("name", "message", "/chat", None, True)),
    ],
)
async def test_a_program_may_tell_of_errors_itself(args: Any, told: Any) -> None:
    calls: list[Any] = []

    def error_handler(
        socket: Any, error_name: str, error_message: str, endpoint: str, msg_id: int | None, quiet: bool
    ) -> None:
        calls.append((error_name, error_message, endpoint, msg_id, quiet))

    async with talking(Kept, Faulty, error_handler=error_handler) as client:
        assert await client.says(event("tell", *args, endpoint="/chat")) == []
        assert calls == [told]


async def test_error_takes_its_arguments_by_name_and_returns_what_the_handler_does() -> None:
    def error_handler(*args: Any) -> Any:
        return args[1:]

    async with talking(Kept, error_handler=error_handler):
        namespace, socket = Kept.last, Kept.last.socket
        assert namespace.error("n", "m", msg_id=1, quiet=True) == ("n", "m", "", 1, True)
        assert socket.error("n", "m") == ("n", "m", "", None, False)
        assert socket.error("n", "m", endpoint="/x", msg_id=2, quiet=True) == ("n", "m", "/x", 2, True)


async def test_the_default_error_handler_logs_and_unless_it_is_quiet_tells_the_client(caplog: Log) -> None:
    async with talking(Kept, Faulty) as client:
        assert await client.says(event("tell", "loud", "message", endpoint="/chat")) == [
            '5::/chat:{"name":"error","args":["loud","message"]}'
        ]
        assert await client.says(event("tell", "quiet", "message", None, True, endpoint="/chat")) == []
        default_error_handler(Kept.last.socket, "direct", "message", "", None, False)
        assert await client.heard() == ['5:::{"name":"error","args":["direct","message"]}']
    assert [name for name in ("loud", "quiet", "direct") if f"{name}: message" in caplog.text] == [
        *("loud", "quiet", "direct")
    ]


def as_method(self: Any, function: Callable[..., Any]) -> Any:
    return as_static(function)


def as_static(function: Callable[..., Any]) -> Any:
    async def guarded(*args: Any) -> Any:
        try:
            result = function(*args)
            return await result if hasattr(result, "__await__") else result
        except ValueError as error:
            return f"caught {error} of {function.__name__}"

    return guarded


@pytest.mark.parametrize("decorator", [as_method, staticmethod(as_static), classmethod(as_method)])
async def test_exception_handler_decorator_wraps_whatever_a_client_calls(decorator: Any, transport: Transport) -> None:
    class Decorated(Kept):
        exception_handler_decorator = decorator

        def on_plain(self, x: int) -> float:
            return self.fail(x)

        async def on_async(self, x: int) -> float:
            await asyncio.sleep(0)
            return self.fail(x)

        def on_packet(self, packet: Packet) -> float:
            return self.fail(packet["args"][0])

        def recv_message(self, data: Any) -> float:
            return self.fail(0)

        def recv_json(self, data: Any) -> float:
            return self.fail(data)

        def fail(self, x: int) -> float:
            if not x:
                raise ValueError("nothing")
            return x

    async with talking(Decorated, transport=transport) as client:
        asked = [*(event(name, x, ack="1+") for name in ("plain", "async", "packet") for x in (0, 1)), "3:1+::x"]
        assert await client.says(*asked, "4:1+::0", "4:1+::1") == [
            '6:::1+["caught nothing of on_plain"]',
            "6:::1+[1]",
            '6:::1+["caught nothing of on_async"]',
            "6:::1+[1]",
            '6:::1+["caught nothing of on_packet"]',
            "6:::1+[1]",
            '6:::1+["caught nothing of recv_message"]',
            '6:::1+["caught nothing of recv_json"]',
            "6:::1+[1]",
        ]


async def test_exception_handler_decorator_wraps_jobs_too() -> None:
    class Decorated(Kept):
        def exception_handler_decorator(self, function: Callable[..., Any]) -> Any:
            async def guarded(*args: Any) -> None:
                try:
                    result = function(*args)
                    if hasattr(result, "__await__"):
                        await result
                except ValueError as error:
                    self.emit("sorry", str(error))

            return guarded

        def on_work(self) -> None:
            self.spawn(self.work, "too hard")

        async def work(self, why: str) -> None:
            raise ValueError(why)

    async with talking(Decorated) as client:
        assert await client.says(event("work")) == ['5:::{"name":"sorry","args":["too hard"]}']


async def test_the_programs_own_json_is_used_both_ways_and_goes_out_as_ascii(transport: Transport) -> None:
    class Echo(Kept):
        def on_echo(self, value: Any) -> Any:
            return value

    def json_loads(text: str) -> Any:
        return json.loads(text, parse_float=Decimal)

    def json_dumps(value: Any) -> str:
        return json.dumps(value, default=lambda other: f"é{other}", ensure_ascii=False)

    async with talking(Echo, transport=transport, json_loads=json_loads, json_dumps=json_dumps) as client:
        assert await client.says(event("echo", 0.1, ack="1+")) == ['6:::1+["\\u00e90.1"]']


# ---- access control --------------------------------------------------------------------------------------------


class Guarded(Kept):
    """What its ``acl`` is at first is its ``get_initial_acl``."""

    acl: ClassVar[Any] = None

    def get_initial_acl(self) -> Any:
        return self.acl

    def on_a(self) -> str:
        return "a"

    def on_b(self) -> str:
        return "b"

    def recv_message(self, data: Any) -> str:
        return "message"

    def recv_json(self, data: Any) -> str:
        return "json"

    def recv_error(self, packet: Any) -> None:
        self.seen.append("error")


@pytest.mark.parametrize(
    ("acl", "allowed"),
    [
        (None, {"on_a", "on_b", "recv_message", "recv_json", "recv_error"}),
        ([], set[str]()),
        (["on_a"], {"on_a"}),
        ({"on_b", "recv_json"}, {"on_b", "recv_json"}),
        (("recv_message", "recv_error"), {"recv_message", "recv_error"}),
    ],
)
async def test_a_client_reaches_what_the_initial_acl_names(acl: Any, allowed: set[str], transport: Transport) -> None:
    class Chat(Guarded):
        pass

    Chat.acl = acl
    async with talking(Kept, Chat, transport=transport) as client:
        asked = {
            "on_a": event("a", ack="1+", endpoint="/chat"),
            "on_b": event("b", ack="1+", endpoint="/chat"),
            "recv_message": "3:1+:/chat:x",
            "recv_json": "4:1+:/chat:{}",
        }
        reached = {name for name, frame in asked.items() if "error" not in str(await client.says(frame))}
        await client.says("7::/chat:0")
        assert (reached | {"recv_error"} if Chat.last.seen else reached) == allowed
        assert {name for name in (*asked, "recv_error") if Chat.last.is_method_allowed(name)} == allowed
        assert Chat.last.allowed_methods == (None if acl is None else set(acl))


def allowed(namespace: Guarded) -> list[str]:
    return [name for name in ("on_a", "on_b", "recv_json", "on_nothing") if namespace.is_method_allowed(name)]


ALL = ["on_a", "on_b", "recv_json", "on_nothing"]


async def test_an_acl_is_added_to_taken_from_lifted_and_reset() -> None:
    class Chat(Guarded):
        acl = frozenset({"on_a"})

    async with talking(Chat):
        chat = Chat.last
        assert allowed(chat) == ["on_a"]
        chat.add_acl_method("on_b")
        assert allowed(chat) == ["on_a", "on_b"]
        chat.del_acl_method("on_a")
        assert allowed(chat) == ["on_b"]
        with pytest.raises(KeyError, match="on_a"):
            chat.del_acl_method("on_a")
        chat.lift_acl_restrictions()
        assert (allowed(chat), chat.allowed_methods) == (ALL, None)
        chat.reset_acl()
        assert (allowed(chat), chat.allowed_methods) == (["on_a"], {"on_a"})
        assert Chat.acl == {"on_a"}


async def test_without_restrictions_there_is_nothing_to_take_away_and_the_first_method_restricts() -> None:
    async with talking(Guarded):
        namespace = Guarded.last
        with pytest.raises(ValueError, match="no ACL restrictions yet"):
            namespace.del_acl_method("on_a")
        namespace.add_acl_method("on_a")
        assert allowed(namespace) == ["on_a"]
        namespace.del_acl_method("on_a")
        assert (allowed(namespace), namespace.allowed_methods) == ([], set())


async def test_a_handler_may_open_the_rest(transport: Transport) -> None:
    class Chat(Guarded):
        acl = ("on_login",)

        def on_login(self, name: str) -> None:
            if name == "ada":
                self.lift_acl_restrictions()

    async with talking(Chat, transport=transport) as client:
        assert error_of(await client.says(event("a", ack="1+"))) == "method_access_denied"
        assert await client.says(event("login", "eve", ack="2+")) == ["6:::2"]
        assert error_of(await client.says(event("a", ack="3+"))) == "method_access_denied"
        assert await client.says(event("login", "ada", ack="4+"), event("a", ack="5+")) == ["6:::4", '6:::5+["a"]']


async def test_two_clients_have_acls_of_their_own() -> None:
    class Chat(Guarded):
        acl = ("on_a",)

    app = SocketIOApp(namespaces={"/": Chat})
    async with Wire(app) as one, Wire(app) as two:
        namespaces: list[Guarded] = []
        for client in (one, two):
            await client.connect()
            namespaces.append(Chat.last)
        namespaces[0].add_acl_method("on_b")
        assert [allowed(namespace) for namespace in namespaces] == [["on_a", "on_b"], ["on_a"]]


# ---- going ------------------------------------------------------------------------------------------------------


class Leaving(Kept):
    reasons: ClassVar[list[Any]] = []

    def on_out(self) -> None:
        self.disconnect()

    def on_silently(self) -> None:
        self.disconnect(silent=True)

    def on_away(self) -> None:
        self.socket.disconnect()

    def on_echo(self, *args: Any) -> Any:
        return args

    def recv_disconnect(self, reason: str) -> None:
        self.reasons.append((self.ns_name, reason, self.socket.connected))


class LeavingChat(Leaving):
    pass


@pytest.fixture
def reasons() -> list[Any]:
    Leaving.reasons.clear()
    return Leaving.reasons


async def test_a_client_that_leaves_a_namespace_is_not_answered_and_no_longer_heard_there(
    reasons: list[Any], transport: Transport
) -> None:
    async with talking(Leaving, LeavingChat, transport=transport) as client:
        assert await client.says("0::/chat") == []
        assert reasons == [("/chat", "client namespace disconnect", True)]
        assert await client.says(event("echo", ack="1+", endpoint="/chat"), event("echo", 1, ack="2+")) == ["6:::2+[1]"]
        assert await client.says("0::/chat") == []
        assert await client.says("1::/chat", event("echo", 3, ack="3+", endpoint="/chat")) == [
            "1::/chat",
            "6::/chat:3+[3]",
        ]


async def test_a_client_that_leaves_the_root_leaves_altogether(reasons: list[Any], transport: Transport) -> None:
    async with talking(Leaving, LeavingChat, transport=transport) as client:
        await client.says("0::")
        assert sorted(reasons) == [(name, "client namespace disconnect", False) for name in ("", "/chat")]


async def test_a_namespace_throws_its_client_out(reasons: list[Any], transport: Transport) -> None:
    async with talking(Leaving, LeavingChat, transport=transport) as client:
        assert await client.says(event("out", endpoint="/chat")) == ["0::/chat"]
        assert reasons == [("/chat", "server namespace disconnect", True)]
        assert LeavingChat.last.socket.active_ns == {"": Leaving.last}
        assert await client.says(event("echo", ack="1+", endpoint="/chat"), event("echo", 1, ack="2+")) == ["6:::2+[1]"]


async def test_or_does_not_tell_it(reasons: list[Any], transport: Transport) -> None:
    async with talking(Leaving, LeavingChat, transport=transport) as client:
        assert await client.says(event("silently", endpoint="/chat")) == []
        assert reasons == [("/chat", "server namespace disconnect", True)]


@pytest.mark.parametrize("how", ["out", "away"])
async def test_the_root_and_the_socket_throw_it_out_altogether(
    how: str, reasons: list[Any], transport: Transport
) -> None:
    async with talking(Leaving, LeavingChat, transport=transport) as client:
        assert await client.says(event(how)) == ["0::"]
        assert sorted(reasons) == [(name, "server namespace disconnect", False) for name in ("", "/chat")]
        assert client.namespaces["/chat"].reason == "io server disconnect"


async def test_the_end_of_the_connection_is_told_to_every_namespace_once(
    reasons: list[Any], transport: Transport
) -> None:
    async with talking(Leaving, LeavingChat, transport=transport) as client:
        await client.says("0::/chat")
        await client.disconnect()
        assert reasons == [("/chat", "client namespace disconnect", True), ("", "transport close", False)]


async def test_jobs_end_with_their_namespace_or_when_they_are_killed() -> None:
    class Busy(Kept):
        def on_work(self) -> None:
            self.spawn(self.work)

        def on_kill(self) -> None:
            self.kill_local_jobs()

        async def work(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.seen.append("ended")

    async with talking(Kept, Busy) as client:
        for end in (event("kill", endpoint="/chat"), "0::/chat"):
            await client.says("1::/chat", event("work", endpoint="/chat"), event("work", endpoint="/chat"))
            busy = Busy.last
            busy.seen.clear()
            await client.says(end)
            assert busy.seen == ["ended", "ended"]


# ---- mixins ----------------------------------------------------------------------------------------------------


class Lobby(Kept, RoomsMixin, BroadcastMixin):
    def on_join(self, room: str) -> None:
        self.join(room)

    def on_leave(self, room: str) -> None:
        self.leave(room)

    def on_rooms(self) -> list[str]:
        return sorted(self.rooms)

    def on_room(self, room: str) -> None:
        self.emit_to_room(room, "room", "é", 1)

    def on_all(self) -> None:
        self.broadcast_event("all", {"a": 1})

    def on_others(self) -> None:
        self.broadcast_event_not_me("others")


class Lounge(Lobby):
    pass


@asynccontextmanager
async def three(transport: Transport) -> AsyncGenerator[list[Wire]]:
    """Three clients in the lobby, two of them in ``/lounge`` too."""
    app = SocketIOApp(namespaces={"/": Lobby, "/lounge": Lounge})
    async with Wire(app, transport) as one, Wire(app, transport) as two, Wire(app, transport) as three:
        clients: list[Any] = [one, two, three]
        for client in clients:
            await client.connect()
            if client is not three:
                await client.connect("/lounge")
            await client.heard()
        yield clients


async def test_rooms_reach_the_others_in_them_in_this_namespace(transport: Transport) -> None:
    async with three(transport) as (one, two, three_):
        for client in (one, two):
            await client.says(event("join", "red"))
        await one.says(event("join", "red", endpoint="/lounge"), event("join", "blue"))
        assert await one.says(event("room", "red")) == []
        said = '5:::{"name":"room","args":["\\u00e9",1]}'
        assert [await two.heard(), await three_.heard()] == [[said], []]
        assert await three_.says(event("room", "red")) == []
        assert [await one.heard(), await two.heard()] == [[said], [said]]
        assert await two.says(event("room", "red", endpoint="/lounge")) == []
        assert await one.heard() == [said.replace(":::", "::/lounge:", 1)]
        assert await one.says(event("rooms", ack="1+"), event("rooms", ack="1+", endpoint="/lounge")) == [
            '6:::1+[["blue","red"]]',
            '6::/lounge:1+[["red"]]',
        ]
        await two.says(event("leave", "red"))
        assert await one.says(event("room", "red")) == []
        assert await two.heard() == []


async def test_broadcasts_reach_everybody_or_everybody_else(transport: Transport) -> None:
    async with three(transport) as (one, two, three_):
        said = '5:::{"name":"all","args":[{"a":1}]}'
        assert await one.says(event("all")) == [said]
        assert [await two.heard(), await three_.heard()] == [[said], [said]]
        assert await one.says(event("others")) == []
        assert [await two.heard(), await three_.heard()] == [['5:::{"name":"others"}']] * 2


# ---- different on purpose --------------------------------------------------------------------------------------


async def test_recv_connect_runs_on_the_global_namespace_too_and_gets_the_query(transport: Transport) -> None:
    class Door(Kept):
        def recv_connect(self, auth: Any) -> None:
            self.seen.append(auth)

    class Chat(Door):
        pass

    client = Wire(SocketIOApp(namespaces={"/": Door, "/chat": Chat}), transport)
    async with client:
        await client.connect(auth={"name": "ada"})
        await client.connect("/chat", auth={"room": "red", "token": "é &="})
        assert Door.last.seen == [{"name": "ada"}]
        assert Chat.last.seen == [{"name": "ada", "room": "red", "token": "é &="}]


async def test_recv_connect_decides_before_the_client_is_told(transport: Transport) -> None:
    class Door(Kept):
        async def recv_connect(self, auth: Any) -> None:
            self.emit("welcome")
            await asyncio.sleep(0)
            if auth.get("name") != "ada":
                raise ConnectionRefused("who are you?")

    client = Wire(SocketIOApp(namespaces={"/": Kept, "/chat": Door}), transport)
    async with client:
        await client.connect()
        assert await client.says("1::/chat") == ["7::/chat:2"]
        assert await client.says("1::/chat:?name=ada") == ["1::/chat", '5::/chat:{"name":"welcome"}']
        assert await client.says("1::/chat") == ["1::/chat"]


async def test_a_client_refused_by_the_global_namespace_has_no_connection(transport: Transport) -> None:
    class Door(Kept):
        def recv_connect(self) -> None:
            raise ConnectionRefused("who are you?")

    async with Wire(SocketIOApp(namespaces={"/": Door}), transport) as client:
        with pytest.raises(ClientRefused) as refusal:
            await client.connect()
        assert (refusal.value.status, refusal.value.body) == (403, b"who are you?")


async def test_a_namespace_begins_with_a_connect(transport: Transport) -> None:
    client = Wire(SocketIOApp(namespaces={"/": Kept, "/chat": Guarded}), transport)
    async with client:
        await client.connect()
        Guarded.last = None
        assert await client.says(event("a", ack="1+", endpoint="/chat"), "3::/chat:hi", "4::/chat:1") == []
        assert Guarded.last is None
        assert await client.says("1::/chat", event("a", ack="2+", endpoint="/chat")) == ["1::/chat", '6::/chat:2+["a"]']


async def test_a_list_as_initial_acl_is_added_to() -> None:
    class Chat(Guarded):
        acl = ("on_a", "on_a")

        def get_initial_acl(self) -> list[str]:
            return list(self.acl)

    async with talking(Chat):
        Chat.last.add_acl_method("on_b")
        assert allowed(Chat.last) == ["on_a", "on_b"]
        Chat.last.reset_acl()
        assert allowed(Chat.last) == ["on_a"]


async def test_acls_block_neither_the_guard_at_the_door_nor_the_clean_up(transport: Transport) -> None:
    class Chat(Guarded):
        acl = ()

        def recv_connect(self) -> None:
            self.seen.append("recv_connect")

        def recv_disconnect(self) -> None:
            self.seen.append("recv_disconnect")

    async with talking(Kept, Chat, transport=transport) as client:
        await client.says("0::/chat")
        assert Chat.last.seen == ["recv_connect", "recv_disconnect"]


async def test_a_broadcast_reaches_only_who_has_joined_the_namespace(transport: Transport) -> None:
    async with three(transport) as (one, two, three_):
        said = '5::/lounge:{"name":"all","args":[{"a":1}]}'
        assert await one.says(event("all", endpoint="/lounge")) == [said]
        assert [await two.heard(), await three_.heard()] == [[said], []]
        await two.says("0::/lounge")
        assert await one.says(event("all", endpoint="/lounge"), event("others", endpoint="/lounge")) == [said]
        assert [await two.heard(), await three_.heard()] == [[], []]


async def test_leaving_a_room_that_one_is_not_in_is_no_error(transport: Transport) -> None:
    async with three(transport) as (one, _, _):
        assert await one.says(
            event("leave", "red", ack="1+"), event("join", "blue"), event("leave", "red", ack="2+")
        ) == [
            "6:::1",
            "6:::2",
        ]


async def test_session_ids_cannot_be_guessed() -> None:
    app = SocketIOApp(namespaces={"/": Kept})
    sids: set[str] = set()
    for _ in range(20):
        async with Wire(app) as client:
            await client.connect()
            assert Kept.last.socket.sessid not in Kept.last.sid
            sids.add(Kept.last.socket.sessid)
    assert len(sids) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20,}", sid) and not sid.isdigit() for sid in sids)  # 6 bits a character


async def test_a_handlers_exception_is_logged_with_its_traceback_and_closes_nothing(
    transport: Transport, caplog: Log
) -> None:
    caplog.set_level(logging.ERROR, "asocketio")
    async with talking(Faulty, transport=transport) as client:
        frames = await client.says(event("raise"), event("raise", ack="1+"), event("x", ack="2+"))
        assert (len(frames), frames[-1], Faulty.last.socket.connected) == (3, "6:::2", True)
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [ValueError] * 2
    assert "secret of the program" in caplog.text
    assert not [frame for frame in frames if "secret of the program" in str(frame)]


async def test_an_error_handler_that_raises_closes_nothing_either(caplog: Log) -> None:
    def error_handler(*args: Any) -> None:
        raise KeyError("broken")

    async with talking(Faulty, error_handler=error_handler) as client:
        assert error_of(await client.says(event("raise", ack="1+"))) == "handler_error"
        await client.says(event("nothing"), event("secret"), event("tell", "a", "b"))
        assert await client.says(event("x", ack="2+")) == ["6:::2"]
    assert "the error_handler itself failed" in caplog.text


async def test_a_handler_that_returns_nothing_sends_an_ack_without_arguments(transport: Transport) -> None:
    async with talking(Faulty, transport=transport) as client:
        assert await client.says(event("x", ack="1+")) == ["6:::1"]


async def test_number_0_is_a_number() -> None:
    async with talking(Faulty) as client:
        assert await client.says(event("x", ack="0+")) == ["6:::0"]


async def test_send_with_a_callback_waits_for_the_clients_own_ack(transport: Transport) -> None:
    class Asking(Kept):
        def on_ask(self) -> None:
            self.send("text", callback=self.seen.append)
            self.send({"j": 1}, json=True, callback=self.seen.append)

    async with talking(Asking, transport=transport) as client:
        first, second = (str(frame) for frame in await client.says(event("ask")))
        assert re.fullmatch(r"3:\d+\+::text", first)
        assert re.fullmatch(r'4:\d+\+::\{"j":1\}', second)
        await client.says(f"6:::{number_of(first)}+[1]", f"6:::{second.split(':')[1][:-1]}+[2]")
        assert Asking.last.seen == [1, 2]


@pytest.mark.parametrize("name", ["$foo", "a:b", "é", "1", "a-b", "", "__init__", "x" * 1000])
async def test_an_event_may_have_any_name(name: str) -> None:
    async with talking(Kept) as client:
        (told,) = await client.says(event(name))
        assert json.loads(str(told).partition(":::")[2])["args"] == [
            "no_such_method",
            f"There is no handler for the event {name[:100]!r}",
        ]


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error", "disconnecting"])
async def test_but_for_those_of_the_clients_own_life_which_are_dropped(name: str, transport: Transport) -> None:
    async with talking(Faulty, transport=transport) as client:
        assert await client.says(event(name, ack="1+"), event("x", ack="2+")) == ["6:::2"]
    with pytest.raises(UsageError, match="would never be called"):
        type("Never", (BaseNamespace,), {f"on_{name}": BaseNamespace.initialize})


async def test_what_cannot_be_read_is_dropped_and_told_to_nobody(transport: Transport) -> None:
    told: list[Any] = []

    def error_handler(*args: Any) -> None:
        told.append(args)

    async with talking(Faulty, transport=transport, error_handler=error_handler) as client:
        bad = ["99::", "5:::", "5:::{", '5:::{"args":[]}', "4:::{", "6:::x", "x", "5:a::{}"]
        assert await client.says(*bad, event("x", ack="1+")) == ["6:::1"]
    assert told == []


async def test_a_namespace_that_is_not_served_is_refused_and_told_to_nobody(transport: Transport) -> None:
    told: list[Any] = []

    def error_handler(*args: Any) -> None:
        told.append(args)

    async with talking(Faulty, transport=transport, error_handler=error_handler) as client:
        assert await client.says("1::/nope", event("x", ack="1+")) == ["7::/nope:2", "6:::1"]
    assert told == []


async def test_a_decimal_is_no_json() -> None:
    async with talking(Kept) as client:
        with pytest.raises(UsageError, match="Decimal"):
            Kept.last.emit("price", Decimal("0.5"))
        assert await client.heard() == []


async def test_the_socket_takes_no_attributes_of_the_program() -> None:
    async with talking(Kept):
        with pytest.raises(AttributeError):
            Kept.last.socket.user = "ada"
        Kept.last.session["user"] = "ada"
        assert Kept.last.socket.session == {"user": "ada"}


async def test_recv_disconnect_that_calls_disconnect_runs_once_and_has_its_rooms(transport: Transport) -> None:
    class Old(Lobby):
        def recv_disconnect(self) -> None:
            self.seen.append(sorted(self.rooms))
            self.disconnect(silent=True)

    async with talking(Kept, Old, transport=transport) as client:
        await client.says(event("join", "red", endpoint="/chat"))
        assert await client.says("0::/chat") == []
        assert Old.last.seen == [["red"]]
        with pytest.raises(Disconnected):
            await Old.last.emit("too late")
