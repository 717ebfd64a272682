"""AwayClients: the clients that have gone and may come back, by private id and, as if they were here, by room."""

from __future__ import annotations

from collections.abc import Collection

from asocketio.adapters.local_rooms import LocalRooms, size_of
from asocketio.adapters.trails import Saved

__all__ = ["AwayClients"]


class AwayClients:
    """The oldest comes first. ``size`` is about the bytes of memory that they take."""

    __slots__ = ("_by_id", "_rooms", "size")

    def __init__(self) -> None:
        self._by_id: dict[str, Saved] = {}
        self._rooms: LocalRooms[Saved] = LocalRooms()
        self.size = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def clear(self) -> None:
        """Forget everybody."""
        self._by_id.clear()
        self._rooms.clear()
        self.size = 0

    def get(self, private_id: str) -> Saved | None:
        """The client with this private id."""
        return self._by_id.get(private_id)

    def oldest(self) -> Saved | None:
        """The client that has been away for the longest time."""
        return next(iter(self._by_id.values()), None)

    def has_any(self, namespace: str, rooms: frozenset[str] | None) -> bool:
        """Whether somebody is in any of ``rooms`` (None: in the namespace)."""
        return bool(self._by_id) and self._rooms.has_any(namespace, rooms)

    def find(self, namespace: str, rooms: frozenset[str] | None, excluded: frozenset[str]) -> Collection[Saved]:
        """As `LocalRooms.find`."""
        return self._rooms.find(namespace, rooms, excluded)

    def add(self, saved: Saved) -> None:
        """A client has gone. It may have been here before, and not be the newest."""
        newest = next(reversed(self._by_id.values()), None)
        self._by_id[saved.trail.private_id] = saved
        if newest is not None and newest.time > saved.time:
            self._by_id = dict(sorted(self._by_id.items(), key=_time))
        self._rooms.add(saved)
        for room in saved.trail.rooms:
            self._rooms.join(saved, room)
        self.size += self.size_of(saved)

    def take(self, saved: Saved) -> bool:
        """A client is not away any more; False where it was not."""
        if not self._has(saved):
            return False
        del self._by_id[saved.trail.private_id]
        self.size -= self.size_of(saved)
        self._rooms.remove(saved)
        return True

    def size_of(self, saved: Saved) -> int:
        """About the bytes that a client takes, with its rooms, which are in two tables and in its trail."""
        return saved.size + (2 * saved.rooms.size if saved.rooms else 0)

    def _has(self, saved: Saved) -> bool:
        return self._by_id.get(saved.trail.private_id) is saved

    def enter(self, saved: Saved, room: str, position: int) -> None:
        """A client enters a room; ``position`` is the number of the last event so far."""
        if room not in saved.trail.rooms and room != saved.sid and self._has(saved):
            self._rooms.join(saved, room)
            saved.trail.join(room, position)
            self.size += 2 * size_of(room)

    def leave(self, saved: Saved, room: str, position: int) -> None:
        """A client leaves a room."""
        if room in saved.trail.rooms and self._has(saved):
            self._rooms.leave(saved, room)
            saved.trail.leave(room, position)
            self.size -= 2 * size_of(room)


def _time(item: tuple[str, Saved]) -> float:
    return item[1].time
