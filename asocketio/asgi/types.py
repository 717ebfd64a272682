"""The types of ASGI: a scope, its messages, and the two callables of a call. Source: ASGI specification 3.0."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["TOKEN", "ASGIApp", "Headers", "Message", "Receive", "Scope", "Send", "header"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A name in a header field (RFC 9110, 5.6.2)."""


def header(scope: Scope, name: bytes) -> str:
    """The last value of a request header, or ``""``. ``name`` is in lower case."""
    found = dict(scope["headers"]).get(name)  # quicker than a loop over them, and browsers send fifteen
    return found.decode("latin-1") if found else ""
