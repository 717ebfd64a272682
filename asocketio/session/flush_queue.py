"""FlushQueue: the sockets that have something to send at the end of this turn of the event loop."""

from __future__ import annotations

import asyncio
from time import monotonic

from asocketio.session.close_reasons import TRANSPORT_ERROR
from asocketio.session.socket import Socket

__all__ = ["FLUSHES", "MAX_SLICE_SECONDS", "FlushQueue"]

MAX_SLICE_SECONDS = 0.005
"""Seconds for which the sending of a broadcast, or clean-up, may hold the event loop at a time."""

FLUSHES = 64
"""Sockets that are flushed between two looks at the clock."""


class FlushQueue:
    """Flushes each socket once in a turn of the loop, so that what was queued in that turn goes out in one write.

    After a broadcast to thousands, others have their turns in between.
    """

    __slots__ = ("_loop", "_sockets")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sockets: list[Socket] = []

    def add(self, socket: Socket) -> None:
        """Flush the socket at the end of this turn. It must not be in the queue already: `Socket.flush_scheduled`."""
        if not self._sockets:
            self._loop.call_soon(self.flush)
        self._sockets.append(socket)

    def flush(self) -> None:
        """Flush the sockets in the queue, for `MAX_SLICE_SECONDS`."""
        sockets, self._sockets = self._sockets, []
        until = monotonic() + MAX_SLICE_SECONDS
        for done, socket in enumerate(sockets, 1):
            try:
                socket.writer.flush()
            except Exception as error:  # nobody's but this client's affair
                socket.server.throttled_log.error(
                    "sending", "%s: could not be sent to", socket.sid_in(""), error=error, fields=socket.fields()
                )
                socket.close(TRANSPORT_ERROR)
            if done % FLUSHES == 0 and monotonic() > until:
                if not self._sockets:
                    self._loop.call_soon(self.flush)
                self._sockets = sockets[done:] + self._sockets
                return
