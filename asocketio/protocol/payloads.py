"""What the payload of each type of packet must be, whatever parser has read it, and where it goes in a `Packet`.

Source: Socket.IO protocol, revision 5, "Packet types". May import ``packet`` and ``parser``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asocketio.errors import MalformedPacket
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.parser import RESERVED_EVENTS

__all__ = ["NOTHING", "PAYLOAD_READERS", "read_any_error"]

NOTHING: Any = object()
"""The payload of a packet without one."""


def _read_event(packet: Packet, payload: Any) -> None:
    if type(payload) is not list or not payload:
        raise MalformedPacket("an event that is no JSON array beginning with its name")
    name = payload[0]
    if type(name) is not str:
        if type(name) not in (int, float):
            raise MalformedPacket(f"an event whose name is no text but {type(name).__name__}")
        name = str(name)  # JavaScript accepts emit(1)
    elif name in RESERVED_EVENTS:
        raise MalformedPacket(f"the event {name!r}, which is reserved")
    packet.name = name
    packet.args = payload[1:]
    if packet.id is not None:
        packet.ack = "data"


def _read_ack(packet: Packet, payload: Any) -> None:
    if type(payload) is not list or packet.id is None:
        raise MalformedPacket("an ack without a number or a JSON array")
    packet.args = payload


def _read_connect(packet: Packet, payload: Any) -> None:
    if payload is NOTHING:
        packet.data = {}
    elif type(payload) is dict:
        packet.data = payload
    else:
        raise MalformedPacket("an auth that is no JSON object: io(url, {auth: {...}})")


def _read_disconnect(packet: Packet, payload: Any) -> None:
    if payload is not NOTHING:
        raise MalformedPacket("a disconnect with a payload")


def _read_error(packet: Packet, payload: Any) -> None:
    if type(payload) not in (str, dict):
        raise MalformedPacket("an error whose payload is neither a JSON object nor text")
    packet.data = payload


def read_any_error(packet: Packet, payload: Any) -> None:
    """The error of clients before 3.x: any value, or none."""
    packet.data = None if payload is NOTHING else payload


PAYLOAD_READERS: Mapping[PacketType, Callable[[Packet, Any], None]] = {
    PacketType.CONNECT: _read_connect,
    PacketType.DISCONNECT: _read_disconnect,
    PacketType.EVENT: _read_event,
    PacketType.ACK: _read_ack,
    PacketType.ERROR: _read_error,
}
"""The type of a packet -> what puts a payload into it. Raises `MalformedPacket` where it is none of that type."""
