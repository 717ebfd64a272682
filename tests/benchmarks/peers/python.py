"""The benchmark's server for python-socketio: echo, broadcast, join, say.

python -m tests.benchmarks.peers.python --port 3000
"""

from __future__ import annotations

import argparse
from typing import Any

import socketio  # type: ignore[import-untyped,unused-ignore]  # pyright: ignore
import uvicorn


def served(max_payload: int) -> Any:
    """The application: an ack is what a handler returns, as in ours."""
    sio: Any = socketio.AsyncServer(
        async_mode="asgi", cors_allowed_origins="*", http_compression=False, max_http_buffer_size=max_payload
    )

    async def echo(_sid: str, x: Any) -> Any:
        return x

    async def broadcast(_sid: str, x: Any) -> None:
        await sio.emit("msg", x)

    async def join(sid: str, room: str) -> None:
        await sio.enter_room(sid, room)

    async def say(_sid: str, room: str, x: Any) -> None:
        await sio.emit("msg", x, room=room)

    for handler in (echo, broadcast, join, say):
        sio.on(handler.__name__, handler)
    return socketio.ASGIApp(sio)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--max-payload", type=int, default=1_000_000)
    given = parser.parse_args()
    uvicorn.run(
        served(given.max_payload), host="127.0.0.1", port=given.port, ws="websockets-sansio", lifespan="off",
        ws_per_message_deflate=False, ws_ping_interval=None, log_level="error", access_log=False, backlog=4096,
    )  # fmt: skip
