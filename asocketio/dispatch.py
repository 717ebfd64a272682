"""Dispatcher: takes a client's packets to its namespaces, in order.

There is one way: an idle socket's packet is handled at once, in place; while a handler runs (or
``concurrency`` of them), packets wait in the backlog. Connects and disconnects run alone, so no
event meets a namespace that is half there.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any

import anyio

from asocketio.answers import say_again, say_refused, say_unknown
from asocketio.errors import ConnectionRefused, Disconnected, Overflow, ProtocolError, Refused, StrayPacket, UsageError
from asocketio.failures import raised
from asocketio.handlers import initialize
from asocketio.log import log
from asocketio.member import Member, MemberState
from asocketio.metered import timed
from asocketio.packet import Packet, PacketType
from asocketio.socket import Socket, SocketState
from asocketio.work import Work, error_answer

if TYPE_CHECKING:
    from asocketio.namespace import BaseNamespace

__all__ = ["Dispatcher"]

Namespaces = Mapping[str, "type[BaseNamespace]"]

INTERNAL_ERROR = "Internal server error"


class Dispatcher:
    """The packets of one socket, on their way to its namespaces."""

    __slots__ = (
        "_alone",
        "_backlog",
        "_context",
        "_idle",
        "_limit",
        "_pumping",
        "_size",
        "_socket",
        "_stepper",
        "_suspended",
        "namespaces",
        "refusal",
        "running",
    )

    def __init__(self, socket: Socket, namespaces: Namespaces, context: Context) -> None:
        self.namespaces = namespaces
        self.running = 0
        """Handlers that have started and not ended."""
        self.refusal: Refused | None = None
        """The global namespace refused a client to whom that is the connection."""
        self._socket = socket
        self._stepper = socket.server.stepper
        self._limit = socket.config.concurrency
        self._context = context
        self._backlog: deque[tuple[Packet, int]] | None = None  # made when something first has to wait
        self._size = 0
        self._alone = False
        self._pumping = False
        self._suspended: set[Work] | None = None
        self._idle: asyncio.Future[None] | None = None

    def sid_in(self, endpoint: str) -> str:
        """See `Socket.sid_in`."""
        return self._socket.sid_in(endpoint)

    def fields(self, packet: Packet) -> dict[str, str]:
        """See `Socket.fields`."""
        return self._socket.fields(packet.endpoint, packet.name)

    @property
    def full(self) -> bool:
        """Over 1/16 of what may wait is waiting: transports should stop reading."""
        if not self._backlog:
            return False
        config = self._socket.config
        return self._size > config.max_backlog // 16 or len(self._backlog) > config.max_backlog_packets // 16

    @property
    def waiting(self) -> int:
        """Packets that wait for their turn."""
        return len(self._backlog or ())

    def submit(self, packet: Packet, size: int = 0) -> None:
        """Handle a packet when its turn has come: now, if nothing else is being handled.

        Raises:
            ProtocolError: its turn was now, and it is not allowed.
        """
        if not self._backlog:
            if packet.type is _EVENT:
                if self.running < self._limit and not self._alone:
                    self._start_event(packet)
                    return
            elif self._may_start(packet):
                self._start(packet)
                return
        backlog = self._queue
        backlog.append((packet, size))
        self._size += size
        config = self._socket.config
        if self._size - size > config.max_backlog or len(backlog) > config.max_backlog_packets:
            self._drop_backlog()  # it was full before this one
            self._socket.flooded()

    def submit_goodbye(self, member: Member) -> None:
        """End a member after what is being handled; never in place, for its own handler may be asking."""
        goodbye = Packet(PacketType.DISCONNECT, member.endpoint, data=member)
        self._queue.append((goodbye, 0))
        asyncio.get_running_loop().call_soon(self._pump)

    @property
    def _queue(self) -> deque[tuple[Packet, int]]:
        if self._backlog is None:
            self._backlog = deque()
        return self._backlog

    def _may_start(self, packet: Packet) -> bool:
        if self._alone:
            return False
        if packet.type in _ALONE:
            return self.running == 0
        return self.running < self._limit

    def _start_event(self, packet: Packet) -> None:
        """`_start` for what most packets are."""
        member = self._socket.members.get(packet.endpoint)
        if member is None or member.leaving or member.state is not _JOINED:
            member = self._member(packet)
            if member is None:
                return
        work = Work(self, packet, False)
        self.running += 1
        work.task = self._stepper.start(self._context.copy(), work, member.handle, packet)
        if work.task is not None:
            self._watch(work)

    def _start(self, packet: Packet) -> None:
        alone = packet.type in _ALONE
        if alone:
            handler: Any = self._connect if packet.type is PacketType.CONNECT else self._disconnect
        else:
            member = self._member(packet)
            if member is None:
                return
            handler = self._timed(member, member.namespace.process_packet)
        work = Work(self, packet, alone)
        self.running += 1
        self._alone = alone
        work.task = self._socket.server.stepper.start(self._context.copy(), work, handler, packet)
        if work.task is not None:
            self._watch(work)

    def _timed(self, member: Member, handle: Callable[[Packet], Any]) -> Callable[[Packet], Any]:
        metrics = self._socket.config.metrics
        if metrics is None:
            return handle
        return timed(handle, member.endpoint, type(member.namespace)._handlers, metrics)  # pyright: ignore[reportPrivateUsage]

    def _member(self, packet: Packet) -> Member | None:
        """Who the packet is for; None if it comes too late: the client has left, or was refused."""
        member = self._socket.members.get(packet.endpoint)
        if member is not None and not member.leaving and member.state is not MemberState.LEFT:
            return member
        if member is None and packet.endpoint not in self._socket.left:
            raise StrayPacket(
                f"an {packet.type.value} for the namespace {packet.endpoint[:100] or '/'!r}, which it never joined"
            )
        return None

    def _watch(self, work: Work) -> None:
        if self._suspended is None:
            self._suspended = set()
        self._suspended.add(work)
        self._socket.server.watch(work)

    def finished(self, work: Work, result: Any, error: BaseException | None) -> None:
        """A handler has ended: answer its ack, and start what waits."""
        if work.packet.type is not PacketType.ACK:
            self.running -= 1
        if work.alone:
            self._alone = False
        if work.task is not None and self._suspended is not None:
            self._suspended.discard(work)
            self._socket.server.unwatch(work)
        try:
            if error is not None:
                self._failed(work, error)
            elif work.packet.ack == "data":
                self._acknowledge(work, result)
        finally:
            if self._backlog and not self._pumping:
                self._pump()
            if self._idle is not None and not self._idle.done() and not self._busy:
                self._idle.set_result(None)

    @property
    def _busy(self) -> bool:
        return bool(self.running or self._backlog or self._suspended)

    def _pump(self) -> None:
        """Start what waits, as far as it may."""
        if not self._backlog:
            return
        self._pumping = True
        try:
            while self._backlog and self._may_start(self._backlog[0][0]):
                packet, size = self._backlog.popleft()
                self._size -= size
                try:
                    self._start(packet)
                except ProtocolError as error:
                    self._socket.refuse(error)
                    if not isinstance(error, self._socket.protocol.forgives):
                        self._drop_backlog()
        finally:
            self._pumping = False
        if not self.full:
            self._socket.resume()

    def _acknowledge(self, work: Work, result: Any) -> None:
        packet = work.packet
        if packet.endpoint not in self._socket.members:
            return
        args = list(result) if type(result) is tuple else [] if result is None else [result]
        try:
            self._socket.members[packet.endpoint].post(
                self._socket.protocol.encode_ack(packet.endpoint, packet.id, args)
            )
        except UsageError as error:
            log.error("%s returned what %s", str(work), error)
            self._tell_failure(packet)
        except Exception as error:  # the value is the user's: its own methods may raise
            self._failed(work, error)

    def _failed(self, work: Work, error: BaseException) -> None:
        """A handler raised: log it, tell the client something it can act on, and go on."""
        packet = work.packet
        if isinstance(error, ProtocolError):
            self._socket.refuse(error)
            return
        if work.cancelled or self._is_late(error, packet.endpoint):
            log.debug("%s ended with its client: %r", str(work), error)
            return
        if isinstance(error, Overflow):
            self._socket.server.complaints.warning("overflow", "%s: %s", str(work), error, fields=work.fields)
        else:
            raised(error, str(work), self._socket, packet.endpoint, packet.name or packet.type.value)
        self._tell_failure(packet)

    def _tell_failure(self, packet: Packet) -> None:
        wanted = packet.ack == "data"
        message = f"The handler of {packet.name[:100]!r} failed" if packet.name else "The handler failed"
        quiet = wanted or packet.type is PacketType.ACK  # a callback is not the client's business
        self.report(packet.endpoint, "handler_error", message, packet.id, quiet=quiet)
        if wanted:
            self._answer_error(packet, "handler_error", message)

    def _answer_error(self, packet: Packet, name: str, message: str) -> None:
        answer = [error_answer(name, message)]
        self._socket.send_packet(Packet(PacketType.ACK, packet.endpoint, args=answer, id=packet.id))

    def drop(self, packet: Packet, name: str, message: str) -> None:
        """Do not handle a packet: tell the program's error handler, and the client if it waits for an answer."""
        self.report(packet.endpoint, name, message, packet.id, quiet=True)
        if packet.type is PacketType.CONNECT:
            say_refused(self._socket, packet.endpoint, {"message": name})
        elif packet.ack == "data" and packet.endpoint in self._socket.members:
            self._answer_error(packet, name, message)

    def _is_late(self, error: BaseException, endpoint: str) -> bool:
        """Code of a client that has gone tried to reach it: nothing to trouble anybody with."""
        member = self._socket.members.get(endpoint)
        return isinstance(error, Disconnected) and (member is None or member.gone)

    def report(self, endpoint: str, name: str, message: str, msg_id: int | None, *, quiet: bool) -> None:
        """Tell the program's error handler; if that fails too, log it."""
        try:
            self._socket.error(name, message, endpoint, msg_id, quiet)
        except Exception:  # the user's function
            log.exception("%s: the error_handler itself failed on %s", self._socket.sid_in(endpoint), name)

    def run(self, endpoint: str, name: str, function: Callable[..., Any], *args: Any) -> None:
        """Run a callback of the program past the queue; its exceptions are logged."""
        work = Work(self, Packet(PacketType.ACK, endpoint, name=name), alone=False)
        work.task = self._socket.server.stepper.start(self._context.copy(), work, function, *args)
        if work.task is not None:
            self._watch(work)

    # Namespaces come and go.

    async def _connect(self, packet: Packet) -> None:
        socket, endpoint = self._socket, packet.endpoint
        if socket.state is not SocketState.OPEN:
            return
        cls = self.namespaces.get(endpoint)
        if cls is None:
            say_unknown(socket, endpoint, self.namespaces)
            return
        if endpoint in socket.members:
            say_again(socket, endpoint)
            return
        if socket.protocol.opens_global:
            packet.data = {**socket.query, **packet.data}
        member = Member(socket, endpoint, socket.protocol.namespace_sid(socket.sessid, endpoint))
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
            await self._refused(member, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            if socket.members.get(endpoint) is member:  # else it outlived even its cancellation
                socket.server.joined(socket)
                member.accept()

    async def _refused(self, member: Member, error: BaseException) -> None:
        socket = self._socket
        data: dict[str, Any] = {"message": INTERNAL_ERROR}
        if isinstance(error, ConnectionRefused):
            log.info("%s: refused: %r", member, error.message)
            data["message"] = error.message
            if error.data is not None:
                data["data"] = error.data
        elif not self._is_late(error, member.endpoint) and socket.state is SocketState.OPEN:
            cls = self.namespaces[member.endpoint].__name__
            raised(error, f"{member}: recv_connect of {cls}, or the making of it,", socket, member.endpoint, "connect")
            self.report(member.endpoint, "handler_error", "recv_connect failed", None, quiet=True)
        await self._remove(member, "refused")
        if socket.protocol.global_is_connection and not member.endpoint:
            self.refusal = Refused(data["message"])
            socket.close("forced close")
            return
        say_refused(socket, member.endpoint, data)

    async def _disconnect(self, packet: Packet) -> None:
        member = self._socket.members.get(packet.endpoint)
        if isinstance(packet.data, Member):  # from `submit_goodbye`
            if member is packet.data:
                await self.end(packet.data, packet.data.reason)
        elif member is None:
            self._member(packet)
        else:
            await self.end(member, "client namespace disconnect")

    async def end(self, member: Member, reason: str) -> None:
        """The client has left a namespace: ``recv_disconnect``, then its jobs end, then it leaves its rooms."""
        member.ended = True
        member.leave(reason)
        try:
            await self._say_goodbye(member, Packet(PacketType.DISCONNECT, member.endpoint, data=reason))
        finally:
            await self._remove(member, reason)

    async def _say_goodbye(self, member: Member, packet: Packet) -> None:
        """Run ``recv_disconnect`` within ``close_grace``, in a task of its own: what it raises is its own affair."""
        socket = self._socket
        task, done = self._step(member.namespace.process_packet, packet)
        if task is not None:
            with socket.server.clock.deadline(socket.config.close_grace, shield=True):
                await asyncio.wait([done])
            if not done.done():
                log.error("%s: recv_disconnect was cancelled after close_grace", member)
                task.cancel()
                return
        error = done.result()
        if error is not None and not self._is_late(error, member.endpoint):
            raised(error, f"{member}: recv_disconnect", socket, member.endpoint, "disconnect")
            self.report(member.endpoint, "handler_error", "recv_disconnect failed", None, quiet=True)

    def _step(
        self, function: Callable[..., Any], *args: Any
    ) -> tuple[asyncio.Task[None] | None, asyncio.Future[BaseException | None]]:
        """Step ``function`` apart from whoever waits for it; the future holds what it raised, if anything."""
        done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        def finished(result: Any, error: BaseException | None) -> None:
            if not done.done():
                done.set_result(error)

        return self._socket.server.stepper.start(self._context.copy(), finished, function, *args), done

    async def _remove(self, member: Member, reason: str) -> None:
        socket = self._socket
        socket.fail_acks(member.endpoint, reason)
        member.leave(reason)
        try:
            await member.stop_jobs()
        finally:  # whoever is cancelled in there, no ghost stays in a room
            socket.server.adapter.remove(member)
            socket.left.add(member.endpoint)
            socket.members.pop(member.endpoint, None)
            member.release()

    async def settled(self) -> None:
        """Wait until nothing is being handled, or the socket has ended."""
        if not self._busy:
            return
        either = [asyncio.ensure_future(self._run_out()), asyncio.ensure_future(self._socket.wait_closed())]
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

    def finish_by_itself(self, ended: Callable[[asyncio.Future[BaseException | None]], None]) -> None:
        """`finish` for a socket that nobody waits for; then call ``ended``."""
        self._step(self._finish)[1].add_done_callback(ended)

    async def _finish(self) -> None:
        grace = self._socket.config.close_grace
        clock = self._socket.server.clock
        if self._busy:
            with clock.deadline(grace, shield=True):
                await self._run_out()
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
                await self._run_out()
        for work in self._suspended or ():
            log.error("%s does not end when cancelled", str(work))
        for member in list(self._socket.members.values()):
            if member.state is MemberState.CONNECTING:
                await self._remove(member, self._socket.reason)
            elif not member.ended:
                await self.end(member, member.reason or self._socket.reason)

    def release(self) -> None:
        """See `Socket.release`. What still runs against all rules keeps what it needs."""
        if not self._busy:
            self._socket = weakref.proxy(self._socket)

    async def _run_out(self) -> None:
        while self._busy:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def _drop_backlog(self) -> None:
        self._backlog = None
        self._size = 0


_EVENT = PacketType.EVENT
_JOINED = MemberState.JOINED
_ALONE = frozenset({PacketType.CONNECT, PacketType.DISCONNECT})
