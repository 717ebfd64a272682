"""The benchmark's server, as a user would write it: echo, broadcast, join, say.

python tests/benchmarks/server.py --port 3000
"""

import argparse
from typing import Any

import uvicorn

from asocketio import BaseNamespace, BroadcastMixin, RoomsMixin, SocketIOApp


class Bench(BaseNamespace, RoomsMixin, BroadcastMixin):
    async def on_echo(self, x: Any) -> Any:
        return x

    async def on_broadcast(self, x: Any) -> None:
        await self.broadcast_event("msg", x)

    async def on_join(self, room: str) -> None:
        self.join(room)

    async def on_say(self, room: str, x: Any) -> None:
        self.emit_to_room(room, "msg", x)
        await self.emit("msg", x)


app = SocketIOApp(namespaces={"/": Bench}, cors_allowed_origins="*")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--ws", default="websockets-sansio")
    parser.add_argument("--loop", default="uvloop")
    given = parser.parse_args()
    uvicorn.run(
        app, host="127.0.0.1", port=given.port, loop=given.loop, http="httptools", ws=given.ws, lifespan="off",
        ws_per_message_deflate=False, ws_ping_interval=None, log_level="error", access_log=False, backlog=4096,
    )  # fmt: skip
