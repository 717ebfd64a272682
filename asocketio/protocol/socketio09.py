"""Socket.IO 0.9, protocol revision 1: ``type:id[+]:endpoint:data``, on a connection without Engine.IO.

Source: Socket.IO protocol, revision 1, and what clients and servers of 0.9 do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Self

from asocketio.config import Config
from asocketio.errors import CannotCarry, MalformedPacket, MalformedPayload, UsageError
from asocketio.protocol import jsonp
from asocketio.protocol.base import Body, BodyFormat, Decoder, Encoded, Frame, Protocol
from asocketio.protocol.fast_json import best_json
from asocketio.protocol.json_codec import AsciiJson, Json
from asocketio.protocol.packet import GLOBAL_NS, Packet, PacketType
from asocketio.protocol.parser import RESERVED_EVENTS, check_ack, check_name
from asocketio.protocol.query import read_query
from asocketio.protocol.utf16 import count_units, read_length, take_units, well_formed

__all__ = ["SocketIO09"]

_MARK = "\ufffd"  # before and after the length of each packet of a payload
_PACKET = re.compile(r"([0-8]):([0-9]{1,16})?(\+)?:([^:]*)(?::(.*))?", re.DOTALL)
_ACK = re.compile(r"([0-9]{1,16})(?:\+(.*))?", re.DOTALL)
_TYPES = dict(
    zip(
        "012345678",
        (
            *(PacketType.DISCONNECT, PacketType.CONNECT, PacketType.HEARTBEAT, PacketType.MESSAGE, PacketType.JSON),
            *(PacketType.EVENT, PacketType.ACK, PacketType.ERROR, PacketType.NOOP),
        ),
        strict=True,
    )
)
_REASONS = ("transport not supported", "client not handshaken", "unauthorized")
_UNAUTHORIZED = _REASONS.index("unauthorized")
_RECONNECT = "reconnect"
_BARE = {
    PacketType.PING: Encoded(("2::",)),
    PacketType.HEARTBEAT: Encoded(("2::",)),
    PacketType.NOOP: Encoded(("8::",)),
    PacketType.CLOSE: Encoded(("0::",)),
}
_NO_BINARY = "clients of 0.9 know no binary: send them text, for example base64"


class SocketIO09(Protocol):
    """``/socket.io/1/``: text only, a session may switch its transports, acks of two kinds."""

    generation = "0.9"
    pings = "transport"
    opens_global = True
    global_is_connection = True

    def __init__(self, json: Json | None = None) -> None:
        self.json = best_json() if json is None else json
        # Clients lose the arguments of acks that hold U+2028; and of ASCII all lengths are the same.
        self._ascii = AsciiJson(self.json)

    def with_json(self, json: Json) -> Self:
        return type(self)(json)

    def encode(self, packet: Packet) -> Encoded:
        bare = _BARE.get(packet.type)
        return Encoded((_WRITERS[packet.type](self, packet),)) if bare is None else bare

    def decoder(self, config: Config) -> Decoder:
        return _Decoder(self.json)

    def join(self, frames: Iterable[Frame], body_format: BodyFormat) -> Body:
        packets = [frame for frame in frames if isinstance(frame, str)]
        text = packets[0] if len(packets) == 1 else "".join(map(_length_prefixed, packets))
        index = body_format.jsonp_index
        return Body(text.encode()) if index is None else jsonp.script(f"io.j[{index}]", text)

    def dumps(self, value: Any) -> str:
        """``value`` as JSON text.

        Raises:
            CannotCarry: ``value`` holds binary.
        """
        text, attachments = self._ascii.dumps(value)
        if attachments:
            raise CannotCarry(_NO_BINARY)
        return text


def _head(digit: int, packet: Packet, number: str = "") -> str:
    return f"{digit}:{number}:{packet.endpoint}"


def _number(packet: Packet) -> str:
    return "" if packet.id is None else f"{packet.id}{'+' if packet.ack == 'data' else ''}"


def _write_message(protocol: SocketIO09, packet: Packet) -> str:
    if isinstance(packet.data, bytes | bytearray | memoryview):
        raise CannotCarry(_NO_BINARY)
    if not isinstance(packet.data, str):
        raise UsageError(f"a message is text, not {type(packet.data).__name__}; JSON is another type of packet")
    return f"{_head(3, packet, _number(packet))}:{well_formed(packet.data)}"


def _write_json(protocol: SocketIO09, packet: Packet) -> str:
    return f"{_head(4, packet, _number(packet))}:{protocol.dumps(packet.data)}"


def _write_event(protocol: SocketIO09, packet: Packet) -> str:
    check_name(packet.name)
    event = {"name": packet.name, "args": packet.args} if packet.args else {"name": packet.name}
    return f"{_head(5, packet, _number(packet))}:{protocol.dumps(event)}"


def _write_ack(protocol: SocketIO09, packet: Packet) -> str:
    check_ack(packet.id)
    args = f"+{protocol.dumps(packet.args)}" if packet.args else ""
    return f"{_head(6, packet)}:{packet.id}{args}"


def _write_error(protocol: SocketIO09, packet: Packet) -> str:
    data = packet.data if isinstance(packet.data, dict) else {}
    message = data.get("message")
    reason = _REASONS.index(message) if message in _REASONS else _UNAUTHORIZED
    return f"{_head(7, packet)}:{reason}{'+0' if data.get('advice') == _RECONNECT else ''}"


def _refuse(protocol: SocketIO09, packet: Packet) -> str:
    raise UsageError(f"a packet of type {packet.type} cannot be sent to this client")


def _write_disconnect(protocol: SocketIO09, packet: Packet) -> str:
    return _head(0, packet)


def _write_connect(protocol: SocketIO09, packet: Packet) -> str:
    return _head(1, packet)


_WRITERS = dict.fromkeys(PacketType, _refuse) | {
    PacketType.DISCONNECT: _write_disconnect,
    PacketType.CONNECT: _write_connect,
    PacketType.MESSAGE: _write_message,
    PacketType.JSON: _write_json,
    PacketType.EVENT: _write_event,
    PacketType.ACK: _write_ack,
    PacketType.ERROR: _write_error,
}


def _length_prefixed(packet: str) -> str:
    return f"{_MARK}{count_units(packet)}{_MARK}{packet}"


class _Decoder(Decoder):
    __slots__ = ("_json",)

    def __init__(self, json: Json) -> None:
        self._json = json

    def feed(self, frame: Frame) -> Packet | None:
        found = _PACKET.fullmatch(frame) if isinstance(frame, str) else None
        if found is None:
            raise MalformedPacket(f"{frame[:20]!r}, expected type:id:endpoint:data")
        digit, number, plus, endpoint, data = found.groups()
        packet = Packet(_TYPES[digit], GLOBAL_NS if endpoint == "/" else endpoint)
        if number is not None:
            packet.id = int(number)
            packet.ack = "data" if plus else True
        parse = _PARSERS.get(packet.type)
        if parse is not None:
            parse(packet, data or "", self._json)
        return packet

    def split(self, body: bytes, body_format: BodyFormat, *, binary: bool = False) -> Iterator[Frame]:
        text = jsonp.text(body) if body_format.jsonp_index is None else _quoted(jsonp.field(body))
        if not text.startswith(_MARK):
            yield text
            return
        at = 0
        while at < len(text):
            if text[at] != _MARK:
                raise MalformedPayload(f"{text[at : at + 10]!r}, expected U+FFFD and a length")
            count, at = read_length(text, at + 1, _MARK)
            packet = take_units(text, at, count)
            at += len(packet)
            yield packet


def _quoted(data: str) -> str:
    try:
        text = json.loads(data)
    except (ValueError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise MalformedPayload(f"{data[:40]!r}, expected a payload as a JSON string")
    return well_formed(text)


def _parse_message(packet: Packet, data: str, json: Json) -> None:
    packet.data = data


def _parse_json(packet: Packet, data: str, json: Json) -> None:
    packet.data = json.loads(data)


def _parse_event(packet: Packet, data: str, json: Json) -> None:
    event = json.loads(data)
    name = event.get("name") if isinstance(event, dict) else None
    args = event.get("args", []) if isinstance(event, dict) else None
    if not isinstance(name, str) or not isinstance(args, list):
        raise MalformedPacket(f'an event {data[:40]!r}, expected {{"name": text, "args": [...]}}')
    if name in RESERVED_EVENTS:
        raise MalformedPacket(f"the event {name!r}, which is reserved")
    packet.name, packet.args = name, args


def _parse_ack(packet: Packet, data: str, json: Json) -> None:
    found = _ACK.fullmatch(data)
    if found is None:
        raise MalformedPacket(f"an ack of {data[:20]!r}, expected its number")
    packet.id, packet.ack = int(found[1]), None
    args: Any = json.loads(found[2]) if found[2] else []
    if not isinstance(args, list):
        raise MalformedPacket(f"an ack with {found[2][:20]!r}, expected a JSON array")
    packet.args = args


def _parse_connect(packet: Packet, data: str, json: Json) -> None:
    packet.data = read_query(data.removeprefix("?"))


def _parse_error(packet: Packet, data: str, json: Json) -> None:
    reason, _, advice = data.partition("+")
    packet.data = {"message": _REASONS[int(reason)] if reason in ("0", "1", "2") else reason}
    if advice == "0":
        packet.data["advice"] = _RECONNECT


_PARSERS = {
    PacketType.MESSAGE: _parse_message,
    PacketType.JSON: _parse_json,
    PacketType.EVENT: _parse_event,
    PacketType.ACK: _parse_ack,
    PacketType.CONNECT: _parse_connect,
    PacketType.ERROR: _parse_error,
}
