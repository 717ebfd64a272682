"""Who is flushed when."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any

import pytest

from asocketio.runtime.log import ThrottledLog
from asocketio.session.flush_queue import FLUSHES, MAX_SLICE_SECONDS, FlushQueue

Log = pytest.LogCaptureFixture


class Client:
    """Its transport takes 0.2 ms for a write."""

    spent = 0.0
    flushed: list[int]

    def __init__(self, number: int, then: Any = None) -> None:
        self.number = number
        self.then = then
        self.reason = ""
        self.writer = self.server = self
        self.throttled_log = ThrottledLog()

    def flush(self) -> None:
        Client.spent += 0.0002
        Client.flushed.append(self.number)
        if self.then is not None:
            self.then()

    def close(self, reason: str) -> None:
        self.reason = reason

    def sid_in(self, endpoint: str) -> str:
        return f"client {self.number}"

    def fields(self) -> dict[str, str]:
        return {}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asocketio.session.flush_queue.monotonic", lambda: Client.spent)
    Client.flushed = []


@pytest.fixture
async def queue() -> Any:
    return FlushQueue(asyncio.get_running_loop())


async def test_all_are_flushed_once_at_the_end_of_the_turn_in_order(queue: Any) -> None:
    for number in range(3):
        queue.add(Client(number))
    assert Client.flushed == []
    await asyncio.sleep(0)
    assert Client.flushed == [0, 1, 2]
    await asyncio.sleep(0)
    assert Client.flushed == [0, 1, 2]


async def test_who_comes_while_others_are_flushed_is_flushed_in_the_next_turn(queue: Any) -> None:
    late = Client(2)
    queue.add(Client(0, lambda: queue.add(late)))
    queue.add(Client(1))
    await asyncio.sleep(0)
    assert Client.flushed == [0, 1]
    await asyncio.sleep(0)
    assert Client.flushed == [0, 1, 2]


async def test_a_broadcast_to_many_leaves_others_their_turn(queue: Any) -> None:
    queue.add(Client(0, lambda: queue.add(Client(1000))))
    for number in range(1, 1000):
        queue.add(Client(number))
    turns = [0]
    while len(Client.flushed) < 1001:
        await asyncio.sleep(0)
        turns.append(len(Client.flushed))
    slices = [after - before for before, after in itertools.pairwise(turns)]
    assert Client.flushed == list(range(1001))
    assert max(slices) <= max(FLUSHES, MAX_SLICE_SECONDS / 0.0002 + FLUSHES)
    assert len(turns) > 10


async def test_one_that_cannot_be_sent_to_is_closed_and_the_others_are_flushed(queue: Any, caplog: Log) -> None:
    def fail() -> None:
        raise OSError("broken")

    broken, other = Client(0, fail), Client(1)
    queue.add(broken)
    queue.add(other)
    await asyncio.sleep(0)
    assert (Client.flushed, broken.reason, other.reason) == ([0, 1], "transport error", "")
    assert [record.getMessage() for record in caplog.records] == ["client 0: could not be sent to"]
    assert caplog.records[0].levelno == logging.ERROR
