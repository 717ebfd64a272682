"""LoopLagMonitor: whether the event loop itself was blocked. Then silence is not the clients' fault."""

from __future__ import annotations

from collections.abc import Callable

from asocketio.runtime.clock import Clock, Timer
from asocketio.runtime.log import log

__all__ = ["INTERVAL", "STALL", "LoopLagMonitor"]

INTERVAL = 1.0
"""Seconds between two looks at the clock."""

STALL = 1.0
"""Seconds of lateness from which the loop counts as blocked: a warning says so, and no client is blamed for it."""


class LoopLagMonitor:
    """Looks at the clock each `INTERVAL` while it runs, and remembers when it last came too late."""

    __slots__ = ("_clock", "_due", "_ended", "_report", "_timer")

    def __init__(self, clock: Clock, report: Callable[[float], object] | None = None) -> None:
        self._clock = clock
        self._report = report
        self._timer: Timer | None = None
        self._due = 0.0
        self._ended = float("-inf")
        """When the last stall was over."""

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._timer is None:
            self._arm()

    def stop(self) -> None:
        """There is nobody to look out for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stalled_since(self, since: float) -> bool:
        """Whether the loop was blocked for a while since then, or comes to its timers too late just now."""
        now = self._clock.now()
        return self._ended > since or (self._timer is not None and now - self._due >= STALL)

    def _arm(self) -> None:
        self._due = self._clock.now() + INTERVAL
        self._timer = self._clock.call_later(INTERVAL, self._look)

    def _look(self) -> None:
        now = self._clock.now()
        late = max(now - self._due, 0.0)
        if late >= STALL:
            self._ended = now
            log.warning(
                "the event loop was blocked for about %.1f s: all waited; no ping time-out counts for that time",
                late,
            )
        if self._report is not None:
            self._report(late)
        self._arm()
