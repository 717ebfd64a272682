"""AckCollector: what many answer to one question: the acks of clients, and the answers of other servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["AckCollector"]


class AckCollector:
    """Collects the answers to one question.

    Whoever asks calls `expect` for each client, and `expect_server` for each other server, before anything is sent;
    then `all_asked` once. A client may answer, close or leave before that: such a client does not end the wait for
    the others. A server that is expected may bring further clients until `server_answered` is called for it.
    """

    __slots__ = ("_closed", "_done", "_forget", "_servers", "_still_asking", "answers", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers: list[Any] = []
        """In the order in which they came: of a client the list of its ack's arguments, of a server its answer."""
        self._forget: dict[Hashable, Callable[[], None]] = {}
        self._servers: set[Hashable] = set()
        self._still_asking = True
        self._closed = False
        self._done: asyncio.Future[None] | None = None

    @property
    def missing(self) -> int:
        """How many clients have not answered yet."""
        return len(self._forget)

    @property
    def servers_missing(self) -> int:
        """How many other servers have not answered yet. Clients of theirs may be missing besides."""
        return len(self._servers)

    # Clients.

    def expect(self, client: Hashable, forget: Callable[[], None]) -> None:
        """Wait for ``client`` too. ``forget`` is called if its answer is awaited no longer."""
        if self._closed:  # a server that answers late
            forget()
        else:
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

    # Servers.

    def expect_server(self, server: Hashable) -> None:
        """Wait for another server too."""
        self._servers.add(server)

    def server_answered(self, server: Hashable, *answers: Any) -> None:
        """``server`` has answered, or has named all of its clients that are asked; or it is gone."""
        if server in self._servers and not self._closed:
            self._servers.discard(server)
            self.answers.extend(answers)
            self._check()

    def add(self, answer: Any) -> None:
        """An answer that is there at once: this server's own."""
        self.answers.append(answer)

    # The wait.

    def all_asked(self) -> None:
        """There is nobody else to wait for."""
        self._still_asking = False
        self._check()

    def end(self) -> None:
        """Return from `wait`, whether all have answered or not."""
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def wait(self) -> None:
        """Wait until all have answered or gone, or `end` was called."""
        if self._still_asking or self._forget or self._servers:
            self._done = asyncio.get_running_loop().create_future()
            await self._done

    def close(self) -> int:
        """Stop waiting for those that have not answered. Returns how many clients these are."""
        self._closed = True
        forget, self._forget = self._forget, {}
        for each in forget.values():
            each()
        return len(forget)

    def _check(self) -> None:
        if not self._still_asking and not self._forget and not self._servers:
            self.end()
