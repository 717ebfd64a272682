"""Runs one scenario: a fresh server, other clients, the attack, and what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from tests.benchmarks.servers import environment
from tests.benchmarks.usage import resident_bytes
from tests.clients.http import request
from tests.clients.tcp import Connection
from tests.load.flood.app import SETTINGS, Stats
from tests.support.forms import unlike
from tests.support.servers import ROOT, Server

__all__ = [
    *("KB", "MB", "SERVERS", "Target", "Outcome", "Result", "Scenario", "Size"),
    *("end_in_order", "expect_form", "run_scenario", "serve", "stats"),
]

KB, MB = 1000, 1_000_000

_LIMITS = ("--ws-max-size", "1000000", "--ws-per-message-deflate", "false")
SERVERS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "lane": {"fast": ("asocketio", ()), "plain": ("asocketio", ())},
    "uvicorn": {
        "fast": ("uvicorn-httptools-websockets-sansio-uvloop", _LIMITS),
        "plain": ("uvicorn-h11-websockets-sansio", _LIMITS),
    },
}
"""For each form (`tests.support.forms`) the name in `tests.support.servers.SERVERS`, and more arguments."""

PATIENCE = {"ping_interval": 10.0, "ping_timeout": 10.0}
"""Settings of every server: who has gone without a word is missed while the run still waits for its end."""

OTHER_CLIENTS = 8
WATCHED = 0.5
"""Seconds for which other clients are watched at least."""
EMPTY_WITHIN = 25.0
"""Seconds until the server must have let go of an attacker that has gone: ``close_grace`` and a goodbye, generously."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is, and how strict."""

    scale: float
    """What counts are multiplied with."""
    alone: float
    """Seconds for which other clients are measured before the attack."""
    multiple: float
    """What the other clients' p99 may be of what it is alone..."""
    floor: float
    """... unless it is below so many seconds."""


class Latency(TypedDict):
    """What other clients tell, see `tests.load.flood.other_clients`."""

    count: int
    p50: float
    p99: float
    worst: float
    lost: list[str]


@dataclass(slots=True)
class Outcome:
    """What the attack itself has seen."""

    inputs: str
    """What was sent."""
    ended: str
    """How the server ended the attacker."""
    faults: list[str] = field(default_factory=list[str])

    def expect(self, ended: str, *allowed: str) -> None:
        """A fault unless the attacker was ended in one of these ways."""
        if ended not in allowed:
            self.faults.append(f"the attacker ended as {ended!r}, expected {' or '.join(map(repr, allowed))}")


@dataclass(slots=True)
class Target:
    """What an attack is given."""

    port: int
    pid: int
    scale: float

    def count(self, full: int, least: int = 1) -> int:
        """So many of them at full size."""
        return max(int(full * self.scale), least)


@dataclass(frozen=True, slots=True)
class Scenario:
    """An attack, and what it may cost."""

    name: str
    attack: Callable[[Target], Awaitable[Outcome]]
    allowance: Callable[[float], float]
    """Bytes that the server may grow by while it lasts; the argument is the scale."""
    why: str
    """Where that comes from."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    full_settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """More of them at full size."""
    long: bool = False
    """It takes too long for a short run."""
    floor: float = 0.0
    """Seconds that other clients may wait for what is honest work, however strict the run is."""
    errors: bool = False
    """The server is expected to log errors."""


@dataclass(slots=True)
class Result:
    """A row of the table."""

    scenario: str
    server: str
    outcome: Outcome
    base: int
    peak: int
    after: int
    alone: Latency
    under: Latency
    said: dict[str, int]
    faults: list[str]


class _OtherClients:
    """The process of those who do no harm."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    async def line(self) -> str:
        return (await asyncio.wait_for(self._out.readline(), 30)).decode().strip()

    async def figures(self) -> Latency:
        """Since the last time they were asked."""
        self._in.write(b"\n")
        told: Latency = json.loads(await self.line())
        return told


@contextlib.asynccontextmanager
async def _other_clients(port: int, count: int) -> AsyncIterator[_OtherClients]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.load.flood.other_clients", str(port), str(count)),
        cwd=ROOT,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        group = _OtherClients(process)
        if await group.line() != "ready":
            raise RuntimeError("the other clients cannot connect")
        yield group
    finally:
        if process.stdin is not None:
            process.stdin.close()  # that ends it
        await process.communicate()


def end_in_order() -> None:
    """A SIGTERM ends this process like Ctrl+C would: the server that it has started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


async def stats(port: int) -> Stats:
    """What the server holds."""
    with await Connection.tcp(port) as client:
        told: Stats = json.loads(await client.ask(request("GET", "/stats")))
        return told


def serve(server: str, form: str, settings: dict[str, Any], log: Path) -> Server:
    """A server in a form, with these settings of the application."""
    name, args = SERVERS[server][form]
    env = {SETTINGS: json.dumps(settings)}
    return Server("tests.load.flood.app:app", name, log, args=args, env=env, plain=form == "plain")


async def expect_form(running: Server, form: str) -> None:
    """Ends the whole run where a server runs in another form."""
    wrong = unlike((await stats(running.port))["runs"], form, running.name)
    if wrong:
        sys.exit(wrong)


async def run_scenario(scenario: Scenario, server: str, form: str, size: Size, log: Path) -> Result:
    """One scenario on a fresh server."""
    more = scenario.full_settings if size.scale >= 1 else {}
    with serve(server, form, {**PATIENCE, **scenario.settings, **more}, log) as running:
        await expect_form(running, form)
        async with _other_clients(running.port, OTHER_CLIENTS) as others:
            result = await _attacked(scenario, server, size, running, others)
        await _expect_empty(result, running.port, 0, "when all had left")
        result.said = (await stats(running.port))["said"]
        _, seconds = running.stop()
        if seconds > 5:
            result.faults.append(f"the server took {seconds:.1f} s to stop")
    if "Traceback" in running.log() and not scenario.errors:
        result.faults.append("a traceback in the log")
    return result


async def _attacked(scenario: Scenario, server: str, size: Size, running: Server, others: _OtherClients) -> Result:
    port, pid = running.port, running.process.pid
    await asyncio.sleep(0.1)
    await others.figures()
    await asyncio.sleep(size.alone)
    alone = await others.figures()
    base = (await stats(port))["rss"]
    _forget_peak(pid)
    began = asyncio.get_running_loop().time()
    outcome = await scenario.attack(Target(port, pid, size.scale))
    await asyncio.sleep(max(WATCHED - (asyncio.get_running_loop().time() - began), 0))
    under = await others.figures()
    peak = _peak(pid)
    result = Result(scenario.name, server, outcome, base, peak, 0, alone, under, {}, list(outcome.faults))
    await _expect_empty(result, port, OTHER_CLIENTS, "after the attack")
    told = await stats(port)
    result.after = told["rss"]
    if told["errors"] and not scenario.errors:
        result.faults.append(f"{told['errors']} errors in the log: {told['said']}")
    _judge(result, scenario, size)
    return result


def _judge(result: Result, scenario: Scenario, size: Size) -> None:
    grown, allowed = result.peak - result.base, scenario.allowance(size.scale)
    if grown > allowed:
        result.faults.append(f"grew by {grown / MB:.0f} MB, at most {allowed / MB:.0f} are due: {scenario.why}")
    limit = max(size.multiple * result.alone["p99"], size.floor, scenario.floor)
    if result.under["p99"] > limit:
        result.faults.append(f"other clients waited {result.under['p99']:.2f} s (p99), at most {limit:.2f} are due")
    if result.under["lost"]:
        result.faults.append(f"other clients were lost: {result.under['lost'][:3]}")
    if not result.under["count"]:
        result.faults.append("other clients heard nothing at all")


async def _expect_empty(result: Result, port: int, sockets: int, when: str) -> None:
    """The sessions of attackers end, with all that belonged to them."""
    until = asyncio.get_running_loop().time() + EMPTY_WITHIN
    while True:
        told = await stats(port)
        if told["sockets"] == told["active_sessions"] == told["members"] == sockets and not told["rooms"]:
            return
        if asyncio.get_running_loop().time() > until:
            held = {
                key: value for key, value in told.items() if key in ("sockets", "active_sessions", "members", "rooms")
            }
            result.faults.append(f"{when} the server still held {held}, expected {sockets} sockets")
            return
        await asyncio.sleep(0.1)


def _forget_peak(pid: int) -> None:
    """Let the kernel take the peak of the memory anew, where it lets us."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak(pid: int) -> int:
    """The most memory that was really there."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)
