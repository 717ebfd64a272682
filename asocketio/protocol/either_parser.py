"""`ServerEngineIO4Either`: JSON and MessagePack on one port. A client's first packet tells which of them it speaks.

The packets of the first are text, those of the second binary. Until a client has told, what it is sent are packets of
the connection itself, which both read alike. Once it asks for its first namespace the reader takes the decoder of what
it speaks, and the socket its protocol: no packet after that comes by here.
"""

from __future__ import annotations

from collections.abc import Iterator

from asocketio.config import Config
from asocketio.protocol.base import BodyFormat, Decoder, Frame
from asocketio.protocol.engineio import MESSAGE
from asocketio.protocol.json_codec import Json
from asocketio.protocol.packet import Packet
from asocketio.protocol.parser import Parser
from asocketio.protocol.server_protocol import ServerEngineIO4, ServerProtocol

__all__ = ["EitherDecoder", "ServerEngineIO4Either"]


class ServerEngineIO4Either(ServerEngineIO4):
    """Generation 4 for clients of two parsers. It writes as ``text`` does; those of the other get ``binary``."""

    def __init__(self, text: Parser | None, binary: ServerEngineIO4) -> None:
        super().__init__(text)
        self.binary = binary
        """The protocol of the clients whose packets are binary: one, so that a broadcast is encoded once for them."""

    def with_json(self, json: Json) -> ServerEngineIO4Either:
        return ServerEngineIO4Either(self.parser.with_json(json), self.binary)

    def decoder(self, config: Config) -> Decoder:
        return EitherDecoder(super().decoder(config), self.binary.decoder(config))

    def settled(self, decoder: Decoder) -> tuple[ServerProtocol, Decoder] | None:
        if not isinstance(decoder, EitherDecoder) or decoder.spoken is None:
            return None
        return (self.binary if decoder.spoken is decoder.binary else self), decoder.spoken


class EitherDecoder(Decoder):
    """Decodes as the first message demands."""

    __slots__ = ("binary", "spoken", "text")

    def __init__(self, text: Decoder, binary: Decoder) -> None:
        self.text = text
        self.binary = binary
        self.spoken: Decoder | None = None
        """The one of both that the client speaks; None before its first message."""

    def feed(self, frame: Frame) -> Packet | None:
        if self.spoken is None:
            if isinstance(frame, bytes) or frame.startswith("b"):  # base64
                self.spoken = self.binary
            elif frame.startswith(MESSAGE):
                self.spoken = self.text
            else:
                return self.text.feed(frame)
        return self.spoken.feed(frame)

    def split(self, body: bytes, body_format: BodyFormat, *, binary: bool = False) -> Iterator[Frame]:
        return self.text.split(body, body_format, binary=binary)
