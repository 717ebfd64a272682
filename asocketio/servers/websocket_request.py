"""The request that asks for a websocket: read from bytes, answered with 101, and as an ASGI scope."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote

from asocketio.asgi.types import Headers

__all__ = ["Upgraded", "read_request", "short_form", "switching"]

_ONCE = (b"origin", b"sec-websocket-key", b"sec-websocket-version")
_LISTS = (b"connection", b"upgrade", b"sec-websocket-protocol", b"sec-websocket-extensions")
"""Fields that may come in several lines, which are one list (RFC 9110, 5.3). Clients built on websocket-client repeat
``Connection``."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A well-formed request for a websocket."""

    path: str
    raw_path: bytes
    query: bytes
    headers: Headers
    key: bytes
    subprotocols: list[str]


def read_request(head: bytes) -> Upgraded | None:
    """The request in ``head``, which uvicorn has parsed and written out again; None if it is not a plain one.

    What None stands for is refused by those who know all of HTTP.
    """
    line, *lines = head[:-4].split(b"\r\n")
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if method != b"GET" or version != b"HTTP/1.1" or not head.endswith(b"\r\n\r\n") or not target.isascii():
        return None
    headers: Headers = []
    named: dict[bytes, bytes] = {}
    for each in lines:
        name, separator, value = each.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if not separator or (name in named and name in _ONCE):
            return None
        headers.append((name, value))
        named[name] = named[name] + b", " + value if name in named and name in _LISTS else value
    key = named.get(b"sec-websocket-key", b"")
    if named.get(b"sec-websocket-version") != b"13" or not _is_key(key):
        return None
    if not (
        b"websocket" in _tokens(named.get(b"upgrade", b"")) and b"upgrade" in _tokens(named.get(b"connection", b""))
    ):
        return None
    raw_path, _, query = target.partition(b"?")
    offered = named.get(b"sec-websocket-protocol", b"").decode("latin-1")
    subprotocols = [token.strip() for token in offered.split(",")] if offered else []
    return Upgraded(unquote(raw_path.decode("ascii")), raw_path, query, headers, key, subprotocols)


SHORT = 2000
"""Bytes of the URL, and of the extensions that are offered, in a `short_form`."""


def short_form(request: Upgraded) -> bytes:
    """The request once more, for who only has to answer it: what the application sees is in its scope.

    The ``websockets`` package gives up, without an answer, where a line has over 8 kB or there are over 128 of them.
    """
    target = request.raw_path + (b"?" + request.query if request.query else b"")
    offered = b", ".join(value for name, value in request.headers if name == b"sec-websocket-extensions")
    extensions = b"Sec-WebSocket-Extensions: " + offered + b"\r\n" if 0 < len(offered) <= SHORT else b""
    return (
        b"GET " + target[:SHORT] + b" HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + request.key + b"\r\n" + extensions + b"\r\n"
    )  # fmt: skip


def _tokens(value: bytes) -> list[bytes]:
    """The elements of a list, in lower case. Empty ones are none (RFC 9110, 5.6.1.2)."""
    tokens = [token for each in value.lower().split(b",") if (token := each.strip(b" \t"))]
    return tokens if all(map(_TOKEN.fullmatch, tokens)) else []


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def switching(key: bytes, headers: Headers) -> bytes:
    """The answer that opens the websocket."""
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    more = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept + b"\r\n" + more + b"\r\n"
    )  # fmt: skip
