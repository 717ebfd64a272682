"""FlushQueue: the sockets that have something to send at the end of this turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

from asocketio.session.close_reasons import TRANSPORT_ERROR
from asocketio.session.socket import Socket

__all__ = ["AT_ONCE", "MAX_SLICE_SECONDS", "POLLS", "SLICE_SECONDS", "FlushQueue"]

MAX_SLICE_SECONDS = 0.005
"""Seconds for which clean-up, and the sending to fresh sockets and to those that wait, may hold the event loop."""

SLICE_SECONDS = MAX_SLICE_SECONDS / 2

AT_ONCE = 100
"""Sockets that are flushed without a look at the clock."""

FLUSHES = 16
"""Sockets that are flushed between two looks at the clock."""

POLLS = 8
"""Polls in a slice. To flush one is to wake a task: that, and the poll that comes next, take 0.25 ms in later turns."""


class FlushQueue:
    """Flushes each socket once in a turn of the loop, so that what was queued in that turn goes out in one write.

    After a broadcast to thousands, others have their turns in between, and what they are answered goes first: a slice
    of the sockets that were added in this turn is flushed, then one of those that wait, for a broadcast or from former
    turns.
    """

    __slots__ = ("_fresh", "_loop", "_scheduled", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fresh: list[Socket] = []
        self._waiting: deque[Socket] = deque()
        self._scheduled = False

    def add(self, socket: Socket) -> None:
        """Flush the socket at the end of this turn. Not twice in a turn: `Writer.flush_scheduled` tells."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)
        self._fresh.append(socket)

    @contextmanager
    def behind_answers(self) -> Generator[None, None, None]:
        """What is added within, by a broadcast, waits for its slice from the beginning."""
        answers, self._fresh = self._fresh, []
        try:
            yield
        finally:
            self._let_wait(self._fresh)
            self._fresh = answers

    def flush(self) -> None:
        """Flush the sockets in the queue, or a slice of them."""
        fresh, self._fresh = self._fresh, []
        if self._waiting or len(fresh) > AT_ONCE:
            rest = deque(fresh)
            _flush(_slice(rest))
            _flush(_slice(self._waiting))
            self._let_wait(rest)
        else:
            _flush(fresh)
        self._scheduled = bool(self._fresh or self._waiting)
        if self._scheduled:
            self._loop.call_soon(self.flush)

    def _let_wait(self, sockets: Iterable[Socket]) -> None:
        """They are added again, before their turn, when they are sent more: an answer, for one."""
        for socket in sockets:
            writer = socket.writer
            writer.flush_scheduled = False
            if not writer.flush_waits:
                writer.flush_waits = True
                self._waiting.append(socket)


def _slice(sockets: deque[Socket]) -> Iterator[Socket]:
    """Take out the first ones, for `SLICE_SECONDS` and at most `POLLS` of those that poll."""
    until = monotonic() + SLICE_SECONDS
    taken = polls = 0
    while sockets:
        socket = sockets.popleft()
        socket.writer.flush_waits = False
        transport = socket.transport
        yield socket
        taken += 1
        polls += transport is not None and transport.name == "polling"
        if polls == POLLS or (taken % FLUSHES == 0 and monotonic() > until):
            break


def _flush(sockets: Iterable[Socket]) -> None:
    for socket in sockets:
        try:
            socket.writer.flush()
        except Exception as error:  # nobody's but this client's affair
            socket.server.throttled_log.error(
                "sending", "%s: could not be sent to", socket.sid_in(""), error=error, fields=socket.fields()
            )
            socket.close(TRANSPORT_ERROR)
