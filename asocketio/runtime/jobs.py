"""Jobs: functions of the program that belong to no client, and what becomes of the exceptions of all its functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asocketio.runtime.log import ThrottledLog

__all__ = ["Jobs", "OnException", "report_failure"]

OnException = Callable[[BaseException, Mapping[str, str]], object]
"""The setting ``on_exception``."""


def report_failure(
    error: BaseException, what: str, lines: ThrottledLog, hook: OnException | None, about: Mapping[str, str]
) -> None:
    """Log an exception of the program's code, with its traceback; tell ``on_exception``."""
    lines.error("raised", "%s raised %r", what, error, error=error, fields=about)
    if hook is None:
        return
    try:
        hook(error, about)
    except Exception as failure:  # the program's function
        lines.error("on_exception", "on_exception itself failed on %r", error, error=failure, fields=about)


class Jobs:
    """Runs functions, plain or async. What they raise is logged; those that still run are cancelled by `stop`."""

    __slots__ = ("_hook", "_lines", "_tasks")

    def __init__(self, lines: ThrottledLog, hook: OnException | None) -> None:
        self._lines = lines
        self._hook = hook
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.Task[None]:
        """Run ``function`` in a task of its own."""

        async def run() -> None:
            try:
                result = function(*args, **kwargs)
                if hasattr(result, "__await__"):
                    await result
            except Exception as error:
                self._report(error, name)

        return self._start(name, run())

    def call(
        self, name: str, function: Callable[..., Any], *args: Any, then: Callable[[Any], None] | None = None
    ) -> None:
        """Call ``function`` now; where it is async the rest runs in a task. ``then`` is told what it returns."""
        try:
            result = function(*args)
        except Exception as error:
            self._report(error, name)
            return
        if hasattr(result, "__await__"):
            self._start(name, self._finish(name, result, then))
        elif then is not None:
            then(result)

    async def stop(self) -> None:
        """Cancel all, and wait for their ends."""
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @property
    def names(self) -> list[str]:
        """Of those that run."""
        return [task.get_name() for task in self._tasks]

    async def _finish(self, name: str, result: Awaitable[Any], then: Callable[[Any], None] | None) -> None:
        try:
            value = await result
        except Exception as error:
            self._report(error, name)
            return
        if then is not None:
            then(value)

    def _start(self, name: str, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _report(self, error: BaseException, name: str) -> None:
        report_failure(error, name, self._lines, self._hook, {"sid": "", "namespace": "", "event": name})
