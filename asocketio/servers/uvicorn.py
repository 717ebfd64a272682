"""A websocket protocol class for uvicorn: ``uvicorn --ws asocketio.servers.uvicorn:WebSocketProtocol``.

Every websocket begins as an ordinary ASGI call. Where that call comes to a `SocketIOApp`, the app takes the connection
itself (`WebSocketProtocol.claim`): frames then go from `data_received` to `Socket.receive`, and one write per turn of
the event loop takes what is due. Where it comes to anything else, uvicorn's own class serves it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.utils import get_client_addr, get_local_addr, get_path_with_query_string, get_remote_addr, is_ssl
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from asocketio.asgi.types import Message, Scope
from asocketio.runtime.log import log
from asocketio.servers.connection import Connection
from asocketio.servers.handshake import Upgraded, read_request, switching
from asocketio.servers.write_coalescer import WriteCoalescer

if TYPE_CHECKING:
    from asocketio.asgi.types import Headers

__all__ = ["HTTPProtocol", "WebSocketProtocol", "coalescing"]

EARLY = 65_536
"""Bytes that a client may send before it is answered; then it is not read."""

_CONNECT: Message = {"type": "websocket.connect"}


class WebSocketProtocol(asyncio.Protocol):
    """One connection. Whatever serves it in the end, uvicorn talks to this object."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.config = config
        self.server_state = server_state
        self._connections: set[Any] = server_state.connections  # of whatever has a shutdown()
        self._app: Any = config.loaded_app
        self.app_state = app_state
        self.loop = _loop or asyncio.get_event_loop()
        self.transport: asyncio.Transport
        self.scope: Scope | None = None
        self.served: Connection | None = None
        """A `SocketIOApp` has taken the connection."""
        self.adopted: WebSocketsSansIOProtocol | None = None
        """uvicorn's own class has it."""
        self._head = b""
        self._early = b""
        self._left: asyncio.Future[None] | None = None
        self._connected = False
        self._request: Upgraded | None = None
        self._done: asyncio.Future[None] | None = None

    # What the server calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.served is not None:
            self.served.data_received(data)
        elif self.adopted is not None:
            self.adopted.data_received(data)
        elif self.scope is not None:
            self._early += data  # a client that speaks before it is answered
            if len(self._early) > EARLY:
                self.transport.pause_reading()
        else:
            self._head = data
            self._request = read_request(data)
            if self._request is None:
                self._adopt()
            else:
                self._call(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.served is not None:
            self.served.connection_lost(exc)
            return
        self._gone(exc)
        self._early = b""  # nobody is there to be answered
        self._adopt().connection_lost(exc)

    async def left(self) -> None:
        """Wait until the client has gone."""
        if self.transport.is_closing():
            return
        if self._left is None:
            self._left = self.loop.create_future()
        await asyncio.wait([self._left])

    def eof_received(self) -> None:
        """The transport closes itself."""

    def pause_writing(self) -> None:
        (self.served or self._adopt()).pause_writing()

    def resume_writing(self) -> None:
        (self.served or self._adopt()).resume_writing()

    def shutdown(self) -> None:
        """The server ends."""
        (self.served or self._adopt()).shutdown()

    # The ASGI call.

    def _call(self, request: Upgraded) -> None:
        root = self.config.root_path
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(self.transport) else "ws",
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "root_path": root,
            "path": root + request.path,
            "raw_path": root.encode("ascii") + request.raw_path,
            "query_string": request.query,
            "headers": request.headers,
            "subprotocols": request.subprotocols,
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}, "asocketio.takeover": self},
        }
        self._done = self.loop.create_future()
        task = self.loop.create_task(self._run(self.scope))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    async def _run(self, scope: Scope) -> None:
        error: BaseException | None = None
        try:
            await self._app(scope, self.receive, self.send)
        except BaseException as raised:
            error = raised
        done = self._done
        assert done is not None
        if self.served is not None:
            self.served.on_call_done(error)
            return
        self._adopt()
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    async def receive(self) -> Message:
        """ASGI."""
        if not self._connected and self.adopted is None:
            self._connected = True
            return _CONNECT
        if self.served is not None:
            await self.left()
            return {"type": "websocket.disconnect", "code": 1005}
        return cast("Message", await self._adopt().receive())

    async def send(self, message: Message) -> None:
        """ASGI."""
        if self.served is None:
            adopted: Any = self._adopt()
            await adopted.send(message)

    def _adopt(self) -> WebSocketsSansIOProtocol:
        """Let uvicorn's own class serve it from here."""
        if self.adopted is None:
            self.adopted = _Adopted(self)
            self._connections.discard(self)
            self.adopted.connection_made(self.transport)
            if self._head:
                self.adopted.data_received(self._head)
            if self._connected and not self.adopted.queue.empty():
                self.adopted.queue.get_nowait()  # the application has heard of the connect
            self._head = b""
            if self._early:
                self._hand_over_early(self.adopted)
        return self.adopted

    def _hand_over_early(self, adopted: WebSocketsSansIOProtocol) -> None:
        early, self._early = self._early, b""
        try:
            adopted.data_received(early)
        except AssertionError:  # uvicorn's class cannot take what breaks the protocol before it is answered
            log.debug("closed: broken frames before the handshake was answered")
            self.transport.abort()
        else:
            self.transport.resume_reading()

    # The way of a SocketIOApp.

    def claim(self, headers: Headers, limit: int) -> Connection | None:
        """Accept the websocket and take it over; None if it is too late for that.

        ``limit`` is the largest message in bytes; uvicorn's ``--ws-max-size`` counts too.
        """
        if self.adopted is not None or self._request is None or self.transport.is_closing():
            return None
        logger = logging.getLogger("uvicorn.error")
        if logger.isEnabledFor(logging.INFO) and self.scope is not None:
            scope: Any = self.scope
            logger.info('%s - "WebSocket %s" [accepted]', get_client_addr(scope), get_path_with_query_string(scope))
        accept_response = switching(self._request.key, [*self.server_state.default_headers, *headers])
        limit = min(limit, self.config.ws_max_size)
        self.served = Connection(self.transport, limit, accept_response, self._early, self._gone)
        if self._early:
            self.transport.resume_reading()
        self._head, self._early, self._request, self.scope = b"", b"", None, None
        # Not now: uvicorn makes this object the protocol when it has handed the request over.
        self.loop.call_soon(self._step_aside, self.served)
        return self.served

    def _step_aside(self, served: Connection) -> None:
        """The transport's calls go to ``served`` without a stop here."""
        if not self.transport.is_closing():
            self.transport.set_protocol(served)

    def _gone(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._left is not None and not self._left.done():
            self._left.set_result(None)


class _Adopted(WebSocketsSansIOProtocol):
    """uvicorn's own class, for a call that is running already."""

    def __init__(self, lane: WebSocketProtocol) -> None:
        super().__init__(lane.config, lane.server_state, lane.app_state, lane.loop)
        self._call = lane._done  # pyright: ignore[reportPrivateUsage]
        if self._call is not None:
            self.app: Any = self._rest

    async def _rest(self, scope: Scope, receive: Any, send: Any) -> None:
        assert self._call is not None
        await self._call

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.add(self)  # it removes itself, and may not have been there
        super().connection_lost(exc)


def coalescing(base: Any) -> Any:
    """``base``, one of uvicorn's HTTP classes, over a `WriteCoalescer` transport."""
    return type("HTTPProtocol", (_Coalescing, base), {"__doc__": coalescing.__doc__})


class _Coalescing:
    transport: Any
    loop: asyncio.AbstractEventLoop

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(WriteCoalescer(transport, self.loop))  # type: ignore[misc]

    def eof_received(self) -> None:
        """The transport closes itself behind this: what is held goes out before."""
        self.transport.flush()
        super().eof_received()  # type: ignore[misc]

    def handle_websocket_upgrade(self, *request: Any) -> None:
        """A websocket class takes over: it writes in its own way."""
        self.transport.flush()
        self.transport = self.transport.direct
        super().handle_websocket_upgrade(*request)  # type: ignore[misc]


HTTPProtocol = coalescing(AutoHTTPProtocol)
