"""The benchmark's server, as a user would write it: echo, broadcast, join, say.

python tests/benchmarks/server.py --port 3000
"""

import argparse
import os
from typing import Any

import uvicorn

from asocketio import BaseNamespace, BroadcastMixin, RoomsMixin, SocketIOApp
from asocketio.runtime.tuning import TUNE_ENV


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


def served(max_payload: int = 1_000_000) -> SocketIOApp:
    """The application; a client's message may be as large as its whole backlog."""
    return SocketIOApp(
        namespaces={"/": Bench}, cors_allowed_origins="*", max_payload=max_payload, max_backlog=max_payload
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--ws", default="websockets-sansio")
    parser.add_argument("--http", default="auto")
    parser.add_argument("--loop", default="auto")
    parser.add_argument("--max-payload", type=int, default=1_000_000)
    given = parser.parse_args()
    os.environ.setdefault(TUNE_ENV, "1")  # as the asocketio command does
    uvicorn.run(
        served(given.max_payload), host="127.0.0.1", port=given.port, loop=given.loop, http=given.http,
        ws=given.ws, lifespan="on",
        ws_max_size=given.max_payload, ws_per_message_deflate=False, ws_ping_interval=None,
        log_level="error", access_log=False, backlog=4096,
    )  # fmt: skip
