"""AckCollector: the acks of many clients to one event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["AckCollector"]


class AckCollector:
    """Collects the acks of an event that was sent to several clients under one number.

    Whoever sends the event calls `expect` for each client before sending, and `all_asked` once after the
    last one. A client may answer, close or leave before that: such a client does not end the wait for the others.
    """

    __slots__ = ("_done", "_forget", "_still_asking", "answers", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers: list[list[Any]] = []
        """The arguments of each ack, in the order in which the acks came."""
        self._forget: dict[Hashable, Callable[[], None]] = {}
        self._still_asking = True
        self._done: asyncio.Future[None] | None = None

    @property
    def missing(self) -> int:
        """How many clients have not answered yet."""
        return len(self._forget)

    def expect(self, client: Hashable, forget: Callable[[], None]) -> None:
        """Wait for ``client`` too. ``forget`` is called if its answer is awaited no longer."""
        self._forget[client] = forget

    def answer(self, client: Hashable, args: list[Any]) -> None:
        """``client`` has answered."""
        if client in self._forget:
            self.answers.append(args)
            self.give_up(client)

    def give_up(self, client: Hashable) -> None:
        """``client`` will not answer: it has gone."""
        if self._forget.pop(client, None) is not None:
            self._check()

    def all_asked(self) -> None:
        """There are no other clients to wait for."""
        self._still_asking = False
        self._check()

    def end(self) -> None:
        """Return from `wait`, whether all have answered or not."""
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def wait(self) -> None:
        """Wait until all clients have answered or gone, or `end` was called."""
        if self._still_asking or self._forget:
            self._done = asyncio.get_running_loop().create_future()
            await self._done

    def close(self) -> int:
        """Stop waiting for the clients that have not answered. Returns how many these are."""
        forget, self._forget = self._forget, {}
        for each in forget.values():
            each()
        return len(forget)

    def _check(self) -> None:
        if not self._still_asking and not self._forget:
            self.end()
