"""Trail: where a client that may come back has been, so that what it missed can be told from what others were sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from asocketio.adapters.local_rooms import RoomNames, passed_limit
from asocketio.config import Config
from asocketio.errors import Overflow
from asocketio.protocol.base import Encoded, Protocol
from asocketio.protocol.packet import Packet
from asocketio.runtime.awaitables import Waiters

__all__ = ["Entry", "Restored", "Saved", "Stay", "Trail"]

MOST_STAYS = 100
"""Stays in rooms that it has left since, the latest ones, that are known of one client."""


class Stay(NamedTuple):
    """A client was in a room when the events after ``since``, up to ``until``, were sent."""

    room: str | None
    """None: its namespace."""
    since: int
    until: int | None = None
    """None: it still is there."""


class Entry:
    """One event that is kept: ``encoded`` for each protocol that clients of its namespace speak."""

    __slots__ = ("encoded", "excluded", "number", "rooms", "size", "time")

    def __init__(
        self,
        number: int,
        encoded: dict[Protocol, Encoded],
        rooms: frozenset[str] | None,
        excluded: frozenset[str],
        size: int,
    ) -> None:
        self.number = number
        self.encoded = encoded
        self.rooms = rooms
        """Whom it was for, see `Target`; None: the whole namespace."""
        self.excluded = excluded
        self.size = size
        """About the bytes of memory that it takes."""
        self.time = 0.0


Write = Callable[["Trail", Packet], Encoded]
"""How a store encodes and keeps what is sent to one client alone, see `RecoveryStore.write`."""


class Trail:
    """What is known of a client that may come back. It outlives its connections.

    ``private_id`` is a secret: whoever knows it, and an offset, takes over the client's sid, rooms and data.
    """

    __slots__ = (
        "_ended",
        "_write",
        "heard",
        "is_saved",
        "namespace",
        "private_id",
        "protocol",
        "recovered",
        "restored",
        "returns",
        "rooms",
        "siblings",
        "sid",
        "start",
        "stopped",
        "unkept",
        "unsure",
    )

    def __init__(self, namespace: str, sid: str, private_id: str, protocol: Protocol, start: int, write: Write) -> None:
        self.namespace = namespace
        self.sid = sid
        self.private_id = private_id
        self.protocol = protocol
        self.start = start
        """The number of the last event before the client came. Earlier ones are never sent to it."""
        self.heard = 0
        """The newest event that the client has ever named, when it came back."""
        self.unsure = 0
        """Where it was before this event is not known any more."""
        self.rooms: dict[str, int] = {}
        """The rooms that it is in, and for each the last event before that."""
        self.is_saved = False
        """Its client has gone: what ``recv_disconnect`` does to its rooms is not for its return."""
        self.siblings: tuple[str, ...] = ()
        """The private ids of all that its connection is, in all its namespaces; empty where it is in one."""
        self.recovered = False
        """It has come back."""
        self.returns = True
        """It may come back; False where the program does not want that."""
        self.restored: Restored | None = None
        """It has come back, and is not let in yet."""
        self.stopped: Waiters | None = None
        """Who wait for the end of its connection."""
        self.unkept = False
        """What is sent now is numbered, but nobody has to get it: it is volatile."""
        self._write = write
        self._ended: list[Stay] = []

    def prepare(self, packet: Packet) -> Encoded:
        """Encode what is sent to this client alone; an event that wants no ack is numbered, and kept, too."""
        return self._write(self, packet)

    def copy(self) -> Trail:
        """As it is now: changes of one are not those of the other."""
        copy = Trail(self.namespace, self.sid, self.private_id, self.protocol, self.start, self._write)
        copy.heard, copy.unsure = self.heard, self.unsure
        copy.rooms = dict(self.rooms)
        copy._ended = list(self._ended)
        return copy

    def join(self, room: str, position: int) -> None:
        """It enters a room; ``position`` is the number of the last event so far."""
        if room != self.sid:
            self.rooms.setdefault(room, position)

    def leave(self, room: str, position: int) -> None:
        """It leaves a room, if it is in it."""
        since = self.rooms.pop(room, None)
        if since is None or since == position:
            return
        self._ended.append(Stay(room, since, position))
        if len(self._ended) > MOST_STAYS:
            self.unsure = max(self.unsure, self._ended.pop(0).until or 0)

    def stays(self) -> Iterator[Stay]:
        """Where it is, and was."""
        yield Stay(None, self.start)
        yield Stay(self.sid, self.start)
        for room, since in self.rooms.items():
            yield Stay(room, since)
        yield from self._ended

    def was_in(self, room: str, number: int) -> bool:
        """Whether it was in a room when event ``number`` was sent."""
        if room == self.sid:
            return True
        since = self.rooms.get(room)
        if since is not None and since < number:
            return True
        return any(each.room == room and each.since < number <= (each.until or 0) for each in self._ended)

    def got(self, entry: Entry, left: Collection[str] = ()) -> bool:
        """Whether an event was for this client, also by another room than those that it ``left`` when it came back."""
        if any(self.was_in(room, entry.number) for room in entry.excluded):
            return False
        if entry.rooms is None:
            return True
        return any(room not in left and self.was_in(room, entry.number) for room in entry.rooms)


class Saved:
    """A client that has gone and may come back. For operators it still is in its rooms, as `LocalRooms` keeps them."""

    __slots__ = ("__weakref__", "data", "namespace", "pin", "rooms", "sid", "size", "time", "trail")

    def __init__(self, trail: Trail, data: dict[str, Any], pin: str | None, size: int) -> None:
        self.trail = trail
        self.namespace = trail.namespace
        self.sid = trail.sid
        self.rooms: RoomNames | None = None
        self.data = data
        """What the program kept in ``self.data``."""
        self.pin = pin
        """What requests of its session had to show, see the setting ``pin``: who comes back has to show the same."""
        self.size = size
        """About the bytes of memory that it takes."""
        self.time = 0.0
        """When it was saved."""

    def check_room(self, room: str, config: Config) -> None:
        """Raise `Overflow` where one room more would be too much, as for a client that is here."""
        passed = passed_limit(config, self.namespace, self.rooms, 0 if self.rooms is None else self.rooms.size, room)
        if passed is not None:
            raise Overflow(passed.message, "in")


@dataclass(slots=True)
class Restored:
    """A client that has come back: what was ``saved`` of it, and all that it ``missed``, in order.

    ``trail`` is the one that goes on, a copy: until the client is let in, ``saved`` can be put back as it was.
    """

    saved: Saved
    trail: Trail
    missed: Sequence[Entry]

    def unsent(self) -> list[Encoded]:
        """What it missed, without that of rooms that it has left since it came back."""
        trail = self.saved.trail
        left = trail.rooms.keys() - self.trail.rooms.keys()
        return [entry.encoded[trail.protocol] for entry in self.missed if not left or trail.got(entry, left)]
