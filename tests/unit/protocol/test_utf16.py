"""Text counted in UTF-16 code units, and cut by such counts, with JavaScript's own way as the oracle."""

from __future__ import annotations

from contextlib import suppress
from time import perf_counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asocketio.errors import MalformedPayload
from asocketio.protocol.utf16 import count_units, read_length, take_units, well_formed
from tests.support.properties import short

SECONDS = 5.0
"""For a megabyte: a hundred times what linear code needs."""


def in_units(text: str) -> list[bytes]:
    """The code units of ``text``, two bytes each."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [encoded[at : at + 2] for at in range(0, len(encoded), 2)]


def by_units(text: str, start: int, count: int) -> str | None:
    """The plain form of `take_units`: None where a character is cut in two, or there are not enough."""
    pieces = in_units(text[start:])[:count]
    piece = b"".join(pieces).decode("utf-16-le", "surrogatepass")
    return piece if len(pieces) == count and text.startswith(piece, start) else None


# Text as it can be on the wire: half a surrogate pair never stands before the other half.
texts = st.lists(st.sampled_from(["a", "é", "€", "\ufffd", "😀", "\U0010ffff", "\ud800a", "\udc00a"])).map("".join)


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("abc", 3), ("é", 1), ("€", 1), ("\uffff", 1), ("\U00010000", 2), ("😀", 2), ("é😀\n", 4), ("\ud83d", 1)],
)
def test_characters_above_ffff_count_twice(text: str, count: int) -> None:
    assert count_units(text) == count


@given(texts | st.text(st.characters()))
@settings(short)
def test_units_are_those_of_utf_16(text: str) -> None:
    assert count_units(text) == len(in_units(text))


@pytest.mark.parametrize(
    ("text", "start", "count", "piece"),
    [
        ("abc", 0, 2, "ab"),
        ("abc", 1, 2, "bc"),
        ("abc", 3, 0, ""),
        ("", 0, 0, ""),
        ("é😀x", 0, 1, "é"),
        ("é😀x", 0, 3, "é😀"),
        ("é😀x", 1, 2, "😀"),
        ("é😀x", 0, 4, "é😀x"),
        ("a😀", 0, 1, "a"),
        ("😀😀😀", 1, 4, "😀😀"),
        ("😀\ud83d", 0, 3, "😀\ud83d"),
    ],
)
def test_a_piece_is_taken_by_units(text: str, start: int, count: int, piece: str) -> None:
    assert take_units(text, start, count) == piece


@pytest.mark.parametrize(
    ("text", "start", "count", "message"),
    [
        ("abc", 0, 4, "a packet of 4 units, only 3 are there"),
        ("abc", 3, 1, "a packet of 1 units, only 0 are there"),
        ("", 0, 1, "a packet of 1 units, only 0 are there"),
        ("é😀x", 0, 5, "a packet of 5 units, only 4 are there"),
        ("é😀x", 0, 999_999_999, "a packet of 999999999 units, only 4 are there"),
        ("é😀x", 0, 2, "a packet of 2 units ends inside of a character"),
        ("😀", 0, 1, "a packet of 1 units ends inside of a character"),
        ("😀😀", 0, 3, "a packet of 3 units ends inside of a character"),
    ],
)
def test_a_length_that_lies_is_refused(text: str, start: int, count: int, message: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        take_units(text, start, count)
    assert str(caught.value) == message


@given(texts, st.integers(0, 20), st.integers(0, 20))
@example("é😀x", 0, 2)
@settings(short, max_examples=400)
def test_a_piece_is_what_utf_16_would_give_or_refused(text: str, start: int, count: int) -> None:
    start = min(start, len(text))
    found: str | None = None
    with suppress(MalformedPayload):
        found = take_units(text, start, count)
    assert found == by_units(text, start, count)


@pytest.mark.parametrize(
    ("text", "start", "found"),
    [
        ("6:4hello", 0, (6, 2)),
        ("x95:0", 1, (95, 4)),
        ("0:", 0, (0, 2)),
        ("006:", 0, (6, 4)),
        ("123456789:", 0, (123456789, 10)),
    ],
)
def test_a_length_is_read_with_where_the_packet_begins(text: str, start: int, found: tuple[int, int]) -> None:
    assert read_length(text, start, ":") == found


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "6", "x:", "-1:", "+1:", "1.0:", " 1:", "1 :", "1_0:", "٣:", "³:", "①:", "1\n:"),
        *("1234567890:", "0000000001:"),
    ],
)
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        read_length(text, 0, ":")
    assert str(caught.value) == f"{text[:10]!r}, expected the length of a packet and ':'"


@pytest.mark.parametrize("text", ["1" * 1_000_000, "1" * 1_000_000 + ":", "😀" * 1_000_000])
def test_the_end_of_a_length_is_not_looked_for_far_away(text: str) -> None:
    started = perf_counter()
    for _ in range(10_000):
        with suppress(MalformedPayload):
            read_length(text, 0, ":")
    assert perf_counter() - started < SECONDS


@short
@given(
    text=st.text() | st.lists(st.sampled_from(["a", "é", "😀", "\ud83d", "\ude00", "\ud800", "\udfff"])).map("".join)
)
@example(text="\ud83d\ude00")
@example(text="\ude00\ud83d")
@example(text='"\\\ud800\n')
def test_text_is_well_formed_by_what_stands_for_half_a_character(text: str) -> None:
    by_utf_16 = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert well_formed(text) == by_utf_16
    assert well_formed(by_utf_16) == by_utf_16
