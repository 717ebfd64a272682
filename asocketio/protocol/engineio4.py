"""Engine.IO 4 with Socket.IO 5: the 3.x and 4.x clients. Source: Engine.IO protocol, revision 4."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from asocketio.config import Config
from asocketio.errors import MalformedPayload
from asocketio.protocol import jsonp
from asocketio.protocol.base import Body, BodyFormat, Decoder, Encoded, Frame
from asocketio.protocol.engineio import EngineDecoder, EngineIO
from asocketio.protocol.json_parser import Assembler, check_ack, head, write
from asocketio.protocol.packet import EVENT, Packet
from asocketio.protocol.sids import new_sid

__all__ = ["EngineIO4"]

SEPARATOR = "\x1e"  # "Packet encoding / HTTP long-polling"


class EngineIO4(EngineIO):
    """``EIO=4``: the server pings, namespaces connect by request, polling bodies are separated by U+001E."""

    generation = "4"
    pings = "server"
    opens_global = False

    def encode(self, packet: Packet) -> Encoded:
        if packet.type is not EVENT:  # as most are
            engine = self.engine_packet(packet)
            if engine is not None:
                return engine
        text, attachments = write(packet, self.json)
        return Encoded(("4" + text, *attachments))

    def encode_ack(self, endpoint: str, number: int | None, args: list[Any]) -> Encoded:
        text, attachments = self.json.dumps(args)
        if endpoint or attachments or number is None:
            check_ack(number)
            return Encoded((f"4{head('36', endpoint, number, len(attachments))}{text}", *attachments))
        return Encoded((f"43{number}{text}",))  # without a Packet in between: saves 1 µs of 2.2

    def decoder(self, config: Config) -> Decoder:
        return _Decoder(Assembler(self.json, config))

    def join(self, frames: Iterable[Frame], form: BodyFormat) -> Body:
        text = SEPARATOR.join(frame if isinstance(frame, str) else "b" + b64encode(frame).decode() for frame in frames)
        return Body(text.encode()) if form.jsonp_index is None else jsonp.script(f"___eio[{form.jsonp_index}]", text)

    def namespace_sid(self, sessid: str, endpoint: str) -> str:
        return new_sid()  # never the session's id: that one is a secret


class _Decoder(EngineDecoder):
    __slots__ = ()

    def split(self, body: bytes, form: BodyFormat, *, binary: bool = False) -> Iterator[Frame]:
        if binary:
            raise MalformedPayload("a binary body; this generation sends text")
        text = jsonp.text(body) if form.jsonp_index is None else jsonp.unescape(jsonp.field(body))
        for part in text.split(SEPARATOR):
            yield self.binary(part) if part.startswith("b") else part
