"""What a verb does outside of the server's event loop: in another thread, or in another event loop of the same one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import get_ident
from typing import Any

from asocketio.errors import UsageError
from asocketio.session.interfaces import SessionServer

__all__ = ["check_loop", "is_other_thread", "run_in_loop"]


def is_other_thread(server: SessionServer) -> bool:
    """Whether this is not the thread of the server's event loop."""
    return get_ident() != server.thread


def check_loop(server: SessionServer, what: str, instead: str) -> None:
    """Raise `UsageError` outside of the server's event loop, before anything has changed. ``instead`` works there."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is not server.loop:
        raise UsageError(f"{what} was called outside of the server's event loop: write {instead} there")


def run_in_loop(server: SessionServer, function: Callable[..., object], *args: Any) -> None:
    """Call ``function`` in the event loop, soon, and in order; what it raises there is logged.

    Does nothing where the loop has ended: all clients are gone.
    """
    loop = server.loop
    if loop is None or loop.is_closed():
        return
    try:
        loop.call_soon_threadsafe(_run, server, function, args)
    except RuntimeError:
        if not loop.is_closed():  # it was a moment ago
            raise


def _run(server: SessionServer, function: Callable[..., object], args: tuple[Any, ...]) -> None:
    try:
        function(*args)
    except Exception as error:
        name = getattr(function, "__qualname__", type(function).__name__)
        server.throttled_log.error("thread", "%s, asked for by another thread, raised %r", name, error, error=error)
