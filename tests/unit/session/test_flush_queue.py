"""Who is flushed when."""

from __future__ import annotations

import asyncio
import itertools
import logging
from contextlib import nullcontext
from typing import Any

import pytest

from asocketio.runtime.log import ThrottledLog
from asocketio.session.flush_queue import AT_ONCE, POLLS, SLICE_SECONDS, FlushQueue

Log = pytest.LogCaptureFixture


class Client:
    """Its transport takes 0.2 ms for a write; by polling, for an answer in the turn after."""

    spent = 0.0
    flushed: list[int]

    def __init__(self, number: int, then: Any = None, name: str = "websocket") -> None:
        self.number = number
        self.name = name
        self.flush_scheduled = True
        self.flush_waits = False
        self.then = then
        self.reason = ""
        self.writer = self.server = self.transport = self
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


async def turns_until(flushed: int) -> list[int]:
    """How many are flushed in each turn of the loop."""
    turns = [len(Client.flushed)]
    while len(Client.flushed) < flushed:
        assert len(turns) < 1000, f"{len(Client.flushed)} of {flushed} were flushed"
        await asyncio.sleep(0)
        turns.append(len(Client.flushed))
    return [after - before for before, after in itertools.pairwise(turns)]


async def test_a_few_are_flushed_whatever_it_takes(queue: Any) -> None:
    for number in range(AT_ONCE):
        queue.add(Client(number))
    assert await turns_until(AT_ONCE) == [AT_ONCE]


@pytest.mark.parametrize("broadcast", [False, True])
async def test_a_broadcast_to_many_leaves_others_their_turn(queue: Any, broadcast: bool) -> None:
    with queue.behind_answers() if broadcast else nullcontext():
        for number in range(1000):
            queue.add(Client(number))
    slices = await turns_until(1000)
    assert Client.flushed == list(range(1000))
    assert max(slices) <= 2 * (SLICE_SECONDS / 0.0002 + 16)
    assert min(slices[:-1]) >= SLICE_SECONDS / 0.0002


async def test_polls_are_flushed_by_count(queue: Any) -> None:
    """What they cost is seen in later turns."""
    with queue.behind_answers():
        for number in range(500):
            queue.add(Client(number, name="polling"))
    slices = await turns_until(500)
    assert set(slices[:-1]) == {POLLS}


async def test_who_is_answered_meanwhile_comes_first(queue: Any) -> None:
    queue.add(Client(2000))
    with queue.behind_answers():
        for number in range(1000):
            queue.add(Client(number))
    queue.add(Client(2001))
    await asyncio.sleep(0)
    assert Client.flushed[:2] == [2000, 2001]
    for number in range(2002, 2010):
        queue.add(Client(number))
        await asyncio.sleep(0)
        assert number in Client.flushed
    assert len(Client.flushed) < 1000
    await turns_until(1010)
    assert [number for number in Client.flushed if number < 2000] == list(range(1000))


async def test_one_of_the_crowd_is_answered_first_too(queue: Any) -> None:
    crowd = [Client(number) for number in range(1000)]
    with queue.behind_answers():
        for client in crowd:
            queue.add(client)
    assert not any(client.flush_scheduled for client in crowd)
    queue.add(crowd[-1])
    await asyncio.sleep(0)
    assert Client.flushed[0] == 999
    assert len(Client.flushed) < 500
    await turns_until(1001)  # 999 waits at its old place, with nothing to send
    assert Client.flushed[-1] == 999


async def test_broadcasts_faster_than_they_are_flushed_let_each_client_wait_once(queue: Any) -> None:
    crowd = [Client(number) for number in range(1000)]
    for _ in range(20):
        with queue.behind_answers():
            for client in crowd:
                queue.add(client)
        await asyncio.sleep(0)
    so_far = len(Client.flushed)
    assert max(Client.flushed) > 250  # those who wait get on, whoever comes anew
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(Client.flushed) <= so_far + 1000
    assert set(Client.flushed) == set(range(1000))


async def test_a_broadcast_that_fails_half_way_is_sent_to_the_others(queue: Any) -> None:
    queue.add(Client(0))

    def broadcast() -> None:
        with queue.behind_answers():
            queue.add(Client(1))
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        broadcast()
    await asyncio.sleep(0)
    assert Client.flushed == [0, 1]


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
