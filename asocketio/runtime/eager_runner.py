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
from time import perf_counter
from types import CoroutineType
from typing import Any, NoReturn

from asocketio.runtime.awaitables import Completed
from asocketio.runtime.log import log

__all__ = ["BLOCKED", "EagerRunner", "Finished", "PooledTask", "warn_if_blocked"]

Finished = Callable[[Any, BaseException | None], None]
"""Called once with the result, or with None and the exception. It must not raise."""


_NOTHING: Any = object()
BLOCKED = 0.1
"""Seconds of the event loop that one step may take before a warning names it."""

_PARKED = 64  # idle tasks kept for the next handlers that suspend; each is about 1 KB


class EagerRunner:
    """Runs functions and coroutines for one event loop; owns the parked tasks."""

    __slots__ = ("_loop", "_parked", "closed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parked: list[PooledTask] = []
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
            warn_if_blocked(finished, began)
            finished(None, error)
            return None
        warn_if_blocked(finished, began)
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
        runner = parked.pop() if parked else PooledTask(loop, self)
        if runner.wake is None or runner.wake.done():
            runner = self._sound(runner)
        task = runner.task
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
                    runner.take(result, yielded, context)
                    return runner
        except (KeyboardInterrupt, SystemExit):
            runner.stop()
            raise
        except BaseException:
            self.park(runner)
            raise
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)
        if self.closed or len(parked) >= _PARKED:
            runner.stop()
        else:
            parked.append(runner)
        return result

    def _sound(self, runner: PooledTask) -> PooledTask:
        """``runner``, or the next that is not worn out."""
        while runner.worn_out():
            runner = self._parked.pop() if self._parked else PooledTask(self._loop, self)
        return runner

    def park(self, runner: PooledTask) -> bool:
        """Keep ``runner`` for later; False when it is worn out or there are enough."""
        if self.closed or runner.worn_out() or len(self._parked) >= _PARKED:
            runner.stop()
            return False
        self._parked.append(runner)
        return True

    def close(self) -> None:
        """End the parked tasks; running ones end when they are done."""
        self.closed = True
        for runner in self._parked:
            runner.stop()
        self._parked.clear()


def warn_if_blocked(finished: Finished, began: float) -> None:
    """Name what has kept the event loop to itself. ``str(finished)``, or the name of a function, says what it is."""
    took = perf_counter() - began
    if took > BLOCKED:
        what = getattr(finished, "__qualname__", "") or str(finished)
        log.warning("%s blocked the event loop for %.2f s: all clients waited", what, took)


class PooledTask(Coroutine[Any, Any, None]):
    """What a parked task runs: itself a coroutine, which plays the one it was given.

    Being a coroutine object, not an ``async def``, it also receives a cancellation that comes
    before the task's own first step.
    """

    __slots__ = (
        "_context",
        "_coro",
        "_error",
        "_finished",
        "_result",
        "_stepper",
        "_stopped",
        "_yielded",
        "task",
        "wake",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, stepper: EagerRunner) -> None:
        self._stepper = stepper
        self._coro: Coroutine[Any, Any, Any] | None = None
        self._yielded: Any = _NOTHING
        self.wake: asyncio.Future[None] | None = None
        """What the parked task waits for; None while it drives something, and before it has run."""
        self._stopped = False
        self._context: Context
        self._finished: Finished
        self._result: Any = None
        self._error: BaseException | None = None
        # Not loop.create_task: an eager task factory would start it here and now.
        self.task: asyncio.Task[None] = asyncio.Task(self, loop=loop)

    def worn_out(self) -> bool:
        """Its task is ending, or was cancelled once: not for another coroutine."""
        wake = self.wake
        # A parked task that is woken, or cancelled, has what it waits for done; one that never ran has nothing yet.
        return self.task.cancelling() > 0 if wake is None else wake.done()

    def then(self, finished: Finished) -> asyncio.Task[None]:
        """Call ``finished`` at the end. Returns the task."""
        self._finished = finished
        return self.task

    def take(self, coro: Coroutine[Any, Any, Any], yielded: Any, context: Context) -> None:
        """Drive ``coro`` from here; it has been stepped in ``context`` and waits for ``yielded``."""
        self._coro = coro
        self._yielded = yielded
        self._context = context
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)

    def report(self) -> None:
        """Tell how it ended, and forget it."""
        finished, result, error = self._finished, self._result, self._error
        del self._finished, self._context
        self._result = self._error = None
        finished(result, error)

    def stop(self) -> None:
        """End the task, now or when it next would park."""
        self._stopped = True
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)

    # The task drives these.

    def send(self, value: Any, /) -> Any:
        if self._coro is None:
            return self._park()
        if self._yielded is not _NOTHING:
            yielded, self._yielded = self._yielded, _NOTHING
            return yielded
        return self._advance(self._coro.send, value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        error: BaseException = typ if val is None else val
        if self._coro is None:
            self._stopped = True
            raise error
        if self._yielded is not _NOTHING:
            # Cancelled between the first suspension and now: as Task does, cancel what is awaited, in the same words:
            # anyio knows its own cancellations by them.
            yielded, self._yielded = self._yielded, _NOTHING
            if isinstance(error, asyncio.CancelledError) and yielded is not None and yielded.cancel(*error.args):
                return yielded
        return self._advance(self._coro.throw, error)

    def close(self) -> None:
        if self._coro is not None:
            self._coro.close()
            self._coro = None

    def __await__(self) -> NoReturn:
        raise RuntimeError("a PooledTask belongs to its task")

    def _advance(self, step: Callable[[Any], Any], value: Any) -> Any:
        started = perf_counter()
        try:
            return self._context.run(step, value)
        except StopIteration as stop:
            self._coro, self._result = None, stop.value
        except (KeyboardInterrupt, SystemExit) as error:
            self._coro, self._error = None, error
            self.report()
            raise
        except BaseException as error:
            self._coro, self._error = None, error
        finally:
            warn_if_blocked(self._finished, started)
        self.wake = None
        if self._stepper.park(self):
            wake = self._park()  # parked before `report`, which may start the next handler
            self.report()
            return wake
        self.report()
        raise StopIteration

    def _park(self) -> asyncio.Future[None]:
        if self._stopped:
            raise StopIteration
        wake = self.wake = self.task.get_loop().create_future()
        return next(iter(wake.__await__()))  # marks the future as awaited, and is the future


async def _await(awaitable: Any) -> Any:
    return await awaitable
