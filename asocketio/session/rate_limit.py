"""Rates: how often one client may send events. A token bucket for each limited event, and one for all of them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ALL", "Rates"]

ALL = "*"
"""The name of the limit for all events together."""


class Rates:
    """The buckets of one client. ``limits`` maps events to ``(count, seconds)``: so many fit in, filled in so long."""

    __slots__ = ("_left", "_limits")

    def __init__(self, limits: Mapping[str, tuple[int, float]]) -> None:
        self._limits = {_plain(event): limit for event, limit in limits.items()}
        self._left: dict[str, tuple[float, float]] = {}  # tokens, and when that was; only limited names get in

    def allow(self, event: str, now: float) -> bool:
        """Whether the event may be handled; if so, it counts."""
        names = [name for name in (ALL, _plain(event)) if name in self._limits]
        tokens = {name: self._tokens(name, now) for name in names}
        if any(left < 1 for left in tokens.values()):
            return False
        for name, left in tokens.items():
            self._left[name] = left - 1, now
        return True

    def _tokens(self, name: str, now: float) -> float:
        count, seconds = self._limits[name]
        if name not in self._left:
            return count
        left, then = self._left[name]
        return min(count, left + (now - then) * count / seconds)


def _plain(event: str) -> str:
    """An event reaches one handler with a space or with an underscore in its name, so both have one bucket."""
    return event.replace(" ", "_")
