"""SocketIOApp: the ASGI application, middleware and mount. It reads a request and hands it to what serves it."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, Unpack

from asocketio.adapters.base import Adapter
from asocketio.adapters.cluster_view import Cluster
from asocketio.asgi.acceptance import Acceptance
from asocketio.asgi.admission import address_of, check_pin, pin_of
from asocketio.asgi.client_files import ClientFiles
from asocketio.asgi.cors import check_fetch_metadata, check_jsonp_origin, check_origin, cors_headers, preflight_headers
from asocketio.asgi.lifespan import Lifespan, LifespanFunction, enter_lifespan
from asocketio.asgi.not_found import log_wrong_path
from asocketio.asgi.request import (
    EngineRequest,
    encodes_twice,
    is_ours,
    parse_request,
    path_below,
    protocols_of,
)
from asocketio.asgi.responses import connection_close_headers, respond
from asocketio.asgi.types import ASGIApp, Headers, Receive, Scope, Send
from asocketio.asgi.view import Accepted, ViewCall, http_scope
from asocketio.config import Config, Settings
from asocketio.errors import BadRequest, HandshakeError, Unavailable, UnknownSession, UsageError
from asocketio.manage import NamespaceClasses, NamespaceTable, manage_by_itself, namespace_name
from asocketio.namespace import BaseNamespace
from asocketio.operators import Namespace
from asocketio.protocol.parser import Parser
from asocketio.protocol.parsers import JSON_ONLY, ParserName
from asocketio.runtime.clock import Clock
from asocketio.runtime.log import log
from asocketio.runtime.signals import chain_signals
from asocketio.runtime.tuning import tune
from asocketio.runtime.worker_lock import run_once, worker_lock
from asocketio.server import Server
from asocketio.servers.direct_polls import let_server_poll
from asocketio.servers.front import TakeoverHandshake, find_front, take_over
from asocketio.servers.message_limit import MessageLimit
from asocketio.servers.shutdown import close_at_shutdown
from asocketio.session.close_reasons import SHUTTING_DOWN, TRANSPORT_CLOSE
from asocketio.session.flush_queue import MAX_SLICE_SECONDS
from asocketio.session.socket import Socket
from asocketio.session.threads import check_loop
from asocketio.transports.base import HandshakeTransport
from asocketio.transports.compressed_poll import CompressingPoll
from asocketio.transports.polling import UPGRADE_RACE_DELAY, Poll, PollingHandshake
from asocketio.transports.posts import Post
from asocketio.transports.refusal import refuse
from asocketio.transports.websocket import RoamingWebSocket, UpgradingWebSocket, WebSocketHandshake, deny
from asocketio.workers.events import Forwarded
from asocketio.workers.worker import Worker, adapter_of

__all__ = ["SocketIOApp", "of"]

SPREAD_THRESHOLD = 1000
"""From so many sockets on, closing them takes all of ``close_window``; for fewer it takes a share of it."""

# Weak on both sides: a SocketIOApp holds the application that it wraps.
_apps: weakref.WeakKeyDictionary[Any, weakref.ref[SocketIOApp]] = weakref.WeakKeyDictionary()

_numbers = itertools.count()


class SocketIOApp:
    """Serves Socket.IO; gives everything else to ``app``.

    With ``namespaces`` it manages the sockets at once; without, each new socket calls ``app``
    once, as an HTTP GET, and a view in it awaits `socketio_manage`. With both, and ``guard=True``, that view only
    decides, by `socketio_accept`, and the socket then lives by itself. ``namespaces`` are classes by name or pattern,
    see `NamespaceTable`. ``adapter`` keeps the rooms; without it they are those of this process. It may be the URL of
    a Redis: then they are those of all servers on it, see `asocketio.adapters.redis.RedisAdapter`. ``parsers`` are
    what clients of generation 4 may speak, or ``parser`` is what all of them speak. ``lifespan`` is an async context
    manager, called with this object: it is entered at the start and left at the end, round that of ``app``, and may
    yield state for requests. ``client_files`` is a folder with the client's scripts, to be served at
    ``/socket.io/socket.io.js``. ``settings`` are the fields of `Config`.

    Raises:
        UsageError: an argument is wrong; the message says what was expected.
    """

    def __init__(
        self,
        app: ASGIApp | None = None,
        *,
        namespaces: NamespaceClasses | None = None,
        path: str = "socket.io",
        guard: bool = False,
        adapter: Adapter | str | None = None,
        lifespan: LifespanFunction | None = None,
        client_files: str | os.PathLike[str] | None = None,
        parsers: Sequence[ParserName] = JSON_ONLY,
        parser: Parser | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        _check_arguments(app, namespaces, path, guard, lifespan)
        self.app = app
        self.config = Config.of(dict(settings))
        self.path = "/" + path.strip("/")
        self.guard = guard
        self.namespaces = None if namespaces is None else NamespaceTable(namespaces)
        self.server = Server(self.config, adapter_of(adapter, self.config))
        self._protocols = protocols_of(self.config, parsers, parser, self.server.custom_json)
        self.lifespan = lifespan
        self._lifespan_seen = False
        self._number = next(_numbers)
        """The same in all workers of a server: they make their apps in the same order."""
        self._worker = Worker(self.server, self.path, self._number, self._serve_forwarded)
        self.client_files = None if client_files is None else ClientFiles(client_files)
        self._message_limit = MessageLimit(self.config.max_payload)
        self._signalled: asyncio.AbstractEventLoop | None = None
        """The event loop in which its signal handlers are chained."""
        self._closer: asyncio.Task[None] | None = None
        self._introduce(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        scope["asocketio"] = self
        below = path_below(scope, self.path) if scope["type"] in ("http", "websocket") else None
        if below is not None and is_ours(below):
            await self._serve(below, scope, receive, send)
        elif below is not None and self.client_files is not None and self.client_files.has(below, scope):
            await self.client_files.serve(below, scope, send, self.config)
        elif self.app is not None:
            await self.app(scope, receive, send)
        else:
            await self._not_found(scope, receive, send)

    def of(self, namespace: str) -> Namespace:
        """Everybody in a namespace: ``app.of("/chat").to("lobby").emit("x")``, from anywhere in this process."""
        name = namespace_name(namespace)
        if self.namespaces is not None and self.namespaces.resolve(name) is None:
            declared = [name or "/" for name in self.namespaces.declared]
            raise UsageError(f"there is no namespace {namespace!r:.100}; declared are {declared}")
        return Namespace(self.server, name)

    @property
    def cluster(self) -> Cluster:
        """The servers that this one is one of: their names, and whether they can be reached."""
        return self.server.adapter.cluster

    async def close(self) -> None:
        """End every socket and take no new ones. Returns when their handlers and views have ended.

        They end one after the other, within ``close_window``. Clients are not told to stay away: they will reconnect,
        to the process that comes after this one, and should not do so all at once.

        Raises:
            UsageError: called outside of the event loop that has the sockets.
        """
        if self.server.is_busy:
            check_loop(self.server, "close", "asyncio.run_coroutine_threadsafe(app.close(), loop)")
        elif self.server.loop is not None:
            self.server.bind()
        self.server.closing = True
        self._worker.begin_stop()
        sockets = list(self.server.sockets.values())
        began, pause = monotonic(), self.config.close_window / max(len(sockets), SPREAD_THRESHOLD)
        for number, socket in enumerate(sockets):
            if socket.pending is not None and socket.pending.view is not None:
                socket.pending.view.time_out()  # undecided: it is refused
            else:
                socket.close(SHUTTING_DOWN)
            if (early := began + number * pause - monotonic()) > MAX_SLICE_SECONDS:
                await asyncio.sleep(early)
        if self.server.loop is None:
            return
        with self.server.clock.deadline(4 * self.config.close_grace) as scope:
            await self.server.wait_idle()
        if scope.cancelled_caught:
            log.error("%d sockets did not end within four times close_grace", self.server.active_sessions)
        await self._worker.stop(self.config.close_grace)
        await self.server.stop_jobs()
        await self.server.stop_adapter()

    def spawn(self, fn: Callable[..., Any], *args: Any, once: bool = False) -> asyncio.Task[None]:
        """Run ``fn``, plain or async, as a job of this app: cancelled when it closes. Returns its task.

        Its exceptions are logged. With ``once`` it runs in one of the workers of this host; when that one ends or dies,
        another takes it over, within a second.

        Raises:
            UsageError: there is no running event loop (call it in ``lifespan=``, a handler or a view), another one has
                the sockets, the app has closed, or ``fn`` is no function.
        """
        if not callable(fn):
            if asyncio.iscoroutine(fn):
                fn.close()
            raise UsageError(f"spawn takes the function and its arguments: spawn(tick, 1), not spawn({fn!r})")
        try:
            self.server.bind()
        except RuntimeError:
            raise UsageError(
                "app.spawn needs a running event loop: call it in lifespan=, a handler or a view"
            ) from None
        if self.server.closing and not self.server.active_sessions:
            raise UsageError("app.spawn: the app has closed")
        name = getattr(fn, "__qualname__", repr(fn))
        if not once:
            return self.server.jobs.spawn(f"job {name}", fn, *args)
        lock = worker_lock(f"{self.path} {self._number} {getattr(fn, '__module__', '')}.{name}")
        return self.server.jobs.spawn(f"job {name}", run_once, lock, fn, *args)

    def begin_close(self) -> None:
        """Do `close` in a task of this app. A later `close` waits for the same end."""
        if self._closer is None or self._closer.get_loop() is not asyncio.get_running_loop():
            self._closer = asyncio.get_running_loop().create_task(self.close())

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the lifespan on to the application; sockets are closed before it shuts down."""
        self.server.bind(_test_clock(scope))
        self.server.closing, self._closer = False, None
        self.server.start_adapter()
        await self._worker.start()
        self._message_limit.compare(receive)
        tune(asyncio.get_running_loop(), lambda: self.server.active_sessions)
        self._introduce(scope.get("app"))
        self._lifespan_seen = True
        own = None if self.lifespan is None else partial(enter_lifespan, self.lifespan, self)
        await Lifespan(scope, receive, send, own, self.close).run(self.app)

    def _introduce(self, app: Any) -> None:
        """Remember the application that this wraps, for `of`."""
        if app is not None:
            try:
                _apps[app] = weakref.ref(self)
            except TypeError:
                pass  # not to be referred to weakly: then it cannot be looked up

    async def _serve(self, below: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A request to our path; ``below`` is what follows it."""
        headers: Headers = []
        if scope["type"] == "websocket":
            self._message_limit.compare(receive)
            await receive()  # websocket.connect: comes before any answer
        try:
            if self.server.closing:
                headers = connection_close_headers(scope)
            origin = check_origin(scope, self.config)
            if scope.get("method") == "OPTIONS":
                await respond(send, 204, b"", headers + preflight_headers(scope, origin, self.config))
                return
            headers = headers + cors_headers(origin, self.config)
            clock = _test_clock(scope)
            self.server.bind(clock)
            if clock is None and self._signalled is not self.server.loop:
                self._signalled = self.server.loop
                chain_signals(self)
                close_at_shutdown(self)
            request = parse_request(scope, below, self.config, self._protocols)
            if request.body_format.jsonp_index is not None:
                check_jsonp_origin(scope, self.config)
            elif not request.sid:
                check_fetch_metadata(scope, self.config)
            if request.sid:
                await self._find_and_revisit(request, below, scope, receive, send, headers)
            elif self.server.closing:
                raise Unavailable("a new socket while the server is closing")
            else:
                await self._open(request, scope, receive, send, headers)
        except HandshakeError as error:
            await self._refuse(error, below, scope, receive, send, headers)

    async def _refuse(
        self, error: HandshakeError, below: str, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> None:
        about = "" if isinstance(error, UnknownSession) else str(error)
        self.server.throttled_log.warning(type(error).__name__, "%s: %s", error.message, error, about=about)
        self.server.metrics.refused(error.message)
        await refuse(error, below, scope, receive, send, headers, self.config)

    async def _find_and_revisit(
        self, request: EngineRequest, below: str, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> None:
        """A request of a session, which this process has, or a sibling."""
        socket = self.server.find(request.sid)
        if socket is not None and socket.protocol.generation == request.protocol.generation:
            await self._revisit(request, socket, scope, receive, send, headers)
        else:
            await self._worker.forward(Forwarded(request.sid, scope, below, headers), receive, send)

    async def _serve_forwarded(self, forwarded: Forwarded, receive: Receive, send: Send) -> None:
        """A request of a session that is here, which a sibling has met and checked."""
        sid, scope, below, headers = forwarded
        try:
            request = parse_request(scope, below, self.config, self._protocols)
            socket = self.server.find(sid)
            if socket is None or socket.protocol.generation != request.protocol.generation:
                raise UnknownSession(f"no session {sid[:6]!r}…, asked for by a sibling: it has ended")
            await self._revisit(request, socket, scope, receive, send, headers)
        except HandshakeError as error:
            await self._refuse(error, below, scope, receive, send, headers)

    async def _revisit(
        self, request: EngineRequest, socket: Socket, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> None:
        """A request of a session that is open."""
        check_pin(socket.handshake.pin, scope, self.config)
        allows_transport_switch = request.protocol.allows_transport_switch
        if request.closes_session:
            socket.close(TRANSPORT_CLOSE)
            await respond(send, 200, b"", headers)
        elif request.transport == "websocket":
            await self._join(request, socket, scope, receive, send)
        elif socket.transport_name != "polling" and not allows_transport_switch:
            await asyncio.sleep(UPGRADE_RACE_DELAY)
            raise BadRequest("polling on a session that has a websocket")
        elif scope["method"] == "GET":
            threshold = self.config.http_compression
            poll = (
                Poll(request.body_format, receive, send, headers)
                if threshold is None
                else CompressingPoll(request.body_format, scope, receive, send, headers, threshold)
            )
            await poll.carry(socket)
        else:
            await Post(request.body_format, scope, receive, send, headers).carry(socket)

    async def _join(self, request: EngineRequest, socket: Socket, scope: Scope, receive: Receive, send: Send) -> None:
        """A websocket for a session that is open."""
        allows_transport_switch = request.protocol.allows_transport_switch
        # Clients whose polls take no binary say so again where their websocket takes none either.
        text_only = request.body_format.text_only
        front, acceptance = find_front(scope), Acceptance.of(scope, self.config, text_only=text_only)
        websocket = None if front is None else take_over(front, [], self.config.max_payload, acceptance)
        if websocket is None:
            joining = RoamingWebSocket if allows_transport_switch else UpgradingWebSocket
            await joining(receive, send, acceptance).carry(socket)
        elif allows_transport_switch:
            websocket.roam(socket)
        else:
            websocket.upgrade(socket)

    async def _open(self, request: EngineRequest, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """A new socket: by itself, at once or when a view has accepted it; or by a view, whose call is its life."""
        opening: HandshakeTransport
        answer_headers: Headers = []
        text_only = request.body_format.text_only
        front, acceptance = find_front(scope), Acceptance.of(scope, self.config, text_only=text_only)
        await self._worker.start(scope)
        if self.lifespan is not None and not self._lifespan_seen:
            self._lifespan_seen = True
            log.warning("lifespan= was not run: the server, or what this is mounted in, does not tell of its start")
        if front is not None:
            opening = TakeoverHandshake(front, send, answer_headers, acceptance)
        elif request.transport == "websocket":
            opening = WebSocketHandshake(scope, receive, send, answer_headers, acceptance)
        else:
            answer_headers += headers
            opening = PollingHandshake(request.protocol, request.body_format, receive, send, answer_headers)
        socket = self.server.create(request.protocol, opening, address_of(scope))
        if isinstance(opening, PollingHandshake):
            let_server_poll(scope, socket, self.server.find, self)
        if encodes_twice(scope):
            socket.use_protocol(request.protocol.encoding_twice)
        socket.handshake.query_string = scope["query_string"]
        socket.handshake.reserved_fields = request.reserved_fields
        socket.handshake.pin = pin_of(scope, self.config)
        if self.config.cookie is not None:
            secure = "; Secure" if scope.get("scheme") in ("https", "wss") else ""
            value = socket.handshake.pin if self.config.pin == "cookie" else socket.sessid
            cookie = f"{self.config.cookie}={value}; Path=/; HttpOnly; SameSite=Lax{secure}"
            answer_headers.append((b"set-cookie", cookie.encode()))
        if self.namespaces is not None and not self.guard:
            await manage_by_itself(http_scope(scope, socket), self.namespaces)
            return
        accepted = await self._ask_view(ViewCall(scope, opening, socket, headers, guard=self.guard), opening, socket)
        if accepted is not None and self.namespaces is not None:
            answer_headers += accepted.cookies
            await manage_by_itself(accepted.environ, self.namespaces, accepted.request)

    async def _ask_view(self, view: ViewCall, opening: HandshakeTransport, socket: Socket) -> Accepted | None:
        """Call the view. None: it has refused the client, or its call was the life of the socket."""
        accepted: Accepted | None = None
        try:
            accepted = await self._call_view(view, opening)
        finally:
            if accepted is None:
                opening.stop_listening()
                self.server.ended(socket)
        if accepted is not None:
            view.end()
        return accepted

    async def _call_view(self, view: ViewCall, opening: HandshakeTransport) -> Accepted | None:
        """Let the view decide on the handshake, within ``connect_timeout``."""
        assert self.app is not None
        in_time = await view.run(self.app)
        if opening.answered:
            return None
        if not in_time and self.server.closing:
            raise Unavailable("a new socket while the server is closing")
        path = view.scope["path"][:200]
        if not in_time:
            undone = "has not ended" if self.guard else "neither awaited socketio_manage nor answered"
            raise Unavailable(f"the view at {path!r} {undone} within connect_timeout ({self.config.connect_timeout} s)")
        if view.accepted is not None:
            return view.accepted
        self.server.throttled_log.error(
            "view", "the view at %r returned without %s and without a response",
            path, "calling socketio_accept" if self.guard else "awaiting socketio_manage",
        )  # fmt: skip
        await opening.reject({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
        await opening.reject({"type": "http.response.body", "body": b""})
        return None

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        log_wrong_path(scope, self.path, self.server.throttled_log)
        if scope["type"] == "websocket":
            await receive()
            await deny(scope, send, 404, b"Not Found", [(b"content-type", b"text/plain")])
        else:
            await respond(send, 404, b"Not Found", [(b"content-type", b"text/plain")])


def of(app: Any, namespace: str) -> Namespace:
    """Everybody in a namespace of a `SocketIOApp`.

    ``app`` is the application that it wraps, or that it was added to as middleware; or a request (or an ASGI scope)
    that has passed through it.

    Raises:
        UsageError: there is none, or the application has not started yet.
    """
    return _find_app(app).of(namespace)


def _find_app(app: Any) -> SocketIOApp:
    if isinstance(app, SocketIOApp):
        return app
    scope = app if isinstance(app, Mapping) else getattr(app, "scope", None)
    if isinstance(scope, Mapping):
        passed: Any = scope.get("asocketio")
        if not isinstance(passed, SocketIOApp):
            raise UsageError("this request has passed through no SocketIOApp: wrap the application, or add it there")
        return passed
    try:
        reference = _apps.get(app)
    except TypeError:  # not to be referred to weakly
        reference = None
    found = None if reference is None else reference()
    if found is None:
        raise UsageError(f"no SocketIOApp wraps {app!r}; one added by add_middleware is known once the app has started")
    return found


def _check_arguments(app: object, namespaces: object, path: object, guard: bool, lifespan: object) -> None:
    if isinstance(app, type) and issubclass(app, BaseNamespace):
        raise UsageError(
            f"{app.__name__} is a namespace, not an application: SocketIOApp(namespaces={{'/': {app.__name__}}})"
        )
    if app is not None and not callable(app):
        raise UsageError(
            f"SocketIOApp({app!r}): expected an ASGI application; namespaces go by name: namespaces={{...}}"
        )
    if not isinstance(path, str) or not re.fullmatch(r"/?[^/?#]+(/[^/?#]+)*/?", path):
        raise UsageError(f"path={path!r}: expected the path that clients use, for example 'socket.io'")
    if app is None and namespaces is None:
        raise UsageError(
            "SocketIOApp has nothing to serve: give it namespaces={'/': Chat}, "
            "or the app whose view awaits socketio_manage"
        )
    if guard and (app is None or namespaces is None):
        raise UsageError(
            "guard=True is for an application whose view calls socketio_accept, and the namespaces it guards: "
            "SocketIOApp(app, namespaces={'/': Chat}, guard=True)"
        )
    if lifespan is not None and not callable(lifespan):
        raise UsageError(f"lifespan={lifespan!r}: expected a function decorated with contextlib.asynccontextmanager")


def _test_clock(scope: Scope) -> Clock | None:
    """The clock of `asocketio.testing`. No server puts Python objects into a scope's extensions by a client's will."""
    clock = (scope.get("extensions") or {}).get("asocketio.clock")
    return clock if isinstance(clock, Clock) else None
