"""Servers side by side: what a message costs each of them, as one table.

python -m tests.benchmarks.run [--cases echo-50,idle] [--growth] [--servers lane,node] [--rounds 5]
                               [--node NODE_MODULES] [--json FILE]

See docs/performance.md for how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.cases import CASES, GROWTH, Case
from tests.benchmarks.servers import ROOT, Server, available, environment, found_modules, running
from tests.benchmarks.table import Results, table
from tests.benchmarks.usage import PROC, raise_limit

GIVES_UP = 300.0  # seconds for one load
PACKAGES = ("asocketio", "uvicorn", "uvloop", "httptools", "websockets", "orjson", "msgspec", "python-socketio")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    given = _arguments(arguments)
    if not (PROC / "self" / "stat").exists():
        sys.exit("CPU time is read from /proc: this needs Linux.")
    known = {**CASES, **GROWTH}
    names = _chosen(given.cases, known, GROWTH if given.growth else CASES)
    cases = _allowed([known[name] for name in names])
    servers = available(given.node or found_modules())
    chosen = [servers[name] for name in _chosen(given.servers, servers, servers)]
    results = Results(cases, [server.name for server in chosen])
    for line in (machine := _machine(given.node or found_modules())):
        print(line)
    for round_ in range(given.rounds):
        for case in cases:
            for server in chosen:
                _measure(results, case, server, given, round_)
        if given.json:
            _write(given.json, machine, results)
    print(f"\n{table(results)}\n\n{_load_now()}", flush=True)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help=f"some of {', '.join((*CASES, *GROWTH))}")
    parser.add_argument("--growth", action="store_true", help="the cases of growth instead")
    parser.add_argument("--servers", default="", help="some of lane, asgi, python-socketio, node")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=float, default=2.0, help="seconds before the figures are taken")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds that the figures are of")
    parser.add_argument("--node", type=Path, help="a node_modules with socket.io, better with bufferutil too")
    parser.add_argument("--json", type=Path, help="write the figures of every round there")
    return parser.parse_args(arguments)


def _chosen(wanted: str, known: Iterable[str], otherwise: Iterable[str]) -> list[str]:
    names = wanted.split(",") if wanted else list(otherwise)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def _allowed(cases: list[Case]) -> list[Case]:
    """Without those that need more connections than a process may have."""
    most = raise_limit() - 100
    for case in cases:
        if case.clients > most:
            print(f"{case.name} is left out: ulimit -n allows too few connections", file=sys.stderr)
    return [case for case in cases if case.clients <= most]


def _measure(results: Results, case: Case, server: Server, given: argparse.Namespace, round_: int) -> None:
    """One load on a fresh server. What goes wrong is told, and does not end the run."""
    figures: dict[str, Any]
    try:
        figures = _loaded(case, server, given)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        figures = {"remarks": [str(error)]}
    results.add(case, server.name, figures)
    found = [f"{name} {figures[name]:.2f}" for name in ("value", "rate", "generator_busy") if figures.get(name)]
    print(f"{round_ + 1} {case.name} {server.name}:", *found, file=sys.stderr, flush=True)
    for remark in figures["remarks"]:
        print(f"  {remark}", file=sys.stderr)


def _loaded(case: Case, server: Server, given: argparse.Namespace) -> dict[str, Any]:
    with running(server, case) as process:
        command = [sys.executable, "-m", "tests.benchmarks.load", "--case", json.dumps(asdict(case))]
        command += ["--port", str(process.port), "--pid", str(process.pid)]
        command += ["--warm", str(given.warm), "--seconds", str(given.seconds)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=GIVES_UP, check=False
        )
        log = process.log.read_text(errors="replace").strip()
        if done.returncode != 0:
            raise RuntimeError(f"no figures: {done.stderr}\nthe server's log:\n{log}")
    figures: dict[str, Any] = json.loads(done.stdout)
    if log:
        figures["remarks"].append(f"the server wrote: {log[:500]}")
    if not figures["messages"]:
        figures["remarks"].append("not one message")
    return figures


def _machine(modules: Path | None) -> list[str]:
    """What the figures hold for."""
    words = (PROC / "cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in words if line.startswith("model name")), "?")
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            pass
    for name in ("socket.io", "bufferutil"):
        package = modules / name / "package.json" if modules else None
        if package and package.exists():
            found.append(f"{name} {json.loads(package.read_text())['version']}")
    return [f"{model}, {os.cpu_count()} cores, Linux {platform.release()}", ", ".join(found), _load_now()]


def _load_now() -> str:
    return "load average (1, 5, 15 minutes): " + ", ".join(f"{load:.1f}" for load in os.getloadavg())


def _write(path: Path, machine: list[str], results: Results) -> None:
    runs = [
        {"case": case, "server": server, "round": number + 1, **run}
        for (case, server), rounds in results.runs.items()
        for number, run in enumerate(rounds)
    ]
    path.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
