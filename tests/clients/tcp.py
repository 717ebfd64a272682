"""Bytes over a socket: a connection that sends any bytes, and reads nothing unless it is told to.

No asyncio stream, as those read ahead: here what is not read stays in the kernel, and holds up the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Self

from tests.clients.frames import CLOSE, bounds, masked, split
from tests.clients.http import HEAD_END, OPENING, Response, request, take_response, upgrade_request
from tests.clients.protocols import CLIENT_PROTOCOLS

__all__ = ["HOST", "Connection"]

HOST = "127.0.0.1"
CHUNK = 262_144
PATIENCE = 10.0
"""Seconds for anything that is waited for."""


class Connection:
    """One TCP connection. What has come and was not taken stays in ``data``."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.data = b""
        self.sent = 0
        self.patience = PATIENCE
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
    async def websocket(cls, port: int, path: str = OPENING, join: str = "40", receive_buffer: int = 0) -> Self:
        """A websocket that has joined a namespace, as a good client would; ``join=""``: that only was accepted."""
        self = await cls.tcp(port, receive_buffer)
        try:
            await self.send(upgrade_request(path))
            head = await self.until(HEAD_END)
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
    async def poller(cls, port: int) -> tuple[Self, str]:
        """A connection, and the path of the session of generation 4 that was opened by it, and has joined."""
        self = await cls.tcp(port)
        try:
            path = CLIENT_PROTOCOLS["4"].path("polling", await self.open_session(), {})
            await self.ask(request("POST", path, "40"))
            await self.ask(request("GET", path))
        except BaseException:
            self.close()
            raise
        return self, path

    async def open_session(self, generation: str = "4") -> str:
        """The id of a session that is opened by a plain request."""
        protocol = CLIENT_PROTOCOLS[generation]
        body = await self.ask(request("GET", protocol.path("polling", "", {})))
        sid, _ = protocol.handshake(str(protocol.split(body, jsonp=False)[0]))
        return sid

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

    async def send(self, data: bytes, within: float = 0.0) -> bool:
        """Send within so many seconds, 0: the patience of this connection.

        False: the server has hung up, or takes no more within that time; the rest then goes first next time.
        """
        self._unsent += data
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(within or self.patience):
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

    async def receive(self) -> bytes:
        """Some bytes; none: the end, or nothing came."""
        with contextlib.suppress(OSError, TimeoutError):
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, CHUNK), self.patience)
        return b""

    async def _receive_more(self) -> None:
        more = await self.receive()
        if not more:
            raise ConnectionError(f"nothing after {self.data[-200:]!r}")
        self.data += more

    async def until(self, mark: bytes) -> bytes:
        """What comes, up to ``mark``.

        Raises:
            ConnectionError: it does not come.
        """
        while mark not in self.data:
            await self._receive_more()
        head, mark, self.data = self.data.partition(mark)
        return head + mark

    async def ask(self, data: bytes) -> bytes:
        """The body of the answer to a request; its status must be 200."""
        await self.send(data)
        response = await self.response()
        if response.status != 200:
            raise ConnectionError(f"{response.status} {response.body!r}")
        return response.body

    async def response(self) -> Response:
        """The next response.

        Raises:
            ConnectionError: it does not come, or not to its end.
        """
        while True:
            response, self.data = take_response(self.data)
            if response is not None:
                return response
            await self._receive_more()

    async def rest(self) -> bytes:
        """What comes until the server closes the connection.

        Raises:
            TimeoutError: the server does not.
            OSError: the connection is reset.
        """
        async with asyncio.timeout(self.patience):
            while more := await asyncio.get_running_loop().sock_recv(self.sock, CHUNK):
                self.data += more
        data, self.data = self.data, b""
        return data

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next websocket frame.

        Raises:
            ConnectionError: it does not come, or not to its end.
        """
        while (place := bounds(self.data, 0)) is None or place[1] > len(self.data):
            await self._receive_more()
        opcode, payload = self.data[0] & 15, self.data[slice(*place)]
        self.data = self.data[place[1] :]
        return opcode, payload

    @classmethod
    async def once(cls, port: int, data: bytes) -> int:
        """The status of the answer to a request on a connection of its own."""
        with await cls.tcp(port) as connection:
            await connection.send(data)
            return (await connection.response()).status

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
        closes = [payload for opcode, payload in frames if opcode == CLOSE]
        return f"close {int.from_bytes(closes[-1][:2], 'big')}" if closes else ""


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
