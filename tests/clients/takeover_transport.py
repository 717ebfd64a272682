"""Carries a `TestClient` over a websocket that the app takes over from its server: frames as bytes, in memory."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.frames import Frame as Bytes
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from asocketio.asgi.types import Scope
from asocketio.errors import UsageError
from asocketio.protocol.base import Frame
from asocketio.testing.transports import Call, ClientRefused, ClientTransport
from tests.clients.frames import messages
from tests.clients.memory_front import EXTENSION, MemoryFront

__all__ = ["TakeoverTransport"]


class TakeoverTransport(ClientTransport):
    """A websocket that is taken over."""

    async def open(self) -> None:
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._heard: asyncio.Queue[Frame | None] = asyncio.Queue()
        self.calls.add(asyncio.get_running_loop().create_task(self._listen()))
        if self.client.client_protocol.opens_by_http:
            await self.handshake()
        scope = self.client.scope("websocket")
        self._reader = Protocol(Side.CLIENT)
        self._call = self.call(Call(self._app, scope, [{"type": "websocket.connect"}]))
        self._front = MemoryFront(self._call.inbox, self._accepted, self.heard)
        scope["extensions"][EXTENSION] = self._front
        either: list[asyncio.Future[Any]] = [self._first, self._call.response]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._first.done() and not self._call.response.cancelled():
            self._heard.put_nowait(None)
            raise ClientRefused(*self._call.response.result())
        self._call.response.cancel()
        self._first.result()

    async def _app(self, scope: Scope, receive: Any, send: Any) -> None:
        await self.client.app(scope, receive, send)
        if self._front.taken:
            self._call.response.cancel()  # there will be none
            self._front.on_call_done()
        elif not self._call.response.done():
            raise UsageError("the app returned without a response")

    def _accepted(self) -> None:
        if self.client.client_protocol.opens_by_http:
            self._first.set_result(None)

    # The client's side.

    def heard(self, data: bytes) -> None:
        self._reader.receive_data(data)
        for event in self._reader.events_received():
            assert isinstance(event, Bytes)
            if event.opcode is Opcode.CLOSE:
                if not self._first.done():
                    self._first.set_exception(ClientRefused(403, {}, b""))
                self._heard.put_nowait(None)
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY):
                data = bytes(event.data)
                self._took(data.decode() if event.opcode is Opcode.TEXT else data)

    def _took(self, frame: Frame) -> None:
        if not self._first.done():
            self.client.opened(frame)
            self._first.set_result(None)
            return
        self._heard.put_nowait(frame)

    async def _listen(self) -> None:
        """Frames in their order, then the end."""
        while (frame := await self._heard.get()) is not None:
            await self.take(frame)
        self.end("transport close")

    async def send(self, frames: list[Frame]) -> None:
        self._front.feed(messages(*frames))

    async def leave(self) -> None:
        await self.lose()

    async def lose(self) -> None:
        self._heard.put_nowait(None)
        self._front.lose()
        self._call.inbox.put_nowait({"type": "websocket.disconnect", "code": 1005})
        self.end("transport close")
        await self.wait()
