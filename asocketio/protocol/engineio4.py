"""Engine.IO 4, with the rules of Socket.IO 5: the 3.x and 4.x clients. Source: Engine.IO protocol, revision 4."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from asocketio.config import Config
from asocketio.errors import MalformedPayload
from asocketio.protocol import jsonp
from asocketio.protocol.base import Body, BodyFormat, Decoder, Encoded, Frame
from asocketio.protocol.engineio import MESSAGE, EngineDecoder, EngineIO
from asocketio.protocol.packet import EVENT, Packet

__all__ = ["EngineIO4"]

SEPARATOR = "\x1e"  # "Packet encoding / HTTP long-polling"


class EngineIO4(EngineIO):
    """``EIO=4``: the server pings, namespaces connect by request, polling bodies are separated by U+001E."""

    generation = "4"
    pings = "server"
    opens_global = False

    def encode(self, packet: Packet) -> Encoded:
        if packet.type is not EVENT:  # as most are
            engine = self.encode_engine(packet)
            if engine is not None:
                return engine
        return Encoded(self.parser.encode(packet, MESSAGE))

    def encode_ack(self, namespace: str, number: int | None, args: list[Any]) -> Encoded:
        return Encoded(self.parser.encode_ack(namespace, number, args, MESSAGE))

    def decoder(self, config: Config) -> Decoder:
        return _Decoder(self.parser.decoder(config))

    def as_text(self, frame: bytes) -> str:
        return "b" + b64encode(frame).decode()

    def join(self, frames: Iterable[Frame], body_format: BodyFormat) -> Body:
        text = SEPARATOR.join(frame if isinstance(frame, str) else self.as_text(frame) for frame in frames)
        index = body_format.jsonp_index
        return Body(text.encode()) if index is None else jsonp.script(f"___eio[{index}]", text)


class _Decoder(EngineDecoder):
    __slots__ = ()

    def split(self, body: bytes, body_format: BodyFormat, *, binary: bool = False) -> Iterator[Frame]:
        if binary:
            raise MalformedPayload("a binary body; this generation sends text")
        text = jsonp.text(body) if body_format.jsonp_index is None else jsonp.unescape(jsonp.field(body))
        for part in text.split(SEPARATOR):
            yield self.binary(part) if part.startswith("b") else part
