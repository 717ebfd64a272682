"""Outbox: what waits to be sent to one client, and who waits for room in it."""

from __future__ import annotations

from asocketio.protocol.base import PACKET_OVERHEAD, Encoded
from asocketio.runtime.awaitables import Waiters

__all__ = ["Outbox"]

_GONE = Encoded(("",))
"""What stands in the list for a packet that was taken."""

_ABANDONED = object()

_COMPACT_FROM = 32
"""Places of taken packets from which it is worth to close the gap."""


class Outbox:
    """A queue of encoded packets that knows its size.

    It is *full* above 1/16 of its limit: then awaiting senders wait until it has fallen to half
    of that. Senders that do not wait may fill it to the limit.

    A list and an index: an empty deque would be 700 bytes for each idle client.
    """

    __slots__ = ("_at", "_waiters", "high_water", "limit", "queue", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit + PACKET_OVERHEAD  # one packet of that size has room, where nothing else is queued
        self.high_water = max(limit // 16, 1)
        self.size = 0
        self.queue: list[Encoded] = []
        """From ``_at`` on; the places before that are empty. `Socket.post` appends to it."""
        self._at = 0  # of the oldest
        self._waiters: Waiters | None = None

    def __len__(self) -> int:
        return len(self.queue) - self._at

    def put(self, encoded: Encoded) -> bool:
        """Queue a packet; False when that takes it over its limit. `Socket.post` does the same in place."""
        self.queue.append(encoded)
        self.size += encoded.size + PACKET_OVERHEAD
        return self.size <= self.limit

    def drop_last(self) -> None:
        """Take back the newest packet."""
        self.size -= self.queue.pop().size + PACKET_OVERHEAD
        if self._at == len(self.queue):
            self.queue.clear()
            self._at = 0

    def take(self) -> Encoded:
        """The oldest packet."""
        queue, at = self.queue, self._at
        encoded = queue[at]
        queue[at] = _GONE  # not held any longer, even when something is always queued behind it
        at += 1
        if at == len(queue):
            queue.clear()
            at = 0
        elif at >= _COMPACT_FROM and 2 * at > len(queue):
            del queue[:at]  # moves fewer places than were taken since the last time
            at = 0
        self._at = at
        self.size -= encoded.size + PACKET_OVERHEAD
        if self._waiters is not None and self.size <= self.high_water // 2:
            self._wake()
        return encoded

    def take_some(self, size: int) -> list[Encoded]:
        """The oldest packets, about ``size`` bytes of them: at least one, where there is one."""
        if self.size > size:
            least = self.size - size
            taken = [self.take()]
            while self.size > least:
                taken.append(self.take())
            return taken
        # All of them, which is half a microsecond quicker.
        taken = self.queue[self._at :] if self._at else self.queue
        self.queue = []
        self._at = 0
        self.size = 0
        if self._waiters is not None:
            self._wake()
        return taken

    def cut(self, size: int) -> None:
        """Drop the oldest until there are no more than ``size`` bytes."""
        while self.size > size:
            self.take()

    @property
    def above_high_water(self) -> bool:
        """Awaiting senders should wait."""
        return self.size > self.high_water

    async def drain(self) -> None:
        """Wait until it is no longer full, or nobody can expect that any more (`abandon`, `clear`)."""
        while self.above_high_water:
            if self._waiters is None:
                self._waiters = Waiters()
            if await self._waiters.wait() is _ABANDONED:
                return

    def abandon(self) -> None:
        """Wake those who wait: the client is gone, whether or not there is room."""
        if self._waiters is not None:
            self._waiters.wake(_ABANDONED)

    def clear(self) -> None:
        """Drop everything and wake those who wait."""
        self.queue.clear()
        self._at = 0
        self.size = 0
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        if waiters is not None:
            waiters.wake()
