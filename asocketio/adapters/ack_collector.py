"""AckCollector: what many answer to one question: the acks of clients, and the answers of other servers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["AckCollector", "shared_number"]

_SHARED = 10**14
"""The least number of an event that asks several clients; no client is ever asked as often by itself."""


def shared_number() -> int:
    """A number for an ack of many clients: random, and below 10 to the 15th, for old clients read 16 digits of it."""
    return _SHARED + secrets.randbelow(9 * _SHARED)


class AckCollector:
    """Collects the answers to one question.

    Whoever asks calls `expect` for each client, and `expect_server` for each other server, before anything is sent;
    then `all_asked` once. A client may answer, close or leave before that: such a client does not end the wait for
    the others. A server that is expected may bring further clients until `server_answered` is called for it, or
    `server_asked` says how many they are.
    """

    __slots__ = (
        "_closed",
        "_done",
        "_forget",
        "_on_close",
        "_owed",
        "_servers",
        "_still_asking",
        "answers",
        "number",
        "seconds",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers: list[Any] = []
        """In the order in which they came: of a client the list of its ack's arguments, of a server its answer."""
        self.seconds = 60.0
        """How long they are waited for. Whoever asks says so before anything is sent."""
        self._forget: dict[Hashable, Callable[[], None]] = {}
        self._servers: set[Hashable] = set()
        self._owed: dict[Hashable, int] = {}
        """By server, of how many of its clients there is no answer; below 0 where answers came before their number."""
        self._on_close: list[Callable[[], None]] = []
        self._still_asking = True
        self._closed = False
        self._done: asyncio.Future[None] | None = None

    @property
    def missing(self) -> int:
        """How many clients have not answered yet."""
        return len(self._forget) + sum(count for count in self._owed.values() if count > 0)

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

    def server_asked(self, server: Hashable, clients: int) -> None:
        """``server`` has asked so many clients. Of each `client_answered` or `client_gone` tells, later or before."""
        if server in self._servers and not self._closed:
            self._owed[server] = self._owed.get(server, 0) + clients
            self.server_answered(server)

    def client_answered(self, server: Hashable, args: list[Any]) -> None:
        """A client of ``server`` has answered."""
        if self._owes(server):
            self.answers.append(args)
            self._check()

    def client_gone(self, server: Hashable) -> None:
        """A client of ``server`` will not answer: it has gone."""
        if self._owes(server):
            self._check()

    def _owes(self, server: Hashable) -> bool:
        """Whether one answer more of a client of ``server`` is awaited; then there is one less."""
        if self._closed or not (server in self._servers or self._owed.get(server, 0) > 0):
            return False
        self._owed[server] = self._owed.get(server, 0) - 1
        return True

    def server_gone(self, server: Hashable) -> None:
        """Neither ``server`` nor its clients will answer."""
        self._servers.discard(server)
        self._owed.pop(server, None)
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
        if not self._is_done():
            self._done = asyncio.get_running_loop().create_future()
            await self._done

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when nothing is awaited any more."""
        self._on_close.append(callback)

    def close(self) -> int:
        """Stop waiting for those that have not answered. Returns how many clients these are."""
        missing = self.missing
        self._closed = True
        forget, self._forget = self._forget, {}
        for each in (*forget.values(), *self._on_close):
            each()
        self._on_close.clear()
        return missing

    def _is_done(self) -> bool:
        return not (self._still_asking or self._forget or self._servers or any(n > 0 for n in self._owed.values()))

    def _check(self) -> None:
        if self._is_done():
            self.end()
