"""Carries a `TestClient` over the fast lane, in memory: websocket frames as bytes, no server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from websockets.frames import Frame as Bytes
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from asocketio.asgi.types import Message, Scope
from asocketio.errors import UsageError
from asocketio.protocol.base import Frame
from asocketio.servers.connection import Connection
from asocketio.testing.transports import Call, ClientRefused, ClientTransport

__all__ = ["TakeoverTransport"]


class Wire:
    """What a `Connection` takes for its transport; the client's side of it reads what is written."""

    def __init__(self, carrier: TakeoverTransport) -> None:
        self._carrier = carrier
        self._closed = False
        self._reading = True
        self._sent: list[bytes] = []
        self.connection: Connection

    def write(self, data: bytes) -> None:
        if not self._closed:
            self._carrier.heard(bytes(data))

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._soon()

    def feed(self, data: bytes) -> None:
        """Bytes of the client."""
        self._sent.append(data)
        self._soon()

    def _soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        while self._sent and self._reading and not self._closed:
            self.connection.data_received(self._sent.pop(0))


class TakeoverTransport(ClientTransport):
    """A websocket on the fast lane."""

    async def open(self) -> None:
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wire: Wire | None = None
        self._heard: asyncio.Queue[Frame | None] = asyncio.Queue()
        self.calls.add(asyncio.get_running_loop().create_task(self._listen()))
        if self.client.client_protocol.opens_by_http:
            await self.handshake()
        scope = self.client.scope("websocket")
        scope["extensions"]["asocketio.front"] = self
        self._reader = Protocol(Side.CLIENT)
        self._call = self.call(Call(self._app, scope, [{"type": "websocket.connect"}]))
        either: list[asyncio.Future[Any]] = [self._first, self._call.response]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._first.done() and not self._call.response.cancelled():
            self._heard.put_nowait(None)
            raise ClientRefused(*self._call.response.result())
        self._call.response.cancel()
        self._first.result()

    async def _app(self, scope: Scope, receive: Any, send: Any) -> None:
        await self.client.app(scope, receive, send)
        if self._wire is not None:
            self._call.response.cancel()  # there will be none
            self._wire.connection.on_call_done(None)
        elif not self._call.response.done():
            raise UsageError("the app returned without a response")

    # What the server's side of the lane offers.

    def take_over_websocket(self, headers: Any, limit: int) -> Connection | None:
        if self._wire is not None:
            return None
        self._wire = Wire(self)
        self._wire.connection = Connection(cast("asyncio.Transport", self._wire), limit)
        if self.client.client_protocol.opens_by_http:
            self._first.set_result(None)
        return self._wire.connection

    async def wait_disconnected(self) -> None:
        message: Message = {}
        while message.get("type") != "websocket.disconnect":
            message = await self._call.inbox.get()

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
        assert self._wire is not None
        sent = b""
        for frame in frames:
            opcode, data = (Opcode.TEXT, frame.encode()) if isinstance(frame, str) else (Opcode.BINARY, frame)
            sent += Bytes(opcode, data).serialize(mask=True)
        self._wire.feed(sent)

    async def leave(self) -> None:
        await self.lose()

    async def lose(self) -> None:
        self._heard.put_nowait(None)
        if self._wire is not None:
            self._wire.close()
        self._call.inbox.put_nowait({"type": "websocket.disconnect", "code": 1005})
        self.end("transport close")
        await self.wait()
