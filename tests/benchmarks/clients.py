"""Socket.IO 5 clients over Engine.IO 4, reduced to what a load needs: they trust the server, and count.

Apart from `tests.clients` for their speed: a load generator must not be slower than what it measures.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from tests.benchmarks.wire import Counter, body_of
from tests.clients.frames import masked, split

__all__ = ["Poller", "WebSocket"]

HOST = "127.0.0.1"
URL = "/socket.io/?EIO=4&transport="
_UPGRADE = (
    f"GET {URL}websocket HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()
_JOIN, _PONG = masked("40"), masked("3")


class WebSocket(asyncio.Protocol):
    """One client by websocket. After `open`, ``got`` is called with each number of answers that came together."""

    def __init__(self) -> None:
        self.got: Callable[[WebSocket, int], None] = _nothing
        self.ended = ""
        """Why there is no connection any more."""
        self.counter = Counter()
        self.count = 0
        """The work's own."""
        self._transport: asyncio.Transport
        self.write: Callable[[bytes], None]
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._opened = False
        self._upgraded = False
        self._early = b""

    @classmethod
    async def open(cls, port: int) -> WebSocket:
        """A client that has joined the namespace ``/``."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(cls, HOST, port)
        await client._ready
        return client

    def close(self) -> None:
        """Without a word."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write
        self.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        if not self._opened:
            self._open(self._early + data)
            return
        count = self.counter.push(data)
        if self.counter.control:
            self._control()
        if count:
            self.got(self, count)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or f"connection lost: {exc!r}"
        if not self._ready.done():
            self._ready.set_exception(ConnectionError(self.ended))

    def _open(self, data: bytes) -> None:
        if not self._upgraded:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._early = head
                return
            self._upgraded = head.startswith(b"HTTP/1.1 101")
            if not self._upgraded:
                self.ended = f"refused: {head!r}"
                self.close()
                return
        frames, self._early = split(data)
        for _, payload in frames:
            if payload.startswith(b"0{"):
                self.write(_JOIN)
            elif payload.startswith(b"40"):
                self._opened = True
                if not self._ready.done():
                    self._ready.set_result(None)

    def _control(self) -> None:
        for opcode, payload in self.counter.control:
            if payload == b"2":
                self.write(_PONG)
            else:
                self.ended = f"not an answer: opcode {opcode}, {payload[:80]!r}"
        self.counter.control.clear()


class _Line(asyncio.Protocol):
    """A keep-alive connection with one request at a time."""

    def __init__(self) -> None:
        self.got: Callable[[bytes], None]
        self.ended = ""
        self._transport: asyncio.Transport
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write
        self.close = self._transport.abort

    def data_received(self, data: bytes) -> None:
        self._rest += data
        try:
            body = body_of(self._rest)
        except ValueError as error:
            self.ended = str(error)
            self.close()
            return
        if body is not None:
            self._rest = b""
            self.got(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or f"connection lost: {exc!r}"

    async def ask(self, request: bytes) -> bytes:
        """The answer's body: for the beginning, when nothing is measured."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.got = answer.set_result
        self.write(request)
        return await asyncio.wait_for(answer, 30)


class Poller:
    """One client by long-polling: a poll always waits on one connection, the other takes its POSTs."""

    def __init__(self, polls: _Line, posts: _Line, sid: str) -> None:
        self.got: Callable[[Poller, int], None] = _nothing
        self.again = b""
        """The work's own."""
        self._polls, self._posts = polls, posts
        self._get = f"GET {URL}polling&sid={sid} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        self._post = (
            f"POST {URL}polling&sid={sid} HTTP/1.1\r\nHost: {HOST}\r\n"
            "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: "
        )
        self._waiting: deque[bytes] = deque()
        self._posting = False

    @classmethod
    async def open(cls, port: int) -> Poller:
        """A client that has joined the namespace ``/``."""
        loop = asyncio.get_running_loop()
        polls, posts = [(await loop.create_connection(_Line, HOST, port))[1] for _ in range(2)]
        hello = await polls.ask(f"GET {URL}polling HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        client = cls(polls, posts, hello.split(b'"sid":"')[1].split(b'"')[0].decode())
        await posts.ask(client.request("40"))
        await polls.ask(client._get)
        polls.got, posts.got = client._polled, client._posted
        polls.write(client._get)
        return client

    @property
    def ended(self) -> str:
        """Why it is not connected any more."""
        return self._polls.ended or self._posts.ended

    def close(self) -> None:
        """Without a word."""
        self._polls.close()
        self._posts.close()

    def request(self, body: str) -> bytes:
        """A POST, ready to be written many times."""
        return f"{self._post}{len(body)}\r\n\r\n{body}".encode()

    def write(self, request: bytes) -> None:
        """POST it when the one before has been answered."""
        if self._posting:
            self._waiting.append(request)
        else:
            self._posting = True
            self._posts.write(request)

    def _posted(self, _body: bytes) -> None:
        self._posting = False
        if self._waiting:
            self.write(self._waiting.popleft())

    def _polled(self, body: bytes) -> None:
        self._polls.write(self._get)
        packets = body.split(b"\x1e")
        if b"2" in packets:
            self.write(self.request("3"))
        answers = sum(packet.startswith(b"43") for packet in packets)
        if answers:
            self.got(self, answers)


def _nothing(_client: Any, _count: int) -> None:
    """Answers before the work begins."""
