"""Started: a coroutine that has run as far as it goes without waiting. Most need nothing more, and no deadline."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["Started"]

T = TypeVar("T")


class Started(Generic[T]):
    """Runs the coroutine up to its first suspension, in the caller's own task; what it raises until then is raised.

    Where it is not ``done`` it must be awaited at once. ``value`` is its result, once it is done.
    """

    __slots__ = ("_coroutine", "_waits_for", "done", "value")

    value: T

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.done = False
        self._coroutine = coroutine
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as stop:
            self._finish(stop.value)

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        step: Callable[[Any], Any]
        while True:  # as ``yield from``, from its second step on
            try:
                sent = yield waits_for
            except BaseException as error:
                step, value = self._coroutine.throw, error
            else:
                step, value = self._coroutine.send, sent
            try:
                waits_for = step(value)
            except StopIteration as stop:
                return self._finish(stop.value)

    def _finish(self, value: T) -> T:
        self.done = True
        self.value = value
        return value
