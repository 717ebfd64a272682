"""Deadlines: many of them, in order, and one timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asocketio.runtime.clock import Clock, Timer
from asocketio.runtime.timers import Deadlines, TimerQueue


class HandTimer:
    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class HandClock(Clock):
    """Time stands still until the test advances it."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.timers: list[HandTimer] = []

    def now(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        assert delay >= 0
        timer = HandTimer(self.time + delay, lambda: callback(*args))
        self.timers.append(timer)
        return timer

    @property
    def armed(self) -> list[float]:
        return [timer.when for timer in self.timers if not timer.cancelled]

    def advance(self, seconds: float) -> None:
        """Go on, and ring what is due on the way, each at its time."""
        end = self.time + seconds
        while due := [timer for timer in self.timers if not timer.cancelled and timer.when <= end]:
            timer = min(due, key=lambda timer: timer.when)
            self.timers.remove(timer)
            self.time = max(self.time, timer.when)
            timer.callback()
        self.time = end


class World:
    """Deadlines by a clock in hand; ``expired`` has (item, due, time) of each that has passed."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.deadlines = Deadlines(self.clock)
        self.expired: list[tuple[str, float, float]] = []

    def line(self, seconds: float) -> TimerQueue[str]:
        return self.deadlines.line(seconds, lambda item, due: self.expired.append((item, due, self.clock.time)))


@pytest.fixture
def world() -> World:
    return World()


def test_a_deadline_expires_once_at_its_time(world: World) -> None:
    line = world.line(5)
    line.set("a", 1000)
    assert (line.seconds, len(line), line.next(), world.clock.armed) == (5, 1, 1005, [1005])
    world.clock.advance(4.9)
    assert world.expired == []
    world.clock.advance(100)
    assert (world.expired, len(line), line.next(), world.clock.armed) == ([("a", 1005, 1005)], 0, None, [])


def test_a_thousand_deadlines_have_one_timer(world: World) -> None:
    lines = [world.line(seconds) for seconds in (20, 5, 45)]
    for number in range(1000):
        for line in lines:
            line.set(str(number), world.clock.time)
        world.clock.advance(0.001)
    assert (len(world.clock.armed), [len(line) for line in lines]) == (1, [1000, 1000, 1000])


def test_deadlines_expire_in_the_order_they_fall_due(world: World) -> None:
    slow, fast = world.line(3), world.line(1)
    for name in "ab":
        slow.set(f"slow {name}", world.clock.time)
        fast.set(f"fast {name}", world.clock.time)
        world.clock.advance(0.5)
    world.clock.advance(10)
    assert world.expired == [
        ("fast a", 1001, 1001),
        ("fast b", 1001.5, 1001.5),
        ("slow a", 1003, 1003),
        ("slow b", 1003.5, 1003.5),
    ]


def test_setting_again_drops_the_former_deadline(world: World) -> None:
    line = world.line(5)
    line.set("a", 1000)
    line.set("b", 1000)
    world.clock.advance(3)
    line.set("a", 1003)
    assert (len(line), line.next()) == (2, 1005)
    world.clock.advance(10)
    assert world.expired == [("b", 1005, 1005), ("a", 1008, 1008)]


def test_a_dropped_deadline_does_not_expire(world: World) -> None:
    line = world.line(5)
    line.set("a", 1000)
    assert (line.drop("a"), line.drop("a"), line.drop("never set")) == (True, False, False)
    world.clock.advance(10)
    assert (world.expired, world.clock.armed) == ([], [])


def test_a_nearer_deadline_moves_the_timer_and_a_farther_one_does_not(world: World) -> None:
    near, far = world.line(1), world.line(9)
    far.set("far", 1000)
    near.set("near", 1000)
    assert world.clock.armed == [1001]
    far.set("again", 1000)
    assert (world.clock.armed, len(world.clock.timers)) == ([1001], 2)


def test_a_deadline_that_has_passed_when_it_is_set_expires_by_the_timer_at_once(world: World) -> None:
    line = world.line(5)
    line.set("a", 900)
    assert (world.expired, world.clock.armed) == ([], [1000])
    world.clock.advance(0)
    assert world.expired == [("a", 905, 1000)]


def test_after_a_late_timer_all_that_is_due_expires_together(world: World) -> None:
    line = world.line(5)
    for name in "abc":
        line.set(name, world.clock.time)
        world.clock.time += 1
    world.clock.time = 1006.5  # the loop was busy
    world.clock.advance(0)
    assert world.expired == [("a", 1005, 1006.5), ("b", 1006, 1006.5)]
    assert world.clock.armed == [1007]


def test_what_has_expired_may_be_set_again_from_there() -> None:
    clock = HandClock()
    seen: list[float] = []

    def expired(item: str, due: float) -> None:
        seen.append(clock.time)
        if len(seen) < 4:
            line.set(item, due)

    line = Deadlines(clock).line(5, expired)
    line.set("a", 1000)
    clock.advance(100)
    assert (seen, clock.armed) == ([1005, 1010, 1015, 1020], [])


def test_one_line_may_hand_over_to_another(world: World) -> None:
    def ping(item: str, due: float) -> None:
        world.expired.append((f"ping {item}", due, world.clock.time))
        pongs.set(item, due)

    pings: TimerQueue[str] = world.deadlines.line(25, ping)
    pongs = world.line(20)
    pings.set("a", 1000)
    world.clock.advance(100)
    assert world.expired == [("ping a", 1025, 1025), ("a", 1045, 1045)]


def test_an_expiry_may_drop_others_that_are_due(world: World) -> None:
    def expired(item: str, due: float) -> None:
        world.expired.append((item, due, world.clock.time))
        line.drop("b")

    line: TimerQueue[str] = world.deadlines.line(5, expired)
    for name in "abc":
        line.set(name, 1000)
    world.clock.advance(10)
    assert world.expired == [("a", 1005, 1005), ("c", 1005, 1005)]


def test_ringing_does_not_wait_for_the_timers_turn(world: World) -> None:
    line = world.line(5)
    line.set("a", 1000)
    line.set("b", 1001)
    world.clock.time = 1005.5
    world.deadlines.fire_due()
    assert (world.expired, world.clock.armed) == ([("a", 1005, 1005.5)], [1006])


def test_ringing_too_early_does_nothing(world: World) -> None:
    world.deadlines.fire_due()
    line = world.line(5)
    line.set("a", 1000)
    world.clock.time = 1004.9
    world.deadlines.fire_due()
    assert (world.expired, world.clock.armed) == ([], [1005])


def test_an_idle_timer_stops_and_starts_again(world: World) -> None:
    line = world.line(5)
    world.deadlines.stop_if_idle()
    line.set("a", 1000)
    world.deadlines.stop_if_idle()
    assert world.clock.armed == [1005]
    line.drop("a")
    world.deadlines.stop_if_idle()
    assert world.clock.armed == []
    line.set("b", 1002)
    assert world.clock.armed == [1007]
