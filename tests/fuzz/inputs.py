"""Inputs made from a seed: valid ones by each generation's grammar, and what a few mutations leave of them.

Each depends on nothing but the seed, the target and its number, so that any of them can be made again.
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgpack

from asocketio.protocol.base import Frame
from tests.fuzz.targets import Posted, Request, form_of_eio

__all__ = ["TOKENS", "Inputs", "body_09", "body_3", "body_4", "examples"]

T = TypeVar("T")

VECTORS = Path(__file__).parent.parent / "vectors"

NESTS = ["[" * 99, "[" * 101, '{"a":' * 101, "]" * 101, "[" * 101 + "]" * 101, "[]" * 101, '[{"a":' * 60]
NUMBERS = [
    *("0", "1", "9", "10", "11", "00", "01", "-1", "1.5", "1e3", "1e999", "-0", "-0.0", "0x10", "1_0"),
    *("999999", "1000000", "999999999", "1000000000", "9" * 16, "9" * 17, "9" * 25, "9" * 400 + ".0"),
    *("9" * 4300, "9" * 4301, "٣", "²", "４", "NaN", "Infinity", "-Infinity", "nan"),
]
SIGNS = [
    *("\ufffd", "\x1e", ":", "::", ":::", "+", "-", ",", "/", "?", "&", "=", "%", ";", "\\", "\\\\", '"', "\n", "\r\n"),
    *("\\n", "\\\\n", "\\\n", "\\u", "\\u12", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\uD83D\\", "\x00", "\x7f", " "),
    *("[", "]", "{", "}", "[]", "{}", "[[", "null", "true", "false", "b", "b4", "bAQ==", "4", "42", "d=", "\ufeff"),
    *(
        "é",
        "ÿ",
        "\x80",
        "Ã©",
        "Ã",
        "\u2028",
        "\u2029",
        "\U0001f600",
        "\U0010ffff",
        "\ufffe",
        "\ufffd0\ufffd",
        "\ufffd9",
    ),
    *('{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}', '{"_placeholder":true}', '"_placeholder"'),
    *('["x"]', '["disconnect"]', '{"name":"x"}', '"args":', '"name":', "51-", "5:::", "6:::1+", "1::", "2::"),
]
SURROGATES = ["\ud800", "\udc00", "\ud83d", "\ude00"]
TOKENS = [*SIGNS, *NUMBERS, *NESTS]
"""What this or that reader takes for more than a sign."""
_BYTE_TOKENS = [
    *(token.encode().decode("latin-1") for token in TOKENS),
    *("\xff", "\xfe", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf0\x9f\x98", "\xef\xbf", "\xef\xbf\xbd", "\xf5"),
    *("\x00\x01\xff", "\x01\x01\xff\x04", "\x00\xff", "\x00\x00\xff", "\x01\x0a\xff", "\x00" + "\x09" * 9 + "\xff"),
    *("%", "%2", "%ff", "%ED%A0%80", "%C3%A9", "%5C%5Cn", "%22", "&d=", "&" * 11, "+"),
]
_DIGITS = re.compile("[0-9]+")
_TEXT_SIGNS = '0123456789:+-,/?&=%"\\[]{}abn \n\x00\x1eéÿ\u2028\ufffd\U0001f600'
_BYTE_SIGNS = "".join(map(chr, range(256)))
_ODD: tuple[Frame, ...] = ("2", "3", "2probe", "2::", b"", b"\x04", b"\x04\x00", "5", "42[]", "49")
_KEYS = ("a", "_placeholder", "num", "name", "args", "", "é", "message", "data")
_NAMES = ("x", "echo", "message", "", "é😀", "disconnect", "connect", "a b", "\\n", "\u2028", "_placeholder", "1")
_ENDPOINTS = ("", "", "", "", "/", "/chat", "/a/b", "/é", "/1-2", "/chat?a=b", "/😀", "/[x]")
_STRINGS = ("", "x", "é😀", "\n", "\\n", '"', "\u2028", "a" * 50, "\ufffd", "\ud83d", "0", "\x1e", "true", "\x00")

POOL = 1000
"""Valid inputs of each target that mutations begin with."""
LONG_ONE_IN = 5000
"""Long inputs show what is not linear; they take as long as a hundred short ones."""


class Maker:
    """Picks by a `Random`, in few calls: there are a hundred picks to an input."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.random = rng.random

    def below(self, end: int) -> int:
        """A number from 0 to ``end - 1``."""
        return int(self.random() * end)

    def pick(self, items: Sequence[T]) -> T:
        """One of ``items``."""
        return items[int(self.random() * len(items))]

    def often(self, share: float) -> bool:
        """True in so many cases."""
        return self.random() < share

    # Values.

    def value(self, depth: int = 3) -> Any:
        """What JSON can say."""
        kind = self.below(10 if depth else 7)
        if kind < 3:
            return self.pick(_STRINGS)
        if kind < 5:
            return self.below(10 ** self.below(20)) - self.below(3)
        if kind == 5:
            return self.pick((None, True, False, 1.5, -0.0, 1e300, 1e-7, 18446744073709552000))
        if kind == 6:
            return {"_placeholder": True, "num": self.below(3)}
        if kind < 9:
            return [self.value(depth - 1) for _ in range(self.below(4))]
        return {self.pick(_KEYS): self.value(depth - 1) for _ in range(self.below(4))}

    def json(self, value: Any) -> str:
        """One of the ways to write it."""
        text = json.dumps(value, ensure_ascii=self.often(0.5), separators=self.pick(((",", ":"), (", ", ": "))))
        return text if _is_unicode(text) else json.dumps(value)

    def number(self) -> str:
        """An id, in most cases none."""
        return "" if self.often(0.6) else str(self.below(10 ** self.below(17)))

    # Frames.

    def frames_of_engine(self, generation: str) -> list[Frame]:
        """One packet of Engine.IO, and its attachments."""
        if self.often(0.15):
            return [self.pick("0123567") + self.pick(("", "", "probe", "é", '{"sid":"x"}'))]
        kind = self.pick("0122223334556")
        endpoint = self.pick(_ENDPOINTS)
        where = endpoint and endpoint + ("" if kind in "01" and self.often(0.3) else ",")
        if kind in "56":
            return self._binary(generation, kind, where)
        number = self.number() if kind in "23" else ""
        if kind == "2":
            text = self.json([self.pick(_NAMES), *(self.value() for _ in range(self.below(4)))])
        elif kind == "3":
            text, number = self.json([self.value() for _ in range(self.below(4))]), number or "7"
        elif kind == "1":
            text = ""
        elif kind == "4":
            text = self.json(self.pick(("no", {"message": "x"}, {"message": "x", "data": self.value()})))
        elif generation == "3":
            where = self.pick(
                ("", "/chat", "/é", "/chat?token=a%20b&x=", "/?a=1", "/chat,", "/chat?a=,", "/a?" + "&" * 9)
            )
            text = ""
        else:
            text = self.pick(("", "{}", '{"token":"abc"}', self.json({self.pick(_KEYS): self.value()})))
        return [f"4{kind}{where}{number}{text}"]

    def _binary(self, generation: str, kind: str, where: str) -> list[Frame]:
        count = self.pick((0, 1, 1, 1, 2, 3, 10, 11))
        holders: list[Any] = [{"_placeholder": True, "num": number} for number in range(count)]
        args = [*holders, *(self.value(1) for _ in range(self.below(3)))]
        text = self.json([self.pick(_NAMES), *args] if kind == "5" else [args])
        number = self.number() or ("7" if kind == "6" else "")
        attachments = [self.attachment(generation) for _ in range(count)]
        return [f"4{kind}{count}-{where}{number}{text}", *attachments]

    def attachment(self, generation: str) -> bytes:
        """A frame of binary."""
        return (b"\x04" if generation == "3" else b"") + self.rng.randbytes(self.below(9))

    def frames_09(self) -> list[Frame]:
        """One packet of 0.9."""
        kind = self.pick("0123334455555566678")
        number = self.pick(("", "", "", "1", "1+", str(self.below(10**9)) + "+"))
        endpoint = self.pick(("", "", "", "/", "/chat", "/é", "/a/b"))
        data = ""
        if kind == "1":
            data = self.pick(("", "", ":", ":?a=b", ":?a=%20b&c", ":?" + "&" * 9))
        elif kind == "3":
            data = ":" + self.pick(("", "text", "a:b:c", "é😀", "\n", "\u2028", "\ufffd5\ufffd", "x" * 40))
        elif kind == "4":
            data = ":" + self.json(self.value())
        elif kind == "5":
            event = {"name": self.pick(_NAMES), "args": [self.value() for _ in range(self.below(4))]}
            data = ":" + self.json(event if self.often(0.8) else {"name": "x"})
        elif kind == "6":
            args = [self.value() for _ in range(self.below(3))]
            data, number = f":{self.below(10**6)}{self.pick(('', '+' + self.json(args)))}", ""
        elif kind == "7":
            data = ":" + self.pick(("0", "1", "2", "1+0", "2+0", "9", "why", "+", "why+0"))
        return [f"{kind}:{number}:{endpoint}{data}"]

    def frames(self, generation: str) -> list[Frame]:
        """Some packets of one generation."""
        frames: list[Frame] = []
        for _ in range(self.pick((1, 1, 1, 2, 3))):
            frames += self.frames_09() if generation == "0.9" else self.frames_of_engine(generation)
        return frames

    # Mutations.

    def mutated(self, text: str, tokens: Sequence[str], signs: str, other: str) -> str:
        """``text`` after some accidents; ``other`` is what may be spliced with it."""
        for _ in range(self.pick((1, 1, 1, 2, 2, 3, 5))):
            at = self.below(len(text) + 1)
            end = at + 1 + self.below(self.pick((1, 2, 8, 64)))
            kind = self.below(9)
            if kind == 0:  # flip
                text = text[:at] + self.pick(signs) + text[at + 1 :]
            elif kind == 1:  # cut out
                text = text[:at] + text[end:]
            elif kind == 2:  # cut off
                text = text[:at] if self.often(0.8) else text[at:]
            elif kind == 3:  # splice
                text = text[:at] + other[self.below(len(other) + 1) :]
            elif kind == 4:  # duplicate
                text = text[:end] + text[at:end] * self.pick((1, 1, 2, 12)) + text[end:]
            elif kind == 5:  # move
                to = self.below(len(text) + 1)
                text = text[:at] + text[end:to] + text[at:end] + text[max(to, end) :]
            elif kind < 8:
                text = text[:at] + self.pick(tokens) + text[at if self.often(0.7) else end :]
            else:
                text = self._with_another_number(text)
        return text

    def _with_another_number(self, text: str) -> str:
        """Lengths, counts and ids that lie."""
        if len(text) > 10_000:
            return text
        found = list(_DIGITS.finditer(text))
        if not found:
            return text
        number = self.pick(found)
        value = int(number[0][:100])
        lie = self.pick(
            (value + 1, value - 1, value * 2, value // 2, value + 10, f"0{value}", f"{value}0", self.pick(NUMBERS))
        )
        return f"{text[: number.start()]}{lie}{text[number.end() :]}"

    def text(self, text: str, other: str) -> str:
        """`mutated`, of text."""
        return self.mutated(text, TOKENS if self.often(0.95) else SURROGATES, _TEXT_SIGNS, other)

    def bytes(self, data: bytes, other: bytes) -> bytes:
        """`mutated`, of bytes."""
        text = self.mutated(data.decode("latin-1"), _BYTE_TOKENS, _BYTE_SIGNS, other.decode("latin-1"))
        return text.encode("latin-1", "ignore")

    def many(self, frames: Sequence[Frame]) -> list[Frame]:
        """``frames``, or one of them, again and again, up to some megabytes: a body in good order."""
        frames = [self.pick(frames)] if frames and self.often(0.5) else list(frames)
        if self.often(0.3) or not frames:
            frames = [self.pick(_ODD)]
        size = sum(map(len, frames)) + 3 * len(frames)
        return frames * int(10 ** (4 + 2.3 * self.random()) / size)

    def long(self, text: str) -> str:
        """``text`` with a piece of it repeated, up to a megabyte."""
        at = self.below(len(text))
        piece = text[at : at + 1 + self.below(self.pick((1, 2, 8, 64)))] or self.pick(SIGNS)
        if self.often(0.3):
            piece = self.pick(TOKENS)
        return text[:at] + piece * int(10 ** (4 + 2 * self.random()) / len(piece)) + text[at:]


def _is_unicode(text: str) -> bool:
    return text.isascii() or text.encode(errors="replace").decode() == text


# ---- bodies, as clients write them ------------------------------------------------------------------------------


def body_4(frames: Sequence[Frame]) -> str:
    """The payload of Engine.IO 4."""
    return "\x1e".join(f if isinstance(f, str) else "b" + b64encode(f).decode() for f in frames)


def body_3(frames: Sequence[Frame], *, twice: bool = False) -> str:
    """The text payload of Engine.IO 3; ``twice`` as 1.x clients write it."""
    parts: list[str] = []
    for frame in frames:
        text = frame if isinstance(frame, str) else "b4" + b64encode(frame[1:]).decode()
        text = _utf8(text).decode("latin-1") if twice else text
        parts.append(f"{_units(text)}:{text}")
    return "".join(parts)


def binary_3(frames: Sequence[Frame]) -> bytes:
    """The binary payload of Engine.IO 3."""
    parts: list[bytes] = []
    for frame in frames:
        data = _utf8(frame) if isinstance(frame, str) else frame
        parts += [bytes((isinstance(frame, bytes), *map(int, str(len(data))), 255)), data]
    return b"".join(parts)


def body_09(frames: Sequence[Frame]) -> str:
    """The payload of 0.9."""
    texts = [frame for frame in frames if isinstance(frame, str)]
    return texts[0] if len(texts) == 1 else "".join(f"\ufffd{_units(text)}\ufffd{text}" for text in texts)


def _utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


# ---- examples that others wrote ---------------------------------------------------------------------------------


def examples() -> tuple[list[list[Frame]], list[bytes]]:
    """The frames and the bodies in ``tests/vectors``, of whatever generation."""
    frames: list[list[Frame]] = []
    bodies: list[bytes] = []
    for file in sorted(VECTORS.glob("*.json")):
        groups = json.loads(file.read_text(encoding="utf-8"), object_hook=_revived)
        for row in (row for group in groups.values() if isinstance(group, list) for row in group):
            if not isinstance(row, dict):
                continue
            found = row.get("frames")
            if isinstance(found, list) and all(isinstance(frame, str | bytes) for frame in found):
                frames.append(found)
                frames.append(["4" + frame if isinstance(frame, str) else frame for frame in found])
            body = row.get("body")
            if isinstance(body, str | bytes):
                bodies.append(_utf8(body) if isinstance(body, str) else body)
    return frames, bodies


def _revived(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value["$hex"]) if value.keys() == {"$hex"} else value


# ---- inputs of each target --------------------------------------------------------------------------------------


class Inputs:
    """The inputs of one target: `make` makes any of them."""

    def __init__(self, target: str, seed: int) -> None:
        self.seed = seed
        self._key = (seed << 32 | zlib.crc32(target.encode())) << 64
        self._rng = Random()
        self._maker = Maker(self._rng)
        self._frames, self._bodies = examples()
        name, _, body = target.partition("-")
        self._generation = {"engineio4": "4", "engineio3": "3", "socketio09": "0.9"}.get(name, "")
        plain: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
            "jsonp": (self._form, self._mutated_form),
            "utf16": (self._piece, self._mutated_piece),
            "codec": (self._json, self._mutated_text),
            "visit": (self._request, self._mutated_request),
            "msgpack": (self._message, self._mutated_message),
        }
        engine = (self._posted, self._mutated_body) if body else (self._fresh_frames, self._mutated_frames)
        self._valid, self._mutated = plain.get(target, engine)
        self._rng.seed(self._key)
        self._pool: list[Any] = [self._valid() for _ in range(POOL)]
        if body:
            self._pool += [Posted(each) for each in self._bodies]
        elif self._generation:
            self._pool += self._frames

    def make(self, number: int) -> Any:
        """Input ``number``."""
        self._rng.seed(self._key + number)
        maker = self._maker
        if maker.often(0.03):
            return self._valid()
        return self._mutated(maker.pick(self._pool))

    def _is_long(self) -> bool:
        return self._maker.below(LONG_ONE_IN) == 0

    def _any_text(self) -> str:
        """Some text of the right kind to splice with."""
        other = self._maker.pick(self._pool)
        if isinstance(other, str):
            return other
        return next((part for part in other if isinstance(part, str)), "")

    # Frames.

    def _fresh_frames(self) -> list[Frame]:
        return self._maker.frames(self._generation)

    def _mutated_frames(self, frames: Sequence[Frame]) -> list[Frame]:
        maker = self._maker
        frames = list(frames)
        if maker.often(0.2) or not frames:
            at = maker.below(len(frames) + 1)
            kind = maker.below(5)
            if kind == 0:
                frames[at:at] = [maker.pick(_ODD)]
            elif kind == 1:
                frames[at : at + 1] = []
            elif kind == 2:
                frames[at:at] = maker.pick(self._frames) if self._frames else self._fresh_frames()
            elif kind == 3:
                frames[at:] = [_other_kind(frame) for frame in frames[at:]]
            else:
                frames += frames[at : at + 1] * maker.pick((1, 2, 12))
        if maker.often(0.85) and frames:
            at = maker.below(len(frames))
            frame = frames[at]
            if isinstance(frame, str):
                frames[at] = maker.text(frame, self._any_text())
            else:
                frames[at] = maker.bytes(frame, b"\x04")
        if self._is_long():
            at = maker.below(len(frames) + 1)
            frame = frames[at] if at < len(frames) else "42[]"
            if maker.often(0.3):
                frames += maker.many([frame])[:5000]
            else:
                frames[at : at + 1] = [
                    maker.long(frame or "4") if isinstance(frame, str) else frame * maker.below(10**5)
                ]
        return frames

    # Bodies.

    def _posted(self) -> Posted:
        return self._wrapped(self._maker.frames(self._generation), valid=True)

    def _mutated_body(self, given: Posted) -> Posted:
        maker = self._maker
        if maker.often(0.7):
            frames = self._fresh_frames() if maker.often(0.7) or not self._frames else maker.pick(self._frames)
            if maker.often(0.5):
                frames = self._mutated_frames(frames)
            if self._is_long():
                frames = maker.many(frames)
            return self._wrapped(frames, valid=maker.often(0.4))
        body = maker.bytes(given.body, maker.pick(self._pool).body)
        if self._is_long():
            body = maker.long(body.decode("latin-1") or "4").encode("latin-1", "ignore")
        flags = maker.random()
        return Posted(body, given.script ^ (flags < 0.02), given.binary ^ (0.02 < flags < 0.04))

    def _wrapped(self, frames: Sequence[Frame], *, valid: bool) -> Posted:
        """The body that a client posts; where not ``valid``, what is in it may be mutated before that."""
        maker = self._maker
        generation = self._generation
        script = maker.often(0.25)
        if generation == "3" and not script and maker.often(0.3):
            data = binary_3(frames)
            return Posted(data if valid else maker.bytes(data, data), binary=True)
        if generation == "4":
            text = body_4(frames)
        elif generation == "3":
            text = body_3(frames, twice=maker.often(0.3))
        else:
            text = body_09(frames)
        if not valid:
            text = maker.text(text, text)
            if self._is_long():
                text = maker.long(text or "4")
        if not script:
            return Posted(_utf8(text))
        if generation != "0.9":
            text = form_of_eio(text)
        else:
            text = json.dumps(text, ensure_ascii=maker.often(0.7))
            if not valid and maker.often(0.3):
                text = maker.text(text, text)
        return Posted(urlencode({"d": _utf8(text)}).encode(), script=True)

    # Forms.

    def _form(self) -> tuple[bytes, str]:
        maker = self._maker
        text = maker.pick(("42[]", "a\nb", "\\n", "\\\\n", "\\\n", "é😀", "\u2028", '"', "1:2", "a+b&c=d%"))
        text += maker.pick(("", "\\", "\n", "n", text))
        return urlencode({"d": form_of_eio(text)}).encode(), text

    def _mutated_form(self, given: tuple[bytes, str]) -> tuple[bytes, str]:
        body, text = given
        maker = self._maker
        if maker.often(0.7):
            body = maker.bytes(body, maker.pick(self._pool)[0])
        text = maker.text(text, maker.pick(SIGNS))
        if maker.often(0.3):
            body = b"d=" + quote(_utf8(text), safe=maker.pick(("", "/", "=&", "\\\n"))).encode()
        if self._is_long():
            body = maker.long(body.decode("latin-1") or "&").encode("latin-1", "ignore")
            text = maker.long(text or "\\n")
        return body, text

    # Pieces of text.

    def _piece(self) -> tuple[str, int, int]:
        maker = self._maker
        text = "".join(maker.pick(_STRINGS) for _ in range(maker.below(5)))
        count = _units(text)
        end = maker.pick(":\ufffd")
        return f"{count}{end}{text}", maker.pick((0, len(str(count)) + 1)), count

    def _mutated_piece(self, given: tuple[str, int, int]) -> tuple[str, int, int]:
        text, start, count = given
        maker = self._maker
        text = maker.text(text, "\U0001f600")
        if self._is_long():
            text = maker.long(text or "\U0001f600")
        count = maker.pick((count, count, count + 1, count - 1, maker.below(len(text) + 2), 999_999_999))
        return text, max(0, maker.pick((start, start, start + 1, maker.below(len(text) + 2)))), max(0, count)

    # JSON.

    def _json(self) -> str:
        return self._maker.json(self._maker.value(5))

    def _mutated_text(self, text: str) -> str:
        maker = self._maker
        text = maker.text(text, self._any_text())
        return maker.long(text or "[") if self._is_long() else text

    # Requests.

    def _message(self) -> bytes:
        """A packet of MessagePack, nearly as a client would send it."""
        maker = self._maker
        values = [self._packable(maker.value()) for _ in range(maker.below(4))]
        packet: dict[str, Any] = {
            "type": maker.pick((2, 2, 2, 3, 0)) if maker.often(0.9) else maker.pick((1, 4, 5, "2", 2.0, None)),
            "data": ["x", *values] if maker.often(0.8) else maker.pick((values, {"message": "x"}, None, "x", [1])),
            "nsp": maker.pick(("/", "/chat", "/é")) if maker.often(0.9) else maker.pick(("", "chat", None)),
        }
        if packet["type"] == 0:
            packet["data"] = {"a": values}
        if packet["type"] == 3 or maker.often(0.3):
            packet["id"] = maker.pick((0, 70, 10**15)) if maker.often(0.9) else maker.pick((10**16, -1, "1", 1.0))
        if packet["type"] == 1:
            del packet["data"]
        return bytes(msgpack.packb(packet))

    def _packable(self, value: Any) -> Any:
        """``value`` without what MessagePack has no form for, and with what JSON has none for."""
        maker = self._maker
        if isinstance(value, str):
            return value.encode(errors="replace").decode() if maker.often(0.8) else value.encode(errors="replace")
        if isinstance(value, int):
            return value if -(2**63) <= value < 2**64 else 1.5
        if isinstance(value, list):
            return [self._packable(item) for item in value]
        if isinstance(value, dict):
            return {str(key): self._packable(item) for key, item in value.items()}
        return (
            value if maker.often(0.95) else maker.pick((msgpack.ExtType(0, b"x"), float("nan"), msgpack.Timestamp(1)))
        )

    def _mutated_message(self, given: bytes) -> bytes:
        maker = self._maker
        if self._is_long():
            return maker.pick((b"\x91", b"\xdd\x7f\xff\xff\xff", b"\x81\xa0", given)) * maker.below(10**5)
        if maker.often(0.5):
            return self._message()
        for _ in range(maker.pick((1, 1, 2))):
            given = maker.bytes(given, maker.pick(self._pool))
        return given

    def _request(self) -> Request:
        maker = self._maker
        kind, method = maker.pick((("http", "GET"), ("http", "GET"), ("http", "POST"), ("websocket", "GET")))
        root = maker.pick(("", "", "", "/socket.io", "/app", "/a/b"))
        sid = maker.pick(("", "", "abc", "a-_", "é"))
        other = maker.pick(("", "token=a%20b", "t=abc.0", "x=1&x=2", "%ff=%00", "&&", "a", "=b"))
        if maker.often(0.5):
            transport = maker.pick(("websocket", "xhr-polling", "jsonp-polling", "htmlfile"))
            below = f"/1/{transport}/{sid}{maker.pick(('', '/'))}" if sid else maker.pick(("/1/", "/1"))
            fields = [maker.pick(("t=1", "i=0", "i=12", "jsonp=3", "jsonp=x", "disconnect=1")), other]
        else:
            below = "/"
            transport = "websocket" if kind == "websocket" else "polling"
            fields = [f"EIO={maker.pick('3344425')}", f"transport={transport}", other]
            fields += [f"sid={quote(sid)}"] if sid else []
            fields += (
                [maker.pick(("b64=1", "b64=true", "j=0", "j=x", "j=٣", "j=" + "9" * 10))] if maker.often(0.4) else []
            )
        path = (below if root == "/socket.io" and maker.often(0.5) else "/socket.io" + below) or "/"
        path = root + path if maker.often(0.5) else path
        return Request(kind, method, root, path, "&".join(filter(None, fields)).encode())

    def _mutated_request(self, given: Request) -> Request:
        maker = self._maker
        path, query = given.path, given.query
        if maker.often(0.3):
            path = maker.mutated(
                path, ("/", "//", "/1/", "/1", "websocket", "xhr-polling", "/socket.io", "é"), "/1a.", path
            )
            if self._is_long():
                path = maker.long(path or "/")
        if maker.often(0.8):
            query = maker.bytes(query, maker.pick(self._pool).query)
            if self._is_long():
                query = maker.long(query.decode("latin-1") or "&").encode("latin-1", "ignore")
        return given._replace(path=path, query=query)


def _other_kind(frame: Frame) -> Frame:
    return _utf8(frame) if isinstance(frame, str) else frame.decode("latin-1")
