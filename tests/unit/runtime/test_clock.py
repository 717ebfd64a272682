"""The clock of the running event loop, and deadlines by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asocketio.runtime.clock import Clock, Timer


class HandClock(Clock):
    """Its timers ring when the test says so."""

    def __init__(self) -> None:
        self.timers: list[HandTimer] = []

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = HandTimer(delay, lambda: callback(*args))
        self.timers.append(timer)
        return timer

    def ring(self) -> None:
        for timer in self.timers:
            if not timer.cancelled:
                timer.callback()


class HandTimer:
    def __init__(self, delay: float, callback: Callable[[], object]) -> None:
        self.delay = delay
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


async def test_now_is_the_time_of_the_event_loop() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert before <= Clock().now() <= loop.time()


async def test_a_call_comes_later_with_its_arguments() -> None:
    called: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
    clock = Clock()
    start = clock.now()
    clock.call_later(0.01, lambda *args: called.set_result(args), 1, "a")
    assert not called.done()
    async with asyncio.timeout(5):
        assert await called == (1, "a")
    assert clock.now() - start >= 0.009


async def test_a_cancelled_call_does_not_come() -> None:
    seen: list[str] = []
    clock = Clock()
    clock.call_later(0, seen.append, "cancelled").cancel()
    later = asyncio.Event()
    clock.call_later(0.001, later.set)
    async with asyncio.timeout(5):
        await later.wait()
    assert seen == []


async def test_a_deadline_cancels_what_runs_inside() -> None:
    clock = HandClock()
    with clock.deadline(7.0) as scope:
        asyncio.get_running_loop().call_soon(clock.ring)
        await asyncio.Event().wait()
    assert (scope.cancelled_caught, [(timer.delay, timer.cancelled) for timer in clock.timers]) == (True, [(7.0, True)])


async def test_a_deadline_that_is_kept_leaves_no_timer() -> None:
    clock = HandClock()
    with clock.deadline(7.0) as scope:
        await asyncio.sleep(0)
    clock.ring()
    assert (scope.cancelled_caught, scope.cancel_called, clock.timers[0].cancelled) == (False, False, True)


async def test_an_exception_inside_passes_and_leaves_no_timer() -> None:
    clock = HandClock()
    with pytest.raises(ValueError, match=r"^inside$"), clock.deadline(7.0):
        raise ValueError("inside")
    assert clock.timers[0].cancelled


async def test_a_deadline_by_the_real_clock_passes() -> None:
    with Clock().deadline(0.01) as scope:
        await asyncio.Event().wait()
    assert scope.cancelled_caught


async def test_a_shielded_deadline_outlasts_a_cancelled_scope_around_it() -> None:
    seen: list[str] = []
    with anyio.CancelScope() as outer:
        with Clock().deadline(30, shield=True) as inner:
            outer.cancel()
            await anyio.lowlevel.checkpoint()
            seen.append("cleaned up")
        await anyio.lowlevel.checkpoint()
        seen.append("not reached")
    assert (seen, inner.cancelled_caught, outer.cancelled_caught) == (["cleaned up"], False, True)


async def test_an_unshielded_deadline_does_not() -> None:
    with anyio.CancelScope() as outer, Clock().deadline(30) as inner:
        outer.cancel()
        await asyncio.Event().wait()
    assert (inner.cancelled_caught, outer.cancelled_caught) == (False, True)


async def test_a_shielded_deadline_passes_all_the_same() -> None:
    clock = HandClock()
    with clock.deadline(1.0, shield=True) as scope:
        asyncio.get_running_loop().call_soon(clock.ring)
        await asyncio.Event().wait()
    assert scope.cancelled_caught
