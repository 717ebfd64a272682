"""Engine.IO 3, with the rules of Socket.IO 4: the 1.x and 2.x clients. Source: Engine.IO protocol, revision 3."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from asocketio.config import Config
from asocketio.errors import MalformedPacket, MalformedPayload
from asocketio.protocol import jsonp
from asocketio.protocol.base import Body, BodyFormat, Decoder, Encoded, Frame
from asocketio.protocol.engineio import MESSAGE, EngineDecoder, EngineIO, from_base64
from asocketio.protocol.json_codec import StdJson
from asocketio.protocol.packet import GLOBAL_NS, Packet, PacketType
from asocketio.protocol.parser import PacketDecoder, Parser
from asocketio.protocol.query import read_query
from asocketio.protocol.utf16 import count_units, read_length, take_units

__all__ = ["EngineIO3", "EngineIO3Twice"]

LARGE = 50_000
"""Characters from which a polling body is sent as binary."""

_BINARY = b"application/octet-stream"
_END = 0xFF  # of a length in a binary payload
_BINARY_MESSAGE = b"\x04"
_STD_JSON = StdJson()


class EngineIO3(EngineIO):
    """``EIO=3``: the client pings, the global namespace connects by itself, polling bodies tell packets' lengths."""

    generation = "3"
    pings = "client"
    opens_global = True

    def __init__(self, parser: Parser | None = None) -> None:
        super().__init__(parser)
        self.parser = self.parser.for_revision(4)

    def encode(self, packet: Packet) -> Encoded:
        if packet.type is PacketType.PONG and packet.data != "probe":
            packet = Packet(PacketType.PONG)
        engine = self.encode_engine(packet)
        if engine is not None:
            return engine
        if packet.type is PacketType.CONNECT:
            packet = replace(packet, data=None)
        elif packet.type is PacketType.ERROR:
            packet = replace(packet, data=_error(packet.data))
        frames = self.parser.encode(packet, MESSAGE)
        if len(frames) == 1 and isinstance(frames[0], str):
            return Encoded(frames)
        return Encoded(tuple(frame if isinstance(frame, str) else _BINARY_MESSAGE + frame for frame in frames))

    def decoder(self, config: Config) -> Decoder:
        return _Decoder(self.parser.decoder(config))

    def as_text(self, frame: bytes) -> str:
        return f"b{frame[0]}{b64encode(frame[1:]).decode()}"

    def join(self, frames: Iterable[Frame], body_format: BodyFormat) -> Body:
        frames = list(frames)
        index = body_format.jsonp_index
        if index is None and not body_format.text_only and _wants_binary(frames, body_format.encoded_twice):
            return Body(b"".join(map(self._as_binary, frames)), _BINARY)
        texts = [frame if isinstance(frame, str) else self.as_text(frame) for frame in frames]
        text = "".join(map(_length_prefixed, map(_twice, texts) if body_format.encoded_twice else texts))
        return Body(text.encode()) if index is None else jsonp.script(f"___eio[{index}]", text)

    def _as_binary(self, frame: Frame) -> bytes:
        content = frame.encode() if isinstance(frame, str) else frame
        length = bytes(map(int, str(len(content))))
        return bytes((isinstance(frame, bytes),)) + length + bytes((_END,)) + content


class EngineIO3Twice(EngineIO3):
    """``EIO=3`` as 1.0.x speaks it: all text is encoded twice, but in binary bodies.

    Clients turn text into UTF-8, take each byte for a character, and send that as UTF-8 again. JSON is ASCII here; what
    is beyond it are the names of namespaces.
    """

    def encode(self, packet: Packet) -> Encoded:
        encoded = super().encode(packet)
        frames = encoded.frames
        if isinstance(frames[0], str) and not frames[0].isascii():
            return Encoded((_twice(frames[0]), *frames[1:]))
        return encoded

    def decoder(self, config: Config) -> Decoder:
        return _DecoderOfTwice(self.parser.decoder(config))

    def _as_binary(self, frame: Frame) -> bytes:
        return super()._as_binary(frame.encode("latin-1").decode() if isinstance(frame, str) else frame)


class _Decoder(EngineDecoder):
    __slots__ = ("_single", "_split", "_twice_in_bodies", "_twice_in_messages")

    def __init__(self, packets: PacketDecoder) -> None:
        super().__init__(packets)
        self._single = False
        """This client encodes text once: one of its packets proves it."""
        self._twice_in_bodies = self._twice_in_messages = False
        self._split: Frame | None = None
        """The text beyond ASCII that has just come out of a body: its encoding has been seen to."""

    @property
    def encodes_twice(self) -> Literal["", "bodies", "messages"]:
        return "messages" if self._twice_in_messages else "bodies" if self._twice_in_bodies else ""

    def feed(self, frame: Frame) -> Packet | None:
        if isinstance(frame, bytes):
            if not frame.startswith(_BINARY_MESSAGE):
                raise MalformedPacket(f"binary of type {frame[:1]!r}, expected {_BINARY_MESSAGE!r}")
            frame = frame[1:]
        elif not frame.isascii():
            frame = self._once_in_message(frame) if frame is not self._split else frame
            self._split = None
        packet = super().feed(frame)
        if packet is not None and packet.type is PacketType.CONNECT:
            name, _, query = packet.endpoint.partition("?")
            packet.endpoint = GLOBAL_NS if name == "/" else name
            packet.data = read_query(query)
        return packet

    def split(self, body: bytes, body_format: BodyFormat, *, binary: bool = False) -> Iterator[Frame]:
        if binary:
            for frame in _split_binary(body):
                if isinstance(frame, bytes) or frame.isascii():
                    yield frame
                else:
                    self._twice_in_bodies = True  # 1.x: later versions write a body of text as text
                    yield from self._seen(frame)
            return
        text = jsonp.text(body) if body_format.jsonp_index is None else jsonp.unescape(jsonp.field(body))
        at = 0
        while at < len(text):
            count, at = read_length(text, at, ":")
            packet = take_units(text, at, count)
            at += len(packet)
            if packet.startswith("b"):
                yield self.binary(packet)
            elif packet.isascii():
                yield packet
            else:
                yield from self._seen(self._once_in_body(packet))

    def _seen(self, frame: str) -> Iterator[Frame]:
        self._split = frame
        yield frame
        self._split = None

    def binary(self, frame: str) -> bytes:
        if frame[1:2] != "4":
            raise MalformedPayload(f"packet {frame[:20]!r}: only messages may be binary")
        return _BINARY_MESSAGE + from_base64(frame[2:])

    def _once_in_body(self, packet: str) -> str:
        once = self._once(packet)
        self._twice_in_bodies |= once is not packet
        return once

    def _once_in_message(self, frame: str) -> str:
        once = self._once(frame)
        self._twice_in_messages |= once is not frame
        return once

    def _once(self, packet: str) -> str:
        """``packet`` without its second encoding, if it has one. Clients of 1.x encode so in bodies, 1.0.x always."""
        if self._single or packet.isascii():
            return packet
        try:
            return packet.encode("latin-1").decode()
        except UnicodeError:
            self._single = True
            return packet


class _DecoderOfTwice(_Decoder):
    """Of a client that encodes text twice for certain: nothing proves that it does not, and nothing is found out."""

    __slots__ = ()

    @property
    def encodes_twice(self) -> Literal["", "bodies", "messages"]:
        return ""

    def _once(self, packet: str) -> str:
        try:
            return packet.encode("latin-1").decode()
        except UnicodeError:
            return packet


def _twice(text: str) -> str:
    return text if text.isascii() else text.encode().decode("latin-1")


def _wants_binary(frames: list[Frame], encoded_twice: bool) -> bool:
    """Whether a body should be binary, to those who take that.

    XHR2 clients of 1.x make a call with an argument for each byte of a text body, which fails for large ones; and text
    beyond ASCII is encoded once in binary bodies, in all versions.
    """
    if any(isinstance(frame, bytes) or (encoded_twice and not frame.isascii()) for frame in frames):
        return True
    return sum(map(len, frames)) > LARGE


def _error(data: object) -> object:
    """What the ``error`` event of these clients gets: the data of a refusal, or its message."""
    if isinstance(data, dict) and "message" in data:
        data = data.get("data", data["message"])
    # A digit behind the type would be read as the number of an ack.
    return _STD_JSON.dumps(data)[0] if isinstance(data, int | float) and not isinstance(data, bool) else data


def _length_prefixed(packet: str) -> str:
    return f"{count_units(packet)}:{packet}"


def _split_binary(body: bytes) -> Iterator[Frame]:
    at = 0
    while at < len(body):
        end = body.find(_END, at + 1, at + 11)
        digits = body[at + 1 : end] if end > 0 else b""
        if body[at] > 1 or not digits or max(digits) > 9:
            raise MalformedPayload(f"{body[at : at + 11]!r}, expected 0 or 1, the digits of a length and 255")
        size = int("".join(map(str, digits)))
        content = body[end + 1 : end + 1 + size]
        if len(content) != size:
            raise MalformedPayload(f"a packet of {size} bytes, only {len(content)} are there")
        yield content if body[at] else jsonp.text(content)
        at = end + 1 + size
