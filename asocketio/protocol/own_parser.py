"""OwnParser: a program's own parser, held to what the seam says. Its mistakes end no event loop and no other client."""

from __future__ import annotations

from typing import Any

from asocketio.config import Config
from asocketio.errors import MalformedPacket, ProtocolError, UsageError
from asocketio.protocol.base import Frame
from asocketio.protocol.json_codec import Json
from asocketio.protocol.packet import Packet
from asocketio.protocol.parser import PacketDecoder, Parser

__all__ = ["OwnParser"]


class OwnParser(Parser):
    """Another parser. What it raises is a `UsageError` for who sends, and for who is read a `MalformedPacket`."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser

    def encode(self, packet: Packet, prefix: str) -> tuple[Frame, ...]:
        try:
            frames: Any = self._parser.encode(packet, prefix)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"{_name(self._parser)}.encode failed: {error!r}") from error
        if not isinstance(frames, tuple) or not frames or not all(_is_message(frame, prefix) for frame in frames):
            raise UsageError(
                f"{_name(self._parser)}.encode returned {frames!r:.100}: expected a tuple of bytes, or of str that "
                f"begin with the prefix {prefix!r}"
            )
        return frames

    def decoder(self, config: Config) -> PacketDecoder:
        return _OwnDecoder(self._parser.decoder(config))

    def with_json(self, json: Json) -> Parser:
        return OwnParser(self._parser.with_json(json))


class _OwnDecoder(PacketDecoder):
    __slots__ = ("_decoder",)

    def __init__(self, decoder: PacketDecoder) -> None:
        self._decoder = decoder

    def text(self, frame: str, start: int) -> Packet | None:
        try:
            return _packet(self._decoder.text(frame, start))
        except ProtocolError:
            raise
        except Exception as error:
            raise MalformedPacket(f"{_name(self._decoder)}.text failed: {error!r:.200}") from error

    def binary(self, data: bytes) -> Packet | None:
        try:
            return _packet(self._decoder.binary(data))
        except ProtocolError:
            raise
        except Exception as error:
            raise MalformedPacket(f"{_name(self._decoder)}.binary failed: {error!r:.200}") from error


def _packet(found: Any) -> Packet | None:
    if found is not None and not isinstance(found, Packet):
        raise TypeError(f"{found!r:.40} is neither a Packet nor None")
    return found


def _is_message(frame: Any, prefix: str) -> bool:
    return isinstance(frame, bytes) or (isinstance(frame, str) and frame.startswith(prefix))


def _name(part: object) -> str:
    return type(part).__qualname__
