"""Frames as a client spells them, right or wrong, and two readers of them: ours, and the one it is measured by."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.utils import apply_mask as masked

from asocketio.protocol.websocket_frames import CONTINUATION, Frames, WebSocketError

__all__ = ["BINARY", "CLOSE", "CONT", "KEY", "PING", "PONG", "TEXT", "Ours", "Theirs"]
__all__ += ["close_payload", "cut", "heard", "spell"]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"  # the example of RFC 6455, 5.7
INVALID = 1007

_silent = logging.getLogger("tests.lane.silent")
_silent.propagate = False
_silent.disabled = True
_silent.setLevel(logging.CRITICAL)

Said = tuple[int, str | bytes]
"""Opcode and payload: text as str."""


def spell(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    key: bytes | None = KEY,
    form: int = 0,
    claimed: int | None = None,
) -> bytes:
    """One frame. ``form``: 126 or 127 for a longer form of the length; ``claimed``: the length it pretends to have."""
    if isinstance(payload, str):
        payload = payload.encode()
    length = len(payload) if claimed is None else claimed
    form = max(form, 0 if length < 126 else 126 if length < 65_536 else 127)
    bit = 0x80 if key is not None else 0
    head = bytes((fin << 7 | reserved << 4 | opcode, bit | (form or length)))
    if form:
        head += length.to_bytes(2 if form == 126 else 8)
    return head + payload if key is None else head + key + masked(payload, key)


def close_payload(code: int, reason: bytes | str = b"") -> bytes:
    """What a close frame carries."""
    return code.to_bytes(2) + (reason.encode() if isinstance(reason, str) else reason)


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
