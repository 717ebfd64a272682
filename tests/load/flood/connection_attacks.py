"""Thousands of connections that say nothing: sessions that never join, and requests that are never finished."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable

from tests.clients.http import request, upgrade_request
from tests.clients.protocols import CLIENT_PROTOCOLS
from tests.clients.tcp import HOST, Connection
from tests.load.flood.runner import KB, MB, Outcome, Scenario, Target, stats

__all__ = ["CONNECTION_ATTACKS"]

CONNECTIONS = 10_000
SPARE = 200
"""Files that a process needs besides the connections."""
TOGETHER = 100
"""Of them on their way at a time: fewer than the server's backlog of connections."""
CONNECT_TIMEOUT, FULL_CONNECT_TIMEOUT = 2.0, 10.0
"""Seconds: so many connections at full size take some to come in."""
GONE_WITHIN = 60.0
BUSY = 0.75
"""Seconds: thousands of handshakes at once are work for the server, and other clients stand in the queue."""
HEADER = 10 * MB
"""More of it is work in its square, and for the HTTP parser alone."""
KEPT = 1.25
"""The second wave may find so much more memory in use than the first has left behind..."""
KEPT_MB = 8
"""... and so many MB: what is kept for reuse is reused."""


def connections(target: Target) -> int:
    """How many; fewer where the limit of open files, the same for the server, does not allow them."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(target.count(CONNECTIONS, 100), allowed - SPARE)


async def _gather(port: int, count: int, arrive: Callable[[int], Awaitable[Connection]]) -> list[Connection]:
    """All of them, some at a time."""
    turns = asyncio.Semaphore(TOGETHER)

    async def one() -> Connection:
        async with turns:
            return await arrive(port)

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def _silent(port: int) -> Connection:
    return await Connection.websocket(port, join="")


async def _half(port: int) -> Connection:
    attacker = await Connection.tcp(port)
    await attacker.send(f"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ".encode())
    return attacker


async def _half_upgrade(port: int) -> Connection:
    attacker = await Connection.tcp(port)
    await attacker.send(upgrade_request()[:-2])
    return attacker


async def _polling_then_websocket(port: int) -> Connection:
    """A polling session, and a websocket for it that never proves itself."""
    with await Connection.tcp(port) as opener:
        sid = await opener.open_session()
    return await Connection.websocket(port, CLIENT_PROTOCOLS["4"].path("websocket", sid, {}), join="")


async def _sockets_gone(port: int, former: int) -> str:
    """Wait for connect_timeout to do its work."""
    until = asyncio.get_running_loop().time() + GONE_WITHIN
    while True:
        left = (await stats(port))["sockets"] - former
        if left <= 0:
            return "all closed"
        if asyncio.get_running_loop().time() > until:
            return f"{left} still there"
        await asyncio.sleep(0.2)


async def _twice(
    target: Target, what: str, arrive: Callable[[int], Awaitable[Connection]], *, server_ends: bool = True
) -> Outcome:
    """Two waves at full size, one after the other: what the first has left behind must serve the second."""
    count, waves, left, ends = connections(target), 2 if target.scale >= 1 else 1, [], []
    outcome = Outcome(f"{waves} × {count} {what}", "")
    for _ in range(waves):
        former = (await stats(target.port))["sockets"]
        attackers = await _gather(target.port, count, arrive)
        try:
            present = (await stats(target.port))["sockets"] - former
            if server_ends:
                ends.append(f"{present} at a time, {await _sockets_gone(target.port, former)}")
                ends.append(await attackers[-1].ended(10))
        finally:
            for attacker in attackers:
                attacker.close()
        await _files_back(target, outcome)
        left.append((await stats(target.port))["rss"])
    if left[-1] > left[0] * KEPT + KEPT_MB * MB:
        outcome.faults.append(f"the second wave has left {left[-1] / MB:.0f} MB, the first {left[0] / MB:.0f}")
    outcome.ended = "; ".join(ends) or "leaves by itself"
    if any("still there" in end for end in ends):
        outcome.faults.append(f"sessions without a namespace live on: {outcome.ended}")
    return outcome


async def _files_back(target: Target, outcome: Outcome) -> None:
    """The server has closed what its peers have closed."""
    until = asyncio.get_running_loop().time() + GONE_WITHIN
    while (files := (await stats(target.port))["fds"]) > SPARE:
        if asyncio.get_running_loop().time() > until:
            outcome.faults.append(f"{files} files are still open in the server")
            return
        await asyncio.sleep(0.2)


async def silent_websockets(target: Target) -> Outcome:
    """Websockets that never send CONNECT."""
    return await _twice(target, "websockets without a word", _silent)


async def silent_upgrades(target: Target) -> Outcome:
    """Websockets that are to take over from polling, and never say so."""
    return await _twice(target, "upgrades without a probe", _polling_then_websocket)


async def silent_pollers(target: Target) -> Outcome:
    """Handshakes by polling, all over a few connections, that nobody comes back to."""
    count, path = target.count(CONNECTIONS, 100), "/socket.io/?EIO=4&transport=polling"
    former = (await stats(target.port))["sockets"]
    lines = [await Connection.tcp(target.port) for _ in range(10)]

    async def many(line: Connection) -> None:
        for _ in range(count // len(lines)):
            await line.ask(request("GET", path))

    try:
        await asyncio.gather(*map(many, lines))
        present = (await stats(target.port))["sockets"] - former
    finally:
        for line in lines:
            line.close()
    gone = await _sockets_gone(target.port, former)
    outcome = Outcome(f"{count} handshakes over {len(lines)} connections", f"{present} at a time, {gone}")
    if gone != "all closed":
        outcome.faults.append(f"sessions without a namespace live on: {gone}")
    return outcome


async def half_requests(target: Target) -> Outcome:
    """TCP connections that send half of a request. The server sets no time for that: a proxy in front has to."""
    return await _twice(target, "half requests", _half, server_ends=False)


async def half_upgrades(target: Target) -> Outcome:
    """The same, of requests for a websocket."""
    return await _twice(target, "half upgrades", _half_upgrade, server_ends=False)


async def endless_header(target: Target) -> Outcome:
    """A header without end."""
    with await Connection.tcp(target.port) as attacker:
        await attacker.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\nX-Long: ")
        sent = await attacker.flood(b"x" * 65_536, target.count(HEADER) // 65_536, 10)
        ended = await attacker.ended(1)
    return Outcome(f"a header of {sent * 65_536 / MB:.0f} MB", ended)


def _each(size: float) -> Callable[[float], float]:
    return lambda scale: 10 * MB + max(CONNECTIONS * scale, 100) * size


_SETTINGS = {"connect_timeout": CONNECT_TIMEOUT, "upgrade_timeout": CONNECT_TIMEOUT}
_FULL = {"connect_timeout": FULL_CONNECT_TIMEOUT, "upgrade_timeout": FULL_CONNECT_TIMEOUT}
CONNECTION_ATTACKS = [
    Scenario("silent-websockets", silent_websockets, _each(50 * KB), "50 kB for each", _SETTINGS, _FULL, floor=BUSY),
    Scenario("silent-upgrades", silent_upgrades, _each(100 * KB), "100 kB for each", _SETTINGS, _FULL, floor=BUSY),
    Scenario("silent-pollers", silent_pollers, _each(50 * KB), "50 kB for each", _SETTINGS, _FULL, floor=BUSY),
    Scenario("half-requests", half_requests, _each(30 * KB), "30 kB for each", floor=BUSY),
    Scenario("half-upgrades", half_upgrades, _each(30 * KB), "30 kB for each", floor=BUSY, long=True),
    Scenario(
        "endless-header",
        endless_header,
        lambda scale: 10 * MB + 3 * HEADER * scale,
        "the HTTP parser sets no limit: all of it, and copies while it grows",
    ),
]
