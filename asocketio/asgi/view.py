"""ViewCall: what the program's own ASGI app is handed when a socket opens.

To the app every socket opens by an HTTP GET, also when the client came by websocket. A response
it sends before the socket is open refuses the client; later ones have nobody to go to.

With ``guard=True`` the view only decides: it accepts the client and answers 2xx. That answer goes nowhere either, and
the socket opens when the whole call has ended: nothing of it stays open.
"""

from __future__ import annotations

import typing
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import anyio

from asocketio.asgi.cors import replace_cors
from asocketio.asgi.types import ASGIApp, Headers, Message, Scope
from asocketio.errors import UsageError
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState

__all__ = ["Accepted", "ViewCall", "http_scope"]

_OF_WEBSOCKETS = ("websocket.", "asocketio.front")  # extensions that no GET has
_SCHEMES = {"ws": "http", "wss": "https"}


class Handshake(typing.Protocol):
    """What a view needs of the transport that asked for the socket."""

    answered: bool
    """The request has its answer, the handshake's or another."""

    async def wait_disconnected(self) -> None:
        """Wait until the peer leaves before it was answered."""

    async def reject(self, message: Message) -> None:
        """Pass an ``http.response.*`` message on as the handshake's answer."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a view has accepted a client with, by `socketio_accept`."""

    environ: MutableMapping[str, Any]
    request: Any
    cookies: Headers
    """The ``Set-Cookie`` fields of the view's answer. They go into the answer to the handshake."""


class ViewCall:
    """The scope, ``receive`` and ``send`` of the view's call.

    ``guard``: the view may accept the client without staying for the life of the socket.
    """

    def __init__(self, scope: Scope, transport: Handshake, socket: Socket, headers: Headers, *, guard: bool) -> None:
        self.scope = http_scope(scope, socket)
        self.accepted: Accepted | None = None
        """The view has accepted the client and answered 2xx."""
        self._guard = guard
        self._accepting: Accepted | None = None
        self._transport = transport
        self._socket = socket
        self._headers = headers
        self._asked = False
        self._ended = False
        self._responded = anyio.Event()
        self._listening: anyio.CancelScope | None = None
        self._deciding: anyio.CancelScope | None = None
        if socket.pending is not None:
            socket.pending.view = self

    async def run(self, app: ASGIApp) -> bool:
        """Call the view; False when it was given up."""
        with anyio.CancelScope() as deciding:
            self._deciding = deciding
            await app(self.scope, self.receive, self.send)
        return not deciding.cancelled_caught

    def time_out(self) -> None:
        """It has not decided in time."""
        if self._deciding is not None:
            self._deciding.cancel()

    async def receive(self) -> Message:
        """One empty body; then nothing until the view has responded, or the client has left before it was admitted.

        Frameworks cancel a view at ``http.disconnect``, and servers say that as soon as the
        handshake is answered: hence the life of the socket is not to be seen here.
        """
        if self._ended:
            return {"type": "http.disconnect"}
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        undecided = self.accepted is None and not self._transport.answered
        if undecided and self._socket.state is SocketState.OPENING:
            with anyio.CancelScope() as self._listening:
                await self._transport.wait_disconnected()
                return {"type": "http.disconnect"}
        await self._responded.wait()
        return {"type": "http.disconnect"}

    def claim(self) -> None:
        """The socket is managed: the peer's messages are for its transport from now on."""
        if self._listening is not None:
            self._listening.cancel()

    def accept(self, environ: MutableMapping[str, Any], request: Any) -> None:
        """See `PendingView.accept`. May be called in any thread: it only takes a note."""
        if not self._guard:
            raise UsageError(
                "socketio_accept is for a view that only decides: write SocketIOApp(app, namespaces={...}, "
                "guard=True), or await socketio_manage"
            )
        self._accepting = Accepted(environ, request, [])

    def end(self) -> None:
        """The call has ended, and the socket outlives it, with ``self.request``: let go of what only the call needed.

        A request of a framework holds on to ``receive`` and ``send``, which are methods of this object.
        """
        self._ended = True
        del self._socket, self._transport, self.scope

    def _hint(self, status: int) -> None:
        """Some answers are no refusals but mistakes."""
        hints = _GUARD_HINTS if self._guard else _HINTS
        hint = hints.get(status) or hints.get(status // 100)
        if hint is not None:
            self._socket.server.throttled_log.warning(
                "answer", "%d from the application for a new socket at %r: %s", status, self.scope["path"][:200], hint
            )

    async def send(self, message: Message) -> None:
        """Refuse the client with the view's response; drop it where the client is accepted, or the socket open."""
        if self._ended:
            return
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if self._socket.state is SocketState.OPENING:
            if message["type"] == "http.response.start":
                message = self._begin_response(message)
            self.claim()
            if self.accepted is None:
                await self._transport.reject(message)
        if last:
            self._responded.set()

    def _begin_response(self, message: Message) -> Message:
        """The start of a response that refuses the client; or the client is accepted."""
        headers = list(message.get("headers", []))
        if self._accepting is not None and message["status"] // 100 == 2:
            self.accepted = self._accepting
            cookies = [value for name, value in headers if name.lower() == b"set-cookie"]
            self.accepted.cookies.extend((b"set-cookie", value) for value in cookies)
            return message
        self._hint(message["status"])
        return {**message, "headers": replace_cors(headers, self._headers)}


_HINTS = {
    2: "the view answered without awaiting socketio_manage: await it, and answer 4xx to refuse",
    307: "the route has no slash at its end; write it for any path below, such as '/socket.io/{_:path}'",
    308: "the route has no slash at its end; write it for any path below, such as '/socket.io/{_:path}'",
    404: "give it a view there that awaits socketio_manage, or write SocketIOApp(..., namespaces={...})",
    405: "the view there must take GET: that is how a socket opens",
}
_GUARD_HINTS = {
    **_HINTS,
    2: "the view answered without calling socketio_accept(request.scope, request=request): call it, or answer 4xx to "
    "refuse",
    404: "give it a view there that calls socketio_accept, or write SocketIOApp(..., namespaces={...}) without guard",
}


def http_scope(scope: Scope, socket: Socket) -> Scope:
    """The scope of a GET of the same URL, with the socket in it."""
    path: str = scope["path"]
    view: dict[str, Any] = {
        **scope,
        "type": "http",
        "method": "GET",
        "path": path if path.endswith("/") else path + "/",
        "scheme": _SCHEMES.get(scope.get("scheme", "http"), scope.get("scheme", "http")),
        "http_version": scope.get("http_version", "1.1"),
        "extensions": {k: v for k, v in (scope.get("extensions") or {}).items() if not k.startswith(_OF_WEBSOCKETS)},
        "socketio": socket,
    }
    raw = view.get("raw_path")
    if raw and not raw.endswith(b"/"):
        view["raw_path"] = raw + b"/"
    view.pop("subprotocols", None)
    return view
