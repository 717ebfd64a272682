"""A reader of MessagePack: the values of one message, as strict as the JSON codecs.

Written here, because the C reader of the package ``msgpack`` makes room for as many items as a message claims to have,
interns each key of a map (from Python 3.12 on such texts are kept for ever), and cannot tell an ext of one byte from
the ``undefined`` of JavaScript. This one makes nothing before it has been read. Source: the MessagePack specification,
and npm notepack.io 2.2.0 for its ext type 0.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error
from typing import Any

from asocketio.errors import MalformedPacket, PayloadTooLarge
from asocketio.protocol.json_codec import MAX_DEPTH

__all__ = ["read", "read_of_server"]

_LONGEST_DAY = 100_000_000
"""Days before and after 1970 that JavaScript counts."""
_DAY = 86_400_000  # ms


Scalars = dict[int, Callable[[bytes, int], tuple[Any, int]]]


def read(
    data: bytes,
    max_binaries: float = float("inf"),
    max_binary_bytes: float = float("inf"),
    max_depth: int = MAX_DEPTH,
    scalars: Scalars | None = None,
) -> Any:
    """The one value in ``data``.

    Text is str, binary is bytes, a map is a dict whose keys are text. Of ext types only 0 is read, which is how the
    JavaScript clients write ``undefined`` (None), an ``ArrayBuffer`` (bytes) and a ``Date`` (the text that it is in
    JSON). Every other one, the timestamps of MessagePack too, would be a type that no program here asked for.
    ``scalars`` are other readers of what is no container, by its first byte.

    Raises:
        MalformedPacket: it is not MessagePack, is nested deeper than ``max_depth``, or holds what JSON has no form for:
            NaN, Infinity, a key that is no text; or there are over ``max_binaries`` binary values.
        PayloadTooLarge: the binary values are over ``max_binary_bytes`` together.
    """
    try:
        value, end = _read(data, max_binaries, max_binary_bytes, max_depth, scalars or _SCALARS)
    except (IndexError, error):
        raise MalformedPacket(f"MessagePack that is cut off: {data[:20]!r}") from None
    except UnicodeDecodeError as wrong:
        raise MalformedPacket(f"MessagePack with text that is not UTF-8 ({wrong.reason}): {data[:20]!r}") from None
    if end > len(data):
        raise MalformedPacket(f"MessagePack that is cut off: {data[:20]!r}")
    if end < len(data):
        raise MalformedPacket(f"MessagePack with {len(data) - end} bytes behind its end: {data[:20]!r}")
    return value


def read_of_server(data: bytes, max_depth: int) -> Any:
    """As `read`, what another server has written for servers, with any number of binary values.

    Besides, as clients would have it in JSON: a timestamp of MessagePack (ext type -1) is the text of its date, NaN and
    Infinity are None.
    """
    return read(data, max_depth=max_depth, scalars=_OF_SERVERS)


def _read(
    data: bytes, max_binaries: float, max_binary_bytes: float, max_depth: int, scalars: Scalars
) -> tuple[Any, int]:
    """The value, and where it ends. A loop, not a recursion: ``left`` items of the innermost container are to come."""
    at, left, keyed = 0, 1, False
    items: list[Any] = []
    outer: list[tuple[list[Any], int, bool]] = []
    binaries = binary_bytes = 0
    while True:
        while left:
            left -= 1
            byte = data[at]
            if byte < 0x80:
                items.append(byte)
                at += 1
            elif 0xA0 <= byte < 0xC0:
                end = at + byte - 0x9F
                items.append(data[at + 1 : end].decode())
                at = end
            elif (byte < 0xA0 and byte & 15) or 0xDC <= byte < 0xE0:
                if len(outer) == max_depth:
                    raise MalformedPacket(f"MessagePack nested deeper than {max_depth}")
                outer.append((items, left, keyed))
                keyed = byte in _MAPS
                at, left = (at + 1, byte & 15) if byte < 0xA0 else _counted(data, at, byte)
                left <<= keyed
                items = []
            else:
                value, at = scalars[byte](data, at)
                items.append(value)
                if type(value) is bytes:
                    binaries += 1
                    binary_bytes += len(value)
                    if binaries > max_binaries or binary_bytes > max_binary_bytes:
                        _refuse_binary(max_binaries, max_binary_bytes, binaries)
        if not outer:
            return items[0], at
        done = _as_dict(items) if keyed else items
        items, left, keyed = outer.pop()
        items.append(done)


def _refuse_binary(max_binaries: float, max_binary_bytes: float, binaries: int) -> None:
    if binaries > max_binaries:
        raise MalformedPacket(f"over {max_binaries} binary values in one packet (max_attachments)", "max_attachments")
    raise PayloadTooLarge(
        f"binary values of over {max_binary_bytes} bytes in one packet (max_attachment_bytes)", "max_attachment_bytes"
    )


_ONLY_TEXT = {str}


def _as_dict(items: list[Any]) -> dict[str, Any]:
    each = iter(items)
    found: dict[Any, Any] = {}
    try:
        found = dict(zip(each, each, strict=True))
        only_text = {*map(type, found)} == _ONLY_TEXT
    except TypeError:  # a key that is a container
        only_text = False
    if not only_text and items:
        raise MalformedPacket("MessagePack with a map whose keys are not all text")
    return found


# ---- what each first byte begins ----------------------------------------------------------------------------------


def _number(layout: str) -> Callable[[bytes, int], tuple[Any, int]]:
    struct = Struct(f">{layout}")
    unpack, size = struct.unpack_from, 1 + struct.size

    def whole(data: bytes, at: int) -> tuple[Any, int]:
        return unpack(data, at + 1)[0], at + size

    def real(data: bytes, at: int) -> tuple[Any, int]:
        value = unpack(data, at + 1)[0]
        if value - value:  # of NaN and Infinity it is NaN
            raise MalformedPacket(f"MessagePack with the number {value}, which JSON does not have")
        return value, at + size

    return real if layout in "fd" else whole


def _sized(digits: int, head: int = 0) -> Callable[[bytes, int], tuple[bytes, int]]:
    """What is behind a length of ``digits`` bytes; ``head`` bytes between the two do not count."""
    before = 1 + digits

    def sized(data: bytes, at: int) -> tuple[bytes, int]:
        begin = at + before + head
        end = begin + int.from_bytes(data[at + 1 : at + before])
        return data[begin:end], end

    return sized


def _text(digits: int) -> Callable[[bytes, int], tuple[str, int]]:
    sized = _sized(digits)

    def text(data: bytes, at: int) -> tuple[str, int]:
        content, end = sized(data, at)
        return content.decode(), end

    return text


def _array_buffer(digits: int) -> Callable[[bytes, int], tuple[bytes, int]]:
    sized = _sized(digits, head=1)

    def array_buffer(data: bytes, at: int) -> tuple[bytes, int]:
        _check_ext(data[at + 1 + digits])
        return sized(data, at)

    return array_buffer


def _undefined(data: bytes, at: int) -> tuple[None, int]:
    _check_ext(data[at + 1])
    return None, at + 3


def _date(data: bytes, at: int) -> tuple[str, int]:
    _check_ext(data[at + 1])
    return _iso(_MILLISECONDS.unpack_from(data, at + 2)[0]), at + 10


def _check_ext(kind: int) -> None:
    if kind:
        raise MalformedPacket(f"MessagePack with the ext type {kind - 256 * (kind > 127)}, which is no value of JSON")


def _refused(data: bytes, at: int) -> tuple[Any, int]:
    raise MalformedPacket(f"MessagePack with the byte {data[at]:#x}, which begins no value of JSON")


_MILLISECONDS = Struct(">q")
_CONSTANTS = dict(zip(b"\xc0\xc2\xc3", (None, False, True), strict=True))


def _iso(milliseconds: int) -> str:
    """A ``Date`` of JavaScript, in milliseconds since 1970, as its ``toJSON`` writes it."""
    days, rest = divmod(milliseconds, _DAY)
    if abs(milliseconds) > _LONGEST_DAY * _DAY:
        raise MalformedPacket("MessagePack with a date that JavaScript does not have")
    # Eras of 400 years that begin on the first of March: the leap day is the last of its year.
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    date = day - (153 * month + 2) // 5 + 1
    month, year = (month + 3, year) if month < 10 else (month - 9, year + 1)
    year += 400 * era
    years = f"{year:04}" if 0 <= year < 10_000 else f"{year:+07}"
    minutes, rest = divmod(rest, 60_000)
    clock = f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
    return f"{years}-{month:02}-{date:02}T{clock}Z"


def _constant(value: Any) -> Callable[[bytes, int], tuple[Any, int]]:
    return lambda data, at: (value, at + 1)


def _empty(kind: Callable[[], Any]) -> Callable[[bytes, int], tuple[Any, int]]:
    return lambda data, at: (kind(), at + 1)


_SCALARS: Scalars = {
    **{byte: _constant(value) for byte, value in _CONSTANTS.items()},
    **{byte: _constant(byte - 256) for byte in range(0xE0, 0x100)},
    **{0xC4 + power: _sized(1 << power) for power in range(3)},
    **{0xC7 + power: _array_buffer(1 << power) for power in range(3)},
    **{0xCA + index: _number(layout) for index, layout in enumerate("fdBHIQbhiq")},
    **{0xD9 + power: _text(1 << power) for power in range(3)},
    0x80: _empty(dict),
    0x90: _empty(list),
    0xD4: _undefined,
    0xD7: _date,
    **dict.fromkeys((0xC1, 0xD5, 0xD6, 0xD8), _refused),
}


def _any_real(layout: str) -> Callable[[bytes, int], tuple[Any, int]]:
    struct = Struct(f">{layout}")
    unpack, size = struct.unpack_from, 1 + struct.size

    def any_real(data: bytes, at: int) -> tuple[Any, int]:
        value = unpack(data, at + 1)[0]
        return (None if value - value else value), at + size

    return any_real


def _timestamp(
    size: int, otherwise: Callable[[bytes, int], tuple[Any, int]]
) -> Callable[[bytes, int], tuple[Any, int]]:
    """A timestamp in ``size`` bytes; ``otherwise`` reads what has another ext type (the specification, "Timestamp")."""
    kind = 2 if size == 12 else 1  # behind the first byte, or behind a length

    def timestamp(data: bytes, at: int) -> tuple[Any, int]:
        if data[at + kind] != 0xFF or (size == 12 and data[at + 1] != 12):
            return otherwise(data, at)
        begin, end = at + kind + 1, at + kind + 1 + size
        if size == 12:
            nanoseconds, seconds = _NANOSECONDS.unpack_from(data, begin)
        else:
            number = int.from_bytes(_exactly(data, begin, end))
            nanoseconds, seconds = divmod(number, 1 << 34) if size == 8 else (0, number)
        if nanoseconds > 999_999_999:
            raise MalformedPacket("MessagePack with a date of over a second's nanoseconds")
        return _iso(seconds * 1000 + nanoseconds // 1_000_000), end

    return timestamp


def _exactly(data: bytes, begin: int, end: int) -> bytes:
    found = data[begin:end]
    if len(found) < end - begin:
        raise IndexError
    return found


_NANOSECONDS = Struct(">Iq")
_OF_SERVERS: Scalars = {
    **_SCALARS,
    0xC7: _timestamp(12, _SCALARS[0xC7]),
    0xCA: _any_real("f"),
    0xCB: _any_real("d"),
    0xD6: _timestamp(4, _SCALARS[0xD6]),
    0xD7: _timestamp(8, _SCALARS[0xD7]),
}


_MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
"""The first bytes of containers that hold keys and values."""


def _counted(data: bytes, at: int, byte: int) -> tuple[int, int]:
    """Where the items of a large container begin, and how many there are."""
    end = at + (5 if byte & 1 else 3)
    return end, int.from_bytes(data[at + 1 : end])
