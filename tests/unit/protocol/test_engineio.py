"""Engine.IO with whatever parser stands above it."""

from __future__ import annotations

import string
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


# What Node 22 reads of the same text by ``Buffer.from(text, "base64")``.
READ = {
    "": "", "AQID": "010203", "AQI": "0102", "AQ": "01", "AQI=": "0102", "AQ==": "01", "AR==": "01", "AQ=": "01",
    "AQI==": "0102", "AQID=": "010203", "AQID==": "010203", "A QI=": "0102", "AQ\r\nID": "010203", "AQI=\r\n": "0102",
    " AQID": "010203", "AQ\t\f\v\nI": "0102", "-_-_": "fbffbf", "+/+_": "fbffbf", "-_8": "fbff", "A\r\nQ = =": "01",
}  # fmt: skip


@pytest.mark.parametrize(("text", "data"), READ.items())
def test_base64_is_read(text: str, data: str) -> None:
    assert from_base64(text).hex() == data


@pytest.mark.parametrize(
    "text", ["A", "AQIDA", "A===", "=", "====", "AQIDA===", "AQ==AQ==", "AQ=ID", "=AQI", "é", "AQ\xa0ID", "AQ!ID"]
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    """Node leaves out what it cannot read: the program would get other data than was sent."""
    with pytest.raises(MalformedPayload, match=r"^not base64 "):
        from_base64(text)


@given(
    st.binary(min_size=1, max_size=200),
    st.booleans(),
    st.integers(0, 4),
    st.integers(1, 80),
    st.sampled_from(["", "\n", "\r\n", " "]),
)
def test_each_way_to_write_base64_is_read(data: bytes, url_safe: bool, padding: int, width: int, end: str) -> None:
    text = (urlsafe_b64encode if url_safe else b64encode)(data).decode().rstrip("=") + "=" * padding
    lines = end.join(text[at : at + width] for at in range(0, len(text), width))
    assert from_base64(lines + end) == data


@given(
    st.binary(max_size=50),
    st.integers(0),
    st.characters(exclude_characters=string.ascii_letters + string.digits + "+/-_=" + string.whitespace),
)
def test_a_character_that_is_not_of_base64_is_refused_anywhere(data: bytes, at: int, other: str) -> None:
    text = b64encode(data).decode()
    at %= len(text) + 1
    with pytest.raises(MalformedPayload):
        from_base64(text[:at] + other + text[at:])
