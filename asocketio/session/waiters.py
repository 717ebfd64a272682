"""What sending verbs return where there is something to wait for: never a coroutine, so ignoring it is fine."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from asocketio.errors import Disconnected

if TYPE_CHECKING:
    from asocketio.session.socket import Socket

__all__ = ["ClosedWaiter", "DrainWaiter"]


class ClosedWaiter:
    """Awaiting it raises `Disconnected`."""

    __slots__ = ("_reason",)

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __await__(self) -> Generator[Any, Any, None]:
        raise Disconnected(self._reason)
        yield


class DrainWaiter:
    """Awaiting it waits for room in the outbox. It may be awaited more than once."""

    __slots__ = ("_socket",)

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def __await__(self) -> Generator[Any, Any, None]:
        return self._socket.writer.drain().__await__()
