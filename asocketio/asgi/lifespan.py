"""Lifespan: the start and the end of the program, told by the server: ours, the program's, the wrapped application's.

They are inside of each other: the program's ``lifespan=`` is entered first and left last, when all sockets, jobs and
the wrapped application have ended.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from asocketio.asgi.types import ASGIApp, Message, Receive, Scope, Send
from asocketio.errors import UsageError

__all__ = ["Lifespan", "LifespanFunction", "enter_lifespan"]

LifespanFunction = Callable[[Any], AbstractAsyncContextManager[Any]]
"""``lifespan=``: called with the `SocketIOApp`; what it yields, a mapping or None, is state for requests."""

SHUTDOWN = "lifespan.shutdown"


class Lifespan:
    """One call of the application with a scope of type ``lifespan``.

    ``own`` makes the program's context manager, where it has one; ``close`` ends our sockets and jobs.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        own: Callable[[], AbstractAsyncContextManager[Any]] | None,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._own = own
        self._close = close
        self._startup: Message | None = None
        """The first message, as long as the wrapped application has not heard it."""
        self._last: Message | None = None
        """The answer to the shutdown. With a context manager it waits for the end of that: the server does not."""
        self._answered = ""
        """The last message that was answered."""

    async def run(self, app: ASGIApp | None) -> None:
        """Let ``app`` hear of the start and of the end, within the program's context manager."""
        self._startup = await self._receive()
        if self._own is None:
            await self._serve(app)
            return
        try:
            async with self._own() as state:
                self._add(state)
                await self._serve(app)
        except BaseException:
            await self._fail(traceback.format_exc())
            raise
        if self._last is not None:
            await self._send(self._last)

    def _add(self, state: Any) -> None:
        if state is None:
            return
        if not isinstance(state, Mapping):
            raise UsageError(f"lifespan= yielded {state!r}: expected a dict, the state for requests, or nothing")
        if "state" not in self._scope:
            raise UsageError("lifespan= yielded state for requests, and this server has none: it calls us without one")
        self._scope["state"].update(state)

    async def _serve(self, app: ASGIApp | None) -> None:
        if app is not None:
            try:
                await app(self._scope, self._hear, self._tell)
            except Exception:
                # Who raises before he answers knows nothing of a lifespan (ASGI, "Lifespan Protocol").
                if self._answered or (self._startup is None and self._own is None):
                    raise
            if self._answered or (self._startup is None and self._own is None):
                return
        if self._startup is None:
            await self._tell({"type": "lifespan.startup.complete"})
        while True:
            message = await self._hear()
            await self._tell({"type": f"{message['type']}.complete"})
            if message["type"] == SHUTDOWN:
                return

    async def _hear(self) -> Message:
        message, self._startup = self._startup, None
        if message is None:
            message = await self._receive()
        if message["type"] == SHUTDOWN:
            await self._close()
        return message

    async def _tell(self, message: Message) -> None:
        self._answered = message["type"]
        if self._own is not None and message["type"].startswith(SHUTDOWN):
            self._last = message
        else:
            await self._send(message)

    async def _fail(self, text: str) -> None:
        """Say that the start or the end has failed, where the wrapped application has not."""
        if not self._answered:
            await self._send({"type": "lifespan.startup.failed", "message": text})
        elif self._answered.endswith(".complete"):
            await self._send({"type": "lifespan.shutdown.failed", "message": text})
        elif self._last is not None:
            await self._send(self._last)


def enter_lifespan(function: LifespanFunction, app: Any) -> AbstractAsyncContextManager[Any]:
    """The context manager that ``function`` makes.

    Raises:
        UsageError: it makes something else.
    """
    made: Any = function(app)
    if not hasattr(made, "__aenter__"):
        if hasattr(made, "close"):
            made.close()  # a coroutine, that nobody would await
        raise UsageError(f"lifespan={function!r}: decorate it with contextlib.asynccontextmanager")
    manager: AbstractAsyncContextManager[Any] = made
    return manager
