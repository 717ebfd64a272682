"""EagerCall: the first step at once, the rest by a deadline; what is inside may have scopes of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from asocketio.runtime.clock import Clock
from asocketio.runtime.eager_call import EagerCall

CLOCK = Clock()


async def sleeps(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


async def in_scopes(seconds: float) -> str:
    """As the ``receive`` of middleware that runs what it wraps in a task group."""
    async with anyio.create_task_group():
        with anyio.CancelScope():
            return await sleeps(seconds)
    raise AssertionError("a task group swallows nothing")


async def test_what_waits_for_nothing_is_done_at_once() -> None:
    started = EagerCall(at_once())
    assert (started.done, started.value) == (True, 1)


async def at_once() -> int:
    return 1


@pytest.mark.parametrize("waits", [sleeps, in_scopes])
async def test_the_rest_is_waited_for(waits: Any) -> None:
    started = EagerCall(waits(0.001))
    assert not started.done
    assert await started.finish(CLOCK, 5)
    assert started.value == "slept"


@pytest.mark.parametrize("waits", [sleeps, in_scopes])
async def test_the_rest_is_cut_by_the_deadline(waits: Any) -> None:
    started = EagerCall(waits(60))
    assert not await started.finish(CLOCK, 0.001)
    assert not started.done
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # and nothing of it is left


async def test_it_can_be_cut_from_outside() -> None:
    started = EagerCall(sleeps(60))
    asyncio.get_running_loop().call_soon(started.cut)
    assert not await started.finish(CLOCK, 60)
    started.cut()  # too late: nothing happens


@pytest.mark.parametrize("waits", [sleeps, in_scopes])
async def test_a_cancellation_of_the_caller_passes(waits: Any) -> None:
    async def call() -> None:
        await EagerCall(waits(60)).finish(CLOCK, 60)

    task = asyncio.create_task(call())
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("first", [True, False])
async def test_what_it_raises_is_raised(first: bool) -> None:
    async def fails() -> None:
        if not first:
            await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await EagerCall(fails()).finish(CLOCK, 5)
