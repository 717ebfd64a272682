"""CleanupQueue: the sockets whose connection is over, and for whose clean-up nobody waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic

from asocketio.session.cleanup import start_cleanup
from asocketio.session.flush_queue import MAX_SLICE_SECONDS
from asocketio.session.socket import Socket

__all__ = ["CleanupQueue"]


class CleanupQueue:
    """Starts the clean-up of sockets in one of the next turns of the loop; ``ended`` is called when one is done.

    When thousands leave at once, others have their turns in between.
    """

    __slots__ = ("_ended", "_loop", "_sockets")

    def __init__(self, loop: asyncio.AbstractEventLoop, ended: Callable[[Socket], None]) -> None:
        self._loop = loop
        self._ended = ended
        self._sockets: deque[Socket] = deque()

    def add(self, socket: Socket) -> None:
        """The socket's connection is over."""
        if not self._sockets:
            self._loop.call_soon(self._start_some)
        self._sockets.append(socket)

    def _start_some(self) -> None:
        until = monotonic() + MAX_SLICE_SECONDS
        while self._sockets:
            socket = self._sockets.popleft()
            start_cleanup(socket.dispatcher, partial(self._done, socket))
            if monotonic() > until and self._sockets:
                self._loop.call_soon(self._start_some)
                return

    def _done(self, socket: Socket, done: asyncio.Future[BaseException | None]) -> None:
        error = done.result()
        if error is not None:
            socket.server.throttled_log.error(
                "clean-up", "%s: its clean-up raised %r", socket.sid_in(""), error, error=error
            )
        self._ended(socket)
