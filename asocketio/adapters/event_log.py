"""EventLog: the events of one process that clients may have missed, by namespace and room, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from asocketio.adapters.trails import Entry, Stay, Trail
from asocketio.protocol.base import PACKET_OVERHEAD

__all__ = ["EVENT_OVERHEAD", "EventLog"]

EVENT_OVERHEAD = 800
"""Bytes that a kept event takes besides its content; each room that it is for takes as many more."""

MOST_LOST = 1000
"""Rooms of one namespace of which it is known up to where their events were dropped."""

AT_A_TIME = 16
"""A part of the bound: so much is dropped at once, where the fullest namespace has to be looked for."""


class _Namespace:
    """The events of one namespace."""

    __slots__ = ("by_room", "entries", "floor", "lost", "size")

    def __init__(self) -> None:
        self.entries: OrderedDict[int, Entry] = OrderedDict()
        self.by_room: dict[str | None, dict[int, Entry]] = {}
        self.size = 0
        self.lost: OrderedDict[str | None, int] = OrderedDict()
        """The newest event of a room that was dropped."""
        self.floor = 0
        """Up to here events of any room may have been dropped."""

    def add(self, entry: Entry) -> None:
        self.entries[entry.number] = entry
        self.size += entry.size
        for room in _rooms(entry):
            self.by_room.setdefault(room, {})[entry.number] = entry

    def drop_oldest(self) -> Entry:
        number, entry = self.entries.popitem(last=False)
        self.size -= entry.size
        for room in _rooms(entry):
            events = self.by_room[room]
            del events[number]
            if not events:
                del self.by_room[room]
            self.lost[room] = number
            self.lost.move_to_end(room)
        while len(self.lost) > MOST_LOST:
            self.floor = max(self.floor, self.lost.popitem(last=False)[1])
        return entry

    def lacks(self, stay: Stay, after: int) -> bool:
        """Whether an event of ``stay`` that came after ``after`` may have been dropped."""
        after = max(after, stay.since)
        if stay.until is not None and stay.until <= after:
            return False
        return after < self.floor or after < self.lost.get(stay.room, 0)

    def find(self, stay: Stay, after: int) -> Iterator[Entry]:
        """The events of ``stay`` that came after ``after``, the newest first."""
        after = max(after, stay.since)
        for number, entry in reversed(self.by_room.get(stay.room, {}).items()):
            if number <= after:
                return
            if stay.until is None or number <= stay.until:
                yield entry


def _rooms(entry: Entry) -> frozenset[str] | tuple[None]:
    return (None,) if entry.rooms is None else entry.rooms


class EventLog:
    """Keeps at most ``most_events`` of together ``most_bytes``, and drops the oldest.

    Of these a namespace has its share: as long as it takes no more, another one that takes more gives way.
    """

    __slots__ = ("_all", "_most_bytes", "_most_events", "_namespaces", "size")

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._namespaces: dict[str, _Namespace] = {}
        self._all: OrderedDict[int, str] = OrderedDict()  # the namespaces of all events, in order
        self.size = 0

    def __len__(self) -> int:
        return len(self._all)

    def add(self, namespace: str, entry: Entry) -> None:
        """Keep an event."""
        found = self._namespaces.get(namespace)
        if found is None:
            found = self._namespaces[namespace] = _Namespace()
        found.add(entry)
        self._all[entry.number] = namespace
        self.size += entry.size

    def trim(self, events: int, size: int) -> None:
        """Make room for ``events`` of ``size`` bytes that are not of this log; the newest event's namespace pays first.

        It may be empty then.
        """
        most_events, most_bytes = self._most_events - events, self._most_bytes - size
        while self._all and (len(self._all) > most_events or self.size > most_bytes):
            newest = self._all[next(reversed(self._all))]
            if self._is_over_share(newest, most_events, most_bytes):
                self._drop_oldest(newest)
                continue
            fullest = max(self._namespaces, key=self._use)
            for _ in range(max(len(self._namespaces[fullest].entries) // AT_A_TIME, 1)):
                self._drop_oldest(fullest)

    def _is_over_share(self, namespace: str, most_events: int, most_bytes: int) -> bool:
        found, shares = self._namespaces[namespace], len(self._namespaces)
        return len(found.entries) * shares > most_events or found.size * shares > most_bytes

    def _use(self, namespace: str) -> float:
        """The greater one of two parts: of the number of events, and of their bytes."""
        found = self._namespaces[namespace]
        return max(len(found.entries) / self._most_events, found.size / self._most_bytes)

    def _drop_oldest(self, namespace: str) -> None:
        entry = self._namespaces[namespace].drop_oldest()
        del self._all[entry.number]
        self.size -= entry.size

    def expire(self, before: float) -> float | None:
        """Drop the events from before this time; returns the time of the oldest that is left."""
        while self._all:
            namespace = next(iter(self._all.values()))
            entry = next(iter(self._namespaces[namespace].entries.values()))
            if entry.time > before:
                return entry.time
            self._drop_oldest(namespace)
        return None

    def forget(self, namespace: str) -> None:
        """Nobody is in a namespace any more, nor may come back to it."""
        found = self._namespaces.pop(namespace, None)
        if found is not None:
            self.size -= found.size
            for number in found.entries:
                del self._all[number]

    def get(self, namespace: str, number: int) -> Entry | None:
        """An event, if it is kept."""
        found = self._namespaces.get(namespace)
        return None if found is None else found.entries.get(number)

    def missed(self, trail: Trail, after: int, most: int) -> list[Entry] | None:
        """All events for a client that came after ``after``, in order.

        None where one of them may have been dropped, or they would take more than ``most`` bytes of its outbox.
        """
        if after < trail.unsure:
            return None
        log = self._namespaces.get(trail.namespace)
        if log is None:
            return []
        found: dict[int, Entry] = {}
        for stay in trail.stays():
            if log.lacks(stay, after):
                return None
            for entry in log.find(stay, after):
                if entry.number in found or not trail.got(entry):
                    continue
                encoded = entry.encoded.get(trail.protocol)
                if encoded is None:
                    return None
                found[entry.number] = entry
                most -= encoded.size + PACKET_OVERHEAD
                if most < 0:
                    return None
        return [found[number] for number in sorted(found)]
