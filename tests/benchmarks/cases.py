"""What is measured: each case is one load on a fresh server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CASES", "GROWTH", "Case"]

Kind = Literal["echo", "binary", "fanout", "rooms", "connect", "poll", "idle"]


@dataclass(frozen=True, slots=True)
class Case:
    """One load. What counts as a message depends on ``kind``: see ``MESSAGE``."""

    name: str
    kind: Kind
    clients: int
    window: int = 1
    """Acks that a client awaits at a time."""
    size: int = 32
    """Bytes of payload."""
    rooms: int = 0
    speakers: int = 0
    """Clients that speak in rooms; 0: all."""

    @property
    def message(self) -> str:
        """What one message is."""
        return MESSAGE[self.kind]


MESSAGE: dict[Kind, str] = {
    "echo": "event and its ack",
    "binary": "event and its ack",
    "fanout": "delivery",
    "rooms": "delivery",
    "connect": "handshake",
    "poll": "event and its ack",
    "idle": "connection",
}

ROOM = 10
"""Members of a room."""

_all = [
    Case("echo-50", "echo", 50),
    Case("echo-50x16", "echo", 50, window=16),
    Case("fanout-1000", "fanout", 1000),
    Case("rooms-1000", "rooms", 1000, rooms=100),
    Case("connect-2000", "connect", 2000),
    Case("binary-1k", "binary", 50, size=1024),
    Case("binary-64k", "binary", 50, size=65536),
    Case("poll-100", "poll", 100),
    Case("idle", "idle", 2000),
]
CASES = {case.name: case for case in _all}

_sizes = {"10B": 10, "1kB": 1000, "100kB": 100_000, "1MB": 1_000_000}
# The same traffic among ever more of something: a flat row is what one hopes for.
_growth = [
    *(Case(f"clients-{count}", "echo", count) for count in (100, 1000, 5000, 10_000, 20_000)),
    *(Case(f"rooms-of-{count}", "rooms", 1000, rooms=count, speakers=ROOM) for count in (1, 100, 10_000)),
    *(Case(f"payload-{name}", "echo", 10, size=size) for name, size in _sizes.items()),
]
GROWTH = {case.name: case for case in _growth}
