"""ReadGate: the transports of one client that have stopped reading, until there is room for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["ReadGate"]


class ReadGate:
    """Who waits for room. Several may: a POST can still be read while a websocket has taken over.

    ``full()`` tells whether there is none.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: tuple[asyncio.Future[None], ...] = ()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self, full: Callable[[], bool]) -> None:
        """Wait until there is room."""
        while full():
            waiter = self._enter()
            try:
                await waiter
            finally:
                self._leave(waiter)

    def call(self, full: Callable[[], bool], callback: Callable[[], None]) -> None:
        """Call ``callback`` once there is room: `wait` for those who cannot."""

        def look(waiter: asyncio.Future[None]) -> None:
            self._leave(waiter)
            if full():
                self.call(full, callback)
            else:
                callback()

        self._enter().add_done_callback(look)

    def wake(self) -> None:
        """Let them look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _enter(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting += (waiter,)
        return waiter

    def _leave(self, waiter: asyncio.Future[None]) -> None:
        self._waiting = tuple(other for other in self._waiting if other is not waiter)
