"""Packets, and the dict's manners that gevent-socketio's handlers expect of them."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.errors import UsageError
from asocketio.protocol.packet import GLOBAL_NS, Packet, PacketType

EVENT = Packet(PacketType.EVENT, "/chat", name="said", args=["hi"], id=7, ack="data")


def test_a_packet_has_only_a_type_by_itself() -> None:
    assert Packet(PacketType.EVENT) == Packet(
        type=PacketType.EVENT, endpoint=GLOBAL_NS, name="", args=[], data=None, id=None, ack=None
    )


def test_the_global_namespace_has_the_empty_name() -> None:
    assert GLOBAL_NS == ""


def test_types_are_the_words_of_gevent_socketio() -> None:
    assert [str(kind) for kind in PacketType] == [
        *("connect", "disconnect", "event", "message", "json", "ack", "error"),
        *("heartbeat", "ping", "pong", "noop", "open", "close", "upgrade"),
    ]


def test_packets_share_no_arguments() -> None:
    first, second = Packet(PacketType.EVENT), Packet(PacketType.EVENT)
    first.args.append(1)
    assert second.args == []


@pytest.mark.parametrize(
    ("packet", "as_dict"),
    [
        (
            EVENT,
            {"type": "event", "endpoint": "/chat", "name": "said", "args": ["hi"], "id": 7, "ack": "data"},
        ),
        (Packet(PacketType.EVENT, name="x"), {"type": "event", "endpoint": "", "name": "x", "args": []}),
        (Packet(PacketType.ACK, id=0), {"type": "ack", "endpoint": "", "args": [], "id": 0}),
        (Packet(PacketType.MESSAGE, data="hi"), {"type": "message", "endpoint": "", "data": "hi"}),
        (Packet(PacketType.MESSAGE, data=""), {"type": "message", "endpoint": "", "data": ""}),
        (Packet(PacketType.JSON, data=0), {"type": "json", "endpoint": "", "data": 0}),
        (Packet(PacketType.JSON, data=[], ack=True), {"type": "json", "endpoint": "", "data": [], "ack": True}),
        (Packet(PacketType.CONNECT, args=[1]), {"type": "connect", "endpoint": ""}),
    ],
)
def test_a_packet_is_the_dict_of_the_values_it_has(packet: Packet, as_dict: dict[str, Any]) -> None:
    assert dict(packet) == as_dict
    assert (packet.keys(), list(packet)) == (list(as_dict), list(as_dict))
    assert all(key in packet and packet[key] == packet.get(key) == value for key, value in as_dict.items())


@pytest.mark.parametrize("key", ["name", "args", "data", "id", "ack", "get", "__class__", "nothing", "", 1, None])
def test_a_value_that_a_packet_has_not_is_not_in_it(key: Any) -> None:
    packet = Packet(PacketType.CONNECT)
    assert (key in packet, packet.get(key), packet.get(key, "default")) == (False, None, "default")
    with pytest.raises(KeyError, match=repr(key)):
        packet[key]


def test_a_dict_of_gevent_socketio_describes_a_packet() -> None:
    fields = {"type": "event", "endpoint": "/chat", "name": "said", "args": ("hi",), "id": 7, "ack": "data", "qs": ""}
    assert Packet.of(fields) == EVENT
    assert type(Packet.of(fields).type) is PacketType


def test_a_dict_needs_only_a_type() -> None:
    assert Packet.of({"type": "connect"}) == Packet(PacketType.CONNECT)


def test_arguments_of_a_dict_are_copied() -> None:
    args: list[Any] = [1]
    packet = Packet.of({"type": "event", "args": args})
    args.append(2)
    assert packet.args == [1]


def test_a_packet_is_a_description_of_itself() -> None:
    assert Packet.of(dict(EVENT)) == EVENT


@pytest.mark.parametrize("fields", [{}, {"type": "unknown"}])
def test_a_dict_without_a_known_type_describes_nothing(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="'type' is one of connect, disconnect"):
        Packet.of(fields)
