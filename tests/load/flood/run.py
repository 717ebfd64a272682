"""All attacks on fresh servers, as one table.

python -m tests.load.flood.run [--scenarios events-websocket,unread-room] [--servers lane,uvicorn]

The servers run in the form that is installed (``tests.support.forms``), and say so themselves: with uvloop and
httptools in the fast form, with asyncio's loop and h11 in the plain form, where the same attack costs more time.

It needs Linux: memory is read from /proc. The exit status is 1 where a scenario found a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.usage import raise_limit
from tests.load.flood.runner import MB, SERVERS, Result, Scenario, Size, end_in_order, run_scenario
from tests.load.flood.scenarios import SCENARIOS
from tests.support.forms import add_form, announce

__all__ = ["main", "row"]

MULTIPLE, FLOOR = 20.0, 0.25
"""The p99 of other clients under attack, as a multiple: nobody notices an answer within a quarter of a second."""

HEAD = (
    "| scenario | server | inputs | RSS base / peak / after, MB "
    "| other clients' p99 alone / attacked (worst), ms | attacker |"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play them, print the table and what is wrong."""
    given = _arguments(arguments)
    form = announce(given.form)
    end_in_order()
    print(f"open files: {raise_limit()}", file=sys.stderr)
    size = Size(given.scale, 2.0, MULTIPLE, FLOOR)
    chosen = [SCENARIOS[name] for name in _chosen(given.scenarios, list(SCENARIOS))]
    results = [
        _result_of(scenario, server, form, size, given.log)
        for scenario in chosen
        for server in _chosen(given.servers, list(SERVERS))
    ]
    print("\n".join([HEAD, "|---|---|---|--:|--:|---|", *map(row, results)]))
    if given.json:
        given.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 1 if any(result.faults for result in results) else 0


def row(result: Result) -> str:
    """A line of the table."""
    memory = " / ".join(f"{value / MB:.0f}" for value in (result.base, result.peak, result.after))
    alone, under, worst = (f"{1000 * v:.1f}" for v in (result.alone["p99"], result.under["p99"], result.under["worst"]))
    return (
        f"| {result.scenario} | {result.server} | {result.outcome.inputs} | {memory} | {alone} / {under} ({worst}) "
        f"| {result.outcome.ended} |"
    )


def _result_of(scenario: Scenario, server: str, form: str, size: Size, log: Path | None) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run_scenario(scenario, server, form, size, log or Path(folder, "server.log")))
    print(row(result), file=sys.stderr, flush=True)
    for fault in result.faults:
        print(f"  FAULT: {fault}", file=sys.stderr, flush=True)
    return result


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", default="", help=f"some of {', '.join(SCENARIOS)}")
    parser.add_argument("--servers", default="", help=f"some of {', '.join(SERVERS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts")
    parser.add_argument("--log", type=Path, help="keep the log of the last server there")
    parser.add_argument("--json", type=Path, help="write the figures there")
    add_form(parser)
    return parser.parse_args(arguments)


def _chosen(wanted: str, known: list[str]) -> list[str]:
    names = wanted.split(",") if wanted else known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
