"""What the wire fuzzer talks to: a `SocketIOApp` with namespaces, one with a view, and paths that tell how it is.

All times are short, so that whatever a client leaves behind is gone soon. No handler raises, whatever it is sent: a
traceback in the log is not this module's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from pathlib import Path
from typing import Any

from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    ConnectionRefused,
    RoomsMixin,
    SocketIOApp,
    event,
    socketio_manage,
)
from asocketio.asgi.types import Receive, Scope, Send
from asocketio.errors import SocketIOError
from asocketio.servers import connection
from asocketio.session import session_table
from tests.support.forms import served

__all__ = ["LIFE", "MAX_PAYLOAD", "SETTINGS", "app"]

MAX_PAYLOAD = 20_000
SETTINGS: dict[str, Any] = {
    "ping_interval": 0.3,
    "ping_timeout": 0.6,
    "heartbeat_interval": 0.3,
    "heartbeat_timeout": 0.6,
    "close_timeout": 1.0,
    "polling_duration": 0.3,
    "connect_timeout": 1.0,
    "upgrade_timeout": 1.0,
    "send_timeout": 1.0,
    "close_grace": 1.0,
    "max_payload": MAX_PAYLOAD,
    "max_backlog": 50_000,
    "max_backlog_packets": 50,
    "max_outbox": 200_000,
    "max_pending_acks": 20,
    "cors_allowed_origins": ["http://friend.example", "https://other.example:8443"],
}
LIFE = 4.0
"""Seconds after which the server has ended whatever is silent: more than any two of the times above together."""

# As for the settings: what is left behind must be gone soon.
connection.CLOSE_TIMEOUT = 1.0
session_table.GONE_SESSION_TTL = 1.0


class Main(BaseNamespace, RoomsMixin, BroadcastMixin):
    """Handlers that take whatever comes."""

    def recv_connect(self, auth: Any) -> None:
        if isinstance(auth, dict) and auth.get("refuse"):
            raise ConnectionRefused("no", {"why": "asked for it"})

    def on_echo(self, *args: Any) -> Any:
        return args

    async def on_slow(self, *args: Any) -> int:
        await asyncio.sleep(0.05)
        return len(args)

    def on_join(self, *rooms: Any) -> None:
        for room in rooms[:5]:
            self.join(str(room)[:20])

    def on_leave(self, *rooms: Any) -> None:
        for room in rooms[:5]:
            self.leave(str(room)[:20])

    async def on_say(self, *args: Any) -> None:
        await self.emit_to_room("lobby", "said", *args[:3])

    async def on_all(self, *args: Any) -> None:
        await self.broadcast_event("all", *args[:3])

    async def on_flood(self, *args: Any) -> None:
        for number in range(40):
            await self.emit("n", number, "x" * 2000)

    async def on_ask(self, *args: Any) -> str:
        try:
            await self.call("add", 1, 2, timeout=0.2)
        except SocketIOError as error:
            return type(error).__name__
        return "answered"

    def on_later(self, *args: Any) -> None:
        self.spawn(self._tick)

    async def _tick(self) -> None:
        for number in range(5):
            await self.emit("tick", number)
            await asyncio.sleep(0.02)

    def on_binary(self, *args: Any) -> Any:
        return b"\x00\x01" if self.socket.protocol.generation != "0.9" else "none"

    async def on_quit(self, *args: Any) -> None:
        await self.disconnect()

    async def on_kick(self, *args: Any) -> None:
        await self.socket.disconnect()

    @event("*")
    def on_anything(self, name: str, *args: Any) -> int:
        return len(args)

    def recv_message(self, data: Any) -> None:
        """Nothing."""

    def recv_json(self, data: Any) -> None:
        """Nothing."""

    async def recv_disconnect(self, reason: str) -> None:
        await self.emit_to_room("lobby", "left")


class Chat(Main):
    """Another namespace."""


async def view(scope: Scope, receive: Receive, send: Send) -> None:
    """A view that opens the socket, sooner or later, or refuses it."""
    query = scope["query_string"]
    if b"refuse=1" in query:
        await _answer(send, 403, b"go away")
        return
    if b"slow=1" in query:
        await asyncio.sleep(0.05)
    await socketio_manage(scope, {"/": Main, "/chat": Chat})
    await _answer(send, 200, b"")


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """Everything that is not the first app's."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif "socketio" in scope:
        await view(scope, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
    elif scope["path"] == "/form":
        await _answer(send, 200, json.dumps(served()).encode())
    elif scope["path"] == "/stats":
        await _answer(send, 200, json.dumps(stats(collect=b"collect" in scope["query_string"])).encode())
    else:
        await _answer(send, 200 if scope["path"] == "/health" else 404, b"ok")


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def stats(*, collect: bool) -> dict[str, int]:
    """What there is of everything that clients can leave behind. ``collect``: after the garbage collector."""
    if collect:
        gc.collect()  # tasks whose exception nobody has seen say so when they are freed
    tables = [each.server.adapter.local for each in (app, live)]
    return {
        "sockets": sum(len(each.server.sockets) for each in (app, live)),
        "active_sessions": sum(each.server.active_sessions for each in (app, live)),
        "members": sum(len(members) for each in tables for members in each.namespaces.values()),
        "rooms": sum(len(each.rooms) for each in tables),
        "tasks": len(asyncio.all_tasks()),
        "files": len(os.listdir("/proc/self/fd")),
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
    }


live = SocketIOApp(inner, path="live/socket.io", **SETTINGS)
app = SocketIOApp(live, namespaces={"/": Main, "/chat": Chat}, **SETTINGS)
