"""Polls that the server serves by itself: of a session that is open, only its opening goes through the application.

As gevent-socketio does. No scope, no task and no messages are made for such a poll. What is out of the ordinary, and
all that is refused, goes over ASGI like any request, and is decided on there: see `DirectPolls.serve`.
"""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.utils import get_client_addr

from asocketio.asgi.admission import check_pin
from asocketio.asgi.cors import check_origin, cors_headers
from asocketio.asgi.responses import NO_STORE, PLAIN
from asocketio.asgi.types import ASGIApp, Headers, Message, Receive, Scope, Send
from asocketio.errors import HandshakeError, ProtocolError
from asocketio.protocol.base import Body, BodyFormat, Frame
from asocketio.protocol.websocket_frames import NORMAL_CLOSURE
from asocketio.runtime.log import log
from asocketio.servers.poll_request import PollRequest, read_head, read_poll
from asocketio.session.close_reasons import TRANSPORT_ERROR
from asocketio.session.socket import Socket
from asocketio.session.states import OPEN
from asocketio.transports.polling import PollTransport, body_of, taken
from asocketio.transports.posts import IncomingBody, Post, feed_now, is_refused, split

__all__ = ["DirectPoll", "DirectPolls", "HTTPConnection", "PollTable", "let_server_poll"]

EXTENSION = "asocketio.polls"
"""Where a server puts its `PollTable` into ``scope["extensions"]``."""

PATHS = 1000
"""Paths that are known. Clients choose some of them, where the app is below a path with parameters."""

_FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto")
_PLAIN_BODY = BodyFormat()
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}

Find = Callable[[str], Socket | None]


class PollTable:
    """Where sessions are found whose polls this server may serve: by the paths that opened them."""

    _of_configs: ClassVar[WeakKeyDictionary[Config, PollTable]] = WeakKeyDictionary()

    def __init__(self, config: Config) -> None:
        self.finders: dict[bytes, list[Find]] = {}
        self._root = config.root_path.encode()
        self._paths: dict[bytes, bytes] = {}
        self._passed: ASGIApp | None = None
        self.served: object = None
        """The server's application."""
        self.told = False
        """The log says what middleware does not see."""
        self._heads: tuple[Any, bytes] = (None, b"")
        self._proxies = ProxyHeadersMiddleware(_nothing, config.forwarded_allow_ips) if config.proxy_headers else None

    @classmethod
    def of(cls, config: Config) -> PollTable:
        """That of a server, by its configuration."""
        found = cls._of_configs.get(config)
        if found is None:
            found = cls._of_configs[config] = cls(config)
        return found

    def admit(self, scope: Scope, socket: Socket, find: Find) -> None:
        """Serve the polls of a session that ``scope`` opens; ``find`` finds it, as long as it is there."""
        path = scope.get("raw_path", b"").removeprefix(self._root)
        if path not in self.finders and (len(self.finders) >= PATHS or b"%" in path):
            return
        finders = self.finders.setdefault(path, [])
        if find not in finders:
            finders.append(find)
        socket.handshake.raw_path = self._paths.setdefault(path, path)

    def find(self, request: PollRequest) -> Socket | None:
        """The session of a request."""
        for find in self.finders.get(request.path, ()):
            socket = find(request.sid)
            if socket is not None and socket.handshake.raw_path == request.path:
                return socket
        return None

    def introduced(self, app: Any) -> ASGIApp:
        """The server's application, whose scopes tell of this table."""
        if self._passed is None:
            self.served = _inside(app)

            async def introduce(scope: Scope, receive: Receive, send: Send) -> None:
                scope.setdefault("extensions", {})[EXTENSION] = self
                await app(scope, receive, send)

            self._passed = introduce
        return self._passed

    def head(self, default_headers: Headers) -> bytes:
        """The server's own fields of a response, as they are written. The server makes them anew each second."""
        known, written = self._heads
        if known is not default_headers:
            written = _written(default_headers)
            self._heads = default_headers, written
        return written

    def behind_proxies(self, scope: Any) -> None:
        """Write the client that a trusted proxy tells of into ``scope``, as uvicorn does it (``--proxy-headers``)."""
        if self._proxies is not None and any(name in _FORWARDED for name, _ in scope["headers"]):
            changing: Any = self._proxies(scope, _nothing, _nothing)
            for _ in changing.__await__():
                raise AssertionError("uvicorn's ProxyHeadersMiddleware waits for something")


def let_server_poll(scope: Scope, socket: Socket, find: Find, app: object) -> None:
    """Tell the server of a session of ``app`` whose polls it may serve by itself, where it can."""
    table: PollTable | None = (scope.get("extensions") or {}).get(EXTENSION)
    if table is None or socket.config.polls != "server":
        return
    table.admit(scope, socket, find)
    if table.served is not app and not table.told:
        table.told = True
        log.info(
            "polls of open sessions are served below ASGI: middleware round this SocketIOApp sees only the request "
            "that opens a session; SocketIOApp(polls='asgi') sends all through it"
        )


async def _nothing(*_: Any) -> Any:
    """An application, or a part of its call, that does nothing."""


def _inside(app: Any) -> object:
    """The application that uvicorn was given, without what it puts round it."""
    return app.app if isinstance(app, ProxyHeadersMiddleware) else app


def _written(headers: Headers) -> bytes:
    """Header fields as they are written."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


class HTTPConnection(typing.Protocol):
    """What is used of the server's side of a connection."""

    transport: Any
    loop: asyncio.AbstractEventLoop
    server_state: Any
    client: Any
    scheme: str | None
    access_log: bool
    access_logger: Any

    def direct_done(self, *, keep: bool) -> None:
        """The request that was served directly has its answer; without ``keep`` the connection ends."""


class _Checked(NamedTuple):
    """A head that has been looked at: clients send the same one again and again."""

    fields: bytes
    sid: str
    content_length: int
    content_type: str
    cors: Headers
    answer_head: bytes
    """Fields of a 200 answer, as they are written, but for its type and length."""
    address: str
    """The client's, for the access log."""


class DirectPolls:
    """The polls of one HTTP connection."""

    __slots__ = ("_checked", "_connection", "_keep", "_line", "_poll", "_table", "_task")

    def __init__(self, connection: HTTPConnection, table: PollTable) -> None:
        self._connection = connection
        self._table = table
        self._checked: dict[str, _Checked] = {}
        self._poll: DirectPoll | None = None
        self._task: asyncio.Task[None] | None = None
        self._keep = True
        self._line = "", ""
        """The method and the target, for the access log."""

    @property
    def busy(self) -> bool:
        """A request is served that has no answer yet."""
        return self._poll is not None or self._task is not None

    def serve(self, data: bytes) -> bool:
        """Serve what has come, where it is a plain poll of a session and nothing stands in its way.

        False: nothing has happened, and the request goes over ASGI. It does so where it is to be refused, where the
        session's websocket is under way, and where the answer may be compressed.
        """
        request = read_poll(data)
        socket = None if request is None else self._table.find(request)
        if request is None or socket is None or not self._may_serve(request, socket):
            return False
        checked = self._checked.get(request.method)
        if checked is None or checked.fields != request.fields or checked.sid != request.sid:
            checked = self._check(request, socket)
            if checked is None:
                return False
            self._checked[request.method] = checked
        if checked.content_length != len(request.rest):
            return False
        if self._connection.access_log:
            self._line = request.method, (request.path + b"?" + request.query).decode()
        if request.method == "GET":
            self._get(socket, checked)
        else:
            self._post(socket, request.rest, checked)
        return True

    def _may_serve(self, request: PollRequest, socket: Socket) -> bool:
        """Whether the session is where a poll is as expected."""
        config, server = socket.config, socket.server
        if (
            socket.state is not OPEN
            or socket.protocol.generation != request.generation
            or socket.upgrade is not None
            or config.http_compression is not None
            or server.closing
            or server.loop is not self._connection.loop
            or len(request.query) > config.max_head
        ):
            return False
        if request.method == "GET":
            return socket.transport is None
        return (
            socket.transport_name == "polling"
            and socket.incoming_post is None
            and len(request.rest) <= config.max_payload
        )

    def _check(self, request: PollRequest, socket: Socket) -> _Checked | None:
        """Look at the header fields as is done over ASGI. None: that is to decide."""
        head = read_head(request.fields)
        config = socket.config
        if head is None or (request.method == "GET" and head.content_length) or callable(config.cors_allowed_origins):
            return None
        connection = self._connection
        client, scheme = connection.client, connection.scheme
        scope: Any = {"type": "http", "headers": head.headers, "client": client, "scheme": scheme}
        self._table.behind_proxies(scope)
        try:
            cors = cors_headers(check_origin(scope, config), config)
            check_pin(socket.handshake.pin, scope, config)
        except HandshakeError:
            return None
        answer_head = _written([*PLAIN, *cors])
        address = get_client_addr(scope)
        return _Checked(request.fields, request.sid, head.content_length, head.content_type, cors, answer_head, address)

    # GET.

    def _get(self, socket: Socket, checked: _Checked) -> None:
        self._poll = DirectPoll(self, socket, checked)
        self._poll.begin()

    def answer(self, body: Body, checked: _Checked) -> None:
        """The poll that waits has its answer."""
        self._poll = None
        self._respond(body, checked)

    # POST.

    def _post(self, socket: Socket, body: bytes, checked: _Checked) -> None:
        frames = split(socket, body, _PLAIN_BODY, checked.content_type)
        try:
            all_in = feed_now(socket, frames)
        except ProtocolError as error:
            socket.refuse(error)
            self._refuse(error.status, checked)
            return
        if not all_in:
            inlet = socket.incoming_post = IncomingBody()
            tasks: set[asyncio.Task[None]] = self._connection.server_state.tasks
            self._task = self._connection.loop.create_task(self._post_rest(socket, inlet, frames, checked))
            tasks.add(self._task)  # the server waits for them
            self._task.add_done_callback(tasks.discard)
        elif is_refused(socket):
            self._refuse(400, checked)
        else:
            self._respond(socket.protocol.post_answer, checked)

    async def _post_rest(self, socket: Socket, inlet: IncomingBody, frames: Iterator[Frame], checked: _Checked) -> None:
        """What is left of a body while the client's packets fill its backlog: as over ASGI."""
        start: Message = {}

        async def send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            else:
                self._task = None
                head = _written([field for field in start["headers"] if field[0] != b"content-length"])
                self.write(start["status"], head, message["body"], checked.address)

        try:
            await Post(_PLAIN_BODY, {"headers": []}, _nothing, send, checked.cors).carry_rest(socket, inlet, frames)
        finally:
            self._task = None

    # The answer.

    def _refuse(self, status: int, checked: _Checked) -> None:
        head = _written([NO_STORE, *checked.cors])
        self.write(status, head, b"", checked.address)

    def _respond(self, body: Body, checked: _Checked) -> None:
        head = b"content-type: " + body.kind + b"\r\n" + checked.answer_head
        self.write(body.status, head, body.content, checked.address)

    def write(self, status: int, head: bytes, content: bytes, address: str) -> None:
        """Write a response. ``head`` are its fields, but for the server's own and the length."""
        connection = self._connection
        if connection.access_log:
            connection.access_logger.info('%s - "%s %s HTTP/%s" %d', address, *self._line, "1.1", status)
        close = b"" if self._keep else b"connection: close\r\n"
        connection.transport.write_whole(
            b"HTTP/1.1 %d %b\r\n%b%bcontent-length: %d\r\n%b\r\n%b"
            % (status, _REASONS[status], self._table.head(connection.server_state.default_headers), head,
               len(content), close, content)
        )  # fmt: skip
        connection.direct_done(keep=self._keep)

    def shutdown(self) -> None:
        """The server ends: the answer to come is the last one."""
        self._keep = False

    def lost(self) -> None:
        """The connection is lost."""
        poll, self._poll = self._poll, None
        if poll is not None:
            poll.lost()


class DirectPoll(PollTransport):
    """A GET that the server serves by itself."""

    __slots__ = ("_checked", "_done", "_polls", "_socket")

    def __init__(self, polls: DirectPolls, socket: Socket, checked: _Checked) -> None:
        self._polls = polls
        self._socket = socket
        self._checked = checked
        self._done = False

    def begin(self) -> None:
        """Answer, if the outbox holds something; else wait."""
        self._socket.attach(self)
        if self._socket.writer.outbox:
            self.release()

    def release(self) -> None:
        if self._done:
            return
        self._done = True
        socket = self._socket
        if socket.transport is self:
            socket.detach(self)
            frames = taken(socket)
        else:
            frames = []  # another has taken over: the outbox is its business now
        self._polls.answer(body_of(socket, frames, _PLAIN_BODY), self._checked)

    def flush(self) -> None:
        self.release()

    def end(self, close_code: int = NORMAL_CLOSURE) -> None:
        """Not at once: the end of the session is under way, and this is a part of it."""
        self._socket.server.loop.call_soon(self.release)  # type: ignore[union-attr]

    @property
    def writable(self) -> bool:
        return not self._done

    def lost(self) -> None:
        """The client has hung up: the session ends."""
        if not self._done:
            self._done = True
            self._socket.detach(self)
            self._socket.close(TRANSPORT_ERROR)
            taken(self._socket)
