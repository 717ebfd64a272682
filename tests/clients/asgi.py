"""A client in memory: the requests of one session as ASGI calls, made one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from asocketio import BaseNamespace, SocketIOApp
from asocketio.testing import TestClock, settle
from tests.clients.protocols import CLIENT_PROTOCOLS

__all__ = ["HEADERS", "Call", "Client", "client_of"]

HEADERS = [(b"host", b"testserver")]
NO_FIELDS: dict[str, str] = {}


class Call:
    """One request and what was answered."""

    def __init__(self, app: Any, scope: Any) -> None:
        self.kind = scope["type"]
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[Any] = []
        self.broken = False
        self.stuck: asyncio.Event | None = None
        """The client does not read, until this is set."""
        self.task = asyncio.ensure_future(app(scope, self.inbox.get, self._send))

    async def _send(self, message: Any) -> None:
        if self.broken:
            raise OSError("the peer is gone")
        if self.stuck is not None:
            await self.stuck.wait()
        self.sent.append(message)

    def body_comes(self, *chunks: bytes, end: bool = True) -> None:
        """A part of the body; more is to come without its ``end``."""
        for index, chunk in enumerate(chunks):
            more_body = not end or index < len(chunks) - 1
            self.inbox.put_nowait({"type": "http.request", "body": chunk, "more_body": more_body})

    async def says(self, *frames: str | bytes) -> None:
        """Messages of a websocket."""
        for frame in frames:
            key = "text" if isinstance(frame, str) else "bytes"
            self.inbox.put_nowait({"type": "websocket.receive", key: frame})
            await settle()

    def disconnect(self, code: int | None = None) -> None:
        """The client has gone, a websocket with this code."""
        more = {} if code is None else {"code": code}
        self.inbox.put_nowait({"type": f"{self.kind}.disconnect", **more})

    @property
    def waiting(self) -> bool:
        return not self.sent

    @property
    def answered(self) -> bool:
        """The response is whole."""
        last = self.sent[-1] if self.sent else {"type": ""}
        return last["type"].endswith("response.body") and not last.get("more_body")

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def content(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent)

    @property
    def body(self) -> str:
        return self.content.decode(errors="replace")

    @property
    def frames(self) -> list[Any]:
        return [m.get("text", m.get("bytes")) for m in self.sent if m["type"] == "websocket.send"]

    @property
    def accepted(self) -> bool:
        return bool(self.sent) and self.sent[0]["type"] == "websocket.accept"

    @property
    def close_code(self) -> int | None:
        """The code with which the server has closed the websocket; None while it has not."""
        return self.sent[-1]["code"] if self.closed else None

    @property
    def closed(self) -> bool:
        return bool(self.sent) and self.sent[-1]["type"] == "websocket.close"


class Client:
    """Makes requests to ``app``, once ``sid`` is set those of a session: from an address, with a cookie."""

    def __init__(
        self,
        app: Any,
        clock: TestClock | None = None,
        generation: str = "4",
        *,
        address: str = "192.0.2.1",
        cookie: str = "",
    ) -> None:
        self.app = app
        self.clock = clock or TestClock()
        self.generation = generation
        self.protocol = CLIENT_PROTOCOLS[generation]
        self.address = address
        self.cookie = cookie
        self.sid = ""
        self.calls: list[Call] = []

    def call(
        self,
        kind: str,
        method: str = "GET",
        transport: str = "polling",
        fields: Mapping[str, str] = NO_FIELDS,
        **scope: Any,
    ) -> Call:
        """A request of which nothing has come but its head: ``scope`` has what is unlike others."""
        path, _, query = self.protocol.path(transport, self.sid, dict(fields)).partition("?")
        cookies = [(b"cookie", self.cookie.encode())] if self.cookie else []
        given = {
            "type": kind, "method": method, "path": path, "query_string": query.encode(),
            "headers": [*HEADERS, *cookies], "client": (self.address, 50_000),
            "extensions": {"asocketio.clock": self.clock, "websocket.http.response": {}},
        }  # fmt: skip
        call = Call(self.app, {**given, **scope})
        self.calls.append(call)
        return call

    async def get(self, **scope: Any) -> Call:
        """A poll, or a handshake."""
        call = self.call("http", **scope)
        call.body_comes(b"")
        await settle()
        return call

    async def post(self, *chunks: bytes, method: str = "POST", end: bool = True, **scope: Any) -> Call:
        """A request with a body; without its ``end``, more of it is to come."""
        call = self.call("http", method, **scope)
        call.body_comes(*chunks, end=end)
        await settle()
        return call

    async def websocket(self, *texts: str, **scope: Any) -> Call:
        """A websocket, and what it says."""
        call = self.call("websocket", transport="websocket", **scope)
        call.inbox.put_nowait({"type": "websocket.connect"})
        await settle()
        await call.says(*texts)
        return call

    async def handshake(self) -> Call:
        """Open a session by a plain request."""
        self.sid = ""
        call = await self.get()
        self.opened(str(self.protocol.split(call.body.encode(), jsonp=False)[0]))
        return call

    def opened(self, text: str) -> None:
        """The server has opened the session with ``text``."""
        self.sid, _ = self.protocol.handshake(text)

    async def open(self) -> None:
        """A polling session that has joined the global namespace."""
        await self.handshake()
        if not self.protocol.opens:
            await self.post(self.protocol.body(["40"], jsonp=False))
        poll = await self.get()
        assert self.protocol.read(self.protocol.split(poll.body.encode(), jsonp=False)[0]).kind == "connect"

    async def finish(self) -> None:
        """Take care of what is left."""
        for call in self.calls:
            call.disconnect()
            if call.stuck is not None:
                call.stuck.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*(call.task for call in self.calls), return_exceptions=True)

    async def end(self) -> None:
        """Close the app, and take care of what is left."""
        await self.app.close()
        await self.finish()


def client_of(cls: type[BaseNamespace], **settings: Any) -> Client:
    """Of an app that serves ``cls``."""
    return Client(SocketIOApp(namespaces={"/": cls}, **settings))
