"""FastJson gives what StdJson gives: the same values, the same attachments, the same refusals in the same words."""

from __future__ import annotations

import json
import math
import uuid
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asocketio.errors import CannotCarry, MalformedPacket, UsageError
from asocketio.protocol import fast_json as accelerated
from asocketio.protocol.base import Protocol
from asocketio.protocol.engineio3 import EngineIO3
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.fast_json import FastJson, best_json
from asocketio.protocol.json_codec import StdJson
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.socketio09 import SocketIO09
from tests.support.properties import short

STD = StdJson()
FAST = FastJson()


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    YES = "yes"


class Text(str):
    pass


@dataclass
class Point:
    x: int


Pair = namedtuple("Pair", "a b")

ODD: list[Any] = [
    Colour.RED,
    Level.HIGH,
    Word.YES,
    Text("a"),
    Point(1),
    Pair(1, 2),
    uuid.UUID(int=7),
    datetime(2026, 1, 2, tzinfo=UTC),
    Decimal("1.5"),
    Fraction(1, 2),
    {1, 2},
    frozenset({1}),
    1j,
    ...,
    object(),
    float("nan"),
    float("inf"),
    -math.inf,
    OrderedDict(b=1, a=2),
    defaultdict(list, a=[1]),
    {1: 2},
    {None: 1, True: 2, 1.5: 3},
    {(1, 2): 3},
    {"a": 1, 1: 2},
    (1, (2,)),
    1 << 64,
    -(1 << 63) - 1,
    10**500,
    "\ud800",
    {"\udfff": 1},
    b"x",
    bytearray(b"yz"),
    memoryview(b"w"),
    StdJson,
]


def written(codec: StdJson, value: Any) -> Any:
    """The text and the attachments of a value; a refusal is its words."""
    try:
        text, attachments = codec.dumps(value)
    except UsageError as error:
        return str(error)
    assert text.encode().decode() == text
    return text, attachments


def read(codec: StdJson, text: str) -> Any:
    """What it makes of a text, with types: 1, 1.0 and True are three things."""
    try:
        return repr(codec.loads(text))
    except MalformedPacket as error:
        return str(error)


@given(st.text(st.characters(max_codepoint=127), min_size=0, max_size=300))
@example("".join(map(chr, range(128))))
def test_long_texts_are_spelled_alike(text: str) -> None:
    assert FAST.dumps([text]) == STD.dumps([text])


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_odd_values_are_written_or_refused_alike(value: Any) -> None:
    for holder in (value, [value], {"a": [value, None, b"1"]}, ["x", {"k": (value,)}, 1.5]):
        assert written(FAST, holder) == written(STD, holder)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=8)
    | st.sampled_from(ODD[:20]),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(value=values)
@settings(short)
def test_any_value_is_written_or_refused_alike(value: Any) -> None:
    assert written(FAST, value) == written(STD, value)


# ---- numbers: each library has its own form of very large and very small ones --------------------------------------

TEN = [10.0**exponent for exponent in range(-324, 309)]
EDGES = [*TEN, *(math.nextafter(x, 0) for x in TEN), *(math.nextafter(x, math.inf) for x in TEN)]
floats = st.floats() | st.sampled_from(EDGES) | st.decimals(-(10**17), 10**17, places=6).map(float)
integers = st.integers() | st.integers(-6, 6).map(lambda n: (1 << 63) + n) | st.integers(-6, 6).map((1 << 64).__add__)
looks = st.sampled_from(["1e-7", "0.0000", "3e5", '"', "\\", '\\"', "e", "0.00001", ",1e5,", "[", "null", "é", "g" * 9])
strings = st.lists(looks | st.text(max_size=3), max_size=15).map("".join)
"""Some that look like such numbers, and some in which the end of a string is hard to see."""
numbered = st.recursive(
    floats | integers | strings | st.none() | st.booleans() | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-7, "1e-07"),
        (1e-5, "1e-05"),
        (9.999e-5, "9.999e-05"),
        (1e-4, "0.0001"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (-1.5e22, "-1.5e+22"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (-0.0, "-0.0"),
        (1e22, "1e+22"),
        (10**22, "1" + "0" * 22),
        (-(1 << 63), "-9223372036854775808"),
        ((1 << 64) - 1, "18446744073709551615"),
    ],
)
def test_a_number_has_one_form_whatever_is_installed(value: float, text: str) -> None:
    for codec in (FAST, STD):
        assert codec.dumps(value) == (text, [])
        assert codec.dumps(["x", value, {"é": [value]}]) == (f'["x",{text},{{"é":[{text}]}}]', [])


@pytest.mark.parametrize("edge", [EDGES, [-x for x in EDGES]], ids=["above", "below"])
def test_numbers_round_every_power_of_ten_have_one_form(edge: list[float]) -> None:
    for number in edge:
        assert written(FAST, {"x": number}) == written(STD, {"x": number})


@given(value=numbered)
@example(value={"1e-7": 1e-7})
@example(value=["\\", 1e-7, '\\"', 2e-7])
@example(value={"a": '\\"' * 100, "b": 1e-7, "c": "x" * 1000})
@example(value={"a": "\\", "b": 1e-7, "c": "\\" + "x" * 1000})
@example(value={"a": "x" * 1000 + "\\", "b": 1e300})
@settings(short, max_examples=400)
def test_values_with_any_numbers_are_written_alike(value: Any) -> None:
    assert written(FAST, value) == written(STD, value)


@given(st.lists(floats.filter(math.isfinite), max_size=50))
@settings(short)
def test_lists_of_numbers_are_written_alike(value: list[float]) -> None:
    assert FAST.dumps(value) == STD.dumps(value)


PROTOCOLS = [EngineIO4(), EngineIO3(), SocketIO09()]
packets = st.builds(
    Packet,
    st.sampled_from(
        [PacketType.EVENT, PacketType.ACK, PacketType.CONNECT, PacketType.ERROR, PacketType.JSON, PacketType.MESSAGE]
    ),
    st.sampled_from(["", "/chat"]),
    name=strings,
    args=st.lists(numbered, max_size=3),
    data=numbered | st.fixed_dictionaries({"message": strings | floats, "data": numbered}),
    id=st.none() | st.integers(0, 99),
)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.generation)
@given(packet=packets)
@example(packet=Packet(PacketType.ERROR, data={"message": "", "data": 1e-7}))
@example(packet=Packet(PacketType.EVENT, name="x", args=[1e-7]))
@settings(short, max_examples=100)
def test_a_packet_is_written_alike_in_every_generation(protocol: Protocol, packet: Packet) -> None:
    assert frames_of(protocol.with_json(FAST), packet) == frames_of(protocol.with_json(STD), packet)


def frames_of(protocol: Protocol, packet: Packet) -> Any:
    """What ``protocol`` makes of a packet; a refusal is its words."""
    try:
        return protocol.encode(packet).frames
    except (UsageError, CannotCarry) as error:
        return str(error)


@pytest.mark.parametrize(
    "value",
    [
        {"text": "1e-7, 0.00001 and 3e5 " * 1000},
        {"text": '\n"quoted" \\ 0.00001e5' * 1000},
        [{"id": "3e5f" * 8, "price": 1.25, "at": None} for _ in range(200)],
        ["é" * 100, 0.5, 1e15, 0.0001],
    ],
    ids=["text", "escapes", "rows", "numbers"],
)
def test_what_only_looks_like_such_a_number_is_still_written_by_orjson(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = STD.dumps(value)
    monkeypatch.setattr(StdJson, "write", lambda *_: pytest.fail("the standard library wrote it"))
    assert FAST.dumps(value) == expected


numbers = st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
ESCAPES = ["\\", "\\u", "d800", "\\ud83d", "\\ude00", "\\n"]
CHARACTERS = ["\x00", "\x7f", "é", "\ud800", "😀", "\ufeff", "\u2028", *'"[]{}:, \t\n\x0b0123456789.eE+-']
WORDS = ["true", "false", "null", "nul", "NaN", "Infinity", "-", '"a":', '"a"', "[1]", "{}"]
pieces = st.sampled_from(ESCAPES + CHARACTERS + WORDS)


@given(
    text=numbers
    | st.lists(numbers | pieces, max_size=30).map("".join)
    | st.lists(numbers).map(lambda n: f"[{','.join(n)}]")
)
@example(text="18446744073709552000")
@example(text="-0")
@example(text="-0.0")
@example(text="1e400")
@example(text="5e-324")
@example(text="2.2250738585072011e-308")
@example(text="9" * 4301)
@example(text='{"a":1,"a":2,"b":{"a":3}}')
@example(text='"\\ud800"')
@example(text='"\\ud83d\\ude00"')
@example(text=" [1] ")
@example(text="\ufeff[]")
@example(text="[" * 101)
@example(text="[" * 100 + "]" * 100)
@settings(short, max_examples=1000)
def test_any_text_is_read_or_refused_alike(text: str) -> None:
    assert read(FAST, text) == read(STD, text)


@given(value=values)
@settings(short)
def test_what_json_dumps_writes_is_read_alike(value: Any) -> None:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        return
    assert read(FAST, text) == read(STD, text)
    assert read(FAST, text[:-1]) == read(STD, text[:-1])


def test_a_value_within_itself_is_refused_alike() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert written(FAST, loop) == written(STD, loop)


def test_without_its_packages_the_standard_library_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(best_json()) is FastJson
    monkeypatch.setattr(accelerated, "orjson", None)
    assert type(best_json()) is StdJson
