"""A sample of the attacks; ``nox -s attack`` runs them all."""

from __future__ import annotations

import pytest

from tests.attack import amplification, promises
from tests.attack.shapes import shapes
from tests.attack.ways import Way


def test_there_are_two_hundred_shapes() -> None:
    assert len(set(map(str, shapes(4, 1000)))) >= 200


def test_nothing_becomes_more_than_it_may(capsys: pytest.CaptureFixture[str]) -> None:
    assert amplification.main(["--step", "331"]) == 0, capsys.readouterr().out


def test_a_client_holds_no_more_than_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    assert promises.main(["--step", "7"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(("name", "reached"), [("attachments", 0.95), ("backlog", 0.9), ("rooms", 0.9)])
async def test_the_attempts_come_near(name: str, reached: float) -> None:
    """They are stopped by the limits, and not by themselves."""
    promise = promises.PROMISES[name]
    held = [await promises.measure(attempt, Way(4, "websocket")) for attempt in promise.attempts]
    assert max(held) > reached * promise.most


async def test_what_is_held_is_measured() -> None:
    """A value that takes more than its text is seen."""
    [lists] = [shape for shape in shapes(4, 40_000) if str(shape) == "lists of an empty list, arguments"]
    [text] = [shape for shape in shapes(4, 40_000) if str(shape) == "long text, arguments"]
    found = [await amplification.held(Way(4, "websocket"), shape, "later") for shape in (lists, text)]
    assert found[0].ratio > 25
    assert 0.9 < found[1].ratio < 3
