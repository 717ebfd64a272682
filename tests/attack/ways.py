"""How an attacker comes: in each generation, over each transport, also by a server's own websockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from asocketio.asgi.types import ASGIApp, Message, Receive, Scope, Send
from asocketio.testing import TestClient
from asocketio.testing.transports import CLIENT_TRANSPORTS
from tests.attack.shapes import Generation
from tests.clients.takeover_transport import TakeoverTransport
from tests.support.worlds import GENERATIONS, TRANSPORTS

__all__ = ["WAYS", "Counting", "Way", "client_of"]

TAKEN_OVER = "taken over"


class Way(NamedTuple):
    """A generation and what carries it."""

    generation: Generation
    carrier: str

    def __str__(self) -> str:
        return f"{self.generation} {self.carrier}"


WAYS = [Way(generation, carrier) for generation in GENERATIONS for carrier in (*TRANSPORTS, TAKEN_OVER)]


@asynccontextmanager
async def client_of(app: Any, way: Way, address: str = "attacker") -> AsyncIterator[TestClient]:
    """A client of ``app``; ``address`` tells it from others in `Counting`."""
    carriers = dict(CLIENT_TRANSPORTS)
    transport: Any = way.carrier
    if way.carrier == TAKEN_OVER:
        transport = "websocket"
        CLIENT_TRANSPORTS["websocket"] = TakeoverTransport
    try:
        async with TestClient(app, generation=way.generation, transport=transport) as client:
            client._scope["client"] = (address, 50_000)
            await client.open()
            CLIENT_TRANSPORTS.update(carriers)
            yield client
    finally:
        CLIENT_TRANSPORTS.update(carriers)


class Counting:
    """An app that counts the bytes of bodies and messages, in and out, for each client address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.received: dict[str, int] = {}
        self.sent: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = (scope.get("client") or ("",))[0]

        async def receiving() -> Message:
            message = await receive()
            self.received[address] = self.received.get(address, 0) + _size(message)
            return message

        async def sending(message: Message) -> None:
            self.sent[address] = self.sent.get(address, 0) + _size(message)
            await send(message)

        await self.app(scope, receiving, sending)


def _size(message: Message) -> int:
    text: str | None = message.get("text")
    if text is not None:
        return len(text.encode())
    return len(message.get("bytes") or message.get("body") or b"")
