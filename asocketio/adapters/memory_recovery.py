"""MemoryRecovery: what clients may have missed, and the clients that may come back, in this process."""

from __future__ import annotations

import secrets
import typing
from collections import Counter
from collections.abc import Collection

from asocketio.adapters.away import AwayClients
from asocketio.adapters.event_log import EVENT_OVERHEAD, EventLog
from asocketio.adapters.recovery import RecoveryStore
from asocketio.adapters.trails import Entry, Restored, Saved, Trail
from asocketio.config import Config
from asocketio.protocol.base import Encoded, Protocol
from asocketio.protocol.offsets import Offsets
from asocketio.runtime.clock import Clock, Timer

__all__ = ["MemoryRecovery", "Timekeeper"]


class Timekeeper(typing.Protocol):
    """What tells the time. A server has another clock in each event loop."""

    clock: Clock


class MemoryRecovery(RecoveryStore):
    """Keeps at most ``recovery_events``, each client that is away counted as one, of ``recovery_bytes``.

    Clients that are away may have half of it; of them, as of events, the oldest are dropped.
    """

    def __init__(self, config: Config, timekeeper: Timekeeper) -> None:
        self.max_outbox = config.max_outbox
        self._timekeeper = timekeeper
        self._seconds = config.recovery or 0.0
        self._silence = config.ping_interval + config.ping_timeout
        self._most_clients = max(config.recovery_events // 2, 1)
        self._most_bytes = config.recovery_bytes // 2
        self._log = EventLog(config.recovery_events, config.recovery_bytes)
        self._offsets = Offsets()
        self._number = 0
        self._here: dict[str, Trail] = {}
        self._away = AwayClients()
        self._protocols: dict[str, Counter[Protocol]] = {}
        self._timer: Timer | None = None

    # The life of the server.

    def start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()  # of the event loop before, perhaps
            self._timer = None
        for namespace in self._protocols:
            self._log.forget(namespace)
        self._protocols.clear()
        self._here.clear()
        self._away.clear()

    def stop(self) -> None:
        self.start()

    @property
    def kept(self) -> tuple[int, int]:
        """How many events and clients are kept, and about how many bytes of memory they take."""
        return len(self._log) + len(self._away), self._log.size + self._away.size

    # Clients that are here.

    def open(self, namespace: str, sid: str, protocol: Protocol) -> Trail:
        trail = Trail(namespace, sid, secrets.token_urlsafe(15), protocol, self._number, self.write)
        self._here[trail.private_id] = trail
        self._protocols.setdefault(namespace, Counter())[protocol] += 1
        return trail

    def find(self, private_id: str) -> Trail | None:
        saved = self._away.get(private_id)
        return self._here.get(private_id) if saved is None else saved.trail

    def close(self, trail: Trail) -> None:
        if self._here.get(trail.private_id) is trail:
            del self._here[trail.private_id]
            self._go(trail)

    def _go(self, trail: Trail) -> None:
        """A trail is not followed any more; of a namespace without trails nothing is kept."""
        protocols = self._protocols[trail.namespace]
        protocols[trail.protocol] -= 1
        if not protocols[trail.protocol]:
            del protocols[trail.protocol]
        if not protocols:
            del self._protocols[trail.namespace]
            self._log.forget(trail.namespace)

    # Events.

    @property
    def position(self) -> int:
        return self._number

    def next(self, namespace: str) -> tuple[int, str]:
        self._number += 1
        return self._number, self._offsets.seal(namespace, self._number)

    def is_awaited(self, namespace: str, rooms: frozenset[str] | None) -> bool:
        return self._away.has_any(namespace, rooms)

    def protocols(self, namespace: str) -> Collection[Protocol]:
        return self._protocols.get(namespace, ())

    def keep(
        self,
        namespace: str,
        number: int,
        encoded: dict[Protocol, Encoded],
        rooms: frozenset[str] | None,
        excluded: frozenset[str] = frozenset(),
    ) -> None:
        places = 1 + len(rooms or ()) + len(excluded)
        size = sum(each.size for each in encoded.values()) + EVENT_OVERHEAD * places
        entry = Entry(number, encoded, rooms, excluded, size)
        entry.time = self._timekeeper.clock.now()
        self._log.add(namespace, entry)
        self._log.trim(len(self._away), self._away.size)
        self._watch()

    # Clients that are away.

    def save(self, saved: Saved) -> None:
        saved.time = self._timekeeper.clock.now()
        self._here.pop(saved.trail.private_id, None)  # `_protocols` goes on counting it
        self._away.add(saved)
        self._fit(saved)

    def _fit(self, newest: Saved) -> None:
        """See to it that the clients that are away take no more than they may; events make room for them.

        One that is too much by itself goes alone, and takes nobody with it.
        """
        away = self._away
        if away.size_of(newest) > self._most_bytes:
            self.forget(newest.trail)
        while len(away) > self._most_clients or away.size > self._most_bytes:
            oldest = away.oldest()
            if oldest is not None:
                self.forget(oldest.trail)
        self._log.trim(len(away), away.size)
        self._watch()

    def forget(self, trail: Trail, *, close: bool = False) -> None:
        for private_id in (close and trail.siblings) or (trail.private_id,):
            saved, here = self._away.get(private_id), self._here.get(private_id)
            if saved is not None and saved.trail.siblings == trail.siblings:
                self._away.take(saved)
                self._go(saved.trail)
            elif here is not None and here.siblings == trail.siblings:  # else it has come back by another connection
                here.returns = False

    def find_away(self, namespace: str, rooms: frozenset[str] | None, excluded: frozenset[str]) -> Collection[Saved]:
        return self._away.find(namespace, rooms, excluded)

    def enter(self, saved: Saved, room: str) -> None:
        self._away.enter(saved, room, self._number)
        self._fit(saved)

    def leave(self, saved: Saved, room: str) -> None:
        self._away.leave(saved, room, self._number)

    # Returns.

    def find_position(self, trail: Trail, offset: object) -> int | None:
        if offset is None:
            number: int | None = 0
        else:
            number = self._offsets.open(trail.namespace, offset) if isinstance(offset, str) else None
        if number is None or number < trail.heard:
            return None
        entry = self._log.get(trail.namespace, number)
        if entry is not None and number > trail.start and not trail.got(entry):
            return None
        return max(number, trail.start)

    async def restore(
        self, namespace: str, private_id: str, offset: object, protocol: Protocol, pin: str | None
    ) -> Restored | None:
        self._expire()
        saved = self._away.get(private_id)
        if saved is None or saved.namespace != namespace or saved.pin != pin or saved.trail.protocol is not protocol:
            return None
        position = self.find_position(saved.trail, offset)
        if position is None:
            return None
        missed = self._log.missed(saved.trail, position, self.max_outbox // 2)
        if missed is None:
            self.forget(saved.trail)
            return None
        self._away.take(saved)
        trail = saved.trail.copy()
        trail.heard = position if offset is not None else trail.heard
        trail.recovered = True
        trail.restored = restored = Restored(saved, trail, missed)
        self._here[private_id] = trail  # `_protocols` goes on counting it
        return restored

    def put_back(self, restored: Restored) -> None:
        saved = restored.saved
        if self._here.get(saved.trail.private_id) is restored.trail:
            del self._here[saved.trail.private_id]
            self._away.add(saved)
            self._fit(saved)

    # Time.

    def _watch(self) -> None:
        """See to it that what is kept does not outlive its time."""
        if self._timer is None:
            self._timer = self._timekeeper.clock.call_later(self._seconds, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        left = self._expire()
        if left is not None:
            self._timer = self._timekeeper.clock.call_later(min(left, self._seconds), self._on_time)

    def _expire(self) -> float | None:
        """Drop clients that are away for too long, and events that nobody may have missed.

        Returns the seconds until the next one is due. A client may be away in silence before that is noticed, so events
        stay for as much longer.
        """
        now = self._timekeeper.clock.now()
        due: list[float] = []
        while (saved := self._away.oldest()) is not None:
            if saved.time + self._seconds > now:
                due.append(saved.time + self._seconds - now)
                break
            self.forget(saved.trail)
        oldest = self._log.expire(now - self._seconds - self._silence)
        if oldest is not None:
            due.append(oldest + self._seconds + self._silence - now)
        return min(due, default=None)
