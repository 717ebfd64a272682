"""SessionTimers: the deadlines of all sessions of a server, by one clock."""

from __future__ import annotations

from asocketio.config import Config
from asocketio.metrics import Metrics
from asocketio.runtime.clock import Clock
from asocketio.runtime.loop_lag import LoopLagMonitor
from asocketio.runtime.timers import Deadlines, TimerQueue
from asocketio.session.close_reasons import FORCED_CLOSE
from asocketio.session.heartbeat import Heartbeat, heartbeats
from asocketio.session.interfaces import Watched
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState

__all__ = ["SessionTimers"]

SLOW = 5.0
"""Seconds after which a handler that holds up its client is named in the log."""


class SessionTimers:
    """Who has to join a namespace in time, whose handler runs for long, and whose heartbeat is due.

    ``deadlines`` are for others' queues; ``lag`` knows whether the loop, and not a client, was late.
    """

    __slots__ = ("_clock", "_connects", "_heartbeats", "_slow", "deadlines", "lag")

    def __init__(self, clock: Clock, config: Config, metrics: Metrics) -> None:
        self._clock = clock
        self.deadlines = Deadlines(clock)
        self.lag = LoopLagMonitor(clock, metrics.lagged)
        self._heartbeats = heartbeats(clock, self.deadlines, config, self.lag)
        self._connects: TimerQueue[Socket] = self.deadlines.line(config.connect_timeout, self._connect_missing)
        self._slow: TimerQueue[Watched] = self.deadlines.line(SLOW, self._handler_slow)

    def heartbeat(self, pings: str) -> Heartbeat:
        """The heartbeat of a generation, by what `Protocol.pings` says."""
        return self._heartbeats[pings]

    def stop_if_idle(self) -> None:
        """There is no session: nothing has to tick."""
        self.deadlines.stop_if_idle()
        self.lag.stop()

    def await_connect(self, socket: Socket) -> None:
        """The socket is closed unless it joins a namespace within ``connect_timeout`` from now."""
        self._connects.set(socket, self._clock.now())

    def connected(self, socket: Socket) -> None:
        """The socket has joined a namespace, or ended."""
        self._connects.drop(socket)

    def watch(self, handler: Watched) -> None:
        """Warn of a handler that runs for over `SLOW` seconds."""
        self._slow.set(handler, self._clock.now())

    def unwatch(self, handler: Watched) -> None:
        """The handler has ended."""
        self._slow.drop(handler)

    def _connect_missing(self, socket: Socket, due: float) -> None:
        if socket.state is SocketState.OPENING:
            if socket.pending is not None and socket.pending.view is not None:
                socket.pending.view.time_out()
            return
        socket.server.throttled_log.info(
            "idle", "%s: closed, no namespace joined within connect_timeout", socket.sid_in("")
        )
        socket.close(FORCED_CLOSE)

    def _handler_slow(self, handler: Watched, due: float) -> None:
        handler.warn_slow()
