"""Websocket frames as bytes (RFC 6455): a client's, right or wrong, and a server's.

`masked` and `split` are written for speed: a load generator must not be slower than what it measures.
"""

from __future__ import annotations

from websockets.utils import apply_mask

__all__ = ["BINARY", "CLOSE", "CONT", "KEY", "PING", "PONG", "SHORT", "TEXT"]
__all__ += ["bounds", "close_payload", "encode_frame", "masked", "messages", "server_frame", "split"]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"  # the example of RFC 6455, 5.7
MASK = b"\x12\x34\x56\x78"
SHORT = 125
"""The largest payload whose length fits a header of two bytes."""


def encode_frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    key: bytes | None = KEY,
    form: int = 0,
    claimed: int | None = None,
) -> bytes:
    """One frame, also one that breaks the rules.

    ``form``: 126 or 127 for a longer form of the length; ``claimed``: the length it pretends to have; ``key``: the
    mask, None for a frame without one.
    """
    if isinstance(payload, str):
        payload = payload.encode()
    length = len(payload) if claimed is None else claimed
    form = max(form, 0 if length <= SHORT else 126 if length < 65_536 else 127)
    bit = 0x80 if key is not None else 0
    head = bytes((fin << 7 | reserved << 4 | opcode, bit | (form or length)))
    if form:
        head += length.to_bytes(2 if form == 126 else 8)
    return head + payload if key is None else head + key + apply_mask(payload, key)


def server_frame(payload: bytes | str) -> bytes:
    """A message of a server."""
    return encode_frame(TEXT if isinstance(payload, str) else BINARY, payload, key=None)


def close_payload(code: int, reason: bytes | str = b"") -> bytes:
    """What a close frame carries."""
    return code.to_bytes(2) + (reason.encode() if isinstance(reason, str) else reason)


def masked(payload: bytes | str, opcode: int = TEXT) -> bytes:
    """A client's frame."""
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data)
    if size <= SHORT:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = (MASK * (size // 4 + 1))[:size]
    covered = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
    return head + MASK + covered.to_bytes(size, "big")


def messages(*payloads: bytes | str) -> bytes:
    """A client's messages: text, or bytes."""
    return b"".join(masked(payload, TEXT if isinstance(payload, str) else BINARY) for payload in payloads)


def bounds(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the server's frame at ``at`` begins and ends; None: its header is not all there."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1], at + 2
    if size > SHORT:
        wide = 2 if size == 126 else 8
        if len(data) < start + wide:
            return None
        size, start = int.from_bytes(data[start : start + wide], "big"), start + wide
    return start, start + size


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The server's whole frames in ``data`` (opcode, payload), and what is left."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while place := bounds(data, at):
        start, end = place
        if end > len(data):
            break
        found.append((data[at] & 15, data[start:end]))
        at = end
    return found, data[at:]
