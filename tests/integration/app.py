"""One application for every server: sockets at ``/socket.io/``, a view's sockets at ``/view/``, plain HTTP elsewhere.

What it notices goes to its log, one line each: ``gone <token> <reason>``, ``view ended``, ``lifespan <event>``.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from asocketio import BaseNamespace, RoomsMixin, SocketIOApp, socketio_manage

__all__ = ["app"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Talk(BaseNamespace, RoomsMixin):
    def initialize(self) -> None:
        self.token = "nobody"

    def on_mark(self, token: str) -> None:
        self.token = token

    def on_echo(self, *args: Any) -> tuple[Any, ...]:
        return args

    async def on_say(self, *args: Any) -> None:
        await self.emit("said", *args)

    def recv_disconnect(self, reason: str) -> None:
        note(f"gone {self.token} {reason}")


def note(line: str) -> None:
    """Writes a line to the log in one piece: print() makes two, and servers write in between."""
    os.write(1, f"{line}\n".encode())


async def answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def view(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses with the status that ``?refuse=`` asks for, or lives as long as the socket does."""
    wish = parse_qs(scope["query_string"].decode()).get("refuse", [""])[0]
    if wish == "crash":
        raise RuntimeError("the view crashed")
    if wish:
        headers = [(b"content-type", b"text/plain"), (b"x-reason", b"not you"), (b"location", b"/login")]
        await answer(send, int(wish), headers, f"refused with {wish}".encode())
        return
    try:
        await socketio_manage(scope, {"/": Talk})
    finally:
        note("view ended")
    await answer(send, 200, [], b"")


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """What else there is: the lifespan, one page, and the view."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            note(kind.replace(".", " "))
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    elif scope["type"] == "http" and scope["path"].endswith("/page"):
        await answer(send, 200, [(b"content-type", b"text/plain")], b"a page")
    elif "socketio" in scope:
        await view(scope, receive, send)
    elif scope["type"] == "http":
        await answer(send, 404, [], b"no such page")
    else:
        await send({"type": "websocket.close"})


app = SocketIOApp(SocketIOApp(site, path="view"), namespaces={"/": Talk})
