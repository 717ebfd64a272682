"""What the server under test sees, counts and finds wrong. Runs inside the server process."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from asocketio import SocketIOApp
from tests.support.forms import served

__all__ = ["LEDGER", "REASONS", "Ledger", "Seat"]

REASONS = frozenset(
    {
        "transport close",
        "transport error",
        "ping timeout",
        "client namespace disconnect",
        "server namespace disconnect",
        "server shutting down",
        "forced server close",
        "forced close",
        "parse error",
    }
)
"""What ``recv_disconnect`` may be told."""
FOR_RUDE = frozenset({"parse error", "forced close"})
"""Reasons that only those may be given who break the protocol, as a request that comes twice may do."""
KEPT = 50
"""Violations and log records that are kept with their text; all are counted."""

# Lines that what the clients do is bound to cause; each is a part of a message.
EXPECTED = (
    "Session ID unknown",
    "while one is served",
    "does not keep up",
    "blocked the event loop",
    "the event loop was blocked",
    "uvicorn takes websocket messages of up to",
    "timeout graceful shutdown exceeded",
    "is still running",
    "was still running after close_grace: cancelled",
    "recv_disconnect was cancelled after close_grace",
    "polling on a session that has a websocket",
    "a poll that crossed the upgrade",
    "it floods",
    "RuntimeError('boom')",
    "handler_error: ",
    "websocket message",
    "client broke the protocol: ",
    "dropped what broke the protocol: ",
    "a new socket while the server is closing",
    "ASGI callable returned without completing handshake",
    "Bad request: ",
)
# Of types that should not outlive their clients.
KINDS = (
    *("Socket", "Member", "Chaos", "Dispatcher", "HandlerCall", "Outbox", "Acks", "Poll", "Post", "IncomingBody"),
    *(
        "Connection",
        "ServerWebSocket",
        "Upgrading",
        "WebSocketProtocol",
        "TakeoverHandshake",
        "PollingHandshake",
        "RoamingWebSocket",
    ),
    *("Upgrade", "UpgradingWebSocket", "WebSocketHandshake", "_UvicornWebSocket", "WebSocketsSansIOProtocol"),
    "PooledTask",  # uvicorn's HTTP objects live on with their keep-alive timers
)


class Seat:
    """One client in one namespace, as the server's handlers see it."""

    __slots__ = ("handling", "last", "loose", "marks", "number", "out", "state", "who")

    def __init__(self, number: int) -> None:
        self.number = number
        self.who = "?"
        self.marks: frozenset[str] = frozenset()
        self.loose = False
        """Its requests are doubled or reordered: nothing is known of their order."""
        self.state = "new"
        self.last = -1
        self.out = 0
        self.handling = 0


class Ledger:
    """Counts, and the list of what went wrong."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        """Log records that were to be expected, by their kind."""
        self.violations: Counter[str] = Counter()
        self.inside: dict[int, Seat] = {}
        """Those whose ``recv_connect`` has ended well, and whose ``recv_disconnect`` has not begun."""
        self.news = 0
        self._numbers = itertools.count(1)

    def seat(self) -> Seat:
        """A new one."""
        return Seat(next(self._numbers))

    def violation(self, who: str, what: str) -> None:
        """Something that must never happen."""
        self.counts["violations"] += 1
        text = f"server, client {who}: {what}"
        if text in self.violations or len(self.violations) < KEPT:
            self.violations[text] += 1

    def came(self, seat: Seat) -> None:
        """``recv_connect`` has ended well."""
        if seat.state != "connecting":
            self.violation(seat.who, f"recv_connect ended while the seat was {seat.state}")
        seat.state = "in"
        self.inside[seat.number] = seat
        self.counts["connected"] += 1

    def left(self, seat: Seat, reason: str) -> None:
        """``recv_disconnect`` has begun."""
        self.reasons[reason] += 1
        if seat.state != "in":
            self.violation(seat.who, f"recv_disconnect({reason!r}) of a seat that was {seat.state}")
        seat.state = "left"
        self.inside.pop(seat.number, None)
        if seat.handling:
            self.violation(seat.who, f"recv_disconnect({reason!r}) while {seat.handling} of its handlers run")
        if reason not in REASONS:
            self.violation(seat.who, f"recv_disconnect was given {reason!r}")
        if reason in FOR_RUDE and not (seat.loose or "rude" in seat.marks):
            self.violation(seat.who, f"recv_disconnect was given {reason!r}, and the client did nothing of the kind")

    def said(self, seat: Seat, number: int) -> None:
        """The client's event with this number has come to its handler."""
        self.counts["events in"] += 1
        if seat.state != "in":
            self.violation(seat.who, f"event {number} came to a seat that was {seat.state}")
        if number != seat.last + 1 and not seat.loose:
            self.violation(seat.who, f"event {number} came after {seat.last}")
        seat.last = number

    def watch(self) -> None:
        """Hear what is logged from WARNING on, and what nobody caught."""
        handler = _Watch(self)
        for name in ("", "asocketio", "uvicorn"):  # those that do not pass on what they are told
            logger = logging.getLogger(name)
            if handler not in logger.handlers:
                logger.addHandler(handler)
        sys.unraisablehook = self._unraisable

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        self.violation("?", f"unraisable: {what.err_msg} {what.object!r} {what.exc_value!r}")

    def stats(self, app: SocketIOApp, deep: bool) -> dict[str, Any]:
        """All figures; ``deep`` counts objects too, before and after the collector has run."""
        registry, rooms = app.server, app.server.adapter.local
        gauges = {
            "sockets": len(registry.sockets),
            "active_sessions": registry.active_sessions,
            "deadlines": _deadlines(app),
            "namespaces": len(rooms.namespaces),
            "rooms": len(rooms.rooms),
            "seats": len(self.inside),
            "tasks": len(asyncio.all_tasks()),
            "fds": len(os.listdir("/proc/self/fd")),
        }
        found: dict[str, Any] = {
            "gauges": gauges,
            "runs": served(),
            "rss": _rss(),
            "counts": dict(self.counts),
            "reasons": dict(self.reasons),
            "records": dict(self.records),
            "violations": [f"{text} ({count} times)" for text, count in self.violations.items()],
        }
        if deep:
            found["objects"] = _objects()
            gc.collect()
            found["objects after gc"] = _objects()
            found["names of tasks"] = sorted(repr(task.get_coro())[:160] for task in asyncio.all_tasks())
            members = {member for room in rooms.rooms.values() for member in room}
            seats = [*self.inside.values(), *(getattr(member.namespace, "seat", None) for member in members)]
            found["left"] = [f"{seat.who} {sorted(seat.marks)} {seat.state} {seat.handling}" for seat in seats if seat]
        return found


class _Watch(logging.Handler):
    """Finds what nobody expected in the log."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(logging.WARNING)
        self._ledger = ledger

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "seen_by_chaos", False):
            return  # it came by two loggers
        record.seen_by_chaos = True
        text = record.getMessage()
        kind = next((part for part in EXPECTED if part in text), None)
        if kind is not None:
            self._ledger.records[kind] += 1
            return
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._ledger.violation("?", f"log {record.levelname} {record.name}: {text}\n{trace}".rstrip())


def _deadlines(app: SocketIOApp) -> int:
    """Entries on the lines of the registry's timer."""
    timers: Any = getattr(app.server, "timers", None)
    return sum(map(len, timers.deadlines._lines)) if timers is not None else 0


def _objects() -> dict[str, int]:
    """How many there are of each of `KINDS`."""
    found = Counter(
        type(each).__name__ for each in gc.get_objects() if not str(type(each).__module__).startswith("h11")
    )
    return {name: found[name] for name in KINDS if found[name]}


def _rss() -> int:
    """Bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


LEDGER = Ledger()
