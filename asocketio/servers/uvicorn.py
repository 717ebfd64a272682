"""A websocket protocol class for uvicorn: ``uvicorn --ws asocketio.servers.uvicorn:WebSocketProtocol``.

Every websocket begins as an ordinary ASGI call. Where that call comes to a `SocketIOApp`, the app takes the connection
itself (`WebSocketProtocol.take_over_websocket`): frames then go from `Connection.data_received` to `Socket.receive`,
and one write per turn of the event loop takes what is due. Where it comes to anything else, uvicorn's own class
serves it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.utils import get_client_addr, get_local_addr, get_path_with_query_string, get_remote_addr, is_ssl
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from asocketio.asgi.types import Headers, Message, Scope
from asocketio.runtime.log import log
from asocketio.runtime.states import moved
from asocketio.servers.connection import Connection
from asocketio.servers.front import EXTENSION
from asocketio.servers.losses import Losses
from asocketio.servers.release import release_error, release_transport
from asocketio.servers.uvicorn_http import http_protocol
from asocketio.servers.websocket_request import Upgraded, read_request, short_form, switching

__all__ = ["HTTPProtocol", "WebSocketProtocol"]

EARLY = 65_536
"""Bytes that a client may send before it is answered; then it is not read."""

_CONNECT: Message = {"type": "websocket.connect"}
_UNREADABLE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 19\r\n"
    b"connection: close\r\n\r\nService Unavailable"
)


class FrontState(Enum):
    """Who has the connection."""

    READING = "reading the request"
    CALLED = "the application runs"
    CONNECTED = "the application has heard of the connect"
    TAKEN_OVER = "a SocketIOApp has it"
    HANDED_BACK = "uvicorn's own class has it"
    REFUSED = "there are too many"


_ALLOWED: dict[FrontState, frozenset[FrontState]] = {
    FrontState.READING: frozenset({FrontState.CALLED, FrontState.HANDED_BACK, FrontState.REFUSED}),
    FrontState.CALLED: frozenset({FrontState.CONNECTED, FrontState.TAKEN_OVER, FrontState.HANDED_BACK}),
    FrontState.CONNECTED: frozenset({FrontState.TAKEN_OVER, FrontState.HANDED_BACK}),
    FrontState.TAKEN_OVER: frozenset(),
    FrontState.HANDED_BACK: frozenset(),
    FrontState.REFUSED: frozenset(),
}


class WebSocketProtocol(asyncio.Protocol):
    """One connection. Whatever serves it in the end, uvicorn talks to this object. It is a `ServerFront`."""

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
        self.state = FrontState.READING
        self.call: _Call | None = None
        """The application's call, where that began here."""
        self._server: Connection | WebSocketsSansIOProtocol | _Refused | None = None
        """Who serves it, once that is decided."""
        self._head = b""
        self._early = b""
        self._disconnected: asyncio.Future[None] | None = None
        self._request: Upgraded | None = None

    # What the server calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._server is not None:
            self._server.data_received(data)
        elif self.state is FrontState.READING and self._is_one_too_many():
            self._refuse()
        elif self.state is FrontState.READING:
            self._request = read_request(data)
            if self._request is None:
                self._head = data
                self._hand_back()
            else:
                self._call(self._request)
        else:
            self._early += data  # a client that speaks before it is answered
            if len(self._early) > EARLY:
                self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.state is FrontState.TAKEN_OVER:
            self._decided().connection_lost(exc)
            return
        self._on_lost(exc)
        self._early = b""  # nobody is there to be answered
        self._decided().connection_lost(exc)

    async def wait_disconnected(self) -> None:
        """Wait until the client has gone."""
        if self.transport.is_closing():
            return
        if self._disconnected is None:
            self._disconnected = self.loop.create_future()
        await asyncio.wait([self._disconnected])

    def eof_received(self) -> bool:
        """The transport closes itself, where not too many do at once."""
        return Losses.of(self.loop).close_later(self.transport)

    def pause_writing(self) -> None:
        self._decided().pause_writing()

    def resume_writing(self) -> None:
        self._decided().resume_writing()

    def shutdown(self) -> None:
        """The server ends."""
        self._decided().shutdown()

    def _decided(self) -> Connection | WebSocketsSansIOProtocol | _Refused:
        """Who serves it; uvicorn's own class, if nobody has taken it until now."""
        return self._hand_back() if self._server is None else self._server

    def _move(self, state: FrontState) -> None:
        self.state = moved(_ALLOWED, self.state, state)

    def _is_one_too_many(self) -> bool:
        """``--limit-concurrency``, as uvicorn counts requests for it; its own classes let every websocket in."""
        limit = self.config.limit_concurrency
        return limit is not None and (len(self._connections) >= limit or len(self.server_state.tasks) >= limit)

    def _refuse(self) -> None:
        self._move(FrontState.REFUSED)
        self._server = _Refused()
        logging.getLogger("uvicorn.error").warning("Exceeded concurrency limit.")
        self.transport.write(_TOO_MANY)
        self.transport.close()

    # The ASGI call.

    def _call(self, request: Upgraded) -> None:
        self._move(FrontState.CALLED)
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
            "extensions": {"websocket.http.response": {}, EXTENSION: self},
        }
        self.call = _Call(self.loop.create_future())
        task = self.loop.create_task(self._run(self.scope, self.call))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    async def _run(self, scope: Scope, call: _Call) -> None:
        error: BaseException | None = None
        try:
            await self._app(scope, self.receive, self.send)
        except BaseException as raised:
            error = raised
        if isinstance(self._server, Connection):
            self._server.on_call_done(error)
        else:
            self._decided()
            call.error = error
            call.done.set_result(None)
        del error  # its traceback leads to this frame

    async def receive(self) -> Message:
        """ASGI."""
        if self.state is FrontState.CALLED:
            self._move(FrontState.CONNECTED)
            return _CONNECT
        if self.state is FrontState.TAKEN_OVER:
            await self.wait_disconnected()
            return {"type": "websocket.disconnect", "code": 1005}
        theirs: Any = self._decided()
        return cast("Message", await theirs.receive())

    async def send(self, message: Message) -> None:
        """ASGI."""
        if self.state is not FrontState.TAKEN_OVER:
            theirs: Any = self._decided()
            await theirs.send(message)

    def _hand_back(self) -> WebSocketsSansIOProtocol:
        """Let uvicorn's own class serve it from here."""
        told = self.state is FrontState.CONNECTED
        self._move(FrontState.HANDED_BACK)
        self.scope = None  # it leads to this object
        theirs = self._server = _UvicornWebSocket(self)
        self._connections.discard(self)
        theirs.connection_made(self.transport)
        head = self._head if self._request is None else short_form(self._request)
        self._head, self._request = b"", None
        if head:
            theirs.data_received(head)
            if not theirs.handshake_initiated:  # it cannot read that, and does not say so
                self.transport.write(_UNREADABLE)
                self.transport.close()
        if told and not theirs.queue.empty():
            theirs.queue.get_nowait()  # the application has heard of the connect
        if self._early:
            self._hand_over_early(theirs)
        return theirs

    def _hand_over_early(self, theirs: WebSocketsSansIOProtocol) -> None:
        early, self._early = self._early, b""
        try:
            theirs.data_received(early)
        except AssertionError:  # uvicorn's class cannot take what breaks the protocol before it is answered
            log.debug("closed: broken frames before the handshake was answered")
            self.transport.abort()
        else:
            self.transport.resume_reading()

    # What a SocketIOApp calls.

    def take_over_websocket(self, headers: Headers, limit: int) -> Connection | None:
        """See `ServerFront`. uvicorn's ``--ws-max-size`` counts too."""
        if self._server is not None or self._request is None or self.transport.is_closing():
            return None
        self._move(FrontState.TAKEN_OVER)
        self._log_accepted()
        accept_response = switching(self._request.key, [*self.server_state.default_headers, *headers])
        limit = min(limit, self.config.ws_max_size)
        connection = self._server = Connection(self.transport, limit, accept_response, self._early, self._on_lost)
        if self._early:
            self.transport.resume_reading()
        self._head, self._early, self._request, self.scope = b"", b"", None, None
        # Not now: uvicorn makes this object the protocol when it has handed the request over.
        self.loop.call_soon(self._step_aside, connection)
        return connection

    def _log_accepted(self) -> None:
        """The line that uvicorn writes for a websocket."""
        logger = logging.getLogger("uvicorn.error")
        if logger.isEnabledFor(logging.INFO) and self.scope is not None:
            scope: Any = self.scope
            logger.info('%s - "WebSocket %s" [accepted]', get_client_addr(scope), get_path_with_query_string(scope))

    def _step_aside(self, connection: Connection) -> None:
        """The transport's calls go to ``connection`` without a stop here."""
        if not self.transport.is_closing():
            self.transport.set_protocol(connection)

    def _on_lost(self, exc: Exception | None) -> None:
        release_transport(self.transport)
        self._connections.discard(self)
        if self._disconnected is not None and not self._disconnected.done():
            self._disconnected.set_result(None)


class _Refused(asyncio.Protocol):
    """Serves nobody: the connection ends."""

    def shutdown(self) -> None:
        """As of `WebSocketProtocol`."""


class _UvicornWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's own class, for a call that is running already."""

    def __init__(self, front: WebSocketProtocol) -> None:
        super().__init__(front.config, front.server_state, front.app_state, front.loop)
        if front.call is not None:
            self.app: Any = partial(_rest, front.call)

    async def send(self, message: Any) -> None:
        """As uvicorn's, which takes a handshake for unfinished, and logs an error, when a response has refused it."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.add(self)  # it removes itself, and may not have been there
        super().connection_lost(exc)
        release_error(self.conn.handshake_exc)
        vars(self.conn).clear()  # its parser leads to it; nothing is read or sent any more


@dataclass(slots=True)
class _Call:
    """A call of the application."""

    done: asyncio.Future[None]
    error: BaseException | None = None


async def _rest(call: _Call, scope: Scope, receive: Any, send: Any) -> None:
    """The ASGI application of a call that is running already."""
    await call.done
    error, call.error = call.error, None
    try:
        if error is not None:
            raise error
    finally:
        del error  # its traceback leads to this frame


HTTPProtocol = http_protocol(AutoHTTPProtocol)
