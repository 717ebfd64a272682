"""The bytes of a client, made as cheaply as Python can: a generator must not be slower than what it measures."""

from __future__ import annotations

import re

__all__ = ["BINARY", "Counter", "body_of", "masked", "split"]

TEXT, BINARY = 1, 2
ANSWERS = (b"42", b"43")
"""How the text of an event or an ack begins."""
MASK = b"\x12\x34\x56\x78"
SHORT = 125
"""The largest payload whose length fits a header of two bytes."""

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


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


def _bounds(data: bytes, at: int) -> tuple[int, int] | None:
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
    while bounds := _bounds(data, at):
        start, end = bounds
        if end > len(data):
            break
        found.append((data[at] & 15, data[start:end]))
        at = end
    return found, data[at:]


class Counter:
    """Counts the answers in a server's stream.

    Nearly every chunk is a whole number of equal answers, and nothing more is looked at then. The first answer, pings
    and torn chunks take the long way.
    """

    __slots__ = ("_expected", "_head", "_rest", "_skip", "control", "opcode")

    def __init__(self, opcode: int = TEXT) -> None:
        self.opcode = opcode
        """The frames that count: in a binary answer those of the attachments."""
        self.control: list[tuple[int, bytes]] = []
        """Frames that are no answers: the owner takes them out."""
        self._expected = 1 << 62  # an answer's bytes: more than any chunk has, until one is known
        self._head = b""
        self._rest = b""
        self._skip = 0

    def push(self, data: bytes) -> int:
        """How many answers ``data`` completes."""
        if not self._rest and not self._skip:
            count, over = divmod(len(data), self._expected)
            if not over and data.startswith(self._head):
                return count
        return self._walk(data)

    def learn(self, answer: bytes) -> None:
        """All answers look like this one from now on."""
        self._expected = len(answer)
        self._head = answer[:4]

    def _walk(self, data: bytes) -> int:
        if self._skip:
            if len(data) < self._skip:
                self._skip -= len(data)
                return 0
            data, self._skip = data[self._skip :], 0
            return 1 + self.push(data) if data else 1
        found, rest = split(self._rest + data)
        count = 0
        for opcode, payload in found:
            if opcode == self.opcode and (opcode == BINARY or payload.startswith(ANSWERS)):
                count += 1
            elif opcode != TEXT or not payload.startswith(b"46"):  # the text in front of attachments
                self.control.append((opcode, payload))
        self._rest = self._skipped(rest)
        return count

    def _skipped(self, rest: bytes) -> bytes:
        """What to keep of a torn frame: nothing of a large one, which is only counted down."""
        bounds = _bounds(rest, 0)
        if bounds is None or bounds[1] - bounds[0] <= SHORT or rest[0] & 15 != self.opcode:
            return rest
        self._skip = bounds[1] - len(rest)
        return b""


def body_of(data: bytes) -> bytes | None:
    """The body of an HTTP response that is all there; None: wait for more.

    Raises:
        ValueError: it is not a 200, or has no end.
    """
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"the server answered {data[:200]!r}")
    length = _LENGTH.search(head)
    if length:
        return body if len(body) >= int(length[1]) else None
    if b"chunked" not in head:
        raise ValueError(f"a response without a length: {head!r}")
    return _joined(body) if body.endswith(b"0\r\n\r\n") else None


def _joined(body: bytes) -> bytes:
    parts: list[bytes] = []
    while body:
        size, _, body = body.partition(b"\r\n")
        parts.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return b"".join(parts)
