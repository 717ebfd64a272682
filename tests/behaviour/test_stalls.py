"""What docs/trust.md promises of a stalled server: no ping time-out for the time in which it could not listen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asocketio.config import Config
from asocketio.protocol.base import Protocol
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerEngineIO4, ServerSocketIO09
from asocketio.runtime.loop_lag import INTERVAL, STALL, LoopLagMonitor
from asocketio.runtime.timers import Deadlines
from asocketio.session.heartbeat import Heartbeat, heartbeats
from tests.unit.runtime.test_timers import HandClock
from tests.unit.session.test_heartbeat import Carried

Log = pytest.LogCaptureFixture


class StallClock(HandClock):
    """A clock whose loop may be blocked: what falls due meanwhile comes late, in its order."""

    def block(self, seconds: float) -> None:
        """Nothing can happen for so long; then the timers have their turn."""
        self.time += seconds
        self.advance(0)


@pytest.fixture
def clock() -> StallClock:
    return StallClock()


# ---- LoopLagMonitor ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [0.0, 0.01, 0.3, 0.5, 0.99, 1.0, 1.7])
@pytest.mark.parametrize("length", [INTERVAL + STALL, 3.0, 60.0])
def test_a_stall_is_noticed_wherever_it_begins(begin: float, length: float, clock: StallClock, caplog: Log) -> None:
    lag = LoopLagMonitor(clock)
    lag.start()
    clock.advance(begin)
    began = clock.time
    assert not lag.stalled_since(began - 100)
    clock.time += length
    assert lag.stalled_since(began)  # before its own timer had a turn
    clock.advance(0)
    assert lag.stalled_since(began)
    assert lag.stalled_since(clock.time - 0.001)
    assert not lag.stalled_since(clock.time)  # what begins now has nothing to do with it
    assert len(caplog.records) == 1


def test_one_warning_names_the_length_of_a_stall(clock: StallClock, caplog: Log) -> None:
    lag = LoopLagMonitor(clock)
    lag.start()
    clock.advance(0.5)
    clock.block(7.25)
    clock.advance(30)
    (record,) = caplog.records
    named = float(record.getMessage().split("about ")[1].split(" s")[0])
    assert 7.25 - INTERVAL <= named <= 7.25


def test_each_stall_has_its_own_warning(clock: StallClock, caplog: Log) -> None:
    lag = LoopLagMonitor(clock)
    lag.start()
    for _ in range(3):
        clock.advance(5)
        clock.block(3)
    assert len(caplog.records) == 3


@pytest.mark.parametrize("late", [0.0, 0.1, STALL - 0.01])
def test_a_little_lateness_is_no_stall(late: float, clock: StallClock, caplog: Log) -> None:
    lag = LoopLagMonitor(clock)
    lag.start()
    for _ in range(20):
        clock.advance(INTERVAL - 0.001)
        clock.block(0.001 + late)
    assert not lag.stalled_since(1000)
    assert caplog.records == []


def test_the_lateness_of_each_look_is_reported(clock: StallClock) -> None:
    seen: list[float] = []
    lag = LoopLagMonitor(clock, seen.append)
    lag.start()
    clock.advance(3)
    clock.block(INTERVAL + 0.5)
    assert seen == [0, 0, 0, 0.5]


def test_it_has_one_timer_and_none_when_it_has_stopped(clock: StallClock) -> None:
    lag = LoopLagMonitor(clock)
    lag.start()
    lag.start()
    assert len(clock.armed) == 1
    lag.stop()
    lag.stop()
    assert clock.armed == []
    clock.block(100)
    assert not lag.stalled_since(0)  # nobody was there
    lag.start()
    clock.advance(10)
    assert len(clock.armed) == 1


# ---- clients ------------------------------------------------------------------------------------------------------

BEATS: dict[str, Any] = {
    "ping_interval": 10, "ping_timeout": 5, "heartbeat_interval": 10, "heartbeat_timeout": 5,
    "polling_duration": 5, "close_timeout": 15,
}  # fmt: skip


class Client(Carried):
    """One that answers, or pings, as soon as it can be heard: the server reads after its timers, as uvloop does.

    No client that sends bytes, but a session as the heartbeat sees it, on a clock whose loop can be blocked.
    """

    def __init__(self, protocol: Protocol, clock: StallClock, transport: str) -> None:
        super().__init__(protocol)
        self.clock = clock
        self.deadlines = Deadlines(clock)
        self.lag = LoopLagMonitor(clock)
        self.beats: Heartbeat = heartbeats(clock, self.deadlines, Config(**BEATS), self.lag)[protocol.pings]
        self.transport_name = transport
        self.transport = self
        self.reader = self.writer = self  # all in one
        self.ended = ""
        self._sent: list[Callable[[], None]] = []
        self.lag.start()

    def flush(self) -> None:
        """A poll was answered with nothing: the client comes back at once."""
        self.transport = None
        self.beats.on_transport_change(self)  # type: ignore[arg-type]
        self._sent.append(self._polls)

    def _polls(self) -> None:
        self.transport = self
        self.beats.on_transport_change(self)  # type: ignore[arg-type]

    def post(self, encoded: Any) -> None:
        (frame,) = encoded.frames
        if frame in ("2", "2::"):
            kind = PacketType.PONG if frame == "2" else PacketType.HEARTBEAT
            self._sent.append(lambda: self._beat(kind))

    def pings(self) -> None:
        """Its own ping, where clients ping."""
        self._sent.append(lambda: self._beat(PacketType.PING))
        self.clock.call_later(BEATS["ping_interval"], self.pings)

    def _beat(self, kind: PacketType) -> None:
        self.last_received = self.clock.now()
        self.beats.on_heartbeat(self, Packet(kind))  # type: ignore[arg-type]

    def read(self) -> None:
        sent, self._sent = self._sent, []
        for each in sent:
            each()

    def close(self, reason: str) -> None:
        self.ended = reason


KINDS: dict[str, tuple[Protocol, str]] = {
    "4": (ServerEngineIO4(), "websocket"),
    "3": (ServerEngineIO3(), "websocket"),
    "0.9-websocket": (ServerSocketIO09(), "websocket"),
    "0.9-polling": (ServerSocketIO09(), "polling"),
}


def client_of(kind: str, clock: StallClock) -> Client:
    protocol, transport = KINDS[kind]
    client = Client(protocol, clock, transport)
    client.last_received = clock.now()
    client.beats.opened(client)  # type: ignore[arg-type]
    client.beats.on_transport_change(client)  # type: ignore[arg-type]
    if protocol.pings == "client":
        clock.call_later(BEATS["ping_interval"], client.pings)
    return client


def live(client: Client, seconds: float) -> None:
    """Time passes in a loop that runs: the client is read every tenth of a second."""
    for _ in range(round(seconds * 10)):
        client.clock.advance(0.1)
        client.read()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [2.0, 4.9, 5.1, 14.9, 15.1, 25.0, 100.0])
def test_no_stall_ends_a_client_that_answers(kind: str, length: float, caplog: Log) -> None:
    """Whatever the moment in the interval, and also several in a row."""
    for tenth in range(0, 160, 7):
        clock = StallClock()
        client = client_of(kind, clock)
        live(client, tenth / 10)
        clock.block(length)
        assert client.ended == "", tenth / 10
        client.read()
        live(client, 1)
        clock.block(length)
        client.read()
        live(client, 40)
        assert client.ended == "", tenth / 10
    assert len(caplog.records) == 2 * len(range(0, 160, 7))


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_is_silent_ends_after_a_stall_too(kind: str) -> None:
    """It has all of its time once more, and no longer."""
    clock = StallClock()
    client = client_of(kind, clock)
    client._sent = []
    live(client, 12)
    client.read = lambda: None  # type: ignore[method-assign]  # it has vanished
    clock.block(30)
    live(client, 1)
    assert client.ended == ""
    live(client, 2 * (BEATS["ping_interval"] + BEATS["ping_timeout"]))
    assert client.ended == "ping timeout"


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_stall_a_silent_client_ends_in_its_time(kind: str) -> None:
    clock = StallClock()
    client = client_of(kind, clock)
    client.read = lambda: None  # type: ignore[method-assign]
    live(client, 20.5)  # a poll is answered after 5 s, and then there are 15
    assert client.ended == "ping timeout"
