"""The chaos run: ``python -m tests.load.chaos.run --minutes 30 --clients 500 --seed 1``.

A real server, a proxy that hurts connections, clients of all generations, and a model that must hold. Exit code 1
says that it did not; what is printed then names the seed and the client.

The server runs in the form that is installed (``tests.support.forms``), and says so itself; with ``--hide`` in the
plain form although the accelerators are installed. ``asocketio`` takes uvloop and httptools where they are installed;
servers that name one of them need the fast form.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.load.chaos.client import Session
from tests.load.chaos.node import Node
from tests.load.chaos.plan import plan, strangers
from tests.load.chaos.proxy import Proxy
from tests.load.chaos.report import Report, table
from tests.support.forms import add_form, announce, unlike
from tests.support.servers import SERVERS, Server

__all__ = ["Chaos", "Options", "main"]

SETTLES_WITHIN = 90.0
"""Seconds from the last client's end until the server must have let go of everything."""
SILENCE = 40.0
"""Seconds after which a connection that has fallen silent is closed after all."""
EXCUSABLE = (
    "without a cause",
    "in vain",
    "upgrade failed",
    "a poll broke",
    "acks that did not come",
    "ended by itself",
)
KEEP = ("--timeout-keep-alive", "20")
"""A server that stalls must not close a kept connection on which the next request has come already."""
PATIENCE = ("--timeout-graceful-shutdown", "8")
"""Plain uvicorn has none of its own: it would wait for ever for a connection that has fallen silent."""
RESTING = ("sockets", "active_sessions", "deadlines", "namespaces", "rooms", "seats")
"""Gauges that are zero when nobody is there."""
CROWD = 100
"""Clients from which the server is more patient."""

LONG = 600.0
"""Seconds of a run in which memory must be flat, and"""
GROWTH = 0.05
"""how flat."""
LONGEST_STALL = 6.0
LAG = 1.5
"""Seconds: after a longer stall on this side, ends of gentle sessions prove nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to run."""

    seconds: float = 60.0
    clients: int = 60
    seed: int = 1
    server: str = "asocketio"
    form: str = "fast"
    pace: float = 0.3
    node: int = 2
    """Node processes at a time."""
    stalls: float = 0.0
    """Seconds, on average, from one stall of the whole server process to the next; 0: none."""
    warm_up: float = 0.15
    """The part of the time after which everything is let go once, to be compared with the end."""
    only: tuple[int, ...] = field(default=())
    """Clients; the others rest."""


class Chaos:
    """One run."""

    def __init__(self, options: Options, server: Server) -> None:
        self.options = options
        self.report = Report(options.seed, options.server, options.form)
        self._server = server
        self._rng = random.Random(f"run {options.seed}")
        self._proxy = Proxy(server.port, lambda: strangers(self._rng), self._rng)
        self._sessions: Counter[int] = Counter()
        self._stop = 0.0
        self._lag = 0.0
        self.ending = False
        """Sessions may end, and new ones fail."""
        self.stopped = (0, 0.0)
        self._objects: dict[str, int] = {}
        """Of a server at rest: those of the very request that asks."""
        self._began = time.monotonic()

    async def run(self) -> Report:
        """Everything, from the first client to the last figure."""
        watch = asyncio.create_task(self._watch())
        stalls = asyncio.create_task(self._stall())
        await self._proxy.start()
        try:
            warm = await self._warm()
            if wrong := unlike(warm["runs"], self.options.form, self.options.server):
                sys.exit(wrong)
            self._objects = warm["objects after gc"]
            base = warm["gauges"]
            warm_up = self.options.seconds * self.options.warm_up
            await self._phase(warm_up)
            await self._settle(base, "warm-up")
            await self._phase(self.options.seconds - warm_up)
            await self._settle(base, "end")
            if self.options.seconds >= LONG and self.report.growth > GROWTH:
                self.report.violation(f"memory grew by {self.report.growth:.1%} in the second half")
            stalls.cancel()
            await self._shut_down()
        finally:
            watch.cancel()
            stalls.cancel()
            await self._proxy.stop()
            self.report.seconds = time.monotonic() - self._began
            self.report.faults = self._proxy.count
        return self.report

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s: {what}", file=sys.stderr, flush=True)

    async def _warm(self) -> dict[str, Any]:
        """One calm session loads what is loaded late; then the figures of a server at rest."""
        await self._client(-1, once=True)
        stats = await self._until(dict.fromkeys(RESTING, 0), SETTLES_WITHIN)
        left = {name: stats["gauges"][name] for name in RESTING if stats["gauges"][name]}
        if left:
            self.report.violation(f"left behind by one session: {left} {(await self._stats(deep=True))['left']}")
        await asyncio.sleep(1)
        return await self._stats(deep=True)

    async def _shut_down(self) -> None:
        """The server ends while its clients are at work."""
        self._say("the server shuts down among its clients")
        self.ending = True
        phase = asyncio.create_task(self._phase(4))
        await asyncio.sleep(2.5)
        self.stopped = await asyncio.to_thread(self._server.stop)
        self._proxy.release()
        await phase

    async def _phase(self, seconds: float) -> None:
        self._stop = time.monotonic() + seconds
        self._say(f"{seconds:.0f} s of clients")
        numbers = self.options.only or range(self.options.clients)
        clients = [asyncio.create_task(self._client(number)) for number in numbers]
        for _ in range(self.options.node):
            rng = random.Random(self._rng.random())
            node = Node(self._proxy.port, rng, self.report.counts, self._complain)
            clients.append(asyncio.create_task(node.run(lambda: self._stop - time.monotonic())))
        await asyncio.wait(clients)
        for client in clients:
            client.result()

    async def _client(self, number: int, *, once: bool = False) -> None:
        """One session after the other."""
        await asyncio.sleep(0 if once else random.random())
        while once or time.monotonic() < self._stop:
            self._sessions[number] += 1
            script = plan(self.options.seed, number, self._sessions[number], self.options.pace)
            session = Session(script, self._proxy, self.report.counts, self._complain)
            try:
                async with asyncio.timeout(120):
                    await session.run()
            except Exception:
                self.report.violation(f"client {script}: the client itself failed\n{traceback.format_exc()}")
            if once or self.stopped[1]:
                return
            if self.ending:
                await asyncio.sleep(0.5)

    async def _stall(self) -> None:
        """Stop the server process for longer than a ping may take: no client may be charged with that."""
        while self.options.stalls:
            await asyncio.sleep(random.expovariate(1 / self.options.stalls))
            if time.monotonic() > self._stop:
                continue
            self.report.counts["stalls of the server"] += 1
            self._say("the server stalls")
            self._server.process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(random.uniform(0.5, LONGEST_STALL))
            finally:
                self._server.process.send_signal(signal.SIGCONT)

    def _complain(self, what: str) -> None:
        late = self._lag > LAG or self.ending
        if late and any(words in what for words in EXCUSABLE):
            self.report.counts["excused by a stall"] += 1
            return
        self.report.violation(what)

    async def _watch(self) -> None:
        """How late this side's own loop is, and how the server's memory goes."""
        ticks = 0
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.25)
            late = time.monotonic() - began - 0.25
            self._lag = max(late, self._lag * 0.97)
            self.report.lag = max(self.report.lag, late)
            ticks += 1
            if ticks % 20 == 0:
                self._proxy.release(SILENCE)
                if not self.ending:
                    self.report.memory.append((time.monotonic() - self._began, (await self._stats())["rss"]))

    async def _stats(self, deep: bool = False) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            query = "?deep" if deep else ""
            writer.write(f"GET /stats{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            async with asyncio.timeout(60):
                answer = await reader.read()
        finally:
            writer.close()
        found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return found

    async def _settle(self, base: dict[str, int], name: str) -> None:
        """All clients have gone: everything must be let go."""
        self._say(f"{name}: all clients have gone")
        began = time.monotonic()
        logical = {key: value for key, value in base.items() if key not in ("fds", "tasks")}
        first = await self._until(logical, SETTLES_WITHIN)
        self.report.counts[f"silent connections at the {name}"] = self._proxy.silent
        self._proxy.release()
        at_rest = all(first["gauges"][key] <= value for key, value in logical.items())
        stats = await self._until(base, SETTLES_WITHIN if at_rest else 1.0)
        deep = await self._until_objects()
        wrong = {key: (value, stats["gauges"][key]) for key, value in base.items() if stats["gauges"][key] > value}
        if wrong:
            detail = json.dumps({key: deep[key] for key in ("objects after gc", "names of tasks", "left")}, indent=1)
            self.report.violation(f"{name}: not let go within {SETTLES_WITHIN} s: {wrong} (base, found)\n{detail}")
        outlived = self._outlived(deep)
        if outlived:
            self.report.violation(f"{name}: objects that outlive their clients: {outlived}")
        self.report.ends[name] = {
            "seconds": round(time.monotonic() - began, 1),
            "gauges": stats["gauges"],
            "base": base,
            "sockets left when the last client had gone": first["gauges"]["sockets"],
            "objects": deep["objects"],
            "rss": deep["rss"],
        }
        self.report.server = deep

    async def _until(self, base: dict[str, int], within: float) -> dict[str, Any]:
        """The figures, once they are as at the beginning, or when time is up."""
        deadline = time.monotonic() + within
        while True:
            stats = await self._stats()
            if all(stats["gauges"][key] <= value for key, value in base.items()) or time.monotonic() > deadline:
                return stats
            await asyncio.sleep(0.5)

    async def _until_objects(self) -> dict[str, Any]:
        """Kept connections of uvicorn's own are let go later than what they carried."""
        for _ in range(30):
            deep = await self._stats(deep=True)
            if not self._outlived(deep):
                break
            await asyncio.sleep(1)
        return deep

    def _outlived(self, deep: dict[str, Any]) -> dict[str, int]:
        found = deep["objects after gc"]
        return {name: count for name, count in found.items() if count > self._objects.get(name, 0)}


def _options(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.chaos.run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=60)
    parser.add_argument("--node", type=int, default=2, help="Node processes at a time")
    parser.add_argument("--stalls", type=float, default=0.0, help="seconds between two stalls of the server; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", type=float, default=0.3, help="seconds between two events of a client")
    parser.add_argument("--server", choices=sorted(SERVERS), default="asocketio")
    parser.add_argument("--only", type=int, nargs="*", default=[], help="numbers of clients; the others rest")
    add_form(parser)
    parser.add_argument("--hide", action="store_true", help="the accelerators from the server: the plain form")
    parser.add_argument("--json", type=Path, help="write the report there as well")
    parser.add_argument("--log", type=Path, help="keep the server's log there")
    return parser.parse_args(given)


def _leave(_number: int, _frame: object) -> None:
    """End as by Ctrl+C: with the processes that were started."""
    raise KeyboardInterrupt


def main(given: Sequence[str] | None = None) -> int:
    """The exit code: 1 if anything was wrong."""
    told = _options(given)
    installed = announce(told.form)
    form = "plain" if told.hide else installed
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # each write to a connection that was cut is a warning
    options = Options(
        seconds=told.minutes * 60 or told.seconds,
        clients=told.clients,
        seed=told.seed,
        server=told.server,
        form=form,
        pace=told.pace,
        node=told.node,
        stalls=told.stalls,
        only=tuple(told.only),
    )
    signal.signal(signal.SIGTERM, _leave)
    with tempfile.TemporaryDirectory() as folder:
        log = told.log or Path(folder) / "server.log"
        # A server that closes an idle connection just when a request is on its way is no fault: browsers ask again.
        args = ["--no-access-log", "--timeout-keep-alive", "300"]
        args += KEEP if options.stalls else ()
        args += PATIENCE if options.server != "asocketio" else ()
        env = {"CHAOS_PATIENCE": "4" if options.clients > CROWD else "1"}
        with Server("tests.load.chaos.app:app", options.server, log, args=args, env=env, plain=told.hide) as server:
            chaos = Chaos(options, server)
            report = asyncio.run(chaos.run())
            report.ended(*chaos.stopped, server.log())
    if told.json:
        told.json.write_text(json.dumps(report.plain(), indent=1), encoding="utf-8")
    print(table(report), flush=True)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
