"""socketio_manage: the life of one socket, from the answer to its handshake to the last clean-up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextvars import copy_context
from typing import Any, cast

from asocketio.asgi.types import Scope
from asocketio.errors import Unavailable, UsageError
from asocketio.namespace import BaseNamespace
from asocketio.protocol.packet import Packet, PacketType
from asocketio.session.cleanup import clean_up
from asocketio.session.close_reasons import FORCED_SERVER_CLOSE
from asocketio.session.dispatcher import Dispatcher
from asocketio.session.member import NO_PARAMS
from asocketio.session.namespaces import Namespaces
from asocketio.session.socket import ErrorHandler, Socket
from asocketio.session.states import SocketState
from asocketio.transports.base import HandshakeTransport

__all__ = [
    "NamespaceTable",
    "manage_by_itself",
    "namespace_name",
    "namespaces_of",
    "socketio_accept",
    "socketio_manage",
]

_NO_SOCKET = (
    "this scope has no 'socketio': the request did not come through SocketIOApp. Wrap the application "
    "(app = SocketIOApp(app)) or add the middleware (add_middleware(SocketIOApp)), and see that the view's URL "
    "is SocketIOApp's path, /socket.io/"
)


async def socketio_manage(
    scope: Scope,
    namespaces: Mapping[str, type[BaseNamespace]] | Namespaces,
    request: Any = None,
    error_handler: ErrorHandler | None = None,
    json_loads: Callable[[str], Any] | None = None,
    json_dumps: Callable[[Any], str | bytes] | None = None,
) -> None:
    """Open the socket that this request asks for, and serve it until it is gone.

    Await it from a view, once per socket. ``scope`` is the request's ASGI scope and becomes
    ``self.environ``; ``namespaces`` maps names (``""`` or ``"/"`` is the global one) to classes;
    ``request`` becomes ``self.request``. When it returns, every ``recv_disconnect`` has run;
    the view's response then goes nowhere.

    Raises:
        UsageError: the scope has no socket, the socket is managed already, or an argument is wrong.
    """
    socket, opening = _begin(scope, namespaces, request, error_handler)
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
    given: Mapping[str, type[BaseNamespace]] | Namespaces,
    request: Any,
    error_handler: ErrorHandler | None,
) -> tuple[Socket, HandshakeTransport]:
    """Claim the socket of ``scope`` and make it ready for packets."""
    socket = _socket_of(scope)
    if asyncio.get_running_loop() is not socket.server.loop:
        raise UsageError("socketio_manage runs in the server's event loop: make the view async def, and await it there")
    namespaces = namespaces_of(given)
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
    if name in ("", "/"):
        return Socket.GLOBAL_NS
    if not isinstance(name, str) or not name.startswith("/") or "," in name or "?" in name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"namespace {name!r:.100}: a name begins with '/' and has no ',' or '?', for example '/chat'")
    return name


class NamespaceTable:
    """The namespaces of a program by name, from a dict of classes.

    Raises:
        UsageError: it is no dict of classes by name, or a name does not begin with a slash.
    """

    def __init__(self, namespaces: Mapping[str, type[BaseNamespace]]) -> None:
        self._classes: dict[str, type[BaseNamespace]] = {}
        if not isinstance(namespaces, Mapping) or not namespaces:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"namespaces={namespaces!r}: expected a dict such as {{'/': Chat}}")
        for name, cls in namespaces.items():
            name = namespace_name(name)
            if isinstance(cls, BaseNamespace):  # pyright: ignore[reportUnnecessaryIsInstance]
                made = type(cls).__name__
                raise UsageError(f"namespace {name or '/'!r}: give the class {made}, not an object of it")
            if not (isinstance(cls, type) and issubclass(cls, BaseNamespace)):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"namespace {name or '/'!r}: expected a subclass of BaseNamespace, not {cls!r}")
            if name in self._classes:
                raise UsageError("namespaces '' and '/' are the same: give one of them")
            cls._read_class()  # pyright: ignore[reportPrivateUsage]  # what was set on it since it was created
            self._classes[name] = cls

    def resolve(self, name: str) -> tuple[type[BaseNamespace], Mapping[str, Any]] | None:
        cls = self._classes.get(name)
        return None if cls is None else (cls, NO_PARAMS)

    @property
    def names(self) -> Collection[str]:
        return self._classes


def namespaces_of(given: Mapping[str, type[BaseNamespace]] | Namespaces) -> Namespaces:
    """What a program gave as its namespaces: a dict of classes, or an object that resolves names by itself.

    Raises:
        UsageError: it is neither.
    """
    return given if isinstance(given, Namespaces) else NamespaceTable(given)
