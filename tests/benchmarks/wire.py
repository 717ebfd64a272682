"""What a server sends, counted as cheaply as Python can: a generator must not be slower than what it measures.

Apart from `tests.clients.http` for its speed: it looks at nothing that a load does not need.
"""

from __future__ import annotations

import re

from tests.clients.frames import BINARY, SHORT, TEXT, bounds, split

__all__ = ["Counter", "body_of"]

ANSWERS = (b"42", b"43")
"""How the text of an event or an ack begins."""

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


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
        place = bounds(rest, 0)
        if place is None or place[1] - place[0] <= SHORT or rest[0] & 15 != self.opcode:
            return rest
        self._skip = place[1] - len(rest)
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
