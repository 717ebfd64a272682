"""What the tests of the fast lane talk to behind a real server; its log tells who has left."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from asocketio import BaseNamespace, SocketIOApp
from asocketio.servers import connection

__all__ = ["app"]

connection.CLOSE_TIMEOUT = float(os.environ.get("GOODBYE", "5"))


class Main(BaseNamespace):
    def initialize(self) -> None:
        self.name = "?"
        self.seen: list[int] = []

    def on_mark(self, name: str) -> str:
        self.name = name
        return name

    async def recv_disconnect(self, reason: str) -> None:
        print("gone", self.name, reason, flush=True)

    def on_echo(self, *args: Any) -> tuple[Any, ...]:
        return args

    def on_flood(self, count: int, size: int) -> None:
        for number in range(count):
            self.emit("n", number, "x" * size)

    async def on_flood_and_leave(self, count: int, size: int) -> None:
        self.on_flood(count, size)
        await self.socket.disconnect()

    async def on_sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def on_say(self, number: int, _: str) -> None:
        self.seen.append(number)

    def on_seen(self) -> list[int]:
        return self.seen


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """A websocket of another application: it echoes."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


app = SocketIOApp(plain, namespaces={"/": Main})
