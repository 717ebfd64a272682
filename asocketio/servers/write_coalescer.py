"""An HTTP protocol class for uvicorn: ``uvicorn --http asocketio.servers.write_coalescer:JoinedHTTP``.

It is uvicorn's own class, whichever it would take, but what a turn of the event loop writes goes out at once: uvicorn
writes the head and the body of a response one after the other, and each write is a system call. A response to a poll
is small, so that is a fifth of its cost.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from asocketio.protocol.websocket_frames import LARGE

__all__ = ["Joined", "JoinedHTTP", "joining"]


class Joined:
    """A transport whose small writes wait for the end of the turn, and go out as one. All else is the transport's."""

    __slots__ = ("_held", "_loop", "direct")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.direct = transport
        self._loop = loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """As of `asyncio.Transport`."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        if len(data) >= LARGE:  # more than a write costs
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        held, self._held = self._held, []
        if self.direct.is_closing():
            return  # the peer has gone
        large = held.pop() if held and len(held[-1]) >= LARGE else None
        if held:
            self.direct.write(held[0] if len(held) == 1 else b"".join(held))
        if large is not None:
            self.direct.write(large)

    def close(self) -> None:
        """As of `asyncio.Transport`: what is held goes out first."""
        self.flush()
        self.direct.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.direct, name)


def joining(base: Any) -> Any:
    """``base``, one of uvicorn's HTTP classes, over a `Joined` transport."""
    return type("JoinedHTTP", (_Joining, base), {"__doc__": joining.__doc__})


class _Joining:
    transport: Any
    loop: asyncio.AbstractEventLoop

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(Joined(transport, self.loop))  # type: ignore[misc]

    def eof_received(self) -> None:
        """The transport closes itself behind this: what is held goes out before."""
        self.transport.flush()
        super().eof_received()  # type: ignore[misc]

    def handle_websocket_upgrade(self, *request: Any) -> None:
        """A websocket class takes over: it writes in its own way."""
        self.transport.flush()
        self.transport = self.transport.direct
        super().handle_websocket_upgrade(*request)  # type: ignore[misc]


JoinedHTTP = joining(AutoHTTPProtocol)
