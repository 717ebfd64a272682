"""Engine.IO 4 with Socket.IO 5: the 3.x and 4.x clients. Source: Engine.IO protocol, revision 4."""

from __future__ import annotations

import binascii
import json
import secrets
from base64 import b64encode
from collections.abc import Iterable, Sequence

from asocketio.config import Config
from asocketio.errors import MalformedPacket, MalformedPayload
from asocketio.packet import Packet, PacketType
from asocketio.protocol import Decoder, Encoded, Frame, Protocol
from asocketio.protocols.grammar import Assembler, write

__all__ = ["EngineIO4"]

SEPARATOR = "\x1e"  # "Packet encoding / HTTP long-polling"

_ENGINE = {
    "0": PacketType.OPEN,
    "1": PacketType.CLOSE,
    "2": PacketType.PING,
    "3": PacketType.PONG,
    "5": PacketType.UPGRADE,
    "6": PacketType.NOOP,
}
_DIGITS = {kind: digit for digit, kind in _ENGINE.items()}
_BARE = {kind: Encoded((digit,)) for kind, digit in _DIGITS.items()}


class EngineIO4(Protocol):
    """``EIO=4``: the server pings, namespaces connect by request, polling bodies are separated by U+001E."""

    generation = "4"
    server_pings = True
    opens_global = False

    def handshake(self, sid: str, config: Config, upgrades: Sequence[str]) -> str:
        return _DIGITS[PacketType.OPEN] + json.dumps(
            {
                "sid": sid,
                "upgrades": list(upgrades),
                "pingInterval": round(config.ping_interval * 1000),
                "pingTimeout": round(config.ping_timeout * 1000),
                "maxPayload": config.max_payload,
            },
            separators=(",", ":"),
        )

    def encode(self, packet: Packet) -> Encoded:
        if packet.type in _DIGITS:
            return Encoded((_DIGITS[packet.type] + packet.data,)) if packet.data else _BARE[packet.type]
        text, attachments = write(packet, self.json)
        return Encoded(("4" + text, *attachments))

    def decoder(self, config: Config) -> Decoder:
        return _Decoder(Assembler(self.json, config))

    def join(self, frames: Iterable[Frame]) -> bytes:
        return SEPARATOR.join(
            frame if isinstance(frame, str) else "b" + b64encode(frame).decode() for frame in frames
        ).encode()

    def split(self, body: bytes) -> list[Frame]:
        try:
            parts = body.decode().split(SEPARATOR)
        except UnicodeDecodeError as error:
            raise MalformedPayload(f"the body is not UTF-8 at byte {error.start}") from None
        return [_from_base64(part[1:]) if part.startswith("b") else part for part in parts]

    def namespace_sid(self, sessid: str, endpoint: str) -> str:
        return secrets.token_urlsafe(15)  # never the session's id: that one is a secret


class _Decoder(Decoder):
    __slots__ = ("_messages",)

    def __init__(self, messages: Assembler) -> None:
        self._messages = messages

    def feed(self, frame: Frame) -> Packet | None:
        if isinstance(frame, bytes):
            return self._messages.binary(frame)
        if frame.startswith("4"):
            return self._messages.text(frame[1:])
        kind = _ENGINE.get(frame[:1])
        if kind is None:
            raise MalformedPacket(f"frame {frame[:20]!r}, expected a type from 0 to 6")
        return Packet(kind, data=frame[1:])


def _from_base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise MalformedPayload(f"not base64 ({error}): {text[:20]!r}") from None
