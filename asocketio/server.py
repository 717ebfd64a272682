"""Server: the sockets of one server, and what they share. It is ``socket.server``."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import threading
import typing
from collections import Counter, deque
from collections.abc import Iterator
from functools import partial
from time import monotonic

from asocketio.adapters.base import Adapter
from asocketio.asgi.admission import Admission
from asocketio.config import Config
from asocketio.errors import UnknownSession, UsageError
from asocketio.metrics import Gauges, Metrics
from asocketio.protocol.custom_json import SharedProtocols
from asocketio.protocol.packet import Packet
from asocketio.protocol.server_protocol import ServerProtocol
from asocketio.runtime.clock import Clock
from asocketio.runtime.eager_runner import EagerRunner
from asocketio.runtime.log import ThrottledLog, log
from asocketio.runtime.loop_lag import LoopLagMonitor
from asocketio.runtime.timers import Deadlines, TimerQueue
from asocketio.session.carrier import Carrier
from asocketio.session.cleanup import start_cleanup
from asocketio.session.heartbeat import heartbeats
from asocketio.session.metering import MeteredSocket
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState

__all__ = ["MAX_SLICE_SECONDS", "Server"]

GONE_SESSION_TTL = 30.0
"""Seconds for which a polling client that was thrown out between two polls can still learn of it, as in Node."""
_TOLD_LATER = frozenset({"server namespace disconnect", "server shutting down", "forced server close"})

LINGER_BYTES = 65_536
"""Bytes of what was queued for it that such a client can still fetch, the newest; and"""
MOST_LINGERING = 1000
"""so many such clients."""

MAX_SLICE_SECONDS = 0.005
"""Seconds for which clean-up, or the sending of a broadcast, may hold the event loop at a time."""

FLUSHES = 64
"""Sockets that are flushed between two looks at the clock."""

SLOW = 5.0
"""Seconds after which a handler that holds up its client is named in the log."""


class Watched(typing.Protocol):
    """What is running, and can say so."""

    def warn_slow(self) -> None:
        """Log that it has been running for long."""


class Server:
    """Finds sockets by session id; owns the timer, the stepper and the adapter that they share.

    It belongs to the event loop in which the first socket opens. When an app is used in another
    loop later (each test has its own), it starts anew there.
    """

    def __init__(self, config: Config, adapter: Adapter) -> None:
        self.config = config
        self.adapter = adapter
        self.custom_json = SharedProtocols()
        if hasattr(adapter, "host"):
            raise UsageError(f"{adapter!r} belongs to another SocketIOApp: give each one its own")
        adapter.host = self
        self._adapter_runs = False
        self.clock = Clock()
        self.throttled_log = ThrottledLog()
        self.sockets: dict[str, Socket] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0
        self.stepper: EagerRunner
        self.ack_numbers: Iterator[int] = itertools.count(1)
        self._dirty: list[Socket] = []
        self._finishing: deque[Socket] = deque()
        self.metrics = config.metrics or Metrics()
        """Always there; without the setting it does nothing."""
        self.admission = Admission(config, self.metrics)
        self.closing = False
        """All sockets are about to be told so, one after the other."""
        self._idle: asyncio.Future[None] | None = None

    @property
    def active_sessions(self) -> int:
        """Sockets whose life has not ended: their handlers, views and clean-up count."""
        return self.admission.count

    def bind(self, clock: Clock | None = None) -> None:
        """Belong to the running event loop, and to ``clock`` if one is given."""
        if clock is None and self.loop is not None and asyncio.current_task(self.loop) is not None:
            return  # a task of that loop runs: it is this one, and nobody had to look the running one up
        loop = asyncio.get_running_loop()
        if self.loop is loop and (clock is None or clock is self.clock):
            return
        if self.loop is not loop:
            self.closing = self.closing and self.loop is None  # what closed was in the loop before
            self.sockets = {}
            self._adapter_runs = False
            self._dirty = []
            self._finishing.clear()
            self.admission = Admission(self.config, self.metrics)
            self.stepper = EagerRunner(loop)
        self.loop = loop
        self.start_adapter()
        self.thread = threading.get_ident()
        self.clock = clock or Clock(loop)
        self._set_lines()

    def start_adapter(self) -> None:
        """Start the adapter, if it does not run in this event loop yet."""
        if not self._adapter_runs:
            self._adapter_runs = True
            self.adapter.start()

    async def stop_adapter(self) -> None:
        """Stop the adapter, if it runs."""
        if self._adapter_runs:
            self._adapter_runs = False
            await self.adapter.stop()

    def _set_lines(self) -> None:
        config = self.config
        self._deadlines = Deadlines(self.clock)
        line = self._deadlines.line
        self.lag = LoopLagMonitor(self.clock, self.metrics.lagged)
        self._heartbeats = heartbeats(self.clock, self._deadlines, config, self.lag)
        self.metrics.started(self.gauges)
        self._connects: TimerQueue[Socket] = line(config.connect_timeout, self._connect_missing)
        self._lingering: TimerQueue[Socket] = line(GONE_SESSION_TTL, self._linger_over)
        self._slow: TimerQueue[Watched] = line(SLOW, self._handler_slow)

    def gauges(self) -> Gauges:
        """How things stand, for `asocketio.metrics`. Takes time in proportion to the sockets."""
        sockets = [socket for socket in list(self.sockets.values()) if socket.connected]
        dispatchers = [socket.dispatcher for socket in sockets]
        return Gauges(
            sockets=dict(Counter((socket.protocol.generation, socket.transport_name) for socket in sockets)),
            active_sessions=self.active_sessions,
            members=sum(len(socket.members) for socket in sockets),
            queued_bytes=sum(socket.writer.outbox.size for socket in sockets),
            waiting_packets=sum(dispatcher.waiting for dispatcher in dispatchers),
            handlers=sum(dispatcher.running for dispatcher in dispatchers),
        )

    # The life of a socket.

    def create(self, protocol: ServerProtocol, opening: Carrier, address: str = "") -> Socket:
        """A new socket with an unguessable id of 120 random bits.

        Raises:
            Unavailable: there are too many.
        """
        self.admission.enter(address)
        if self.stepper.closed:
            self.stepper = EagerRunner(asyncio.get_running_loop())
        cls = Socket if self.config.metrics is None else MeteredSocket
        socket = cls(self, secrets.token_urlsafe(15), protocol, opening, self._heartbeats[protocol.pings])
        socket.handshake.address = address
        self.sockets[socket.sessid] = socket
        self._connects.set(socket, self.clock.now())
        self.lag.start()
        return socket

    def get(self, sessid: str, protocol: ServerProtocol) -> Socket:
        """The socket of a session.

        Raises:
            UnknownSession: there is none, it is over, or it speaks another generation.
        """
        self._deadlines.fire_due()  # a request must not find a session whose time was up before it came
        socket = self.sockets.get(sessid)
        if socket is None or socket.state is SocketState.OPENING or socket.protocol.generation != protocol.generation:
            raise UnknownSession(f"no session {sessid[:6]!r}…: it has ended, or it lives in another process")
        return socket

    def opened(self, socket: Socket) -> None:
        """The handshake is about to be answered."""
        socket.open()
        self._connects.set(socket, self.clock.now())
        socket.heartbeat.opened(socket)
        self.metrics.opened(socket.protocol.generation, socket.transport_name)

    def joined(self, socket: Socket) -> None:
        """The client is in a namespace: it is no idle connection."""
        self._connects.drop(socket)

    def closed(self, socket: Socket) -> None:
        """The connection is over. A polling client that still has to be told so can poll once more."""
        socket.heartbeat.closed(socket)
        self._connects.drop(socket)
        self._keep_or_forget(socket)
        self.metrics.closed(socket.protocol.generation, socket.transport_name, socket.reason)

    def _keep_or_forget(self, socket: Socket) -> None:
        if socket.transport_name == "polling" and socket.reason in _TOLD_LATER:
            self._lingering.set(socket, self.clock.now())
            if socket.transport is None:
                self.bound(socket)
            if len(self._lingering) > MOST_LINGERING:
                self.forget(self._lingering.oldest())
        else:
            self.sockets.pop(socket.sessid, None)
            if socket.transport is None:
                # Nothing will come to fetch it, and the program may keep the socket for long.
                socket.writer.outbox.clear()

    def bound(self, socket: Socket) -> None:
        """Only a little of what was queued for it waits for the next poll of a client that was thrown out."""
        socket.writer.outbox.cut(LINGER_BYTES)

    def forget(self, socket: Socket) -> None:
        """Nothing can reach this socket any more."""
        self.sockets.pop(socket.sessid, None)
        self._lingering.drop(socket)

    def ended(self, socket: Socket) -> None:
        """Its life is over: handlers, view and clean-up are done."""
        if socket.state is SocketState.OPENING:
            self.sockets.pop(socket.sessid, None)
            self._connects.drop(socket)
        socket.break_cycles()
        self.admission.leave(socket.handshake.address)
        if not self.active_sessions:
            self._deadlines.stop_if_idle()
            self.lag.stop()
            self.stepper.close()
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    def schedule_cleanup(self, socket: Socket) -> None:
        """The connection is over, and nobody waits for it: its clean-up runs in one of the next turns of the loop."""
        if not self._finishing and self.loop is not None:
            self.loop.call_soon(self._finish_some)
        self._finishing.append(socket)

    def _finish_some(self) -> None:
        """When thousands leave at once, others have their turns in between."""
        until = monotonic() + MAX_SLICE_SECONDS
        while self._finishing:
            socket = self._finishing.popleft()
            start_cleanup(socket.dispatcher, partial(self._finished, socket))
            if monotonic() > until and self._finishing and self.loop is not None:
                self.loop.call_soon(self._finish_some)
                return

    def _finished(self, socket: Socket, done: asyncio.Future[BaseException | None]) -> None:
        error = done.result()
        if error is not None:
            log.error("%s: its clean-up raised %r", socket.sid_in(""), error, exc_info=error)
        self.ended(socket)

    async def wait_idle(self) -> None:
        """Wait until no socket lives."""
        while self.active_sessions:
            if self._idle is None or self._idle.done():
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._idle])  # shared: one waiter's cancellation is not the others'

    # What sockets share.

    def check(self, packet: Packet) -> None:
        """Raise `UsageError` for a packet that nobody receives and that could not be sent to anybody."""
        self.custom_json.check(packet)

    def flush_soon(self, socket: Socket) -> None:
        """Flush the socket at the end of this turn of the event loop, with all others that have something to send."""
        if not self._dirty and self.loop is not None:
            self.loop.call_soon(self._flush)
        self._dirty.append(socket)

    def _flush(self) -> None:
        """After a broadcast to thousands, others have their turns in between."""
        dirty, self._dirty = self._dirty, []
        until = monotonic() + MAX_SLICE_SECONDS
        for done, socket in enumerate(dirty, 1):
            try:
                socket.writer.flush()
            except Exception:  # nobody's but this client's affair
                log.exception("%s: could not be sent to", socket.sid_in(""), extra=socket.fields())
                socket.close("transport error")
            if done % FLUSHES == 0 and monotonic() > until and self.loop is not None:
                if not self._dirty:
                    self.loop.call_soon(self._flush)
                self._dirty = dirty[done:] + self._dirty
                return

    # Deadlines.

    def _connect_missing(self, socket: Socket, due: float) -> None:
        if socket.state is SocketState.OPENING:
            if socket.pending is not None and socket.pending.view is not None:
                socket.pending.view.time_out()
            return
        log.info("%s: closed, no namespace joined within connect_timeout", socket.sid_in(""))
        socket.close("forced close")

    def watch(self, handler: Watched) -> None:
        """Complain about a handler if it runs for over `SLOW` seconds."""
        self._slow.set(handler, self.clock.now())

    def unwatch(self, handler: Watched) -> None:
        """The handler has ended."""
        self._slow.drop(handler)

    def _handler_slow(self, handler: Watched, due: float) -> None:
        handler.warn_slow()

    def _linger_over(self, socket: Socket, due: float) -> None:
        self.sockets.pop(socket.sessid, None)
