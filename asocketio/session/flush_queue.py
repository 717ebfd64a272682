"""FlushQueue: the sockets that have something to send at the end of this turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from time import monotonic

from asocketio.session.close_reasons import TRANSPORT_ERROR
from asocketio.session.socket import Socket

__all__ = ["FIRST_SLICE", "LEAST_SLICE", "MAX_SLICE_SECONDS", "FlushQueue"]

MAX_SLICE_SECONDS = 0.005
"""Seconds for which the sending of a broadcast, or clean-up, may hold the event loop at a time."""

FIRST_SLICE = 100
"""Sockets that are flushed in the first turn after a broadcast."""

LEAST_SLICE = 8
"""Sockets that are flushed in each turn, however long the turns are."""


class FlushQueue:
    """Flushes each socket once in a turn of the loop, so that what was queued in that turn goes out in one write.

    After a broadcast to thousands, others have their turns in between, and what they are answered goes first: a slice
    of the sockets that were added in this turn is flushed, then one of those that wait from former turns. How many a
    slice has goes by how long the last turn took, all of it: to flush a poll is to wake a task, and what that costs,
    with the poll that comes next, is seen only a turn later.
    """

    __slots__ = ("_began", "_fresh", "_loop", "_scheduled", "_slice", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fresh: list[Socket] = []
        self._waiting: deque[Socket] = deque()
        self._scheduled = False
        self._slice = FIRST_SLICE
        self._began = 0.0

    def add(self, socket: Socket) -> None:
        """Flush the socket at the end of this turn. Not twice in a turn: `Writer.flush_scheduled` tells."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)
        self._fresh.append(socket)

    def flush(self) -> None:
        """Flush the sockets in the queue, or a slice of them."""
        fresh, self._fresh = self._fresh, []
        if self._waiting or len(fresh) > FIRST_SLICE:
            most = self._next_slice()
            former = self._take(most)
            self._let_wait(fresh[most:])
            _flush(fresh[:most])
            _flush(former)
        else:
            _flush(fresh)
        self._scheduled = bool(self._fresh or self._waiting)
        if self._scheduled:
            self._loop.call_soon(self.flush)

    def _let_wait(self, sockets: list[Socket]) -> None:
        """They are added again, before their turn, when they are sent more: an answer, for one."""
        for socket in sockets:
            writer = socket.writer
            writer.flush_scheduled = False
            if not writer.flush_waits:
                writer.flush_waits = True
                self._waiting.append(socket)

    def _take(self, most: int) -> list[Socket]:
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        for socket in taken:
            socket.writer.flush_waits = False
        return taken

    def _next_slice(self) -> int:
        """How many sockets to flush, by how long the turn with the last slice took."""
        now = monotonic()
        took, self._began = now - self._began, now
        if not self._waiting:
            self._slice = FIRST_SLICE
        elif took > MAX_SLICE_SECONDS:
            self._slice = max(LEAST_SLICE, self._slice // 2)
        elif took < MAX_SLICE_SECONDS / 2:
            self._slice *= 2
        return self._slice


def _flush(sockets: Iterable[Socket]) -> None:
    for socket in sockets:
        try:
            socket.writer.flush()
        except Exception as error:  # nobody's but this client's affair
            socket.server.throttled_log.error(
                "sending", "%s: could not be sent to", socket.sid_in(""), error=error, fields=socket.fields()
            )
            socket.close(TRANSPORT_ERROR)
