"""EagerCall: a coroutine that has run as far as it goes without waiting. Most need nothing more, and no deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from asocketio.runtime.clock import Clock

__all__ = ["EagerCall"]

T = TypeVar("T")


class EagerCall(Generic[T]):
    """Runs the coroutine up to its first suspension, in the caller's own task; what it raises until then is raised.

    Where it is not ``done``, `finish` must be awaited at once. ``value`` is its result, once it is done.
    """

    __slots__ = ("_coroutine", "_cut", "_task", "_waits_for", "done", "value")

    value: T

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.done = False
        self._cut = False
        self._task: asyncio.Task[Any] | None = None
        self._coroutine = coroutine
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as stop:
            self._finish(stop.value)

    async def finish(self, clock: Clock, seconds: float) -> bool:
        """Wait for the rest, at most ``seconds``; False when it was cut short by that, or by `cut`.

        As `asyncio.timeout`, and not by a cancel scope of anyio: the coroutine may be inside one of its own already,
        and those end in the order in which they began.
        """
        task = self._task = asyncio.current_task()
        assert task is not None
        cancelled = task.cancelling()
        timer = clock.call_later(seconds, self.cut)
        try:
            await _Rest(self._coroutine, self._waits_for, self._finish)
        except asyncio.CancelledError:
            if self._cut and task.uncancel() <= cancelled:
                return False
            raise
        finally:
            self._task = None
            timer.cancel()
        return True

    def cut(self) -> None:
        """Wait no longer."""
        if self._task is not None and not self._cut:
            self._cut = True
            self._task.cancel()

    def _finish(self, value: T) -> None:
        self.done = True
        self.value = value


class _Rest(Generic[T]):
    """Awaits what is left of a coroutine: as ``yield from``, from its second step on."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any, finished: Callable[[T], None]) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for
        self._finished = finished

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        step: Callable[[Any], Any]
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                step, value = self._coroutine.throw, error
            else:
                step, value = self._coroutine.send, sent
            try:
                waits_for = step(value)
            except StopIteration as stop:
                self._finished(stop.value)
                return
