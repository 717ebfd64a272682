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

from asocketio.errors import MalformedPacket, UsageError
from asocketio.protocol import fast_json as accelerated
from asocketio.protocol.fast_json import FastJson, best_json
from asocketio.protocol.json_codec import StdJson
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
    """What it makes of a value; a refusal is its words."""
    try:
        text, attachments = codec.dumps(value)
    except UsageError as error:
        return str(error)
    assert text.encode().decode() == text
    return json.loads(text), attachments


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
    assert repr(written(FAST, value)) == repr(written(STD, value))


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
