"""A tenth of every attack, on fresh servers of both forms; a soak of seconds. Nothing here is about speed.

A fault is what no busy machine explains: memory over the bound, sessions that stay, an attacker that is not stopped,
other clients who wait for more than `FLOOR`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.load.flood import soak
from tests.load.flood.client_sessions import ENDINGS, GENERATIONS, TRANSPORTS
from tests.load.flood.run import row
from tests.load.flood.runner import Size, run_scenario
from tests.load.flood.scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

FLOOR = 3.0
"""Seconds: a stall of the server, not one of the machine."""
SHORT = Size(scale=0.1, alone=0.3, multiple=100.0, floor=FLOOR)
ON_BOTH = ("events-websocket", "giant-frame", "empty-fragments")
"""Where the lane and the server's own websocket class have each their own code.

What is ``long`` is for `tests.load.flood.run` alone: each of them has a shorter sister here.
"""
RUNS = [(name, "lane", "fast") for name, scenario in SCENARIOS.items() if not scenario.long] + [
    (name, "uvicorn", "plain") for name in ON_BOTH
]


@pytest.mark.parametrize(("name", "server", "form"), RUNS)
async def test_no_harm_is_done(name: str, server: str, form: str, tmp_path: Path) -> None:
    result = await run_scenario(SCENARIOS[name], server, form, SHORT, tmp_path / "server.log")
    assert not result.faults, f"{row(result)}\n{result.faults}\n{result.said}"


async def test_nothing_is_left_after_a_churn(tmp_path: Path) -> None:
    report = await soak.soak("lane", "plain", 5, 40, 0.7, tmp_path / "server.log")
    assert not report.faults, "\n".join(report.lines())
    assert report.sessions > 40
    assert len(report.kinds) > len(GENERATIONS) * len(TRANSPORTS) * len(ENDINGS) / 2
    assert len(report.samples) > 5
    assert "kB per 10 000 sessions" in "\n".join(report.lines())


def test_the_slope_is_that_of_a_line() -> None:
    assert soak.slope([(x, 7 + 3 * x) for x in range(10)]) == pytest.approx(3)
    assert soak.slope([(1, 5)]) == 0
    assert soak.slope([(1, 5), (1, 6)]) == 0
