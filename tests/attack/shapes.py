"""Shapes of what clients send: JSON and binary that become larger in memory, or for others, than they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from asocketio.protocol.base import Frame

__all__ = ["ATTACHED", "KINDS", "VALUES", "Kind", "Shape", "shapes"]

Generation = Literal["0.9", 3, 4]

VALUES = {
    # Texts.
    "long text": None,
    "wide text": None,
    "long text of accents": None,
    "long text of emojis": None,
    "long text of escapes": None,
    "long text of line separators": None,
    "long text of quotes": None,
    "long text of control characters": None,
    "empty texts": '""',
    "texts of one": '"a"',
    "texts of two": '"ab"',
    "accents": '"é"',
    "short texts of accents": '"éa"',
    "emojis": '"😀"',
    "wide short texts": '"a😀"',
    "escaped emojis": '"\\ud83d\\ude00"',
    # Numbers and constants.
    "digits": "7",
    "small numbers": "300",
    "negative numbers": "-9",
    "large numbers": "18446744073709552000",
    "floats": "1.5",
    "exponents": "1e15",
    "small exponents": "1e-7",
    "nulls": "null",
    "booleans": "true",
    # Lists and objects.
    "empty lists": "[]",
    "lists of an empty list": "[[]]",
    "nested lists": "[[[]]]",
    "deep lists": "[" * 90 + "0" + "]" * 90,
    "lists of one": "[0]",
    "pairs": "[1,2]",
    "empty objects": "{}",
    "objects of one": '{"":0}',
    "objects in objects": '{"":{"":{"":{}}}}',
    "nested objects": '{"":' * 60 + "0" + "}" * 60,
    "lists in objects": '{"":[[]]}',
    "objects in lists": '[{"":[{"":[]}]}]',
    "records": '{"id":1,"name":"x","tags":["a","b"],"at":{"x":1.5,"y":2.5}}',
    "one large object": None,
    "equal keys": '{"a":[],"a":[],"a":[]}',
    "looking like a placeholder": '{"_placeholder":false,"num":0}',
}
"""JSON values, repeated; None: made by `_made`."""

ATTACHED = {"one attachment": 1, "ten attachments": 10, "an attachment beside lists": 1}

KINDS = ("arguments", "one argument", "many events", "with an ack", "message")
"""How values are wrapped."""

Kind = Literal["arguments", "one argument", "many events", "with an ack", "message"]


@dataclass(frozen=True)
class Shape:
    """One of them. ``size`` bytes of JSON or binary, about."""

    name: str
    kind: Kind
    size: int

    def __str__(self) -> str:
        return f"{self.name}, {self.kind}"

    def frames(self, event: str, generation: Generation) -> list[Frame]:
        """The frames of it, as a client of ``generation`` sends them in an event."""
        if self.name in ATTACHED:
            return self._binary(event, generation)
        if self.kind == "message":
            return [_message(_repeated(self.name, self.size, listed=True), generation)]
        if self.kind == "many events":
            return [_event(event, _repeated(self.name, 40), generation)] * (self.size // 60)
        values = _repeated(self.name, self.size, listed=self.kind == "one argument")
        return [_event(event, values, generation, "7" if self.kind == "with an ack" else "")]

    def _binary(self, event: str, generation: Generation) -> list[Frame]:
        count = ATTACHED[self.name]
        values = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(count))
        beside = f",{_repeated('nested lists', self.size // 2, listed=True)}" if "beside" in self.name else ""
        number = "7" if self.kind == "with an ack" else ""
        attachment = (b"\x04" if generation == 3 else b"") + b"\xff" * (self.size // (2 * count if beside else count))
        mark = "45" if generation in (3, 4) else "5"
        return [f'{mark}{count}-{number}["{event}",{values}{beside}]', *[attachment] * count]


def _event(event: str, values: str, generation: Generation, number: str = "") -> str:
    if generation == "0.9":
        plus = "+" if number else ""
        return f'5:{number}{plus}::{{"name":"{event}","args":[{values}]}}'
    return f'42{number}["{event}",{values}]'


def _message(value: str, generation: Generation) -> str:
    return f"4:::{value}" if generation == "0.9" else f'42["message",{value}]'


def _repeated(name: str, size: int, *, listed: bool = False) -> str:
    value = VALUES[name]
    text = _made(name, size) if value is None else ",".join([value] * max(1, size // (len(value.encode()) + 1)))
    return f"[{text}]" if listed else text


def _made(name: str, size: int) -> str:
    if name == "one large object":
        return "{" + ",".join(f'"{number:x}":0' for number in range(max(1, size // 9))) + "}"
    unit = {
        "long text": "x",
        "wide text": "x",
        "long text of accents": "éa",
        "long text of emojis": "😀",
        "long text of escapes": "\\u00e9",
        "long text of line separators": "\u2028",
        "long text of quotes": '\\"',
        "long text of control characters": "\\n",
    }[name]
    text = unit * max(1, size // len(unit.encode()))
    return f'"{text}😀"' if name == "wide text" else f'"{text}"'


def shapes(generation: Generation, size: int) -> Iterator[Shape]:
    """All that a client of ``generation`` can send."""
    for kind in KINDS:
        for name in VALUES:
            yield Shape(name, kind, size)
        if generation != "0.9" and kind in ("arguments", "with an ack"):
            for name in ATTACHED:
                yield Shape(name, kind, size)
