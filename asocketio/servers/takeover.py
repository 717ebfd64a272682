"""TakeoverHandshake: a websocket on the fast lane that asks for a session."""

from __future__ import annotations

import typing

from asocketio.asgi.types import Headers, Message, Scope, Send
from asocketio.servers.connection import Connection
from asocketio.session.socket import Socket
from asocketio.transports.base import HandshakeTransport

__all__ = ["ServerTakeover", "TakeoverHandshake", "find_takeover"]


class ServerTakeover(typing.Protocol):
    """The server's side of the fast lane, found in ``scope["extensions"]``."""

    def claim(self, headers: Headers, limit: int) -> Connection | None:
        """Accept the websocket and take it over; None if it is too late for that."""
        ...

    async def left(self) -> None:
        """Wait until the client has gone."""


def find_takeover(scope: Scope) -> ServerTakeover | None:
    """The fast lane, where the server has one."""
    way: ServerTakeover | None = (scope.get("extensions") or {}).get("asocketio.takeover")
    return way


class TakeoverHandshake(HandshakeTransport):
    """Until it is answered it is an ASGI call like any other; then a `Connection` carries the socket."""

    name = "websocket"

    def __init__(self, way: ServerTakeover, send: Send, headers: Headers) -> None:
        self._way = way
        self._send = send
        self._headers = headers
        self.answered = False

    async def open(self, socket: Socket) -> None:
        self.open_now(socket)

    def open_now(self, socket: Socket) -> None:
        """Answer the handshake; nothing in it waits."""
        self.answered = True
        connection = self._way.claim(self._headers, socket.config.max_payload)
        if connection is None:
            socket.close("transport close")
        else:
            connection.open(socket)

    async def carry(self, socket: Socket) -> None:
        """Nothing to wait for: the connection carries it."""

    async def left(self) -> None:
        await self._way.left()

    async def reject(self, message: Message) -> None:
        self.answered = True
        if message["type"] in ("http.response.start", "http.response.body"):
            await self._send({**message, "type": f"websocket.{message['type']}"})
