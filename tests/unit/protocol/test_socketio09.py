"""Socket.IO 0.9 on the wire, both ways: packets, payloads by lengths between U+FFFD."""

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
from asocketio.errors import (
    CannotCarry,
    MalformedPacket,
    MalformedPayload,
    ProtocolError,
    UsageError,
)
from asocketio.protocol.base import Body, BodyFormat, Encoded, Frame
from asocketio.protocol.json_codec import CustomJson
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.parser import RESERVED_EVENTS
from asocketio.protocol.socketio09 import SocketIO09
from tests.support.properties import short
from tests.support.vectors import rows

PROTOCOL = SocketIO09()
CONFIG = Config()
PLAIN = BodyFormat()
TEXT = b"text/plain; charset=UTF-8"
SCRIPT = b"text/javascript; charset=UTF-8"
SECONDS = 5.0
"""For 200 kB: a hundred times what linear code needs, a tenth of what quadratic code would."""


def feed(frame: Frame) -> Packet | None:
    return PROTOCOL.decoder(CONFIG).feed(frame)


def split(body: bytes | str) -> list[Frame]:
    return list(PROTOCOL.decoder(CONFIG).split(body.encode() if isinstance(body, str) else body, PLAIN))


def join(frames: Iterable[Frame]) -> str:
    return PROTOCOL.join(frames, PLAIN).content.decode()


# ---- packets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("socketio09", "both", "read"))
def test_a_frame_is_read_as_the_packet_it_means(row: dict[str, Any]) -> None:
    (frame,) = row["frames"]
    assert feed(frame) == Packet.of(row["packet"])


@pytest.mark.parametrize("row", rows("socketio09", "both", "write"))
def test_a_packet_is_written_as_the_frame_it_means(row: dict[str, Any]) -> None:
    encoded = PROTOCOL.encode(Packet.of(row["packet"]))
    (frame,) = row["frames"]
    assert (encoded.frames, encoded.size) == ((frame,), Encoded((frame,)).size)


@pytest.mark.parametrize("row", rows("socketio09", "both", "write"))
def test_all_but_the_text_of_messages_is_ascii(row: dict[str, Any]) -> None:
    packet = Packet.of(row["packet"])
    if packet.type is not PacketType.MESSAGE:
        assert str(PROTOCOL.encode(packet).frames[0]).isascii()


@pytest.mark.parametrize("row", rows("socketio09", "bad"))
def test_a_bad_frame_is_refused(row: dict[str, Any]) -> None:
    (frame,) = row["frames"]
    with pytest.raises(ProtocolError) as caught:
        feed(frame)
    assert type(caught.value) is getattr(errors, row["error"])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("a" * 1000, "'aaaaaaaaaaaaaaaaaaaa', expected type:id:endpoint:data"),
        ("9::" + "a" * 1000, "'9::aaaaaaaaaaaaaaaaa', expected type:id:endpoint:data"),
        (b"2::", "b'2::', expected type:id:endpoint:data"),
        (
            '5:::{"args":["' + "a" * 1000 + '"]}',
            """an event '{"args":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', expected {"name": text, "args": [...]}""",
        ),
        ('5:::{"name":"disconnect"}', "the event 'disconnect', which is reserved"),
        ("6:::" + "x" * 1000, "an ack of 'xxxxxxxxxxxxxxxxxxxx', expected its number"),
        ("6:::1+{}", "an ack with '{}', expected a JSON array"),
    ],
)
def test_the_error_tells_what_was_met_and_expected(frame: Frame, message: str) -> None:
    with pytest.raises(MalformedPacket) as caught:
        feed(frame)
    assert str(caught.value) == message


def test_a_query_has_at_most_two_hundred_fields() -> None:
    def connect(count: int) -> Packet | None:
        return feed("1::/chat:?" + "&".join(f"f{n}=1" for n in range(count)))

    assert connect(200) == Packet(PacketType.CONNECT, "/chat", data={f"f{n}": "1" for n in range(200)})
    with pytest.raises(MalformedPacket, match=r"^a query of over 200 fields$"):
        connect(201)


@pytest.mark.parametrize("frame", ['5:::{{"name":"x","args":{}}}', "4:::{}", "6:::1+{}"])
def test_json_may_nest_a_hundred_deep_and_no_deeper(frame: str) -> None:
    def nested(depth: int) -> str:
        depth -= frame.count("{{")  # the event's own object
        return frame.format("[" * depth + "]" * depth)

    assert isinstance(feed(nested(100)), Packet)
    with pytest.raises(MalformedPacket, match=r"^JSON nested deeper than 100$"):
        feed(nested(101))


@pytest.mark.parametrize("digits", [5000, 1_000_000])
@pytest.mark.parametrize(
    "frame",
    ["{}::", "5:{}::", "5:{}+::{{}}", "6:::{}", "6:::{}+[]", "6:::1+[{}]", '5:::{{"name":"x","args":[{}]}}', "4:::{}"],
)
def test_an_endless_run_of_digits_is_refused(frame: str, digits: int) -> None:
    with pytest.raises(MalformedPacket):
        feed(frame.format("1" * digits))


def test_the_programs_own_json_is_used_both_ways_and_goes_out_as_ascii() -> None:
    protocol = SocketIO09(CustomJson(lambda text: {"name": "name", "args": [text]}, lambda value: f'"é{len(value)}"'))
    packet = protocol.decoder(CONFIG).feed("5:::<any>")
    assert (packet, protocol.encode(Packet(PacketType.EVENT, name="x", args=[1])).frames) == (
        Packet(PacketType.EVENT, name="name", args=["<any>"]),
        ('5:::"\\u00e92"',),
    )


@pytest.mark.parametrize("value", [b"raw", bytearray(b"raw"), memoryview(b"raw")])
@pytest.mark.parametrize(
    "packet",
    [
        {"type": "event", "name": "x", "args": [{"a": [None]}]},
        {"type": "ack", "id": 1, "args": [{"a": [None]}]},
        {"type": "json", "data": {"a": [None]}},
        {"type": "message", "data": None},
    ],
    ids=lambda packet: packet["type"],
)
def test_there_is_no_form_for_binary(packet: dict[str, Any], value: Any) -> None:
    def filled(inside: Any) -> Any:
        if isinstance(inside, dict):
            return {key: filled(item) for key, item in inside.items()}
        return [filled(item) for item in inside] if isinstance(inside, list) else value if inside is None else inside

    with pytest.raises(CannotCarry, match=r"^clients of 0\.9 know no binary: send them text, for example base64$"):
        PROTOCOL.encode(Packet.of(filled(packet)))


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
        (Packet(PacketType.PONG), "a packet of type pong cannot be sent to this client"),
        (Packet(PacketType.OPEN), "a packet of type open cannot be sent to this client"),
        (Packet(PacketType.UPGRADE), "a packet of type upgrade cannot be sent to this client"),
        (Packet(PacketType.MESSAGE, data={"a": 1}), "a message is text, not dict; JSON is another type of packet"),
        (
            Packet(PacketType.EVENT, name="x", args=[{1, 2}]),
            "cannot be sent as JSON: set is no str, number, bool, None, bytes, list or dict; convert it first",
        ),
    ],
)
def test_a_packet_without_a_wire_form_is_the_programs_mistake(packet: Packet, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        PROTOCOL.encode(packet)
    assert (type(caught.value), str(caught.value)) == (UsageError, message)


def test_an_ack_without_a_number_is_not_sent() -> None:
    with pytest.raises(UsageError):
        PROTOCOL.encode(Packet(PacketType.ACK, args=[1]))


@pytest.mark.parametrize("kind", [PacketType.PING, PacketType.HEARTBEAT, PacketType.NOOP, PacketType.CLOSE])
def test_packets_of_the_connection_itself_share_one_spelling(kind: PacketType) -> None:
    assert PROTOCOL.encode(Packet(kind)) is PROTOCOL.encode(Packet(kind))


# ---- payloads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("socketio09", "payloads", "read_payloads"))
def test_a_body_is_split_into_its_frames(row: dict[str, Any]) -> None:
    assert split(row["body"]) == row["frames"]


@pytest.mark.parametrize("row", rows("socketio09", "payloads"))
def test_frames_are_joined_to_a_body(row: dict[str, Any]) -> None:
    assert PROTOCOL.join(iter(row["frames"]), PLAIN) == Body(row["body"].encode(), TEXT, 200)


@pytest.mark.parametrize("row", rows("socketio09", "bad_payloads"))
def test_a_bad_body_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload):
        split(row["body"])


FRAMES: list[Frame] = ["3:::é😀x", '5:::{"name":"x"}', "2::", "3:::\ufffd3\ufffd", "3:::12"]


def test_a_body_that_is_cut_anywhere_is_refused_or_holds_the_packets_before_the_cut() -> None:
    def joined(count: int) -> str:
        """What the first packets would be in the whole body."""
        return "".join(join([frame, ""]).removesuffix("\ufffd0\ufffd") for frame in FRAMES[:count])

    body = joined(len(FRAMES))
    assert body == join(FRAMES)
    ends = {len(joined(count)): FRAMES[:count] for count in range(1, len(FRAMES) + 1)}
    for cut in range(1, len(body) + 1):
        if cut in ends:
            assert split(body[:cut]) == ends[cut]
        else:
            with pytest.raises(MalformedPayload):
                split(body[:cut])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"3:::\xff", "the body is not UTF-8 at byte 4"),
        ("\ufffd4\ufffd1::".encode(), "a packet of 4 units, only 3 are there"),
        ("\ufffd5\ufffd3:::😀".encode(), "a packet of 5 units ends inside of a character"),
        ("\ufffdx\ufffd1::".encode(), "'x\ufffd1::', expected the length of a packet and '\ufffd'"),
        ("\ufffd3\ufffd1::then more".encode(), "'then more', expected U+FFFD and a length"),
    ],
)
def test_the_error_of_a_body_tells_where_it_is_bad(body: bytes, message: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        split(body)
    assert str(caught.value) == message


@pytest.mark.parametrize("body", ["\ufffd" * 100_000, "\ufffd3\ufffd1::" + "a" * 100_000, "\ufffd" + "9" * 100_000])
def test_the_error_of_a_long_body_is_short(body: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        split(body)
    assert len(str(caught.value)) < 200


# ---- round trips -----------------------------------------------------------------------------------------------


def as_utf16(text: str) -> str:
    """Two surrogates that happen to meet are one character, for JSON as for JavaScript."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


texts = st.text(st.characters(), max_size=8).map(as_utf16)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=6)
endpoints = st.sampled_from(["", "/chat", "/a/b", "/1", "/1+[2]{3}", "/é😀", "/\ufffd"])
wanted = st.none() | st.tuples(st.integers(0, 10**16 - 1), st.sampled_from([True, "data"]))


def wanting(packet: Packet, ack: Any) -> Packet:
    if ack is not None:
        packet.id, packet.ack = ack
    return packet


def packet_of(kind: PacketType, data: st.SearchStrategy[Any]) -> st.SearchStrategy[Packet]:
    return st.builds(Packet, st.just(kind), endpoints, data=data)


names = texts.filter(lambda name: name not in RESERVED_EVENTS)
args = st.lists(values, max_size=3)
events = st.builds(Packet, st.just(PacketType.EVENT), endpoints, name=names, args=args)
messages = packet_of(PacketType.MESSAGE, st.text(st.characters(exclude_categories=["Cs"])))
asking = st.builds(wanting, events | messages | packet_of(PacketType.JSON, values), wanted)
acks = st.builds(Packet, st.just(PacketType.ACK), endpoints, args=args, id=st.integers(0, 10**16 - 1))
reasons = st.sampled_from(["transport not supported", "client not handshaken", "unauthorized"])
refusals = packet_of(
    PacketType.ERROR, st.fixed_dictionaries({"message": reasons}, optional={"advice": st.just("reconnect")})
)
states = packet_of(PacketType.CONNECT, st.builds(dict)) | packet_of(PacketType.DISCONNECT, st.none())
beats = st.sampled_from([PacketType.HEARTBEAT, PacketType.NOOP]).map(Packet)
packets = asking | acks | refusals | states | beats


@given(st.lists(packets, min_size=1, max_size=4))
@settings(short, max_examples=100)
def test_what_is_sent_is_received_as_it_was(packets: list[Packet]) -> None:
    frames = [frame for packet in packets for frame in PROTOCOL.encode(packet).frames]
    assert [feed(frame) for frame in split(join(frames))] == packets


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])).map("3:::".__add__), min_size=1))
@example(["3:::\ufffd1\ufffd2", "3:::"])
@settings(short, max_examples=60)
def test_what_is_joined_is_split_into_the_same(frames: list[Frame]) -> None:
    assert split(join(frames)) == frames


# ---- whatever else may come ------------------------------------------------------------------------------------

pieces = st.lists(
    st.sampled_from(
        ["\ufffd", "\ufffd3\ufffd1::", "\ufffd0\ufffd", "3", "9", "1::", "5:::{}", "é", "😀", ":", "+", "\n"]
    )
).map("".join)
fragments = st.lists(st.sampled_from([*"0123456789:+-[]{},", "::", '{"name":"x"', '"args":', "/chat", "?a=b", "é😀"]))


@given(st.binary() | pieces.map(str.encode))
@example("\ufffd\ufffd".encode())
@settings(short)
def test_any_body_is_split_or_refused_as_the_peers_fault(body: bytes) -> None:
    with suppress(MalformedPayload):
        frames = split(body)
        assert {type(frame) for frame in frames} == {str}


@given(st.text(st.characters()) | fragments.map("".join) | st.binary(max_size=8))
@settings(short, max_examples=400)
def test_whatever_comes_is_read_or_refused_as_the_peers_fault(frame: Frame) -> None:
    with suppress(MalformedPacket):
        assert type(feed(frame)) is Packet


SIZE = 200_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("\ufffd" * (SIZE // 3), id="marks"),
        pytest.param("\ufffd0\ufffd" * (SIZE // 7), id="empty packets"),
        pytest.param("\ufffd3\ufffd2::" * (SIZE // 10), id="heartbeats"),
        pytest.param("\ufffd6\ufffd3:::😀" * (SIZE // 15), id="pairs"),
        pytest.param("\ufffd999999999\ufffd" + "😀" * (SIZE // 4), id="pairs under a length that lies"),
        pytest.param("\ufffd" + "9" * SIZE, id="digits"),
        pytest.param("\ufffd3\ufffd2::" * (SIZE // 20) + "😀" * (SIZE // 8), id="pairs behind heartbeats"),
    ],
)
def test_a_long_body_of_anything_is_split_or_refused_in_linear_time(body: str) -> None:
    started = perf_counter()
    with suppress(MalformedPayload):
        split(body)
    assert perf_counter() - started < SECONDS


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param("5" + ":" * SIZE, id="colons"),
        pytest.param("5:1" + "+" * SIZE, id="pluses"),
        pytest.param("1::" + "/" * SIZE, id="slashes"),
        pytest.param("1::/chat:?" + "&" * SIZE, id="fields"),
        pytest.param("1::/chat:?" + "%" * SIZE, id="percent signs"),
        pytest.param("4:::" + "[" * SIZE, id="brackets"),
        pytest.param('4:::"' + "\\" * SIZE, id="backslashes"),
        pytest.param("6:::1" + "+" * SIZE, id="pluses of an ack"),
        pytest.param("3:::" + "\n" * SIZE, id="lines"),
    ],
)
def test_a_long_packet_of_anything_is_read_or_refused_in_linear_time(frame: str) -> None:
    started = perf_counter()
    with suppress(MalformedPacket):
        feed(frame)
    assert perf_counter() - started < SECONDS


# ---- what the generation is -----------------------------------------------------------------


def test_the_transport_decides_who_beats_and_the_root_is_the_connection() -> None:
    assert (
        SocketIO09.generation, SocketIO09.pings, SocketIO09.opens_global, SocketIO09.global_is_connection,
    ) == ("0.9", "transport", True, True)  # fmt: skip
