"""Losses: when thousands of connections break at the same moment, some of their ends are worked off in each turn."""

from __future__ import annotations

import asyncio
import typing
from collections import deque
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakKeyDictionary

from uvicorn.protocols.utils import is_ssl

__all__ = ["AT_ONCE", "Losses", "Lost"]

AT_ONCE = 50
"""Ends in one turn of the event loop. That of a poll that waits takes 30 µs, with the task that it wakes."""


class Lost(typing.Protocol):
    """A connection that is lost."""

    def end(self) -> None:
        """Nothing is left of it."""


class Losses:
    """The ends of one event loop. The first ones of a turn are done at once."""

    __slots__ = ("_count", "_waiting")

    _of_loops: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Losses]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._count = 0
        """Those of this turn."""
        self._waiting: deque[Callable[[], object]] = deque()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Losses:
        """Those of ``loop``."""
        found = cls._of_loops.get(loop)
        if found is None:
            found = cls._of_loops[loop] = cls()
        return found

    def add(self, lost: Lost) -> None:
        """Let it end, now or in one of the next turns."""
        if self._is_one_of_the_first():
            lost.end()
        else:
            self._waiting.append(lost.end)

    def close_later(self, transport: asyncio.Transport) -> bool:
        """Close a transport whose peer has ended its side in one of the next turns; False: it may close itself now.

        It is what `asyncio.Protocol.eof_received` answers. To close a socket takes the system 15 µs.
        """
        if is_ssl(transport) or self._is_one_of_the_first():
            return False
        self._waiting.append(transport.close)
        return True

    def _is_one_of_the_first(self) -> bool:
        """Whether it has its turn now."""
        if not self._count:
            asyncio.get_running_loop().call_soon(self._next)
        if self._count >= AT_ONCE or self._waiting:
            return False
        self._count += 1
        return True

    def _next(self) -> None:
        self._count = min(len(self._waiting), AT_ONCE)
        if self._count:
            asyncio.get_running_loop().call_soon(self._next)  # before them: one may raise
        for _ in range(self._count):
            self._waiting.popleft()()
