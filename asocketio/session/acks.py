"""Acks: answers awaited from one client, by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asocketio.errors import Disconnected, Overflow

__all__ = ["Acks", "Answer", "unpack"]

Answer = Callable[[list[Any] | None, BaseException | None], None]
"""Called once: with the arguments of the ack, or with what came instead of it."""


class Acks:
    """Numbers map to those who wait for the answer. An answer counts only from the namespace that was asked."""

    __slots__ = ("_limit", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[int, tuple[str, Answer]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, number: int, endpoint: str, answer: Answer) -> None:
        """Remember who wants the answer to ``number``.

        Raises:
            Overflow: the client already owes ``max_pending_acks`` answers.
        """
        if len(self._waiting) >= self._limit:
            raise Overflow(f"{self._limit} answers are already awaited from this client (max_pending_acks)", "out")
        self._waiting[number] = endpoint, answer

    def resolve(self, number: int | None, endpoint: str, args: list[Any]) -> bool:
        """Hand the answer over; False when nobody waits for it (answered too late or twice, or never asked)."""
        entry = self._waiting.get(-1 if number is None else number)
        if entry is None or number is None or entry[0] != endpoint:
            return False
        del self._waiting[number]
        entry[1](args, None)
        return True

    def forget(self, number: int) -> None:
        """Nobody waits for ``number`` any more."""
        self._waiting.pop(number, None)

    def fail(self, reason: str, endpoint: str | None = None) -> None:
        """Give `Disconnected` to all who wait, or to those who asked in ``endpoint``."""
        failed = [n for n, (where, _) in self._waiting.items() if endpoint is None or where == endpoint]
        for number in failed:
            entry = self._waiting.pop(number, None)
            if entry is not None:
                entry[1](None, Disconnected(reason))


def unpack(args: list[Any]) -> Any:
    """An ack's arguments as one value: none is None, one is itself, more are a tuple."""
    if not args:
        return None
    return args[0] if len(args) == 1 else tuple(args)
