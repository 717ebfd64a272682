"""BroadcastOperator: the clients that a verb is for. ``self.to("room").except_("muted").volatile.emit("x")``.

Every verb goes through the adapter, so that it reaches one process or a cluster. `RemoteSocket` is one of the clients,
`Namespace` all of them, with what concerns the namespace as a whole.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any, Literal, Self, TypeVar

from asocketio.adapters.ack_collector import AckCollector, shared_number
from asocketio.adapters.base import Recipient, Target
from asocketio.adapters.socket_info import SocketInfo
from asocketio.errors import AckTimeout, Disconnected, UsageError
from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.packet import EVENT, Packet
from asocketio.protocol.parser import check_name
from asocketio.runtime.awaitables import COMPLETED
from asocketio.session.acks import unpack
from asocketio.session.interfaces import SessionServer
from asocketio.session.member import Member
from asocketio.session.signatures import accepted
from asocketio.session.threads import check_loop, run_in_loop

__all__ = ["BroadcastOperator", "Namespace", "RemoteSocket", "checked_seconds", "names"]

CALL_TIMEOUT = 60.0
"""Seconds that ``call`` waits for an answer when it is given no ``timeout``."""

GONE = "gone"
"""The reason of a `Disconnected` where nobody here knows why the client has left: it may have been in another process.
"""

F = TypeVar("F", bound=Callable[..., Any])
RoomEvent = Literal["created", "joined", "left", "deleted"]
_ROOM_EVENTS = ("created", "joined", "left", "deleted")


@dataclass(slots=True)  # never changed once made; frozen, each would cost 1 µs more
class BroadcastOperator:
    """Some of the clients of one namespace. What narrows it makes a new one; the verbs use it.

    ``rooms`` is None for the whole namespace. An empty set, as of ``to(*[])``, is nobody: no adapter hears of that.
    ``sender`` is left out; ``member`` is set as long as it means just this one client.
    """

    server: SessionServer
    namespace: str
    rooms: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    sender: Member | None = None
    member: Member | None = None
    is_volatile: bool = False
    is_local: bool = False
    seconds: float | None = None

    # Who is meant.

    def to(self, *rooms: str) -> BroadcastOperator:
        """Those in any of these rooms, besides those already meant. A sid is a room of one."""
        return self._narrowed((self.rooms or frozenset()) | names(rooms), self.excluded)

    def except_(self, *rooms: str) -> BroadcastOperator:
        """Without those in any of these rooms."""
        return self._narrowed(self.rooms, self.excluded | names(rooms))

    def _narrowed(self, rooms: frozenset[str] | None, excluded: frozenset[str]) -> BroadcastOperator:
        return BroadcastOperator(
            self.server,
            self.namespace,
            rooms,
            excluded,
            self.sender or self.member,
            None,
            self.is_volatile,
            self.is_local,
            self.seconds,
        )

    @property
    def volatile(self) -> Self:
        """Without slow consumers: a client for whom something still waits to be sent does not get the event."""
        return replace(self, is_volatile=True)

    @property
    def local(self) -> Self:
        """Only clients of this process."""
        return replace(self, is_local=True, sender=self.sender or self.member, member=None)

    def timeout(self, seconds: float) -> Self:
        """The same clients; the verbs that wait for answers wait ``seconds`` for them.

        Raises:
            UsageError: ``seconds`` is no number.
        """
        return replace(self, seconds=checked_seconds(seconds))

    def compress(self, compress: bool) -> Self:
        """The same clients. For programs that come from Node: here a transport compresses, or does not, by itself."""
        _check_bool("compress", compress)
        return self

    @property
    def target(self) -> Target:
        """The clients that it means, for an adapter."""
        if self.member is not None:
            return Target(self.namespace, frozenset((self.member.sid,)), self.excluded, self.is_local)
        excluded = self.excluded if self.sender is None else self.excluded | {self.sender.sid}
        return Target(self.namespace, self.rooms, excluded, self.is_local)

    @property
    def _is_nobody(self) -> bool:
        return self.rooms is not None and not self.rooms

    # Events.

    def emit(self, event: str, *args: Any, callback: Callable[..., Any] | None = None) -> Awaitable[None]:
        """Queue an event for all of them, now. Awaiting it never waits for the recipients.

        From another thread it is queued by the event loop, soon. ``callback`` goes only with a
        single client (``self.volatile``, ``self.timeout(5)``); to ask many, use `call`.

        Raises:
            UsageError: an argument has no JSON form, the name is reserved, or there is no server yet.
        """
        if self.member is not None:
            return self._emit_to_one(self.member, event, args, callback)
        if callback is not None:
            raise UsageError("emit to several clients takes no callback: answers = await ....timeout(5).call(event)")
        packet = Packet(EVENT, self.namespace, event, list(args))
        if self._is_nobody:
            self.server.check(packet)
            return COMPLETED
        if self.server.loop is not None and get_ident() != self.server.thread:
            self.server.check(packet)
            run_in_loop(self.server, self._broadcast, packet)
            return COMPLETED
        return self._broadcast(packet)

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Ask all of them; the list of their answers, one for each client, in the order in which they came.

        An answer is the first argument of the client's ack, None where it has none. For a single client
        (``self.timeout(5).call(...)``) it is what `BaseNamespace.call` returns.

        Raises:
            AckTimeout: not all answered in time; its ``answers`` are those of the others.
            UsageError: called outside of the server's event loop.
        """
        self._check_loop("call")
        seconds = self.seconds if timeout is None else timeout
        if self.member is not None and self.member.rule.left:
            raise Disconnected(self.member.reason)
        if self.member is not None:
            return await self.member.instance.call(event, *args, timeout=seconds)
        return await self.ask(event, args, seconds, _first_arguments)

    def _broadcast(self, packet: Packet) -> Awaitable[None]:
        return self.server.adapter.broadcast(packet, self.target, volatile=self.is_volatile)

    def _emit_to_one(
        self, member: Member, event: str, args: tuple[Any, ...], callback: Callable[..., Any] | None
    ) -> Awaitable[None]:
        if self.is_volatile and not member.writable:
            return COMPLETED
        if member.rule.left:
            return member.drained()
        trail = member.trail
        if trail is None or not self.is_volatile:
            return member.instance.emit(event, *args, callback=callback)
        trail.unkept = True
        try:
            return member.instance.emit(event, *args, callback=callback)
        finally:
            trail.unkept = False

    async def ask(
        self, event: str, args: tuple[Any, ...], given: float | None, read: Callable[[list[list[Any]]], list[Any]]
    ) -> list[Any]:
        """Send one event under one number to all; ``read`` makes the answers of the arguments of their acks."""
        acks = AckCollector(shared_number())
        packet = Packet(EVENT, self.namespace, name=event, args=list(args), id=acks.number, ack="data")
        if self._is_nobody:
            self.server.check(packet)
            return []
        ask = functools.partial(self.server.adapter.ask, packet, self.target, acks, volatile=self.is_volatile)
        return await _collect(self.server, acks, ask, f"{event!r}", given, read)

    # Who they are.

    async def sockets(self) -> list[RemoteSocket]:
        """The clients, each as it is now.

        Raises:
            AckTimeout: another server did not answer within `timeout`; ``answers`` are the clients of the others.
            UsageError: called outside of the server's event loop.
        """
        self._check_loop("sockets")
        adapter, answers = self.server.adapter, AckCollector(0)
        if self._is_nobody:
            return []
        ask = functools.partial(adapter.fetch, self.target, answers)
        return await _collect(self.server, answers, ask, "sockets()", self.seconds, self._remote_sockets)

    async def count(self) -> int:
        """How many clients they are.

        Raises:
            AckTimeout: another server did not answer within `timeout`; ``answers`` are the sids that are known.
            UsageError: called outside of the server's event loop.
        """
        self._check_loop("count")
        adapter, answers = self.server.adapter, AckCollector(0)
        if self._is_nobody:
            return 0
        ask = functools.partial(adapter.fetch_sids, self.target, answers)
        return len(await _collect(self.server, answers, ask, "count()", self.seconds, _all_sids))

    def _remote_sockets(self, answers: list[list[SocketInfo]]) -> list[RemoteSocket]:
        found = {info.sid: info for infos in answers for info in infos}  # one sid from two members counts once
        return [RemoteSocket(self.server, self.namespace, *info) for info in found.values()]

    # Where they are. These act at the call; awaiting them waits until a cluster knows.

    def join(self, *rooms: str) -> Awaitable[None]:
        """Put them into ``rooms``. One that is in ``max_rooms`` already is left out, with a line in the log.

        Raises:
            UsageError: a room is no text, or some client's private room.
        """
        joined = names(rooms)
        for room in joined:
            if self.target.rooms != frozenset((room,)):  # a client may join its own
                self.server.adapter.local.check_public(self.namespace, room)
        return self._act(joined, self._join)

    def leave(self, *rooms: str) -> Awaitable[None]:
        """Take them out of ``rooms``; not an error where they were not in there.

        Raises:
            UsageError: a room is no text.
        """
        return self._act(names(rooms), self._leave)

    def disconnect(self, close: bool = False) -> Awaitable[None]:
        """Disconnect them from this namespace; with ``close`` from all namespaces, and end their connections.

        Raises:
            UsageError: ``close`` is no bool. There is no reason to give: clients have one of their own.
        """
        _check_bool("disconnect", close)
        return self._act(close, self._disconnect)

    def _act(self, how: Any, verb: Callable[[Any], Awaitable[None]]) -> Awaitable[None]:
        if self._is_nobody or how == frozenset():
            return COMPLETED
        if self.server.loop is not None and get_ident() != self.server.thread:
            run_in_loop(self.server, verb, how)
            return COMPLETED
        return verb(how)

    def _join(self, rooms: frozenset[str]) -> Awaitable[None]:
        return self.server.adapter.join_all(self.target, rooms)

    def _leave(self, rooms: frozenset[str]) -> Awaitable[None]:
        return self.server.adapter.leave_all(self.target, rooms)

    def _disconnect(self, close: bool) -> Awaitable[None]:
        return self.server.adapter.disconnect_all(self.target, close=close)

    def _check_loop(self, verb: str) -> None:
        if self.server.loop is not None:  # else nobody is there to be asked
            check_loop(self.server, verb, f"asyncio.run_coroutine_threadsafe(....{verb}(...), loop).result()")


class RemoteSocket:
    """One client in one namespace, in whatever process, as it was when `BroadcastOperator.sockets` was asked."""

    __slots__ = ("_operator", "data", "handshake", "rooms", "sid")

    def __init__(
        self,
        server: SessionServer,
        namespace: str,
        sid: str,
        rooms: frozenset[str],
        data: dict[str, Any],
        handshake: HandshakeInfo,
    ) -> None:
        self.sid = sid
        self.rooms = rooms
        """The rooms that it was in, without its private one."""
        self.data = data
        """A copy of its ``self.data``."""
        self.handshake = handshake
        """The request that opened its session, without ``auth``, ``Authorization`` and ``Cookie``."""
        self._operator = BroadcastOperator(server, namespace, frozenset((sid,)))

    def __repr__(self) -> str:
        return f"<RemoteSocket {self._operator.namespace or '/'} {self.sid}>"

    def emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Send it an event, see `BroadcastOperator.emit`. Where it has left, nothing happens."""
        return self._operator.emit(event, *args)

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Ask it by an event; its ack as `BaseNamespace.call` gives it.

        Raises:
            AckTimeout: no answer within ``timeout`` seconds; 60, if it is not given.
            Disconnected: it has left, or leaves before it answers.
        """
        answers = await self._operator.ask(event, args, timeout, _unpacked)
        if not answers:
            raise Disconnected(GONE)
        return answers[0]

    def join(self, *rooms: str) -> Awaitable[None]:
        """Put it into ``rooms``, see `BroadcastOperator.join`."""
        return self._operator.join(*rooms)

    def leave(self, *rooms: str) -> Awaitable[None]:
        """Take it out of ``rooms``."""
        return self._operator.leave(*rooms)

    def disconnect(self, close: bool = False) -> Awaitable[None]:
        """Disconnect it from this namespace; with ``close`` from all namespaces, and end its connection."""
        return self._operator.disconnect(close)


class Namespace(BroadcastOperator):
    """Everybody in a namespace, from `SocketIOApp.of` or ``self.namespace``, and what concerns all of it."""

    __slots__ = ()

    # The objects of this process.

    def get(self, sid: str) -> Any:
        """The namespace object of a client that this process serves; None where there is none.

        Raises:
            UsageError: ``sid`` is no text.
        """
        if not isinstance(sid, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"a client is found by its sid, a text, not {type(sid).__name__}: {sid!r:.100}")
        found = self.server.adapter.local.namespaces.get(self.namespace, {}).get(sid)
        return None if found is None else _object(found)

    def instances(self) -> list[Any]:
        """The namespace objects of all clients that this process serves: a copy, for ticks."""
        members = self.server.adapter.local.namespaces.get(self.namespace, {})
        return [found for member in list(members.values()) if (found := _object(member)) is not None]

    # Other servers.

    def server_emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Send an event to the other servers of the cluster, each of which runs what it has by `on_server_event`.

        Raises:
            UsageError: an argument has no JSON form.
        """
        return self._act(self._checked(event, args), self.server.adapter.server_emit)

    async def server_call(self, event: str, *args: Any) -> list[Any]:
        """Ask the other servers; the list of their answers, one for each. ``[]`` when this one is alone.

        Raises:
            AckTimeout: not all answered within `timeout`; ``answers`` are those of the others. A server without a
                handler for the event, or whose handler fails, does not answer.
            UsageError: an argument has no JSON form, or it is called outside of the server's event loop.
        """
        self._check_loop("server_call")
        packet, answers = self._checked(event, args), AckCollector(0)
        ask = functools.partial(self.server.adapter.server_call, packet, answers)
        return await _collect(self.server, answers, ask, f"{event!r}", self.seconds, list)

    def on_server_event(self, event: str) -> Callable[[F], F]:
        """Decorates the function, plain or async, that handles an event of another server; what it returns answers it.

        Raises:
            UsageError: there is one for this event already, it is no function, or this cannot be the name of an event.
        """
        check_name(event)
        handlers, key = self.server.adapter.server_events, (self.namespace, event)

        def register(function: F) -> F:
            _check_function(function, "on_server_event", None)
            if key in handlers:
                raise UsageError(f"on_server_event({event!r}): there is a function for it in {self.namespace or '/'!r}")
            handlers[key] = function
            return function

        return register

    def _checked(self, event: str, args: tuple[Any, ...]) -> Packet:
        packet = Packet(EVENT, self.namespace, event, list(args))
        self.server.check(packet)
        return packet

    # Rooms.

    def on_room(self, what: RoomEvent) -> Callable[[F], F]:
        """Decorates a function, plain or async, that is called when something happens to rooms in this process.

        ``function(room, sid)`` for ``joined`` and ``left``; ``function(room)`` for ``created``, before the first one
        has joined, and ``deleted``, after the last one has left. Private rooms do not count.

        Raises:
            UsageError: ``what`` is none of these, or the function takes something else.
        """
        if what not in _ROOM_EVENTS:
            raise UsageError(f"on_room({what!r:.100}): expected one of {', '.join(_ROOM_EVENTS)}")
        has_sid = what in ("joined", "left")

        def register(function: F) -> F:
            _check_function(function, "on_room", 2 if has_sid else 1)

            def listen(happened: str, room: str, sid: str) -> None:
                if happened == what:
                    args = (room, sid) if has_sid else (room,)
                    self.server.jobs.call(f"on_room {what}", function, *args)

            self.server.adapter.local.listeners.setdefault(self.namespace, []).append(listen)
            return function

        return register


async def _collect(
    server: SessionServer,
    answers: AckCollector,
    ask: Callable[[], None],
    what: str,
    given: float | None,
    read: Callable[[list[Any]], list[Any]],
) -> list[Any]:
    """Let the adapter ask, and wait for all answers, at most so many seconds. ``read`` makes the result of them."""
    seconds = answers.seconds = CALL_TIMEOUT if given is None else checked_seconds(given)
    try:
        ask()
        answers.all_asked()
        timer = server.clock.call_later(seconds, answers.end)
        try:
            await answers.wait()
        finally:
            timer.cancel()
    finally:
        servers, missing = answers.servers_missing, answers.close()
    found = read(answers.answers)
    if missing or servers:
        who = [f"{missing} clients"] * (missing > 0) + [f"{servers} servers"] * (servers > 0)
        raise AckTimeout(
            f"{' and '.join(who)} did not answer {what} within {seconds} s",
            found, missing=missing, servers_missing=servers,
        )  # fmt: skip
    return found


def _first_arguments(acks: list[list[Any]]) -> list[Any]:
    return [args[0] if args else None for args in acks]


def _unpacked(acks: list[list[Any]]) -> list[Any]:
    return [unpack(args) for args in acks]


def _all_sids(answers: list[list[str]]) -> list[str]:
    return list({sid: None for sids in answers for sid in sids})


def _object(found: Recipient) -> Any:
    """The namespace object of a client; None where it has left, or is not made yet."""
    return None if found.gone else getattr(found, "instance", None)


def _check_function(function: Any, decorator: str, count: int | None) -> None:
    """Raise `UsageError` for what cannot be called, or not with ``count`` arguments."""
    if not callable(function):
        raise UsageError(f"{decorator} decorates a function, not {function!r}")
    if count is None:
        return
    shape = accepted(getattr(function, "__qualname__", repr(function)), function)
    if shape.least > count or (shape.most is not None and shape.most < count):
        raise UsageError(f"{decorator}: {function!r} does not take {('room', 'room and sid')[count - 1]}")


def checked_seconds(seconds: float) -> float:
    """The same number.

    Raises:
        UsageError: it is none.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"timeout={seconds!r:.100}: expected a number of seconds")
    return seconds


def _check_bool(verb: str, value: bool) -> None:
    if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{verb}({value!r:.100}): expected True or False")


def names(rooms: tuple[str, ...]) -> frozenset[str]:
    """The rooms as a set.

    Raises:
        UsageError: a name is not text.
    """
    for room in rooms:
        if not isinstance(room, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"a room is named by text, not {type(room).__name__}: {room!r:.100}; several are to('a', 'b')"
            )
    return frozenset(rooms)
