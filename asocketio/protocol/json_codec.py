"""JSON codecs: JSON text to values and back. Binary values are taken out, to be sent beside the text.

Standard JSON decides what is legal: NaN, Infinity and nesting over `MAX_DEPTH` are refused both
ways, and text that is not valid Unicode (a lone surrogate, which JavaScript may send) goes out escaped.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NoReturn

from asocketio.errors import MalformedPacket, UsageError

__all__ = [
    "MAX_DEPTH",
    "PLACEHOLDER",
    "AsciiJson",
    "Binary",
    "CustomJson",
    "Json",
    "StdJson",
    "refuse_depth",
    "restore",
    "set_aside",
]

MAX_DEPTH = 100
"""The deepest nesting of JSON. The JSON of programs is shallow; deep JSON is an attack on recursion."""

PLACEHOLDER = "_placeholder"
"""The key of the object that stands for an attachment (Socket.IO protocol, "Packet encoding / Binary packets")."""
_PLACEHOLDER_TEXT = f'"{PLACEHOLDER}":true'
_FALSE_PLACEHOLDER = (
    f"cannot be sent as JSON: a dict with {PLACEHOLDER!r}: True beside binary values, which clients would take for "
    "one of these; rename the key, or send it without binary values"
)

Binary = bytes | bytearray | memoryview
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEPS = {91: 1, 123: 1, 93: -1, 125: -1, 34: 0, 92: 0}
_UNMARKED = bytes(set(range(256)) - set(b'[]{}"\\'))
_PASSES = 8  # each takes the innermost pairs away; most JSON is gone by then


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_quote = json.encoder.encode_basestring
_quote_ascii = json.encoder.encode_basestring_ascii
_ESCAPED_TOO = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\x7f": r"\u007f"}
"""ASCII: the space between values that a program's own function may write, and what strings may hold."""
_LEAVES: dict[Any, str] = {None: "null", True: "true", False: "false"}


LONG = 50
"""Characters of a text from which another library writes it quicker."""


def _write_flat(items: list[Any], quote: Callable[[str], str]) -> tuple[str, list[bytes]] | None:
    """A list of plain text, whole numbers, bytes and the like as JSON, and the bytes in it; None for others.

    Most events carry nothing else, and the standard encoder spends 1.2 of its 1.4 µs on setting itself up; with a
    binary value that orjson must ask for it is 3 µs. ``quote`` writes long texts.
    """
    parts: list[str] = []
    attachments: list[bytes] = []
    for item in items:
        kind = type(item)
        if kind is str:
            if not item.isascii():
                return None  # half a surrogate pair may be in it
            parts.append(_quote(item) if len(item) < LONG else quote(item))
        elif kind is int:
            parts.append(int.__repr__(item))
        elif item is None or kind is bool:
            parts.append(_LEAVES[item])
        elif kind is bytes:
            parts.append(f'{{"_placeholder":true,"num":{len(attachments)}}}')
            attachments.append(item)
        else:
            return None
    return f"[{','.join(parts)}]", attachments


class Json(ABC):
    """A JSON codec: decodes and encodes the JSON in packets."""

    @abstractmethod
    def loads(self, text: str) -> Any:
        """The value of ``text``.

        Raises:
            MalformedPacket: it is not JSON, or nested deeper than `MAX_DEPTH`.
        """

    @abstractmethod
    def dumps(self, value: Any) -> tuple[str, list[bytes]]:
        """The compact text of ``value``, and the binary values that were in it, in order.

        In the text each of them is ``{"_placeholder":true,"num":<index>}``
        (Socket.IO protocol, "Packet encoding / Binary packets").

        Raises:
            UsageError: something in ``value`` has no JSON form, or it holds binary beside a dict that every client
                would take for a placeholder.
        """

    def escaped(self, value: Any, text: str) -> str:
        """``text``, which `dumps` made of ``value``, with escapes for all characters that are not ASCII."""
        return _escape(text)


class StdJson(Json):
    """The JSON codec of the standard library. It is the reference for the others."""

    def __init__(self) -> None:
        self._decode = _DECODER.decode
        self._scan: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]
        self._utf8 = _Encoder(ensure_ascii=False)
        self._ascii = _Encoder(ensure_ascii=True)

    def loads(self, text: str) -> Any:
        if len(text) > MAX_DEPTH:
            refuse_depth(text)
        return self.scan(text)

    def scan(self, text: str) -> Any:
        """`loads`, of text whose depth is known to be fine."""
        try:
            # What `JSONDecoder.decode` does, without its two regular expressions for white space: 0.6 µs of 1.4.
            value, end = self._scan(text, 0)
            if end == len(text):
                return value
        except (StopIteration, ValueError):
            pass
        try:
            return self._decode(text)
        except ValueError as error:
            raise MalformedPacket(f"not JSON ({error}): {text[:40]!r}") from None

    def dumps(self, value: Any) -> tuple[str, list[bytes]]:
        if type(value) is list:
            flat = _write_flat(value, self.quote)
            if flat is not None:
                return flat
        text, attachments = self.write(value)
        if _too_deep(text):
            raise UsageError(f"cannot be sent as JSON: nested deeper than {MAX_DEPTH}")
        if attachments and text.count(_PLACEHOLDER_TEXT) != len(attachments):  # in a string the quotes are escaped
            raise UsageError(_FALSE_PLACEHOLDER)
        return text, attachments

    def escaped(self, value: Any, text: str) -> str:
        if "\x7f" in text:  # the encoder escapes that as well
            return _escape(text)
        return self._ascii.write(value)[0]  # once more: a third of the time of `_escape`

    def quote(self, text: str) -> str:
        """A long text, all of it ASCII, as JSON."""
        return _quote(text)

    def write(self, value: Any) -> tuple[str, list[bytes]]:
        """`dumps`, of any depth that can be written."""
        text, attachments = self._utf8.write(value)
        if not text.isascii() and not _is_unicode(text):
            return self._ascii.write(value)
        return text, attachments


class CustomJson(Json):
    """The ``json_loads`` and ``json_dumps`` given to ``socketio_manage``; the standard library where one is missing."""

    def __init__(self, loads: Callable[[str], Any] | None, dumps: Callable[[Any], str | bytes] | None) -> None:
        self._std = StdJson()
        self._loads = loads
        self._dumps = dumps

    def loads(self, text: str) -> Any:
        if self._loads is None:
            return self._std.loads(text)
        refuse_depth(text)
        try:
            return self._loads(text)
        except Exception as error:  # the user's function
            raise MalformedPacket(f"json_loads failed ({error!r}) on {text[:40]!r}") from error

    def dumps(self, value: Any) -> tuple[str, list[bytes]]:
        if self._dumps is None:
            return self._std.dumps(value)
        attachments: list[bytes] = []
        taken_out = _take_out(value, attachments, 0)
        if attachments and _names_placeholder(value):
            raise UsageError(_FALSE_PLACEHOLDER)
        try:
            text = self._dumps(taken_out)
            text = text.decode() if isinstance(text, bytes) else text
            text.encode()
        except Exception as error:  # the user's function
            raise UsageError(f"json_dumps failed: {error!r}") from error
        if _too_deep(text):
            raise UsageError(f"cannot be sent as JSON: nested deeper than {MAX_DEPTH}")
        return text, attachments


class AsciiJson(Json):
    """Another JSON codec, with escapes for all characters that are not ASCII."""

    def __init__(self, json: Json) -> None:
        self._json = json

    def loads(self, text: str) -> Any:
        return self._json.loads(text)

    def dumps(self, value: Any) -> tuple[str, list[bytes]]:
        text, attachments = self._json.dumps(value)
        return text if text.isascii() else self._json.escaped(value, text), attachments


def _escape(text: str) -> str:
    """JSON text with its characters that are not ASCII, which are all in strings, as escapes.

    In C, a few passes over it: the text is written as a JSON string; then what that escaped besides is put back. A
    text of ``éaéa...`` has half a million runs of such characters.
    """
    escaped = _quote_ascii(text)[1:-1]
    if "\\" in text:
        escaped = escaped.replace(r"\\", "\0")  # no text has the character 0 now
    escaped = escaped.replace(r"\"", '"')
    for character, escape in _ESCAPED_TOO.items():
        if character in text:
            escaped = escaped.replace(escape, character)
    return escaped.replace("\0", "\\")


class _Encoder(json.JSONEncoder):
    """A JSON encoder that takes out binary values while it encodes: no second walk over the arguments."""

    def __init__(self, *, ensure_ascii: bool) -> None:
        super().__init__(ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))
        self._attachments: list[bytes] = []

    def write(self, value: Any) -> tuple[str, list[bytes]]:
        attachments = self._attachments = []
        try:
            text = self.encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"cannot be sent as JSON: {error}") from None
        finally:
            self._attachments = []
        return text, attachments

    def default(self, o: Any) -> Any:
        if isinstance(o, Binary):
            return set_aside(o, self._attachments)
        if hasattr(o, "__await__"):
            raise TypeError(f"{type(o).__qualname__}: an await is missing")
        raise TypeError(f"{type(o).__qualname__} is no str, number, bool, None, bytes, list or dict; convert it first")


def set_aside(value: Binary, attachments: list[bytes]) -> dict[str, Any]:
    """Add a binary value to the attachments, and return its placeholder."""
    attachments.append(bytes(value))
    return {"_placeholder": True, "num": len(attachments) - 1}


def restore(value: Any, attachments: list[bytes]) -> Any:
    """``value`` with the attachments in the places of their placeholders; its lists and dicts are changed, not copied.

    Each attachment is named once, in order, as clients write them: what one packet becomes is then no more than what
    came in.

    Raises:
        MalformedPacket: a placeholder is not the next one, or an attachment has none.
    """
    taken = [0]
    if isinstance(value, _CONTAINERS):
        value = _restored(value, attachments, taken)
    if taken[0] < len(attachments):
        raise MalformedPacket(f"{len(attachments)} attachments, of which number {taken[0]} has no placeholder")
    return value


_CONTAINERS = (list, dict)


def _restored(value: list[Any] | dict[str, Any], attachments: list[bytes], taken: list[int]) -> Any:
    """`restore`, of a part. ``taken`` holds how many attachments have found their places."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, _CONTAINERS):
                value[index] = _restored(item, attachments, taken)
        return value
    if value.get(PLACEHOLDER) is not True:
        for key, item in value.items():
            if isinstance(item, _CONTAINERS):
                value[key] = _restored(item, attachments, taken)
        return value
    number, next_one = value.get("num"), taken[0]
    if type(number) is not int or number != next_one or number == len(attachments):
        expected = f"expected {next_one}" if next_one < len(attachments) else "expected no more"
        raise MalformedPacket(f"placeholder {number!r:.40}, {expected}: each attachment has one, in their order")
    taken[0] = number + 1
    return attachments[number]


def refuse_depth(text: str, max_depth: int = MAX_DEPTH) -> None:
    """Raise `MalformedPacket` where brackets nest deeper than ``max_depth``, or a long text is nothing but brackets.

    A list within a list takes 88 bytes for the two of its brackets; other JSON becomes less than 40 times its text.
    """
    if _too_deep(text, max_depth):
        raise MalformedPacket(f"JSON nested deeper than {max_depth}")
    most = _MOST_LISTS * max(len(text), _LONG)
    if text.count("[") > most and _STRINGS.sub("", text).count("[") > most:
        raise MalformedPacket(f"JSON of {len(text)} characters that are nearly all brackets")


_LONG = 1000
_MOST_LISTS = 0.44  # of the characters; each has a second bracket


def _too_deep(text: str, max_depth: int = MAX_DEPTH) -> bool:
    """Whether brackets nest deeper than `MAX_DEPTH`, at least up to the first that does not fit."""
    if text.find("[", 1) < 0 and text.find("{", 1) < 0:
        return False  # a long text in a list: thirty times quicker than to count
    if text.count("[") + text.count("{") <= max_depth:
        return False
    marks = _marks(text)
    if b'"' in marks or b"\\" in marks:  # a text has brackets or escapes in it
        marks = _marks(_STRINGS.sub("", text))
    left = marks
    for _ in range(_PASSES):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
        if not left:
            return False
    return max(accumulate(map(_STEPS.__getitem__, marks)), default=0) > max_depth


def _marks(text: str) -> bytes:
    """The brackets of ``text``, and what of its quotes and backslashes is not an empty text."""
    return text.encode(errors="replace").translate(None, _UNMARKED).replace(b'""', b"")


def _take_out(value: Any, attachments: list[bytes], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise UsageError(f"cannot be sent as JSON: nested deeper than {MAX_DEPTH}")
    if isinstance(value, Binary):
        return set_aside(value, attachments)
    if isinstance(value, list | tuple):
        return [_take_out(item, attachments, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _take_out(item, attachments, depth + 1) for key, item in value.items()}
    return value


def _names_placeholder(value: Any) -> bool:
    """Whether a dict in ``value``, whose depth is known to be fine, looks like the place of an attachment."""
    if isinstance(value, dict):
        return value.get(PLACEHOLDER) is True or any(map(_names_placeholder, value.values()))
    return isinstance(value, list | tuple) and any(map(_names_placeholder, value))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
