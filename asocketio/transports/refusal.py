"""The answer to a request that is refused before it has reached a socket, in the form that its client knows."""

from __future__ import annotations

from asocketio.asgi.acceptance import Acceptance
from asocketio.asgi.request import guess_responder
from asocketio.asgi.responses import respond
from asocketio.asgi.types import Headers, Receive, Scope, Send
from asocketio.config import Config
from asocketio.errors import HandshakeError, UnknownSession
from asocketio.transports.websocket import RoamingWebSocket, deny

__all__ = ["refuse"]


async def refuse(
    error: HandshakeError, below: str, scope: Scope, receive: Receive, send: Send, headers: Headers, config: Config
) -> None:
    """Answer with ``error``. ``below`` is what follows our path in the URL, ``headers`` are for the answer."""
    if error.retry_after is not None:
        headers = [*headers, (b"retry-after", str(error.retry_after).encode())]
    who = guess_responder(scope, below)
    body = who.protocol.refusal(error, who.body_format, scope.get("method", "GET"))
    if scope["type"] == "http":
        headers = [*headers, (b"content-type", body.kind), (b"x-content-type-options", b"nosniff")]
        await respond(send, body.status, body.content, headers)
    elif isinstance(error, UnknownSession) and who.protocol.allows_transport_switch:
        acceptance = Acceptance.of(scope, config)
        await RoamingWebSocket(receive, send, acceptance).turn_away([body.content.decode()])
    else:
        headers = [*headers, (b"content-type", b"text/html"), (b"connection", b"close")]
        await deny(scope, send, error.status, error.message.encode(), headers)
