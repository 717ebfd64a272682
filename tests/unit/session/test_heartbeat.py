"""How each generation shows that a client lives, and when a silent one is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Literal, TypeVar

import pytest

from asocketio import SocketIOApp
from asocketio.config import Config
from asocketio.protocol.base import Encoded, Frame, Protocol
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerSocketIO09
from asocketio.runtime.clock import Clock, Timer
from asocketio.runtime.loop_lag import LoopLagMonitor
from asocketio.runtime.timers import Deadlines, TimerQueue
from asocketio.session.heartbeat import CHECKS, ClientPings, Heartbeat, ServerPings, TransportPings
from asocketio.session.outbox import Outbox
from asocketio.testing import TestClient, settle
from tests.clients.asgi import Client
from tests.support.worlds import Recorder, Way

T = TypeVar("T")
Generation = Literal["0.9", 3, 4]
ClientTransport = Literal["websocket", "polling", "jsonp"]

PINGS: dict[str, Any] = {"ping_interval": 10, "ping_timeout": 5}
BEATS: dict[str, Any] = {
    "heartbeat_interval": 10, "heartbeat_timeout": 5, "polling_duration": 10, "close_timeout": 15,
}  # fmt: skip


class Listener(TestClient):
    """A client that keeps every frame of the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frames: list[Frame] = []

    def received(self, frame: Frame) -> Packet | None:
        self.frames.append(frame)
        return super().received(frame)


@asynccontextmanager
async def listening(generation: Generation, transport: ClientTransport, **settings: Any) -> AsyncGenerator[Listener]:
    """A client that is in the global namespace."""
    app = SocketIOApp(namespaces={"/": Recorder}, **settings)
    client = Listener(app, generation=generation, transport=transport)
    async with client:
        await client.connect()
        await settle()
        client.frames.clear()
        yield client


@asynccontextmanager
async def by_hand(**settings: Any) -> AsyncGenerator[Client]:
    """A session of 0.9 that no transport carries yet."""
    client = Client(SocketIOApp(namespaces={"/": Recorder}, **{**BEATS, **settings}), generation="0.9")
    await client.handshake()
    yield client
    await client.end()


def ended() -> list[str]:
    """Why the newest namespace ended; nothing while it lives."""
    reasons: list[str] = Recorder.last.reasons
    return reasons


# ---- generation 3: the client pings ----------------------------------------------------------------------------


@pytest.fixture(params=["websocket", "polling", "jsonp"])
def transport(request: pytest.FixtureRequest) -> ClientTransport:
    transport: ClientTransport = request.param
    return transport


async def test_a_silent_client_of_3_ends_after_interval_and_timeout(transport: ClientTransport) -> None:
    async with listening(3, transport, **PINGS) as client:
        client.answers_pings = False
        await client.advance(14.9)
        assert ended() == []
        await client.advance(0.1)
        assert (ended(), await client.namespaces[""].disconnected()) == (["ping timeout"], "transport close")


async def test_a_client_of_3_that_pings_stays_and_gets_each_ping_answered(transport: ClientTransport) -> None:
    async with listening(3, transport, **PINGS) as client:
        await client.advance(300)
        assert (client.frames, ended()) == (["3"] * 30, [])


async def test_a_ping_of_3_gives_it_all_the_time_again(transport: ClientTransport) -> None:
    async with listening(3, transport, **PINGS) as client:
        client.answers_pings = False
        await client.advance(10)
        await client.post_frames("2")
        await client.advance(14.9)
        assert ended() == []
        await client.advance(0.1)
        assert ended() == ["ping timeout"]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param('42["echo",1]', id="event"),
        pytest.param('420["echo",1]', id="event that wants an ack"),
        pytest.param("437[]", id="ack of nothing"),
        pytest.param('42/nope,["x"]', id="event for nobody"),
        pytest.param("40", id="second connect"),
        pytest.param("47", id="unknown type"),
        pytest.param("6", id="noop"),
        pytest.param('451-["x",{"_placeholder":true,"num":0}]', id="packet whose attachment is due"),
    ],
)
async def test_any_packet_of_3_shows_that_it_lives(frame: str, transport: ClientTransport) -> None:
    async with listening(3, transport, **PINGS) as client:
        client.answers_pings = False
        await client.advance(10)
        await client.post_frames(frame)
        await client.advance(14.9)
        assert ended() == []
        await client.advance(0.1 + 15 / CHECKS)
        assert ended() == ["ping timeout"]


async def test_a_client_of_3_that_talks_all_the_time_need_not_ping() -> None:
    async with listening(3, "websocket", **PINGS) as client:
        client.answers_pings = False
        for _ in range(10):
            await client.advance(14)
            await client.post_frames("6")
        assert ended() == []


@pytest.mark.parametrize(("ping", "pong"), [("2", "3"), ("2hello", "3"), ("2probe", "3probe")])
async def test_a_ping_of_3_is_answered_without_its_text_but_for_the_probe(
    ping: str, pong: str, transport: ClientTransport
) -> None:
    async with listening(3, transport, **PINGS) as client:
        await client.post_frames(ping)
        await settle()
        assert client.frames == [pong]


@pytest.mark.parametrize(("generation", "frame"), [(3, "3"), (4, "2")])
async def test_a_beat_from_the_wrong_side_ends_the_connection(generation: Generation, frame: str) -> None:
    async with listening(generation, "websocket") as client:
        await client.post_frames(frame)
        await settle()
        assert ended() == ["forced close"]


# ---- generation 4: the server pings ----------------------------------------------------------------------------


async def test_a_client_of_4_is_asked_an_interval_after_its_last_answer(transport: ClientTransport) -> None:
    async with listening(4, transport, **PINGS) as client:
        await client.advance(9.9)
        assert client.frames == []
        await client.advance(0.1)
        assert client.frames == ["2"]
        await client.advance(290)
        assert (client.frames, ended()) == (["2"] * 30, [])


async def test_a_client_of_4_that_does_not_answer_ends_after_the_timeout(transport: ClientTransport) -> None:
    async with listening(4, transport, **PINGS) as client:
        client.answers_pings = False
        await client.advance(14.9)
        assert (client.frames, ended()) == (["2"], [])
        await client.advance(0.1)
        assert (ended(), await client.namespaces[""].disconnected()) == (["ping timeout"], "transport close")


async def test_an_answer_of_4_that_nobody_asked_for_changes_nothing(transport: ClientTransport) -> None:
    async with listening(4, transport, **PINGS) as client:
        await client.advance(5)
        await client.post_frames("3")
        await client.advance(5)
        assert client.frames == ["2"]


# ---- 0.9 on a websocket: heartbeats ----------------------------------------------------------------------------


async def test_a_websocket_of_09_is_asked_an_interval_after_its_last_answer() -> None:
    async with by_hand() as client:
        websocket = await client.websocket()
        assert websocket.frames == ["1::"]
        await client.clock.advance(9.9)
        assert websocket.frames == ["1::"]
        await client.clock.advance(0.1)
        assert websocket.frames == ["1::", "2::"]
        await client.clock.advance(4)
        await websocket.says("2::")
        await client.clock.advance(9.9)
        assert websocket.frames == ["1::", "2::"]
        await client.clock.advance(0.1)
        assert (websocket.frames, ended()) == (["1::", "2::", "2::"], [])


async def test_a_websocket_of_09_that_does_not_answer_is_closed_after_the_timeout() -> None:
    async with by_hand() as client:
        websocket = await client.websocket()
        await client.clock.advance(14.9)
        assert (websocket.closed, ended()) == (False, [])
        await client.clock.advance(0.1)
        assert (websocket.frames, websocket.closed, ended()) == (["1::", "2::"], True, ["ping timeout"])
        assert (await client.get()).body == "7:::1+0"


async def test_a_heartbeat_of_09_that_nobody_asked_for_is_neither_answered_nor_counted() -> None:
    async with by_hand() as client:
        websocket = await client.websocket()
        await client.clock.advance(5)
        await websocket.says("2::")
        assert websocket.frames == ["1::"]
        await client.clock.advance(5)
        assert websocket.frames == ["1::", "2::"]
        for _ in range(3):
            await websocket.says("2::")
        await client.clock.advance(10)
        assert websocket.frames == ["1::", "2::", "2::"]


async def test_a_client_of_09_that_answers_stays() -> None:
    async with listening("0.9", "websocket", **BEATS) as client:
        await client.advance(300)
        assert (client.frames, ended()) == (["2::"] * 30, [])


async def test_a_websocket_of_09_that_closes_is_no_gap() -> None:
    async with by_hand() as client:
        websocket = await client.websocket()
        websocket.disconnect()
        await settle()
        assert ended() == ["transport close"]


# ---- 0.9 by polling: polls that end, and gaps between them -----------------------------------------------------


async def test_a_poll_of_09_is_answered_by_nothing_after_polling_duration() -> None:
    async with by_hand() as client:
        assert (await client.get()).body == "1::"
        poll = await client.get()
        await client.clock.advance(9.9)
        assert poll.sent == []
        await client.clock.advance(0.1)
        assert (poll.body, ended()) == ("8::", [])


async def test_a_client_of_09_that_polls_stays_and_is_never_asked() -> None:
    async with listening("0.9", "polling", **BEATS) as client:
        await client.advance(300)
        assert (client.frames, ended()) == (["8::"] * 30, [])


async def test_jsonp_of_09_polls_alike() -> None:
    async with listening("0.9", "jsonp", **BEATS) as client:
        await client.advance(30)
        assert (client.frames, ended()) == (["8::"] * 3, [])
        await client.lose()
        await client.advance(15)
        assert ended() == ["ping timeout"]


async def test_a_client_of_09_that_does_not_come_back_ends_after_close_timeout() -> None:
    async with by_hand() as client:
        await client.get()
        await client.clock.advance(14.9)
        assert ended() == []
        await client.clock.advance(0.1)
        assert ended() == ["ping timeout"]
        assert (await client.get()).body == "7:::1+0"


async def test_a_gap_begins_when_a_poll_is_answered() -> None:
    async with by_hand() as client:
        await client.get()
        await client.clock.advance(14)
        poll = await client.get()
        await client.clock.advance(10)
        assert poll.body == "8::"
        await client.clock.advance(14.9)
        assert ended() == []
        await client.clock.advance(0.1)
        assert ended() == ["ping timeout"]


async def test_who_comes_back_in_time_goes_on_and_gets_what_was_queued() -> None:
    async with by_hand() as client:
        await client.get()
        await client.clock.advance(7)
        Recorder.last.emit("a")
        Recorder.last.emit("b", 1)
        await client.clock.advance(7.9)
        poll = await client.get()
        assert poll.body == '\ufffd16\ufffd5:::{"name":"a"}\ufffd27\ufffd5:::{"name":"b","args":[1]}'
        await client.clock.advance(14.9)
        assert (await client.get()).waiting
        assert ended() == []


async def test_a_post_is_no_poll() -> None:
    async with by_hand() as client:
        await client.get()
        await client.clock.advance(10)
        assert (await client.post(b'5:1+::{"name":"echo"}')).body == "1"
        assert (await client.post(b"2::")).body == "1"
        await client.clock.advance(5)
        assert ended() == ["ping timeout"]


async def test_a_session_of_09_that_no_transport_ever_carries_ends_too() -> None:
    async with by_hand() as client:
        assert ended() == []
        await client.clock.advance(15)
        assert ended() == ["ping timeout"]
        assert (await client.get()).body == "7:::1+0"


async def test_a_second_get_takes_over_and_the_first_is_answered_by_nothing() -> None:
    async with by_hand() as client:
        await client.get()
        first = await client.get()
        await client.clock.advance(4)
        second = await client.get()
        assert (first.body, second.waiting) == ("8::", True)
        Recorder.last.emit("a")
        await settle()
        assert (first.body, second.body, ended()) == ("8::", '5:::{"name":"a"}', [])


async def test_the_second_get_has_a_polling_duration_of_its_own() -> None:
    async with by_hand() as client:
        await client.get()
        await client.get()
        await client.clock.advance(4)
        second = await client.get()
        await client.clock.advance(9.9)
        assert second.waiting
        await client.clock.advance(0.1)
        assert second.body == "8::"


async def test_a_get_that_takes_over_at_the_moment_of_an_emit_gets_it() -> None:
    async with by_hand() as client:
        await client.get()
        first = await client.get()
        Recorder.last.emit("a")
        second = await client.get()
        assert (first.body, second.body) == ("8::", '5:::{"name":"a"}')


async def test_a_poll_that_breaks_is_a_gap() -> None:
    async with by_hand() as client:
        await client.get()
        poll = await client.get()
        await client.clock.advance(5)
        poll.disconnect()
        await client.clock.advance(14.9)
        assert ended() == []
        await client.clock.advance(0.1)
        assert ended() == ["ping timeout"]


async def test_who_comes_back_after_a_broken_poll_has_lost_nothing() -> None:
    async with by_hand() as client:
        await client.get()
        poll = await client.get()
        poll.disconnect()
        Recorder.last.emit("a")
        await client.clock.advance(7)
        Recorder.last.emit("b")
        await client.clock.advance(7)
        assert (await client.get()).body == '\ufffd16\ufffd5:::{"name":"a"}\ufffd16\ufffd5:::{"name":"b"}'
        assert ended() == []


async def test_a_client_that_loses_its_connection_ends_after_close_timeout() -> None:
    async with listening("0.9", "polling", **BEATS) as client:
        await client.lose()
        await client.advance(15)
        assert ended() == ["ping timeout"]


# ---- 0.9: from one transport to another ------------------------------------------------------------------------


async def test_a_websocket_that_takes_over_from_a_poll_is_asked_instead() -> None:
    async with by_hand() as client:
        await client.get()
        poll = await client.get()
        await client.clock.advance(6)
        websocket = await client.websocket()
        assert (poll.body, websocket.frames) == ("8::", [])
        await client.clock.advance(9.9)
        assert websocket.frames == []
        await client.clock.advance(0.1)
        assert (websocket.frames, ended()) == (["2::"], [])


async def test_a_poll_that_takes_over_from_a_websocket_ends_the_asking() -> None:
    async with by_hand() as client:
        websocket = await client.websocket()
        await client.clock.advance(10)
        assert websocket.frames == ["1::", "2::"]
        poll = await client.get()
        assert (websocket.closed, ended()) == (True, [])
        await client.clock.advance(9.9)
        assert (poll.waiting, ended()) == (True, [])
        await client.clock.advance(0.1)
        assert (poll.body, ended()) == ("8::", [])


async def test_a_websocket_that_takes_over_from_another_is_asked_in_its_own_time() -> None:
    async with by_hand() as client:
        first = await client.websocket()
        await client.clock.advance(6)
        second = await client.websocket()
        assert (first.frames, first.closed, second.frames) == (["1::"], True, [])
        Recorder.last.emit("a")
        await client.clock.advance(9.9)
        assert second.frames == ['5:::{"name":"a"}']
        await client.clock.advance(0.1)
        assert (first.frames, second.frames, ended()) == (["1::"], ['5:::{"name":"a"}', "2::"], [])


# ---- whose fault a silence is ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way", [Way(generation=3, transport="websocket"), Way(generation="0.9", transport="websocket")]
)
async def test_silence_is_not_held_against_a_client_that_is_not_read(way: Way) -> None:
    gate = asyncio.Event()

    class Busy(Recorder):
        async def on_wait(self) -> None:
            await gate.wait()

    app = SocketIOApp(namespaces={"/": Busy}, max_backlog_packets=160, **PINGS, **BEATS)
    async with TestClient(app, **way) as client:
        namespace = await client.connect()
        await namespace.emit("wait")
        for number in range(100):
            await namespace.emit("echo", number)
        await settle()
        assert Busy.last.socket.reader.paused
        await client.advance(300)
        assert Busy.last.reasons == []
        gate.set()
        assert await namespace.call("echo", "last") == "last"


class Unset:
    """A timer that never rings."""

    def cancel(self) -> None: ...


class Leap(Clock):
    """A clock that leaps, as it seems to after the event loop was blocked."""

    def __init__(self) -> None:
        self.time = 0.0
        self.deadlines = Lines(self)
        self.lag = Blocked(self)

    def now(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        return Unset()

    def to(self, time: float) -> None:
        self.time = time
        self.deadlines.fire_due()

    def blocked_to(self, time: float) -> None:
        self.lag.end = time
        self.to(time)


class Blocked(LoopLagMonitor):
    """A loop that was blocked once, until ``end``."""

    end = -1.0

    def stalled_since(self, since: float) -> bool:
        return self.end > since


class Lines(Deadlines):
    """Deadlines that can be counted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.lines: list[TimerQueue[Any]] = []

    def line(self, seconds: float, expired: Callable[[T, float], None]) -> TimerQueue[T]:
        line = super().line(seconds, expired)
        self.lines.append(line)
        return line

    @property
    def count(self) -> int:
        return sum(map(len, self.lines))


class Carried:
    """As much of a socket as heartbeats look at; ``events`` is what they made it do."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.reader = self.writer = self  # all in one
        self.events: list[Frame] = []
        self.outbox = Outbox(1000)
        self.last_received = 0.0
        self.paused = False
        self.connected = True
        self.transport: Any = None
        self.transport_name = "polling"

    def post(self, encoded: Encoded) -> None:
        self.events.extend(encoded.frames)

    def close(self, reason: str) -> None:
        self.events.append(reason)


def a_socket(protocol: Protocol | None = None) -> Any:
    return Carried(protocol or ServerEngineIO3())


PONG = Packet(PacketType.PONG)


def test_a_client_is_not_given_up_by_a_server_that_comes_too_late() -> None:
    clock, socket = Leap(), a_socket()
    pings = ClientPings(clock, clock.deadlines, clock.lag, 10, 5)
    pings.opened(socket)
    clock.blocked_to(100)
    assert socket.events == []
    clock.to(100 + 15 / CHECKS)
    assert socket.events == ["ping timeout"]


def test_what_a_client_sent_while_the_server_was_late_counts() -> None:
    clock, socket = Leap(), a_socket()
    pings = ClientPings(clock, clock.deadlines, clock.lag, 10, 5)
    pings.opened(socket)
    clock.blocked_to(100)
    socket.last_received = 100
    pings.on_heartbeat(socket, Packet(PacketType.PING, data=""))
    assert (socket.events, clock.deadlines.count) == (["3"], 1)
    clock.to(115)
    assert socket.events == ["3", "ping timeout"]


def test_a_server_that_asks_too_late_waits_all_the_same() -> None:
    clock, socket = Leap(), a_socket()
    pings = ServerPings(clock, clock.deadlines, clock.lag, 10, 5)
    pings.opened(socket)
    clock.to(100)
    clock.to(104.9)
    assert socket.events == ["2"]
    clock.to(105)
    assert socket.events == ["2", "ping timeout"]


def test_a_server_that_misses_an_answer_too_late_waits_once_more() -> None:
    clock, socket = Leap(), a_socket()
    pings = ServerPings(clock, clock.deadlines, clock.lag, 10, 5)
    pings.opened(socket)
    clock.to(10)
    clock.blocked_to(100)
    assert socket.events == ["2"]
    pings.on_heartbeat(socket, PONG)
    clock.to(109.9)
    assert socket.events == ["2"]
    clock.to(110)
    clock.to(200)
    clock.to(205)
    assert socket.events == ["2", "2", "ping timeout"]


def test_a_server_that_looks_for_a_client_of_09_too_late_waits_once_more() -> None:
    clock, socket = Leap(), a_socket()
    pings = TransportPings(clock, clock.deadlines, clock.lag, Config(**BEATS))
    pings.opened(socket)
    clock.blocked_to(100)
    clock.to(114.9)
    assert socket.events == []
    clock.to(115)
    assert socket.events == ["ping timeout"]


def test_a_little_late_is_not_too_late() -> None:
    clock, socket = Leap(), a_socket()
    ClientPings(clock, clock.deadlines, clock.lag, 10, 5).opened(socket)
    clock.to(15.9)
    assert socket.events == ["ping timeout"]


def of_kind(kind: str, clock: Leap) -> Heartbeat:
    if kind == "transport":
        return TransportPings(clock, clock.deadlines, clock.lag, Config(**BEATS))
    return {"server": ServerPings, "client": ClientPings}[kind](clock, clock.deadlines, clock.lag, 10, 5)


@pytest.mark.parametrize("kind", ["server", "client", "transport"])
def test_no_time_runs_out_while_the_server_has_stopped_reading(kind: str) -> None:
    clock, socket = Leap(), a_socket()
    of_kind(kind, clock).opened(socket)
    socket.paused = True
    for tenth in range(1, 1001):
        clock.to(tenth / 10)
    assert "ping timeout" not in socket.events
    socket.paused = False
    for tenth in range(1001, 1151):
        clock.to(tenth / 10)
    assert socket.events[-1] == "ping timeout"


@pytest.mark.parametrize("kind", ["server", "client", "transport"])
def test_nothing_is_left_of_a_socket_that_has_ended(kind: str) -> None:
    clock, socket = Leap(), a_socket()
    pings = of_kind(kind, clock)
    pings.opened(socket)
    assert clock.deadlines.count == 1
    clock.to(10)
    pings.closed(socket)
    assert clock.deadlines.count == 0
    socket.connected = False
    pings.on_transport_change(socket)
    assert clock.deadlines.count == 0


@pytest.mark.parametrize(
    ("transport", "name", "after", "events"),
    [
        (None, "polling", 15.0, ["ping timeout"]),
        (None, "websocket", 15.0, ["ping timeout"]),
        (SimpleNamespace(flush=lambda: None), "websocket", 15.0, ["2::", "ping timeout"]),
        (SimpleNamespace(flush=lambda: None), "polling", 60.0, []),
    ],
)
def test_in_09_what_carries_the_socket_decides(transport: Any, name: str, after: float, events: list[str]) -> None:
    clock, socket = Leap(), a_socket(ServerSocketIO09())
    socket.transport, socket.transport_name = transport, name
    pings = TransportPings(clock, clock.deadlines, clock.lag, Config(**BEATS))
    pings.opened(socket)
    pings.on_transport_change(socket)
    assert clock.deadlines.count == 1
    for tenth in range(1, round(after * 10) + 1):
        clock.to(tenth / 10)
    assert socket.events == events
