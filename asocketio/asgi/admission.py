"""Who may open a session: how many there are in total, and from one address; and which request one belongs to."""

from __future__ import annotations

import re
import secrets
from collections import Counter

from asocketio.asgi.types import Scope
from asocketio.config import Config
from asocketio.errors import Unavailable, UnknownSession
from asocketio.metrics import Metrics

__all__ = ["Admission", "address_of", "check_pin", "pin_of"]

_TOKEN = re.compile(r"[A-Za-z0-9_-]{20}")  # 120 random bits, as `secrets.token_urlsafe` writes them


class Admission:
    """Counts the sessions of one server."""

    __slots__ = ("_addresses", "_config", "_metrics", "count")

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self.count = 0
        self._config = config
        self._metrics = metrics
        self._addresses: Counter[str] = Counter()

    def enter(self, address: str) -> None:
        """A session more.

        Raises:
            Unavailable: there are ``max_sessions``, or ``max_sessions_per_address``, already.
        """
        most = self._config.max_sessions
        if self.count >= most:
            self._metrics.limited("max_sessions")
            raise Unavailable(f"{most} sessions are open (max_sessions)")
        most_of_one = self._config.max_sessions_per_address
        if most_of_one is not None and address:
            if self._addresses[address] >= most_of_one:
                self._metrics.limited("max_sessions_per_address")
                raise Unavailable(f"{address} has {most_of_one} sessions open (max_sessions_per_address)")
            self._addresses[address] += 1
        self.count += 1

    def leave(self, address: str) -> None:
        """A session less."""
        self.count -= 1
        if address in self._addresses:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]


def address_of(scope: Scope) -> str:
    """The client's address as the server tells it; ``""`` where it does not. Never one that a header claims."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def pin_of(scope: Scope, config: Config) -> str | None:
    """What requests of the session that ``scope`` asks for will have to show; None where it is not pinned."""
    if config.pin == "address":
        return address_of(scope)
    if config.pin == "cookie":
        # One that the browser has is kept: all its pages share it, and a new one would shut the others out.
        found = _cookie(scope, config)
        return found if _TOKEN.fullmatch(found) else secrets.token_urlsafe(15)
    return None


def check_pin(pin: str | None, scope: Scope, config: Config) -> None:
    """Refuse a request that knows a session's id, but does not come from where the session was opened.

    Raises:
        UnknownSession: it does not; nothing tells it from an id that was never given.
    """
    if pin is None:
        return
    shown = address_of(scope) if config.pin == "address" else _cookie(scope, config)
    if not secrets.compare_digest(shown.encode(), pin.encode()):
        raise UnknownSession(f"a session that is pinned to another {config.pin} (pin)")


def _cookie(scope: Scope, config: Config) -> str:
    """The value of our cookie.

    HTTP/2 may bring each cookie in a field of its own (RFC 9113, 8.2.3), and what joins fields as lists puts commas
    between cookies. No value of ours has one. What follows a semicolon counts first: a comma may be in another's value.
    """
    assert config.cookie is not None
    fields = [cookies for field, cookies in scope["headers"] if field == b"cookie"]
    wanted = config.cookie.encode()
    for separator in (rb";", rb"[;,]"):
        for cookies in fields:
            for part in re.split(separator, cookies):
                name, _, value = part.strip().partition(b"=")
                if name == wanted:
                    return str(value.partition(b",")[0].strip(), "latin-1")
    return ""
