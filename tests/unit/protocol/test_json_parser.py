"""The text of Socket.IO packets, both ways: the vectors, whatever else may come, and how long that takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asocketio import errors
from asocketio.config import Config
from asocketio.errors import MalformedPacket, ProtocolError, UnexpectedPacket, UnknownPacket, UsageError
from asocketio.protocol.base import Frame
from asocketio.protocol.json_codec import CustomJson, StdJson
from asocketio.protocol.json_parser import JSONPacketDecoder, JSONParser, check
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.parser import RESERVED_EVENTS, Parser
from tests.support.properties import short
from tests.support.vectors import rows

PARSER = JSONParser(StdJson())
CONFIG = Config()
SECONDS = 5.0
"""For a megabyte: a hundred times what linear code needs, a thousandth of what quadratic code would."""


def decoder() -> JSONPacketDecoder:
    return PARSER.decoder(CONFIG)


def feed(reader: JSONPacketDecoder, frames: list[Frame]) -> list[Packet | None]:
    return [reader.text(frame) if isinstance(frame, str) else reader.binary(frame) for frame in frames]


def written(packet: Packet) -> list[Frame]:
    return list(PARSER.encode(packet, ""))


# ---- vectors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("socketio5", "both", "read"))
def test_frames_are_read_as_the_packet_they_mean(row: dict[str, Any]) -> None:
    due: list[Packet | None] = [None] * (len(row["frames"]) - 1)
    assert feed(decoder(), row["frames"]) == [*due, Packet.of(row["packet"])]


@pytest.mark.parametrize("row", rows("socketio5", "both", "write"))
def test_a_packet_is_written_as_the_frames_it_means(row: dict[str, Any]) -> None:
    assert written(Packet.of(row["packet"])) == row["frames"]


@pytest.mark.parametrize("row", rows("socketio5", "bad"))
def test_bad_frames_are_refused_by_the_last_of_them(row: dict[str, Any]) -> None:
    reader = decoder()
    *first, last = row["frames"]
    feed(reader, first)
    with pytest.raises(ProtocolError) as caught:
        feed(reader, [last])
    assert type(caught.value) is getattr(errors, row["error"])


@pytest.mark.parametrize("row", rows("socketio5", "both"))
def test_one_decoder_reads_one_packet_after_another(row: dict[str, Any]) -> None:
    reader = decoder()
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
        (
            ['51-["x",{"_placeholder":true,"num":1}]', b""],
            "placeholder 1, expected 0: each attachment has one, in their order",
        ),
    ],
)
def test_the_error_tells_what_was_met_and_expected(frames: list[Frame], message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        feed(decoder(), frames)
    assert str(caught.value) == message


# ---- bounds ----------------------------------------------------------------------------------------------------


def test_max_attachments_is_the_configs() -> None:
    def announce(limit: int) -> Packet | None:
        return PARSER.decoder(Config(max_attachments=limit)).text('53-["x"]')

    assert announce(3) is None
    with pytest.raises(MalformedPacket, match=r"^3 attachments, at most 2 are allowed \(max_attachments\)$"):
        announce(2)


@pytest.mark.parametrize("digits", [5000, 1_000_000])
@pytest.mark.parametrize(
    "text", ['2{}["x"]', '3{}["x"]', "2{}", "0{}{{}}", '5{}-["x"]', '51-{}["x"]', "1{}", '2["x",{}]']
)
def test_an_endless_run_of_digits_is_refused(text: str, digits: int) -> None:
    with pytest.raises(MalformedPacket):
        decoder().text(text.format("1" * digits))


def test_json_may_nest_a_hundred_deep_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        return '2["x",' + "[" * (depth - 1) + "]" * (depth - 1) + "]"

    packet = decoder().text(nested(100))
    assert packet == Packet(PacketType.EVENT, name="x", args=json.loads(nested(100)[1:])[1:])
    with pytest.raises(MalformedPacket, match=r"^JSON nested deeper than 100$"):
        decoder().text(nested(101))


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
        decoder().text(LONG[kind])
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
    reader = PARSER.decoder(Config(max_attachments=1000))
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
        assert {type(packet) for packet in feed(decoder(), frames)} <= {Packet, type(None)}
    assert decoder().text('2["x"]') == Packet(PacketType.EVENT, name="x")


@given(nearly_right())
@settings(short)
def test_what_could_be_read_can_be_written_and_read_again(frames: list[Frame]) -> None:
    try:
        packet = feed(decoder(), frames)[-1]
    except ProtocolError:
        return
    if packet is None:
        return
    if packet.type not in (PacketType.EVENT, PacketType.ACK):
        packet.id = None  # what a client may write there means nothing
    assert feed(decoder(), written(packet))[-1] == packet


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
        check(packet)
    assert str(caught.value) == message


# ---- revisions, prefixes, codecs -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "4", "prefix"])
@pytest.mark.parametrize("row", rows("socketio5", "both", "write"))
def test_text_messages_come_behind_the_prefix(row: dict[str, Any], prefix: str) -> None:
    text, *attachments = row["frames"]
    assert PARSER.encode(Packet.of(row["packet"]), prefix) == (prefix + text, *attachments)


@pytest.mark.parametrize("row", rows("socketio5", "both", "read"))
def test_a_message_may_begin_inside_of_its_frame(row: dict[str, Any]) -> None:
    text, *attachments = row["frames"]
    reader = decoder()
    assert [reader.text("before" + text, 6), *map(reader.binary, attachments)][-1] == Packet.of(row["packet"])


def test_revision_4_goes_out_as_ascii() -> None:
    packet = Packet(PacketType.EVENT, name="é", args=["\u2028"])
    assert [JSONParser(StdJson(), revision).encode(packet, "") for revision in (5, 4)] == [
        ('2["é","\u2028"]',),
        ('2["\\u00e9","\\u2028"]',),
    ]


@pytest.mark.parametrize(("text", "data"), [("4", None), ("41", 1), ('4{"a":1}', {"a": 1}), ("4[]", [])])
def test_errors_of_revision_4_hold_any_json(text: str, data: Any) -> None:
    # A digit behind the type is the number of an ack, so a lone number is none of the payload.
    packet = JSONParser(StdJson(), 4).decoder(CONFIG).text(text)
    assert packet == Packet(PacketType.ERROR, data=None if text == "41" else data, id=1 if text == "41" else None)


@pytest.mark.parametrize("text", ["7", "9[]", "a", "{}"])
def test_revision_4_tells_unknown_types_apart(text: str) -> None:
    caught: list[type[Exception]] = []
    for revision in (5, 4):
        try:
            JSONParser(StdJson(), revision).decoder(CONFIG).text(text)
        except MalformedPacket as error:
            caught.append(type(error))
    assert caught == [MalformedPacket, UnknownPacket]


def test_parsers_of_both_revisions_share_a_codec_and_another_codec_keeps_the_revision() -> None:
    elder = PARSER.for_revision(4)
    own = CustomJson(lambda text: ["own"], lambda value: "own")
    assert (PARSER.for_revision(5), elder.revision, elder.json) == (PARSER, 4, PARSER.json)
    assert (elder.with_json(own).revision, elder.with_json(own).json) == (4, own)


# ---- short cuts, with their plain forms as oracles -------------------------------------------------------------


def outcome(read: Callable[[str], Packet | None], text: str) -> Any:
    try:
        return read(text)
    except ProtocolError as error:
        return type(error), str(error)


@given(fragments | nearly_right().map(lambda frames: frames[0]) | st.text(st.characters()))
@example('2["x"]')
@example('21["x"]')
@example('2\u0661["x"]')
@example('29999999999999999["x"]')
@example('299999999999999999["x"]')
@example('2-["x"]')
@example('2/,["x"]')
@example('2["connect"]')
@example("2[1]")
@example("2[]")
@example('5["x"]')
@settings(short, max_examples=500)
def test_the_short_cut_of_events_reads_as_the_plain_form_does(text: Frame) -> None:
    assert isinstance(text, str)
    for revision in (4, 5):
        parser = JSONParser(StdJson(), revision)
        assert outcome(parser.decoder(CONFIG).text, text) == outcome(parser.decoder(CONFIG).read, text)


@pytest.mark.parametrize("text", ['2["x"]', "0", "7"])
def test_the_short_cut_of_events_minds_attachments_that_are_due(text: str) -> None:
    reader = decoder()
    assert reader.text('51-["x",{"_placeholder":true,"num":0}]') is None
    assert outcome(reader.text, text) == outcome(reader.read, text)
    assert outcome(reader.read, text)[0] is UnexpectedPacket


@given(endpoints, st.none() | st.integers(0, 10**16 - 1), st.lists(values, max_size=4))
@settings(short)
def test_the_short_cut_of_acks_writes_as_the_plain_form_does(
    namespace: str, number: int | None, args: list[Any]
) -> None:
    for parser in (PARSER, PARSER.for_revision(4)):
        try:
            plain: Any = Parser.encode_ack(parser, namespace, number, args, "4")
        except UsageError as error:
            with pytest.raises(UsageError, match=f"^{re.escape(str(error))}$"):
                parser.encode_ack(namespace, number, args, "4")
        else:
            assert parser.encode_ack(namespace, number, args, "4") == plain
