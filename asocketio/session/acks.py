"""Acks: answers awaited from one client, by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asocketio.errors import Disconnected, Overflow

__all__ = ["Acks", "Answer", "unpack"]

Answer = Callable[[list[Any] | None, BaseException | None], None]
"""Called once: with the arguments of the ack, or with what came instead of it."""

_NOBODY: dict[int, tuple[str, Answer]] = {}
"""Shared by all clients from whom no answer was ever awaited, and never written to."""


class Acks:
    """Numbers map to those who wait for the answer. An answer counts only from the namespace that was asked.

    They tell a client nothing of others: they are its own, counted from 1, or random where one event asks several
    (`asocketio.adapters.ack_collector.shared_number`).
    """

    __slots__ = ("_asked", "_limit", "_reason", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._asked = 0
        self._waiting = _NOBODY  # 64 bytes less for each idle client than a table of its own
        self._reason: str | None = None
        """Why no answer will come any more."""

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, namespace: str, answer: Answer) -> int:
        """A number for an ack of the client; ``answer`` is called with it, or with what came instead.

        Raises:
            Disconnected: the client is gone.
            Overflow: it owes ``max_pending_acks`` answers already.
        """
        number = self._asked = self._asked + 1
        self.expect_number(number, namespace, answer)
        return number

    def expect_number(self, number: int, namespace: str, answer: Answer) -> None:
        """As `expect`, under a number that several clients share: one event asks them all."""
        if self._reason is not None:
            raise Disconnected(self._reason)
        if len(self._waiting) >= self._limit:
            raise Overflow(f"{self._limit} answers are already awaited from this client (max_pending_acks)", "out")
        if self._waiting is _NOBODY:
            self._waiting = {}
        self._waiting[number] = namespace, answer

    def resolve(self, number: int | None, namespace: str, args: list[Any]) -> bool:
        """Hand the answer over; False when nobody waits for it (answered too late or twice, or never asked)."""
        entry = self._waiting.get(-1 if number is None else number)
        if entry is None or number is None or entry[0] != namespace:
            return False
        del self._waiting[number]
        entry[1](args, None)
        return True

    def forget(self, number: int) -> None:
        """Nobody waits for ``number`` any more."""
        self._waiting.pop(number, None)

    def fail(self, reason: str, namespace: str) -> None:
        """Give `Disconnected` to those who asked in ``namespace``: the client has left that namespace."""
        self._fail(reason, [number for number, (where, _) in self._waiting.items() if where == namespace])

    def close(self, reason: str) -> None:
        """Give `Disconnected` to all who wait, and to all who come: the client is gone."""
        self._reason = reason
        self._fail(reason, list(self._waiting))

    def _fail(self, reason: str, numbers: list[int]) -> None:
        for number in numbers:
            entry = self._waiting.pop(number, None)
            if entry is not None:
                entry[1](None, Disconnected(reason))


def unpack(args: list[Any]) -> Any:
    """An ack's arguments as one value: none is None, one is itself, more are a tuple."""
    if not args:
        return None
    return args[0] if len(args) == 1 else tuple(args)
