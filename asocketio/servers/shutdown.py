"""The end of a server, told to applications that wait for something else.

ASGI says it by ``lifespan.shutdown``, which comes when all calls have ended: a poll that waits is such a call.
A signal is heard before (`asocketio.runtime.signals`). uvicorn also stops without one (``should_exit``,
``--limit-max-requests``), and tells nobody but its connections, which no application sees behind middleware.
"""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Iterator
from typing import Any

import uvicorn

from asocketio.runtime.signals import Closable

__all__ = ["close_at_shutdown"]

_RUNNING = {method.__code__ for method in (uvicorn.Server.serve, uvicorn.Server.main_loop)}
"""What a server does as long as it serves; a program may call the second by itself."""


def close_at_shutdown(app: Closable) -> None:
    """Have ``app`` closed when a uvicorn server in the running event loop stops, before it waits for its connections.

    Does nothing under other servers. Called once for each event loop: it looks at all tasks.
    """
    for server in _servers():
        notice = vars(server).get("shutdown")
        if not isinstance(notice, _Notice):
            notice = _Notice(server)
            vars(server)["shutdown"] = notice
        notice.apps.add(app)


def _servers() -> Iterator[uvicorn.Server]:
    """The servers that are running: there is no other way to them from below. One may come twice."""
    for task in asyncio.all_tasks():
        waiting: Any = task.get_coro()
        while inspect.iscoroutine(waiting):
            frame = waiting.cr_frame
            # Asking others for their locals would keep those alive.
            if frame is not None and frame.f_code in _RUNNING:
                yield frame.f_locals["self"]
            waiting = waiting.cr_await


class _Notice:
    """Stands before the ``shutdown`` of one server."""

    def __init__(self, server: uvicorn.Server) -> None:
        self._server = weakref.ref(server)
        self.apps: weakref.WeakSet[Closable] = weakref.WeakSet()

    async def __call__(self, *args: Any, **named: Any) -> None:
        for app in list(self.apps):
            app.begin_close()
        server = self._server()
        if server is not None:
            await type(server).shutdown(server, *args, **named)
