"""The short version of the chaos run: a real server, sixty clients of all generations, a network that hurts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import ROOT

DEADLINE = 300.0  # seconds; it takes about forty, and stalls and time-outs of its own are part of it
GENERATIONS = ("0.9", "3", "4")


@pytest.mark.parametrize(
    ("server", "form", "seconds", "clients"),
    [("asocketio", "fast", 16, 60), ("uvicorn-h11-websockets-sansio", "plain", 6, 25)],
    ids=["lane-fast", "uvicorn-plain"],
)
def test_nothing_is_lost_doubled_or_left_behind(
    tmp_path: Path, server: str, form: str, seconds: int, clients: int
) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.load.chaos.run", "--seed", "1", "--node", "1", "--server", server]
    command += ["--hide"] if form == "plain" else []
    done = subprocess.run(
        [*command, "--seconds", str(seconds), "--clients", str(clients), "--json", str(report)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, f"{done.stderr[-20_000:]}\n{done.stdout[-5_000:]}"
    found = json.loads(report.read_text(encoding="utf-8"))
    assert (found["violated"], found["form"]) == (0, form)
    # That it was a run at all.
    for generation in GENERATIONS:
        assert sum(count for name, count in found["clients"].items() if name.startswith(f"sessions {generation} "))
    assert found["clients"]["sessions that came through"] > 10
    assert sum(count for name, count in found["faults"].items() if name.startswith("cut")) > 10
    assert len(found["reasons"]) >= 5
