"""BaseNamespace and its mixins: the classes that programs subclass. One object is one client in one namespace.

The names and hooks are gevent-socketio's. An event goes `process_packet` ->
`process_event` -> `call_method_with_acl` -> `call_method` -> ``on_...``. Each returns something
to await, and each may be overridden, by a plain method or an ``async def``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from threading import get_ident
from types import CoroutineType
from typing import Any, ClassVar

from asocketio.asgi.types import Scope
from asocketio.errors import AckTimeout, Disconnected, EventRefused, Overflow, UsageError
from asocketio.operators import CALL_TIMEOUT, BroadcastOperator, Namespace, checked_seconds, names
from asocketio.protocol.base import check_size
from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.packet import EVENT, Packet, PacketType
from asocketio.runtime.awaitables import COMPLETED, Completed
from asocketio.runtime.log import log
from asocketio.session.acks import unpack
from asocketio.session.handlers import Handler, Handlers, call_decorated_connect, read_handler
from asocketio.session.member import Member
from asocketio.session.middleware import Middleware, PassedPacket
from asocketio.session.own_names import check_names
from asocketio.session.recovery import is_recoverable, set_recoverable
from asocketio.session.reporting import error_answer, is_late, raised, report
from asocketio.session.socket import Socket
from asocketio.session.threads import check_loop, is_other_thread, run_in_loop

__all__ = ["BaseNamespace", "BroadcastMixin", "RoomsMixin"]

_NO_ENVIRON: Scope = {}


class BaseNamespace:
    """One client in one namespace; subclass it and write ``on_<event>`` methods.

    A handler may be ``async def`` or plain (short ones: they run on the event loop). What it
    returns answers the client's ack: a tuple is several arguments, None is none, anything else
    is one. A handler whose sole argument is named ``packet`` gets the whole `Packet`.
    """

    _handlers: Handlers
    """Those of the class; of the object, where functions were set on it."""
    middleware: ClassVar[Sequence[Middleware]] = ()
    """Coroutine functions ``(call, call_next)`` round each connect, event and disconnect, from the outside: set it in
    the class. That of the app is round them."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_names(cls, BaseNamespace)
        cls._handlers = Handlers.of_new(cls)

    def __init__(self, environ: Scope = _NO_ENVIRON, ns_name: str = "", request: Any = None) -> None:
        try:
            self.socket: Socket = environ["socketio"]
        except (KeyError, TypeError):
            name = type(self).__name__
            raise UsageError(
                f"{name}(...): the server makes the objects, one for each client; give it the class: "
                f"namespaces={{'/': {name}}}"
            ) from None
        self.environ = environ
        self.request = request
        self.ns_name = ns_name
        self.allowed_methods: set[str] | None = None
        self._member: Member = self.socket.members[ns_name]
        self.reset_acl()
        super().__init__()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ns_name or '/'} {self._member.sid}>"

    @property
    def session(self) -> dict[str, Any]:
        """A dict for the program's own use, shared by all namespaces of this client: live objects, for this process."""
        return self.socket.session

    @property
    def data(self) -> dict[str, Any]:
        """A dict of JSON values that others see as `RemoteSocket.data`, one for this client in this namespace.

        ``self.data = {...}`` replaces what is in it. Values that have no form as JSON stay behind, with a line in the
        log: when others ask for them; in tests, and where the event loop is in debug mode, at once.
        """
        member = self._member
        if member.data is None:
            member.data = {}
        member.watch_data()
        return member.data

    @data.setter
    def data(self, values: dict[str, Any]) -> None:
        if not isinstance(values, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"self.data is a dict, not {type(values).__name__}: self.data = {{'name': ...}}")
        self._member.data = dict(values)
        self._member.watch_data()

    @property
    def handshake(self) -> HandshakeInfo:
        """The request that opened this client's session, and what the client gave for this namespace (``auth``)."""
        return self._member.handshake

    @property
    def namespace(self) -> Namespace:
        """Everybody in this namespace, this client included: ``self.namespace.to("lobby").emit("x")``."""
        return Namespace(self.socket.server, self.ns_name)

    @property
    def sid(self) -> str:
        """A random name for others to know this client by, no secret; ``app.of(ns).to(sid)`` reaches it.

        From generation 4 on it is what the client calls ``socket.id``; older clients call something else so, which is
        made of the session's secret (`Socket.sessid`).
        """
        return self._member.sid

    @property
    def params(self) -> Mapping[str, Any]:
        """What the pattern of this namespace found in its name: ``{"order_id": 7}``. Empty without a pattern."""
        return self._member.params

    @property
    def recovered(self) -> bool:
        """The client has come back: its sid, its rooms and ``self.data`` are back, and it gets what it missed.

        True in ``recv_connect`` already: there is nothing to join anew. See the setting ``recovery``.
        """
        return self._member.trail is not None and self._member.trail.recovered

    @property
    def recoverable(self) -> bool:
        """Whether the client may come back in this way; with False, in ``recv_connect``, it may not.

        Raises:
            UsageError: it is set to True where it is False.
        """
        return is_recoverable(self._member)

    @recoverable.setter
    def recoverable(self, value: bool) -> None:
        set_recoverable(self._member, value)

    # Hooks to override.

    def initialize(self) -> None:
        """Set things up, before ``recv_connect``. Called on every class of the MRO that has its own."""

    # These two accept anything, so that type checkers allow overrides with and without the argument.

    def recv_connect(self, *args: Any, **kwargs: Any) -> Any:
        """``recv_connect(self, auth)`` or ``recv_connect(self)``: the client asks to join this namespace.

        ``auth`` is a dict, empty if the client gave none. Raise `ConnectionRefused` to keep the
        client out. Called once, on the global namespace too; what is emitted to the client here is
        sent after it is in.
        """

    def recv_disconnect(self, *args: Any, **kwargs: Any) -> Any:
        """``recv_disconnect(self, reason)`` or ``recv_disconnect(self)``: the client has left.

        Called exactly once for every client that was admitted, however it ended, while it is still
        in its rooms. ``reason`` is one of Node's: ``"transport close"``, ``"ping timeout"``, ...
        """

    def recv_message(self, data: Any, /) -> Any:
        """A message sent by the client's ``send()``, where there is no ``on_message``."""
        return data

    def recv_json(self, data: Any, /) -> Any:
        """A JSON message of a 0.9 client."""
        return data

    def recv_error(self, packet: Packet, /) -> Any:
        """An error packet of the client."""

    # Dispatch.

    def process_packet(self, packet: Packet) -> Awaitable[Any]:
        """Take a packet of this namespace to its method. Override it to replace all dispatch."""
        kind = packet.type
        if kind is EVENT:
            return self.process_event(packet)
        if kind is PacketType.CONNECT:
            return self.call_method("recv_connect", packet, packet.data)
        if kind is PacketType.DISCONNECT:
            return self.call_method("recv_disconnect", packet, packet.data)
        if kind is PacketType.ERROR:
            return self.call_method_with_acl("recv_error", packet, packet)
        method = "recv_json" if kind is PacketType.JSON else "recv_message"
        return self.call_method_with_acl(method, packet, packet.data)

    @property
    def way_of_events(self) -> Callable[[Packet], Any]:
        """The function that handles events: `process_packet`, or a short cut where no dispatch hook is overridden.

        It looks for handlers that were set on the class or the object since.
        """
        self._read_handlers()
        return self._handle if self._handlers.plain else self.process_packet

    def _handle(self, packet: Packet) -> Any:
        """The short cut of `process_packet`: the same result for an event whose handler exists and fits.

        Four calls less: 0.7 µs of an event. Everything else goes the long way.
        """
        handler = self._handlers.events.get(packet.name)
        if handler is None or self.allowed_methods is not None:
            return self.process_packet(packet)
        args = packet.args
        if handler.wants_packet:
            return getattr(self, handler.name)(packet)
        if len(args) < handler.least or (handler.most is not None and len(args) > handler.most):
            return self.process_packet(packet)
        return getattr(self, handler.name)(*args)

    def process_event(self, packet: Packet) -> Awaitable[Any]:
        """Find an event's method: by `event`, then ``on_<name>`` (a space is an underscore), then ``event("*")``."""
        method = self._handlers.find(packet.name)
        if method is not None:
            return self.call_method_with_acl(method, packet, *packet.args)
        if self._handlers.catch_all is not None:
            return self.call_method_with_acl(self._handlers.catch_all, packet, packet.name, *packet.args)
        method = self._find_late(packet.name)
        if method is not None:
            return self.call_method_with_acl(method, packet, *packet.args)
        return self._complain("no_such_method", f"There is no handler for the event {packet.name[:100]!r}", packet)

    def call_method_with_acl(self, method_name: str, packet: Packet, *args: Any) -> Awaitable[Any]:
        """Call a handler if the client has access to it."""
        if not self.is_method_allowed(method_name):
            return self._complain("method_access_denied", f'You do not have access to method "{method_name}"', packet)
        return self.call_method(method_name, packet, *args)

    def call_method(self, method_name: str, packet: Packet, *args: Any) -> Awaitable[Any]:
        """Call a handler with ``args``, or with the packet if that is what it asks for."""
        handler = self._handlers.by_name.get(method_name)
        fitting = None if handler is None else handler.arguments(packet, args)
        if fitting is None:
            handler = self._read_late(method_name)
            fitting = None if handler is None else handler.arguments(packet, args)
        if handler is None:
            return self._complain("no_such_method", f'The method "{method_name}" was not found', packet)
        if fitting is None:
            message = f'The method "{method_name}" takes {handler.takes}, {len(args)} given'
            return self._complain("invalid_arguments", message, packet)
        method = getattr(self, method_name)
        if self._handlers.decorated:
            decorate = self.exception_handler_decorator  # type: ignore[attr-defined]  # the user's own
            if packet.type is PacketType.CONNECT:
                return call_decorated_connect(method, decorate, fitting)
            method = decorate(method)
        result = method(*fitting)
        if type(result) is CoroutineType or hasattr(result, "__await__"):
            return result  # type: ignore[no-any-return]
        return Completed(result)

    # Handlers that were set after the class was created.

    def _read_handlers(self) -> None:
        """Read the handlers of the class, and of this object, as they are now."""
        handlers = self._read_class()
        own = handlers.with_own(self)
        if own is not handlers:
            self._handlers = own
        elif self._handlers is not handlers:
            del self._handlers  # what was set is gone

    @classmethod
    def _read_class(cls) -> Handlers:
        handlers = cls._handlers.current(cls)
        if cls._handlers is not handlers:
            cls._handlers = handlers
        return handlers

    def _find_late(self, event: str) -> str | None:
        """The method of an event that has no handler yet: set since the client came, or made by ``__getattr__``."""
        self._read_handlers()
        method = self._handlers.find(event)
        if method is not None or not event:
            return method
        method = "on_" + event.replace(" ", "_")
        return method if callable(getattr(self, method, None)) else None

    def _read_late(self, method_name: str) -> Handler | None:
        self._read_handlers()
        handler = self._handlers.by_name.get(method_name)
        if handler is not None or not method_name.startswith("on_"):
            return handler
        method = getattr(self, method_name, None)
        return read_handler(type(self), method_name, method) if callable(method) else None

    def _complain(self, name: str, message: str, packet: Packet) -> Awaitable[Any]:
        """Tell the error handler of an event that cannot be handled, and the client by its ack if it wants one."""
        if packet.type is PacketType.CONNECT:
            raise UsageError(message)  # a guard that cannot be called must not let anybody in
        if type(packet) is PassedPacket:
            raise EventRefused(name, message=message)  # to the middleware; what comes out of that is told to the client
        wanted = packet.ack == "data"
        self.error(name, message, packet.id, quiet=wanted)
        return Completed(error_answer(name, message) if wanted else None)

    def error(self, error_name: str, error_message: str, msg_id: int | None = None, quiet: bool = False) -> Any:
        """Tell the error handler of the socket; the default one logs it and, unless ``quiet``, tells the client."""
        return self.socket.error(error_name, error_message, self.ns_name, msg_id, quiet)

    # Access control.

    def get_initial_acl(self) -> Iterable[str] | None:
        """The names of the methods that a client may reach at first; None for all."""
        return None

    def reset_acl(self) -> None:
        """Back to `get_initial_acl`."""
        allowed = self.get_initial_acl()
        if isinstance(allowed, str):
            raise UsageError(f"get_initial_acl returned {allowed!r}: expected a list of method names, or None for all")
        self.allowed_methods = None if allowed is None else set(allowed)

    def is_method_allowed(self, method_name: str) -> bool:
        """Whether the client may reach the method. ``recv_connect`` and ``recv_disconnect`` are never asked for."""
        return self.allowed_methods is None or method_name in self.allowed_methods

    def add_acl_method(self, method_name: str) -> None:
        """Allow a method. The first one on an unrestricted namespace restricts it to that one."""
        if self.allowed_methods is None:
            self.allowed_methods = set()
        self.allowed_methods.add(method_name)

    def del_acl_method(self, method_name: str) -> None:
        """Forbid a method that was allowed.

        Raises:
            ValueError: nothing is restricted, so there is nothing to take away.
            KeyError: the method was not allowed.
        """
        if self.allowed_methods is None:
            raise ValueError(
                f"no ACL restrictions yet: {method_name!r} cannot be taken from them; write get_initial_acl"
            )
        self.allowed_methods.remove(method_name)

    def lift_acl_restrictions(self) -> None:
        """Allow all methods."""
        self.allowed_methods = None

    # Talking to this client.

    def emit(self, event: str, *args: Any, callback: Callable[..., Any] | None = None) -> Awaitable[None]:
        """Send an event: queued at the call, in order. Awaiting it waits for room in the queue.

        Called from another thread it is queued by the event loop, soon; awaiting it there waits for nothing.
        ``callback`` is called with the arguments of the client's ack. bytes travel as binary.

        Raises:
            UsageError: an argument has no JSON form, or the name is reserved.
            Overflow: the packet is over ``max_outbox``; with ``callback`` also: the client owes too many answers.
            Disconnected: the client is gone; only when awaited, or with ``callback``.
        """
        packet = Packet(EVENT, self.ns_name, event, list(args))
        member = self._member
        if callback is not None or get_ident() != member.socket.server.thread:
            return self._send(packet, callback)
        member.post(member.prepare(packet))
        return member.drained()

    def send(self, message: Any, json: bool = False, callback: Callable[..., Any] | None = None) -> Awaitable[None]:
        """Send a message: text, or a JSON value with ``json=True``. Clients from 1.0 on get an event ``message``."""
        if not json and not isinstance(message, str):
            raise UsageError(f"send() takes text, not {type(message).__name__}: write send(..., json=True), or emit")
        kind = PacketType.JSON if json else PacketType.MESSAGE
        return self._send(Packet(kind, self.ns_name, data=message), callback)

    def _send(self, packet: Packet, callback: Callable[..., Any] | None) -> Awaitable[None]:
        member = self._member
        server = member.socket.server
        if is_other_thread(server):
            check_size(member.protocol.encode(packet), server.config.max_outbox)
            run_in_loop(server, self._send, packet, callback)
            return COMPLETED
        if callback is not None and not member.rule.left and member.socket.connected:
            packet.id = member.socket.acks.expect(self.ns_name, self._answered_by(callback))
            packet.ack = "data"
        try:
            member.send(packet)
        except (UsageError, Overflow):
            if packet.id is not None:
                member.socket.acks.forget(packet.id)
            raise
        return member.drained()

    def _answered_by(self, callback: Callable[..., Any]) -> Callable[[list[Any] | None, BaseException | None], None]:
        name = getattr(callback, "__qualname__", type(callback).__name__)  # its repr may hold ids that are secrets

        def answered(args: list[Any] | None, error: BaseException | None) -> None:
            if args is not None:
                self._member.socket.dispatcher.run(self.ns_name, f"callback {name}", callback, *args)

        return answered

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait for the client's ack: `None` without arguments, one value, or a tuple of several.

        Raises:
            AckTimeout: no answer within ``timeout`` seconds; 60, if it is not given.
            Disconnected: the client is gone, or goes before it answers.
            UsageError: called in ``recv_connect``, where the client cannot answer yet, or outside of the event loop; or
                ``timeout`` is no number.
        """
        member, socket = self._member, self.socket
        check_loop(socket.server, "call", "asyncio.run_coroutine_threadsafe(self.call(...), loop).result()")
        if member.rule.left:
            raise Disconnected(member.reason)
        if member.connector is not None and asyncio.current_task() is member.connector:
            raise UsageError(
                f"call({event!r}) in recv_connect can never be answered: the client is not in yet; "
                "spawn a job that calls it"
            )
        seconds = CALL_TIMEOUT if timeout is None else checked_seconds(timeout)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        number = socket.acks.expect(self.ns_name, functools.partial(_answered, answer))
        timer = socket.server.clock.call_later(seconds, _give_up, answer, event, seconds)
        try:
            member.send(Packet(EVENT, self.ns_name, name=event, args=list(args), id=number, ack="data"))
            with socket.reader.hold_reading_open():
                return await answer
        finally:
            timer.cancel()
            socket.acks.forget(number)
            del answer, timer  # its exception leads back to this frame, and to the whole client

    # Talking to others. Each returns an BroadcastOperator: finish with emit or call.

    def to(self, *rooms: str) -> BroadcastOperator:
        """The others in any of these rooms (a sid is a room of one)."""
        return self._others().to(*rooms)

    def except_(self, *rooms: str) -> BroadcastOperator:
        """The others in this namespace who are in none of these rooms."""
        return self._others().except_(*rooms)

    @property
    def local(self) -> BroadcastOperator:
        """The others in this namespace whom this process serves."""
        return self._others().local

    @property
    def volatile(self) -> BroadcastOperator:
        """This client, unless it is a slow consumer: then the event is dropped. ``.volatile.to(...)`` for others."""
        return BroadcastOperator(self.socket.server, self.ns_name, member=self._member).volatile

    def timeout(self, seconds: float) -> BroadcastOperator:
        """This client, with a time-out in seconds for ``call``. ``.timeout(5).to(...)`` for others."""
        return BroadcastOperator(self.socket.server, self.ns_name, member=self._member).timeout(seconds)

    def _others(self) -> BroadcastOperator:
        return BroadcastOperator(self.socket.server, self.ns_name, sender=self._member)

    # Rooms.

    def join(self, room: str) -> Awaitable[None]:
        """Enter a room, at the call. A room exists as long as somebody is in it.

        Raises:
            Disconnected: the client has left the namespace.
            Overflow: it is in ``max_rooms`` already, or its rooms would take over ``max_room_bytes``.
            UsageError: ``room`` is no text, or another client's sid, here or (from generation 4 on) in any process.
        """
        names((room,))
        member = self._member
        if member.rule.left:
            raise Disconnected(member.reason)
        if room != member.sid and room not in (member.rooms or ()):
            member.check_room(room)
        server = member.socket.server
        if is_other_thread(server):
            server.adapter.local.check(member, room)
            run_in_loop(server, BaseNamespace.join, self, room)
        else:
            server.adapter.join(member, room)
        return COMPLETED

    def leave(self, room: str) -> Awaitable[None]:
        """Leave a room, at the call; not an error where the client was not in it.

        Raises:
            UsageError: ``room`` is no text.
        """
        names((room,))
        server = self._member.socket.server
        if is_other_thread(server):
            run_in_loop(server, server.adapter.leave, self._member, room)
        else:
            server.adapter.leave(self._member, room)
        return COMPLETED

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that this client is in, in this namespace, without its private one."""
        return frozenset(self._member.rooms or ())

    # Jobs and the end.

    def spawn(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.Task[None]:
        """Run ``fn`` as a job of this namespace: cancelled when the client leaves it. Returns its task.

        ``fn`` may be a coroutine function or a plain one. Its exceptions are logged.

        Raises:
            Disconnected: the client has left.
            UsageError: called outside of the server's event loop, or ``fn`` is no function.
        """
        if not callable(fn):
            if asyncio.iscoroutine(fn):
                fn.close()
            raise UsageError(f"spawn takes the function and its arguments: spawn(self.tick, 1), not spawn({fn!r})")
        member = self._member
        check_loop(member.socket.server, "spawn", "loop.call_soon_threadsafe(self.spawn, ...)")
        if self._handlers.decorated:
            fn = self.exception_handler_decorator(fn)  # type: ignore[attr-defined]  # the user's own
        if member.rule.left:
            raise Disconnected(member.reason)
        name = getattr(fn, "__qualname__", repr(fn))
        job = asyncio.get_running_loop().create_task(self._run_job(name, fn, args, kwargs), name=name)
        if member.jobs is None:
            member.jobs = set()
        member.jobs.add(job)
        job.add_done_callback(member.jobs.discard)
        return job

    async def _run_job(self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            work = fn(*args, **kwargs)
            if hasattr(work, "__await__"):
                await work
        except Exception as error:  # the user's function
            if is_late(self._member.socket, error, self.ns_name):
                log.debug("%s: job %s ended with its client: %r", self._member, name, error)
                return
            raised(error, f"{self._member}: job {name}", self._member.socket, self.ns_name, name)
            report(self.socket, self.ns_name, "handler_error", f"Job {name} failed", None, quiet=True)

    def kill_local_jobs(self) -> None:
        """Cancel all jobs of this namespace."""
        server = self._member.socket.server
        if is_other_thread(server):
            run_in_loop(server, BaseNamespace.kill_local_jobs, self)
            return
        for job in list(self._member.jobs or ()):
            job.cancel()

    def disconnect(self, silent: bool = False) -> Awaitable[None]:
        """Disconnect the client from this namespace. With ``silent`` it is not told.

        Returns once it is queued: ``recv_disconnect`` runs after the handlers that are running.
        ``self.socket.disconnect()`` disconnects it from all namespaces and closes the connection.
        """
        server = self._member.socket.server
        if is_other_thread(server):
            run_in_loop(server, BaseNamespace.disconnect, self, silent)
            return COMPLETED
        self._member.expel(silent=silent)
        return COMPLETED


def _answered(answer: asyncio.Future[Any], got: list[Any] | None, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(unpack(got or []))


def _give_up(answer: asyncio.Future[Any], event: str, seconds: float) -> None:
    _answered(answer, None, AckTimeout(f"no answer to {event!r} within {seconds} s"))


BaseNamespace._handlers = Handlers(BaseNamespace)  # pyright: ignore[reportPrivateUsage]


class RoomsMixin:
    """gevent-socketio's name for rooms: ``class Chat(BaseNamespace, RoomsMixin)``. It adds `emit_to_room`."""

    def join(self, room: str) -> Awaitable[None]:
        """`BaseNamespace.join`."""
        return BaseNamespace.join(_namespace_of(self), room)

    def leave(self, room: str) -> Awaitable[None]:
        """`BaseNamespace.leave`."""
        return BaseNamespace.leave(_namespace_of(self), room)

    @property
    def rooms(self) -> frozenset[str]:
        """`BaseNamespace.rooms`."""
        return frozenset(_member_of(self).rooms or ())

    def emit_to_room(self, room: str, event: str, *args: Any) -> Awaitable[None]:
        """Send an event to the others in a room."""
        member = _member_of(self)
        return BroadcastOperator(member.socket.server, member.namespace, names((room,)), sender=member).emit(
            event, *args
        )


class BroadcastMixin:
    """Broadcasts to a namespace: ``class Chat(BaseNamespace, BroadcastMixin)``."""

    def broadcast_event(self, event: str, *args: Any) -> Awaitable[None]:
        """Send an event to everybody in this namespace, this client included."""
        member = _member_of(self)
        return BroadcastOperator(member.socket.server, member.namespace).emit(event, *args)

    def broadcast_event_not_me(self, event: str, *args: Any) -> Awaitable[None]:
        """Send an event to everybody else in this namespace."""
        return _others(self).emit(event, *args)


def _member_of(mixin: object) -> Member:
    return _namespace_of(mixin)._member  # pyright: ignore[reportPrivateUsage]


def _namespace_of(mixin: object) -> BaseNamespace:
    """The namespace object that a mixin is part of."""
    if not isinstance(mixin, BaseNamespace):
        raise UsageError(
            f"{type(mixin).__name__} is no namespace: write class {type(mixin).__name__}(BaseNamespace, ...)"
        )
    return mixin


def _others(mixin: object) -> BroadcastOperator:
    member = _member_of(mixin)
    return BroadcastOperator(member.socket.server, member.namespace, sender=member)
