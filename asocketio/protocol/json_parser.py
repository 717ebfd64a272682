"""The default parser: a packet as text, ``<type>[<n>-][<namespace>,][<id>][<JSON>]``, and its binary values behind it.

Source: Socket.IO protocol, revisions 4 and 5, "Packet encoding".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from asocketio.config import Config
from asocketio.errors import MalformedPacket, PayloadTooLarge, UnexpectedPacket, UnknownPacket, UsageError
from asocketio.protocol.attachment_limit import AttachmentLimit
from asocketio.protocol.base import Frame
from asocketio.protocol.fast_json import best_json
from asocketio.protocol.json_codec import AsciiJson, Json, StdJson, restore
from asocketio.protocol.packet import ACK, EVENT, Packet, PacketType
from asocketio.protocol.parser import RESERVED_EVENTS, PacketDecoder, Parser, check_ack, check_name
from asocketio.protocol.payloads import NOTHING, PAYLOAD_READERS, read_any_error

__all__ = ["JSONPacketDecoder", "JSONParser", "check"]

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
_STATE_DIGITS = {PacketType.CONNECT: "0", PacketType.DISCONNECT: "1", PacketType.ERROR: "4"}


class JSONParser(Parser):
    """Socket.IO's own parser, with any JSON codec."""

    def __init__(self, json: Json | None = None, revision: Literal[4, 5] = 5) -> None:
        self.json = best_json() if json is None else json
        self.revision: Literal[4, 5] = revision
        # 1.x clients decode UTF-8 twice in text payloads, 2.x once; ASCII is the same to both.
        self._writer = AsciiJson(self.json) if revision == 4 else self.json
        self._decoder = JSONPacketDecoder4 if revision == 4 else JSONPacketDecoder
        self._limit = AttachmentLimit()

    def encode(self, packet: Packet, prefix: str) -> tuple[Frame, ...]:
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
            return (self._encode_state(packet, prefix),)
        text, attachments = self._writer.dumps(items)
        if attachments:
            self._limit.note(packet.endpoint, "" if kind is ACK else items[0], len(attachments))
            return (f"{prefix}{_head(digits, packet.endpoint, packet.id, len(attachments))}{text}", *attachments)
        if not packet.endpoint and packet.id is None:
            return (f"{prefix}{digits[0]}{text}",)
        return (f"{prefix}{_head(digits, packet.endpoint, packet.id, 0)}{text}",)

    def encode_ack(self, namespace: str, number: int | None, args: list[Any], prefix: str) -> tuple[Frame, ...]:
        text, attachments = self._writer.dumps(args)
        if namespace or attachments or number is None:
            check_ack(number)
            if attachments:
                self._limit.note(namespace, "", len(attachments))
            return (f"{prefix}{_head('36', namespace, number, len(attachments))}{text}", *attachments)
        return (f"{prefix}3{number}{text}",)  # without a Packet in between: saves 1 µs of 2.2

    def decoder(self, config: Config) -> JSONPacketDecoder:
        return self._decoder(self.json, config)

    def for_revision(self, revision: Literal[4, 5]) -> JSONParser:
        return self if revision == self.revision else JSONParser(self.json, revision)

    def with_json(self, json: Json) -> JSONParser:
        return JSONParser(json, self.revision)

    def _encode_state(self, packet: Packet, prefix: str) -> str:
        """A connect, a disconnect or an error: no id, no attachments."""
        digit = _STATE_DIGITS.get(packet.type)
        if digit is None:
            raise UsageError(f"a packet of type {packet.type} cannot be sent to this client")
        text = ""
        if packet.data is not None:
            text, attachments = self._writer.dumps(packet.data)
            if attachments:
                raise UsageError(f"a packet of type {packet.type} cannot carry binary data")
        return f"{prefix}{digit}{f'{packet.endpoint},' if packet.endpoint else ''}{text}"


def _head(digits: str, namespace: str, number: int | None, attachments: int) -> str:
    """What comes before the JSON. The second digit is the type of packets with attachments, the first of others."""
    where = f"{namespace}," if namespace else ""
    which = "" if number is None else number
    return f"{digits[1]}{attachments}-{where}{which}" if attachments else f"{digits[0]}{where}{which}"


class JSONPacketDecoder(PacketDecoder):
    """Decodes packets of revision 5, and assembles those that have attachments."""

    __slots__ = ("_attachments", "_due", "_json", "_max_attachments", "_max_size", "_packet", "_size")

    payload_readers: ClassVar[Mapping[PacketType, Callable[[Packet, Any], None]]] = PAYLOAD_READERS
    unknown_type: ClassVar[type[MalformedPacket]] = MalformedPacket
    """The error of a packet whose type is not known."""

    def __init__(self, json: Json, config: Config) -> None:
        self._json = json
        self._max_attachments = config.max_attachments
        self._max_size = config.max_attachment_bytes
        self._packet: Packet | None = None
        """The packet whose attachments are due."""
        self._due = 0  # attachments that are still to come
        self._attachments: list[bytes] = []
        self._size = 0  # bytes of the attachments that are there

    def text(self, frame: str, start: int = 0) -> Packet | None:
        # The short cut for an event of the global namespace without attachments, as most packets are: without a
        # regular expression it saves 1 µs of 2.3. Its plain form is `read`, which also words every refusal.
        begin = frame.find("[", start + 1, start + 18)
        if begin < 0 or frame[start] != "2" or self._packet is not None:
            return self.read(frame, start)
        number = None
        if begin > start + 1:
            digits = frame[start + 1 : begin]
            if not (digits.isascii() and digits.isdigit()):
                return self.read(frame, start)
            number = int(digits)
        args = self._json.loads(frame[begin:])
        if type(args) is not list or not args or type(args[0]) is not str or args[0] in RESERVED_EVENTS:
            return self.read(frame, start)
        name = args.pop(0)
        return Packet(EVENT, "", name, args, None, number, None if number is None else "data")

    def read(self, frame: str, start: int = 0) -> Packet | None:
        """As `text`, for packets of all types, without a short cut."""
        if self._packet is not None:
            raise UnexpectedPacket(f"text {frame[start : start + 20]!r} while {self._due} attachments are due")
        found = _HEAD.match(frame, start)
        if found is None:
            error = self.unknown_type if frame[start : start + 1] > "6" else MalformedPacket
            raise error(f"packet {frame[start : start + 20]!r}, expected a type from 0 to 6")
        digit, count, namespace, number = found.groups()
        packet = Packet(
            _TYPES[digit],
            endpoint="" if namespace is None or namespace == "/" else namespace,
            id=None if number is None else int(number),
        )
        payload = frame[found.end() :]
        self.payload_readers[packet.type](packet, self._json.loads(payload) if payload else NOTHING)
        if (digit in "56") != (count is not None):
            raise MalformedPacket(
                f"packet {frame[start : start + 20]!r}: attachments are announced by binary packets, and only by them"
            )
        if not count or int(count) == 0:
            return packet
        self._await_attachments(packet, int(count))
        return None

    def binary(self, data: bytes) -> Packet | None:
        packet = self._packet
        if packet is None:
            raise UnexpectedPacket(f"{len(data)} bytes of binary without a packet that announces them")
        self._attachments.append(data)
        self._size += len(data)
        if self._size > self._max_size:
            raise PayloadTooLarge(
                f"attachments of over {self._max_size} bytes in one packet (max_attachment_bytes)",
                "max_attachment_bytes",
            )
        self._due -= 1
        if self._due:
            return None
        attachments, self._attachments, self._packet, self._size = self._attachments, [], None, 0
        packet.args = restore(packet.args, attachments)
        return packet

    def _await_attachments(self, packet: Packet, count: int) -> None:
        if count > self._max_attachments:
            raise MalformedPacket(
                f"{count} attachments, at most {self._max_attachments} are allowed (max_attachments)", "max_attachments"
            )
        self._packet, self._due = packet, count


class JSONPacketDecoder4(JSONPacketDecoder):
    """Decodes packets of revision 4: the payload of an error may be any JSON, and unknown types are told apart."""

    __slots__ = ()

    payload_readers: ClassVar = {**PAYLOAD_READERS, PacketType.ERROR: read_any_error}
    unknown_type = UnknownPacket


_STANDARD = JSONParser(StdJson())


def check(packet: Packet) -> None:
    """Raise what encoding ``packet`` raises; for packets that have no recipient yet."""
    _STANDARD.encode(packet, "")
