"""Acceptance: how a websocket is accepted. Source: RFC 6455, 1.9 and 4.2.2 (subprotocols)."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from asocketio.asgi.types import TOKEN, Headers, Message, Scope
from asocketio.config import Config
from asocketio.errors import UsageError

__all__ = ["PLAIN", "Acceptance", "choose_subprotocol"]


class Acceptance(NamedTuple):
    """What a websocket is accepted with."""

    subprotocol: str | None = None
    text_only: bool = False
    """What is binary goes out as base64 in a text: the client takes no binary (``b64=1``)."""

    @classmethod
    def of(cls, scope: Scope, config: Config, *, text_only: bool = False) -> Acceptance:
        """That of a request, with the subprotocol that is chosen for it."""
        return cls(choose_subprotocol(scope, config), text_only)

    def message(self, headers: Headers | None = None) -> Message:
        """The ASGI message that accepts it."""
        message: Message = {"type": "websocket.accept", "headers": headers or []}
        return message if self.subprotocol is None else {**message, "subprotocol": self.subprotocol}

    @property
    def headers(self) -> Headers:
        """The same as header fields, for a response that is written as bytes."""
        return [] if self.subprotocol is None else [(b"sec-websocket-protocol", self.subprotocol.encode())]


PLAIN = Acceptance()


def choose_subprotocol(scope: Scope, config: Config) -> str | None:
    """The subprotocol that a websocket gets of those that its client offers; None where it offers none.

    A browser, and the ``ws`` package, drop a connection that accepts none of what they offered. So the first one is
    taken, as Node does, unless the setting says otherwise.

    Raises:
        UsageError: the program's function chose what was not offered.
    """
    offered: list[str] = [name for name in scope.get("subprotocols") or () if TOKEN.fullmatch(name)]
    if not offered or scope["type"] != "websocket":
        return None
    wanted = config.subprotocols
    if wanted is None:
        return offered[0]
    if isinstance(wanted, Collection):
        return next((name for name in offered if name in wanted), None)
    chosen: object = wanted(offered, scope)
    if chosen is not None and chosen not in offered:
        raise UsageError(f"subprotocols chose {chosen!r}, expected None or one of those offered: {offered}")
    return None if chosen is None else str(chosen)
