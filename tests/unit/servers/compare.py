"""`Frames` against its oracle, on mutated frames: ``python -m tests.unit.servers.compare --cases 1000000 --seed 1``.

A case is the same for a seed and a number. Ends at the first difference, with exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.clients.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, encode_frame
from tests.unit.servers.oracle import Ours, Theirs

__all__ = ["Case", "Tally", "case_of", "compare", "main"]

LIMITS = (1, 5, 64, 125, 126, 127, 1000, 65_535, 65_536, 1_000_000)
LENGTHS = (0, 1, 2, 3, 7, 124, 125, 126, 127, 128, 300)
LONG = (65_534, 65_535, 65_536, 65_537)
LIES = (0, 1, 125, 126, 65_535, 65_536, 1 << 31, (1 << 32) + 3, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
CODES = (0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1011, 1014, 1015, 1016, 2999, 3000, 4999, 5000)
PIECES = (
    b"a", b"plain", b"\xc3\xa9", "漢字".encode(), "😀".encode(), b"\x00", b"\xf4\x8f\xbf\xbf",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\x80", b"\xff", b"\xf0\x9f", b"\xe2\x82",
)  # fmt: skip
GOOD = 7
"""The first of ``PIECES`` are valid UTF-8, so many."""


@dataclass(frozen=True, slots=True)
class Case:
    """Some bytes, in chunks, for a reader with a limit."""

    limit: int
    chunks: tuple[bytes, ...]


@dataclass(slots=True)
class Tally:
    """What the cases came to."""

    cases: int = 0
    messages: int = 0
    closes: int = 0
    """By the client, with a close frame."""
    open: int = 0
    refused: Counter[int] = field(default_factory=Counter[int])

    def __str__(self) -> str:
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(self.refused.items()))
        return (
            f"{self.cases} cases, {self.messages} messages and control frames; "
            f"left open: {self.open}, closed by a close frame: {self.closes}, refused by code: {codes}"
        )


class _Maker:
    """Frames that mostly make sense where they stand, and sometimes not."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._within = 0
        """The opcode of the message whose fragments are under way."""

    def frames(self) -> bytes:
        return b"".join(self._frame() for _ in range(self._random.choice((1, 2, 2, 3, 4, 5, 8))))

    def _frame(self) -> bytes:
        pick = self._random.random
        fin = pick() < 0.7
        if pick() < 0.03:
            opcode = int(pick() * 16)
        elif pick() < 0.2:
            opcode, fin = (PING if pick() < 0.6 else PONG), pick() < 0.95
        elif pick() < 0.08:
            opcode, fin = CLOSE, pick() < 0.97
        elif self._within and pick() < 0.95:
            opcode = CONT
        else:
            opcode = TEXT if pick() < 0.6 else BINARY
        kind = self._within if opcode == CONT else opcode
        if opcode < CLOSE:
            self._within = 0 if fin else kind
        payload = self._close() if opcode == CLOSE else self._payload(kind == TEXT, opcode < CLOSE)
        return encode_frame(
            opcode,
            payload,
            fin=fin,
            reserved=int(pick() * 8) if pick() < 0.02 else 0,
            key=None if pick() < 0.005 else self._key(),
            form=0 if pick() < 0.9 else 126 if pick() < 0.6 else 127,
            claimed=self._random.choice(LIES) if pick() < 0.01 else None,
        )

    def _key(self) -> bytes:
        return b"\0\0\0\0" if self._random.random() < 0.3 else self._random.randbytes(4)

    def _payload(self, text: bool, data: bool) -> bytes:
        random = self._random
        if data and random.random() < 0.002:
            return b"x" * random.choice(LONG)
        length = random.choice(LENGTHS)
        if not text:
            return random.randbytes(length if data or random.random() < 0.2 else min(length, 125))
        if length > 20:
            return b"y" * (length - 2) + "é".encode()
        good = random.random() < 0.97
        payload = b"".join(random.choice(PIECES[:GOOD] if good else PIECES) for _ in range(length))
        return payload if random.random() < 0.92 else payload[: random.randrange(len(payload) + 1)]

    def _close(self) -> bytes:
        random = self._random
        if random.random() < 0.2:
            return random.randbytes(random.randrange(2))
        code = 1000 if random.random() < 0.5 else random.choice((*CODES, random.randrange(65_536)))
        pieces = PIECES if random.random() < 0.2 else PIECES[:GOOD]
        return close_payload(code, b"".join(random.choices(pieces, k=random.randrange(3))))


def _mutated(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    match random.randrange(5):
        case 0:
            return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + random.randint(1, 4) :]
        case 2:
            return data[:at] + random.randbytes(random.randint(1, 4)) + data[at:]
        case 3:
            return data[:at]
        case _:
            return data[at:] + data


def _chunked(random: Random, data: bytes) -> tuple[bytes, ...]:
    if random.random() < 0.3:
        return (data,)
    if len(data) < 300 and random.random() < 0.3:
        return tuple(data[at : at + 1] for at in range(len(data)))
    bounds = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(1, 5)))
    return tuple(data[a:b] for a, b in zip([0, *bounds], [*bounds, len(data)], strict=True))


def case_of(seed: int, number: int) -> Case:
    """Case ``number`` of ``seed``."""
    random = Random(seed << 40 | number)
    data = _Maker(random).frames()
    while random.random() < 0.15 and data:
        data = _mutated(random, data)
    limit = random.choice(LIMITS) if random.random() < 0.4 else 1_000_000
    return Case(limit, _chunked(random, data))


def compare(case: Case, tally: Tally) -> str:
    """The difference between the two readers; empty if there is none."""
    ours, theirs = Ours(case.limit), Theirs(case.limit)
    for number, chunk in enumerate(case.chunks, 1):
        ours.feed(chunk)
        theirs.feed(chunk)
        if (ours.code, ours.closed, ours.said) != (theirs.code, theirs.closed, theirs.said):
            return (
                f"after chunk {number} of {case!r}:\n"
                f"  got      {ours.said!r} code {ours.code}\n  expected {theirs.said!r} code {theirs.code}"
            )
    tally.cases += 1
    tally.messages += len(ours.said)
    if ours.code is not None:
        tally.refused[ours.code] += 1
    elif ours.closed:
        tally.closes += 1
    else:
        tally.open += 1
    return ""


def main(given: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.unit.servers.compare", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    options = parser.parse_args(given)
    tally, begun = Tally(), time.monotonic()
    for number in range(options.first, options.first + options.cases):
        difference = compare(case_of(options.seed, number), tally)
        if difference:
            print(f"DIFFERENCE: seed {options.seed}, case {number}, {difference}")
            return 1
    print(f"{tally}\nno difference; seed {options.seed}, {time.monotonic() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
