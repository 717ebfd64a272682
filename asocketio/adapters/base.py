"""SEAM. Adapter: who is in which room, and how a broadcast reaches them. `MemoryAdapter` is the plain one.

An adapter that spans processes publishes each verb, and does it here by what ends in ``_here`` (and
`Adapter.deliver`). The clients of this process are in ``local``.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.local_rooms import LocalRooms, RoomNames
from asocketio.adapters.recovery import RecoveryStore
from asocketio.adapters.socket_info import SocketInfo
from asocketio.adapters.trails import Saved, Trail
from asocketio.config import Config
from asocketio.errors import CannotCarry, Overflow, UsageError
from asocketio.metrics import Metrics
from asocketio.protocol.base import Encoded, Protocol, check_size
from asocketio.protocol.packet import Packet
from asocketio.runtime.clock import Clock
from asocketio.runtime.jobs import Jobs
from asocketio.runtime.log import ThrottledLog

__all__ = ["CROWD", "Adapter", "EncodedPerProtocol", "Host", "Post", "Recipient", "Target"]

CROWD = 100
"""Clients. A broadcast to more goes out behind what others are answered."""


class Post(typing.Protocol):
    """Queues a packet for a client."""

    def __call__(self, encoded: Encoded, /) -> None: ...


class Recipient(typing.Protocol):
    """One client in one namespace, as an adapter knows it. The session's `Member` is one."""

    namespace: str
    """The namespace."""
    sid: str
    """What others know it by: the name of its private room."""
    rooms: RoomNames | None
    """The rooms that it is in, without its private one. Written by `LocalRooms` only."""
    post: Post
    """Queues a packet for it."""
    trail: Trail | None
    """What is known of it so that it can come back; None: it cannot."""

    def __hash__(self) -> int: ...

    @property
    def protocol(self) -> Protocol:
        """How packets are encoded for it."""
        ...

    @property
    def writable(self) -> bool:
        """Nothing waits for it: volatile packets go to it."""
        ...

    @property
    def gone(self) -> bool:
        """Nothing reaches it any more."""
        ...

    @property
    def may_return(self) -> bool:
        """It is gone, and about to be saved for its return: operators still move it, and disconnect it for good."""
        ...

    def expect_ack(self, number: int, answered: Callable[[list[Any] | None, BaseException | None], None]) -> None:
        """Call ``answered`` with the arguments of its ack, or with the error that came instead.

        Raises:
            Overflow: it owes too many acks already.
        """

    def forget_ack(self, number: int) -> None:
        """The ack is awaited no longer."""

    def describe(self) -> SocketInfo:
        """What others may know of it."""
        ...

    def check_room(self, room: str) -> None:
        """Raise `Overflow` where one room more would be too much."""

    def expel(self, *, close: bool) -> None:
        """Disconnect it from its namespace; with ``close`` from all of them, and end its connection."""


class Host(typing.Protocol):
    """What an adapter may use of the server that it belongs to."""

    @property
    def config(self) -> Config:
        """Its settings."""
        ...

    throttled_log: ThrottledLog
    """For lines that a client can cause."""
    jobs: Jobs
    """Runs functions of the program."""
    clock: Clock
    """The time of its event loop."""
    metrics: Metrics
    """Is told what happens."""

    def check(self, packet: Packet) -> None:
        """Check a packet that nobody receives, so that mistakes show before somebody does.

        Raises:
            UsageError: it has no JSON form.
        """

    def behind_answers(self) -> AbstractContextManager[None]:
        """What is queued within goes out behind what clients are answered, some of it in each turn of the event loop.

        For broadcasts to more than `CROWD` clients.
        """
        ...


class Target(NamedTuple):
    """Whom a broadcast reaches: clients in any of ``rooms``, without those in any of ``excluded``.

    A client's ``sid`` is the name of a room with just this client in it.
    """

    namespace: str
    rooms: frozenset[str] | None = None
    """None: everybody in the namespace. Never empty: who means nobody asks no adapter."""
    excluded: frozenset[str] = frozenset()
    local: bool = False
    """Only clients of this process."""


class Adapter(ABC):
    """Keeps clients in rooms and delivers broadcasts to them. One belongs to one `SocketIOApp`.

    Methods are called in the event loop. None waits but `stop`; awaiting what `broadcast` returns may.
    """

    host: Host
    """Set by the server, before `start`."""
    recovery: RecoveryStore | None = None
    """What clients may have missed, where the setting ``recovery`` asks for it. Set by the server, before `start`."""

    def __init__(self) -> None:
        self.local: LocalRooms[Recipient] = LocalRooms()
        """The clients of this process, and their rooms."""
        self.server_events: dict[tuple[str, str], Callable[..., Any]] = {}
        """By namespace and name: what this server does with an event of another one."""

    # The life of the server. An adapter that listens to others does so from `start` to `stop`.

    def start(self) -> None:
        """The server starts in the running event loop.

        It may start anew without `stop`, in another loop, when the former one is gone (tests); then nobody is there.
        """
        self.local.clear()

    async def stop(self) -> None:  # noqa: B027  (most have nothing to stop)
        """The server has closed: all clients have left. It may start again."""

    def make_recovery(self) -> RecoveryStore:
        """What keeps events and clients for the setting ``recovery``. Its life is the server's affair.

        Raises:
            UsageError: this adapter has none.
        """
        raise UsageError(f"recovery={self.host.config.recovery!r}: {type(self).__name__} has no store for it")

    # Clients come and go.

    def add(self, client: Recipient) -> None:
        """The client has entered its namespace."""
        self.local.add(client)

    def remove(self, client: Recipient) -> None:
        """The client has left its namespace, and all its rooms."""
        self.local.remove(client)

    def join(self, client: Recipient, room: str) -> None:
        """Put the client into ``room``. Its private room, named by its sid, it is in from the start.

        Raises:
            UsageError: ``room`` is another client's private room.
        """
        self.local.join(client, room)
        if self.recovery is not None and client.trail is not None:
            client.trail.join(room, self.recovery.position)

    def leave(self, client: Recipient, room: str) -> None:
        """Take the client out of ``room``; not an error where it was not in it."""
        self.local.leave(client, room)
        if self.recovery is not None and client.trail is not None and not client.trail.is_saved:
            client.trail.leave(room, self.recovery.position)

    # Verbs.

    @abstractmethod
    def broadcast(self, packet: Packet, target: Target, *, volatile: bool = False) -> Awaitable[None]:
        """Queue ``packet`` for all clients that ``target`` means, now and in this order.

        What it returns may be awaited; that never waits for recipients. With ``volatile`` slow consumers are left out.

        Raises:
            UsageError: the packet has no JSON form. Clients whose own JSON functions have one for it got it.
            Overflow: it is over ``max_outbox``. Clients for whom it is shorter got it.
        """

    @abstractmethod
    def ask(self, packet: Packet, target: Target, acks: AckCollector, *, volatile: bool = False) -> None:
        """Queue ``packet``, an event that wants an ack, for all clients that ``target`` means; ``acks`` gets theirs.

        When it returns, `AckCollector.expect` has been called for each of them here, and `AckCollector.expect_server`
        for each other server, which names its clients later.

        Raises:
            UsageError: the packet has no JSON form. Nobody was asked.
            Overflow: it is over ``max_outbox``. Nobody was asked.
        """

    # Verbs that act at the call, here; what they return may be awaited until the others know.

    @abstractmethod
    def join_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        """Put all clients that ``target`` means into each of ``rooms``."""

    @abstractmethod
    def leave_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        """Take all clients that ``target`` means out of each of ``rooms``."""

    @abstractmethod
    def disconnect_all(self, target: Target, *, close: bool) -> Awaitable[None]:
        """Disconnect all clients that ``target`` means from the namespace; with ``close`` end their connections."""

    # Questions. Each server's answer goes to ``answers``: by `AckCollector.add`, or, of a server for which
    # `AckCollector.expect_server` was called, by `AckCollector.server_answered`.

    @abstractmethod
    def fetch(self, target: Target, answers: AckCollector) -> None:
        """Ask who the clients are that ``target`` means. An answer is a list of `SocketInfo`."""

    @abstractmethod
    def fetch_sids(self, target: Target, answers: AckCollector) -> None:
        """Ask for the sids of the clients that ``target`` means. An answer is a list of them."""

    # The other servers.

    @abstractmethod
    def server_emit(self, packet: Packet) -> Awaitable[None]:
        """Send an event to the other servers: each calls its `server_event_here`."""

    @abstractmethod
    def server_call(self, packet: Packet, answers: AckCollector) -> None:
        """Ask the other servers by an event: each answers with what its `server_event_here` tells ``reply``."""

    # What they do for the clients of this process.

    def deliver(self, packet: Packet, target: Target, *, volatile: bool = False) -> None:
        """`broadcast` to the clients of this process."""
        clients = self.local.find(target.namespace, target.rooms, target.excluded)
        if len(clients) > CROWD:
            with self.host.behind_answers():
                packets = _post(self.host, packet, clients, volatile)
        else:
            packets = _post(self.host, packet, clients, volatile)
        if packets is None:
            self.host.check(packet)
        else:
            packets.check()

    def ask_here(self, packet: Packet, target: Target, acks: AckCollector, *, volatile: bool = False) -> None:
        """`ask` the clients of this process."""
        clients = self.local.find(target.namespace, target.rooms, target.excluded)
        if not clients:
            self.host.check(packet)
        packets = EncodedPerProtocol(packet, self.host)
        for client in clients:
            packets.get(client.protocol)
        packets.check()  # before anybody is asked
        for client in clients:
            encoded = packets.get(client.protocol)
            if encoded is None or client.gone or (volatile and not client.writable):
                continue
            try:
                _expect(client, acks)
            except Overflow:
                continue
            client.post(encoded)

    def join_here(self, target: Target, rooms: frozenset[str]) -> None:
        """`join_all` for the clients of this process. One that is in enough rooms is left out, with a line in the log.

        Clients that leave meanwhile are left out, too, unless they may come back.
        """
        for client in _find(self, target, may_return=True):
            for room in rooms:
                if room == client.sid or room in (client.rooms or ()):
                    continue
                try:
                    client.check_room(room)
                except Overflow as error:
                    _log_no_room(self.host, client.sid, error)
                else:
                    self.join(client, room)
                    _change_saved(self, client, Trail.join, room)
        for store, saved in _away(self, target):
            for room in rooms - saved.trail.rooms.keys():
                try:
                    saved.check_room(room, self.host.config)
                except Overflow as error:
                    _log_no_room(self.host, saved.sid, error)
                else:
                    store.enter(saved, room)

    def leave_here(self, target: Target, rooms: frozenset[str]) -> None:
        """`leave_all` for the clients of this process."""
        for client in _find(self, target, may_return=True):
            for room in rooms:
                self.leave(client, room)
                _change_saved(self, client, Trail.leave, room)
        for store, saved in _away(self, target):
            for room in rooms:
                store.leave(saved, room)

    def disconnect_here(self, target: Target, *, close: bool) -> None:
        """`disconnect_all` for the clients of this process."""
        for client in _find(self, target, may_return=True):
            if not client.gone:
                client.expel(close=close)
            elif self.recovery is not None and client.trail is not None:
                self.recovery.forget(client.trail, close=close)
        for store, saved in _away(self, target):
            store.forget(saved.trail, close=close)

    def fetch_here(self, target: Target) -> list[SocketInfo]:
        """This server's answer to `fetch`."""
        return [client.describe() for client in _find(self, target)]

    def fetch_sids_here(self, target: Target) -> list[str]:
        """This server's answer to `fetch_sids`."""
        return [client.sid for client in _find(self, target)]

    def server_event_here(self, packet: Packet, reply: Callable[[Any], None] | None = None) -> None:
        """An event of another server: run what the program has for it; ``reply`` is told what that returns.

        It is told nothing where there is nothing for the event, or it fails.
        """
        handler = self.server_events.get((packet.endpoint, packet.name))
        if handler is not None:
            self.host.jobs.call(f"on_server_event {packet.name!r}", handler, *packet.args, then=reply)


def _expect(client: Recipient, acks: AckCollector) -> None:
    """Collect the client's ack. Raises `Overflow` where it owes too many already."""

    def answered(args: list[Any] | None, error: BaseException | None) -> None:
        if args is None:
            acks.give_up(client)
        else:
            acks.answer(client, args)

    client.expect_ack(acks.number, answered)
    acks.expect(client, lambda: client.forget_ack(acks.number))


def _find(adapter: Adapter, target: Target, *, may_return: bool = False) -> list[Recipient]:
    """The clients of this process that ``target`` means, and that have not left; or ``may_return``, too."""
    clients = adapter.local.find(target.namespace, target.rooms, target.excluded)
    return [client for client in clients if not client.gone or (may_return and client.may_return)]


def _change_saved(adapter: Adapter, client: Recipient, change: Callable[[Trail, str, int], None], room: str) -> None:
    """A client that has come back, and is not let in yet, may have to leave as it was: but for what others did."""
    trail = client.trail
    if adapter.recovery is not None and trail is not None and trail.restored is not None:
        change(trail.restored.saved.trail, room, adapter.recovery.position)


def _log_no_room(host: Host, sid: str, error: Overflow) -> None:
    host.throttled_log.warning("rooms", "%s did not join a room: %s", sid, error)


def _away(adapter: Adapter, target: Target) -> list[tuple[RecoveryStore, Saved]]:
    """The clients in ``target`` that are away and may come back to this process."""
    store = adapter.recovery
    if store is None:
        return []
    return [(store, saved) for saved in store.find_away(target.namespace, target.rooms, target.excluded)]


def _post(host: Host, packet: Packet, clients: Iterable[Recipient], volatile: bool) -> EncodedPerProtocol | None:
    """What was encoded; None where nobody was sent anything."""
    packets: EncodedPerProtocol | None = None
    protocol: Protocol | None = None
    encoded: Encoded | None = None
    for client in clients:
        if volatile and not client.writable:
            continue
        if client.protocol is not protocol:  # most speak the same as the one before
            packets = packets or EncodedPerProtocol(packet, host)
            protocol = client.protocol
            encoded = packets.get(protocol)
        if encoded is not None:
            post = client.post  # in two steps: as an attribute, not a method, it is looked up in half the time
            post(encoded)
    return packets


class EncodedPerProtocol:
    """One packet for many clients: encoded once for each protocol among them."""

    __slots__ = ("_encoded", "_error", "_host", "_packet")

    def __init__(self, packet: Packet, host: Host) -> None:
        self._packet = packet
        self._host = host
        self._encoded: dict[Protocol, Encoded | None] = {}
        self._error: UsageError | Overflow | None = None

    def get(self, protocol: Protocol) -> Encoded | None:
        """The packet as ``protocol`` writes it. None where it cannot; a mistake of the program is kept for `check`."""
        try:
            return self._encoded[protocol]
        except KeyError:
            encoded = self._encoded[protocol] = self._encode(protocol)
            return encoded

    def _encode(self, protocol: Protocol) -> Encoded | None:
        try:
            encoded = protocol.encode(self._packet)
            check_size(encoded, self._host.config.max_outbox)
            return encoded
        except CannotCarry as error:
            packet = self._packet
            self._host.throttled_log.warning(
                "cannot carry", "%s: %s %r did not go to the clients of generation %s: %s",
                packet.endpoint or "/", packet.type.value, packet.name[:100], protocol.generation, error,
                about=f"{packet.endpoint} {packet.name}",
            )  # fmt: skip
        except (UsageError, Overflow) as error:
            self._error = error
        return None

    def check(self) -> None:
        """Raise what an encoding raised: when the others have got theirs, or before."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # else it would lead back to itself, by this frame
