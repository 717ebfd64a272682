"""Dispatcher: takes a client's packets to its namespaces, in order.

There is one way: an idle socket's packet is handled at once, in place; while a handler runs (or
``concurrency`` of them), packets wait in the backlog. Connects and disconnects run alone, so no
event meets a namespace that is half there; what they do is the business of `MemberLifecycle`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Collection
from contextvars import Context
from time import perf_counter
from typing import Any

from asocketio.errors import ProtocolError
from asocketio.protocol.packet import ACK, EVENT, Packet, PacketType
from asocketio.runtime.awaitables import Waiters
from asocketio.runtime.eager_runner import BLOCKED, PooledTask
from asocketio.session.backlog import Backlog
from asocketio.session.connect_replies import send_connect_error
from asocketio.session.handler_call import HandlerCall, acknowledge, call_back
from asocketio.session.lifecycle import MemberLifecycle
from asocketio.session.member import Member
from asocketio.session.namespaces import Namespaces
from asocketio.session.reporting import answer_error, report
from asocketio.session.socket import Socket
from asocketio.session.states import JOINED

__all__ = ["Dispatcher"]


class Dispatcher:
    """The packets of one socket, on their way to its namespaces."""

    __slots__ = (
        "_context",
        "_eager_runner",
        "_idle",
        "_limit",
        "_running_backlog",
        "_suspended",
        "_taken",
        "backlog",
        "lifecycle",
        "socket",
    )

    def __init__(self, socket: Socket, namespaces: Namespaces, context: Context) -> None:
        self.socket = socket
        self.lifecycle = MemberLifecycle(socket, namespaces, context)
        """How the client comes into namespaces, and leaves them."""
        self.backlog: Backlog | None = None
        """What waits for its turn; None when nothing does."""
        self._eager_runner = socket.server.eager_runner
        self._context = context
        self._limit = socket.config.concurrency
        self._taken = 0  # of ``_limit`` slots; a connect or a disconnect takes all, a callback none
        self._running_backlog = False
        self._suspended: set[HandlerCall] | None = None
        self._idle: Waiters | None = None

    @property
    def namespaces(self) -> Namespaces:
        """The namespaces that the client may ask for."""
        return self.lifecycle.namespaces

    # How much there is to do.

    @property
    def full(self) -> bool:
        """Over 1/16 of what may wait is waiting: transports should stop reading."""
        return self.backlog is not None and self.backlog.above_high_water

    @property
    def waiting(self) -> int:
        """Packets that wait for their turn."""
        return 0 if self.backlog is None else len(self.backlog)

    @property
    def running(self) -> int:
        """Handlers that have started, and wait for something."""
        return sum(1 for call in self.suspended if call.slots)

    @property
    def suspended(self) -> Collection[HandlerCall]:
        """Handlers and callbacks that have started, and wait for something."""
        return self._suspended or ()

    @property
    def busy(self) -> bool:
        """Something is being handled, or waits for its turn."""
        return bool(self._taken or self.backlog is not None or self._suspended)

    # Packets.

    def submit(self, packet: Packet) -> None:
        """Handle a packet when its turn has come: now, if nothing else is being handled.

        Raises:
            ProtocolError: its turn was now, and it is not allowed.
        """
        if self.backlog is None:
            if packet.type is EVENT:  # `_begin` in place, for what most packets are
                if self._taken < self._limit:
                    member = self.socket.members.get(packet.endpoint)
                    if member is None or member.state is not JOINED:
                        self._begin(packet)
                    else:
                        self._start(packet, member.handle)
                    return
            elif self._may_begin(packet):
                self._begin(packet)
                return
        if not self._queue().put(packet):
            self.backlog = None
            self.socket.close_flooding()

    def enqueue_disconnect(self, member: Member) -> None:
        """Close a member after what is being handled; never in place, for its own handler may be asking."""
        self._queue().put(Packet(PacketType.DISCONNECT, member.namespace, data=member))
        asyncio.get_running_loop().call_soon(self._run_backlog)

    def _queue(self) -> Backlog:
        if self.backlog is None:
            self.backlog = Backlog(self.socket.config)
        return self.backlog

    def _run_backlog(self) -> None:
        """Start what waits, as far as it may."""
        if self.backlog is None or self._running_backlog:
            return
        self._running_backlog = True
        try:
            while self._begin_next():
                pass
        finally:
            self._running_backlog = False
        if not self.full:
            self.socket.reader.resume()

    def _begin_next(self) -> bool:
        """Start the packet whose turn is next; False when there is none, or it may not start yet."""
        backlog = self.backlog
        if backlog is None or not self._may_begin(backlog.first):
            return False
        packet = backlog.take()
        if not backlog:
            self.backlog = None
        try:
            self._begin(packet)
        except ProtocolError as error:
            self.socket.refuse(error)
            if not isinstance(error, self.socket.protocol.nonfatal_errors):
                self.backlog = None
        return True

    def reject(self, packet: Packet, name: str, message: str) -> None:
        """Do not handle a packet: tell the program's error handler, and the client if it waits for an answer."""
        report(self.socket, packet.endpoint, name, message, packet.id, quiet=True)
        if packet.type is PacketType.CONNECT:
            send_connect_error(self.socket, packet.endpoint, {"message": name})
        elif packet.ack == "data" and packet.endpoint in self.socket.members:
            answer_error(self.socket, packet, name, message)

    # Handlers.

    def _may_begin(self, packet: Packet) -> bool:
        return self._taken == 0 if packet.type in _EXCLUSIVE else self._taken < self._limit

    def _begin(self, packet: Packet) -> None:
        """Start a packet whose turn has come, if there still is somebody to handle it."""
        lifecycle = self.lifecycle
        if packet.type in _EXCLUSIVE:
            handle = lifecycle.connect if packet.type is PacketType.CONNECT else lifecycle.disconnect
            self._start(packet, handle, self._limit)
            return
        member = lifecycle.recipient(packet)
        if member is not None:
            self._start(packet, member.handle)

    def _start(self, packet: Packet, handle: Callable[[Packet], Any], slots: int = 1) -> None:
        """The one way for a packet: ``handle`` runs at once, as far as it goes.

        Most end at once. A `HandlerCall` is made only for one that suspends or fails.
        """
        self._taken += slots
        began = perf_counter()
        try:
            result = self._eager_runner.step(self._context.copy(), handle, packet)
        except (KeyboardInterrupt, SystemExit):  # what ends the process
            raise
        except BaseException as error:
            call = HandlerCall(self, packet, slots)
            self._eager_runner.warn_if_blocked(call, began)
            self.on_handler_done(call, None, error)
            return
        if perf_counter() - began > BLOCKED:
            self._eager_runner.warn_if_blocked(HandlerCall(self, packet, slots), began)
        if type(result) is PooledTask:
            self._watch(HandlerCall(self, packet, slots), result)
            return
        self._taken -= slots
        try:
            if packet.ack == "data":
                acknowledge(self, packet, result)
        finally:
            if self.backlog is not None or self._idle is not None:
                self._go_on()

    def _watch(self, call: HandlerCall, task: PooledTask) -> None:
        call.task = task.then(call)
        if self._suspended is None:
            self._suspended = set()
        self._suspended.add(call)
        self.socket.server.watch(call)

    def on_handler_done(self, call: HandlerCall, result: Any, error: BaseException | None) -> None:
        """A handler has ended: answer its ack, and start what waits."""
        self._taken -= call.slots
        if call.task is not None and self._suspended is not None:
            self._suspended.discard(call)
            self.socket.server.unwatch(call)
        try:
            if error is not None:
                call.on_error(error)
            elif call.packet.ack == "data":
                acknowledge(self, call.packet, result)
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """A handler has ended: start what waits, or say that nothing is left to do."""
        self._run_backlog()
        if self._idle is not None and not self.busy:
            idle, self._idle = self._idle, None
            idle.wake()

    def run(self, namespace: str, name: str, function: Callable[..., Any], *args: Any) -> None:
        """Run a callback of the program past the queue; its exceptions are logged."""
        self._start(Packet(ACK, namespace, name=name), lambda _: call_back(name, function, args), slots=0)

    # The end.

    async def wait_idle(self) -> None:
        """Wait until nothing is being handled, or the socket has ended."""
        if not self.busy:
            return
        either = [asyncio.ensure_future(self.wait_done()), asyncio.ensure_future(self.socket.wait_closed())]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in either:
                waiting.cancel()

    async def wait_done(self) -> None:
        """Wait until nothing is being handled, whether or not the socket has ended."""
        while self.busy:
            if self._idle is None:
                self._idle = Waiters()
            await self._idle.wait()

    def cancel_handlers(self) -> None:
        """Drop what waits, and cancel what runs, but for a disconnect: that has deadlines of its own."""
        self.backlog = None
        for call in list(self.suspended):
            if call.packet.type is not PacketType.DISCONNECT:
                call.cancel()

    def break_cycles(self) -> None:
        """See `Socket.break_cycles`. What still runs against all rules keeps what it needs."""
        if not self.busy:
            self.socket = weakref.proxy(self.socket)
            self.lifecycle.break_cycles()


_EXCLUSIVE = frozenset({PacketType.CONNECT, PacketType.DISCONNECT})
