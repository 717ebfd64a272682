"""Rates: how often one client may send events. A token bucket for each limit, and one for all events together.

A limit names an event, and counts what reaches the same handler: an event may have several spellings, and several
names. Where no handler tells, the name itself counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from asocketio.protocol.packet import Packet, PacketType
from asocketio.session.handlers import Handlers

__all__ = ["ALL", "CONNECT", "Rates"]

ALL = "*"
"""The name of the limit for all events together."""
CONNECT = "connect"
"""The name of the limit for the joining of namespaces. No event may be called so."""
MESSAGE = "message"
"""The name of the limit for what clients ``send()``, whichever method hears it."""

_HEARS = {PacketType.MESSAGE: "recv_message", PacketType.JSON: "recv_json", PacketType.ERROR: "recv_error"}
_MESSAGES = frozenset(_HEARS.values())


class Rates:
    """The buckets of one client. ``limits`` maps events to ``(count, seconds)``: so many fit in, filled in so long."""

    __slots__ = ("_left", "_limits", "_names")

    def __init__(self, limits: Mapping[str, tuple[int, float]]) -> None:
        self._limits = limits
        self._names = tuple(limits)
        self._left: dict[str, tuple[float, float]] = {}  # tokens, and when that was, by limit

    def allow(self, packet: Packet, handlers: Handlers, now: float) -> bool:
        """Whether the packet may be handled; if so, it counts. ``handlers`` are those of its namespace."""
        names = self._limits_of(packet, handlers)
        tokens = [self._tokens(name, now) for name in names]
        if any(left < 1 for left in tokens):
            return False
        for name, left in zip(names, tokens, strict=True):
            self._left[name] = left - 1, now
        return True

    def _limits_of(self, packet: Packet, handlers: Handlers) -> tuple[str, ...]:
        """The limits that count the packet."""
        if packet.type is PacketType.CONNECT:
            return tuple(name for name in self._names if name in (ALL, CONNECT))
        method = _HEARS.get(packet.type) or _reached(packet.name, handlers)
        if method is None:
            name = packet.name.replace(" ", "_")
            return tuple(each for each in self._names if each == ALL or each.replace(" ", "_") == name)
        return _counting(self._names, handlers, method)

    def _tokens(self, name: str, now: float) -> float:
        count, seconds = self._limits[name]
        if name not in self._left:
            return count
        left, then = self._left[name]
        return min(count, left + (now - then) * count / seconds)


def _reached(event: str, handlers: Handlers) -> str | None:
    """The method that handles an event."""
    return handlers.find(event) or handlers.catch_all


@lru_cache(1000)
def _counting(names: tuple[str, ...], handlers: Handlers, method: str) -> tuple[str, ...]:
    """The limits among ``names`` that count what reaches ``method``."""
    return tuple(
        name
        for name in names
        if name == ALL
        or (name != CONNECT and _reached(name, handlers) == method)
        or (name == MESSAGE and method in _MESSAGES)
    )
