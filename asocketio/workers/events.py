"""The scope and the messages of an ASGI call as frames, and back.

What is frequent or large, the content of websocket messages and of bodies, goes as it is; all else as JSON. Only plain
fields pass: what a server or middleware has put into the scope stays in the process in which it is.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from asocketio.asgi.types import Headers, Message, Scope
from asocketio.workers.link import Frame

__all__ = [
    "BODY",
    "BYTES",
    "END",
    "EVENT",
    "LAST_BODY",
    "OPEN",
    "RELEASE",
    "TEXT",
    "Forwarded",
    "MalformedFrame",
    "decode",
    "decode_opening",
    "encode",
    "encode_opening",
]

OPEN = 1
"""The first frame: the request."""
EVENT = 2
"""A message of ASGI as JSON."""
TEXT = 3
BYTES = 4
"""The content of a websocket message."""
BODY = 5
LAST_BODY = 6
"""A part of a body."""
RELEASE = 7
"""Answer a poll that waits: the worker that met it is closing."""
END = 8
"""The worker that has the session is done, and will say nothing more."""

_PLAIN = ("type", "method", "path", "root_path", "scheme", "http_version", "client", "server", "subprotocols")
_EXTENSIONS = ("websocket.http.response",)
_FIELDS = ("type", "status", "code", "reason", "subprotocol", "more_body")


class MalformedFrame(Exception):
    """A sibling sent what none of this version sends."""


class Forwarded(NamedTuple):
    """A request that a sibling met, of the session ``sid``.

    ``headers`` are for its answer, ``below`` is what follows our path in its URL.
    """

    sid: str
    scope: Scope
    below: str
    headers: Headers


def encode_opening(forwarded: Forwarded) -> Frame:
    """The first frame."""
    scope = forwarded.scope
    extensions = scope.get("extensions") or {}
    return _json(
        OPEN,
        {
            **{field: scope[field] for field in _PLAIN if field in scope},
            "query_string": scope["query_string"].decode("latin-1"),
            "headers": _as_text(scope["headers"]),
            "extensions": [name for name in _EXTENSIONS if name in extensions],
            "sid": forwarded.sid,
            "below": forwarded.below,
            "answer": _as_text(forwarded.headers),
        },
    )


def decode_opening(frame: Frame) -> Forwarded:
    """The request.

    Raises:
        MalformedFrame: it is none.
    """
    try:
        scope = _parsed(frame, OPEN)
        sid, below, headers = str(scope.pop("sid")), str(scope.pop("below")), _as_bytes(scope.pop("answer"))
        scope["query_string"] = scope["query_string"].encode("latin-1")
        scope["headers"] = _as_bytes(scope["headers"])
        scope["extensions"] = {str(name): {} for name in scope["extensions"]}
        if scope["type"] not in ("http", "websocket"):
            raise MalformedFrame(f"a request of type {scope['type']!r:.50}")
        scope["path"] = str(scope["path"])
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise MalformedFrame(f"a request without its fields: {error!r}") from error
    return Forwarded(sid, scope, below, headers)


def encode(message: Message) -> Frame:
    """A message of a server or of an application."""
    kind = message["type"]
    if kind in ("websocket.receive", "websocket.send"):
        text: str | None = message.get("text")
        if text is None:
            return Frame(BYTES, message.get("bytes") or b"")
        return Frame(TEXT, text.encode("utf-8", "surrogatepass"))
    if kind in ("http.request", "http.response.body"):
        return Frame(BODY if message.get("more_body") else LAST_BODY, message.get("body", b""))
    plain: dict[str, Any] = {field: message[field] for field in _FIELDS if field in message}
    if "headers" in message:
        plain["headers"] = _as_text(message["headers"])
    if "body" in message:
        plain["body"] = message["body"].decode("latin-1")
    return _json(EVENT, plain)


def decode(frame: Frame, content: str, body: str) -> Message:
    """A message. ``content`` is the type of those of a websocket, ``body`` that of those with a part of a body.

    Raises:
        MalformedFrame: it is none.
    """
    kind, payload = frame
    if kind == TEXT:
        try:
            return {"type": content, "text": payload.decode("utf-8", "surrogatepass")}
        except UnicodeError as error:
            raise MalformedFrame(str(error)) from error
    if kind == BYTES:
        return {"type": content, "bytes": payload}
    if kind in (BODY, LAST_BODY):
        return {"type": body, "body": payload, "more_body": kind == BODY}
    try:
        message = _parsed(frame, EVENT)
        if "headers" in message:
            message["headers"] = _as_bytes(message["headers"])
        if "body" in message:
            message["body"] = message["body"].encode("latin-1")
        message["type"] = str(message["type"])
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise MalformedFrame(f"a message without its fields: {error!r}") from error
    return message


def _json(kind: int, value: Any) -> Frame:
    return Frame(kind, json.dumps(value).encode())


def _parsed(frame: Frame, expected: int) -> dict[str, Any]:
    if frame.kind != expected:
        raise MalformedFrame(f"a frame of kind {frame.kind}, expected {expected}")
    try:
        value: Any = json.loads(frame.payload)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("a frame that is no JSON") from error
    if not isinstance(value, dict):
        raise MalformedFrame("a frame that is no JSON object")
    return value


def _as_text(headers: Any) -> list[list[str]]:
    return [[str(name, "latin-1"), str(value, "latin-1")] for name, value in headers]


def _as_bytes(headers: Any) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
