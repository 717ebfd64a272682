"""What stands behind a proxy: the talk of ``app``, and what the server has been told of the client.

Its settings are JSON in the variable ``SETTINGS``.
"""

from __future__ import annotations

import asyncio
import json
import os

from asocketio import SocketIOApp
from tests.integration.app import Talk

__all__ = ["app"]


class Proxied(Talk):
    def on_seen(self) -> tuple[int, str, str]:
        """The process, and the client as the server tells it."""
        return os.getpid(), self.environ["scheme"], self.environ["client"][0]

    def on_later(self, seconds: float) -> None:
        self.spawn(self.say_later, seconds)

    async def say_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.emit("said", "later")


app = SocketIOApp(namespaces={"/": Proxied}, **json.loads(os.environ.get("SETTINGS", "{}")))
