"""What can be awaited: results that are there already, and things that several wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["COMPLETED", "Completed", "Waiters"]


class Completed:
    """A result that is already there and may be awaited all the same. Nobody is warned when it is not awaited."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.value
        yield


COMPLETED = Completed(None)
"""What sending returns when there is nothing to wait for: shared, so that the hot path makes no object."""


class Waiters:
    """The coroutines that wait for one thing. One that is cancelled is forgotten, and is nothing to the others."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: dict[asyncio.Future[Any], None] | None = None  # made when the first one waits

    def __len__(self) -> int:
        return len(self._futures or ())

    async def wait(self) -> Any:
        """Wait for the next `wake`; returns what it says."""
        future = asyncio.get_running_loop().create_future()
        if self._futures is None:
            self._futures = {}
        self._futures[future] = None
        try:
            return await future
        finally:
            self._futures.pop(future, None)
            if not self._futures:
                self._futures = None

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition()`` holds, which is looked at after each `wake`."""
        while not condition():
            await self.wait()

    def wake(self, word: Any = None) -> None:
        """Let all of them go on, in the order in which they came."""
        for future in self._futures or ():
            if not future.done():
                future.set_result(word)
