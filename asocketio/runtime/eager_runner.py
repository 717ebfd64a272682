"""EagerRunner: runs a coroutine at once, in place, and gives it a task only from its first suspension on.

Most handlers never wait. Starting each in a task of its own costs 3 to 8 µs and a turn of the event
loop; stepping it where the packet arrived costs under 1 µs. Code that runs so must not notice:
while it is stepped, ``asyncio.current_task()`` is the very task that will drive the rest of it, so
``asyncio.timeout``, anyio scopes, self-cancellation and context variables work before and after
the first suspension.

That task is a *parked* one: a `PooledTask` waiting in a pool. `asyncio.tasks._enter_task` and
``_leave_task`` are the documented way for code that runs coroutines by itself to say which task is
current (Python documentation, "Extending asyncio / Task lifetime support").
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage]
from collections.abc import Callable, Coroutine
from contextvars import Context
from enum import Enum
from time import perf_counter
from types import CoroutineType
from typing import Any, NoReturn

from asocketio.runtime.awaitables import Completed
from asocketio.runtime.log import ThrottledLog
from asocketio.runtime.states import moved

__all__ = ["BLOCKED", "TASK_MOVES", "EagerRunner", "Finished", "PooledTask", "TaskState"]

Finished = Callable[[Any, BaseException | None], None]
"""Called once with the result, or with None and the exception. It must not raise."""

BLOCKED = 0.1
"""Seconds of the event loop that one step may take before a warning names it."""

_PARKED = 64  # idle tasks kept for the next handlers that suspend; each is about 1 KB


class EagerRunner:
    """Runs functions and coroutines for one event loop; owns the parked tasks."""

    __slots__ = ("_lines", "_loop", "_parked", "closed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parked: list[PooledTask] = []
        self._lines = ThrottledLog()
        self.closed = False

    def start(
        self, context: Context, finished: Finished, function: Callable[..., Any], *args: Any
    ) -> asyncio.Task[None] | None:
        """`step`, and call ``finished`` once with what came of it.

        That is before this returns (it returns None then), or later, from the returned task. Cancelling that task
        cancels the coroutine.
        """
        began = perf_counter()
        try:
            result = self.step(context, function, *args)
        except (KeyboardInterrupt, SystemExit):  # what ends the process
            raise
        except BaseException as error:
            self.warn_if_blocked(finished, began)
            finished(None, error)
            return None
        self.warn_if_blocked(finished, began)
        if type(result) is PooledTask:
            return result.then(finished)
        finished(result, None)
        return None

    def run_apart(
        self, context: Context, function: Callable[..., Any], *args: Any
    ) -> tuple[asyncio.Task[None] | None, asyncio.Future[BaseException | None]]:
        """`start`, for one who waits: the future holds what ``function`` raised, or None.

        Cancelling the future does nothing to it; cancelling the task, where there is one, does.
        """
        done: asyncio.Future[BaseException | None] = self._loop.create_future()

        def finished(result: Any, error: BaseException | None) -> None:
            if not done.done():
                done.set_result(error)

        return self.start(context, finished, function, *args), done

    def step(self, context: Context, function: Callable[..., Any], *args: Any) -> Any:
        """Call ``function`` in ``context``; if it returns a coroutine, run that as far as it goes.

        Gives, or raises, what it gave or raised; or the `PooledTask` that drives the rest of it, which must be told at
        once, by `PooledTask.then`, whom to tell of the end. Other awaitables that ``function`` returns are awaited.
        """
        loop = self._loop
        parked = self._parked
        pooled = parked.pop() if parked else PooledTask(loop, self)
        if pooled.wake is None or pooled.wake.done():
            pooled = self._next_reusable(pooled)
        task = pooled.task
        outer = current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, task)
        try:
            result = context.run(function, *args)
            if type(result) is not CoroutineType:
                if type(result) is Completed:
                    result = result.value
                elif hasattr(result, "__await__"):
                    result = _await(result)
            if type(result) is CoroutineType:
                try:
                    yielded = context.run(result.send, None)
                except StopIteration as stop:
                    result = stop.value
                else:
                    pooled.adopt(result, yielded, context)
                    return pooled
        except (KeyboardInterrupt, SystemExit):
            pooled.stop()
            raise
        except BaseException:
            self.park(pooled)
            raise
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)
        if self.closed or len(parked) >= _PARKED:
            pooled.stop()
        else:
            parked.append(pooled)
        return result

    def _next_reusable(self, pooled: PooledTask) -> PooledTask:
        """``pooled``, or the next that can take a coroutine."""
        while not pooled.is_reusable:
            pooled = self._parked.pop() if self._parked else PooledTask(self._loop, self)
        return pooled

    def park(self, pooled: PooledTask) -> bool:
        """Keep ``pooled`` for later; False when it cannot be used again, or there are enough."""
        if self.closed or not pooled.is_reusable or len(self._parked) >= _PARKED:
            pooled.stop()
            return False
        self._parked.append(pooled)
        return True

    def close(self) -> None:
        """End the parked tasks; running ones end when they are done."""
        self.closed = True
        for pooled in self._parked:
            pooled.stop()
        self._parked.clear()

    def warn_if_blocked(self, finished: Finished, began: float) -> None:
        """Name what has kept the event loop to itself.

        ``str(finished)``, or the name of a function, says what it is; its ``event``, if it has one, what is the same.
        """
        took = perf_counter() - began
        if took > BLOCKED:
            what = getattr(finished, "__qualname__", "") or str(finished)
            about = getattr(finished, "event", what)
            self._lines.warning(
                "blocked", "%s blocked the event loop for %.2f s: all clients waited", what, took, about=about
            )


class TaskState(Enum):
    """Where a pooled task is in its life."""

    FRESH = "fresh"  # its task has not taken its first step
    PARKED = "parked"  # it waits for a coroutine
    ADOPTED = "adopted"  # it has one, stepped as far as it went, and has not been woken for it
    DRIVING = "driving"  # it drives one
    STOPPED = "stopped"  # its task has ended, or ends when it is next woken

    __hash__ = object.__hash__  # that of `Enum` is written in Python: a move would cost three times as much


FRESH = TaskState.FRESH
PARKED = TaskState.PARKED
ADOPTED = TaskState.ADOPTED
DRIVING = TaskState.DRIVING
STOPPED = TaskState.STOPPED
"""For the hot path: looking a member up in its enum takes 75 ns on Python 3.11."""

TASK_MOVES: dict[TaskState, frozenset[TaskState]] = {
    FRESH: frozenset({PARKED, ADOPTED, STOPPED}),
    PARKED: frozenset({ADOPTED, STOPPED}),
    ADOPTED: frozenset({DRIVING}),
    DRIVING: frozenset({PARKED, STOPPED}),
    STOPPED: frozenset(),
}


class PooledTask(Coroutine[Any, Any, None]):
    """What a parked task runs: itself a coroutine, which plays the one it was given.

    Being a coroutine object, not an ``async def``, it also receives a cancellation that comes
    before the task's own first step.
    """

    __slots__ = ("_context", "_coro", "_finished", "_outcome", "_runner", "_yielded", "state", "task", "wake")

    _context: Context
    _coro: Coroutine[Any, Any, Any]
    _finished: Finished
    _outcome: tuple[Any, BaseException | None]
    _yielded: Any
    """What the adopted coroutine waits for, to be yielded to the task at its next step."""

    def __init__(self, loop: asyncio.AbstractEventLoop, runner: EagerRunner) -> None:
        self._runner = runner
        self.state = FRESH
        self.wake: asyncio.Future[None] | None = None
        """What the parked task waits for; None in other states."""
        # Not loop.create_task: an eager task factory would start it here and now.
        self.task: asyncio.Task[None] = asyncio.Task(self, loop=loop)

    @property
    def is_reusable(self) -> bool:
        """It can take a coroutine: it was never cancelled, and does not end."""
        if self.wake is None:
            return self.state is not STOPPED and self.task.cancelling() == 0
        return not self.wake.done()  # done: woken, or cancelled and not thrown yet

    def then(self, finished: Finished) -> asyncio.Task[None]:
        """Call ``finished`` at the end of the coroutine that it has adopted. Returns the task."""
        self._finished = finished
        return self.task

    def adopt(self, coro: Coroutine[Any, Any, Any], yielded: Any, context: Context) -> None:
        """Drive ``coro`` from here; it has been stepped in ``context`` and waits for ``yielded``."""
        self._move(ADOPTED)
        self._coro = coro
        self._yielded = yielded
        self._context = context

    def stop(self) -> None:
        """End the task when it is next woken. For those of the pool: one that drives a coroutine would drop it."""
        if self.state is not STOPPED:
            self._move(STOPPED)

    def _move(self, state: TaskState) -> None:
        self.state = moved(TASK_MOVES, self.state, state)
        if state is not PARKED and self.wake is not None:
            wake, self.wake = self.wake, None
            if not wake.done():
                wake.set_result(None)

    # The task drives these.

    def send(self, value: Any, /) -> Any:
        if self.state is DRIVING:
            return self._advance(self._coro.send, value)
        if self.state is ADOPTED:
            return self._take_yielded()
        if self.state is STOPPED:
            self._leave_task()
            raise StopIteration
        return self._park()

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        error: BaseException = typ if val is None else val
        try:
            if self.state is ADOPTED:
                # Cancelled between the first suspension and now: as Task does, cancel what is awaited, in the same
                # words: anyio knows its own cancellations by them.
                yielded = self._take_yielded()
                if isinstance(error, asyncio.CancelledError) and yielded is not None and yielded.cancel(*error.args):
                    return yielded
            if self.state is DRIVING:
                return self._advance(self._coro.throw, error)
            self.stop()
            self._leave_task()
            raise error
        finally:
            del error, typ, val, tb  # the traceback of the error leads to this frame, and so to itself

    def close(self) -> None:
        if self.state is ADOPTED or self.state is DRIVING:
            self._coro.close()

    def __await__(self) -> NoReturn:
        raise RuntimeError("a PooledTask belongs to its task")

    def _take_yielded(self) -> Any:
        self._move(DRIVING)
        yielded = self._yielded
        del self._yielded
        return yielded

    def _advance(self, step: Callable[[Any], Any], value: Any) -> Any:
        finished, started = self._finished, perf_counter()
        try:
            return self._context.run(step, value)
        except StopIteration as stop:
            self._outcome = stop.value, None
        except (KeyboardInterrupt, SystemExit) as error:
            self._outcome = None, error
            self._move(STOPPED)
            self._report()
            self._leave_task()
            raise
        except BaseException as error:
            self._outcome = None, error  # not in a local name: its traceback leads to this frame
        finally:
            self._runner.warn_if_blocked(finished, started)
            del finished, step, value  # the traceback of an error leads to this frame: nothing here leads to the error
        if self._runner.park(self):
            wake = self._park()  # parked before `_report`, which may start the next handler
            self._report()
            return wake
        self._report()
        self._leave_task()
        raise StopIteration

    def _leave_task(self) -> None:
        """The task ends: it keeps what it ran, so the two would hold each other."""
        del self.task

    def _report(self) -> None:
        """Tell how the coroutine ended, and forget it."""
        finished, (result, error) = self._finished, self._outcome
        del self._finished, self._outcome, self._context, self._coro
        finished(result, error)

    def _park(self) -> asyncio.Future[None]:
        self._move(PARKED)
        wake = self.wake = self.task.get_loop().create_future()
        return next(iter(wake.__await__()))  # marks the future as awaited, and is the future


async def _await(awaitable: Any) -> Any:
    return await awaitable
