"""An application that counts its goodbyes, and can be told to block its event loop.

``COUNTS`` names the file to which the reasons of all disconnects go when the server ends; ``SETTINGS`` is JSON.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from asocketio import BaseNamespace, SocketIOApp

__all__ = ["app"]

Message = MutableMapping[str, Any]

reasons: Counter[str] = Counter()


class Crowd(BaseNamespace):
    def on_echo(self, *args: Any) -> tuple[Any, ...]:
        return args

    def on_block(self, seconds: float) -> None:
        time.sleep(seconds)

    async def recv_disconnect(self, reason: str) -> None:
        reasons[reason] += 1


def write_down() -> None:
    Path(os.environ["COUNTS"]).write_text(json.dumps(reasons), encoding="utf-8")


async def site(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Any]) -> None:
    """The lifespan: its end comes after all goodbyes."""
    if scope["type"] != "lifespan":
        return
    while True:
        kind = (await receive())["type"]
        if kind == "lifespan.shutdown":
            write_down()
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


app = SocketIOApp(site, namespaces={"/": Crowd}, **json.loads(os.environ.get("SETTINGS", "{}")))
