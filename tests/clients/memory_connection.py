"""A connection in memory to a server's protocol class: bytes in, and what a client reads of the bytes that come out.

Its reader is that of the ``websockets`` package, not `tests.clients.frames.split`: it refuses what breaks the rules.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.streams import StreamReader

from asocketio import SocketIOApp
from asocketio.servers.uvicorn import WebSocketProtocol
from asocketio.testing import TestClock, settle
from tests.clients.frames import BINARY, CLOSE, PONG, TEXT, encode_frame, messages
from tests.clients.http import OPENING, upgrade_request

__all__ = ["MemoryConnection", "MemoryTransport", "clocked", "opened"]


class MemoryTransport(asyncio.Transport):
    """A transport whose peer reads when it is told to: ``stuck`` holds back what is written."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 5000)})
        self.protocol: Any = None
        self.writes: list[bytes] = []
        self.together = 0
        """Calls of `writelines`."""
        self.late: list[bytes] = []
        """Written after `close`."""
        self.reading = True
        self.pauses = 0
        self.stuck = False
        self.waiting = 0
        """Bytes in the buffer."""
        self.closing = False
        self.aborted = False
        self.ended = False

    def write(self, data: Any) -> None:
        assert type(data) is bytes, data  # what is queued is not copied
        assert data
        if self.closing:
            self.late.append(data)
            return
        self.writes.append(data)
        if self.stuck:
            before, self.waiting = self.waiting, self.waiting + len(data)
            if before <= 65_536 < self.waiting:
                self.protocol.pause_writing()

    def writelines(self, parts: Any) -> None:
        self.together += 1
        for data in parts:
            self.write(data)

    def drain(self) -> None:
        """The peer reads everything."""
        self.stuck = False
        before, self.waiting = self.waiting, 0
        if before > 65_536:
            self.protocol.resume_writing()
        if self.closing:
            self._end()

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing, self.reading = True, False
            if not self.waiting:
                self._end()

    def abort(self) -> None:
        self.closing = self.aborted = True
        self.waiting = 0
        self._end()

    def lose(self, error: Exception | None = None) -> None:
        """The connection breaks."""
        self.closing = True
        self._end(error)

    def _end(self, error: Exception | None = None) -> None:
        if not self.ended:
            self.ended = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)

    def pause_reading(self) -> None:
        self.pauses += self.reading
        self.reading = False

    def resume_reading(self) -> None:
        if not self.closing:
            self.reading = True

    def is_reading(self) -> bool:
        return self.reading


def clocked(app: Any, clock: TestClock) -> Any:
    """``app`` by the clock of the test."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        if "extensions" in scope:
            scope["extensions"]["asocketio.clock"] = clock
        await app(scope, receive, send)

    return call


class MemoryConnection:
    """One connection to ``app``, from its upgrade request on."""

    def __init__(
        self, app: Any, protocol: Any = WebSocketProtocol, state: ServerState | None = None, **settings: Any
    ) -> None:
        config = Config(app, log_config=None, lifespan="off", ws=protocol, proxy_headers=False, **settings)
        config.load()
        self.state = state or ServerState()
        self.lane: Any = protocol(config=config, server_state=self.state, app_state={})
        self.transport = self.lane.transport = MemoryTransport()
        self.transport.protocol = self.lane
        self.lane.connection_made(self.transport)
        self._at = 0
        self.head = b""
        """The HTTP answer."""
        self._bytes = bytearray()
        self._closed = False

    async def ask(self, data: bytes = b"", *early: bytes) -> None:
        """Send the request, and what does not wait for its answer."""
        self.comes(data or upgrade_request(), *early)
        await settle()

    def comes(self, *chunks: bytes) -> None:
        """The transport has read something."""
        for chunk in chunks:
            if not self.transport.closing:
                self.transport.protocol.data_received(chunk)

    async def send(self, *chunks: bytes) -> None:
        self.comes(*chunks)
        await settle()

    async def bye(self) -> None:
        """Answer the server's close."""
        await self.send(encode_frame(CLOSE, b"\x03\xe8"))

    async def say(self, *texts: str) -> None:
        """Text messages, in one chunk."""
        await self.send(messages(*texts))

    def frames(self) -> list[tuple[int, bytes]]:
        """The frames that have come since the last look."""
        self._bytes += b"".join(self.transport.writes[self._at :])
        self._at = len(self.transport.writes)
        if not self.head:
            head, mark, rest = bytes(self._bytes).partition(b"\r\n\r\n")
            if not mark:
                return []
            self.head = head + mark
            self._bytes = bytearray(rest)
            if not head.startswith(b"HTTP/1.1 101 "):
                return []
        reader = StreamReader()
        reader.feed_data(self._bytes)
        found: list[tuple[int, bytes]] = []
        while True:
            left = bytes(reader.buffer)
            try:
                next(Frame.parse(reader.read_exact, mask=False))
            except StopIteration as done:
                frame: Frame = done.value
            else:
                self._bytes = bytearray(left)
                return found
            assert frame.fin
            assert not self._closed or frame.opcode == PONG, f"{frame} after a close frame"
            found.append((int(frame.opcode), bytes(frame.data)))
            self._closed |= frame.opcode == CLOSE

    def heard(self) -> list[str | bytes]:
        """The messages that have come since the last look; ``CLOSE 1000`` for a close frame."""
        messages: list[str | bytes] = []
        for opcode, payload in self.frames():
            if opcode == CLOSE:
                messages.append(f"CLOSE {int.from_bytes(payload[:2])}")
            else:
                messages.append(payload if opcode == BINARY else payload.decode())
                assert opcode in (TEXT, BINARY), opcode
        return messages

    async def join(self, *more: tuple[str, str]) -> None:
        """Open a session and enter the global namespace."""
        await self.ask(upgrade_request(OPENING, *more))
        await self.say("40")
        opened, joined = self.heard()[:2]
        assert isinstance(opened, str)
        assert isinstance(joined, str)
        assert (opened[:1], joined[:2]) == ("0", "40")

    @property
    def gone(self) -> bool:
        """Nothing of this connection is left in the server."""
        return self.transport.ended and not self.state.connections and not self.state.tasks


async def opened(app: SocketIOApp, clock: TestClock | None = None, **settings: Any) -> MemoryConnection:
    """A client that has joined."""
    peer = MemoryConnection(app if clock is None else clocked(app, clock), **settings)
    await peer.join()
    return peer
