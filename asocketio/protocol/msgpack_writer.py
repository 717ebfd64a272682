"""A writer of MessagePack: one value as JavaScript's notepack.io writes it, for other servers.

It takes what JSON takes, and binary values, and has the same mistakes of programs as `asocketio.protocol.json_codec`.
Source: the MessagePack specification, and npm notepack.io 3.0.1.
"""

from __future__ import annotations

import json
from struct import pack
from typing import Any

from asocketio.errors import UsageError
from asocketio.protocol.json_codec import Binary
from asocketio.protocol.utf16 import well_formed

__all__ = ["write"]

_LEAVES: dict[Any, bytes] = {None: b"\xc0", False: b"\xc2", True: b"\xc3"}


def write(value: Any, max_depth: int) -> bytes:
    """``value`` in MessagePack.

    NaN and Infinity are written as nil, half a surrogate pair as U+FFFD, and a key of a dict as JSON writes it.

    Raises:
        UsageError: something in it has no form, is an int of over 64 bits, or is nested deeper than ``max_depth``.
    """
    parts: list[bytes] = []
    _write(value, parts, max_depth)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes], depth: int) -> None:
    if isinstance(value, str):
        data = well_formed(value).encode()
        parts += (_sized(len(data), 0xA0, 31, 0xD9), data)
    elif value is None or isinstance(value, bool):
        parts.append(_LEAVES[value])
    elif isinstance(value, int):
        parts.append(_whole(value))
    elif isinstance(value, float):
        parts.append(b"\xc0" if value - value else pack(">Bd", 0xCB, value))
    elif isinstance(value, Binary):
        data = bytes(value)
        parts += (_sized(len(data), 0, -1, 0xC4), data)
    elif isinstance(value, list | tuple | dict):
        if depth < 1:
            raise _refusal("nested too deeply")
        if isinstance(value, dict):
            parts.append(_counted(len(value), 0x80, 0xDE))
            for key, item in value.items():
                _write(_key(key), parts, depth - 1)
                _write(item, parts, depth - 1)
        else:
            parts.append(_counted(len(value), 0x90, 0xDC))
            for item in value:
                _write(item, parts, depth - 1)
    elif hasattr(value, "__await__"):
        raise _refusal(f"{type(value).__qualname__}: an await is missing")
    else:
        name = type(value).__qualname__
        raise _refusal(f"{name} is no str, number, bool, None, bytes, list or dict; convert it first")


def _whole(value: int) -> bytes:
    if 0 <= value < 0x80:
        return bytes((value,))
    if -32 <= value < 0:
        return bytes((256 + value,))
    for power in range(4):
        bits = 8 << power
        if 0 <= value < 1 << bits:
            return bytes((0xCC + power,)) + value.to_bytes(bits >> 3)
        if value < 0 and value >= -(1 << bits - 1):
            return bytes((0xD0 + power,)) + value.to_bytes(bits >> 3, signed=True)
    raise _refusal("an int of over 64 bits; send it as text, or as a float")


def _sized(size: int, short: int, most: int, first: int) -> bytes:
    """What stands before ``size`` bytes: in one byte up to ``most``, else ``first`` or the next, and the length."""
    if size <= most:
        return bytes((short | size,))
    for power in range(3):
        if size < 1 << (8 << power):
            return bytes((first + power,)) + size.to_bytes(1 << power)
    raise _refusal("text or bytes of over 4 GB")


def _counted(count: int, short: int, first: int) -> bytes:
    if count < 16:
        return bytes((short | count,))
    return bytes((first,)) + count.to_bytes(2) if count < 1 << 16 else bytes((first + 1,)) + count.to_bytes(4)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool | int | float):
        try:
            [text] = json.loads(json.dumps({key: 0}, allow_nan=False))  # as JSON has it
        except ValueError:
            raise _refusal(f"a key of a dict is {key!r}") from None
        return str(text)
    raise _refusal(f"a key of a dict is {key!r:.40}; it must be str, int, float, bool or None")


def _refusal(why: str) -> UsageError:
    return UsageError(f"cannot be sent as MessagePack: {why}")
