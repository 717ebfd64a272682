"""python-socketio's client in a process of its own: says when it connects and disconnects, one word a line.

``python -m tests.interop.python_client URL TRANSPORT``; it runs until it is killed.
"""

from __future__ import annotations

import asyncio
import sys

import socketio

__all__ = ["main"]


async def main(url: str, transport: str) -> None:
    client = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.2)
    client.on("connect", lambda: print("connected", flush=True))
    client.on("disconnect", lambda reason: print("disconnected", flush=True))
    await client.connect(url, transports=[transport])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
