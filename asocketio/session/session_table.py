"""SessionTable: the sessions of a server by id, and those that have ended but still have to be told so."""

from __future__ import annotations

from asocketio.runtime.clock import Clock
from asocketio.runtime.timers import Deadlines, TimerQueue
from asocketio.session.close_reasons import FORCED_SERVER_CLOSE, SERVER_DISCONNECT, SHUTTING_DOWN
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState

__all__ = ["SessionTable"]

GONE_SESSION_TTL = 30.0
"""Seconds for which a polling client that was disconnected between two polls can still learn of it, as in Node."""
_TOLD_LATER = frozenset({SERVER_DISCONNECT, SHUTTING_DOWN, FORCED_SERVER_CLOSE})

LINGER_BYTES = 65_536
"""Bytes of what was queued for it that such a client can still fetch, the newest; and"""
MOST_LINGERING = 1000
"""so many such clients."""


class SessionTable:
    """Sockets by the id of their session."""

    __slots__ = ("_clock", "_gone", "sockets")

    def __init__(self) -> None:
        self.sockets: dict[str, Socket] = {}

    def set_timers(self, clock: Clock, deadlines: Deadlines) -> None:
        """Keep gone sessions by this clock. Those there were are forgotten with their former timers."""
        self._clock = clock
        self._gone: TimerQueue[Socket] = deadlines.line(GONE_SESSION_TTL, self._expire)

    def add(self, socket: Socket) -> None:
        """A new session."""
        self.sockets[socket.sessid] = socket

    def find(self, sid: str) -> Socket | None:
        """The socket of the session ``sid``, open or gone; None where there is none, or its handshake is unanswered."""
        socket = self.sockets.get(sid)
        return None if socket is None or socket.state is SocketState.OPENING else socket

    def close(self, socket: Socket) -> None:
        """The connection is over. A polling client that still has to be told so can poll once more."""
        if socket.transport_name != "polling" or socket.reason not in _TOLD_LATER:
            self.remove(socket)
            if socket.transport is None:
                # Nothing will come to fetch it, and the program may keep the socket for long.
                socket.writer.outbox.clear()
            return
        self._gone.set(socket, self._clock.now())
        if socket.transport is None:
            self.trim(socket)
        if len(self._gone) > MOST_LINGERING:
            self.forget(self._gone.oldest())

    def trim(self, socket: Socket) -> None:
        """Only a little of what was queued for it waits for the next poll of a client that was disconnected."""
        socket.writer.outbox.cut(LINGER_BYTES)

    def forget(self, socket: Socket) -> None:
        """A gone session has told its client."""
        self.remove(socket)
        self._gone.drop(socket)

    def remove(self, socket: Socket) -> None:
        """Nothing reaches this session any more."""
        self.sockets.pop(socket.sessid, None)

    def _expire(self, socket: Socket, due: float) -> None:
        self.remove(socket)
