"""What ``recovery.js`` talks to: numbered events to rooms, to all and to one, while its clients come and go."""

from __future__ import annotations

import asyncio
from typing import Any

from asocketio import BaseNamespace, SocketIOApp


class Numbers(BaseNamespace):
    async def recv_connect(self, auth: Any) -> None:
        assert "pid" not in auth
        assert "offset" not in auth
        if not self.recovered:
            self.data = {"name": auth["name"]}
            self.join(auth["name"])

    def on_begin(self, count: int) -> str:
        """Send so many numbered events to this client, one each millisecond, also while it is away."""
        stream = asyncio.get_running_loop().create_task(send(self.sid, self.data["name"], count))
        streams.add(stream)
        stream.add_done_callback(streams.discard)
        return self.sid

    def on_who(self) -> list[Any]:
        return [self.sid, self.data["name"], sorted(self.rooms)]

    async def on_out(self) -> None:
        await self.disconnect()


streams: set[asyncio.Task[None]] = set()


async def send(sid: str, room: str, count: int) -> None:
    all_ = app.of("/")
    for number in range(count):
        kind = number % 3
        target = all_.to(sid) if kind == 0 else all_.to(room, sid)
        target.emit("n", number, *([b"raw"] if kind == 1 else ["text"]))
        if not number % 5:
            all_.to(room).volatile.emit("v", "text")
        await asyncio.sleep(0.001)


app = SocketIOApp(namespaces={"/": Numbers}, recovery=60.0)
