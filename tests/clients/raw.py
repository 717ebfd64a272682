"""Clients that hold a session by themselves, one for each transport: they can end in every way a peer can end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from asocketio.testing import settle
from tests.clients.asgi import Call, Client
from tests.clients.frames import CLOSE, TEXT, close_payload, encode_frame, messages
from tests.clients.http import upgrade_request
from tests.clients.memory_connection import MemoryConnection, clocked
from tests.clients.protocols import Frame

__all__ = ["CLIENTS", "Polling", "SessionClient", "TakenOver", "WebSocket"]


class SessionClient(Client, ABC):
    """A session of ``app``, and what it sends."""

    @abstractmethod
    async def open(self) -> None:
        """Open the session and join the global namespace."""

    @abstractmethod
    async def say(self, *frames: Frame) -> None:
        """Send frames."""

    @abstractmethod
    async def vanish(self) -> None:
        """Lose the connection without a word: for polling, that of the poll that waits."""

    @abstractmethod
    def stop_reading(self) -> None:
        """Take nothing more."""

    @abstractmethod
    async def settle(self) -> None:
        """Let time pass in which a client of this kind would take what is there."""

    async def emit(self, name: str, *args: Any) -> None:
        await self.say(*self.protocol.event("/", name, list(args)))

    async def join(self) -> None:
        """Ask for the global namespace, where that has to be asked for."""
        if not self.protocol.opens:
            await self.say("40")


class Polling(SessionClient):
    """Long-polling."""

    poll: Call | None = None
    reading = True

    async def open(self) -> None:
        await self.handshake()
        await self.join()
        await self.settle()

    async def say(self, *frames: Frame) -> None:
        await self.post(self.protocol.body(list(frames), jsonp=False))
        await self.settle()

    async def settle(self) -> None:
        await settle()
        while self.reading and (self.poll is None or not self.poll.waiting):
            if self.poll is not None and (self.poll.status != 200 or self.poll.body in ("1", "0::", "7:::1+0")):
                return
            self.poll = await self.get()

    async def vanish(self) -> None:
        assert self.poll is not None
        self.reading = False
        self.poll.disconnect()
        await settle()

    def stop_reading(self) -> None:
        self.reading = False


class WebSocket(SessionClient):
    """A websocket by ASGI messages."""

    connection: Call

    async def open(self) -> None:
        if self.generation == "0.9":
            await self.handshake()
        await self.connect()
        if self.generation != "0.9":
            self.opened(self.connection.frames[0])
        await self.join()

    async def connect(self) -> None:
        self.connection = await self.websocket()

    async def say(self, *frames: Frame) -> None:
        await self.connection.says(*frames)

    async def close(self, code: int | None) -> None:
        """Close it, with a code or without; ASGI says 1005 for none."""
        await self.hear(code or 1005)

    async def hear(self, code: int) -> None:
        """The app hears that the websocket has closed with ``code``."""
        self.connection.disconnect(code)
        await settle()

    async def vanish(self) -> None:
        await self.hear(1006)

    async def send_too_much(self, size: int) -> None:
        """A message over the server's own limit."""
        await self.hear(1009)

    async def break_rules(self) -> None:
        """No frame of a websocket."""
        await self.hear(1002)

    async def server_ends(self) -> None:
        """The server closes its connections, and has told nobody."""
        await self.hear(1012)

    def stop_reading(self) -> None:
        self.connection.stuck = asyncio.Event()

    async def settle(self) -> None:
        await settle()


class TakenOver(WebSocket):
    """A websocket that the app has taken over from the server."""

    peer: MemoryConnection

    async def open(self) -> None:
        if self.generation == "0.9":
            await self.handshake()
        await self.connect()
        if self.generation != "0.9":
            opened = self.peer.heard()[0]
            assert isinstance(opened, str)
            self.opened(opened)
        await self.join()

    async def connect(self) -> None:
        self.peer = MemoryConnection(clocked(self.app, self.clock))
        await self.peer.ask(upgrade_request(self.protocol.path("websocket", self.sid, {})))

    async def say(self, *frames: Frame) -> None:
        await self.peer.send(messages(*frames))

    async def close(self, code: int | None) -> None:
        await self.peer.send(encode_frame(CLOSE, b"" if code is None else close_payload(code)))

    async def vanish(self) -> None:
        self.peer.transport.lose(ConnectionResetError("reset by the peer"))
        await settle()

    async def send_too_much(self, size: int) -> None:
        await self.peer.send(encode_frame(TEXT, "x" * size))

    async def break_rules(self) -> None:
        await self.peer.send(b"\xff\xff")

    async def server_ends(self) -> None:
        self.peer.transport.protocol.shutdown()
        await settle()

    def stop_reading(self) -> None:
        self.peer.transport.stuck = True

    async def finish(self) -> None:
        await super().finish()
        self.peer.transport.lose()
        await settle()
        assert self.peer.gone


class _Upgrading:
    """Begins by polling; then a websocket takes over."""

    async def open(self: Any) -> None:
        await self.handshake()
        if self.generation == "4":
            await self.post(b"40")
        await self.get()
        await self.connect()
        if self.generation != "0.9":
            await self.say("2probe", "5")


class UpgradedWebSocket(_Upgrading, WebSocket):
    """By polling first, then by ASGI messages."""


class UpgradedTakenOver(_Upgrading, TakenOver):
    """By polling first, then over a connection of the server's."""


CLIENTS: dict[str, type[SessionClient]] = {
    "polling": Polling,
    "websocket": WebSocket,
    "taken-over": TakenOver,
    "upgraded-websocket": UpgradedWebSocket,
    "upgraded-taken-over": UpgradedTakenOver,
}
