"""Handshake: the request that opened a session, as far as the session needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import time
from typing import Any
from urllib.parse import quote

from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.query import read_query
from asocketio.session.carrier import Carrier, PendingView

__all__ = ["Handshake", "PendingHandshake"]


@dataclass(slots=True)
class Handshake:
    """What the request of a session said."""

    address: str = ""
    """The client's address, as the server tells it."""
    query_string: bytes = b""
    """Of its URL: the one in the scope, not a copy."""
    reserved_fields: frozenset[str] = frozenset()
    """The fields of it that are the protocol's."""
    raw_path: bytes = b""
    """The path of its URL as it was sent, where its server may serve the session's polls by itself."""
    pin: str | None = None
    """What the session's other requests have to show, see `asocketio.asgi.admission`."""
    text_only: bool = False
    """The client cannot take binary polling bodies."""
    encoded_twice: bool = False
    """The client encodes text twice in polling bodies (1.x), and reads it so."""
    time: float = field(default_factory=time)
    """When it came."""

    @property
    def query(self) -> Mapping[str, str]:
        """The fields of the URL that are the program's own. Not kept: they take many times their size."""
        fields = read_query(self.query_string.decode("latin-1"))
        return {name: value for name, value in fields.items() if name not in self.reserved_fields}

    def describe(self, scope: Mapping[str, Any], auth: Mapping[str, Any]) -> HandshakeInfo:
        """It as programs see it. ``scope`` is the session's, which has the header fields."""
        raw = scope.get("raw_path") or quote(scope.get("path", "")).encode()
        query = b"?" + self.query_string if self.query_string else b""
        return HandshakeInfo(
            self.address,
            self.time,
            scope.get("scheme") in ("https", "wss"),
            (raw.partition(b"?")[0] + query).decode("latin-1"),
            auth,
            scope.get("headers", ()),
            self.reserved_fields,
        )


class PendingHandshake:
    """A handshake that is not answered yet: the transport that will answer it, and the view that decides on it."""

    __slots__ = ("transport", "view")

    def __init__(self, transport: Carrier) -> None:
        self.transport = transport
        self.view: PendingView | None = None
        """The view's call, where a view decides."""
