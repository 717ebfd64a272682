"""Engine.IO 4 on the wire, both ways: frames, payloads, the handshake, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asocketio import errors
from asocketio.config import Config
from asocketio.errors import MalformedPacket, MalformedPayload, ProtocolError, UnexpectedPacket, UsageError
from asocketio.protocol.base import BodyFormat, Encoded, Frame
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.json_codec import CustomJson
from asocketio.protocol.json_parser import JSONParser
from asocketio.protocol.packet import Packet, PacketType
from tests.support.properties import short
from tests.support.vectors import rows

PROTOCOL = EngineIO4()
CONFIG = Config()
SECONDS = 5.0
"""For a megabyte: a hundred times what linear code needs, a thousandth of what quadratic code would."""


def join(frames: Iterable[Frame]) -> bytes:
    return PROTOCOL.join(frames, BodyFormat()).content


def split(body: bytes) -> list[Frame]:
    return list(PROTOCOL.decoder(CONFIG).split(body, BodyFormat()))


def feed(frames: list[Frame]) -> list[Packet | None]:
    decoder = PROTOCOL.decoder(CONFIG)
    return [decoder.feed(frame) for frame in frames]


def as_message(frames: list[Frame]) -> list[Frame]:
    """Socket.IO's frames as Engine.IO carries them."""
    return ["4" + frame if isinstance(frame, str) else frame for frame in frames]


# ---- frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("engineio4", "both"))
def test_frames_are_read_as_the_packet_they_mean(row: dict[str, Any]) -> None:
    due: list[Packet | None] = [None] * (len(row["frames"]) - 1)
    assert feed(row["frames"]) == [*due, Packet.of(row["packet"])]


@pytest.mark.parametrize("row", rows("engineio4", "both"))
def test_a_packet_is_written_as_the_frames_it_means(row: dict[str, Any]) -> None:
    assert PROTOCOL.encode(Packet.of(row["packet"])).frames == tuple(row["frames"])


@pytest.mark.parametrize("row", rows("socketio5", "both", "read"))
def test_messages_are_read_as_the_packet_they_mean(row: dict[str, Any]) -> None:
    assert feed(as_message(row["frames"]))[-1] == Packet.of(row["packet"])


@pytest.mark.parametrize("row", rows("socketio5", "both", "write"))
def test_a_packet_is_written_as_the_messages_it_means(row: dict[str, Any]) -> None:
    encoded = PROTOCOL.encode(Packet.of(row["packet"]))
    frames = tuple(as_message(row["frames"]))
    assert (encoded.frames, encoded.size) == (frames, Encoded(frames).size)


@pytest.mark.parametrize("row", rows("engineio4", "bad"))
def test_bad_frames_are_refused_by_the_last_of_them(row: dict[str, Any]) -> None:
    decoder = PROTOCOL.decoder(CONFIG)
    *first, last = row["frames"]
    for frame in first:
        decoder.feed(frame)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(last)
    assert type(caught.value) is getattr(errors, row["error"])


@pytest.mark.parametrize("row", rows("socketio5", "bad"))
def test_bad_messages_are_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        feed(as_message(row["frames"]))
    assert type(caught.value) is getattr(errors, row["error"])


def test_the_error_names_the_beginning_of_the_frame() -> None:
    with pytest.raises(MalformedPacket, match=r"^frame 'aaaaaaaaaaaaaaaaaaaa', expected a type from 0 to 6$"):
        feed(["a" * 1000])


@pytest.mark.parametrize("kind", ["open", "close", "ping", "pong", "upgrade", "noop"])
def test_engine_packets_without_data_share_one_encoding(kind: str) -> None:
    first, second = (PROTOCOL.encode(Packet(PacketType(kind), data=data)) for data in (None, ""))
    assert first is second


def test_engine_packets_may_come_between_a_packet_and_its_attachments() -> None:
    event = Packet(PacketType.EVENT, name="x", args=[b"\x00"])
    frames: list[Frame] = ['451-["x",{"_placeholder":true,"num":0}]', "3", "2probe", b"\x00"]
    assert feed(frames) == [None, Packet(PacketType.PONG, data=""), Packet(PacketType.PING, data="probe"), event]


def test_decoders_know_nothing_of_each_other() -> None:
    first, second = PROTOCOL.decoder(CONFIG), PROTOCOL.decoder(CONFIG)
    assert first.feed('451-["x",{"_placeholder":true,"num":0}]') is None
    with pytest.raises(UnexpectedPacket):
        second.feed(b"second")
    assert first.feed(b"first") == Packet(PacketType.EVENT, name="x", args=[b"first"])


def test_max_attachments_is_the_configs() -> None:
    decoder = PROTOCOL.decoder(Config(max_attachments=1))
    with pytest.raises(MalformedPacket, match=r"^2 attachments, at most 1 are allowed \(max_attachments\)$"):
        decoder.feed('452-["x"]')


def test_the_programs_own_json_is_used_both_ways() -> None:
    protocol = EngineIO4(JSONParser(CustomJson(lambda text: ["name", text], lambda value: f"<{len(value)}>")))
    packet = protocol.decoder(CONFIG).feed("42<any>")
    assert (packet, protocol.encode(Packet(PacketType.EVENT, name="x", args=[1])).frames) == (
        Packet(PacketType.EVENT, name="name", args=["<any>"]),
        ("42<2>",),
    )


def test_an_argument_without_a_wire_form_is_the_programs_mistake() -> None:
    with pytest.raises(UsageError, match=r"^cannot be sent as JSON: object "):
        PROTOCOL.encode(Packet(PacketType.EVENT, name="x", args=[object()]))


# ---- payloads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("engineio4", "payloads", "read_payloads"))
def test_a_polling_body_is_split_into_its_frames(row: dict[str, Any]) -> None:
    assert split(row["body"].encode()) == row["frames"]


@pytest.mark.parametrize("row", rows("engineio4", "payloads"))
def test_frames_are_joined_to_a_polling_body(row: dict[str, Any]) -> None:
    assert join(row["frames"]) == row["body"].encode()


@pytest.mark.parametrize("row", rows("engineio4", "bad_payloads"))
def test_a_bad_polling_body_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload):
        split(row["body"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"4a\xff", "the body is not UTF-8 at byte 2"),
        (b"bAQ!", "not base64 (Only base64 data is allowed): 'AQ!'"),
        (
            "bé".encode(),
            "not base64 ('ascii' codec can't encode character '\\xe9' in position 0: "
            "ordinal not in range(128)): 'é'",
        ),
    ],
)  # fmt: skip
def test_the_error_of_a_body_tells_where_it_is_bad(body: bytes, message: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        split(body)
    assert str(caught.value) == message


def test_the_error_of_a_long_body_is_short() -> None:
    with pytest.raises(MalformedPayload) as caught:
        split(b"b" + b"A" * 100_001)
    assert len(str(caught.value)) < 200


def test_joining_takes_any_iterable() -> None:
    frames: list[Frame] = ["2", b"\x00"]
    assert (join(iter(frames)), join([])) == (b"2\x1ebAA==", b"")


# A frame of text never begins with the mark of binary, nor holds the separator: JSON escapes it.
frames_of_text = st.text().map(lambda text: "4" + text.replace("\x1e", ""))


@given(st.lists(frames_of_text | st.binary(), min_size=1))
@example([b""])
@settings(short)
def test_what_is_joined_is_split_into_the_same(frames: list[Frame]) -> None:
    assert split(join(frames)) == frames


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.lists(st.sampled_from(["b", "=", "AQ==", "4", "\x1e", "é"])).map(lambda parts: "".join(parts).encode())
)
@example(b"\xff")
@settings(short, max_examples=500)
def test_any_body_is_split_or_refused_as_the_peers_fault(body: bytes) -> None:
    try:
        frames = split(body)
    except MalformedPayload:
        return
    assert {type(frame) for frame in frames} <= {str, bytes}
    assert len(frames) == body.count(b"\x1e") + 1


@given(
    st.lists(
        st.text(st.characters()) | st.text('0123456-/,[]{}"b').map("4".__add__) | st.binary(max_size=8), max_size=6
    )
)
@settings(short, max_examples=500)
def test_whatever_comes_is_read_or_refused_as_the_peers_fault(frames: list[Frame]) -> None:
    with suppress(MalformedPacket, UnexpectedPacket):
        assert {type(packet) for packet in feed(frames)} <= {Packet, type(None)}
    assert feed(['42["x"]']) == [Packet(PacketType.EVENT, name="x")]


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x1e" * MEGABYTE, id="separators"),
        pytest.param(b"b" * MEGABYTE, id="marks of binary"),
        pytest.param(b"b\x1e" * (MEGABYTE // 2), id="empty binaries"),
        pytest.param(b"b" + b"AAAA" * (MEGABYTE // 4), id="one binary"),
        pytest.param(b"b" + b"=" * MEGABYTE, id="padding"),
        pytest.param(b"4" * MEGABYTE, id="one packet"),
        pytest.param(b"2\x1e" * (MEGABYTE // 2), id="pings"),
        pytest.param("4é".encode() * (MEGABYTE // 3), id="text outside ASCII"),
        pytest.param(b"4" * MEGABYTE + b"\xff", id="not UTF-8 at its end"),
    ],
)
def test_a_megabyte_of_anything_is_split_or_refused_in_linear_time(body: bytes) -> None:
    started = perf_counter()
    with suppress(MalformedPayload):
        split(body)
    assert perf_counter() - started < SECONDS


# ---- what the generation is -----------------------------------------------------------------


def test_the_server_pings_and_namespaces_connect_by_request() -> None:
    assert (EngineIO4.generation, EngineIO4.pings, EngineIO4.opens_global) == ("4", "server", False)
