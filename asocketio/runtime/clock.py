"""Clock: the only source of time. Tests pass one that they advance by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import anyio

__all__ = ["Clock", "Timer"]


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget it."""


class Clock:
    """The time of an event loop: of the running one, unless it is given."""

    for_tests: ClassVar[bool] = False
    """A test advances it."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._given = loop

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return self._given or asyncio.get_running_loop()  # looked up it costs a system call, before Python 3.12

    def now(self) -> float:
        """Seconds; only differences mean something."""
        return self._loop.time()

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` in ``delay`` seconds."""
        return self._loop.call_later(delay, callback, *args)

    @contextmanager
    def deadline(self, seconds: float, *, shield: bool = False) -> Generator[anyio.CancelScope]:
        """Cancel what runs inside after ``seconds``; ``scope.cancelled_caught`` tells if that happened.

        With ``shield`` the cancellations of outer anyio scopes wait until it ends.
        """
        with anyio.CancelScope(shield=shield) as scope:
            timer = self.call_later(seconds, scope.cancel)
            try:
                yield scope
            finally:
                timer.cancel()
