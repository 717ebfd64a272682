"""The thresholds of the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from asocketio.collector import THRESHOLDS, TUNE, tune


@pytest.fixture(autouse=True)
def untuned() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_they_are_raised_where_the_environment_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TUNE, "1")
    tune()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize("value", ["0", "", "yes"])
def test_they_are_left_alone_elsewhere(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    monkeypatch.setenv(TUNE, value)
    tune()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, frozen)
