"""Deadlines of many sockets with one timer.

All deadlines of one *line* have the same length, so they fall due in the order they were set:
setting, dropping and finding the next are O(1) in the number of sockets, and no socket has a
timer of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from asocketio.runtime.clock import Clock, Timer

__all__ = ["Deadlines", "TimerQueue"]

T = TypeVar("T")


class TimerQueue(Generic[T]):
    """Deadlines of ``seconds`` each; ``expired(item, due)`` is called when one has passed. It must not raise."""

    __slots__ = ("_deadlines", "_due", "_expired", "seconds")

    def __init__(self, deadlines: Deadlines, seconds: float, expired: Callable[[T, float], None]) -> None:
        self.seconds = seconds
        self._deadlines = deadlines
        self._expired = expired
        self._due: OrderedDict[T, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def set(self, item: T, start: float) -> None:
        """``item`` falls due ``seconds`` after ``start``; its former deadline on this line is dropped."""
        self._due.pop(item, None)
        self._due[item] = start + self.seconds
        self._deadlines.arm(start + self.seconds)

    def drop(self, item: T) -> bool:
        """No deadline for ``item`` any more; False if it had none."""
        return self._due.pop(item, None) is not None

    def next(self) -> float | None:
        """When the next deadline falls due."""
        return next(iter(self._due.values())) if self._due else None

    def oldest(self) -> T:
        """The item that falls due next; there must be one."""
        return next(iter(self._due))

    def expire(self, now: float) -> None:
        """Call ``expired`` for every deadline that has passed, the oldest first."""
        while self._due:
            item, due = next(iter(self._due.items()))
            if due > now:
                return
            del self._due[item]
            self._expired(item, due)


class Deadlines:
    """The lines of one server and the single timer behind them."""

    __slots__ = ("_clock", "_lines", "_timer", "_when")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: list[TimerQueue[object]] = []
        self._timer: Timer | None = None
        self._when = 0.0

    def line(self, seconds: float, expired: Callable[[T, float], None]) -> TimerQueue[T]:
        """A new line of deadlines that are ``seconds`` long."""
        line = TimerQueue(self, seconds, expired)
        self._lines.append(line)  # type: ignore[arg-type]  # each line keeps its own kind of item
        return line

    def arm(self, due: float) -> None:
        """See to it that the timer rings no later than ``due``."""
        if self._timer is not None:
            if self._when <= due:
                return
            self._timer.cancel()
        self._when = due
        self._timer = self._clock.call_later(max(due - self._clock.now(), 0.0), self._fire)

    def fire_due(self) -> None:
        """Expire what is due now, whether or not the timer has had its turn yet."""
        if self._timer is not None and self._when <= self._clock.now():
            self._timer.cancel()
            self._fire()

    def stop_if_idle(self) -> None:
        """Cancel the timer if there is nothing to wait for."""
        if self._timer is not None and not any(map(len, self._lines)):
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.now()
        for line in self._lines:
            line.expire(now)
        due = [when for line in self._lines if (when := line.next()) is not None]
        if due:
            self.arm(min(due))
