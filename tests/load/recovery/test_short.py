"""The short form of the run: no event is lost, none comes twice or to another; and a fault would be noticed."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.adapters.event_log import EventLog
from asocketio.adapters.trails import Trail
from tests.load.recovery.run import simulate

RUNS = [
    (1, False, {}),
    (2, True, {}),
    (3, False, {"recovery_events": 100}),
    (4, True, {"recovery_events": 60}),
    (5, False, {"recovery_bytes": 300_000}),
]


@pytest.mark.parametrize(("seed", "lane", "settings"), RUNS)
def test_none_is_lost_none_comes_twice_or_the_client_is_new(seed: int, lane: bool, settings: dict[str, Any]) -> None:
    world = simulate(400, 12, seed, lane=lane, **settings)
    assert world.wrong == []
    assert world.report["recovered"] > 10
    assert world.report["replayed"] > 10
    assert world.report["new"] > 0 or not settings
    assert world.most_kept[0] <= settings.get("recovery_events", 10_000)
    assert world.most_kept[1] <= settings.get("recovery_bytes", 16_000_000)


def _forget_one(log: EventLog, trail: Trail, after: int, most: int) -> Any:
    found = missed(log, trail, after, most)
    return found[1:] if found else found


def _one_more(log: EventLog, trail: Trail, after: int, most: int) -> Any:
    return missed(log, trail, max(after - 1, 0), most)


missed = EventLog.missed


@pytest.mark.parametrize("fault", [_forget_one, _one_more])
def test_a_fault_would_be_noticed(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventLog, "missed", fault)
    assert simulate(200, 8, 1, lane=False).wrong
