"""The text of Socket.IO packets, both ways: the vectors, whatever else may come, and how long that takes."""

from __future__ import annotations

import json
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asocketio import errors
from asocketio.config import Config
from asocketio.errors import MalformedPacket, ProtocolError, UnexpectedPacket, UsageError
from asocketio.protocol.base import Frame
from asocketio.protocol.json_codec import StdJson
from asocketio.protocol.json_parser import RESERVED_EVENTS, Assembler, write
from asocketio.protocol.packet import Packet, PacketType
from tests.support.properties import short
from tests.support.vectors import rows

STD = StdJson()
CONFIG = Config()
SECONDS = 5.0
"""For a megabyte: a hundred times what linear code needs, a thousandth of what quadratic code would."""


def assembler() -> Assembler:
    return Assembler(STD, CONFIG)


def feed(reader: Assembler, frames: list[Frame]) -> list[Packet | None]:
    return [reader.text(frame) if isinstance(frame, str) else reader.binary(frame) for frame in frames]


def written(packet: Packet) -> list[Frame]:
    text, attachments = write(packet, STD)
    return [text, *attachments]


# ---- vectors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("socketio5", "both", "read"))
def test_frames_are_read_as_the_packet_they_mean(row: dict[str, Any]) -> None:
    due: list[Packet | None] = [None] * (len(row["frames"]) - 1)
    assert feed(assembler(), row["frames"]) == [*due, Packet.of(row["packet"])]


@pytest.mark.parametrize("row", rows("socketio5", "both", "write"))
def test_a_packet_is_written_as_the_frames_it_means(row: dict[str, Any]) -> None:
    assert written(Packet.of(row["packet"])) == row["frames"]


@pytest.mark.parametrize("row", rows("socketio5", "bad"))
def test_bad_frames_are_refused_by_the_last_of_them(row: dict[str, Any]) -> None:
    reader = assembler()
    *first, last = row["frames"]
    feed(reader, first)
    with pytest.raises(ProtocolError) as caught:
        feed(reader, [last])
    assert type(caught.value) is getattr(errors, row["error"])


@pytest.mark.parametrize("row", rows("socketio5", "both"))
def test_one_assembler_reads_one_packet_after_another(row: dict[str, Any]) -> None:
    reader = assembler()
    first, second = feed(reader, row["frames"])[-1], feed(reader, row["frames"])[-1]
    assert first == second == Packet.of(row["packet"])


# ---- messages say whose fault, what was met, what was expected --------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (["abcdefghijklmnopqrstuvwxyz"], "packet 'abcdefghijklmnopqrst', expected a type from 0 to 6"),
        (["2{}"], "an event that is no JSON array beginning with its name"),
        (["2[null]"], "an event whose name is no text but NoneType"),
        (['2["disconnect"]'], "the event 'disconnect', which is reserved"),
        (['3["x"]'], "an ack without a number or a JSON array"),
        (["0[1]"], "an auth that is no JSON object: io(url, {auth: {...}})"),
        (["1{}"], "a disconnect with a payload"),
        (["4[]"], "an error whose payload is neither a JSON object nor text"),
        (['5["x"]'], "packet '5[\"x\"]': attachments are announced by binary packets, and only by them"),
        (['511-["x"]'], "11 attachments, at most 10 are allowed (max_attachments)"),
        (['51-["x"]', "2"], "text '2' while 1 attachments are due"),
        ([b"123"], "3 bytes of binary without a packet that announces them"),
        (['51-["x",{"_placeholder":true,"num":1}]', b""], "placeholder 1, expected 0 to 0"),
    ],
)
def test_the_error_tells_what_was_met_and_expected(frames: list[Frame], message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        feed(assembler(), frames)
    assert str(caught.value) == message


# ---- bounds ----------------------------------------------------------------------------------------------------


def test_max_attachments_is_the_configs() -> None:
    def announce(limit: int) -> Packet | None:
        return Assembler(STD, Config(max_attachments=limit)).text('53-["x"]')

    assert announce(3) is None
    with pytest.raises(MalformedPacket, match=r"^3 attachments, at most 2 are allowed \(max_attachments\)$"):
        announce(2)


@pytest.mark.parametrize("digits", [5000, 1_000_000])
@pytest.mark.parametrize(
    "text", ['2{}["x"]', '3{}["x"]', "2{}", "0{}{{}}", '5{}-["x"]', '51-{}["x"]', "1{}", '2["x",{}]']
)
def test_an_endless_run_of_digits_is_refused(text: str, digits: int) -> None:
    with pytest.raises(MalformedPacket):
        assembler().text(text.format("1" * digits))


def test_json_may_nest_a_hundred_deep_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        return '2["x",' + "[" * (depth - 1) + "]" * (depth - 1) + "]"

    packet = assembler().text(nested(100))
    assert packet == Packet(PacketType.EVENT, name="x", args=json.loads(nested(100)[1:])[1:])
    with pytest.raises(MalformedPacket, match=r"^JSON nested deeper than 100$"):
        assembler().text(nested(101))


MEGABYTE = 1_000_000
LONG: dict[str, str] = {
    "type digits": "2" * MEGABYTE,
    "count digits": "5" + "1" * MEGABYTE + "-[]",
    "dashes": "5" + "-" * MEGABYTE,
    "slashes": "2" + "/" * MEGABYTE,
    "a namespace without a comma": "0/" + "a" * MEGABYTE,
    "a namespace and digits": "2/" + "1" * MEGABYTE + "," + "1" * MEGABYTE,
    "commas": "2/" + "," * MEGABYTE,
    "open brackets": "2" + "[" * MEGABYTE,
    "closed brackets": "2" + "]" * MEGABYTE,
    "brackets up and down": '2["x"' + ",[]" * (MEGABYTE // 3) + "]",
    "open objects": '2["x",' + '{"a":' * (MEGABYTE // 5),
    "brackets in text": '2["' + "[" * MEGABYTE + '"]',
    "quotes": "2[" + '"' * MEGABYTE,
    "escaped quotes, and brackets to count": '2["' + '\\"[' * (MEGABYTE // 3) + '"]',
    "backslashes": '2["' + "\\" * MEGABYTE,
    "backslashes behind brackets": "2" + "[" * 101 + '"' + "\\" * MEGABYTE,
    "text that does not end": "2" + "[]" * 101 + '["' + "a" * MEGABYTE,
    "escapes": '2["x","' + "\\u00e9" * (MEGABYTE // 6) + '"]',
    "surrogates": '2["x","' + "\\ud83d" * (MEGABYTE // 6) + '"]',
    "an integer": '2["x",' + "1" * MEGABYTE + "]",
    "a fraction": '2["x",0.' + "1" * MEGABYTE + "]",
    "an exponent": '2["x",1e-' + "1" * MEGABYTE + "]",
    "white space": "2" + " " * MEGABYTE,
    "lines": '2["x",' + "\n" * MEGABYTE + "?]",
    "many arguments": '2["x"' + ",0" * (MEGABYTE // 2) + "]",
    "many keys": '2["x",{' + ",".join(f'"{n}":0' for n in range(MEGABYTE // 9)) + "}]",
}


@pytest.mark.parametrize("kind", LONG)
def test_a_megabyte_of_anything_is_read_or_refused_in_linear_time(kind: str) -> None:
    messages = []
    started = perf_counter()
    try:
        assembler().text(LONG[kind])
    except ProtocolError as error:
        messages.append(str(error))
    assert perf_counter() - started < SECONDS
    assert all(len(message) < 500 for message in messages)


# ---- properties ------------------------------------------------------------------------------------------------


def as_utf16(text: str) -> str:
    """Two surrogates that happen to meet are one character, for JSON as for JavaScript."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


texts = st.text(st.characters()).map(as_utf16)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(texts.filter(lambda key: key != "_placeholder"), inner),
    max_leaves=10,
)
endpoints = st.sampled_from(["", "/chat", "/a/b", "/1", "/1-[2]{3}", "/é😀"])
numbers = st.none() | st.integers(0, 10**16 - 1)
names = texts.filter(lambda name: name not in RESERVED_EVENTS)

events = st.builds(
    lambda endpoint, name, args, number: Packet(
        PacketType.EVENT, endpoint, name=name, args=args, id=number, ack=None if number is None else "data"
    ),
    endpoints, names, st.lists(values, max_size=4), numbers,
)  # fmt: skip
acks = st.builds(
    lambda endpoint, args, number: Packet(PacketType.ACK, endpoint, args=args, id=number),
    endpoints, st.lists(values, max_size=4), st.integers(0, 10**16 - 1),
)  # fmt: skip
objects = st.dictionaries(texts, st.recursive(scalars, st.lists, max_leaves=5))
connects = st.builds(lambda endpoint, data: Packet(PacketType.CONNECT, endpoint, data=data), endpoints, objects)
refusals = st.builds(lambda endpoint, data: Packet(PacketType.ERROR, endpoint, data=data), endpoints, objects | texts)
disconnects = st.builds(lambda endpoint: Packet(PacketType.DISCONNECT, endpoint), endpoints)


@given(events | acks | connects | refusals | disconnects)
@settings(short)
def test_what_is_written_is_read_as_it_was(packet: Packet) -> None:
    frames = written(packet)
    reader = Assembler(STD, Config(max_attachments=1000))
    *due, read = feed(reader, frames)
    assert (due, read) == ([None] * (len(frames) - 1), packet)


@given(events | acks | connects | refusals | disconnects)
@settings(short)
def test_what_is_written_can_be_sent_as_utf8(packet: Packet) -> None:
    text = written(packet)[0]
    assert isinstance(text, str)
    assert text.encode().decode() == text
    assert "\x1e" not in text


fragments = st.lists(
    st.sampled_from(
        [
            *'0123456-/,[]{}":.\\ é',
            "10",
            "/chat,",
            '["x"',
            ',{"_placeholder":true,"num":',
            "null",
            "NaN",
            "1e999",
            '"x"]',
        ]
    )
).map("".join)
anything = st.lists(st.text(st.characters()) | fragments | st.binary(max_size=8), max_size=6)


@st.composite
def nearly_right(draw: st.DrawFn) -> list[Frame]:
    """The frames of a packet, with one piece of the text taken out or replaced."""
    text, *attachments = written(draw(events | acks | connects | refusals))
    assert isinstance(text, str)
    start = draw(st.integers(0, len(text)))
    end = start + draw(st.integers(0, 3))
    return [text[:start] + draw(fragments) + text[end:], *attachments]


@given(anything | nearly_right())
@example(['51-["x",{"_placeholder":true,"num":0}]', b"", b""])
@settings(short, max_examples=500)
def test_whatever_comes_is_read_or_refused_as_the_peers_fault(frames: list[Frame]) -> None:
    with suppress(MalformedPacket, UnexpectedPacket):
        assert {type(packet) for packet in feed(assembler(), frames)} <= {Packet, type(None)}
    assert assembler().text('2["x"]') == Packet(PacketType.EVENT, name="x")


@given(nearly_right())
@settings(short)
def test_what_could_be_read_can_be_written_and_read_again(frames: list[Frame]) -> None:
    try:
        packet = feed(assembler(), frames)[-1]
    except ProtocolError:
        return
    if packet is None:
        return
    if packet.type not in (PacketType.EVENT, PacketType.ACK):
        packet.id = None  # what a client may write there means nothing
    assert feed(assembler(), written(packet))[-1] == packet


# ---- what cannot be written ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        *(
            (
                Packet(PacketType.EVENT, name=name),
                f"{name!r} is reserved for the client's own life: choose another event name",
            )
            for name in ("connect", "connect_error", "disconnect", "disconnecting")
        ),
        (Packet(PacketType.PING), "a packet of type ping cannot be sent to this client"),
        (Packet(PacketType.OPEN), "a packet of type open cannot be sent to this client"),
        (Packet(PacketType.CONNECT, data={"a": b""}), "a packet of type connect cannot carry binary data"),
        (Packet(PacketType.ERROR, data={"a": b""}), "a packet of type error cannot carry binary data"),
        (
            Packet(PacketType.EVENT, name="x", args=[{1, 2}]),
            "cannot be sent as JSON: set is no str, number, bool, None, bytes, list or dict; convert it first",
        ),
    ],
)
def test_a_packet_without_a_wire_form_is_the_programs_mistake(packet: Packet, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        write(packet, STD)
    assert str(caught.value) == message


def test_reserved_names_are_those_of_the_clients_own_life() -> None:
    assert frozenset({"connect", "connect_error", "disconnect", "disconnecting"}) == RESERVED_EVENTS
