"""Deadlines of sessions that are no heartbeat."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.config import Config
from asocketio.metrics import Metrics
from asocketio.runtime.log import ThrottledLog
from asocketio.session.session_timers import SLOW, SessionTimers
from asocketio.session.states import SocketState
from asocketio.testing.clock import TestClock

Log = pytest.LogCaptureFixture


class Client:
    """A socket, its undecided view, and a handler of it."""

    def __init__(self) -> None:
        self.state = SocketState.OPEN
        self.pending = self.server = self
        self.throttled_log = ThrottledLog()
        self.view: Client | None = None
        self.ends: list[str] = []

    def time_out(self) -> None:
        self.ends.append("view timed out")

    def close(self, reason: str) -> None:
        self.ends.append(reason)

    def warn_slow(self) -> None:
        self.ends.append("slow")

    def sid_in(self, endpoint: str) -> str:
        return "client"


class Timers:
    """Timers and their clock."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.timers: Any = SessionTimers(self.clock, Config(connect_timeout=10.0), Metrics())


@pytest.fixture
async def world() -> Timers:
    return Timers()


async def test_a_client_that_joins_no_namespace_in_time_is_closed(world: Timers, caplog: Log) -> None:
    caplog.set_level("INFO", "asocketio")
    idle, joined = Client(), Client()
    for client in (idle, joined):
        world.timers.await_connect(client)
    world.timers.connected(joined)
    await world.clock.advance(9.9)
    assert idle.ends == []
    await world.clock.advance(0.2)
    assert (idle.ends, joined.ends) == (["forced close"], [])
    assert caplog.messages == ["client: closed, no namespace joined within connect_timeout"]


async def test_a_view_that_decides_nothing_in_time_is_timed_out(world: Timers) -> None:
    client, gone = Client(), Client()
    client.state = gone.state = SocketState.OPENING
    client.view = client
    for each in (client, gone):
        world.timers.await_connect(each)
    await world.clock.advance(10.1)
    assert (client.ends, gone.ends) == (["view timed out"], [])


async def test_a_handler_that_runs_for_long_says_so_once(world: Timers) -> None:
    slow, quick = Client(), Client()
    for handler in (slow, quick):
        world.timers.watch(handler)
    await world.clock.advance(SLOW - 0.1)
    world.timers.unwatch(quick)
    await world.clock.advance(3 * SLOW)
    assert (slow.ends, quick.ends) == (["slow"], [])


async def test_nothing_ticks_when_there_is_nobody(world: Timers) -> None:
    client: Any = Client()
    world.timers.await_connect(client)
    world.timers.lag.start()
    world.timers.connected(client)
    world.timers.stop_if_idle()
    assert [timer for *_, timer in world.clock._due if timer.callback is not None] == []
