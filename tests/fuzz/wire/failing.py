"""An application that breaks promises as soon as it hears one word: what the fuzzer's own tests are run against."""

from __future__ import annotations

import json

from asocketio.asgi.types import Receive, Scope, Send

__all__ = ["app"]

NAMES = ("sockets", "active_sessions", "members", "rooms", "tasks", "files", "memory")
failed = False


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it holds: nothing, or after the word a lot."""
    global failed
    if scope["type"] != "http":
        return
    if "BAD" in scope["path"]:
        failed = True
        raise ValueError("the word was said")
    body = json.dumps(dict.fromkeys(NAMES, 9 if failed else 0)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
