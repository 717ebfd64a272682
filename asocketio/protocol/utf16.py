"""Text as JavaScript counts it: in UTF-16 code units. Lengths of the older payloads are such counts."""

from __future__ import annotations

import re

from asocketio.errors import MalformedPayload

__all__ = ["cut", "length_at", "repaired", "units"]

_WIDE = re.compile("[\U00010000-\U0010ffff]")


def units(text: str) -> int:
    """How many code units ``text`` has: characters above U+FFFF count twice."""
    return len(text) if text.isascii() else len(text) + len(_WIDE.findall(text))


def cut(text: str, start: int, count: int) -> str:
    """The ``count`` code units from ``start``, which counts characters.

    Raises:
        MalformedPayload: there are fewer, or the end would cut a character in two.
    """
    piece = text[start : start + count]
    if not piece.isascii() and _WIDE.search(piece):
        piece = piece.encode("utf-16-le", "surrogatepass")[: 2 * count].decode("utf-16-le", "surrogatepass")
        if not text.startswith(piece, start):
            raise MalformedPayload(f"a packet of {count} units ends inside of a character")
    if units(piece) != count:
        raise MalformedPayload(f"a packet of {count} units, only {units(piece)} are there")
    return piece


def repaired(text: str) -> str:
    """``text`` with U+FFFD for each half of a surrogate pair: those have no UTF-8."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def length_at(text: str, start: int, end: str) -> tuple[int, int]:
    """The length that begins at ``start``, and where what follows its ``end`` begins.

    Raises:
        MalformedPayload: no number of at most 9 digits with ``end`` behind it.
    """
    stop = text.find(end, start, start + 10)
    digits = text[start:stop] if stop > start else ""
    if not (digits.isascii() and digits.isdigit()):
        raise MalformedPayload(f"{text[start : start + 10]!r}, expected the length of a packet and {end!r}")
    return int(digits), stop + 1
