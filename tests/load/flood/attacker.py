"""A client without manners: a plain socket that sends what it likes, and reads when it likes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Self

from tests.clients.frames import masked, split

__all__ = ["HOST", "Attacker", "request", "upgrade"]

HOST = "127.0.0.1"
CHUNK = 262_144
POLITE = 10.0
"""Seconds for an answer of the handshake."""


def request(method: str, path: str, body: bytes | str = b"", headers: str = "") -> bytes:
    """A request whose length is right."""
    content = body.encode() if isinstance(body, str) else body
    length = f"Content-Length: {len(content)}\r\n" if content or method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{length}{headers}\r\n".encode() + content


def upgrade(path: str = "/socket.io/?EIO=4&transport=websocket", headers: str = "") -> bytes:
    """A request for a websocket."""
    return request(
        "GET",
        path,
        headers="Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}",
    )


class Attacker:
    """One TCP connection. What was not read stays in ``data``."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.data = b""
        self.sent = 0
        self._unsent = bytearray()

    @classmethod
    async def tcp(cls, port: int, receive_buffer: int = 0) -> Self:
        """``receive_buffer``: bytes the kernel may take for it; 0 is what the kernel thinks right."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    @classmethod
    async def websocket(
        cls, port: int, path: str = "/socket.io/?EIO=4&transport=websocket", join: str = "40", receive_buffer: int = 0
    ) -> Self:
        """A websocket that has joined a namespace, as a good client would; ``join=""``: that only was accepted."""
        self = await cls.tcp(port, receive_buffer)
        try:
            await self.send(upgrade(path))
            head = await self.until(b"\r\n\r\n")
            if b" 101 " not in head:
                raise ConnectionError(f"no websocket: {head[:200]!r}")
            if join:
                await self.until(b"}")
                await self.send(masked(join))
                await self.until(b"}")
        except BaseException:
            self.close()
            raise
        return self

    @classmethod
    async def poller(cls, port: int, query: str = "EIO=4") -> tuple[Self, str]:
        """A connection, and the path of the session that was opened by it."""
        self = await cls.tcp(port)
        path = f"/socket.io/?{query}&transport=polling"
        try:
            body = await self.ask(request("GET", path))
            path += "&sid=" + body.split(b'"sid":"')[1].split(b'"')[0].decode()
            await self.ask(request("POST", path, "40"))
            await self.ask(request("GET", path))
        except BaseException:
            self.close()
            raise
        return self, path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """By a reset: what the server has not read is lost, and no goodbye is left to wait for."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    async def send(self, data: bytes, within: float = POLITE) -> bool:
        """False: the server has hung up, or takes no more within that time; the rest then goes first next time."""
        self._unsent += data
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(within):
                while self._unsent:
                    sent = await self._send_some()
                    self.sent += sent
                    del self._unsent[:sent]
            return True
        return False

    async def _send_some(self) -> int:
        """What the kernel takes. Not ``sock_sendall``: interrupted it does not tell how much has gone."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return self.sock.send(bytes(self._unsent[:CHUNK]))
            except BlockingIOError:
                writable = loop.create_future()
                loop.add_writer(self.sock, _wake, writable)
                try:
                    await writable
                finally:
                    loop.remove_writer(self.sock)

    async def flood(self, data: bytes, times: int, seconds: float) -> int:
        """Send ``data`` as often as that; how often it went out before the server hung up or the time was over."""
        until = asyncio.get_running_loop().time() + seconds
        for count in range(times):
            left = until - asyncio.get_running_loop().time()
            if left <= 0 or not await self.send(data, left):
                return count
        return times

    async def receive(self, within: float = POLITE) -> bytes:
        """Some bytes; none: the end, or nothing came."""
        with contextlib.suppress(OSError, TimeoutError):
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, CHUNK), within)
        return b""

    async def until(self, mark: bytes) -> bytes:
        """What comes, up to ``mark``.

        Raises:
            ConnectionError: it does not come.
        """
        while mark not in self.data:
            more = await self.receive()
            if not more:
                raise ConnectionError(f"no {mark!r} after {self.data[-200:]!r}")
            self.data += more
        head, mark, self.data = self.data.partition(mark)
        return head + mark

    async def ask(self, data: bytes) -> bytes:
        """The body of the answer to a request; its status must be 200."""
        await self.send(data)
        status, body = await self.answer()
        if status != 200:
            raise ConnectionError(f"{status} {body!r}")
        return body

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next response."""
        head = await self.until(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(self.data) < length:
            more = await self.receive()
            if not more:
                raise ConnectionError(f"a response without its end: {head!r}")
            self.data += more
        body, self.data = self.data[:length], self.data[length:]
        return int(head.split()[1]), body

    @classmethod
    async def once(cls, port: int, data: bytes) -> int:
        """The status of the answer to a request on a connection of its own."""
        with await cls.tcp(port) as attacker:
            await attacker.send(data)
            return (await attacker.answer())[0]

    async def ended(self, within: float) -> str:
        """How the server has ended this connection: a close frame's code, an HTTP status, a reset; or ``open``."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        while True:
            word = self._skim()
            if word:
                return word  # a server that has said so waits for the peer to hang up
            try:
                more = await asyncio.wait_for(loop.sock_recv(self.sock, CHUNK), max(until - loop.time(), 0.001))
            except TimeoutError:
                return "open"
            except OSError as error:
                return type(error).__name__
            if not more:
                return "eof"
            self.data += more

    def _skim(self) -> str:
        """Take in what has come; the word for an end that is in it."""
        if self.data.startswith(b"HTTP/1.1 "):
            return "HTTP " + self.data[9:12].decode()
        frames, self.data = split(self.data)
        closes = [payload for opcode, payload in frames if opcode == 8]
        return f"close {int.from_bytes(closes[-1][:2], 'big')}" if closes else ""


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
