"""The promises of `asocketio.runtime.eager_runner`: stepped code does not notice that it has no task of its own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import types
import weakref
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import anyio
import pytest

from asocketio.runtime.eager_runner import EagerRunner, PooledTask, TaskState
from asocketio.runtime.states import IllegalTransition

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


class Outcome:
    """Collects what `EagerRunner.start` reports."""

    def __init__(self) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = asyncio.Event()

    def __call__(self, result: Any, error: BaseException | None) -> None:
        assert not self.done.is_set()
        self.result, self.error = result, error
        self.done.set()


@pytest.fixture
async def stepper() -> Any:
    stepper = EagerRunner(asyncio.get_running_loop())
    yield stepper
    stepper.close()


def start(stepper: EagerRunner, function: Callable[..., Any], *args: Any) -> tuple[Outcome, asyncio.Task[None] | None]:
    outcome = Outcome()
    task = stepper.start(contextvars.copy_context(), outcome, function, *args)
    return outcome, task


async def outcome_of(stepper: EagerRunner, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    outcome, _ = start(stepper, function, *args)
    async with asyncio.timeout(5):
        await outcome.done.wait()
    if outcome.error is not None:
        raise outcome.error
    return outcome.result


async def test_a_plain_function_is_done_at_once(stepper: EagerRunner) -> None:
    outcome, task = start(stepper, lambda a, b: a + b, 1, 2)
    assert (outcome.result, task) == (3, None)


async def test_a_coroutine_that_does_not_suspend_is_done_at_once(stepper: EagerRunner) -> None:
    async def handler() -> str:
        return "done"

    outcome, task = start(stepper, handler)
    assert (outcome.result, task) == ("done", None)


async def test_any_awaitable_result_is_awaited(stepper: EagerRunner) -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    outcome, _ = start(stepper, lambda: future)
    future.set_result(7)
    await outcome.done.wait()
    assert outcome.result == 7


async def test_an_exception_is_reported_before_and_after_suspension(stepper: EagerRunner) -> None:
    async def early() -> None:
        raise ValueError("early")

    async def late() -> None:
        await asyncio.sleep(0)
        raise ValueError("late")

    for handler in (early, late):
        with pytest.raises(ValueError, match=handler.__name__):
            await outcome_of(stepper, handler)


async def test_a_plain_function_that_raises_stop_iteration_has_failed(stepper: EagerRunner) -> None:
    outcome, task = start(stepper, next, iter(()))
    assert (type(outcome.error), task) == (StopIteration, None)


async def test_a_failure_leaves_nothing_to_the_garbage_collector(stepper: EagerRunner) -> None:
    class Broken(Exception):
        pass

    def fail() -> None:
        raise Broken

    outcome, _ = start(stepper, fail)
    assert outcome.error is not None
    error = weakref.ref(outcome.error)
    gc.disable()
    try:
        outcome.error = None
        assert error() is None
    finally:
        gc.enable()


async def test_current_task_is_the_same_before_and_after_suspension(stepper: EagerRunner) -> None:
    async def handler() -> list[Any]:
        seen = [asyncio.current_task()]
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        await asyncio.sleep(0.001)
        seen.append(asyncio.current_task())
        return seen

    outer = asyncio.current_task()
    first, second, third = await outcome_of(stepper, handler)
    assert first is second is third
    assert first is not None
    assert first is not outer
    assert asyncio.current_task() is outer


@pytest.mark.parametrize("delay", [0, -1, 0.01])
async def test_asyncio_timeout_works_before_the_first_suspension(stepper: EagerRunner, delay: float) -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(delay):
                await asyncio.sleep(30)
        except TimeoutError:
            await asyncio.sleep(0)
            return "timed out"
        return "no"

    assert await outcome_of(stepper, handler) == "timed out"


@pytest.mark.parametrize("warm", [False, True], ids=["a new task", "a parked one"])
@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_an_anyio_scope_may_be_cancelled_as_soon_as_the_handler_waits(
    stepper: EagerRunner, warm: bool, turns: int
) -> None:
    scope = anyio.CancelScope()

    async def handler() -> str:
        with scope:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return "left the scope"

    if warm:
        await outcome_of(stepper, asyncio.sleep, 0)
    outcome, _ = start(stepper, handler)
    for _ in range(turns):
        await asyncio.sleep(0)
    scope.cancel()
    async with asyncio.timeout(5):
        await outcome.done.wait()
    assert (outcome.result, outcome.error) == ("left the scope", None)


async def test_anyio_scopes_and_task_groups_work(stepper: EagerRunner) -> None:
    async def handler() -> list[str]:
        seen: list[str] = []

        async def child(name: str) -> None:
            await anyio.sleep(0.001)
            seen.append(name)

        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(30)
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(child, "a")
            group.start_soon(child, "b")
        return seen

    assert sorted(await outcome_of(stepper, handler)) == ["a", "b"]


async def test_a_cancelled_anyio_scope_around_the_first_suspension(stepper: EagerRunner) -> None:
    async def handler() -> bool:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep(30)
        return scope.cancelled_caught

    assert await outcome_of(stepper, handler)


async def test_cancelling_oneself_before_the_first_suspension(stepper: EagerRunner) -> None:
    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(30)

    with pytest.raises(asyncio.CancelledError):
        await outcome_of(stepper, handler)
    assert await outcome_of(stepper, _sleep_and_return) == "ok"


async def test_cancelling_oneself_without_suspending_does_not_reach_the_next_handler(stepper: EagerRunner) -> None:
    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    await outcome_of(stepper, handler)
    assert await outcome_of(stepper, _sleep_and_return) == "ok"


async def test_cancelling_the_task_before_it_has_taken_over_cancels_what_is_awaited(stepper: EagerRunner) -> None:
    async def child() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append("child")
            raise

    async def handler() -> None:
        try:
            await asyncio.ensure_future(child())
        except asyncio.CancelledError:
            cancelled.append("handler")
            await asyncio.sleep(0)
            raise

    for _ in range(2):  # with a fresh task, then with a parked one
        cancelled: list[str] = []
        outcome, task = start(stepper, handler)
        assert task is not None
        await asyncio.sleep(0)
        start(stepper, _sleep_and_return)
        task.cancel()
        await outcome.done.wait()
        assert isinstance(outcome.error, asyncio.CancelledError)
        assert cancelled == ["child", "handler"]


async def test_a_cancel_at_once_is_thrown_into_the_handler(stepper: EagerRunner) -> None:
    async def handler() -> str:
        try:
            await asyncio.sleep(0)  # a bare yield: nothing to cancel but the handler
        except asyncio.CancelledError:
            return "cleaned up"
        return "no"

    outcome, task = start(stepper, handler)
    assert task is not None
    task.cancel()
    await outcome.done.wait()
    assert outcome.result == "cleaned up"


async def test_context_variables_are_the_handlers_own(stepper: EagerRunner) -> None:
    async def handler() -> list[int]:
        seen = [number.get()]
        number.set(seen[0] + 10)
        await asyncio.sleep(0)
        seen.append(number.get())
        await asyncio.create_task(asyncio.sleep(0))
        seen.append(number.get())
        return seen

    number.set(1)
    assert await outcome_of(stepper, handler) == [1, 11, 11]
    assert number.get() == 1


async def test_tasks_are_used_again(stepper: EagerRunner) -> None:
    tasks = set()
    for _ in range(5):
        outcome, task = start(stepper, _sleep_and_return)
        await outcome.done.wait()
        tasks.add(task)
        await asyncio.sleep(0)
    assert len(tasks) == 1


async def test_the_next_handler_may_start_from_the_report_of_the_last(stepper: EagerRunner) -> None:
    results: list[Any] = []
    done = asyncio.Event()

    def finished(result: Any, error: BaseException | None) -> None:
        results.append(result)
        if len(results) < 50:
            stepper.start(contextvars.copy_context(), finished, _sleep_and_return)
        else:
            done.set()

    stepper.start(contextvars.copy_context(), finished, _sleep_and_return)
    async with asyncio.timeout(5):
        await done.wait()
    assert results == ["ok"] * 50


async def test_many_at_a_time_and_nothing_left_after_close() -> None:
    before = asyncio.all_tasks()
    stepper = EagerRunner(asyncio.get_running_loop())
    outcomes = [start(stepper, _sleep_and_return)[0] for _ in range(200)]
    for outcome in outcomes:
        await outcome.done.wait()
    stepper.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def _sleep_and_return() -> str:
    await asyncio.sleep(0.001)
    return "ok"


# ---- the states of a pooled task --------------------------------------------------------------------------------


@types.coroutine
def _suspend() -> Generator[None]:
    yield


async def turn() -> None:
    """One turn of the event loop, in which a task may take a step."""
    await asyncio.sleep(0)


async def pooled(runner: EagerRunner, state: TaskState) -> PooledTask:
    """A pooled task that has come to ``state`` as they do."""
    task = PooledTask(asyncio.get_running_loop(), runner)
    if state is not TaskState.FRESH:
        await turn()
    if state in (TaskState.ADOPTED, TaskState.DRIVING):
        coro = _sleep_and_return()
        task.adopt(coro, coro.send(None), contextvars.copy_context())
        task.then(lambda result, error: None)
    if state is TaskState.DRIVING:
        await turn()
    if state is TaskState.STOPPED:
        task.stop()
        await turn()
    assert task.state is state
    return task


async def adopted(task: PooledTask) -> None:
    coro = _sleep_and_return()
    try:
        task.adopt(coro, coro.send(None), contextvars.copy_context())
    except IllegalTransition:
        coro.close()
        raise
    task.then(lambda result, error: None)


async def cancelled(task: PooledTask) -> None:
    if task.state is not S:
        task.task.cancel()
    await turn()
    await turn()


async def stopped(task: PooledTask) -> None:
    task.stop()


async def stepped(task: PooledTask) -> None:
    await turn()


async def done(task: PooledTask) -> None:
    await asyncio.sleep(0.01)


F, P, A, D, S = TaskState


@pytest.mark.parametrize(
    ("act", "after"),
    [
        (adopted, {F: A, P: A, A: None, D: None, S: None}),
        (stopped, {F: S, P: S, A: None, D: S, S: S}),
        (stepped, {F: P, P: P, A: D, D: D, S: S}),
        (done, {F: P, P: P, A: P, D: P, S: S}),
        (cancelled, {F: S, P: S, A: S, D: S, S: S}),
    ],
)
@pytest.mark.parametrize("state", TaskState)
async def test_a_pooled_task_moves_as_its_table_says(
    stepper: EagerRunner, state: TaskState, act: Any, after: dict[TaskState, TaskState | None]
) -> None:
    task = await pooled(stepper, state)
    its = getattr(task, "task", None)  # none any more where it has ended
    if (wanted := after[state]) is None:
        with pytest.raises(IllegalTransition):
            await act(task)
        await done(task)
        assert (its is None or its.done()) is (state is S)
    else:
        await act(task)
        assert task.state is wanted
    if its is not None:
        its.cancel()
        await asyncio.wait([its])


async def test_what_ends_the_process_is_reported_and_raised(stepper: EagerRunner) -> None:
    async def handler() -> None:
        await _suspend()
        raise SystemExit(3)

    outcome, task = start(stepper, handler)
    assert task is not None
    runner: Any = task.get_coro()
    runner.send(None)
    with pytest.raises(SystemExit):
        runner.send(None)
    assert (type(outcome.error), runner.state) == (SystemExit, TaskState.STOPPED)
