"""MemberLifecycle: how one client comes into namespaces, and leaves them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from asocketio.errors import ConnectionRefused, EventRefused, Overflow, Refused, StrayPacket
from asocketio.protocol.packet import Packet, PacketType
from asocketio.session.backlog import weight
from asocketio.session.close_reasons import CLIENT_DISCONNECT, FORCED_CLOSE
from asocketio.session.connect_replies import (
    ack_duplicate_connect,
    send_connect_error,
    send_too_large_auth,
    send_too_many_namespaces,
    send_unknown_namespace,
)
from asocketio.session.handlers import Handlers, initialize
from asocketio.session.interfaces import NamespaceObject
from asocketio.session.member import Member
from asocketio.session.metering import timed
from asocketio.session.middleware import Invocation, Middleware, Passage, admit, through
from asocketio.session.namespaces import Namespaces, Served
from asocketio.session.recovery import come_back, enter, leave, save, take_claim
from asocketio.session.reporting import is_late, raised, report
from asocketio.session.socket import Socket
from asocketio.session.states import OPEN

__all__ = ["MemberLifecycle"]

INTERNAL_ERROR = "Internal server error"


class MemberLifecycle:
    """Connects and disconnects the members of one socket. It decides nothing about when: see `Dispatcher`."""

    __slots__ = ("_context", "namespaces", "refusal", "socket")

    def __init__(self, socket: Socket, namespaces: Namespaces, context: Context) -> None:
        self.socket = socket
        self.namespaces = namespaces
        self.refusal: Refused | None = None
        """The global namespace refused a client to whom that is the connection."""
        self._context = context

    def handlers_of(self, namespace: str) -> Handlers | None:
        """The handlers of a namespace; None where there is no such namespace for this client."""
        member = self.socket.members.get(namespace)
        instance: NamespaceObject | None = getattr(member, "instance", None)  # none yet while it connects
        if instance is not None:
            return instance._handlers  # pyright: ignore[reportPrivateUsage]
        found = self.namespaces.resolve(namespace)
        return None if found is None else found.cls._handlers  # pyright: ignore[reportPrivateUsage]

    def knows(self, namespace: str) -> bool:
        """Whether the client is in ``namespace``, or may have been on this connection: what it sends there is late.

        Of the names of a pattern none is remembered: they have no end.
        """
        socket = self.socket
        if namespace in socket.members or namespace in socket.former_namespaces:
            return True
        return namespace not in self.namespaces.names and self.namespaces.resolve(namespace) is not None

    def recipient(self, packet: Packet) -> Member | None:
        """The member that handles ``packet``; None if it comes too late: the client has left, or was refused.

        Raises:
            StrayPacket: the client has never been in that namespace.
        """
        member = self.socket.members.get(packet.endpoint)
        if member is not None and member.rule.handles_events:
            return member
        if member is None and not self.knows(packet.endpoint):
            raise StrayPacket(
                f"an {packet.type.value} for the namespace {packet.endpoint[:100] or '/'!r}, which it never joined"
            )
        return None

    # In.

    async def connect(self, packet: Packet) -> None:
        """The client asks for a namespace: admit it, or answer why not."""
        socket, namespace = self.socket, packet.endpoint
        if socket.state is not OPEN:
            return
        found = self.namespaces.resolve(namespace)
        if found is None:
            send_unknown_namespace(socket, namespace, self.namespaces.declared)
            return
        if namespace in socket.members:
            ack_duplicate_connect(socket, namespace)
            return
        if len(socket.members) >= socket.config.max_namespaces:
            send_too_many_namespaces(socket, namespace)
            return
        claim = take_claim(socket, packet.data)
        try:
            auth = _kept_auth(socket, packet.data) if packet.data else None
        except Overflow:
            send_too_large_auth(socket, namespace)
            return
        restored = None if claim is None else await come_back(socket, namespace, claim)
        if socket.state is not OPEN:
            return
        member = enter(socket, namespace, found.params, restored)
        member.auth = auth
        if socket.protocol.opens_global:
            packet.data = {**socket.handshake.query, **packet.data}
        await self._connect(member, found, packet)

    async def _connect(self, member: Member, found: Served, packet: Packet) -> None:
        socket = self.socket
        member.connector = asyncio.current_task()
        socket.members[member.namespace] = member
        try:
            await self._admit(member, found, packet)
        except BaseException as error:
            if self._is_current(member):
                await self._refuse(member, found.cls.__name__, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            if self._is_current(member):
                socket.server.joined(socket)
                member.accept()

    def _is_current(self, member: Member) -> bool:
        """Whether it is still in the table: a ``recv_connect`` may outlive even its cancellation."""
        return self.socket.members.get(member.namespace) is member

    async def _admit(self, member: Member, found: Served, packet: Packet) -> None:
        """Make the namespace object, and ask its ``recv_connect``, through its middleware. Raises to refuse."""
        socket = self.socket
        member.instance = found.cls(socket.environ, member.namespace, socket.request)
        initialize(member.instance)
        member.handle = self._wrapped(member, found)
        chain = self._middleware_of(member)
        if chain:
            await admit(chain, member.instance, packet, partial(self._ask, member))
        else:
            await self._ask(member, packet)
        member.handle = self._wrapped(member, found)  # it may have set handlers

    async def _ask(self, member: Member, packet: Packet) -> None:
        """Ask ``recv_connect``, which raises to refuse."""
        admitted: Any = member.instance.process_packet(packet)
        if hasattr(admitted, "__await__"):
            admitted = await admitted
        if admitted is False:
            self.socket.server.throttled_log.error(
                "returned False",
                "%s: recv_connect returned False, so the client is refused; write raise ConnectionRefused(...)",
                member, about=member.namespace,
            )  # fmt: skip
            raise ConnectionRefused

    def _wrapped(self, member: Member, found: Served) -> Callable[[Packet], Any]:
        """The handling of events by ``member``, with what goes round each handler; composed once."""
        handle, metrics = member.instance.way_of_events, self.socket.config.metrics
        chain = self._middleware_of(member)
        if chain:
            handle = through(chain, member.instance, handle)
        if metrics is None:
            return handle
        return timed(handle, found.declared, member.instance._handlers, metrics)  # pyright: ignore[reportPrivateUsage]

    def _middleware_of(self, member: Member) -> tuple[Middleware, ...]:
        """The app's, then that of the namespace's class: the order from the outside."""
        return (*self.socket.config.middleware, *member.instance._handlers.middleware)  # pyright: ignore[reportPrivateUsage]

    async def _refuse(self, member: Member, cls: str, error: BaseException) -> None:
        socket = self.socket
        data: dict[str, Any] = {"message": INTERNAL_ERROR}
        if isinstance(error, EventRefused):
            error = ConnectionRefused(error.name, error.details)
        if isinstance(error, ConnectionRefused):
            about = f"{member.namespace} {error.message}"
            socket.server.throttled_log.info("refused", "%s: refused: %.100r", member, error.message, about=about)
            data["message"] = error.message
            if error.data is not None:
                data["data"] = error.data
        elif not is_late(socket, error, member.namespace) and socket.state is OPEN:
            raised(error, f"{member}: recv_connect of {cls}, or the making of it,", socket, member.namespace, "connect")
            report(socket, member.namespace, "handler_error", "recv_connect failed", None, quiet=True)
        await self._remove(member, "refused")
        if socket.protocol.global_is_connection and not member.namespace:
            self.refusal = Refused(data["message"])
            socket.close(FORCED_CLOSE)
            return
        send_connect_error(socket, member.namespace, data)

    # Out.

    async def disconnect(self, packet: Packet) -> None:
        """The client leaves a namespace, or the server disconnects it from there (``data`` is the member then)."""
        member = self.socket.members.get(packet.endpoint)
        if isinstance(packet.data, Member):
            if member is packet.data:
                await self.close_member(packet.data, packet.data.reason)
        elif member is None:
            self.recipient(packet)
        else:
            await self.close_member(member, CLIENT_DISCONNECT)

    async def close_members(self) -> None:
        """The connection is over: every namespace is left, where that is not under way."""
        reason = self.socket.reason
        for member in list(self.socket.members.values()):
            if member.rule.connecting:
                await self._remove(member, reason)
            elif member.rule.disconnect_due:
                await self.close_member(member, member.reason or reason)

    async def close_member(self, member: Member, reason: str) -> None:
        """The client has left a namespace: ``recv_disconnect``, then its jobs end, then it leaves its rooms."""
        if member.trail is not None:
            save(member)
        member.begin_disconnect(reason)
        try:
            await self._run_disconnect_hook(member, Packet(PacketType.DISCONNECT, member.namespace, data=reason))
        finally:
            await self._remove(member, reason)

    async def _run_disconnect_hook(self, member: Member, packet: Packet) -> None:
        """Run ``recv_disconnect`` through the middleware, or without it where that does not come to call it."""
        chain = self._middleware_of(member)
        if chain:
            passage = Passage(chain, Invocation(member.instance, packet), member.instance.process_packet)
            await self._run_in_grace(member, passage.run)
            passage.closed = True
            if passage.reached:
                return
        await self._run_in_grace(member, member.instance.process_packet, packet)

    async def _run_in_grace(self, member: Member, function: Callable[..., Any], *args: Any) -> None:
        """Run a hook within ``close_grace``, in a task of its own: what it raises is its own affair."""
        socket = self.socket
        task, done = self.run_apart(function, *args)
        if task is not None:
            with socket.server.clock.deadline(socket.config.close_grace, shield=True):
                await asyncio.wait([done])
            if not done.done():
                socket.server.throttled_log.error(
                    "endless", "%s: recv_disconnect was cancelled after close_grace", member, about=member.namespace
                )
                task.cancel()
                return
        error = done.result()
        if error is not None and not is_late(socket, error, member.namespace):
            raised(error, f"{member}: recv_disconnect", socket, member.namespace, "disconnect")
            report(socket, member.namespace, "handler_error", "recv_disconnect failed", None, quiet=True)

    def run_apart(
        self, function: Callable[..., Any], *args: Any
    ) -> tuple[asyncio.Task[None] | None, asyncio.Future[BaseException | None]]:
        """Run ``function`` apart from whoever waits for it, see `EagerRunner.run_apart`."""
        return self.socket.server.eager_runner.run_apart(self._context.copy(), function, *args)

    async def _remove(self, member: Member, reason: str) -> None:
        socket = self.socket
        socket.acks.fail(reason, member.namespace)
        member.leave(reason)
        try:
            await member.stop_jobs()
        finally:  # whoever is cancelled in there, no ghost stays in a room
            socket.server.adapter.remove(member)
            if member.trail is not None:
                leave(member)
            if member.namespace in self.namespaces.names and member.namespace not in socket.former_namespaces:
                socket.former_namespaces |= {member.namespace}
            socket.members.pop(member.namespace, None)
            member.break_cycles()

    def break_cycles(self) -> None:
        """See `Socket.break_cycles`."""
        self.socket = weakref.proxy(self.socket)


def _kept_auth(socket: Socket, auth: dict[str, Any]) -> dict[str, Any]:
    """What is kept of what a client gave for one namespace: the same for all where it gave the same.

    Raises:
        Overflow: all that it gave, for all namespaces, is more than ``max_head`` bytes of memory.
    """
    kept: list[dict[str, Any]] = []
    for other in socket.members.values():
        if other.auth is not None and other.auth == auth:
            return other.auth
        if other.auth is not None and not any(other.auth is each for each in kept):
            kept.append(other.auth)
    most = socket.config.max_head
    if weight([auth, *kept], most) > most:
        raise Overflow("auth takes more than max_head", "in")
    return auth
