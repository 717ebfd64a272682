"""An application for several workers, which can be told to die."""

from __future__ import annotations

import os
import signal
from typing import Any

from asocketio import BaseNamespace, SocketIOApp


class Worker(BaseNamespace):
    def on_echo(self, *args: Any) -> tuple[Any, ...]:
        return args

    def on_join(self, room: str) -> None:
        self.join(room)

    async def on_say(self, room: str, text: str) -> None:
        await self.namespace.to(room).emit("said", text)

    async def on_count(self, room: str) -> int:
        return await self.namespace.to(room).count()

    def on_pid(self) -> int:
        return os.getpid()

    def on_die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


app = SocketIOApp(namespaces={"/": Worker})
