"""A clock that a test advances."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from asocketio.runtime.clock import Clock, Timer

__all__ = ["TestClock", "settle"]


class TestClock(Clock):
    """A clock that stands still until `advance`."""

    __test__ = False
    for_tests = True

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Timer]] = []

    def now(self) -> float:
        return self._now

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = _Timer(callback, args)
        heapq.heappush(self._due, (self._now + max(delay, 0.0), next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: what falls due is done in order, with time to take effect in between."""
        end = self._now + seconds
        await settle()
        while self._due and self._due[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._due)
            if timer.callback is not None:
                timer.callback(*timer.args)
                await settle()
        self._now = end
        await settle()

    async def wait(self, futures: Iterable[asyncio.Future[Any]], deadline: float) -> list[asyncio.Future[Any]]:
        """Wait for them all, and let time pass where only that ends one: a minute, then ten.

        ``deadline``: seconds, of real time, after each. Returns those that have not ended.
        """
        running = list(futures)
        for seconds in (0.0, 60.0, 600.0):
            await self.advance(seconds)
            running = [future for future in running if not future.done()]
            if not running:
                break
            await asyncio.wait(running, timeout=deadline if seconds else 0.2)
        return [future for future in running if not future.done()]


class _Timer:
    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None
        self.args = ()  # as asyncio's own: they may lead back to whoever holds the timer


async def settle() -> None:
    """Let everything that can happen now happen."""
    for _ in range(25):
        await asyncio.sleep(0)
