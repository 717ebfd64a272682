"""socketio_manage: the life of one socket, from the answer to its handshake to the last clean-up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from contextvars import copy_context
from types import MappingProxyType
from typing import Any, cast

from asocketio.asgi.types import Scope
from asocketio.errors import Unavailable, UsageError
from asocketio.namespace import BaseNamespace
from asocketio.protocol.packet import Packet, PacketType
from asocketio.session.cleanup import clean_up
from asocketio.session.close_reasons import FORCED_SERVER_CLOSE
from asocketio.session.dispatcher import Dispatcher
from asocketio.session.name_templates import MOST_CHARACTERS, Template, compile_template, is_template
from asocketio.session.namespaces import Namespaces, Served
from asocketio.session.socket import ErrorHandler, Socket
from asocketio.session.states import SocketState
from asocketio.transports.base import HandshakeTransport

__all__ = [
    "NamespaceClasses",
    "NamespaceTable",
    "manage_by_itself",
    "namespace_name",
    "socketio_accept",
    "socketio_manage",
]

NamespaceClasses = Mapping[Any, type[BaseNamespace]]
"""Classes by name, by template (``"/orders/{order_id:int}"``) or by compiled regular expression.

Not ``str | re.Pattern[str]``: to mypy a dict with keys of both kinds is one of ``object``.
"""

_NO_SOCKET = (
    "this scope has no 'socketio': the request did not come through SocketIOApp. Wrap the application "
    "(app = SocketIOApp(app)) or add the middleware (add_middleware(SocketIOApp)), and see that the view's URL "
    "is SocketIOApp's path, /socket.io/"
)


async def socketio_manage(
    scope: Scope,
    namespaces: NamespaceClasses,
    request: Any = None,
    error_handler: ErrorHandler | None = None,
    json_loads: Callable[[str], Any] | None = None,
    json_dumps: Callable[[Any], str | bytes] | None = None,
) -> None:
    """Open the socket that this request asks for, and serve it until it is gone.

    Await it from a view, once per socket. ``scope`` is the request's ASGI scope and becomes
    ``self.environ``; ``namespaces`` maps names (``""`` or ``"/"`` is the global one) and patterns to classes, see
    `NamespaceTable`; ``request`` becomes ``self.request``. When it returns, every ``recv_disconnect`` has run;
    the view's response then goes nowhere.

    Raises:
        UsageError: the scope has no socket, the socket is managed already, or an argument is wrong.
    """
    _socket_of(scope)  # what is wrong with the request first
    socket, opening = _begin(scope, NamespaceTable(namespaces), request, error_handler)
    if json_loads is not None or json_dumps is not None:
        protocols = socket.server.custom_json
        socket.use_protocol(protocols.get(socket.protocol, json_loads, json_dumps))
    try:
        await _open(socket, opening)
        await socket.wait_closed()
    finally:
        socket.close(FORCED_SERVER_CLOSE)  # does nothing unless the view was cancelled
        await clean_up(socket.dispatcher)


def socketio_accept(scope: Scope, request: Any = None) -> None:
    """Accept the client that this request is about, in an app of ``SocketIOApp(app, namespaces={...}, guard=True)``.

    Call it in a view, plain or ``async``, and answer 2xx: when the view, its dependencies and its middleware have
    ended, the socket opens and lives by itself. Any other answer refuses the client. ``scope`` is the request's ASGI
    scope and becomes ``self.environ``; ``request`` becomes ``self.request``. What handlers need of the view goes into
    the dict ``scope["socketio"].session``, which is ``self.session``.

    Raises:
        UsageError: the scope has no socket, the socket is open or refused already, or the app has no ``guard=True``.
    """
    socket = _socket_of(scope)
    pending = socket.pending
    if pending is None or pending.view is None or socket.state is not SocketState.OPENING:
        raise UsageError("this socket is open already, or refused: call socketio_accept in the view, before it answers")
    pending.view.accept(scope, request)


async def manage_by_itself(scope: Scope, namespaces: Namespaces, request: Any = None) -> None:
    """As `socketio_manage`, for a socket that lives by itself: it returns when this call has nothing more to carry.

    The socket's clean-up is the server's.
    """
    socket, opening = _begin(scope, namespaces, request, None)
    socket.on_closed = socket.server.schedule_cleanup
    try:
        await _open(socket, opening)
    except BaseException:
        socket.close(FORCED_SERVER_CLOSE)
        raise


def _begin(
    scope: Scope,
    namespaces: Namespaces,
    request: Any,
    error_handler: ErrorHandler | None,
) -> tuple[Socket, HandshakeTransport]:
    """Claim the socket of ``scope`` and make it ready for packets."""
    socket = _socket_of(scope)
    if asyncio.get_running_loop() is not socket.server.loop:
        raise UsageError("socketio_manage runs in the server's event loop: make the view async def, and await it there")
    pending = socket.pending
    if pending is None or socket.state is not SocketState.OPENING:
        raise UsageError("this socket is managed already, or refused: await socketio_manage once per request")
    opening = cast("HandshakeTransport", pending.transport)
    socket.pending = None
    if pending.view is not None:
        pending.view.claim()
    socket.environ, socket.request = scope, request
    if error_handler is not None:
        socket.error_handler = error_handler
    socket.dispatcher = Dispatcher(socket, namespaces, copy_context())
    return socket, opening


def _socket_of(scope: Scope) -> Socket:
    socket = scope.get("socketio")
    if not isinstance(socket, Socket):
        raise UsageError(_NO_SOCKET)
    return socket


async def _open(socket: Socket, opening: HandshakeTransport) -> None:
    """Answer the handshake, connect the global namespace where that happens unasked, and carry what this call carries.

    Where the global namespace is the connection (0.9) the answer waits for ``recv_connect``, which may refuse.
    """
    protocol = socket.protocol
    socket.server.opened(socket)
    if protocol.global_is_connection:
        socket.dispatcher.submit(_connect())
        await socket.dispatcher.wait_idle()
        if not socket.connected:
            await opening.refuse(socket.dispatcher.lifecycle.refusal or Unavailable("recv_connect took too long"))
            return
    await opening.open(socket)
    if protocol.opens_global and not protocol.global_is_connection:
        socket.dispatcher.submit(_connect())
    await opening.carry(socket)


def _connect() -> Packet:
    """The connect to the global namespace that a client does not send."""
    return Packet(PacketType.CONNECT, data={})


def namespace_name(name: str) -> str:
    """The name used inside of a namespace that the program calls ``name``.

    Raises:
        UsageError: it is not one that a client could ask for.
    """
    if isinstance(name, re.Pattern) or (isinstance(name, str) and is_template(name)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{name!r} is a pattern: of() takes the name of one namespace, for example '/orders/7'")
    return _checked_name(name)


def _checked_name(name: str) -> str:
    if name in ("", "/"):
        return Socket.GLOBAL_NS
    if not isinstance(name, str) or not name.startswith("/") or "," in name or "?" in name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"namespace {name!r:.100}: a name begins with '/' and has no ',' or '?', for example '/chat'")
    return name


class NamespaceTable:
    """The namespaces of a program: classes by name, and by pattern.

    A name wins over patterns; those are asked in their order. A pattern is a template (``"/orders/{order_id:int}"``,
    with Starlette's converters ``str``, ``int``, ``float``, ``uuid`` and ``path``) or a compiled regular expression,
    which must match the whole name. What it finds is ``self.params``. A pattern matches names of at most 200
    characters, and never the global namespace. Clients before generation 4 may add a query string to a name: it is cut
    off before.

    Raises:
        UsageError: it is no dict of classes by name or pattern, or a name or a pattern is wrong.
    """

    def __init__(self, namespaces: NamespaceClasses) -> None:
        self._classes: dict[str, type[BaseNamespace]] = {}
        self._patterns: list[tuple[Template | re.Pattern[str], type[BaseNamespace]]] = []
        if not isinstance(namespaces, Mapping) or not namespaces:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"namespaces={namespaces!r}: expected a dict such as {{'/': Chat}}")
        for key, cls in namespaces.items():
            _check_class(key, cls)
            pattern = _pattern_of(key)
            if pattern is not None:
                self._patterns.append((pattern, cls))
                continue
            name = _checked_name(key)
            if name in self._classes:
                raise UsageError("namespaces '' and '/' are the same: give one of them")
            self._classes[name] = cls
        self.declared: Collection[str] = [*self._classes, *(_text_of(pattern) for pattern, _ in self._patterns)]

    def resolve(self, name: str) -> Served | None:
        cls = self._classes.get(name)
        if cls is not None:
            return Served(cls, name)
        return self._match(name) if self._patterns else None

    def _match(self, name: str) -> Served | None:
        if len(name) > MOST_CHARACTERS or not name.startswith("/") or "," in name or "?" in name:
            return None
        for pattern, cls in self._patterns:
            if isinstance(pattern, Template):
                params = pattern.match(name)
            else:
                found = pattern.fullmatch(name)
                params = None if found is None else found.groupdict()
            if params is not None:
                return Served(cls, _text_of(pattern), MappingProxyType(params))
        return None

    @property
    def names(self) -> Collection[str]:
        return self._classes


def _check_class(key: object, cls: Any) -> None:
    where = f"namespace {_text_of(key) or '/'!r}"
    if isinstance(cls, BaseNamespace):
        raise UsageError(f"{where}: give the class {type(cls).__name__}, not an object of it")
    if not (isinstance(cls, type) and issubclass(cls, BaseNamespace)):
        raise UsageError(f"{where}: expected a subclass of BaseNamespace, not {cls!r}")
    cls._read_class()  # pyright: ignore[reportPrivateUsage]  # what was set on it since it was created


def _pattern_of(key: Any) -> Template | re.Pattern[str] | None:
    """The pattern that a key of the dict is; None where it is a name."""
    if isinstance(key, re.Pattern):
        if not isinstance(key.pattern, str):
            raise UsageError(f"namespace {key!r}: names are text; write the expression without b''")
        return key
    return compile_template(_checked_name(key)) if isinstance(key, str) and is_template(key) else None


def _text_of(key: Any) -> str:
    if isinstance(key, Template):
        return key.text
    return str(key.pattern) if isinstance(key, re.Pattern) else str(key)
