"""ServerFront: what a server offers us beside ASGI; and the handshake of a websocket that is taken over from it."""

from __future__ import annotations

import typing

from asocketio.asgi.acceptance import Acceptance
from asocketio.asgi.types import Headers, Message, Scope, Send
from asocketio.servers.connection import Connection
from asocketio.servers.websocket import ServerWebSocket, TextOnlyWebSocket
from asocketio.session.close_reasons import TRANSPORT_CLOSE
from asocketio.session.socket import Socket
from asocketio.transports.base import HandshakeTransport

__all__ = ["EXTENSION", "ServerFront", "TakeoverHandshake", "find_front", "take_over"]

EXTENSION = "asocketio.front"
"""Where a server puts its front into ``scope["extensions"]``."""


class ServerFront(typing.Protocol):
    """SEAM. What a server offers for one request, beside the messages of ASGI.

    A server that has one puts it into the scope of a websocket, under `EXTENSION`. It answers nothing and reads nothing
    further until the application has decided: by `take_over_websocket`, or by ASGI as always.
    """

    def take_over_websocket(self, headers: Headers, limit: int) -> Connection | None:
        """Accept the websocket and give it away: its transport calls the `Connection` from now on.

        ``headers`` go into the response, ``limit`` is the largest message in bytes. None: it is too late for that.
        """
        ...

    async def wait_disconnected(self) -> None:
        """Wait until the client has gone."""


def find_front(scope: Scope) -> ServerFront | None:
    """The server's front, where it has one."""
    front: ServerFront | None = (scope.get("extensions") or {}).get(EXTENSION)
    return front


def take_over(front: ServerFront, headers: Headers, limit: int, acceptance: Acceptance) -> ServerWebSocket | None:
    """The websocket that the server gives away; None where it is too late for that."""
    connection = front.take_over_websocket([*headers, *acceptance.headers], limit)
    if connection is None:
        return None
    return TextOnlyWebSocket(connection) if acceptance.text_only else ServerWebSocket(connection)


class TakeoverHandshake(HandshakeTransport):
    """A websocket that asks for a session. Until it is answered it is an ASGI call like any other."""

    name = "websocket"

    def __init__(self, front: ServerFront, send: Send, headers: Headers, acceptance: Acceptance) -> None:
        self._front = front
        self._acceptance = acceptance
        self._send = send
        self._headers = headers
        self.answered = False

    async def open(self, socket: Socket) -> None:
        self.answered = True
        websocket = take_over(self._front, self._headers, socket.config.max_payload, self._acceptance)
        if websocket is None:
            socket.close(TRANSPORT_CLOSE)
        else:
            websocket.open(socket)

    async def carry(self, socket: Socket) -> None:
        """Nothing to wait for: the connection carries it."""

    async def wait_disconnected(self) -> None:
        await self._front.wait_disconnected()

    async def reject(self, message: Message) -> None:
        self.answered = True
        if message["type"] in ("http.response.start", "http.response.body"):
            await self._send({**message, "type": f"websocket.{message['type']}"})
