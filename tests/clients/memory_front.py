"""A server's front that is not uvicorn's: in memory, for one websocket. The second implementation of `ServerFront`.

A part of a server, and no client: `tests.clients.takeover_transport` is one that connects to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from asocketio.asgi.types import Headers, Message
from asocketio.servers.connection import Connection
from asocketio.servers.front import EXTENSION, ServerFront

__all__ = ["EXTENSION", "MemoryFront"]


class _Transport(asyncio.Transport):
    """What a `Connection` writes to and is fed by."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        super().__init__()
        self._heard = heard
        self._closed = False
        self._reading = True
        self._sent: list[bytes] = []
        self.connection: Connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closed:
            self._heard(bytes(data))

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._deliver_soon()

    def feed(self, data: bytes) -> None:
        """Bytes of the client."""
        self._sent.append(data)
        self._deliver_soon()

    def _deliver_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        while self._sent and self._reading and not self._closed:
            self.connection.data_received(self._sent.pop(0))


class MemoryFront:
    """One websocket that a `SocketIOApp` may take over. ``heard`` gets what is written, ``accepted`` is called first.

    ``inbox`` are the messages of the ASGI call, for as long as nobody has taken the websocket over.
    """

    def __init__(
        self, inbox: asyncio.Queue[Message], accepted: Callable[[], None], heard: Callable[[bytes], None]
    ) -> None:
        self._inbox = inbox
        self._accepted = accepted
        self._heard = heard
        self._transport: _Transport | None = None

    def take_over_websocket(self, headers: Headers, limit: int) -> Connection | None:
        if self._transport is not None:
            return None
        transport = self._transport = _Transport(self._heard)
        transport.connection = Connection(transport, limit)
        self._accepted()
        return transport.connection

    async def wait_disconnected(self) -> None:
        while (await self._inbox.get())["type"] != "websocket.disconnect":
            pass

    @property
    def taken(self) -> bool:
        """A `SocketIOApp` has the websocket."""
        return self._transport is not None

    def feed(self, data: bytes) -> None:
        """Bytes of the client."""
        assert self._transport is not None
        self._transport.feed(data)

    def on_call_done(self) -> None:
        """The ASGI call has ended."""
        assert self._transport is not None
        self._transport.connection.on_call_done(None)

    def lose(self) -> None:
        """The connection breaks."""
        if self._transport is not None:
            self._transport.close()


_checked: type[ServerFront] = MemoryFront
