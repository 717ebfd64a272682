"""The figures of all rounds as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.benchmarks.cases import Case

__all__ = ["Results", "baseline", "table"]

Runs = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured, by case and server."""

    cases: Sequence[Case]
    servers: Sequence[str]
    runs: dict[tuple[str, str], Runs] = field(default_factory=dict[tuple[str, str], Runs])

    def add(self, case: Case, server: str, figures: dict[str, Any]) -> None:
        """One more round."""
        self.runs.setdefault((case.name, server), []).append(figures)

    def values(self, case: Case, server: str) -> list[float]:
        """The figure of merit in each round that gave one."""
        return [run["value"] for run in self.runs.get((case.name, server), []) if run.get("value") is not None]


def baseline(servers: Sequence[str]) -> str | None:
    """Whom the others are compared with."""
    return next((name for name in ("node", "python-socketio") if name in servers), None)


def table(results: Results) -> str:
    """Markdown: medians, half of what lies between the extremes, and the ratio to the baseline."""
    against = baseline(results.servers)
    note = f"median ± half the range (× {against})" if against else "median ± half the range"
    rows = [[f"CPU per message: {note}", *results.servers], ["---", *("--:" for _ in results.servers)]]
    rows += [
        [f"{case.name}, {_unit(results, case)} per {case.message}"]
        + [_cell(results, case, server, against) for server in results.servers]
        for case in results.cases
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_row(row, widths) for row in rows)


def _row(cells: list[str], widths: list[int]) -> str:
    first, *others = (
        f"{cell:{'-' if cell.startswith('--') else ' '}{'>' if at else '<'}{width}}"
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"


def _unit(results: Results, case: Case) -> str:
    runs = [run for server in results.servers for run in results.runs.get((case.name, server), [])]
    units = {run["unit"] for run in runs if run.get("unit")}
    return units.pop() if units else "?"


def _cell(results: Results, case: Case, server: str, against: str | None) -> str:
    values = results.values(case, server)
    if not values:
        return "–"
    middle, spread = median(values), (max(values) - min(values)) / 2
    digits = 1 if middle < 100 else 0
    return f"{middle:.{digits}f} ± {spread:.{digits}f}{_ratio(results, case, server, against)}"


def _ratio(results: Results, case: Case, server: str, against: str | None) -> str:
    """The median of what the ratio was in each round: what disturbs a round is in both of its figures."""
    if against is None or against == server:
        return ""
    runs = [results.runs.get((case.name, name), []) for name in (server, against)]
    ratios = [
        mine["value"] / theirs["value"]
        for mine, theirs in zip(*runs, strict=False)
        if mine.get("value") is not None and theirs.get("value")
    ]
    return f" ({median(ratios):.2f})" if ratios else ""
