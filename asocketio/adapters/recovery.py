"""SEAM. RecoveryStore: what clients may have missed when they come back. `MemoryRecovery` keeps it in this process.

An adapter that spans processes gives another one by `Adapter.make_recovery`, to keep it elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from asocketio.adapters.trails import Restored, Saved, Trail
from asocketio.protocol.base import Encoded, Protocol, check_size
from asocketio.protocol.packet import EVENT, Packet, PacketType

__all__ = ["RecoveryStore", "is_numbered", "numbered"]


class RecoveryStore(ABC):
    """Numbers events, keeps them for a while, and keeps the clients that have gone and may come back.

    Called in the event loop. None of its methods waits but `restore`. ``max_outbox`` is the largest packet, in bytes.
    """

    max_outbox: int

    # The life of the server.

    @abstractmethod
    def start(self) -> None:
        """The server starts: nothing is kept yet."""

    @abstractmethod
    def stop(self) -> None:
        """The server has closed: forget everything."""

    # Clients that are here.

    @abstractmethod
    def open(self, namespace: str, sid: str, protocol: Protocol) -> Trail:
        """A client asks for a namespace: from now on events for it are kept."""

    @abstractmethod
    def find(self, private_id: str) -> Trail | None:
        """The trail of a client that is here, or away; None where there is no such client."""

    @abstractmethod
    def close(self, trail: Trail) -> None:
        """The connection of a client is over. It can come back only where it was saved before."""

    # Events.

    @property
    @abstractmethod
    def position(self) -> int:
        """The number of the last event so far."""

    @abstractmethod
    def next(self, namespace: str) -> tuple[int, str]:
        """The number of the next event, and its offset."""

    @abstractmethod
    def is_awaited(self, namespace: str, rooms: frozenset[str] | None) -> bool:
        """Whether a client that is away was in any of ``rooms`` (None: in the namespace)."""

    @abstractmethod
    def protocols(self, namespace: str) -> Collection[Protocol]:
        """How those who are here, or may come back, are spoken to."""

    @abstractmethod
    def keep(
        self,
        namespace: str,
        number: int,
        encoded: dict[Protocol, Encoded],
        rooms: frozenset[str] | None,
        excluded: frozenset[str] = frozenset(),
    ) -> None:
        """Keep an event for those whom a `Target` with ``rooms`` and ``excluded`` means."""

    def write(self, trail: Trail, packet: Packet) -> Encoded:
        """Encode what is sent to one client alone. An event that wants no ack is numbered, and kept.

        Raises:
            UsageError: the packet has no wire form.
            Overflow: it is over ``max_outbox``.
        """
        if not is_numbered(packet):
            return trail.protocol.encode(packet)
        number, offset = self.next(trail.namespace)
        encoded = trail.protocol.encode(numbered(packet, offset))
        check_size(encoded, self.max_outbox)
        if not trail.unkept:
            self.keep(trail.namespace, number, {trail.protocol: encoded}, frozenset((trail.sid,)))
        return encoded

    # Clients that are away.

    @abstractmethod
    def save(self, saved: Saved) -> None:
        """A client has gone, and was in the rooms of its trail."""

    @abstractmethod
    def find_away(self, namespace: str, rooms: frozenset[str] | None, excluded: frozenset[str]) -> Collection[Saved]:
        """The clients that are away, as `LocalRooms.find` finds those that are here."""

    @abstractmethod
    def enter(self, saved: Saved, room: str) -> None:
        """A client that is away enters a room."""

    @abstractmethod
    def leave(self, saved: Saved, room: str) -> None:
        """A client that is away leaves a room."""

    @abstractmethod
    def find_position(self, trail: Trail, offset: object) -> int | None:
        """The newest event that a client has, by the offset that it sends; None where that cannot be its own.

        A client without an offset has not had any event since it came.
        """

    @abstractmethod
    async def restore(
        self, namespace: str, private_id: str, offset: object, protocol: Protocol, pin: str | None
    ) -> Restored | None:
        """Take a client out of the store that has come back, with all that it missed.

        None where it cannot be restored, or only in part; nothing has changed then, but that one that never can be
        restored is forgotten. Where the client is not let in after all, `put_back` follows.
        """

    @abstractmethod
    def put_back(self, restored: Restored) -> None:
        """The client was not let in, or has gone before: it may come back as if it had not been there."""

    @abstractmethod
    def forget(self, trail: Trail, *, close: bool = False) -> None:
        """The client must not come back: it was disconnected while it was away, or about to be.

        With ``close`` that goes for all that its connection was, in all its namespaces, see `Trail.siblings`.
        """


def is_numbered(packet: Packet) -> bool:
    """Whether a packet is an event that wants no ack: only such ones are numbered."""
    return packet.id is None and packet.type in (EVENT, PacketType.MESSAGE, PacketType.JSON)


def numbered(packet: Packet, offset: str) -> Packet:
    """The same event with its offset as its last argument, where clients look for it."""
    if packet.type is EVENT:
        return Packet(EVENT, packet.endpoint, packet.name, [*packet.args, offset])
    return Packet(EVENT, packet.endpoint, "message", [packet.data, offset])
