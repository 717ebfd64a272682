"""HTTP responses and bounded request bodies over ASGI."""

from __future__ import annotations

from collections.abc import Sequence

from asocketio.asgi.types import Headers, Message, Receive, Scope, Send, header
from asocketio.errors import Disconnected, PayloadTooLarge
from asocketio.protocol.base import Body
from asocketio.runtime.log import log
from asocketio.session.close_reasons import TRANSPORT_ERROR

__all__ = ["NO_STORE", "PLAIN", "answer", "connection_close_headers", "read_body", "refuse", "respond", "try_send"]

NO_STORE = (b"cache-control", b"no-store")
PLAIN = NO_STORE, (b"x-content-type-options", b"nosniff")
"""Header fields of each answer that has a body."""


async def respond(
    send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = (), prefix: str = ""
) -> None:
    """Send a whole response. ``prefix`` is ``"websocket."`` where it refuses a websocket."""
    length = (b"content-length", str(len(body)).encode())
    start = {"type": f"{prefix}http.response.start", "status": status, "headers": [*headers, length]}
    try:
        await send(start)
        await send({"type": f"{prefix}http.response.body", "body": body})
    except Exception as error:  # as in `try_send`
        log.debug("the peer has gone before its answer %d: %r", status, error)


async def answer(send: Send, body: Body, headers: Headers) -> None:
    """Answer a client's request."""
    await respond(send, body.status, body.content, [(b"content-type", body.kind), *PLAIN, *headers])


async def refuse(send: Send, status: int, headers: Headers) -> None:
    """Answer a client's request with a status alone."""
    await respond(send, status, b"", [NO_STORE, *headers])


async def try_send(send: Send, message: Message) -> bool:
    """Send a message; False when the peer has gone, which servers say by raising all kinds of things."""
    try:
        await send(message)
    except Exception as error:
        log.debug("the peer has gone before its %s: %r", message["type"], error)
        return False
    return True


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body of a request, refused while it arrives if it is too large.

    Raises:
        PayloadTooLarge: it has, or announces, more than ``limit`` bytes.
        Disconnected: the peer went away in the middle.
    """
    announced = header(scope, b"content-length")
    if announced.isascii() and announced.isdigit() and int(announced[:18]) > limit:
        raise PayloadTooLarge(
            f"a body of {announced[:18]} bytes, at most {limit} are taken (max_payload)", "max_payload"
        )
    body: bytes | bytearray = b""
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected(TRANSPORT_ERROR)
        chunk: bytes = message.get("body", b"")
        if len(body) + len(chunk) > limit:
            error = PayloadTooLarge(f"a body of over {limit} bytes (max_payload)", "max_payload")
            error.rest = message.get("more_body", False)
            raise error
        more = message.get("more_body", False)
        if not body and not more:
            return chunk
        if not isinstance(body, bytearray):
            body = bytearray()
        body += chunk  # one buffer: a hundred thousand chunks are no hundred thousand objects
        if not more:
            return bytes(body)


def connection_close_headers(scope: Scope) -> Headers:
    """What makes the answer to a request the last one on its connection.

    A server that ends waits for its connections, also for one that it forgot to close and that never falls silent.
    From HTTP/2 on a connection is not an answer's business (RFC 9113, 8.2.2).
    """
    if scope["type"] != "http" or not str(scope.get("http_version", "")).startswith("1"):
        return []
    return [(b"connection", b"close")]
