"""Real JavaScript clients, in processes that are killed without a warning."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.node import installed_modules, node_binary

__all__ = ["CLIENTS", "Node"]

HERE = Path(__file__).resolve().parent
CLIENTS = (
    *("0.9.17/websocket", "0.9.17/polling", "1.7.4/websocket", "1.7.4/polling", "2.5.0/websocket", "2.5.0/polling"),
    *("2.5.0/upgrade", "3.1.3/upgrade", "3.1.3/websocket", "4.8.4/websocket", "4.8.4/polling", "4.8.4/upgrade"),
)
AT_ONCE = 4
"""Clients in one process."""


class Node:
    """Process after process; each lives for some seconds."""

    def __init__(self, port: int, rng: random.Random, counts: Counter[str], complain: Callable[[str], None]) -> None:
        self._port = port
        self._rng = rng
        self._counts = counts
        self._complain = complain
        self._binary = node_binary()
        self._env = {**os.environ, "NODE_MODULES": str(installed_modules())}
        self._number = 0

    async def run(self, seconds: Callable[[], float]) -> None:
        """Start and kill, for as long as ``seconds()`` says that time is left."""
        while (left := seconds()) > 0:
            self._number += 1
            await self._one(f"{self._number}", min(left, self._rng.uniform(2, 12)))

    async def _one(self, name: str, lifetime: float) -> None:
        wanted = self._rng.sample(CLIENTS, AT_ONCE)
        command = (self._binary, HERE / "clients.js", str(self._port), name, *wanted)
        process = await asyncio.create_subprocess_exec(
            *command, env=self._env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        self._counts["node processes"] += 1
        assert process.stdout is not None
        hearing = asyncio.create_task(self._hear(process.stdout))
        try:
            await asyncio.wait([hearing], timeout=lifetime)
            if process.returncode is not None:
                self._complain(f"node {name} {wanted} ended by itself with {process.returncode}")
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            figures = await hearing
            self._counts.update({f"node {key}": value for key, value in figures.items()})

    async def _hear(self, lines: asyncio.StreamReader) -> dict[str, int]:
        """The last figures that a process told."""
        figures: dict[str, int] = {}
        async for line in lines:
            if not line.endswith(b"\n"):
                break  # killed in the middle of it
            told: dict[str, Any] = json.loads(line)
            if "wrong" in told:
                self._complain(f"node: {told['wrong']}")
            elif "thrown" in told:
                self._counts[f"node threw {told['thrown'].splitlines()[0][:60]}"] += 1
            figures = told.get("counts", figures)
        return figures
