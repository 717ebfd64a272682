"""Entries of the stream and messages beside it, against bytes that were captured between servers of Node."""

from __future__ import annotations

import base64
from typing import Any

import msgpack
import pytest

from asocketio import Packet
from asocketio.adapters.base import Target
from asocketio.adapters.cluster.messages import Body, Broadcast, ClientCount, Disconnect, Fetch, Join, Message
from asocketio.adapters.redis.places import place_of
from asocketio.adapters.redis.sharded_engine import ShardedEngine
from asocketio.adapters.redis.streams_engine import StreamsEngine, entry_command, read_entry
from asocketio.errors import MalformedMessage
from asocketio.protocol.packet import EVENT

UID = "ee78ada99ddc1da4"
R1 = Target("", frozenset({"r1"}))


def event(name: str, *args: Any) -> Packet:
    return Packet(EVENT, "", name, list(args))


def message(body: Body, to: str | None = None) -> Message:
    return Message(UID, "", body, to)


@pytest.mark.parametrize(
    ("body", "number", "data"),
    [
        (
            Broadcast(event("hi", 1, "x"), Target("")),
            "3",
            b'{"packet":{"type":2,"data":["hi",1,"x"]},"opts":{"rooms":[],"except":[],"flags":{}}}',
        ),
        (
            Broadcast(event("bin", b"\1\2\3"), R1),
            "3",
            b"gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkaJyMaZleGNlcHSQpWZsYWdzgA==",
        ),
        (
            Join(R1, frozenset({"r9"})),
            "4",
            b'{"opts":{"rooms":["r1"],"except":[],"flags":{}},"rooms":["r9"]}',
        ),
        (Disconnect(R1, True), "6", b'{"opts":{"rooms":["r1"],"except":[],"flags":{}},"close":true}'),
    ],
)
def test_entries_are_written_as_node_writes_them_and_read_back(body: Body, number: str, data: bytes) -> None:
    command = entry_command(message(body), "socket.io", 10_000)
    assert command == (
        "XADD", "socket.io", "MAXLEN", "~", 10_000, "*", "uid", UID, "nsp", "/", "type", number, "data", data,
    )  # fmt: skip
    fields = {b"uid": UID.encode(), b"nsp": b"/", b"type": number.encode(), b"data": data}
    assert read_entry(fields, 1000) == message(body)


GOOD = {b"uid": b"u", b"nsp": b"/", b"type": b"3", b"data": b'{"packet":{"type":2,"data":["x"]},"opts":{"rooms":[]}}'}


@pytest.mark.parametrize(
    "changed",
    [
        {b"uid": b""}, {b"uid": b"\xff"}, {b"uid": b"x" * 101}, {b"nsp": b"chat"}, {b"nsp": b"\xff"}, {b"type": b""},
        {b"type": b"x"}, {b"type": b"-1"}, {b"type": b"99"}, {b"type": b"9" * 5000}, {b"type": b"7"}, {b"data": b""},
        {b"data": b"{"}, {b"data": b"{}"}, {b"data": b"$$$"}, {b"data": b"abc"}, {b"data": b"\xff\xff"},
        {b"data": base64.b64encode(b"\xc1")}, {b"data": base64.b64encode(msgpack.packb([1]))},
        {b"data": b'{"packet":{"type":2,"data":["x"]}}'}, {b"data": b'{"x":"' + b"x" * 1000 + b'"}'},
    ],
)  # fmt: skip
def test_what_is_no_entry_is_refused(changed: dict[bytes, bytes]) -> None:
    assert read_entry(GOOD, 1000).uid == "u"
    with pytest.raises(MalformedMessage):
        read_entry(GOOD | changed, 1000)


def test_questions_and_answers_go_through_channels() -> None:
    engine = StreamsEngine(place_of("redis://h"), "socket.io", "socket.io", 10_000)
    command, channel, data = engine.encode(message(Fetch(R1, "031bedd0887173b6"))).content
    assert (command, channel) == ("PUBLISH", "socket.io#/#")
    captured = bytes.fromhex(
        "84a47479706507a46461746182a46f70747383a5726f6f6d7391a27231a665786365707490a5666c61677380a9726571756573744964"
        "b030333162656464303838373137336236a3756964b065653738616461393964646331646134a36e7370a12f"
    )
    assert data == captured
    command, channel, data = engine.encode(message(ClientCount("d4e23719d2d5df36", 1), to=UID)).content
    assert (command, channel) == ("PUBLISH", f"socket.io#/#{UID}#")
    assert msgpack.unpackb(data) == {
        "type": 11, "data": {"requestId": "d4e23719d2d5df36", "clientCount": 1}, "uid": UID, "nsp": "/",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "rooms", "channel"),
    [
        ("dynamic", {"r1"}, "k#/#r1#"),
        ("dynamic", {"x" * 20}, "k#/#"),
        ("dynamic", {"r1", "r2"}, "k#/#"),
        ("dynamic", None, "k#/#"),
        ("static", {"r1"}, "k#/#"),
        ("dynamic-private", {"x" * 20}, f"k#/#{'x' * 20}#"),
    ],
)
def test_sharded_rooms_have_channels(mode: Any, rooms: set[str] | None, channel: str) -> None:
    engine = ShardedEngine(place_of("redis://h"), "k", mode)
    body = Broadcast(event("x"), Target("", None if rooms is None else frozenset(rooms)))
    assert engine.encode(message(body)).content[:2] == ("SPUBLISH", channel)
    assert engine.encode(message(body._replace(request_id="q"))).content[1] == "k#/#"
    assert engine.encode(message(ClientCount("q", 1), to="other")).content[1] == "k#/#other#"
