"""Engine.IO framing, as far as revisions 3 and 4 share it. Source: Engine.IO protocol, both revisions.

What the messages hold is the parser's.
"""

from __future__ import annotations

import binascii
from typing import Self

from asocketio.errors import MalformedPacket, MalformedPayload
from asocketio.protocol.base import Decoder, Encoded, Frame, Protocol
from asocketio.protocol.json_codec import Json
from asocketio.protocol.json_parser import JSONParser
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.parser import PacketDecoder, Parser

__all__ = ["MESSAGE", "EngineDecoder", "EngineIO", "from_base64"]

MESSAGE = "4"
"""The packet type before a text message. Binary frames are messages, too."""

_TYPES = {
    "0": PacketType.OPEN,
    "1": PacketType.CLOSE,
    "2": PacketType.PING,
    "3": PacketType.PONG,
    "5": PacketType.UPGRADE,
    "6": PacketType.NOOP,
}
_DIGITS = {kind: digit for digit, kind in _TYPES.items()}
_BARE = {kind: Encoded((digit,)) for kind, digit in _DIGITS.items()}


class EngineIO(Protocol):
    """Engine.IO with a Socket.IO parser above it; without one given, the JSON parser."""

    def __init__(self, parser: Parser | None = None) -> None:
        self.parser = JSONParser() if parser is None else parser

    def with_json(self, json: Json) -> Self:
        return type(self)(self.parser.with_json(json))

    def encode_engine(self, packet: Packet) -> Encoded | None:
        """The frame of a packet of the connection itself; None for a packet of a namespace."""
        if packet.type not in _DIGITS:
            return None
        return Encoded((_DIGITS[packet.type] + packet.data,)) if packet.data else _BARE[packet.type]


class EngineDecoder(Decoder):
    """Decodes the frames that both revisions share: all text."""

    __slots__ = ("_packets",)

    def __init__(self, packets: PacketDecoder) -> None:
        self._packets = packets

    def feed(self, frame: Frame) -> Packet | None:
        if isinstance(frame, bytes):
            return self._packets.binary(frame)
        if frame.startswith(MESSAGE):
            return self._packets.text(frame, 1)
        if frame.startswith("b"):
            try:
                return self.feed(self.binary(frame))
            except MalformedPayload as error:
                raise MalformedPacket(str(error)) from None
        kind = _TYPES.get(frame[:1])
        if kind is None:
            raise MalformedPacket(f"frame {frame[:20]!r}, expected a type from 0 to 6")
        return Packet(kind, data=frame[1:])

    def binary(self, frame: str) -> bytes:
        """The binary frame that came as base64: in polling bodies, and from clients with ``forceBase64``."""
        return from_base64(frame[1:])


_STANDARD = bytes.maketrans(b"-_", b"+/")
_SPACE = b" \t\n\r\f\v"


def from_base64(text: str) -> bytes:
    """The bytes of a packet that came as base64, in each form that Node reads without losing any of it.

    It may be without padding, in the URL-safe alphabet, and with line breaks or spaces anywhere.

    Raises:
        MalformedPayload: ``text`` is not base64.
    """
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        return _from_other_base64(text)


def _from_other_base64(text: str) -> bytes:
    """As `from_base64`, for what is not written as most clients write it."""
    try:
        written = text.encode("ascii").translate(_STANDARD, _SPACE)
        digits = written.rstrip(b"=") or written
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise MalformedPayload(f"not base64 ({error}): {text[:20]!r}") from None
