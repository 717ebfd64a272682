"""Dispatcher: takes a client's packets to its namespaces, in order.

There is one way: an idle socket's packet is handled at once, in place; while a handler runs (or
``concurrency`` of them), packets wait in the backlog. Connects and disconnects run alone, so no
event meets a namespace that is half there.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import perf_counter
from typing import Any

import anyio

from asocketio.errors import ConnectionRefused, Overflow, ProtocolError, Refused, StrayPacket, UsageError
from asocketio.protocol.packet import ACK, EVENT, Packet, PacketType
from asocketio.runtime.awaitables import Waiters
from asocketio.runtime.eager_runner import BLOCKED, PooledTask, warn_if_blocked
from asocketio.runtime.log import log
from asocketio.session.connect_replies import ack_duplicate_connect, send_connect_error, send_unknown_namespace
from asocketio.session.handler_call import HandlerCall
from asocketio.session.handlers import initialize
from asocketio.session.member import Member
from asocketio.session.metering import timed
from asocketio.session.namespaces import Namespaces
from asocketio.session.reporting import answer_error, is_late, raised, report, tell_failure
from asocketio.session.socket import Socket
from asocketio.session.states import JOINED, OPEN

__all__ = ["Dispatcher"]
INTERNAL_ERROR = "Internal server error"


class Dispatcher:
    """The packets of one socket, on their way to its namespaces."""

    __slots__ = (
        "_context",
        "_idle",
        "_limit",
        "_running_backlog",
        "_size",
        "_stepper",
        "_suspended",
        "_taken",
        "backlog",
        "namespaces",
        "refusal",
        "socket",
    )

    def __init__(self, socket: Socket, namespaces: Namespaces, context: Context) -> None:
        self.namespaces = namespaces
        self.refusal: Refused | None = None
        """The global namespace refused a client to whom that is the connection."""
        self.socket = socket
        self._stepper = socket.server.stepper
        self._limit = socket.config.concurrency
        self._context = context
        self.backlog: deque[tuple[Packet, int]] | None = None  # made when something first has to wait
        self._size = 0
        self._taken = 0  # of the ``_limit`` slots; a connect or disconnect takes all, a callback none
        self._running_backlog = False
        self._suspended: set[HandlerCall] | None = None
        self._idle: Waiters | None = None

    @property
    def full(self) -> bool:
        """Over 1/16 of what may wait is waiting: transports should stop reading."""
        if not self.backlog:
            return False
        config = self.socket.config
        return self._size > config.max_backlog // 16 or len(self.backlog) > config.max_backlog_packets // 16

    @property
    def waiting(self) -> int:
        """Packets that wait for their turn."""
        return len(self.backlog or ())

    @property
    def running(self) -> int:
        """Handlers that have started, and wait for something."""
        return sum(1 for call in self._suspended or () if call.slots)

    def submit(self, packet: Packet, size: int = 0) -> None:
        """Handle a packet when its turn has come: now, if nothing else is being handled.

        Raises:
            ProtocolError: its turn was now, and it is not allowed.
        """
        if not self.backlog:
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
        backlog = self._queue
        backlog.append((packet, size))
        self._size += size
        config = self.socket.config
        if self._size - size > config.max_backlog or len(backlog) > config.max_backlog_packets:
            self._drop_backlog()  # it was full before this one
            self.socket.close_flooding()

    def enqueue_disconnect(self, member: Member) -> None:
        """End a member after what is being handled; never in place, for its own handler may be asking."""
        goodbye = Packet(PacketType.DISCONNECT, member.endpoint, data=member)
        self._queue.append((goodbye, 0))
        asyncio.get_running_loop().call_soon(self._run_backlog)

    @property
    def _queue(self) -> deque[tuple[Packet, int]]:
        if self.backlog is None:
            self.backlog = deque()
        return self.backlog

    def _may_begin(self, packet: Packet) -> bool:
        return self._taken == 0 if packet.type in _EXCLUSIVE else self._taken < self._limit

    def _begin(self, packet: Packet) -> None:
        """Start a packet whose turn has come, if there still is somebody to handle it."""
        if packet.type in _EXCLUSIVE:
            handle = self._connect if packet.type is PacketType.CONNECT else self._disconnect
            self._start(packet, handle, self._limit)
            return
        member = self._member(packet)
        if member is not None:
            self._start(packet, member.handle)

    def _start(self, packet: Packet, handle: Callable[[Packet], Any], slots: int = 1) -> None:
        """The one way for a packet: ``handle`` runs at once, as far as it goes.

        Most end at once. A `HandlerCall` is made only for one that suspends or fails.
        """
        self._taken += slots
        began = perf_counter()
        try:
            result = self._stepper.step(self._context.copy(), handle, packet)
        except (KeyboardInterrupt, SystemExit):  # what ends the process
            raise
        except BaseException as error:
            work = HandlerCall(self, packet, slots)
            warn_if_blocked(work, began)
            self.finished(work, None, error)
            return
        if perf_counter() - began > BLOCKED:
            warn_if_blocked(HandlerCall(self, packet, slots), began)
        if type(result) is PooledTask:
            work = HandlerCall(self, packet, slots)
            work.task = result.then(work)
            self._watch(work)
            return
        self._taken -= slots
        try:
            if packet.ack == "data":
                self._acknowledge(packet, result)
        finally:
            if self.backlog or self._idle is not None:
                self._go_on()

    def _timed(self, member: Member, handle: Callable[[Packet], Any]) -> Callable[[Packet], Any]:
        metrics = self.socket.config.metrics
        if metrics is None:
            return handle
        return timed(handle, member.endpoint, type(member.namespace)._handlers, metrics)  # pyright: ignore[reportPrivateUsage]

    def _member(self, packet: Packet) -> Member | None:
        """Who the packet is for; None if it comes too late: the client has left, or was refused."""
        member = self.socket.members.get(packet.endpoint)
        if member is not None and member.rule.handles_events:
            return member
        if member is None and packet.endpoint not in self.socket.former_namespaces:
            raise StrayPacket(
                f"an {packet.type.value} for the namespace {packet.endpoint[:100] or '/'!r}, which it never joined"
            )
        return None

    def _watch(self, work: HandlerCall) -> None:
        if self._suspended is None:
            self._suspended = set()
        self._suspended.add(work)
        self.socket.server.watch(work)

    def finished(self, work: HandlerCall, result: Any, error: BaseException | None) -> None:
        """A handler has ended: answer its ack, and start what waits."""
        self._taken -= work.slots
        if work.task is not None and self._suspended is not None:
            self._suspended.discard(work)
            self.socket.server.unwatch(work)
        try:
            if error is not None:
                self._failed(work, error)
            elif work.packet.ack == "data":
                self._acknowledge(work.packet, result)
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """A handler has ended: start what waits, or say that nothing is left to do."""
        if self.backlog and not self._running_backlog:
            self._run_backlog()
        if self._idle is not None and not self._busy:
            idle, self._idle = self._idle, None
            idle.wake()

    @property
    def _busy(self) -> bool:
        return bool(self._taken or self.backlog or self._suspended)

    def _run_backlog(self) -> None:
        """Start what waits, as far as it may."""
        if not self.backlog:
            return
        self._running_backlog = True
        try:
            while self.backlog and self._may_begin(self.backlog[0][0]):
                packet, size = self.backlog.popleft()
                self._size -= size
                try:
                    self._begin(packet)
                except ProtocolError as error:
                    self.socket.refuse(error)
                    if not isinstance(error, self.socket.protocol.nonfatal_errors):
                        self._drop_backlog()
        finally:
            self._running_backlog = False
        if not self.full:
            self.socket.reader.resume()

    def _acknowledge(self, packet: Packet, result: Any) -> None:
        socket, endpoint = self.socket, packet.endpoint
        member = socket.members.get(endpoint)
        if member is None:
            return
        args = list(result) if type(result) is tuple else [] if result is None else [result]
        try:
            encoded = socket.protocol.encode_ack(endpoint, packet.id, args)
            member.post(encoded)
        except UsageError as error:
            log.error("%s returned what %s", str(HandlerCall(self, packet)), error)
            tell_failure(self.socket, packet)
        except Exception as error:  # the value is the user's: its own methods may raise
            self._failed(HandlerCall(self, packet), error)

    def _failed(self, work: HandlerCall, error: BaseException) -> None:
        """A handler raised: log it, tell the client something it can act on, and go on."""
        packet = work.packet
        if isinstance(error, ProtocolError):
            self.socket.refuse(error)
            return
        if work.cancelled or is_late(self.socket, error, packet.endpoint):
            log.debug("%s ended with its client: %r", str(work), error)
            return
        if isinstance(error, Overflow):
            self.socket.server.throttled_log.warning("overflow", "%s: %s", str(work), error, fields=work.fields)
        else:
            raised(error, str(work), self.socket, packet.endpoint, packet.name or packet.type.value)
        tell_failure(self.socket, packet)

    def drop(self, packet: Packet, name: str, message: str) -> None:
        """Do not handle a packet: tell the program's error handler, and the client if it waits for an answer."""
        report(self.socket, packet.endpoint, name, message, packet.id, quiet=True)
        if packet.type is PacketType.CONNECT:
            send_connect_error(self.socket, packet.endpoint, {"message": name})
        elif packet.ack == "data" and packet.endpoint in self.socket.members:
            answer_error(self.socket, packet, name, message)

    def run(self, endpoint: str, name: str, function: Callable[..., Any], *args: Any) -> None:
        """Run a callback of the program past the queue; its exceptions are logged."""
        self._start(Packet(ACK, endpoint, name=name), lambda _: function(*args), slots=0)

    # Namespaces come and go.

    def serves(self, endpoint: str) -> bool:
        """Whether there is such a namespace for this client."""
        return endpoint in self.socket.members or self.namespaces.resolve(endpoint) is not None

    async def _connect(self, packet: Packet) -> None:
        socket, endpoint = self.socket, packet.endpoint
        if socket.state is not OPEN:
            return
        found = self.namespaces.resolve(endpoint)
        if found is None:
            send_unknown_namespace(socket, endpoint, self.namespaces.names)
            return
        if endpoint in socket.members:
            ack_duplicate_connect(socket, endpoint)
            return
        if socket.protocol.opens_global:
            packet.data = {**socket.handshake.query, **packet.data}
        cls, params = found
        member = Member(socket, endpoint, socket.protocol.namespace_sid(socket.sessid, endpoint), params)
        member.connector = asyncio.current_task()
        socket.members[endpoint] = member
        socket.server.adapter.add(member)
        try:
            member.namespace = cls(socket.environ, endpoint, socket.request)
            member.handle = self._timed(member, member.namespace.way_of_events)
            initialize(member.namespace)
            admitted: Any = member.namespace.process_packet(packet)
            if (await admitted if hasattr(admitted, "__await__") else admitted) is False:
                log.error(
                    "%s: recv_connect returned False, so the client is refused; write raise ConnectionRefused(...)",
                    member,
                )
                raise ConnectionRefused
        except BaseException as error:
            await self._refused(member, cls.__name__, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            if socket.members.get(endpoint) is member:  # else it outlived even its cancellation
                socket.server.joined(socket)
                member.accept()

    async def _refused(self, member: Member, cls: str, error: BaseException) -> None:
        socket = self.socket
        data: dict[str, Any] = {"message": INTERNAL_ERROR}
        if isinstance(error, ConnectionRefused):
            log.info("%s: refused: %r", member, error.message)
            data["message"] = error.message
            if error.data is not None:
                data["data"] = error.data
        elif not is_late(socket, error, member.endpoint) and socket.state is OPEN:
            raised(error, f"{member}: recv_connect of {cls}, or the making of it,", socket, member.endpoint, "connect")
            report(socket, member.endpoint, "handler_error", "recv_connect failed", None, quiet=True)
        await self._remove(member, "refused")
        if socket.protocol.global_is_connection and not member.endpoint:
            self.refusal = Refused(data["message"])
            socket.close("forced close")
            return
        send_connect_error(socket, member.endpoint, data)

    async def _disconnect(self, packet: Packet) -> None:
        member = self.socket.members.get(packet.endpoint)
        if isinstance(packet.data, Member):  # from `enqueue_disconnect`
            if member is packet.data:
                await self.end(packet.data, packet.data.reason)
        elif member is None:
            self._member(packet)
        else:
            await self.end(member, "client namespace disconnect")

    async def end(self, member: Member, reason: str) -> None:
        """The client has left a namespace: ``recv_disconnect``, then its jobs end, then it leaves its rooms."""
        member.begin_disconnect(reason)
        try:
            await self._run_disconnect_hook(member, Packet(PacketType.DISCONNECT, member.endpoint, data=reason))
        finally:
            await self._remove(member, reason)

    async def _run_disconnect_hook(self, member: Member, packet: Packet) -> None:
        """Run ``recv_disconnect`` within ``close_grace``, in a task of its own: what it raises is its own affair."""
        socket = self.socket
        task, done = self._step(member.namespace.process_packet, packet)
        if task is not None:
            with socket.server.clock.deadline(socket.config.close_grace, shield=True):
                await asyncio.wait([done])
            if not done.done():
                log.error("%s: recv_disconnect was cancelled after close_grace", member)
                task.cancel()
                return
        error = done.result()
        if error is not None and not is_late(socket, error, member.endpoint):
            raised(error, f"{member}: recv_disconnect", socket, member.endpoint, "disconnect")
            report(socket, member.endpoint, "handler_error", "recv_disconnect failed", None, quiet=True)

    def _step(
        self, function: Callable[..., Any], *args: Any
    ) -> tuple[asyncio.Task[None] | None, asyncio.Future[BaseException | None]]:
        """Step ``function`` apart from whoever waits for it; the future holds what it raised, if anything."""
        done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        def finished(result: Any, error: BaseException | None) -> None:
            if not done.done():
                done.set_result(error)

        return self.socket.server.stepper.start(self._context.copy(), finished, function, *args), done

    async def _remove(self, member: Member, reason: str) -> None:
        socket = self.socket
        socket.acks.fail(reason, member.endpoint)
        member.leave(reason)
        try:
            await member.stop_jobs()
        finally:  # whoever is cancelled in there, no ghost stays in a room
            socket.server.adapter.remove(member)
            socket.former_namespaces |= {member.endpoint}
            socket.members.pop(member.endpoint, None)
            member.break_cycles()

    async def wait_idle(self) -> None:
        """Wait until nothing is being handled, or the socket has ended."""
        if not self._busy:
            return
        either = [asyncio.ensure_future(self._wait_idle()), asyncio.ensure_future(self.socket.wait_closed())]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in either:
                waiting.cancel()

    # The end of the socket.

    async def finish(self) -> None:
        """What follows the end of a connection: handlers run out, then each namespace ends.

        It takes at most a few ``close_grace``; a cancellation that comes meanwhile waits for that.
        """
        _, done = self._step(self._finish)
        cancelled: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):  # it has its deadlines inside
            while not done.done():
                try:
                    await asyncio.wait([done])
                except asyncio.CancelledError as cancellation:
                    cancelled = cancellation
        error = cancelled or done.result()
        if error is not None:
            raise error

    def start_cleanup(self, ended: Callable[[asyncio.Future[BaseException | None]], None]) -> None:
        """`finish` for a socket that nobody waits for; then call ``ended``."""
        self._step(self._finish)[1].add_done_callback(ended)

    async def _finish(self) -> None:
        grace = self.socket.config.close_grace
        clock = self.socket.server.clock
        if self._busy:
            with clock.deadline(grace, shield=True):
                await self._wait_idle()
        if self._busy:
            self._drop_backlog()
            for work in list(self._suspended or ()):
                if work.packet.type is PacketType.DISCONNECT:
                    continue  # a namespace that is being left: that has deadlines of its own
                log.warning("%s was still running after close_grace: cancelled", str(work))
                work.cancelled = True
                if work.task is not None:
                    work.task.cancel()
            with clock.deadline(2 * grace, shield=True):
                await self._wait_idle()
        for work in self._suspended or ():
            log.error("%s does not end when cancelled", str(work))
        for member in list(self.socket.members.values()):
            if member.rule.connecting:
                await self._remove(member, self.socket.reason)
            elif member.rule.disconnect_due:
                await self.end(member, member.reason or self.socket.reason)

    def break_cycles(self) -> None:
        """See `Socket.break_cycles`. What still runs against all rules keeps what it needs."""
        if not self._busy:
            self.socket = weakref.proxy(self.socket)

    async def _wait_idle(self) -> None:
        while self._busy:
            if self._idle is None:
                self._idle = Waiters()
            await self._idle.wait()

    def _drop_backlog(self) -> None:
        self.backlog = None
        self._size = 0


_EXCLUSIVE = frozenset({PacketType.CONNECT, PacketType.DISCONNECT})
