"""Awaitables that are no coroutines: nobody is warned when they are not awaited."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

__all__ = ["COMPLETED", "Completed"]


class Completed:
    """A result that is already there and may be awaited all the same."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.value
        yield


COMPLETED = Completed(None)
"""What sending returns when there is nothing to wait for: shared, so that the hot path makes no object."""
