"""Engine.IO 3 on the wire, both ways: frames, the three forms of payloads, and text that was encoded twice."""

from __future__ import annotations

import gc
import json
from base64 import b64encode
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asocketio import errors
from asocketio.config import Config
from asocketio.errors import (
    MalformedPacket,
    MalformedPayload,
    ProtocolError,
    UnexpectedPacket,
    UsageError,
)
from asocketio.protocol.base import Body, BodyFormat, Decoder, Encoded, Frame
from asocketio.protocol.engineio3 import EngineIO3
from asocketio.protocol.fast_json import FastJson
from asocketio.protocol.json_codec import CustomJson, Json, StdJson
from asocketio.protocol.json_parser import JSONParser
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.parser import RESERVED_EVENTS
from asocketio.protocol.server_protocol import ServerEngineIO3
from tests.support.properties import short
from tests.support.vectors import rows

PROTOCOL = EngineIO3()
CONFIG = Config()
PLAIN = BodyFormat()
TEXT_ONLY = BodyFormat(text_only=True)
SECONDS = 5.0
"""For 200 kB: a hundred times what linear code needs, a tenth of what quadratic code would."""


def decoder() -> Decoder:
    return PROTOCOL.decoder(CONFIG)


def feed(frames: list[Frame]) -> list[Packet | None]:
    reader = decoder()
    return [reader.feed(frame) for frame in frames]


def split(body: bytes | str, *, binary: bool = False) -> list[Frame]:
    return list(decoder().split(body.encode() if isinstance(body, str) else body, PLAIN, binary=binary))


def as_message(frames: list[Frame]) -> list[Frame]:
    """Socket.IO's frames as Engine.IO carries them."""
    return ["4" + frame if isinstance(frame, str) else b"\x04" + frame for frame in frames]


def due(frames: list[Frame]) -> list[Packet | None]:
    """Nothing, for all frames of a packet but the last."""
    return [None] * (len(frames) - 1)


# ---- frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("engineio3", "both", "read"))
def test_frames_are_read_as_the_packet_they_mean(row: dict[str, Any]) -> None:
    assert feed(row["frames"])[-1] == Packet.of(row["packet"])


@pytest.mark.parametrize("row", rows("engineio3", "both"))
def test_no_frame_but_the_last_completes_a_packet(row: dict[str, Any]) -> None:
    assert feed(row["frames"])[:-1] == due(row["frames"])


@pytest.mark.parametrize("row", rows("engineio3", "both", "write"))
def test_a_packet_is_written_as_the_frames_it_means(row: dict[str, Any]) -> None:
    encoded = PROTOCOL.encode(Packet.of(row["packet"]))
    frames = tuple(row["frames"])
    assert (encoded.frames, encoded.size) == (frames, Encoded(frames).size)


@pytest.mark.parametrize("row", rows("engineio3", "both", "write"))
def test_all_text_that_is_written_is_ascii(row: dict[str, Any]) -> None:
    assert all(
        isinstance(frame, bytes) or frame.isascii() for frame in PROTOCOL.encode(Packet.of(row["packet"])).frames
    )


def test_only_the_name_of_a_namespace_goes_out_as_it_is() -> None:
    packet = Packet(PacketType.EVENT, "/é", name="é", args=["é"])
    assert PROTOCOL.encode(packet).frames == ('42/é,["\\u00e9","\\u00e9"]',)


@pytest.mark.parametrize("codec", [StdJson(), FastJson()], ids=["std", "fast"])
@pytest.mark.parametrize(
    ("number", "text"),
    [(1e-7, "1e-07"), (0.00001, "1e-05"), (1e16, "1e+16"), (5e-324, "5e-324"), (-0.0, "-0.0"), (10**20, f"{10**20}")],
)
def test_a_number_as_an_error_is_the_same_text_whatever_is_installed(codec: Json, number: float, text: str) -> None:
    """Text, because a digit behind the type would be read as the number of an ack."""
    for data in (number, {"message": number}, {"message": "", "data": number}):
        frames = EngineIO3(JSONParser(codec)).encode(Packet(PacketType.ERROR, "/a", data=data)).frames
        assert frames == (f'44/a,"{text}"',)
        assert feed([*frames]) == [Packet(PacketType.ERROR, "/a", data=text)]


@pytest.mark.parametrize("row", rows("engineio3", "bad"))
def test_bad_frames_are_refused_by_the_last_of_them(row: dict[str, Any]) -> None:
    reader = decoder()
    *first, last = row["frames"]
    for frame in first:
        reader.feed(frame)
    with pytest.raises(ProtocolError) as caught:
        reader.feed(last)
    assert type(caught.value) is getattr(errors, row["error"])


def messages(*groups: str) -> list[Any]:
    kinds = ("event", "ack", "message", "json")
    return [row for row in rows("socketio5", *groups) if row.values[0]["packet"]["type"] in kinds]


@pytest.mark.parametrize("row", messages("both", "read"))
def test_events_and_acks_are_read_as_in_the_next_revision(row: dict[str, Any]) -> None:
    assert feed(as_message(row["frames"]))[-1] == Packet.of(row["packet"])


@pytest.mark.parametrize("row", messages("both", "write"))
def test_what_is_written_of_events_and_acks_means_the_same_in_the_next_revision(row: dict[str, Any]) -> None:
    frames = PROTOCOL.encode(Packet.of(row["packet"])).frames
    assert feed(list(frames))[-1] == feed(as_message(row["frames"]))[-1]


@pytest.mark.parametrize("row", [row for row in rows("socketio5", "bad") if "connect error" not in str(row.id)])
def test_what_the_next_revision_refuses_is_refused_but_for_errors_which_are_any_json_here(row: dict[str, Any]) -> None:
    with pytest.raises((MalformedPacket, UnexpectedPacket)):
        feed(as_message(row["frames"]))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (["a" * 1000], "frame 'aaaaaaaaaaaaaaaaaaaa', expected a type from 0 to 6"),
        (["49" + "a" * 1000], "packet '9aaaaaaaaaaaaaaaaaaa', expected a type from 0 to 6"),
        ([b"\x05" * 1000], r"binary of type b'\x05', expected b'\x04'"),
        ([b""], r"binary of type b'', expected b'\x04'"),
        ([b"\x04" * 1000], "999 bytes of binary without a packet that announces them"),
    ],
)
def test_the_error_tells_what_was_met_and_expected(frames: list[Frame], message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        feed(frames)
    assert str(caught.value) == message


def test_a_query_has_at_most_two_hundred_fields() -> None:
    def connect(count: int) -> Packet | None:
        return decoder().feed("40/chat?" + "&".join(f"f{n}=1" for n in range(count)) + ",")

    assert connect(200) == Packet(PacketType.CONNECT, "/chat", data={f"f{n}": "1" for n in range(200)})
    with pytest.raises(MalformedPacket, match=r"^a query of over 200 fields$"):
        connect(201)


def test_max_attachments_is_the_configs() -> None:
    reader = PROTOCOL.decoder(Config(max_attachments=1))
    with pytest.raises(MalformedPacket, match=r"^2 attachments, at most 1 are allowed \(max_attachments\)$"):
        reader.feed('452-["x"]')


def test_json_may_nest_a_hundred_deep_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        return '42["x",' + "[" * (depth - 1) + "]" * (depth - 1) + "]"

    assert feed([nested(100)]) == [Packet(PacketType.EVENT, name="x", args=json.loads(nested(100)[2:])[1:])]
    with pytest.raises(MalformedPacket, match=r"^JSON nested deeper than 100$"):
        feed([nested(101)])


@pytest.mark.parametrize("digits", [5000, 1_000_000])
@pytest.mark.parametrize("text", ["4{}", '42{}["x"]', '43{}["x"]', '45{}-["x"]', "41{}", '42["x",{}]'])
def test_an_endless_run_of_digits_is_refused(text: str, digits: int) -> None:
    with pytest.raises(MalformedPacket):
        feed([text.format("1" * digits)])


def test_decoders_know_nothing_of_each_other() -> None:
    first, second = decoder(), decoder()
    assert first.feed('451-["x",{"_placeholder":true,"num":0}]') is None
    with pytest.raises(UnexpectedPacket):
        second.feed(b"\x04second")
    assert first.feed(b"\x04first") == Packet(PacketType.EVENT, name="x", args=[b"first"])


def test_the_programs_own_json_is_used_both_ways_and_goes_out_as_ascii() -> None:
    protocol = EngineIO3(JSONParser(CustomJson(lambda text: ["name", text], lambda value: f'"é{len(value)}"')))
    packet = protocol.decoder(CONFIG).feed("42<any>")
    assert (packet, protocol.encode(Packet(PacketType.EVENT, name="x", args=[1])).frames) == (
        Packet(PacketType.EVENT, name="name", args=["<any>"]),
        ('42"\\u00e92"',),
    )


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        *(
            (
                Packet(PacketType.EVENT, name=name),
                f"{name!r} is reserved for the client's own life: choose another event name",
            )
            for name in sorted(RESERVED_EVENTS)
        ),
        (Packet(PacketType.HEARTBEAT), "a packet of type heartbeat cannot be sent to this client"),
        (Packet(PacketType.ERROR, data={"message": b""}), "a packet of type error cannot carry binary data"),
        (
            Packet(PacketType.EVENT, name="x", args=[{1, 2}]),
            "cannot be sent as JSON: set is no str, number, bool, None, bytes, list or dict; convert it first",
        ),
    ],
)  # fmt: skip
def test_a_packet_without_a_wire_form_is_the_programs_mistake(packet: Packet, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        PROTOCOL.encode(packet)
    assert str(caught.value) == message


# ---- payloads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("engineio3", "payloads", "read_payloads"))
def test_a_text_body_is_split_into_its_frames(row: dict[str, Any]) -> None:
    assert split(row["body"]) == row["frames"]


@pytest.mark.parametrize("row", rows("engineio3", "payloads"))
def test_frames_are_joined_to_a_text_body_for_a_client_that_takes_no_other(row: dict[str, Any]) -> None:
    assert PROTOCOL.join(row["frames"], TEXT_ONLY) == Body(row["body"].encode(), b"text/plain; charset=UTF-8", 200)


@pytest.mark.parametrize("row", rows("engineio3", "payloads", "binary_payloads"))
def test_a_body_is_binary_only_where_a_packet_is_and_the_client_takes_it(row: dict[str, Any]) -> None:
    has_binary = any(isinstance(frame, bytes) for frame in row["frames"])
    kinds = [
        PROTOCOL.join(row["frames"], body_format).kind for body_format in (PLAIN, TEXT_ONLY, BodyFormat(jsonp_index=0))
    ]
    assert kinds == [
        b"application/octet-stream" if has_binary else b"text/plain; charset=UTF-8",
        b"text/plain; charset=UTF-8",
        b"text/javascript; charset=UTF-8",
    ]


@pytest.mark.parametrize("row", rows("engineio3", "binary_payloads", "read_binary_payloads"))
def test_a_binary_body_is_split_into_its_frames(row: dict[str, Any]) -> None:
    assert split(row["body"], binary=True) == row["frames"]


@pytest.mark.parametrize("row", rows("engineio3", "binary_payloads"))
def test_frames_are_joined_to_a_binary_body(row: dict[str, Any]) -> None:
    assert PROTOCOL.join(row["frames"], PLAIN) == Body(row["body"], b"application/octet-stream", 200)


@pytest.mark.parametrize("row", rows("engineio3", "bad_payloads"))
def test_a_bad_text_body_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload):
        split(row["body"])


@pytest.mark.parametrize("row", rows("engineio3", "bad_binary_payloads"))
def test_a_bad_binary_body_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload):
        split(row["body"], binary=True)


FRAMES: list[Frame] = ["4é😀x", b"\x04\x01\xff\x02", '42["1:2"]', "2", b"\x04"]


@pytest.mark.parametrize(("body_format", "binary"), [(PLAIN, True), (TEXT_ONLY, False)], ids=["binary", "text"])
def test_a_body_that_is_cut_anywhere_is_refused_or_holds_the_packets_before_the_cut(
    body_format: BodyFormat, binary: bool
) -> None:
    def joined(count: int) -> bytes:
        """What the first packets would be in the whole body."""
        return b"".join(PROTOCOL.join([frame, b"\x04"], body_format).content[: -len(last)] for frame in FRAMES[:count])

    last = PROTOCOL.join([b"\x04"], body_format).content
    body = joined(len(FRAMES))
    ends = {len(joined(count)): FRAMES[:count] for count in range(len(FRAMES) + 1)}
    for cut in range(len(body) + 1):
        if cut in ends:
            assert split(body[:cut], binary=binary) == ends[cut]
        else:
            with pytest.raises(MalformedPayload):
                split(body[:cut], binary=binary)


@pytest.mark.parametrize("body", [b"6:4hello", "10:4é😀".encode(), b"6:b4AQL/"])
def test_a_text_body_does_not_pass_for_a_binary_one(body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        split(body, binary=True)


@pytest.mark.parametrize(
    ("body", "binary", "message"),
    [
        (b"abcdefghijklmnop", False, "'abcdefghij', expected the length of a packet and ':'"),
        (b"7:4hello", False, "a packet of 7 units, only 6 are there"),
        ("3:4é😀x".encode(), False, "a packet of 3 units ends inside of a character"),
        (b"2:4\xff", False, "the body is not UTF-8 at byte 3"),
        (b"5:b4AQ!", False, "not base64 (Only base64 data is allowed): 'AQ!'"),
        (b"6:b3AQL/", False, "packet 'b3AQL/': only messages may be binary"),
        (b"\x02\x06\xff4hello", True, "b'\\x02\\x06\\xff4hello', expected 0 or 1, the digits of a length and 255"),
        (b"\x00\x07\xff4hello", True, "a packet of 7 bytes, only 6 are there"),
        (b"\x00\x02\xff4\xff", True, "the body is not UTF-8 at byte 1"),
    ],
)
def test_the_error_of_a_body_tells_where_it_is_bad(body: bytes, binary: bool, message: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        split(body, binary=binary)
    assert str(caught.value) == message


@pytest.mark.parametrize("body", [b"a" * 100_000, b"100003:b4" + b"A" * 100_001, b"b" * 100_000, b"9" * 100_000])
@pytest.mark.parametrize("binary", [False, True])
def test_the_error_of_a_long_body_is_short(body: bytes, binary: bool) -> None:
    with pytest.raises(MalformedPayload) as caught:
        split(body, binary=binary)
    assert len(str(caught.value)) < 200


def test_joining_takes_any_iterable() -> None:
    frames: list[Frame] = ["2", b"\x04\x00"]
    joined = [PROTOCOL.join(iter(frames), body_format).content for body_format in (PLAIN, TEXT_ONLY)]
    assert joined == [b"\x00\x01\xff2\x01\x02\xff\x04\x00", b"1:26:b4AA=="]


# ---- text that was encoded twice -------------------------------------------------------------------------------


def twice(text: str) -> str:
    """What clients of 1.x make of text before they send it as UTF-8: each byte of its UTF-8 as a character."""
    return text.encode().decode("latin-1")


def body_of(*packets: str) -> bytes:
    return PROTOCOL.join(packets, TEXT_ONLY).content


TEXT = '42["echo","é😀\\n",1]'


def test_a_body_of_1_x_is_read_as_one_of_2_x() -> None:
    assert (body_of(TEXT)[:3], body_of(twice(TEXT))[:3]) == (b"20:", b"23:")
    assert split(body_of(TEXT)) == split(body_of(twice(TEXT))) == [TEXT]


def test_each_packet_of_1_x_is_encoded_by_itself() -> None:
    assert split(body_of(twice(TEXT), "2", twice('42["é"]'))) == [TEXT, "2", '42["é"]']


@pytest.mark.parametrize("proof", ['42["é"]', '42["😀"]', '42["é😀"]', '42["€"]', '42["Ã"]', '42["ÿ"]', '42["\x80"]'])
def test_one_packet_that_cannot_be_encoded_twice_ends_the_guessing(proof: str) -> None:
    reader = decoder()
    assert list(reader.split(body_of(twice(TEXT)), PLAIN)) == [TEXT]
    assert list(reader.split(body_of(proof), PLAIN)) == [proof]
    assert list(reader.split(body_of(twice(TEXT)), PLAIN)) == [twice(TEXT)]


def test_the_guessing_ends_within_a_body_too() -> None:
    assert split(body_of(twice(TEXT), '42["é"]', twice(TEXT))) == [TEXT, '42["é"]', twice(TEXT)]


def test_what_could_be_either_is_taken_for_encoded_twice_until_then() -> None:
    assert split(body_of('42["Ã©"]')) == ['42["é"]']


@pytest.mark.parametrize("body", [b"1:2", b'6:42["x"', b"6:b4AQL/", b'12:42["\\u00e9"]'])
def test_ascii_proves_nothing(body: bytes) -> None:
    reader = decoder()
    with suppress(MalformedPayload):
        list(reader.split(body, PLAIN))
    assert list(reader.split(body_of(twice(TEXT)), PLAIN)) == [TEXT]


def test_what_one_client_proves_says_nothing_of_another() -> None:
    first, second = decoder(), decoder()
    list(first.split(body_of('42["é"]'), PLAIN))
    assert list(second.split(body_of(twice(TEXT)), PLAIN)) == [TEXT]


def test_binary_bodies_are_not_guessed_at() -> None:
    packet = '42["Ã©"]'
    body = b"\x00\x01\x00\xff" + packet.encode()
    reader = decoder()
    assert (len(packet.encode()), split(body, binary=True)) == (10, [packet])
    packets = [reader.feed(frame) for frame in reader.split(body, PLAIN, binary=True)]
    assert packets == [Packet(PacketType.EVENT, name="Ã©")]
    assert reader.encodes_twice == "bodies"  # such a client writes text bodies so


MESSAGES = {
    '42["echo","é😀"]': Packet(PacketType.EVENT, name="echo", args=["é😀"]),
    '42["größe",1]': Packet(PacketType.EVENT, name="größe", args=[1]),
    '431["é"]': Packet(PacketType.ACK, id=1, args=["é"]),
    "40/größe": Packet(PacketType.CONNECT, "/größe", data={}),
    '42/größe,7["é"]': Packet(PacketType.EVENT, "/größe", name="é", id=7, ack="data"),
    "41/größe": Packet(PacketType.DISCONNECT, "/größe"),
}


@pytest.mark.parametrize(("text", "packet"), MESSAGES.items())
def test_a_message_of_1_0_is_read_as_one_of_later_versions(text: str, packet: Packet) -> None:
    older, newer = decoder(), decoder()
    assert (older.feed(twice(text)), newer.feed(text)) == (packet, packet)
    assert (older.encodes_twice, newer.encodes_twice) == ("messages", "")


def test_one_message_that_cannot_be_encoded_twice_ends_the_guessing() -> None:
    reader = decoder()
    assert reader.feed('42["é"]') == Packet(PacketType.EVENT, name="é")
    assert reader.feed('42["Ã©"]') == Packet(PacketType.EVENT, name="Ã©")


def test_what_comes_out_of_a_body_is_not_taken_apart_again() -> None:
    """Text such as ``Ã©``, by polling."""
    reader = decoder()
    frames = reader.split(body_of(twice('42["Ã©"]'), twice('42["é"]')), PLAIN)
    assert [packet.name for frame in frames if (packet := reader.feed(frame))] == ["Ã©", "é"]
    assert reader.encodes_twice == "bodies"


def test_what_has_come_out_of_a_body_is_not_kept() -> None:
    reader = decoder()
    assert [reader.feed(frame) is not None for frame in reader.split(body_of(twice('42["é"]')), PLAIN)] == [True]

    assert [each for each in gc.get_referents(reader) if isinstance(each, str) and not each.isascii()] == []


OLD = ServerEngineIO3().encoding_twice


def test_who_is_known_to_encode_twice_is_not_guessed_at() -> None:
    reader = OLD.decoder(Config())
    sent = ['42["é"]', '42["Ã©"]', '42["漢"]']
    for text in (*map(twice, sent), *map(twice, sent)):
        packet = reader.feed(text)
        assert packet is not None
        assert twice(f'42["{packet.name}"]') == text
    assert reader.feed('42["漢"]') == Packet(PacketType.EVENT, name="漢")  # whatever that is


def test_it_is_written_to_in_the_same_way() -> None:
    """But in binary bodies, which its text is encoded in once."""
    told = OLD.encode(Packet(PacketType.EVENT, "/größe", name="x", args=["é", b"\x01"]))
    plain = PROTOCOL.encode(Packet(PacketType.EVENT, "/größe", name="x", args=["é", b"\x01"]))
    assert told.frames == (twice(str(plain.frames[0])), *plain.frames[1:])
    assert OLD.join(told.frames, TEXT_ONLY) == PROTOCOL.join(plain.frames, TEXT_ONLY._replace(encoded_twice=True))
    assert OLD.join(told.frames, PLAIN) == PROTOCOL.join(plain.frames, PLAIN)
    plainer = Packet(PacketType.EVENT, "/a", name="é")
    assert OLD.encode(plainer).frames == PROTOCOL.encode(plainer).frames
    assert OLD.encoding_twice is OLD


def test_a_body_for_1_x_is_what_it_sends_itself() -> None:
    assert PROTOCOL.join([TEXT, "2"], TEXT_ONLY._replace(encoded_twice=True)).content == body_of(twice(TEXT), "2")
    index = PROTOCOL.join([TEXT], BodyFormat(True, 0, True)).content
    assert index == PROTOCOL.join([twice(TEXT)], BodyFormat(True, 0)).content


def test_text_beyond_ascii_goes_in_a_binary_body_to_who_takes_one() -> None:
    """There it is encoded once, in all versions."""
    body = PROTOCOL.join(["40/größe"], PLAIN._replace(encoded_twice=True))
    assert body.kind == b"application/octet-stream"
    assert split(body.content, binary=True) == ["40/größe"]


@given(st.lists(st.text(min_size=1).map(json.dumps) | st.text(st.characters(exclude_categories=["Cs"]))))
@settings(short, max_examples=60)
def test_whatever_1_x_sends_is_read_as_it_meant_it(texts: list[str]) -> None:
    packets = ["4" + text for text in texts]
    assert split(body_of(*map(twice, packets))) == packets


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
@settings(short, max_examples=60)
def test_once_it_is_clear_whatever_2_x_sends_is_left_as_it_is(texts: list[str]) -> None:
    packets = ["4" + text for text in texts]
    assert split(body_of('42["é"]', *packets)) == ['42["é"]', *packets]


# ---- round trips -----------------------------------------------------------------------------------------------


def as_utf16(text: str) -> str:
    """Two surrogates that happen to meet are one character, for JSON as for JavaScript."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


texts = st.text(st.characters(), max_size=8).map(as_utf16)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars | st.binary(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(texts.filter(lambda key: key != "_placeholder"), inner),
    max_leaves=6,
)
endpoints = st.sampled_from(["", "/chat", "/a/b", "/1", "/1-[2]{3}", "/€😀"])
numbers = st.integers(0, 10**16 - 1)


def wanting(packet: Packet, number: int | None) -> Packet:
    packet.id, packet.ack = number, None if number is None else "data"
    return packet


def packet_of(kind: PacketType, data: st.SearchStrategy[Any]) -> st.SearchStrategy[Packet]:
    return st.builds(Packet, st.just(kind), endpoints, data=data)


names = texts.filter(lambda name: name not in RESERVED_EVENTS)
args = st.lists(values, max_size=3)
events = st.builds(
    wanting, st.builds(Packet, st.just(PacketType.EVENT), endpoints, name=names, args=args), st.none() | numbers
)
acks = st.builds(Packet, st.just(PacketType.ACK), endpoints, args=args, id=numbers)
refusals = packet_of(
    PacketType.ERROR, texts | st.dictionaries(texts.filter(lambda key: key != "message"), scalars, max_size=3)
)
states = packet_of(PacketType.CONNECT, st.builds(dict)) | packet_of(PacketType.DISCONNECT, st.none())
kinds = st.sampled_from([PacketType.OPEN, PacketType.CLOSE, PacketType.PING, PacketType.PONG, PacketType.NOOP])
engine = st.builds(Packet, kinds, data=st.just(""))
packets = events | acks | refusals | states | engine


def sent(packets: list[Packet]) -> list[Frame]:
    return [frame for packet in packets for frame in PROTOCOL.encode(packet).frames]


def received(frames: list[Frame]) -> list[Packet | None]:
    reader = PROTOCOL.decoder(Config(max_attachments=1000))
    return [packet for packet in map(reader.feed, frames) if packet is not None]


@given(st.lists(packets, min_size=1, max_size=4))
@settings(short, max_examples=60)
def test_what_is_sent_by_websocket_is_received_as_it_was(packets: list[Packet]) -> None:
    assert received(sent(packets)) == packets


@given(st.lists(packets, min_size=1, max_size=4), st.sampled_from([PLAIN, TEXT_ONLY]))
@settings(short, max_examples=60)
def test_what_is_sent_by_polling_is_received_as_it_was(packets: list[Packet], body_format: BodyFormat) -> None:
    body = PROTOCOL.join(sent(packets), body_format)
    binary = body.kind == b"application/octet-stream"
    assert received(list(decoder().split(body.content, PLAIN, binary=binary))) == packets


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])).map("4".__add__) | st.binary().map(b"\x04".__add__)))
@example(["4\u0080", b"\x04"])
@settings(short, max_examples=60)
def test_what_is_joined_is_split_into_the_same(frames: list[Frame]) -> None:
    proof = '42["é"]'
    assert split(PROTOCOL.join([proof, *frames], TEXT_ONLY).content) == [proof, *frames]
    assert split(PROTOCOL.join([*frames, b"\x04"], PLAIN).content, binary=True) == [*frames, b"\x04"]


# ---- whatever else may come ------------------------------------------------------------------------------------

pieces = st.lists(
    st.sampled_from(
        [
            *("1:2", "6:4hello", "0:", "2:", ":", "9", "b4", "b", "AQ==", "4", "é", "😀", "Ã©", "\n"),
            *("6:b4AQL/", "3:4é😀", "\x00", "\x01", "\x00\x01", "-1:4", "999999999:"),
        ]
    )
).map("".join)


@given(st.binary() | pieces.map(str.encode) | pieces.map(lambda text: text.encode("latin-1", "replace")), st.booleans())
@example(b"\xff", True)
@settings(short)
def test_any_body_is_split_or_refused_as_the_peers_fault(body: bytes, binary: bool) -> None:
    with suppress(MalformedPayload):
        assert {type(frame) for frame in split(body, binary=binary)} <= {str, bytes}


@given(
    st.lists(
        st.text(st.characters()) | st.text('0123456-/,[]{}"b?&=').map("4".__add__) | st.binary(max_size=8), max_size=6
    )
)
@settings(short)
def test_whatever_comes_is_read_or_refused_as_the_peers_fault(frames: list[Frame]) -> None:
    with suppress(MalformedPacket, MalformedPayload, UnexpectedPacket):
        assert {type(packet) for packet in feed(frames)} <= {Packet, type(None)}
    assert feed(['42["x"]']) == [Packet(PacketType.EVENT, name="x")]


SIZE = 200_000
NINES = bytes([9] * 9)


@pytest.mark.parametrize(
    ("body", "binary"),
    [
        pytest.param(b":" * SIZE, False, id="colons"),
        pytest.param(b"1" * SIZE, False, id="digits"),
        pytest.param(b"0:" * (SIZE // 2), False, id="empty packets"),
        pytest.param(b"1:2" * (SIZE // 3), False, id="pings"),
        pytest.param("2:4é".encode() * (SIZE // 5), False, id="text outside ASCII"),
        pytest.param("2:😀".encode() * (SIZE // 6), False, id="pairs"),
        pytest.param(b"999999999:" + "😀".encode() * (SIZE // 4), False, id="pairs under a length that lies"),
        pytest.param(b"1:2" * (SIZE // 6) + "😀".encode() * (SIZE // 8), False, id="pairs behind pings"),
        pytest.param("3:4Ã©".encode() * (SIZE // 7), False, id="text encoded twice"),
        pytest.param(b"2:b4" * (SIZE // 4), False, id="empty attachments"),
        pytest.param(b"199998:b4" + b64encode(b"a" * 149_997), False, id="one attachment"),
        pytest.param(b"4" * SIZE + b"\xff", False, id="not UTF-8 at its end"),
        pytest.param(b"\x00" * SIZE, True, id="zeros"),
        pytest.param(b"\xff" * SIZE, True, id="ends of lengths"),
        pytest.param(b"\x00\x00\xff" * (SIZE // 3), True, id="empty packets in binary"),
        pytest.param(b"\x00\x01\xff2" * (SIZE // 4), True, id="pings in binary"),
        pytest.param(b"\x00" + NINES + b"\xff" + b"4" * SIZE, True, id="a length that lies in binary"),
        pytest.param(b"\x01" + b"\x00" * (SIZE - 1), True, id="a length of zeros"),
    ],
)
def test_a_long_body_of_anything_is_split_or_refused_in_linear_time(body: bytes, binary: bool) -> None:
    started = perf_counter()
    with suppress(MalformedPayload):
        split(body, binary=binary)
    assert perf_counter() - started < SECONDS


# ---- what the generation is -----------------------------------------------------------------


def test_the_client_pings_and_the_root_opens_by_itself() -> None:
    assert (
        EngineIO3.generation, EngineIO3.pings, EngineIO3.opens_global, EngineIO3.global_is_connection,
    ) == ("3", "client", True, False)  # fmt: skip
