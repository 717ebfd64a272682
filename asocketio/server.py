"""Server: the sessions of one server, and what they share. It is ``socket.server``."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import Counter
from contextlib import AbstractContextManager

from asocketio.adapters.base import Adapter
from asocketio.adapters.recording import record
from asocketio.asgi.admission import Admission
from asocketio.config import Config
from asocketio.errors import UsageError
from asocketio.metrics import Gauges, Metrics
from asocketio.protocol.custom_json import SharedProtocols
from asocketio.protocol.packet import Packet
from asocketio.protocol.server_protocol import ServerProtocol
from asocketio.runtime.clock import Clock
from asocketio.runtime.eager_runner import EagerRunner
from asocketio.runtime.jobs import Jobs
from asocketio.runtime.log import ThrottledLog, log
from asocketio.session.carrier import Carrier
from asocketio.session.cleanup_queue import CleanupQueue
from asocketio.session.flush_queue import FlushQueue
from asocketio.session.interfaces import HandlerAction, SocketAction
from asocketio.session.metering import MeteredSocket
from asocketio.session.session_table import SessionTable
from asocketio.session.session_timers import SessionTimers
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState

__all__ = ["Server"]

_OTHER_LOOP = (
    "this SocketIOApp has {} sockets in another event loop, and a socket cannot change its loop. Make an app for each "
    "event loop (a function that returns SocketIOApp(...)), or use one loop for all: in pytest, give tests and "
    "fixtures the same one (pytest-asyncio: loop_scope='session' for both; anyio: an anyio_backend fixture with "
    "scope='session')"
)


class Server:
    """Finds sockets by session id; owns the clock, the runner and the adapter that they share.

    It belongs to the event loop in which the first socket opens. When an app is used in another
    loop later (each test has its own), it starts anew there, unless there still are sockets in the first one.
    """

    clock: Clock
    eager_runner: EagerRunner
    flush_soon: SocketAction
    """Flushes a socket at the end of this turn, see `FlushQueue.add`."""
    schedule_cleanup: SocketAction
    """Cleans up after a socket that nobody waits for, see `CleanupQueue.add`."""
    watch: HandlerAction
    """Warns of a handler that runs for long, see `SessionTimers.watch`."""
    unwatch: HandlerAction
    """The handler has ended."""

    def __init__(self, config: Config, adapter: Adapter) -> None:
        if hasattr(adapter, "host"):
            raise UsageError(f"{adapter!r} belongs to another SocketIOApp: give each one its own")
        self.config = config
        self.adapter = adapter
        adapter.host = self
        self._adapter_runs = False
        self.custom_json = SharedProtocols()
        self.throttled_log = ThrottledLog()
        self.jobs = Jobs(self.throttled_log, config.on_exception)
        """Jobs that belong to no client."""
        self.clock = Clock()
        if config.recovery is not None:
            record(adapter)
        self.metrics = config.metrics or Metrics()
        """Always there; without the setting it does nothing."""
        self.admission = Admission(config, self.metrics)
        self.worker_name = ""
        """With it the ids of sessions begin, where there are several workers."""
        self.closing = False
        """All sockets are about to be told so, one after the other."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0
        self.sessions = SessionTable()
        self._idle: asyncio.Future[None] | None = None

    @property
    def sockets(self) -> dict[str, Socket]:
        """The sockets by the ids of their sessions, in the order in which they came."""
        return self.sessions.sockets

    @property
    def active_sessions(self) -> int:
        """Sockets whose life has not ended: their handlers, views and clean-up count."""
        return self.admission.count

    @property
    def is_busy(self) -> bool:
        """There are such sockets, and their event loop may go on."""
        return self.loop is not None and not self.loop.is_closed() and self.active_sessions > 0

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

    # The event loop.

    def bind(self, clock: Clock | None = None) -> None:
        """Belong to the running event loop, and to ``clock`` if one is given.

        Raises:
            UsageError: there are sockets in another event loop.
        """
        if (
            clock is None
            and self.loop is not None
            and threading.get_ident() == self.thread
            and asyncio.current_task(self.loop) is not None
        ):
            return  # a task of that loop runs: it is this one, and nobody had to look the running one up
        loop = asyncio.get_running_loop()
        if self.loop is loop and (clock is None or clock is self.clock):
            return
        if self.loop is not loop:
            if self.is_busy:
                raise UsageError(_OTHER_LOOP.format(self.active_sessions))
            self._start_anew(loop)
        self.clock = clock or Clock(loop)
        self._set_timers()
        self.start_adapter()

    def _start_anew(self, loop: asyncio.AbstractEventLoop) -> None:
        self.closing = self.closing and self.loop is None  # what closed was in the loop before
        self.loop = loop
        self.thread = threading.get_ident()
        self.eager_runner = EagerRunner(loop)
        self._flush_queue = FlushQueue(loop)
        self.flush_soon = self._flush_queue.add
        self.schedule_cleanup = CleanupQueue(loop, self.ended).add
        self.sessions = SessionTable()
        self.admission = Admission(self.config, self.metrics)
        self._adapter_runs = False
        self.jobs = Jobs(self.throttled_log, self.config.on_exception)  # the former ones went with their loop

    def behind_answers(self) -> AbstractContextManager[None]:
        """See `FlushQueue.behind_answers`."""
        return self._flush_queue.behind_answers()

    def _set_timers(self) -> None:
        self.timers = SessionTimers(self.clock, self.config, self.metrics)
        self.sessions.set_timers(self.clock, self.timers.deadlines)
        self.watch, self.unwatch = self.timers.watch, self.timers.unwatch
        self.metrics.started(self.gauges)

    def start_adapter(self) -> None:
        """Start the adapter, if it does not run in this event loop yet."""
        if not self._adapter_runs:
            self._adapter_runs = True
            self.adapter.start()
            if self.adapter.recovery is not None:
                self.adapter.recovery.start()

    async def stop_adapter(self) -> None:
        """Stop the adapter, if it runs."""
        if self._adapter_runs:
            self._adapter_runs = False
            if self.adapter.recovery is not None:
                self.adapter.recovery.stop()
            await self.adapter.stop()

    async def stop_jobs(self) -> None:
        """Cancel the jobs that belong to no client, and wait for their ends within ``close_grace``."""
        with self.clock.deadline(self.config.close_grace) as scope:
            await self.jobs.stop()
        if scope.cancelled_caught:
            log.error("these do not end when cancelled: %s", ", ".join(self.jobs.names))

    # The life of a session.

    def create(self, protocol: ServerProtocol, opening: Carrier, address: str = "") -> Socket:
        """A new socket with an unguessable id: the name of this worker, if it has one, and 120 random bits.

        Raises:
            Unavailable: there are too many.
        """
        self.admission.enter(address)
        if self.eager_runner.closed:
            self.eager_runner = EagerRunner(asyncio.get_running_loop())
        cls = Socket if self.config.metrics is None else MeteredSocket
        sessid = self.worker_name + secrets.token_urlsafe(15)
        socket = cls(self, sessid, protocol, opening, self.timers.heartbeat(protocol.pings))
        socket.handshake.address = address
        self.sessions.add(socket)
        self.timers.await_connect(socket)
        self.timers.lag.start()
        return socket

    def find(self, sid: str) -> Socket | None:
        """The socket of the session ``sid``: the door for requests, and for whoever else comes from outside.

        None where there is no such session, or none any more; also while its handshake is unanswered. One that has
        ended is found as long as its client has to be told so.
        """
        self.timers.deadlines.fire_due()  # nobody must find a session whose time was up before
        return self.sessions.find(sid)

    def opened(self, socket: Socket) -> None:
        """The handshake is about to be answered."""
        socket.open()
        self.timers.await_connect(socket)
        socket.heartbeat.opened(socket)
        self.metrics.opened(socket.protocol.generation, socket.transport_name)

    def joined(self, socket: Socket) -> None:
        """The client is in a namespace: it is no idle connection."""
        self.timers.connected(socket)

    def closed(self, socket: Socket) -> None:
        """The connection is over."""
        socket.heartbeat.closed(socket)
        self.timers.connected(socket)
        self.sessions.close(socket)
        self.metrics.closed(socket.protocol.generation, socket.transport_name, socket.reason)

    def trim(self, socket: Socket) -> None:
        """Only a little of what was queued for it waits for the next poll of a client that was disconnected."""
        self.sessions.trim(socket)

    def forget(self, socket: Socket) -> None:
        """The client of a gone session knows of its end: nothing reaches the session any more."""
        self.sessions.forget(socket)

    def ended(self, socket: Socket) -> None:
        """The life of the session is over: handlers, view and clean-up are done."""
        if socket.state is SocketState.OPENING:
            self.sessions.remove(socket)
            self.timers.connected(socket)
        socket.break_cycles()
        self.admission.leave(socket.handshake.address)
        if not self.active_sessions:
            self.timers.stop_if_idle()
            self.eager_runner.close()
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    async def wait_idle(self) -> None:
        """Wait until all sessions have ended."""
        while self.active_sessions:
            if self._idle is None or self._idle.done():
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._idle])  # shared: one waiter's cancellation is not the others'

    # What sessions share.

    def check(self, packet: Packet) -> None:
        """Raise `UsageError` for a packet that nobody receives and that could not be sent to anybody."""
        self.custom_json.check(packet)
