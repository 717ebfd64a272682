"""What a socket needs of those who carry it, stated here so that the session imports none of them."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import MutableMapping
from typing import Any

from asocketio.protocol.websocket_frames import NORMAL_CLOSURE

__all__ = ["Carrier", "IncomingPost", "PendingView", "UpgradeAttempt"]


class Carrier(typing.Protocol):
    """What carries a socket now: a poll or a websocket. See `asocketio.transports.base`."""

    @property
    def name(self) -> str:
        """``"polling"`` or ``"websocket"``."""
        ...

    def flush(self) -> None:
        """The outbox has something: begin to send it."""

    def end(self, close_code: int = NORMAL_CLOSURE) -> None:
        """The socket has closed: send what is left, then close, a websocket with ``close_code``."""

    @property
    def writable(self) -> bool:
        """What is queued now goes out at once, as far as this side knows."""
        ...


class UpgradeAttempt(typing.Protocol):
    """A websocket that is about to take over from polling."""

    @property
    def probed(self) -> bool:
        """The client knows that the websocket works: waiting polls are released, so that it can stop polling."""
        ...

    def end(self) -> None:
        """The socket has closed."""


class IncomingPost(typing.Protocol):
    """A polling body on its way in."""

    answered: bool
    """The client may send the next."""
    awaited: bool
    """The next POST waits for the end of this one. Only one may."""
    done: asyncio.Event
    """All of it is in, or will never be."""

    def succeed(self) -> asyncio.Future[bool]:
        """Wait for `done`, to carry the socket then. False: another websocket has asked for that since."""
        ...

    def end(self) -> None:
        """The socket has closed: what is still to come is of no use."""


class PendingView(typing.Protocol):
    """A view that has neither opened the socket nor refused it."""

    def claim(self) -> None:
        """The socket opens."""

    def accept(self, environ: MutableMapping[str, Any], request: Any) -> None:
        """Accept the client: the socket opens when the view has answered 2xx and its call has ended.

        Raises:
            UsageError: the application has no ``guard=True``.
        """

    def time_out(self) -> None:
        """Too late."""
