"""SEAM. Adapter: who is in which room, and how a broadcast reaches them. `MemoryAdapter` is the plain one.

An adapter that spans processes overrides `Adapter.broadcast` and `Adapter.ask`: it publishes, and calls
`Adapter.deliver` and `Adapter.ask_here` for the clients of this process. Those are in ``local``.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.local_rooms import LocalRooms, RoomNames
from asocketio.adapters.recovery import RecoveryStore
from asocketio.adapters.trails import Trail
from asocketio.config import Config
from asocketio.errors import CannotCarry, Overflow, UsageError
from asocketio.protocol.base import Encoded, Protocol, check_size
from asocketio.protocol.packet import Packet
from asocketio.runtime.clock import Clock
from asocketio.runtime.log import ThrottledLog

__all__ = ["Adapter", "EncodedPerProtocol", "Host", "Post", "Recipient", "Target"]


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

    def expect_ack(self, number: int, answered: Callable[[list[Any] | None, BaseException | None], None]) -> None:
        """Call ``answered`` with the arguments of its ack, or with the error that came instead.

        Raises:
            Overflow: it owes too many acks already.
        """

    def forget_ack(self, number: int) -> None:
        """The ack is awaited no longer."""


class Host(typing.Protocol):
    """What an adapter may use of the server that it belongs to."""

    @property
    def config(self) -> Config:
        """Its settings."""
        ...

    throttled_log: ThrottledLog
    """For lines that a client can cause."""
    clock: Clock
    """The time of its event loop."""

    def check(self, packet: Packet) -> None:
        """Check a packet that nobody receives, so that mistakes show before somebody does.

        Raises:
            UsageError: it has no JSON form.
        """


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
        if self.recovery is not None and client.trail is not None:
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

        `AckCollector.expect` has been called for each of them when it returns.

        Raises:
            UsageError: the packet has no JSON form. Nobody was asked.
            Overflow: it is over ``max_outbox``. Nobody was asked.
        """

    # What they do for the clients of this process.

    def deliver(self, packet: Packet, target: Target, *, volatile: bool = False) -> None:
        """`broadcast` to the clients of this process."""
        packets: EncodedPerProtocol | None = None
        protocol: Protocol | None = None
        encoded: Encoded | None = None
        for client in self.local.find(target.namespace, target.rooms, target.excluded):
            if volatile and not client.writable:
                continue
            if client.protocol is not protocol:  # most speak the same as the one before
                packets = packets or EncodedPerProtocol(packet, self.host)
                protocol = client.protocol
                encoded = packets.get(protocol)
            if encoded is not None:
                post = client.post  # in two steps: as an attribute, not a method, it is looked up in half the time
                post(encoded)
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


def _expect(client: Recipient, acks: AckCollector) -> None:
    """Collect the client's ack. Raises `Overflow` where it owes too many already."""

    def answered(args: list[Any] | None, error: BaseException | None) -> None:
        if args is None:
            acks.give_up(client)
        else:
            acks.answer(client, args)

    client.expect_ack(acks.number, answered)
    acks.expect(client, lambda: client.forget_ack(acks.number))


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
