"""Subscriptions: what a server wants to hear of Redis, what Redis has confirmed, and what it then says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from asocketio.adapters.redis.link import Command
from asocketio.runtime.awaitables import Waiters

__all__ = ["Subscriptions"]

_ENDS = {"SUBSCRIBE": "UNSUBSCRIBE", "PSUBSCRIBE": "PUNSUBSCRIBE", "SSUBSCRIBE": "SUNSUBSCRIBE"}
_PUBLISHING = {"SUBSCRIBE": "PUBLISH", "SSUBSCRIBE": "SPUBLISH"}
_STARTS = {b"subscribe", b"psubscribe", b"ssubscribe"}
MOST_AT_ONCE = 1000
"""Names in one command."""


class Subscriptions:
    """The wanted channels and patterns, and which of them are confirmed on the connection of now.

    ``hear`` is told each message: what was subscribed to, the channel, and what came; ``send`` sends commands where
    there is a connection.
    """

    def __init__(self, hear: Callable[[bytes, bytes, bytes], None], send: Callable[[Sequence[Command]], None]) -> None:
        self._hear = hear
        self._send = send
        self._waiters = Waiters()
        self._unconfirmed: dict[bytes, Confirmation] = {}
        """By name, what waits for its first confirmation."""
        self._open: set[bytes] = set()
        self.reset()

    def reset(self) -> None:
        """Want nothing, on no connection; nobody waits for it any more."""
        self._wanted: dict[bytes, str] = {}
        """By name: the command that subscribes to it."""
        self._open = set()
        """The names that were sent and are not confirmed."""
        self._has_link = False
        for name in list(self._unconfirmed):
            self._confirm(name)
        waiters, self._waiters = self._waiters, Waiters()
        waiters.wake()

    def publishing(self, name: bytes) -> str:
        """The command that publishes where this name is heard."""
        return _PUBLISHING[self._wanted[name]]

    def subscribe(self, command: str, *names: bytes) -> asyncio.Future[None]:
        """Hear of these names, by one of ``SUBSCRIBE``, ``PSUBSCRIBE`` and ``SSUBSCRIBE``, on each connection."""
        new = [name for name in names if name not in self._wanted]
        if not new:
            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done
        for name in new:
            self._wanted[name] = command
        if self._has_link:
            self._open.update(new)
            self._send(_commands(command, new))
        confirmation = Confirmation(new)
        for name in new:
            self._unconfirmed[name] = confirmation
        return confirmation.future

    def unsubscribe(self, *names: bytes) -> None:
        """Hear of them no more."""
        for name in names:
            command = self._wanted.pop(name, None)
            self._confirm(name)
            if command is not None and self._has_link:
                self._send([(_ENDS[command], name)])
        self._waiters.wake()

    def begin(self) -> None:
        """There is a new connection: subscribe to all of it."""
        self._has_link = True
        self._open = set(self._wanted)
        by_command: dict[str, list[bytes]] = {}
        for name, command in self._wanted.items():
            by_command.setdefault(command, []).append(name)
        for command, names in by_command.items():
            self._send(_commands(command, names))

    def lose(self) -> None:
        """The connection is gone."""
        self._has_link = False

    async def confirmed(self) -> None:
        """Wait until all are confirmed."""
        await self._waiters.wait_until(lambda: not self._open)

    def take(self, answer: Any) -> BaseException | None:
        """What the connection has said. Returned is why the connection is of no use."""
        if isinstance(answer, BaseException):
            return answer
        kind = answer[0]
        if kind == b"message" or kind == b"smessage":
            self._hear(answer[1], answer[1], answer[2])
        elif kind == b"pmessage":
            self._hear(answer[1], answer[2], answer[3])
        elif kind in _STARTS:
            self._confirm(answer[1])
            self._waiters.wake()
        return None

    def _confirm(self, name: bytes) -> None:
        self._open.discard(name)
        confirmation = self._unconfirmed.pop(name, None)
        if confirmation is not None:
            confirmation.take(name)


class Confirmation:
    """Waits until several names have been confirmed, or are wanted no more."""

    __slots__ = ("_names", "future")

    def __init__(self, names: Sequence[bytes]) -> None:
        self._names = set(names)
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, name: bytes) -> None:
        """One of them is."""
        self._names.discard(name)
        if not self._names and not self.future.done():
            self.future.set_result(None)


def _commands(command: str, names: Sequence[bytes]) -> list[Command]:
    return [(command, *names[at : at + MOST_AT_ONCE]) for at in range(0, len(names), MOST_AT_ONCE)]
