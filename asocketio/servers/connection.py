"""Connection: one websocket over a transport of asyncio's. Bytes become frames, and back.

It has no task and knows no session: what it carries is its owner's business (`ConnectionOwner`).
"""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable
from enum import Enum

from asocketio.protocol.base import Frame
from asocketio.protocol.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NORMAL_CLOSURE,
    PING,
    PONG,
    TOO_BIG,
    Frames,
    WebSocketError,
    frame,
)
from asocketio.runtime.log import log
from asocketio.runtime.states import moved
from asocketio.session.close_reasons import TRANSPORT_CLOSE, reason_of_close_code
from asocketio.transports.posts import SLICE

__all__ = ["NORMAL", "Closing", "Connection", "ConnectionOwner", "Reading", "Writing"]

CLOSE_TIMEOUT = 5.0
"""Seconds for the peer to read what is left and to answer a close; then the connection is aborted."""

NORMAL = NORMAL_CLOSURE.to_bytes(2)
"""What a close frame carries when nothing is wrong."""


class Reading(Enum):
    """What happens to the bytes of the peer."""

    NEW = "new"  # kept: nobody is there to take what comes
    HELD = "held"  # not read until what is here has been handled, in a later turn of the loop
    OPEN = "open"
    PAUSED = "paused"  # not read: who takes the frames has enough for now
    DISCARDING = "discarding"  # the peer has closed, or broken the protocol: nothing counts any more


class Closing(Enum):
    """How far the end has come."""

    OPEN = "open"
    DRAINING = "draining"  # what is queued goes out first
    CLOSE_SENT = "close sent"
    LOST = "lost"


class Writing(Enum):
    """Whether anything but control frames may be written."""

    OPEN = "open"
    PAUSED = "paused"  # the transport's buffer is full
    CLOSED = "closed"


_READING: dict[Reading, frozenset[Reading]] = {
    Reading.NEW: frozenset({Reading.HELD, Reading.OPEN, Reading.PAUSED, Reading.DISCARDING}),
    Reading.HELD: frozenset({Reading.HELD, Reading.OPEN, Reading.PAUSED, Reading.DISCARDING}),
    Reading.OPEN: frozenset({Reading.HELD, Reading.PAUSED, Reading.DISCARDING}),
    Reading.PAUSED: frozenset({Reading.HELD, Reading.DISCARDING}),
    Reading.DISCARDING: frozenset({Reading.DISCARDING}),
}
_CLOSING: dict[Closing, frozenset[Closing]] = {
    Closing.OPEN: frozenset({Closing.DRAINING, Closing.CLOSE_SENT, Closing.LOST}),
    Closing.DRAINING: frozenset({Closing.CLOSE_SENT, Closing.LOST}),
    Closing.CLOSE_SENT: frozenset({Closing.LOST}),
    Closing.LOST: frozenset(),
}
_WRITING: dict[Writing, frozenset[Writing]] = {
    Writing.OPEN: frozenset({Writing.PAUSED, Writing.CLOSED}),
    Writing.PAUSED: frozenset({Writing.OPEN, Writing.CLOSED}),
    Writing.CLOSED: frozenset(),
}
# For the hot path: looking a member up in its enum takes 75 ns on Python 3.11.
_READ_OPEN, _DISCARDING = Reading.OPEN, Reading.DISCARDING


class ConnectionOwner(typing.Protocol):
    """What a connection carries."""

    def flush(self) -> None:
        """Write what is queued: there is room again, or a close frame follows."""

    def on_paused(self) -> None:
        """A frame was one too many: call `Connection.resume` when there is room."""

    def on_refused(self, error: WebSocketError) -> None:
        """The peer broke the protocol of websockets."""

    def on_closed(self, reason: str) -> None:
        """The peer has gone, or is as good as gone."""

    def on_lost(self) -> None:
        """Nothing is left of the connection."""

    def on_shutdown(self) -> bool:
        """The server ends. False: not yet, its turn comes."""
        ...


class Connection(asyncio.Protocol):
    """One websocket. ``accept_response`` is the HTTP response that accepts it: it goes out with the first frame.

    ``early`` is what the peer has sent already; ``lost`` is called at its end.
    """

    __slots__ = (
        "__weakref__",
        "_accept_response",
        "_close_code",
        "_deadline",
        "_frames",
        "_next_read",
        "_on_lost",
        "_take",
        "closing",
        "owner",
        "reading",
        "transport",
        "writing",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        limit: int,
        accept_response: bytes = b"",
        early: bytes = b"",
        lost: Callable[[Exception | None], None] | None = None,
    ) -> None:
        self.transport = transport
        self.owner: ConnectionOwner | None = None
        self.reading = Reading.NEW
        self.closing = Closing.OPEN
        self.writing = Writing.OPEN
        self._close_code = NORMAL_CLOSURE
        self._frames = Frames(limit)
        self._accept_response = accept_response
        self._on_lost = lost
        self._take: Callable[[Frame], bool] = _drop
        self._next_read: asyncio.Handle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        if early:
            self._frames.push(early)

    # In.

    def data_received(self, data: bytes) -> None:
        reading = self.reading
        if reading is _DISCARDING:
            return
        self._frames.push(data)
        if reading is _READ_OPEN:
            self._read()

    def start(self, take: Callable[[Frame], bool]) -> None:
        """``take`` gets the frames from now on; it returns False when it has enough."""
        self._take = take
        if self.reading in (Reading.NEW, Reading.HELD):
            self._read_later()

    def _read_later(self) -> None:
        if self._next_read is None:
            self._next_read = asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        """Hand over the frames that are there, a slice of them at a time."""
        self._next_read = None
        if self.reading is _DISCARDING:
            return
        frames, take = self._frames, self._take
        try:
            for _ in range(SLICE):
                found = frames.next()
                if found is None:
                    if self.reading is not _READ_OPEN:
                        self._move_reading(_READ_OPEN)
                    return
                opcode, payload = found
                if opcode > BINARY:
                    if not self._control(opcode, payload):
                        return
                elif opcode == CONTINUATION:
                    continue
                elif not take(payload) and self._pause_for_owner():
                    return
                take = self._take
        except WebSocketError as error:
            self._refuse(error)
            return
        self._move_reading(Reading.HELD)
        self._read_later()

    def _control(self, opcode: int, payload: Frame) -> bool:
        """Answer a control frame. False: it was the last frame that counts."""
        assert isinstance(payload, bytes)
        if opcode == PING and self.writing is Writing.OPEN:  # who does not read gets no more to read
            self.transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self._answer_close(payload)
            return False
        return True

    def _refuse(self, error: WebSocketError) -> None:
        log.debug("websocket closed with %d: %s", error.code, error.reason)
        # 1009 says it all, and clients of Node's server read no more there.
        text = "" if error.code == TOO_BIG else error.reason
        self._answer_close(error.code.to_bytes(2) + text.encode()[:123])
        if self.owner is not None:
            self.owner.on_refused(error)

    def _answer_close(self, payload: bytes) -> None:
        """The end by the peer: what is due to it goes out first."""
        self._move_reading(_DISCARDING)
        if self.owner is not None:
            self.owner.flush()
        self.send_close(payload)
        self.transport.close()
        if self.owner is not None:
            self.owner.on_closed(reason_of_close_code(int.from_bytes(payload[:2])))

    def pause(self) -> None:
        """Read no further until `resume`: the peer's bytes wait in the network."""
        self._move_reading(Reading.PAUSED)

    def _pause_for_owner(self) -> bool:
        """Pause, unless that has been done, or the end has begun."""
        if self.reading is Reading.PAUSED:
            return True
        if self.owner is None or self.closing is not Closing.OPEN:
            return False
        self.pause()
        self.owner.on_paused()
        return True

    def resume(self) -> None:
        """Read on."""
        if self.reading is Reading.PAUSED:
            self._move_reading(Reading.HELD)
            self._read()

    # Out.

    def write(self, data: bytes = b"") -> None:
        """Accept the websocket, if that is still to be done, and send ``data`` with it: one write for both."""
        response, self._accept_response = self._accept_response, b""
        if response or data:
            self.transport.write(response + data)

    def pause_writing(self) -> None:
        if self.writing is Writing.OPEN:
            self._move_writing(Writing.PAUSED)

    def resume_writing(self) -> None:
        if self.writing is Writing.PAUSED:
            self._move_writing(Writing.OPEN)
            if self.owner is not None:
                self.owner.flush()
            self._close_if_drained()

    # The end.

    def finish(self, close_code: int = NORMAL_CLOSURE) -> None:
        """Close as soon as what was written has room; the peer has `CLOSE_TIMEOUT` to take it."""
        if self.closing is Closing.OPEN:
            self._close_code = close_code
            self._move_closing(Closing.DRAINING)
            self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self.closing is not Closing.DRAINING:
            return
        if self.writing is Writing.OPEN:
            self.send_close(self._close_code.to_bytes(2))
        else:
            self._abort_later()

    def send_close(self, payload: bytes = NORMAL) -> None:
        """Send a close frame. The peer answers it and ends the connection; ended at once, it may lose what is sent."""
        if self.closing in (Closing.CLOSE_SENT, Closing.LOST):
            return
        self._move_closing(Closing.CLOSE_SENT)
        self._move_writing(Writing.CLOSED)
        self.write(frame(CLOSE, payload))
        self._abort_later()
        self.start(_drop)  # the peer's own close is still to be read

    def _abort_later(self) -> None:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._move_closing(Closing.LOST)
        self._move_reading(_DISCARDING)
        if self.writing is not Writing.CLOSED:
            self._move_writing(Writing.CLOSED)
        if self._deadline is not None:
            self._deadline.cancel()
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.on_closed(TRANSPORT_CLOSE)
            owner.on_lost()
        on_lost, self._on_lost, self._take = self._on_lost, None, _drop
        if on_lost is not None:
            on_lost(exc)

    def on_call_done(self, error: BaseException | None) -> None:
        """The ASGI call that led here has ended: well, once the connection has an owner."""
        if error is not None:
            log.error("a websocket's call raised %r", error, exc_info=error)
        if self.owner is None:
            self.send_close()

    def shutdown(self) -> None:
        """The server ends."""
        if self.owner is None or self.owner.on_shutdown():
            self.send_close()

    # The tables.

    def _move_reading(self, state: Reading) -> None:
        former, self.reading = self.reading, moved(_READING, self.reading, state)
        if self.closing is Closing.LOST or state is _DISCARDING:
            return
        if state is not _READ_OPEN:
            self.transport.pause_reading()
        elif former is not Reading.NEW:
            self.transport.resume_reading()

    def _move_closing(self, state: Closing) -> None:
        self.closing = moved(_CLOSING, self.closing, state)

    def _move_writing(self, state: Writing) -> None:
        self.writing = moved(_WRITING, self.writing, state)


def _drop(payload: Frame) -> bool:
    """Takes what nobody wants."""
    return True
