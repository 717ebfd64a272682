"""Well-behaved clients in a process of their own: they echo, one ack in flight each, and say how long it took.

``python -m tests.load.flood.other_clients PORT COUNT`` writes ``ready`` when they are connected. Each line on its
standard input is answered with the figures since the one before, as JSON; the end of its input ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter
from typing import Any

from tests.benchmarks.clients import Poller, WebSocket
from tests.clients.frames import masked

PACE = 0.02
"""Seconds from an answer to the next question."""
ECHO = '420["echo","another client says so"]'
OVERDUE = 0.1
"""Seconds after which an answer that has not come counts as one that took that long."""


class OtherClient:
    """One client, by websocket or by polling."""

    def __init__(self, client: WebSocket | Poller) -> None:
        self.times: list[float] = []
        self.client = client
        self.leaving = False
        self._asked = 0.0
        self._question: bytes = client.request(ECHO) if isinstance(client, Poller) else masked(ECHO)
        client.got = self._heard
        self._ask()

    def figures(self, now: float) -> list[float]:
        """The seconds each answer took, and those that are still waited for; begins anew."""
        times, self.times = self.times, []
        if self._asked and now - self._asked > OVERDUE:
            times.append(now - self._asked)
        return times

    def _ask(self) -> None:
        self._asked = perf_counter()
        if not self.client.ended and not self.leaving:
            self.client.write(self._question)

    def _heard(self, _client: Any, _count: int) -> None:
        self.times.append(perf_counter() - self._asked)
        self._asked = 0.0
        asyncio.get_running_loop().call_later(PACE, self._ask)


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _summary(group: list[OtherClient]) -> dict[str, Any]:
    now = perf_counter()
    times = sorted(time for each in group for time in each.figures(now))
    lost = [each.client.ended for each in group if each.client.ended]
    if not times:
        return {"count": 0, "p50": 0.0, "p99": 0.0, "worst": 0.0, "lost": lost}
    at = len(times)
    return {"count": at, "p50": times[at // 2], "p99": times[at * 99 // 100], "worst": times[-1], "lost": lost}


async def main(port: int, count: int) -> None:
    """One of them polls, the others have websockets."""
    clients: list[WebSocket | Poller] = [await WebSocket.open(port) for _ in range(count - 1)]
    clients.append(await Poller.open(port))
    group = [OtherClient(client) for client in clients]
    commands = await _lines()
    print("ready", flush=True)
    while await commands.readline():
        print(json.dumps(_summary(group)), flush=True)
    for each in group:
        client, each.leaving = each.client, True
        client.write(client.request("1") if isinstance(client, Poller) else masked("1"))
    await asyncio.sleep(0.2)
    for each in group:
        each.client.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
