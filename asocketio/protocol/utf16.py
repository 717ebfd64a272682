"""Lengths of text in UTF-16 code units, as JavaScript counts and the polling bodies of older generations tell them."""

from __future__ import annotations

import json
import re

from asocketio.errors import MalformedPayload

__all__ = ["count_units", "read_length", "take_units", "well_formed"]

_WIDE = re.compile("[\U00010000-\U0010ffff]")
_HALF = re.compile("[\ud800-\udfff]")


def count_units(text: str) -> int:
    """The number of code units of ``text``: characters above U+FFFF count twice."""
    return len(text) if text.isascii() else len(text) + len(_WIDE.findall(text))


def take_units(text: str, start: int, count: int) -> str:
    """The ``count`` code units from ``start``, which counts characters.

    Raises:
        MalformedPayload: there are fewer, or the last one is half of a character.
    """
    piece = text[start : start + count]
    if not piece.isascii() and _WIDE.search(piece):
        piece = piece.encode("utf-16-le", "surrogatepass")[: 2 * count].decode("utf-16-le", "surrogatepass")
        if not text.startswith(piece, start):
            raise MalformedPayload(f"a packet of {count} units ends inside of a character")
    if count_units(piece) != count:
        raise MalformedPayload(f"a packet of {count} units, only {count_units(piece)} are there")
    return piece


def well_formed(text: str) -> str:
    """``text`` with U+FFFD in place of each lone surrogate: those have no UTF-8."""
    if text.isascii() or _HALF.search(text) is None:
        return text
    whole = json.loads(json.dumps(text))  # halves that make a character are one; a third of the time of UTF-16
    return "\ufffd".join(_HALF.split(whole))


def read_length(text: str, start: int, end: str) -> tuple[int, int]:
    """The length that begins at ``start``, and the index behind its ``end``.

    Raises:
        MalformedPayload: no number of at most 9 digits with ``end`` behind it.
    """
    stop = text.find(end, start, start + 10)
    digits = text[start:stop] if stop > start else ""
    if not (digits.isascii() and digits.isdigit()):
        raise MalformedPayload(f"{text[start : start + 10]!r}, expected the length of a packet and {end!r}")
    return int(digits), stop + 1
