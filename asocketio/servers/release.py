"""Cycles that end with a connection: objects of others, which only the garbage collector would free otherwise."""

from __future__ import annotations

from typing import Any

__all__ = ["release_error", "release_transport"]


def release_transport(transport: Any) -> None:
    """Its connection is lost. One of asyncio's own holds a method of itself, by which it read."""
    if getattr(transport, "_read_ready_cb", None) is not None:
        transport._read_ready_cb = None


def release_error(error: BaseException | None) -> None:
    """It has been understood. Its traceback leads to the frames that raised it, and some keep it."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__
