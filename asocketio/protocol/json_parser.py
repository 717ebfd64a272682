"""Socket.IO packets as text, for protocol 5 and its elders: ``<type>[<n>-][<namespace>,][<id>][<JSON>]``.

Engine.IO's own packet types, payloads and who pings are the business of the modules beside this one.
Source: Socket.IO protocol, "Packet encoding".
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from asocketio.config import Config
from asocketio.errors import MalformedPacket, PayloadTooLarge, UnexpectedPacket, UsageError
from asocketio.protocol.json_codec import Json, StdJson, restore
from asocketio.protocol.packet import ACK, EVENT, Packet, PacketType

__all__ = [
    "MAX_FIELDS",
    "RESERVED_EVENTS",
    "Assembler",
    "check",
    "check_ack",
    "check_name",
    "head",
    "read_query",
    "write",
]

_JSON = StdJson()

RESERVED_EVENTS = frozenset({"connect", "connect_error", "disconnect", "disconnecting"})
"""Names that clients use for their own life; a packet that carries one is refused, as in Node's parser."""

MAX_FIELDS = 200
"""Fields in a query; it is the client's, so it is bounded."""

# One match finds the four optional parts. Ids are at most 16 digits: what JavaScript counts exactly.
_HEAD = re.compile(r"([0-6])(?:([0-9]{1,6})-)?(?:(/[^,]*)(?:,|$))?([0-9]{1,16})?")
_TYPES = {
    "0": PacketType.CONNECT,
    "1": PacketType.DISCONNECT,
    "2": PacketType.EVENT,
    "3": PacketType.ACK,
    "4": PacketType.ERROR,
    "5": PacketType.EVENT,
    "6": PacketType.ACK,
}


def write(packet: Packet, json: Json) -> tuple[str, list[bytes]]:
    """The text of a packet and its attachments.

    Raises:
        UsageError: the event's name is reserved, or an argument has no JSON form.
    """
    kind = packet.type
    if kind is EVENT:
        check_name(packet.name)
        items, digits = [packet.name, *packet.args], "25"
    elif kind is ACK:
        check_ack(packet.id)
        items, digits = packet.args, "36"
    elif kind in (PacketType.MESSAGE, PacketType.JSON):
        items, digits = ["message", packet.data], "25"
    else:
        return _write_state(packet, json), []
    text, attachments = json.dumps(items)
    if not attachments and not packet.endpoint and packet.id is None:
        return digits[0] + text, attachments
    return head(digits, packet.endpoint, packet.id, len(attachments)) + text, attachments


def head(digits: str, endpoint: str, number: int | None, attachments: int) -> str:
    """What comes before the JSON. The second digit is the type of packets with attachments, the first of others."""
    where = f"{endpoint}," if endpoint else ""
    which = "" if number is None else number
    return f"{digits[1]}{attachments}-{where}{which}" if attachments else f"{digits[0]}{where}{which}"


def check_name(name: str) -> None:
    """Raise `UsageError` where ``name`` cannot be an event's."""
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"an event is named by text, not {type(name).__name__}: {name!r}")
    if name in RESERVED_EVENTS:
        raise UsageError(f"{name!r} is reserved for the client's own life: choose another event name")


def check_ack(number: int | None) -> None:
    """Raise `UsageError` where an ack does not say what it answers."""
    if number is None:
        raise UsageError("an ack without the number (id) of what it answers")


def read_query(text: str) -> dict[str, str]:
    """The fields of a query as a dict; the last one of a name counts.

    Raises:
        MalformedPacket: there are over `MAX_FIELDS`.
    """
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise MalformedPacket(f"a query of over {MAX_FIELDS} fields") from None


def check(packet: Packet) -> None:
    """Raise what `write` raises; for packets that have no recipient yet."""
    write(packet, _JSON)


def _write_state(packet: Packet, json: Json) -> str:
    digits = {PacketType.CONNECT: "0", PacketType.DISCONNECT: "1", PacketType.ERROR: "4"}
    if packet.type not in digits:
        raise UsageError(f"a packet of type {packet.type} cannot be sent to this client")
    text = ""
    if packet.data is not None:
        text, attachments = json.dumps(packet.data)
        if attachments:
            raise UsageError(f"a packet of type {packet.type} cannot carry binary data")
    where = f"{packet.endpoint}," if packet.endpoint else ""
    return f"{digits[packet.type]}{where}{text}"


class Assembler:
    """Reads packets, and joins those that have attachments with them."""

    __slots__ = ("_attachments", "_json", "_limit", "_most", "_packet", "_parsers", "_size", "due")

    def __init__(self, json: Json, config: Config, *, any_error: bool = False) -> None:
        """``any_error``: the payload of an error may be any JSON, as before protocol 5."""
        self._json = json
        self._parsers = {**_PARSERS, PacketType.ERROR: _parse_any_error} if any_error else _PARSERS
        self._limit = config.max_attachments
        self._most = config.max_attachment_bytes
        self._packet: Packet | None = None
        self._attachments: list[bytes] = []
        self._size = 0  # of the attachments that are there
        self.due = 0
        """Attachments that are still to come."""

    def text(self, text: str) -> Packet | None:
        """The packet of ``text``, or None when its attachments are still to come."""
        if self._packet is not None:
            raise UnexpectedPacket(f"text {text[:20]!r} while {self.due} attachments are due")
        found = _HEAD.match(text)
        if found is None:
            raise MalformedPacket(f"packet {text[:20]!r}, expected a type from 0 to 6")
        digit, count, endpoint, number = found.groups()
        packet = Packet(
            _TYPES[digit],
            endpoint="" if endpoint is None or endpoint == "/" else endpoint,
            id=None if number is None else int(number),
        )
        payload = text[found.end() :]
        self._parsers[packet.type](packet, self._json.loads(payload) if payload else _NOTHING)
        if (digit in "56") != (count is not None):
            raise MalformedPacket(
                f"packet {text[:20]!r}: attachments are announced by binary packets, and only by them"
            )
        if not count or int(count) == 0:
            return packet
        if int(count) > self._limit:
            raise MalformedPacket(
                f"{count} attachments, at most {self._limit} are allowed (max_attachments)", "max_attachments"
            )
        self._packet, self.due = packet, int(count)
        return None

    def plain_event(self, frame: str) -> Packet | None:
        """The event of the global namespace that a frame ``42...`` most likely is; None if it is anything else.

        It gives what `text` would; without a regular expression it saves 1 µs of 2.3.
        """
        start = frame.find("[", 2, 19)
        if start < 0 or self._packet is not None:
            return None
        number = None
        if start > 2:
            digits = frame[2:start]
            if not (digits.isascii() and digits.isdigit()):
                return None
            number = int(digits)
        args = self._json.loads(frame[start:])
        if type(args) is not list or not args or type(args[0]) is not str or args[0] in RESERVED_EVENTS:
            return None
        name = args.pop(0)
        return Packet(EVENT, "", name, args, None, number, None if number is None else "data")

    def binary(self, data: bytes) -> Packet | None:
        """The packet that ``data`` completes, or None while more attachments are due."""
        packet = self._packet
        if packet is None:
            raise UnexpectedPacket(f"{len(data)} bytes of binary without a packet that announces them")
        self._attachments.append(data)
        self._size += len(data)
        if self._size > self._most:
            raise PayloadTooLarge(
                f"attachments of over {self._most} bytes in one packet (max_attachment_bytes)", "max_attachment_bytes"
            )
        self.due -= 1
        if self.due:
            return None
        attachments, self._attachments, self._packet, self._size = self._attachments, [], None, 0
        packet.args = restore(packet.args, attachments)
        return packet


_NOTHING: Any = object()


def _parse_event(packet: Packet, payload: Any) -> None:
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


def _parse_ack(packet: Packet, payload: Any) -> None:
    if type(payload) is not list or packet.id is None:
        raise MalformedPacket("an ack without a number or a JSON array")
    packet.args = payload


def _parse_connect(packet: Packet, payload: Any) -> None:
    if payload is _NOTHING:
        packet.data = {}
    elif type(payload) is dict:
        packet.data = payload
    else:
        raise MalformedPacket("an auth that is no JSON object: io(url, {auth: {...}})")


def _parse_disconnect(packet: Packet, payload: Any) -> None:
    if payload is not _NOTHING:
        raise MalformedPacket("a disconnect with a payload")


def _parse_error(packet: Packet, payload: Any) -> None:
    if type(payload) not in (str, dict):
        raise MalformedPacket("an error whose payload is neither a JSON object nor text")
    packet.data = payload


def _parse_any_error(packet: Packet, payload: Any) -> None:
    packet.data = None if payload is _NOTHING else payload


_PARSERS = {
    PacketType.CONNECT: _parse_connect,
    PacketType.DISCONNECT: _parse_disconnect,
    PacketType.EVENT: _parse_event,
    PacketType.ACK: _parse_ack,
    PacketType.ERROR: _parse_error,
}
