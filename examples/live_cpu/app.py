"""A job per client feeds a chart: how busy this machine is, as it happens.

Run it from the repository root, then open http://127.0.0.1:8000/ ::

    asocketio examples.live_cpu.app:app
"""

import asyncio
import time
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from asocketio import BaseNamespace, SocketIOApp
from examples.live_cpu.meter import CpuMeter

FASTEST, SLOWEST = 0.2, 10.0  # seconds between two readings


class Cpu(BaseNamespace):
    interval = 1.0  # seconds

    async def recv_connect(self) -> None:
        self.spawn(self.feed)  # cancelled when the client leaves: nothing to clean up

    async def on_interval(self, seconds: Any) -> float:
        """Change the pace of this client's readings; the answer is the pace that holds now."""
        if isinstance(seconds, int | float):
            self.interval = float(min(max(seconds, FASTEST), SLOWEST))
        return self.interval

    async def feed(self) -> None:
        meter = CpuMeter()
        while True:
            await asyncio.sleep(self.interval)
            # Awaiting the emit is flow control: a slow client is sent fewer readings, not a backlog.
            await self.emit("reading", {"at": time.time(), "cores": meter.read()})


static = StaticFiles(directory=Path(__file__).parent / "static", html=True)
app = SocketIOApp(Starlette(routes=[Mount("/", app=static)]), namespaces={"/cpu": Cpu})
