"""Functions of the program that belong to no client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from asocketio.runtime.jobs import Jobs
from asocketio.runtime.log import ThrottledLog


class Heard:
    """``on_exception``, and what functions returned."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, dict[str, str]]] = []
        self.results: list[Any] = []
        self.jobs = Jobs(ThrottledLog(), self.on_exception)

    def on_exception(self, error: BaseException, about: Mapping[str, str]) -> None:
        self.errors.append((repr(error), dict(about)))
        raise RuntimeError("the hook fails, too")


@pytest.fixture
def heard() -> Heard:
    return Heard()


def plain(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


async def coroutine(value: Any) -> Any:
    await asyncio.sleep(0)
    return plain(value)


@pytest.mark.parametrize("function", [plain, coroutine])
async def test_what_a_function_returns_is_told_and_what_it_raises_is_logged(
    function: Any, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    heard.jobs.call("one", function, 1, then=heard.results.append)
    heard.jobs.call("two", function, 2)
    heard.jobs.call("bad", function, ValueError("oh"), then=heard.results.append)
    await asyncio.sleep(0.001)
    assert (heard.results, heard.jobs.names) == ([1], [])
    assert heard.errors == [("ValueError('oh')", {"sid": "", "namespace": "", "event": "bad"})]
    assert "bad raised ValueError('oh')" in caplog.text
    assert "on_exception itself failed" in caplog.text


@pytest.mark.parametrize("function", [plain, coroutine])
async def test_a_job_is_a_task(function: Any, heard: Heard) -> None:
    await heard.jobs.spawn("job", function, 1)
    await heard.jobs.spawn("job", function, ValueError("oh"))
    assert [error for error, _ in heard.errors] == ["ValueError('oh')"]


async def test_those_that_run_are_cancelled_but_not_the_one_that_stops_them(heard: Heard) -> None:
    other = heard.jobs.spawn("other", asyncio.sleep, 3600)
    stopping = heard.jobs.spawn("stopping", heard.jobs.stop)
    await stopping
    assert other.cancelled()
    await heard.jobs.stop()
