"""Publisher: what this server tells the others: one queue in order, bounded in bytes, with one task that sends."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from asocketio.adapters.base import Host
from asocketio.adapters.cluster.engine import Engine, Outgoing
from asocketio.adapters.cluster.messages import Body, Broadcast, Message
from asocketio.errors import BusDown, Overflow
from asocketio.runtime.awaitables import COMPLETED, Waiters

__all__ = ["Publisher"]

OVERHEAD = 200
"""Bytes that a message counts besides its own."""
MOST_AT_ONCE = 1000
"""Messages that an engine is given in one batch."""
RETRY = 1.0
"""Seconds between two tries to send while the bus is down, where the engine does not say earlier that it is up."""


class Publisher:
    """Sends what `put` takes, in order. While the bus is down it waits, and what is too much is dropped.

    Above ``max_publish_queue`` the oldest broadcasts are dropped. What may not be dropped may take up to twice as much;
    beyond, the new message is dropped itself: it is counted like the others.
    """

    def __init__(self, engine: Engine, host: Host, lost: Callable[[int], None]) -> None:
        self._engine = engine
        self._host = host
        self._lost = lost
        """Told how many messages were dropped at once."""
        self._queue: OrderedDict[int, Outgoing] = OrderedDict()
        self._droppable: deque[int] = deque()
        """The numbers of those in the queue that may be dropped, and of some that are not in it any more."""
        self._number = 0
        self._is_down = False
        self._room = Waiters()
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.size = 0
        """Bytes that wait, and that are being sent."""

    def start(self) -> None:
        """Begin to send, with an empty queue. A task of a former event loop has gone with it."""
        self._queue.clear()
        self._droppable.clear()
        self._room = Waiters()
        self._wake = None
        self._is_down = False
        self.size = 0
        self._task = asyncio.get_running_loop().create_task(self._run(), name="publish to the cluster")

    async def stop(self) -> None:
        """Send what is queued within a second, and end."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._queue or self.size:
            with self._host.clock.deadline(1.0):
                await self._room.wait_until(lambda: self.size == 0)
        task.cancel()
        await asyncio.wait([task])
        self._room.wake()

    def encode(self, namespace: str, body: Body, to: str | None = None) -> Outgoing:
        """A message of this server, for `put`.

        Raises:
            UsageError: something in it has no form on the bus.
            Overflow: an event is over ``max_outbox``: no client could have it.
        """
        outgoing = self._engine.encode(Message(self._engine.uid, namespace, body, to))
        if isinstance(body, Broadcast) and outgoing.size > self._host.config.max_outbox:
            most = self._host.config.max_outbox
            raise Overflow(f"a packet of {outgoing.size} bytes, at most {most} are allowed (max_outbox)", "out")
        return outgoing

    def publish(self, namespace: str, body: Body, to: str | None = None) -> Awaitable[None]:
        """`encode` a message, and `put` it."""
        return self.put(self.encode(namespace, body, to))

    def put(self, outgoing: Outgoing) -> Awaitable[None]:
        """Queue a message. What it returns may be awaited until there is room for more."""
        most = self._host.config.max_publish_queue
        self._number += 1
        self._queue[self._number] = outgoing
        if outgoing.droppable:
            self._droppable.append(self._number)
        self.size += outgoing.size + OVERHEAD
        if self.size > most:
            self._drop(most)
        if not self._is_down:
            self.wake()
        return COMPLETED if 2 * self.size <= most else RoomWaiter(self)

    def wake(self) -> None:
        """There is something to send, or the bus may be up again."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def wait_for_room(self) -> None:
        """Wait until the queue is half empty, for at most ``send_timeout`` seconds."""
        most = self._host.config.max_publish_queue
        with self._host.clock.deadline(self._host.config.send_timeout):
            await self._room.wait_until(lambda: 2 * self.size <= most or self._task is None)

    def _drop(self, most: int) -> None:
        dropped = 0
        while self.size > most and self._droppable:
            dropped += self._remove(self._droppable.popleft())
        if self.size > 2 * most:
            dropped += self._remove(self._number)
        if dropped:
            self._lost(dropped)

    def _remove(self, number: int) -> bool:
        outgoing = self._queue.pop(number, None)
        if outgoing is not None:
            self.size -= outgoing.size + OVERHEAD
        return outgoing is not None

    async def _run(self) -> None:
        while True:
            if not self._queue:
                await self._wait()
            batch = self._take()
            sent = len(batch)
            try:
                await self._engine.send([outgoing for _, outgoing in batch])
            except BusDown as error:
                sent = error.sent
            except Exception as error:  # an engine's mistake must not end all publishing
                self._lost(len(batch))
                self._host.throttled_log.error("engine", "%r raised %r", self._engine, error, error=error)
            for _, outgoing in batch[:sent]:
                self.size -= outgoing.size + OVERHEAD
            if sent < len(batch):
                self._put_back(batch[sent:])
                self._is_down = True
                await self._wait(RETRY)
                self._is_down = False
            self._room.wake()

    def _take(self) -> list[tuple[int, Outgoing]]:
        batch = [self._queue.popitem(last=False) for _ in range(min(len(self._queue), MOST_AT_ONCE))]
        while self._droppable and self._droppable[0] <= batch[-1][0]:
            self._droppable.popleft()
        return batch

    def _put_back(self, unsent: list[tuple[int, Outgoing]]) -> None:
        for number, outgoing in reversed(unsent):
            self._queue[number] = outgoing
            self._queue.move_to_end(number, last=False)
            if outgoing.droppable:
                self._droppable.appendleft(number)
        if self.size > self._host.config.max_publish_queue:
            self._drop(self._host.config.max_publish_queue)

    async def _wait(self, seconds: float | None = None) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        timer = None if seconds is None else self._host.clock.call_later(seconds, self.wake)
        try:
            await self._wake
        finally:
            self._wake = None
            if timer is not None:
                timer.cancel()


class RoomWaiter:
    """Awaited, it waits for room in the queue. Nobody is warned when it is not awaited."""

    __slots__ = ("_publisher",)

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def __await__(self) -> Generator[Any, Any, None]:
        return self._publisher.wait_for_room().__await__()
