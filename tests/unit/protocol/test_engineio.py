"""Engine.IO with whatever parser stands above it."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.config import Config
from asocketio.errors import MalformedPayload
from asocketio.protocol.base import BodyFormat
from asocketio.protocol.engineio import EngineIO, from_base64
from asocketio.protocol.engineio3 import EngineIO3
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.json_codec import CustomJson
from asocketio.protocol.json_parser import JSONParser
from asocketio.protocol.packet import Packet, PacketType
from tests.support.bytes_parser import BytesParser

EVENT = Packet(PacketType.EVENT, "/chat", name="x", args=["é", b"\x00"], id=7, ack="data")
PROTOCOLS = [EngineIO3, EngineIO4]
each_revision = pytest.mark.parametrize("cls", PROTOCOLS)


@each_revision
def test_a_parser_may_encode_a_packet_as_bytes(cls: type[EngineIO]) -> None:
    protocol = cls(BytesParser())
    encoded = protocol.encode(EVENT)
    assert [type(frame) for frame in encoded.frames] == [bytes]
    assert protocol.decoder(Config()).feed(encoded.frames[0]) == EVENT


@each_revision
@pytest.mark.parametrize("text_only", [False, True])
def test_such_packets_go_by_polling_too(cls: type[EngineIO], text_only: bool) -> None:
    protocol, decoder = cls(BytesParser()), cls(BytesParser()).decoder(Config())
    frames = [*protocol.encode(EVENT).frames, *protocol.encode(Packet(PacketType.NOOP)).frames]
    body = protocol.join(frames, BodyFormat(text_only))
    binary = body.kind == b"application/octet-stream"
    again = [decoder.feed(frame) for frame in decoder.split(body.content, BodyFormat(), binary=binary)]
    assert again == [EVENT, Packet(PacketType.NOOP, data="")]


@each_revision
@pytest.mark.parametrize("parser", [JSONParser(), BytesParser()], ids=["json", "bytes"])
def test_an_ack_is_encoded_as_its_packet(cls: type[EngineIO], parser: Any) -> None:
    protocol = cls(parser)
    packet = Packet(PacketType.ACK, "/chat", args=["é", b"\x00"], id=7)
    assert protocol.encode_ack("/chat", 7, ["é", b"\x00"]).frames == protocol.encode(packet).frames


@each_revision
def test_another_codec_makes_another_protocol_of_the_same_class(cls: type[EngineIO]) -> None:
    for parser in (JSONParser(), BytesParser()):
        protocol = cls(parser)
        own = protocol.with_json(CustomJson(None, lambda value: "[]"))
        assert (type(own), type(own.parser)) == (cls, type(parser))
        assert own.encode(EVENT).frames != protocol.encode(EVENT).frames


@pytest.mark.parametrize(("text", "data"), [("", b""), ("AQID", b"\x01\x02\x03")])
def test_base64_is_read(text: str, data: bytes) -> None:
    assert from_base64(text) == data


@pytest.mark.parametrize("text", ["AQI", "AQ==AQ==", "é", "A QI="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(MalformedPayload, match=r"^not base64 "):
        from_base64(text)
