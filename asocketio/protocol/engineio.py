"""What Engine.IO 3 and 4 have in common: packet types, base64, answers. Source: Engine.IO protocol, both revisions."""

from __future__ import annotations

import binascii
import json
from collections.abc import Sequence

from asocketio.config import Config
from asocketio.errors import HandshakeError, MalformedPacket, MalformedPayload
from asocketio.protocol.base import Body, BodyFormat, Decoder, Encoded, Frame, Protocol
from asocketio.protocol.json_parser import Assembler
from asocketio.protocol.packet import Packet, PacketType

__all__ = ["EngineDecoder", "EngineIO", "from_base64"]

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
    """The parts of `Protocol` that both revisions spell alike."""

    def handshake(self, sid: str, config: Config, upgrades: Sequence[str]) -> str:
        named = ",".join(f'"{name}"' for name in upgrades)
        interval, timeout = round(config.ping_interval * 1000), round(config.ping_timeout * 1000)
        # Names and numbers only: nothing in it needs an escape.
        return (
            f'0{{"sid":"{sid}","upgrades":[{named}],"pingInterval":{interval},"pingTimeout":{timeout},'
            f'"maxPayload":{config.max_payload}}}'
        )

    def engine_packet(self, packet: Packet) -> Encoded | None:
        """The spelling of a packet of the connection itself; None for those of namespaces."""
        if packet.type not in _DIGITS:
            return None
        return Encoded((_DIGITS[packet.type] + packet.data,)) if packet.data else _BARE[packet.type]

    def close_packet(self, reason: str) -> Packet:
        # A client that closes releases its own poll: it expects a noop (Engine.IO protocol, "Closing").
        return Packet(PacketType.NOOP if reason == "transport close" else PacketType.CLOSE)

    def refusal(self, error: HandshakeError, form: BodyFormat, method: str) -> Body:
        # JSONP too gets the status: a script that fails to load is an error to its client, one that throws is not.
        content = _compact({"code": error.code, "message": error.message}).encode()
        return Body(content, b"application/json", error.status)


class EngineDecoder(Decoder):
    """Reads the frames that both revisions spell alike: all text."""

    __slots__ = ("_messages",)

    def __init__(self, messages: Assembler) -> None:
        self._messages = messages

    def feed(self, frame: Frame) -> Packet | None:
        if isinstance(frame, bytes):
            return self._messages.binary(frame)
        if frame.startswith("42"):
            packet = self._messages.plain_event(frame)
            if packet is not None:
                return packet
        if frame.startswith("4"):
            return self._messages.text(frame[1:])
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


def from_base64(text: str) -> bytes:
    """The bytes of a packet that came as base64.

    Raises:
        MalformedPayload: it is not base64.
    """
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise MalformedPayload(f"not base64 ({error}): {text[:20]!r}") from None


def _compact(value: dict[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
