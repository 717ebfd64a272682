"""The product in one process: clients without a network, and an event loop whose turns are taken by hand.

Websocket clients go through the protocol class that uvicorn is given, polling clients through ASGI calls, as in
production.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Callable, Generator, Sequence
from typing import Any

from uvicorn.config import Config as UvicornConfig
from uvicorn.server import ServerState

from asocketio import SocketIOApp
from tests.benchmarks.inside import HTTPProtocol, WebSocketProtocol
from tests.clients.frames import masked

__all__ = ["HTTPPollingClient", "PollingClient", "SteppedLoop", "Transport", "WebSocketServer", "running"]

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: testserver\r\nupgrade: websocket\r\n"
    b"connection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)
HEADERS = [
    (b"host", b"testserver"),
    (b"user-agent", b"Mozilla/5.0"),
    (b"accept", b"*/*"),
    (b"origin", b"http://testserver"),
    (b"connection", b"keep-alive"),
]
POST_HEADERS = [*HEADERS, (b"content-type", b"text/plain;charset=UTF-8"), (b"content-length", b"47")]


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop that never looks at the network or at its timers: `settle` runs what is due now, and returns."""

    def __init__(self) -> None:
        self._soon: list[asyncio.Handle] = []
        super().__init__()

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._soon.append(handle)
        return handle

    def settle(self) -> None:
        """Take turns until nothing is due."""
        while self._soon:
            soon, self._soon = self._soon, []
            for handle in soon:
                if not handle.cancelled():
                    handle._run()

    def finish(self) -> None:
        """End what still waits."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.settle()
        self.close()


@contextlib.contextmanager
def running() -> Generator[SteppedLoop]:
    """A loop that counts as the running one, for code that is in no task of it."""
    loop = SteppedLoop()
    asyncio._set_running_loop(loop)
    try:
        yield loop
        loop.finish()
    finally:
        asyncio._set_running_loop(None)


class Transport(asyncio.Transport):
    """Takes writes and forgets all but the last."""

    __slots__ = ("last", "protocol")

    def __init__(self) -> None:
        self.last = b""

    def write(self, data: Any) -> None:
        self.last = data

    def writelines(self, parts: Any) -> None:
        self.last = b"".join(parts)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 80) if name in ("sockname", "peername") else default

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class WebSocketServer:
    """What uvicorn gives each of its connections."""

    def __init__(self, loop: SteppedLoop, app: SocketIOApp) -> None:
        self._loop = loop
        settings: dict[str, Any] = {"lifespan": "off", "proxy_headers": False, "ws_max_size": 1_000_000}
        self._config = UvicornConfig(app, ws=WebSocketProtocol, log_config=None, **settings)
        self._config.load()
        self._state = ServerState()

    def connect(self, transport: Transport) -> Transport:
        """A client that has joined the global namespace: what it sends goes to ``transport.protocol``."""
        protocol: Any = WebSocketProtocol(config=self._config, server_state=self._state, app_state={})
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(UPGRADE)
        self._loop.settle()
        assert b'0{"sid":' in transport.last, transport.last
        self.send(transport, masked("40"))
        assert b'40{"sid":' in transport.last, transport.last
        return transport

    def send(self, transport: Transport, chunk: bytes) -> None:
        """The client's bytes come in, and what they lead to goes out."""
        transport.protocol.data_received(chunk)
        self._loop.settle()


class PollingClient:
    """Requests to the app as ASGI calls.

    No `tests.clients.asgi.Client`: its instructions are counted with those of the app, and no task may run by itself.
    """

    def __init__(self, loop: SteppedLoop, app: SocketIOApp) -> None:
        self._loop = loop
        self._app = app
        self._query = b"EIO=4&transport=polling"
        # Its call may live as long as the session does: only the answer is awaited.
        sid = json.loads(self._request("GET").content[1:])["sid"]
        self._query += b"&sid=" + sid.encode()
        assert self.post(b"40") == b"ok"
        assert self.get().startswith(b'40{"sid":')

    def get(self) -> bytes:
        """What waits for the client."""
        return self._request("GET").content

    def post(self, body: bytes) -> bytes:
        """Send packets."""
        return self._request("POST", body).content

    def _request(self, method: str, body: bytes = b"") -> Request:
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 5000),
            "root_path": "",
            "path": "/socket.io/",
            "raw_path": b"/socket.io/",
            "query_string": self._query,
            "headers": POST_HEADERS if method == "POST" else HEADERS,
            "state": {},
        }
        request = Request(body)
        task = self._loop.create_task(self._app(scope, request.receive, request.send))
        self._loop.settle()
        if task.done():
            task.result()
        assert request.status == 200, request.status
        return request


class HTTPPollingClient:
    """Requests as bytes to what uvicorn gives a connection of a client that polls; GETs and POSTs take turns on it."""

    def __init__(self, loop: SteppedLoop, app: SocketIOApp) -> None:
        self._loop = loop
        settings: dict[str, Any] = {"lifespan": "off", "proxy_headers": False, "access_log": False}
        config = UvicornConfig(app, http=HTTPProtocol, ws=WebSocketProtocol, log_config=None, **settings)
        config.load()
        self._transport = Transport()
        self._protocol: Any = HTTPProtocol(config=config, server_state=ServerState(), app_state={})
        self._protocol.connection_made(self._transport)
        self._target = b"/socket.io/?EIO=4&transport=polling"
        sid = json.loads(self.get().partition(b"\r\n\r\n0")[2])["sid"]
        self._target += b"&sid=" + sid.encode()
        assert self.post(b"40").endswith(b"ok")
        assert b'40{"sid":' in self.get()

    def get(self) -> bytes:
        """The response with what waits for the client."""
        return self._ask(b"GET %b HTTP/1.1\r\n%b\r\n" % (self._target, _fields(HEADERS)))

    def post(self, body: bytes) -> bytes:
        """The response to packets."""
        fields = _fields([(name, value) for name, value in POST_HEADERS if name != b"content-length"])
        head = b"POST %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (self._target, fields, len(body))
        return self._ask(head + body)

    def _ask(self, data: bytes) -> bytes:
        self._protocol.data_received(data)
        self._loop.settle()
        return self._transport.last


@functools.cache
def _fields_of(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in headers)


def _fields(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    return _fields_of(tuple(headers))


class Request:
    """One HTTP request and its answer."""

    __slots__ = ("_body", "content", "status")

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 0
        self.content = b""

    async def receive(self) -> dict[str, Any]:
        """ASGI. The client stays."""
        if self._body is None:
            await asyncio.get_running_loop().create_future()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """ASGI."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.content += message.get("body", b"")
