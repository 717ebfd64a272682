"""A soak: clients come and go for as long as it is told, and the server must not grow.

python -m tests.load.flood.soak --minutes 60 [--clients 300] [--server lane] [--every 10] [--json FILE]

The server runs in the form that is installed (``tests.support.forms``), and says so itself. Samples are taken behind a
collection of garbage. The slope of the memory is that of a line of least squares through the samples after the warm-up.
The exit status is 1 where anything is left in the end, or anything went wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

from tests.benchmarks.usage import raise_limit
from tests.load.flood.app import Stats
from tests.load.flood.client_sessions import ClientSession
from tests.load.flood.runner import MB, SERVERS, end_in_order, expect_form, serve, stats
from tests.support.forms import add_form, announce

__all__ = ["Report", "Sample", "main", "slope", "soak"]

WARM = 0.2
"""Part of the run whose samples do not count for the slope: caches fill, the allocator finds its size."""
EMPTY_WITHIN = 60.0
PATIENCE = {
    "ping_interval": 3.0,
    "ping_timeout": 5.0,
    "heartbeat_interval": 3.0,
    "heartbeat_timeout": 5.0,
    "close_timeout": 8.0,
    "polling_duration": 2.0,
}
"""Settings: who has left without a word is missed soon."""
TASKS = 80
"""Of a server without sockets: its own few, and the 64 parked ones for handlers."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment."""

    seconds: float
    sessions: int
    """That have ended so far."""
    rss: int
    fds: int
    sockets: int
    members: int
    rooms: int
    tasks: int


@dataclass(slots=True)
class Report:
    """What a soak has found."""

    sessions: int = 0
    kinds: dict[str, int] = field(default_factory=dict[str, int])
    samples: list[Sample] = field(default_factory=list[Sample])
    faults: list[str] = field(default_factory=list[str])
    failed: dict[str, int] = field(default_factory=dict[str, int])
    """Sessions that went wrong, by kind and error."""

    def lines(self) -> list[str]:
        """For people."""
        first, last = self.samples[0], self.samples[-1]
        warm = [each for each in self.samples if each.seconds >= last.seconds * WARM]
        by_sessions = slope([(each.sessions, each.rss) for each in warm]) * 10_000 / 1000
        by_hour = slope([(each.seconds, each.rss) for each in warm]) * 3600 / 1000
        failed = sum(self.failed.values())
        return [
            f"{self.sessions} sessions of {len(self.kinds)} kinds in {last.seconds:.0f} s, {failed} failed",
            f"RSS {first.rss / MB:.1f} MB at first, {max(s.rss for s in self.samples) / MB:.1f} at most, "
            f"{last.rss / MB:.1f} in the end",
            f"RSS slope after warm-up, {len(warm)} samples: "
            f"{by_sessions:.1f} kB per 10 000 sessions, {by_hour:.0f} kB per hour",
            f"in the end: {last.sockets} sockets, {last.members} members, {last.rooms} rooms, {last.fds} files, "
            f"{last.tasks} tasks",
            *(f"failed: {number} × {what}" for what, number in list(self.failed.items())[:10]),
            *(f"FAULT: {fault}" for fault in self.faults),
        ]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line of least squares."""
    if len(points) < 2:
        return 0.0
    x0 = sum(x for x, _ in points) / len(points)
    y0 = sum(y for _, y in points) / len(points)
    spread = sum((x - x0) ** 2 for x, _ in points)
    return sum((x - x0) * (y - y0) for x, y in points) / spread if spread else 0.0


async def soak(server: str, form: str, seconds: float, clients: int, every: float, log: Path, seed: int = 1) -> Report:
    """Churn for so long, then see what is left."""
    report = Report()
    with serve(server, form, PATIENCE, log) as running:
        await expect_form(running, form)
        began = monotonic()
        until = began + seconds
        churning = [
            asyncio.create_task(_churn(running.port, random.Random(f"{seed} {number}"), until, report))
            for number in range(clients)
        ]
        told = await stats(running.port)
        report.samples.append(_sample(told, 0.0, 0))
        while monotonic() < until:
            await asyncio.sleep(min(every, max(until - monotonic(), 0)))
            told = await stats(running.port)
            report.samples.append(_sample(told, monotonic() - began, report.sessions))
        await asyncio.gather(*churning)
        await _settle(running.port, began, report)
    return report


async def _churn(port: int, dice: random.Random, until: float, report: Report) -> None:
    """One client's place: as soon as one has left, the next one comes."""
    await asyncio.sleep(dice.random())
    while monotonic() < until:
        session = ClientSession(port, dice)
        report.kinds[str(session)] = report.kinds.get(str(session), 0) + 1
        try:
            await session.run()
        except (OSError, TimeoutError, LookupError) as error:
            what = f"{session}: {type(error).__name__} {error}"[:200]
            report.failed[what] = report.failed.get(what, 0) + 1
        report.sessions += 1


async def _settle(port: int, began: float, report: Report) -> None:
    """All have left: nothing of them may be left."""
    until = monotonic() + EMPTY_WITHIN
    while True:
        told = await stats(port)
        empty = not (told["sockets"] or told["active_sessions"] or told["members"] or told["rooms"])
        if (empty and told["tasks"] <= TASKS) or monotonic() > until:
            break
        await asyncio.sleep(0.2)
    report.samples.append(_sample(told, monotonic() - began, report.sessions))
    if not empty or told["tasks"] > TASKS:
        report.faults.append(f"something is left: {told}")
    if told["errors"]:
        report.faults.append(f"errors in the log: {told['said']}")
    if told["joined"] != told["left"]:
        report.faults.append(f"{told['joined']} were let in, recv_disconnect ran for {told['left']}")
    if report.failed:
        report.faults.append(f"{sum(report.failed.values())} sessions failed")


def _sample(told: Stats, seconds: float, sessions: int) -> Sample:
    return Sample(
        seconds, sessions, told["rss"], told["fds"], told["sockets"], told["members"], told["rooms"], told["tasks"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=300, help="at a time")
    parser.add_argument("--every", type=float, default=10.0, help="seconds from one sample to the next")
    parser.add_argument("--server", default="lane", choices=list(SERVERS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the samples there")
    add_form(parser)
    given = parser.parse_args(arguments)
    form = announce(given.form)
    raise_limit()
    end_in_order()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "server.log")
        report = asyncio.run(soak(given.server, form, given.minutes * 60, given.clients, given.every, log, given.seed))
    print("\n".join(report.lines()))
    if given.json:
        given.json.write_text(json.dumps(asdict(report), indent=1))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
