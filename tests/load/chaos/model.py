"""What a client holds the server to: the order of what comes, acks, and that nothing is lost while all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

__all__ = ["Model", "Place"]

Complain = Callable[[str], None]


class Place:
    """What one client knows of itself in one namespace, from one join to its end."""

    def __init__(self) -> None:
        self.sent = -1
        """The number of its last event."""
        self.ticks = -1
        self.base: int | None = None
        self.news: int | None = None
        self.open = False


class Model:
    """One session of one client."""

    def __init__(self, complain: Complain, counts: Counter[str], *, loose: bool) -> None:
        self.places: dict[str, Place] = {}
        self.pending: dict[int, tuple[str, Any]] = {}
        """Acks that are due: namespace, and what they must be."""
        self._complain = complain
        self._counts = counts
        self._loose = loose
        self._gap = False
        self._numbers = 0
        self._done: set[int] = set()
        self._given_up: set[int] = set()

    def gap(self) -> None:
        """Something may have been lost on the way here, by no fault of the server's."""
        self._gap = True
        for place in self.places.values():
            place.base = place.news = None

    def joined(self, namespace: str) -> None:
        """The server has let the client in."""
        place = self.places.get(namespace)
        if place is not None and place.open and not (self._loose or self._gap):
            self._complain(f"let into {namespace} twice")
        self.places[namespace] = place = Place()
        place.open = True
        self._counts["joined"] += 1

    def left(self, namespace: str) -> None:
        """One side has said that the client leaves."""
        place = self.places.get(namespace)
        if place is not None:
            place.open = False
        for number in [number for number, (where, _) in self.pending.items() if where == namespace]:
            del self.pending[number]
            self._given_up.add(number)

    def next_number(self, namespace: str) -> int:
        """Of the next event."""
        self._counts["events sent"] += 1
        place = self.places[namespace]
        place.sent += 1
        return place.sent

    def expect(self, namespace: str, answer: Any) -> int:
        """The number of an ack that must be ``answer``."""
        self._numbers += 1
        self.pending[self._numbers] = namespace, answer
        return self._numbers

    def acked(self, namespace: str, number: int | None, args: list[Any]) -> list[Any] | None:
        """An ack has come."""
        self._counts["acks"] += 1
        if number in self._done and not self._loose:
            self._complain(f"ack {number} came twice: {args}")
        if number in self._given_up:
            return None
        if number is None or number not in self.pending:
            if not self._loose:
                self._complain(f"ack {number} in {namespace}, which was not asked for: {args}")
            return None
        where, answer = self.pending.pop(number)
        self._done.add(number)
        if callable(answer):
            answer(args)
        elif where != namespace or args != answer:
            self._complain(f"ack {number} in {namespace} is {str(args)[:200]}, expected {str(answer)[:200]} in {where}")
        return args

    def heard(self, namespace: str, name: str, args: list[Any]) -> None:
        """A numbered event of the server's has come."""
        place = self.places.get(namespace)
        if place is None and (self._gap or self._loose):  # so was what let it in
            self.joined(namespace)
            place = self.places[namespace]
        if place is None:
            self._complain(f"{name} {args[:1]} in {namespace} before it was joined")
            return
        if not place.open:
            return  # it crossed the goodbye
        self._counts["events heard"] += 1
        if name == "tick":
            self._ticked(place, namespace, args)
        elif name == "base":
            place.base = args[0]
        elif name == "news":
            self._news(place, namespace, args[0])

    def _ticked(self, place: Place, namespace: str, args: list[Any]) -> None:
        number, data = args[0], args[1]
        if number != place.ticks + 1 and not self._loose and not (self._gap and number > place.ticks):
            self._complain(f"tick {number} in {namespace} came after {place.ticks}")
        if data is not None and data != number.to_bytes(8, "big"):
            self._complain(f"tick {number} in {namespace} has the bytes {data!r}")
        place.ticks = number

    def _news(self, place: Place, namespace: str, number: int) -> None:
        before = place.base if place.news is None else place.news
        if before is None:
            if not self._gap and not self._loose:
                self._complain(f"news {number} in {namespace} before the first event")
        elif number != before + 1 and not self._loose and not (self._gap and number > before):
            self._complain(f"news {number} in {namespace} came after {before}")
        place.news = number

    def seen(self, namespace: str, args: list[Any]) -> None:
        """The server's own figures, asked for when all is done: they were queued after what they speak of."""
        place = self.places[namespace]
        if not place.open or self._loose or self._gap:
            return
        if args[0] != place.sent:
            self._complain(f"{namespace}: sent up to {place.sent}, the server has {args[0]}")
        if args[1] != place.ticks + 1:
            self._complain(f"{namespace}: the server sent {args[1]} ticks, {place.ticks + 1} came")
