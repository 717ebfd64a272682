"""Who is cleaned up when, where nobody waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asocketio.runtime.log import ThrottledLog
from asocketio.session.cleanup_queue import CleanupQueue

Log = pytest.LogCaptureFixture


class Client:
    """Its clean-up takes 1 ms to start, and ends when the test says so. It is its own dispatcher."""

    spent = 0.0
    started: list[int]

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.dispatcher = self.lifecycle = self.server = self
        self.throttled_log = ThrottledLog()
        self.done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def run_apart(self, *args: Any) -> tuple[None, asyncio.Future[BaseException | None]]:
        Client.spent += 0.001
        Client.started.append(self.number)
        return None, self.done

    def sid_in(self, endpoint: str) -> str:
        return f"client {self.number}"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asocketio.session.cleanup_queue.monotonic", lambda: Client.spent)
    Client.started = []


async def test_a_session_ends_when_its_cleanup_is_done() -> None:
    ended: list[Any] = []
    queue: Any = CleanupQueue(asyncio.get_running_loop(), ended.append)
    one, two = Client(1), Client(2)
    queue.add(one)
    queue.add(two)
    assert Client.started == []
    await asyncio.sleep(0)
    assert (Client.started, ended) == ([1, 2], [])
    two.done.set_result(None)
    await asyncio.sleep(0)
    assert ended == [two]


async def test_a_cleanup_that_raises_is_logged_and_ends_the_session(caplog: Log) -> None:
    ended: list[Any] = []
    queue: Any = CleanupQueue(asyncio.get_running_loop(), ended.append)
    client = Client(7)
    queue.add(client)
    await asyncio.sleep(0)
    client.done.set_result(ValueError("bad"))
    await asyncio.sleep(0)
    assert ended == [client]
    assert [record.getMessage() for record in caplog.records] == ["client 7: its clean-up raised ValueError('bad')"]


async def test_when_many_leave_others_have_their_turns() -> None:
    queue: Any = CleanupQueue(asyncio.get_running_loop(), lambda client: None)
    for number in range(100):
        queue.add(Client(number))
    turns = []
    while len(Client.started) < 100:
        await asyncio.sleep(0)
        turns.append(len(Client.started))
    assert Client.started == list(range(100))
    assert len(turns) >= 10
