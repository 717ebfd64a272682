"""A client of a server on a port, by the packages httpx and websockets, which follow the standards on its behalf.

Requests and messages are written out by each test; every wait has a deadline. `tests.clients.tcp` is for any bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

__all__ = ["ENGINE", "SOCKETIO", "Peer", "Polling", "WebSocket", "kind_and_value", "soon"]

T = TypeVar("T")

DEADLINE = 10.0  # seconds for any one step
ENGINE = "/engine.io/"  # echoes raw messages
SOCKETIO = "/socket.io/"


async def soon(waiting: Awaitable[T]) -> T:
    return await asyncio.wait_for(waiting, DEADLINE)


def kind_and_value(frame: str | bytes, kind: str) -> Any:
    """The JSON value behind the expected ``kind`` ("0", "40", "44/nope,", ...)."""
    assert isinstance(frame, str)
    assert frame.startswith(kind), frame
    return json.loads(frame[len(kind) :])


class _Attempt(connect):
    """A connection that takes a redirection for the refusal that it is."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebSocket:
    """One websocket, frame by frame."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            await soon(self._connection.send(frame))

    async def receive(self) -> str | bytes:
        return await soon(self._connection.recv())

    async def receive_all(self, count: int) -> list[str | bytes]:
        return [await self.receive() for _ in range(count)]

    async def next_or_closed(self) -> str | bytes | None:
        """The next frame; None when the server closes the websocket instead."""
        try:
            return await self.receive()
        except ConnectionClosed:
            return None

    async def send_if_open(self, *frames: str | bytes) -> None:
        """Sends until the server has closed the websocket, which it may do after any of them."""
        with suppress(ConnectionClosed):
            await self.send(*frames)

    async def closed(self) -> list[str | bytes]:
        """What still came until the server closed the websocket; fails if it does not."""
        frames: list[str | bytes] = []
        while (frame := await self.next_or_closed()) is not None:
            frames.append(frame)
        return frames

    async def close(self) -> None:
        await soon(self._connection.close())

    def abort(self) -> None:
        """Breaks the TCP connection without a word."""
        self._connection.transport.abort()


class Polling:
    """One polling session."""

    def __init__(self, peer: Peer, path: str, sid: str) -> None:
        self._peer, self._path, self.sid = peer, path, sid

    def _query(self, **more: str) -> dict[str, str]:
        return {"EIO": "4", "transport": "polling", "sid": self.sid, **more}

    async def request(self, method: str, **options: Any) -> httpx.Response:
        query = self._query(**options.pop("query", {}))
        return await self._peer.http.request(method, self._path, params=query, **options)

    async def poll(self) -> httpx.Response:
        return await self.request("GET")

    async def post(self, body: str | bytes, content_type: str = "text/plain;charset=UTF-8") -> httpx.Response:
        return await self.request("POST", content=body, headers={"content-type": content_type})

    async def send(self, body: str) -> None:
        answer = await self.post(body)
        assert (answer.status_code, answer.text) == (200, "ok")

    async def receive(self) -> str:
        answer = await self.poll()
        assert answer.status_code == 200, answer.text
        return answer.text

    async def waiting(self) -> asyncio.Task[httpx.Response]:
        """A poll that the server has begun to answer, but not answered yet."""
        poll = asyncio.create_task(self.poll())
        for _ in range(3):  # later requests have been answered, so the earlier one has been read
            await self._peer.http.get(self._path, params={"EIO": "4", "transport": "none"})
        return poll

    def websocket(self) -> AbstractAsyncContextManager[WebSocket]:
        return self._peer.websocket(self._path, sid=self.sid)

    async def is_over(self) -> None:
        """Asserts that the server has forgotten this session."""
        answer = await self.poll()
        assert (answer.status_code, answer.json()) == (400, {"code": 1, "message": "Session ID unknown"})

    async def is_open(self) -> None:
        """Asserts that a message sent by polling comes back (echo sessions only)."""
        await self.send("4alive?")
        assert await self.receive() == "4alive?"


class Peer:
    """The server to talk to."""

    def __init__(self, http: httpx.AsyncClient, ws_url: str) -> None:
        self.http, self._ws_url = http, ws_url

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self.http.get(path, params=query)

    async def polling(self, path: str = ENGINE) -> Polling:
        answer = await self.get(path, EIO="4", transport="polling")
        assert answer.status_code == 200, answer.text
        return Polling(self, path, kind_and_value(answer.text, "0")["sid"])

    @asynccontextmanager
    async def websocket(self, path: str = ENGINE, **query: str) -> AsyncIterator[WebSocket]:
        """A websocket as it is after the handshake, before its first frame."""
        words = {"EIO": "4", "transport": "websocket", **query}
        url = f"{self._ws_url}{path}?{httpx.QueryParams(words)}"
        async with connect(
            url, compression=None, max_size=None, ping_interval=None, open_timeout=DEADLINE
        ) as connection:
            yield WebSocket(connection)

    @asynccontextmanager
    async def opened(self, path: str = ENGINE) -> AsyncIterator[WebSocket]:
        """A websocket with a session of its own, after the open packet."""
        async with self.websocket(path) as websocket:
            kind_and_value(await websocket.receive(), "0")
            yield websocket

    @asynccontextmanager
    async def joined(self, namespace: str = "") -> AsyncIterator[WebSocket]:
        """A websocket that has joined ``namespace`` ("/chat,") and read what it is told on connecting."""
        async with self.opened(SOCKETIO) as websocket:
            await websocket.send(f"40{namespace}")
            kind_and_value(await websocket.receive(), f"40{namespace}")
            assert await websocket.receive() == f'42{namespace}["auth",{{}}]'
            yield websocket

    async def refused_websocket(self, path: str, query: str) -> tuple[int, str]:
        """Status and body with which a websocket handshake is refused."""
        refusal = await self.refusal(path, query)
        return refusal.status_code, (refusal.body or b"").decode()

    async def refusal(self, path: str, query: str) -> Response:
        """The answer with which a websocket handshake is refused."""
        try:
            async with _Attempt(f"{self._ws_url}{path}?{query}", open_timeout=DEADLINE):
                raise AssertionError("the websocket was accepted")
        except InvalidStatus as refusal:
            return refusal.response
