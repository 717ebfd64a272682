"""What the clients of one app share: its lifespan, and a clock."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable
from typing import Any

from asocketio.asgi.types import ASGIApp, Message
from asocketio.errors import UsageError
from asocketio.testing.clock import TestClock

__all__ = ["AppContext"]


class AppContext:
    """What the clients of one app share: a clock and the app's lifespan."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.state: dict[str, Any] = {}
        self._clients = 0
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def enter(cls, app: ASGIApp) -> AppContext:
        former = context = _contexts.get(app)
        if context is None or context._loop is not asyncio.get_running_loop():
            context = _contexts[app] = AppContext()
        context._clients += 1
        if context._clients == 1:
            try:
                await context._start(app)
            except UsageError:  # it serves another event loop
                if former is not None:
                    _contexts[app] = former
                raise
        return context

    async def leave(self, app: ASGIApp) -> None:
        self._clients -= 1
        if self._clients == 0:
            if _contexts.get(app) is self:
                del _contexts[app]
            await self._stop()

    def check_loop(self) -> None:
        """Raise `UsageError` in another event loop than that in which it was entered: there all waits would last."""
        if self._loop is not asyncio.get_running_loop():
            raise UsageError(
                "this TestClient was entered in another event loop: give its fixture and the test the same one "
                "(pytest-asyncio: the same loop_scope; anyio: an anyio_backend fixture of the fixture's scope)"
            )

    async def _start(self, app: ASGIApp) -> None:
        extensions = {"asocketio.clock": self.clock}
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state, "extensions": extensions}
        self._task = asyncio.get_running_loop().create_task(
            _as_coroutine(app(scope, self._inbox.get, self._outbox.put))
        )
        await self._tell("startup")

    async def _stop(self) -> None:
        if self._task is not None and not self._task.done():
            await self._tell("shutdown")
            await self._task

    async def _tell(self, what: str) -> None:
        """Send a lifespan message; an app that knows no lifespan ends or raises instead of answering."""
        assert self._task is not None
        self._inbox.put_nowait({"type": f"lifespan.{what}"})
        answer = asyncio.ensure_future(self._outbox.get())
        either = asyncio.ensure_future(asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED))
        if what == "shutdown":
            await self.clock.wait([either], 0.2)
        await either
        if not answer.done():
            answer.cancel()
            error = self._task.exception()
            if isinstance(error, UsageError) or (error is not None and what == "shutdown"):
                raise error
        elif answer.result()["type"].endswith(".failed"):
            raise RuntimeError(f"lifespan {what} failed: {answer.result().get('message', '')}")


_contexts: weakref.WeakKeyDictionary[Any, AppContext] = weakref.WeakKeyDictionary()


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
