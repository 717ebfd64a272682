"""What came of a run: figures, and everything that was wrong."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from typing import Any

from tests.load.chaos.app import LAST_WORDS

__all__ = ["Report", "table"]

KEPT = 30
"""Violations that are kept with their text; all are counted."""
MB = 1_000_000
STOPS_WITHIN = {"asocketio": 9.5}
"""Seconds: less than the command's own patience with requests. Other servers may use up theirs, and"""
LONGEST_STOP = 15.0
"""that takes so long."""


class Report:
    """Filled while the run goes on."""

    def __init__(self, seed: int, server_name: str, form: str) -> None:
        self.seed = seed
        self.server_name = server_name
        self.form = form
        self.seconds = 0.0
        self.lag = 0.0
        self.counts: Counter[str] = Counter()
        """What clients saw."""
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self.violated = 0
        self.server: dict[str, Any] = {}
        """The server's own figures, the last ones."""
        self.ends: dict[str, dict[str, Any]] = {}
        """What was left when all clients had gone, by the name of the phase."""
        self.memory: list[tuple[float, int]] = []
        """Seconds, bytes."""

    def violation(self, what: str) -> None:
        """Print it at once, and keep it."""
        self.violated += 1
        if len(self.violations) < KEPT:
            self.violations.append(what)
            print(f"VIOLATION (seed {self.seed}): {what}", file=sys.stderr, flush=True)

    def ended(self, code: int, seconds: float, log: str) -> None:
        """The server process has ended, by a signal, with all its clients there."""
        _, found, words = log.rpartition(LAST_WORDS)
        if not found or code not in (0, -signal.SIGTERM) or seconds > STOPS_WITHIN.get(self.server_name, LONGEST_STOP):
            self.violation(f"the server ended with {code}, after {seconds:.1f} s:\n{log[-3000:]}")
        if found:
            self.server = json.loads(words.strip().splitlines()[0])
        for what in self.server.get("violations", ()):
            self.violation(what)
        gauges, counts = self.server["gauges"], self.server["counts"]
        left = {name: gauges[name] for name in ("active_sessions", "rooms", "namespaces", "seats") if gauges[name]}
        if left or counts["calls under way"]:
            self.violation(
                f"left when the server shut down: {left}, {counts['calls under way']} calls, {self.server['left']}"
            )
        self.ends["stop"] = {"code": code, "seconds": round(seconds, 1)}

    @property
    def growth(self) -> float:
        """Of the server's memory in the second half of the run: 0.05 is 5 %. In the first it has met its peaks."""
        half = [rss for at, rss in self.memory if at >= self.memory[-1][0] / 2]
        return half[-1] / half[0] - 1 if half else 0.0

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seed": self.seed,
            "server": self.server_name,
            "form": self.form,
            "seconds": round(self.seconds, 1),
            "longest stall of the clients": round(self.lag, 2),
            "clients": dict(self.counts),
            "faults": dict(self.faults),
            "violated": self.violated,
            "violations": self.violations,
            "reasons": self.server.get("reasons", {}),
            "handlers": self.server.get("counts", {}),
            "log": self.server.get("records", {}),
            "ends": self.ends,
            "memory": self.memory,
            "growth": round(self.growth, 4),
        }


def table(report: Report) -> str:
    """For people."""
    plain = report.plain()
    lines = [f"chaos, seed {report.seed}, {report.server_name}, {report.form}: {report.seconds:.0f} s"]
    lines += _section("clients", plain["clients"])
    lines += _section("faults", plain["faults"])
    lines += _section("disconnects", plain["reasons"])
    lines += _section("handlers", plain["handlers"])
    lines += _section("expected in the log", plain["log"])
    for name, end in report.ends.items():
        lines += _section(f"when all had gone: {name}", end)
    memory = ", ".join(f"{at:.0f} s: {rss / MB:.1f}" for at, rss in _thinned(report.memory))
    lines.append(f"memory (MB): {memory}; in the second half {report.growth:+.1%}")
    lines.append(f"longest stall of the clients: {report.lag:.2f} s")
    lines.append(f"VIOLATIONS: {report.violated}")
    return "\n".join(lines)


def _section(title: str, figures: dict[str, Any]) -> list[str]:
    return [f"{title}:", *(f"  {name:<48} {figures[name]}" for name in sorted(figures))]


def _thinned(values: list[tuple[float, int]]) -> list[tuple[float, int]]:
    step = max(len(values) // 20, 1)
    return values[::step]
