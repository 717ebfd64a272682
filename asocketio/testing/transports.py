"""How a `TestClient` reaches its app: a websocket or long-polling, in memory."""

from __future__ import annotations

import asyncio
import json
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from asocketio.asgi.types import ASGIApp, Message, Scope
from asocketio.errors import ProtocolError, SocketIOError, UsageError
from asocketio.protocol.base import BodyFormat, Decoder, Frame, Protocol
from asocketio.protocol.packet import Packet
from asocketio.testing.clock import TestClock
from asocketio.testing.protocols import ClientProtocol

__all__ = ["CLIENT_TRANSPORTS", "ClientRefused", "ClientTransport"]

Response = tuple[int, dict[str, str], bytes]

_SCRIPT = re.compile(r'(?:___eio|io\.j)\[0\]\((".*")\);', re.DOTALL)


class ClientRefused(SocketIOError):
    """The handshake was answered with an HTTP response: ``status``, ``headers`` (lower case), ``body``."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(f"the handshake was answered {status}: {body[:200]!r}")
        self.status = status
        self.headers = headers
        self.body = body


class Call:
    """One ASGI call of the app."""

    def __init__(self, app: ASGIApp, scope: Scope, messages: Sequence[Message]) -> None:
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.inbox.put_nowait(message)
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = b""
        self._disconnect: Message = {"type": f"{scope['type']}.disconnect"}
        self.task = asyncio.get_running_loop().create_task(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self.inbox.get, self.send)
        except Exception as error:
            if self.response.done():
                raise
            self.response.set_exception(error)
        if not self.response.done():
            self.response.set_exception(UsageError("the app returned without a response"))

    async def send(self, message: Message) -> None:
        kind = message["type"].removeprefix("websocket.")
        if kind == "http.response.start":
            self._status = message["status"]
            self._headers = {k.decode().lower(): v.decode() for k, v in message.get("headers", [])}
        elif kind == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self.inbox.put_nowait(self._disconnect)
                if not self.response.done():
                    self.response.set_result((self._status, self._headers, self._body))


class TransportOwner(typing.Protocol):
    """What a transport needs of its `TestClient`."""

    app: ASGIApp
    deadline: float
    client_protocol: ClientProtocol
    protocol: Protocol
    decoder: Decoder

    @property
    def transport(self) -> str:
        """``"websocket"``, ``"polling"`` or ``"jsonp"``."""
        ...

    def scope(
        self, kind: str, method: str = ..., headers: Mapping[str, str] | None = ..., query: Mapping[str, str] = ...
    ) -> Scope:
        """The scope of a request."""
        ...

    def opened(self, frame: Frame) -> None:
        """The handshake was answered."""
        ...

    def received(self, frame: Frame) -> Packet | None:
        """Take a frame in; the packet that must be posted for it."""
        ...

    async def post(self, packet: Packet) -> None:
        """Send a packet."""
        ...

    def ended(self, reason: str) -> None:
        """The connection is gone."""
        ...

    @property
    def clock(self) -> TestClock:
        """The clock that the app's time-outs follow."""
        ...


class ClientTransport:
    """How a `TestClient` reaches its app."""

    ended = False

    def __init__(self, client: TransportOwner) -> None:
        self.client = client
        self.calls: set[asyncio.Task[None]] = set()
        self.errors: list[BaseException | None] = []

    def call(self, call: Call) -> Call:
        self.calls.add(call.task)
        return call

    async def open(self) -> None:
        raise NotImplementedError

    async def send(self, frames: list[Frame]) -> None:
        raise NotImplementedError

    async def leave(self) -> None:
        raise NotImplementedError

    async def lose(self) -> None:
        raise NotImplementedError

    async def request(self, method: str, frames: Sequence[Frame] = (), **more: Any) -> Call:
        """An HTTP request of the session; ``more`` goes into its URL's query."""
        body, headers = b"", {"referer": "http://testserver/"} if self.client.transport == "jsonp" else {}
        if frames:
            body = self.client.protocol.join(frames, BodyFormat(text_only=True)).content
            if self.client.transport == "jsonp":
                body = urlencode({"d": self._escaped(body.decode())}).encode()
                headers["content-type"] = "application/x-www-form-urlencoded"
        scope = self.client.scope("http", method, headers, more)
        return self.call(Call(self.client.app, scope, [{"type": "http.request", "body": body, "more_body": False}]))

    def _escaped(self, text: str) -> str:
        if self.client.protocol.generation == "0.9":
            return json.dumps(text)
        return text.replace("\\n", "\\\\n").replace("\n", "\\n")

    def frames_of(self, response: Response) -> list[Frame]:
        """The frames in the answer to a GET."""
        _, headers, body = response
        if self.client.transport == "jsonp":
            called = _SCRIPT.fullmatch(body.decode())
            if called is None:
                raise ClientRefused(*response)
            body = json.loads(called[1]).encode()
        binary = headers.get("content-type") == "application/octet-stream"
        return list(self.client.decoder.split(body, BodyFormat(), binary=binary))

    async def handshake(self) -> None:
        """Open the session by a plain request."""
        response = await (await self.request("GET")).response
        if response[0] != 200:
            raise ClientRefused(*response)
        try:
            self.client.opened(self.frames_of(response)[0])
        except (IndexError, ProtocolError, SocketIOError):
            raise ClientRefused(*response) from None

    async def take(self, frame: Frame) -> None:
        """Hand a frame to the client; what goes wrong there is the test's to know, not the server's."""
        try:
            answer = self.client.received(frame)
            if answer is not None and not self.ended:
                await self.client.post(answer)
        except Exception as error:
            self.errors.append(error)

    def end(self, reason: str) -> None:
        if not self.ended:
            self.ended = True
            self.client.ended(reason)

    async def wait(self) -> None:
        """Wait for the app's calls to end; what only time would end gets time."""
        running = await self.client.clock.wait(self.calls, self.client.deadline)
        for task in running:
            task.cancel()
        errors = await asyncio.gather(*self.calls, return_exceptions=True)
        self.calls.clear()
        if running:
            raise TimeoutError(f"{len(running)} calls of the app did not end when the client left")
        for error in [*self.errors, *errors]:
            if isinstance(error, BaseException):
                raise error


class _WebSocket(ClientTransport):
    """A websocket in memory."""

    async def open(self) -> None:
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.client.client_protocol.opens_by_http:
            await self.handshake()
        self._call = self.call(Call(self._app, self.client.scope("websocket"), [{"type": "websocket.connect"}]))
        either: list[asyncio.Future[Any]] = [self._first, self._call.response]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._first.done():
            raise ClientRefused(*self._call.response.result())
        self._call.response.cancel()
        self._first.result()

    async def _app(self, scope: Scope, receive: Any, send: Any) -> None:
        """The app, with the websocket's own messages taken out of what it sends."""

        async def take(message: Message) -> None:
            if message["type"] == "websocket.send":
                text = message.get("text")
                await self._took(message["bytes"] if text is None else text)
            elif message["type"] == "websocket.close":
                self._call.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
                if not self._first.done():
                    self._first.set_exception(ClientRefused(403, {}, b""))
                self.end("transport close")
            elif message["type"] != "websocket.accept":
                await send(message)
            elif self.client.client_protocol.opens_by_http:
                self._first.set_result(None)

        await self.client.app(scope, receive, take)
        self.end("transport close")

    async def _took(self, frame: Frame) -> None:
        if not self._first.done():
            self.client.opened(frame)
            self._first.set_result(None)
            return
        await self.take(frame)

    async def send(self, frames: list[Frame]) -> None:
        for frame in frames:
            kind = "text" if isinstance(frame, str) else "bytes"
            self._call.inbox.put_nowait({"type": "websocket.receive", kind: frame})

    async def leave(self) -> None:
        await self.lose()

    async def lose(self) -> None:
        self._call.inbox.put_nowait({"type": "websocket.disconnect", "code": 1005})
        self.end("transport close")
        await self.wait()


class _Polling(ClientTransport):
    """Long-polling in memory: one GET at a time, and POSTs."""

    async def open(self) -> None:
        self._posting = asyncio.Lock()  # one POST at a time
        self._poll: Call | None = None
        await self.handshake()
        self._polling = asyncio.get_running_loop().create_task(self._keep_polling())
        self.calls.add(self._polling)

    async def _keep_polling(self) -> None:
        try:
            while not self.ended:
                self._poll = await self.request("GET")
                response = await self._poll.response
                self.calls = {task for task in self.calls if not task.done()}
                if response[0] != 200:
                    break
                for frame in self.frames_of(response):
                    await self.take(frame)
                    if self.client.client_protocol.is_last(frame):
                        return
        finally:
            self.end("transport close")

    async def send(self, frames: list[Frame]) -> None:
        async with self._posting:
            status, _, _ = await (await self.request("POST", frames)).response
        if status != 200:
            self.end("transport error")

    async def leave(self) -> None:
        if not self.ended:
            leaving = self.client.client_protocol.leave_packet()
            if leaving is None:
                await self.request("GET", disconnect="1")
            else:
                await self.send(list(self.client.protocol.encode(leaving).frames))
        self.end("transport close")
        await self.wait()

    async def lose(self) -> None:
        self.end("transport close")
        if self._poll is not None:
            self._poll.inbox.put_nowait({"type": "http.disconnect"})
        await self.client.clock.advance(60.0)  # generation 0.9 waits for the next poll: close_timeout
        await self.wait()


CLIENT_TRANSPORTS: dict[str, type[ClientTransport]] = {"websocket": _WebSocket, "polling": _Polling, "jsonp": _Polling}
