"""Ending with the server: live sockets would hold Ctrl+C, SIGTERM and ``--reload``, so they hear the signal first.

Servers wait for running requests before they tell the application to shut down, and a socket with
a view is a running request. Our handler goes before the server's own, and calls it.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

__all__ = ["Closable", "chain_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Closable(Protocol):
    """What ends by itself when told to."""

    def begin_close(self) -> None:
        """Begin to close; called in the event loop."""


class _Chained:
    """A signal handler in front of another."""

    def __init__(self, former: Callable[[int, FrameType | None], Any]) -> None:
        self.former = former
        self.apps: weakref.WeakKeyDictionary[Closable, asyncio.AbstractEventLoop] = weakref.WeakKeyDictionary()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for app, loop in list(self.apps.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(app.begin_close)
        self.former(number, frame)


def chain_signals(app: Closable) -> None:
    """Close ``app`` on SIGINT and SIGTERM, before the server that handles them does its part.

    Does nothing outside the main thread, or where nobody handles the signal: then it ends the
    process as it always would.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if not callable(handler) or handler is signal.default_int_handler:
            continue
        if not isinstance(handler, _Chained):
            handler = _Chained(handler)
            signal.signal(number, handler)
        handler.apps[app] = loop
