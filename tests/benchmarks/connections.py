"""Clients of generation 4 that cost the machine little: a connection, and what has to be said on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.clients.frames import masked
from tests.clients.http import request, upgrade_request

__all__ = ["CONNECTORS", "Connector", "Opened", "polling", "storm", "websocket"]

PARALLEL = 50
"""Handshakes at a time."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A client that is in a namespace. By polling its next poll waits at the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    target: str = ""
    """Of its polls and posts."""

    @property
    def poll(self) -> bytes:
        """The request that waits for packets."""
        return request("GET", self.target) if self.target else b""


Connector = Callable[..., Awaitable[Opened]]
"""Called with the port and the namespace (``""``: the main one, else ``"/name,"``)."""


async def websocket(port: int, namespace: str = "") -> Opened:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(upgrade_request())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(masked(f"40{namespace}"))
    await reader.readuntil(f"40{namespace}{{".encode())
    await reader.readuntil(b"}")
    return Opened(reader, writer)


async def polling(port: int, namespace: str = "") -> Opened:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    target = "/socket.io/?EIO=4&transport=polling"
    writer.write(request("GET", target))
    await reader.readuntil(b'"sid":"')
    target += "&sid=" + (await reader.readuntil(b'"'))[:-1].decode()
    await reader.readuntil(b"}")
    writer.write(request("POST", target, f"40{namespace}"))
    await reader.readuntil(b"\r\n\r\nok")
    opened = Opened(reader, writer, target)
    writer.write(opened.poll)
    await reader.readuntil(f"40{namespace}{{".encode())
    await reader.readuntil(b"}")
    writer.write(opened.poll)
    return opened


CONNECTORS: dict[str, Connector] = {"websocket": websocket, "polling": polling}


async def storm(step: Callable[[int], Awaitable[Any]], count: int, parallel: int = PARALLEL) -> list[Any]:
    """``step`` for each number, some at a time."""
    numbers = iter(range(count))
    made: list[Any] = []

    async def work() -> None:
        for number in numbers:
            made.append(await step(number))

    await asyncio.gather(*(work() for _ in range(parallel)))
    return made
