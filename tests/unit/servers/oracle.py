"""Two readers of a client's websocket frames: ours, and the one it is measured by."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from asocketio.protocol.websocket_frames import CONTINUATION, Frames, WebSocketError
from tests.clients.frames import CLOSE, CONT, TEXT

__all__ = ["Ours", "Theirs", "cut", "heard"]

INVALID = 1007

_silent = logging.getLogger("tests.lane.silent")
_silent.propagate = False
_silent.disabled = True
_silent.setLevel(logging.CRITICAL)

Said = tuple[int, str | bytes]
"""Opcode and payload: text as str."""


def cut(data: bytes, size: int) -> list[bytes]:
    """``data`` in chunks of ``size`` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


class Ours:
    """`Frames`, and what it has said so far."""

    def __init__(self, limit: int) -> None:
        self.said: list[Said] = []
        self.code: int | None = None
        """The code with which it refused the rest."""
        self.closed = False
        self._frames = Frames(limit)

    def feed(self, data: bytes) -> None:
        """A chunk has come."""
        if self.closed:
            return
        self._frames.push(data)
        try:
            while (found := self._frames.next()) is not None:
                opcode, payload = found
                if opcode == CONTINUATION:
                    continue
                assert type(payload) is (str if opcode == TEXT else bytes), found
                self.said.append(found)
                if opcode == CLOSE:
                    self.closed = True
                    return
        except WebSocketError as error:
            self.code, self.closed = error.code, True


class Theirs:
    """The sans-I/O protocol of ``websockets``; it leaves the joining of fragments, and UTF-8, to its user: to us."""

    def __init__(self, limit: int) -> None:
        self.said: list[Said] = []
        self.code: int | None = None
        self.closed = False
        self._protocol = ServerProtocol(state=OPEN, max_size=limit, logger=_silent)
        self._kind = 0
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """A chunk has come."""
        if self.closed:
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            self._take(event)
            if self.closed:
                return
        if self._protocol.parser_exc is not None:
            assert self._protocol.close_sent is not None
            self.code, self.closed = int(self._protocol.close_sent.code), True

    def _take(self, frame: Frame) -> None:
        opcode, payload = int(frame.opcode), bytes(frame.data)
        if opcode >= CLOSE:
            self.said.append((opcode, payload))
            self.closed = opcode == CLOSE
            return
        if opcode != CONT:
            self._kind = opcode
        self._parts.append(payload)
        if not frame.fin:
            return
        whole = b"".join(self._parts)
        self._parts.clear()
        try:
            self.said.append((self._kind, whole.decode() if self._kind == TEXT else whole))
        except UnicodeDecodeError:
            self.code, self.closed = INVALID, True


def heard(*chunks: bytes, limit: int = 1 << 20) -> tuple[Sequence[Said], int | None]:
    """What `Frames` says to these chunks, and with which code it refuses the rest; the oracle must agree."""
    ours, theirs = Ours(limit), Theirs(limit)
    for said in _both(ours, theirs, chunks):
        assert said, f"after {chunks!r} with limit {limit}: {_of(ours)} is not {_of(theirs)}"
    return ours.said, ours.code


def _both(ours: Ours, theirs: Theirs, chunks: Iterable[bytes]) -> Iterable[bool]:
    for chunk in chunks:
        ours.feed(chunk)
        theirs.feed(chunk)
        yield (ours.code, ours.closed, ours.said) == (theirs.code, theirs.closed, theirs.said)


def _of(reader: Ours | Theirs) -> str:
    return f"{reader.said!r:.2000} and code {reader.code}"
