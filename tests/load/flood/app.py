"""The server under attack: handlers that an adversary can use, and a control path that tells what the server holds.

``GET /stats`` answers with `Stats` as JSON, after a collection of garbage; everything else is Socket.IO. The settings
of the application are JSON in the environment, under `SETTINGS`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any, TypedDict

from asocketio import BaseNamespace, BroadcastMixin, ConnectionRefused, RoomsMixin, SocketIOApp
from tests.support.forms import served

__all__ = ["SETTINGS", "Stats", "app"]

SETTINGS = "FLOOD_SETTINGS"
PAUSE = 0.001
"""Seconds for which the slow handler awaits."""


class Stats(TypedDict):
    """What the server holds now, and what it has seen so far."""

    sockets: int
    active_sessions: int
    members: int
    rooms: int
    tasks: int
    fds: int
    rss: int
    joined: int
    left: int
    warnings: int
    errors: int
    runs: dict[str, str]
    """On what, see `tests.support.forms.served`."""
    said: dict[str, int]
    """How often each line was logged at WARNING or above, by its unformatted text."""


class _Said(logging.Handler):
    """Counts what is logged at WARNING or above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: Counter[tuple[int, str]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = str(record.msg).partition(" object at ")[0][:200]  # the same line for all
        self.lines[record.levelno, text if error is None else f"{text}: {error!r}"] += 1

    def count(self, least: int, most: int) -> int:
        return sum(number for (level, _), number in self.lines.items() if least <= level < most)


_said = _Said()
for _name in ("asocketio", "uvicorn.error", "asyncio"):
    logging.getLogger(_name).addHandler(_said)
_counts: Counter[str] = Counter()


class Anything(BaseNamespace, RoomsMixin, BroadcastMixin):
    """Does what it is asked, as a careless program would."""

    def recv_connect(self) -> None:
        _counts["joined"] += 1

    def recv_disconnect(self) -> None:
        _counts["left"] += 1

    def on_echo(self, *args: Any) -> tuple[Any, ...]:
        return args

    def on_nothing(self, *args: Any) -> None:
        """Only an ack."""

    async def on_slow(self, *args: Any) -> None:
        await asyncio.sleep(PAUSE)

    def on_join(self, room: str) -> None:
        self.join(room)

    def on_leave(self, room: str) -> None:
        self.leave(room)

    async def on_spam(self, room: str, size: int) -> None:
        await self.emit_to_room(room, "spam", "x" * size)

    async def on_say(self, room: str, what: Any) -> None:
        await self.emit_to_room(room, "said", what)


class Closed(BaseNamespace):
    """Lets nobody in."""

    def recv_connect(self) -> None:
        raise ConnectionRefused("closed")


def _stats() -> Stats:
    gc.collect()
    local = app.server.adapter.local
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "sockets": len(app.server.sockets),
        "active_sessions": app.server.active_sessions,
        "members": sum(map(len, local.namespaces.values())),
        "rooms": len(local.rooms),
        "tasks": len(asyncio.all_tasks()),
        "fds": len(os.listdir("/proc/self/fd")),
        "rss": pages * os.sysconf("SC_PAGE_SIZE"),
        "joined": _counts["joined"],
        "left": _counts["left"],
        "warnings": _said.count(logging.WARNING, logging.ERROR),
        "errors": _said.count(logging.ERROR, 1000),
        "runs": served(),
        "said": {text: number for (_, text), number in _said.lines.items()},
    }


async def control(scope: Any, receive: Any, send: Any) -> None:
    """The path of the one who watches."""
    if scope["type"] != "http":
        raise RuntimeError(f"{scope['type']!r}: only HTTP is served here")
    body = json.dumps(_stats()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


app = SocketIOApp(
    control,
    namespaces={"/": Anything, "/one": Anything, "/two": Anything, "/closed": Closed},
    **json.loads(os.environ.get(SETTINGS, "{}")),
)
