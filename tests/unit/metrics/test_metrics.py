"""What `Metrics` is told, and what Prometheus and OpenTelemetry make of it."""

from __future__ import annotations

import asyncio
import importlib
import math
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from opentelemetry import metrics as opentelemetry_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from asocketio import BaseNamespace, ConnectionRefused, SocketIOApp, event
from asocketio.metrics import Gauges, Metrics, Servers
from asocketio.metrics.opentelemetry import OpenTelemetryMetrics
from asocketio.metrics.prometheus import PrometheusMetrics
from asocketio.protocol.packet import Packet, PacketType
from asocketio.runtime.clock import Clock
from asocketio.runtime.loop_lag import LoopLagMonitor
from asocketio.testing import ClientRefused, TestClient
from tests.clients.asgi import client_of
from tests.support.worlds import Way, call_of, until


class Told(Metrics):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.gauges: list[Callable[[], Gauges]] = []

    def started(self, gauges: Callable[[], Gauges]) -> None:
        self.gauges.append(gauges)

    def opened(self, generation: str, transport: str) -> None:
        self.calls.append(("opened", generation, transport))

    def closed(self, generation: str, transport: str, reason: str) -> None:
        self.calls.append(("closed", generation, transport, reason))

    def refused(self, reason: str) -> None:
        self.calls.append(("refused", reason))

    def limited(self, setting: str) -> None:
        self.calls.append(("limited", setting))

    def received(self, generation: str, transport: str, size: int) -> None:
        self.calls.append(("received", generation, transport, size))

    def sent(self, generation: str, transport: str, size: int) -> None:
        self.calls.append(("sent", generation, transport, size))

    def handled(self, namespace: str, event: str, seconds: float, failed: bool) -> None:
        assert 0 <= seconds < 60
        self.calls.append(("handled", namespace, event, failed))

    def lagged(self, seconds: float) -> None:
        self.calls.append(("lagged", seconds))

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        """The calls of these kinds, in order."""
        return [call for call in self.calls if call[0] in kinds]


class Shop(BaseNamespace):
    """Handlers of every sort. ``gate`` opens when the test says so."""

    gate: asyncio.Event

    async def recv_connect(self, auth: Any) -> None:
        if auth.get("banned"):
            raise ConnectionRefused("no")
        type(self).gate = asyncio.Event()

    def on_plain(self, *args: Any) -> int:
        return len(args)

    async def on_user_message(self, text: str) -> str:
        return text

    @event("file:chunk")
    async def chunk(self) -> None:
        await asyncio.sleep(0)

    async def on_wait(self) -> str:
        await self.gate.wait()
        return "waited"

    async def on_ask(self) -> None:
        await self.call("answer me")

    def on_fail(self) -> None:
        raise ValueError("at once")

    async def on_fail_late(self) -> None:
        await asyncio.sleep(0)
        raise ValueError("later")

    async def recv_message(self, message: Any) -> None:
        pass


class Catching(Shop):
    @event("*")
    async def rest(self, name: str) -> str:
        return name


class Hooked(Shop):
    """Takes the long way to its handlers."""

    def process_event(self, packet: Packet) -> Any:
        return super().process_event(packet)


def kinds(way: Way) -> tuple[str, str, str]:
    """The labels of a client's socket: its generation, the transport it opens on, and the one it lives on."""
    generation = str(way["generation"])
    lives = "websocket" if way["transport"] == "websocket" else "polling"
    return generation, "polling" if generation == "0.9" else lives, lives


# ---- what is told ---------------------------------------------------------------------------------------------------


async def test_a_socket_is_told_of_from_its_opening_to_its_end(way: Way) -> None:
    told = Told()
    generation, opens, lives = kinds(way)
    async with TestClient(SocketIOApp(namespaces={"/": Shop}, metrics=told), **way) as client:
        shop = await client.connect()
        assert told.of("opened", "closed") == [("opened", generation, opens)]
        told.calls.clear()
        assert await shop.call("user message", "x" * 50) == "x" * 50
        [received] = told.of("received")
        [sent] = told.of("sent")
        assert received[1:3] == sent[1:3] == (generation, lives)
        assert 50 < received[3] < 120
        assert 50 < sent[3] < 120
        assert told.of("handled") == [("handled", "/", "user message", False)]
        [standing] = told.gauges
        assert standing() == Gauges(sockets={(generation, lives): 1}, active_sessions=1, members=1)
    assert told.of("opened", "closed", "refused", "limited") == [("closed", generation, lives, "transport close")]
    assert standing() == Gauges()


@pytest.mark.parametrize("cls", [Shop, Hooked])
async def test_handlers_are_told_by_the_names_that_the_program_gave_them(way: Way, cls: type[Shop]) -> None:
    told = Told()
    async with TestClient(SocketIOApp(namespaces={"/shop": cls}, metrics=told), **way) as client:
        shop = await client.connect("/shop")
        for name in ("plain", "user message", "file:chunk", "fail", "fail late", "made up", "plain" * 9):
            await shop.call(name, *(["hello"] if name == "user message" else []))
        await shop.emit("plain", 1, 2)
        await shop.send("text")
        await shop.send(["json"])
        await shop.call("plain")
    assert told.of("handled") == [
        ("handled", "/shop", name, failed)
        for name, failed in (
            ("plain", False), ("user message", False), ("file:chunk", False), ("fail", True), ("fail late", True),
            ("*", False), ("*", False), ("plain", False), ("message", False), ("message", False), ("plain", False),
        )
    ]  # fmt: skip


async def test_what_a_catch_all_takes_has_no_name_of_its_own() -> None:
    told = Told()
    async with TestClient(SocketIOApp(namespaces={"/": Catching}, metrics=told)) as client:
        shop = await client.connect()
        assert [await shop.call(name) for name in ("a", "b", "plain")] == ["a", "b", 0]
    assert Counter(call[2] for call in told.of("handled")) == {"*": 2, "plain": 1}


async def test_gauges_see_what_waits_and_what_runs(way: Way) -> None:
    told = Told()
    async with TestClient(SocketIOApp(namespaces={"/": Shop, "/two": Shop}, metrics=told), **way) as client:
        shop = await client.connect()
        await client.connect("/two")
        standing = told.gauges[0]
        await shop.emit("plain")
        waiting = asyncio.create_task(shop.call("wait"))
        await until(lambda: standing().handlers == 1)
        for _ in range(3):
            await shop.emit("plain")
        await until(lambda: standing().waiting_packets == 3)
        assert (standing().members, standing().queued_bytes) == (2, 0)
        [socket] = client.app.server.sockets.values()  # type: ignore[attr-defined]
        carried, socket.transport = socket.transport, None
        socket[""].emit("news")
        assert standing().queued_bytes > 100
        socket.transport = carried
        socket.writer.flush()
        socket["/two"].gate.set()  # of both
        assert await waiting == "waited"
        await until(lambda: standing().handlers == standing().waiting_packets == 0)
        assert standing().queued_bytes == 0


async def test_a_client_that_has_left_is_no_failure_of_the_handler_that_asked_it(way: Way) -> None:
    told = Told()
    async with TestClient(SocketIOApp(namespaces={"/": Shop}, metrics=told), **way) as client:
        shop = await client.connect()
        await shop.emit("ask")
        assert await shop.receive() == ("answer me",)
        await client.disconnect()
        await until(lambda: told.of("handled"))
    assert told.of("handled") == [("handled", "/", "ask", False)]


async def test_a_handler_that_has_to_be_cancelled_is_a_failure() -> None:
    told = Told()
    async with TestClient(SocketIOApp(namespaces={"/": Shop}, metrics=told, close_grace=0.01)) as client:
        shop = await client.connect()
        await shop.emit("wait")
        await until(lambda: told.gauges[0]().handlers)
        await client.disconnect()
    assert told.of("handled") == [("handled", "/", "wait", True)]


async def test_an_upgrade_moves_the_socket_and_closes_nothing() -> None:
    told = Told()
    peer = client_of(Shop, metrics=told)
    await peer.open()
    assert told.gauges[-1]().sockets == {("4", "polling"): 1}
    websocket = await peer.websocket("2probe")
    await websocket.says("5", '420["plain"]')
    assert told.gauges[-1]().sockets == {("4", "websocket"): 1}
    assert told.calls[-3:] == [
        ("received", "4", "websocket", len('420["plain"]')),
        ("handled", "/", "plain", False),
        ("sent", "4", "websocket", len("430[0]")),
    ]
    await websocket.says("1")
    await peer.end()
    ends = [("opened", "4", "polling"), ("closed", "4", "websocket", "transport close")]
    assert told.of("opened", "closed") == ends


@pytest.mark.parametrize(
    ("query", "more", "reason"),
    [
        (b"EIO=4&transport=smoke", {}, "Transport unknown"),
        (b"EIO=4&transport=polling&sid=nobody", {}, "Session ID unknown"),
        (b"EIO=4&transport=polling", {"method": "POST"}, "Bad handshake method"),
        (b"EIO=9&transport=polling", {}, "Unsupported protocol version"),
        (b"EIO=4&transport=polling" + b"&a=1" * 300, {}, "Bad request"),
        (
            b"EIO=4&transport=polling",
            {"headers": [(b"host", b"here"), (b"origin", b"https://evil.example")]},
            "Forbidden",
        ),
    ],
)
async def test_refusals_are_told_by_their_reason(query: bytes, more: dict[str, Any], reason: str) -> None:
    told = Told()
    app = SocketIOApp(namespaces={"/": Shop}, metrics=told)
    status, body = await call_of(app, "/socket.io/", query_string=query, **more)
    assert status in (400, 403)
    assert reason.encode() in body
    assert told.calls == [("refused", reason)]


async def test_too_many_sessions_are_refusals(way: Way) -> None:
    told = Told()
    app = SocketIOApp(namespaces={"/": Shop}, metrics=told, max_sessions=1)
    async with TestClient(app, **way) as one, TestClient(app, **way) as other:
        await one.connect()
        with pytest.raises(ClientRefused):
            await other.open()
        assert told.of("opened", "closed", "refused") == [
            ("opened", *kinds(way)[:2]),
            ("refused", "Service unavailable"),
        ]


async def test_a_view_that_refuses_opens_no_socket() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    told = Told()
    app = SocketIOApp(view, metrics=told)
    assert (await call_of(app, "/socket.io/", query_string=b"EIO=4&transport=polling"))[0] == 401
    assert told.of("opened", "closed") == []
    assert told.gauges[0]() == Gauges()


async def test_limits_are_told_by_their_setting(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    app = SocketIOApp(
        namespaces={"/": Shop}, metrics=told, rate_limits={"plain": (1, 60.0)}, max_backlog_packets=20, max_outbox=1000
    )
    async with TestClient(app, **way) as client:
        shop = await client.connect()
        await shop.call("plain")
        assert (await shop.call("plain"))["error"]["name"] == "rate_limited"
        assert told.of("limited") == [("limited", "rate_limits")]
    told.calls.clear()
    async with TestClient(app, **way) as client:
        shop = await client.connect()
        await shop.emit("wait")
        await until(lambda: told.gauges[-1]().handlers)
        [socket] = app.server.sockets.values()
        for _ in range(30):
            socket.dispatcher.submit(Packet(PacketType.EVENT, name="plain"))
        assert told.of("limited", "closed") == [
            ("limited", "max_backlog"),
            ("closed", *kinds(way)[::2], "forced close"),
        ]
        Shop.gate.set()
    told.calls.clear()
    async with TestClient(app, **way) as client:
        await client.connect()
        [socket] = app.server.sockets.values()
        monkeypatch.setattr(type(socket.writer), "_catches_up", lambda *_: False)
        for _ in range(20):
            socket[""].emit("x", "y" * 100) if socket.connected else None
        assert told.of("limited", "closed") == [
            ("limited", "max_outbox"),
            ("closed", *kinds(way)[::2], "transport error"),
        ]


def test_lag_is_told_as_it_is() -> None:
    class Hands(Clock):
        """A clock whose hands the test moves."""

        time = 0.0

        def now(self) -> float:
            return self.time

        def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any:
            self.due, self.callback = self.time + delay, callback

    told = Told()
    clock = Hands()
    LoopLagMonitor(clock, told.lagged).start()
    for late in (0.0, 0.25, 2.5):
        clock.time = clock.due + late
        clock.callback()
    assert told.calls == [("lagged", 0.0), ("lagged", 0.25), ("lagged", 2.5)]


async def test_without_metrics_a_socket_is_a_plain_one() -> None:
    for metrics, name in ((None, "Socket"), (Metrics(), "MeteredSocket")):
        app = SocketIOApp(namespaces={"/": Shop}, metrics=metrics)
        async with TestClient(app) as client:
            shop = await client.connect()
            assert await shop.call("plain") == 0
            [socket] = app.server.sockets.values()
            assert type(socket).__name__ == name
    app = SocketIOApp(namespaces={"/": Shop}, metrics=Metrics(), rate_limits={"plain": (1, 60.0)})
    async with TestClient(app) as client:  # every method, as it is in the base class
        shop = await client.connect()
        assert [await shop.call("plain") == 0 for _ in range(2)] == [True, False]
        await client.advance(2.0)
        await call_of(app, "/socket.io/", query_string=b"EIO=9")


# ---- several servers ------------------------------------------------------------------------------------------------


def test_servers_are_added_up_and_each_counts_once() -> None:
    def standing(name: str) -> Gauges:
        return Gauges(
            sockets={("4", name): 2}, active_sessions=3, members=4, queued_bytes=5, waiting_packets=6, handlers=7
        )

    servers = Servers()
    none = {(generation, name): 0 for generation in ("0.9", "3", "4") for name in ("polling", "websocket")}
    assert servers.gauges() == Gauges(sockets=none)
    of_polling, of_websocket = partial(standing, "polling"), partial(standing, "websocket")
    for _ in range(2):
        servers.add(of_polling)
        servers.add(of_websocket)
    both = none | {("4", "polling"): 2, ("4", "websocket"): 2}
    assert servers.gauges() == Gauges(
        sockets=both, active_sessions=6, members=8, queued_bytes=10, waiting_packets=12, handlers=14
    )
    servers.add(lambda: standing("polling"))
    assert servers.gauges().sockets[("4", "polling")] == 4


def test_an_app_in_several_event_loops_is_one_server() -> None:
    registry = CollectorRegistry()
    app = SocketIOApp(namespaces={"/": Shop}, metrics=PrometheusMetrics(registry))

    async def visit() -> None:
        for _ in range(2):  # a client brings its clock, and with it the server starts anew
            async with TestClient(app) as client:
                await client.connect()
                assert registry.get_sample_value("socketio_lives") == 1

    asyncio.run(visit())
    asyncio.run(visit())
    opened = {"generation": "4", "transport": "websocket"}
    assert registry.get_sample_value("socketio_opened_total", opened) == 4


# ---- Prometheus -----------------------------------------------------------------------------------------------------


def scraped(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples of a scrape, read as Prometheus does."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def values(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a name by the values of their labels, in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(labels)): amount
        for (found, labels), amount in scraped(registry).items()
        if found == name
    }


async def test_prometheus_scrapes_what_has_happened(way: Way) -> None:
    registry = CollectorRegistry()
    generation, opens, lives = kinds(way)
    app = SocketIOApp(
        namespaces={"/": Shop, "/two": Shop}, metrics=PrometheusMetrics(registry), rate_limits={"plain": (2, 60.0)}
    )
    async with TestClient(app, **way) as client:
        shop = await client.connect()
        await client.connect("/two")
        for name in ("plain", "plain", "plain", "fail", "made up"):
            await shop.call(name)
        await client.advance(2.0)
        await call_of(app, "/socket.io/", query_string=b"EIO=4&transport=smoke")
        assert values(registry, "socketio_sockets") == {
            (g, t): float((g, t) == (generation, lives)) for g in ("0.9", "3", "4") for t in ("polling", "websocket")
        }
        assert values(registry, "socketio_lives") == {(): 1}
        assert values(registry, "socketio_members") == {(): 2}
        assert values(registry, "socketio_queued_bytes") == {(): 0}
        assert values(registry, "socketio_waiting_packets") == {(): 0}
        assert values(registry, "socketio_running_handlers") == {(): 0}
        assert values(registry, "socketio_opened_total") == {(generation, opens): 1}
        assert values(registry, "socketio_closed_total") == {}
    assert values(registry, "socketio_closed_total") == {(generation, "transport close", lives): 1}
    assert values(registry, "socketio_refused_total") == {("Transport unknown",): 1}
    assert values(registry, "socketio_limited_total") == {("rate_limits",): 1}
    assert values(registry, "socketio_received_frames_total")[generation, lives] >= 5
    assert values(registry, "socketio_received_bytes_total")[generation, lives] >= 50
    assert values(registry, "socketio_sent_packets_total")[generation, lives] >= 5
    assert values(registry, "socketio_sent_bytes_total")[generation, lives] >= 50
    assert values(registry, "socketio_handler_seconds_count") == {("plain", "/"): 2, ("fail", "/"): 1, ("*", "/"): 1}
    assert values(registry, "socketio_handler_failures_total") == {("plain", "/"): 0, ("fail", "/"): 1, ("*", "/"): 0}
    buckets = values(registry, "socketio_handler_seconds_bucket")
    assert buckets[("plain", "+Inf", "/")] == buckets[("plain", "30.0", "/")] == 2
    assert values(registry, "socketio_loop_lag_seconds_count")[()] >= 1
    assert values(registry, "socketio_lives") == {(): 0}


def test_every_series_says_what_it_is_and_begins_with_the_prefix() -> None:
    for prefix, begin in (("chat", "chat_"), ("", "")):
        registry = CollectorRegistry()
        PrometheusMetrics(registry, prefix=prefix)
        families = list(registry.collect())
        assert len(families) == 18
        assert all(family.name.startswith(begin) and family.documentation.endswith(".") for family in families)
        assert f"{begin}waiting_packets" in {family.name for family in families}


async def test_several_of_the_same_registry_and_prefix_are_one() -> None:
    registry = CollectorRegistry()
    shop = SocketIOApp(namespaces={"/": Shop}, metrics=PrometheusMetrics(registry))
    other = SocketIOApp(namespaces={"/": Shop}, metrics=PrometheusMetrics(registry))
    apart = PrometheusMetrics(registry, prefix="apart")
    async with TestClient(shop) as one, TestClient(other) as two:
        assert await (await one.connect()).call("plain") == 0
        assert await (await two.connect()).call("plain") == 0
        assert registry.get_sample_value("socketio_lives") == 2
        assert registry.get_sample_value("apart_lives") == 0
        handled = {"namespace": "/", "event": "plain"}
        assert registry.get_sample_value("socketio_handler_seconds_count", handled) == 2
    apart.lagged(0.02)
    assert registry.get_sample_value("apart_loop_lag_seconds_bucket", {"le": "0.01"}) == 0
    assert registry.get_sample_value("apart_loop_lag_seconds_bucket", {"le": "0.025"}) == 1


def test_the_registry_of_all_libraries_is_the_default() -> None:
    PrometheusMetrics(prefix="socketio_by_default")
    PrometheusMetrics(prefix="socketio_by_default")
    assert REGISTRY.get_sample_value("socketio_by_default_lives") == 0


def test_a_name_that_somebody_else_has_taken_is_an_error() -> None:
    from prometheus_client import Gauge

    registry = CollectorRegistry(auto_describe=True)
    Gauge("socketio_sockets", "Somebody's.", registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        PrometheusMetrics(registry)


# ---- OpenTelemetry --------------------------------------------------------------------------------------------------


class Collected:
    """A meter, and what its SDK has collected."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter = self.provider.get_meter("test")

    def points(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """The data points by name without what all begin with, and by the values of the attributes."""
        data = self.reader.get_metrics_data()
        found: dict[str, dict[tuple[str, ...], Any]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    assert metric.name.startswith("socketio.server.")
                    assert metric.unit
                    assert metric.description
                    name = metric.name.removeprefix("socketio.server.")
                    assert name not in found
                    found[name] = {
                        tuple(str(value) for value in (point.attributes or {}).values()): point
                        for point in metric.data.data_points
                    }
        return found

    def values(self) -> dict[str, dict[tuple[str, ...], float]]:
        """The same with plain numbers; of a histogram the count."""
        return {
            name: {key: getattr(point, "value", getattr(point, "count", math.nan)) for key, point in points.items()}
            for name, points in self.points().items()
        }


async def test_opentelemetry_collects_what_has_happened(way: Way) -> None:
    collected = Collected()
    generation, opens, lives = kinds(way)
    app = SocketIOApp(
        namespaces={"/": Shop, "/two": Shop},
        metrics=OpenTelemetryMetrics(collected.meter),
        rate_limits={"plain": (2, 60.0)},
    )
    async with TestClient(app, **way) as client:
        shop = await client.connect()
        await client.connect("/two")
        for name in ("plain", "plain", "plain", "fail", "made up"):
            await shop.call(name)
        await client.advance(2.0)
        await call_of(app, "/socket.io/", query_string=b"EIO=4&transport=smoke")
        now = collected.values()
        assert now["sockets"] == {
            (g, t): int((g, t) == (generation, lives)) for g in ("0.9", "3", "4") for t in ("polling", "websocket")
        }
        assert (now["lives"], now["members"]) == ({(): 1}, {(): 2})
        assert now["queued.size"] == now["waiting.packets"] == now["handlers"] == {(): 0}
        assert now["opened"] == {(generation, opens): 1}
        assert now.get("closed", {}) == {}
    then = collected.values()
    assert then["lives"] == {(): 0}
    assert then["closed"] == {(generation, lives, "transport close"): 1}
    assert then["refused"] == {("Transport unknown",): 1}
    assert then["limited"] == {("rate_limits",): 1}
    assert then["received.frames"][generation, lives] >= 5
    assert then["received.size"][generation, lives] >= 50
    assert then["sent.packets"][generation, lives] >= 5
    assert then["sent.size"][generation, lives] >= 50
    assert then["handler.duration"] == {("/", "plain"): 2, ("/", "fail"): 1, ("/", "*"): 1}
    assert then["handler.failures"] == {("/", "plain"): 0, ("/", "fail"): 1, ("/", "*"): 0}
    assert then["loop.lag"][()] >= 1


async def test_attributes_have_names_and_bounds_are_those_of_seconds() -> None:
    collected = Collected()
    async with TestClient(SocketIOApp(namespaces={"/": Shop}, metrics=OpenTelemetryMetrics(collected.meter))) as client:
        await (await client.connect()).call("plain")
    points = collected.points()
    [closed] = points["closed"].values()
    assert list(closed.attributes) == ["socketio.generation", "socketio.transport", "socketio.reason"]
    [duration] = points["handler.duration"].values()
    assert duration.attributes == {"socketio.namespace": "/", "socketio.event": "plain"}
    assert (duration.explicit_bounds[0], duration.explicit_bounds[-1]) == (0.0005, 30.0)


async def test_each_collection_walks_over_the_sockets_once() -> None:
    walks = 0

    def standing() -> Gauges:
        nonlocal walks
        walks += 1
        return Gauges(active_sessions=walks, members=walks, handlers=walks)

    collected = Collected()
    OpenTelemetryMetrics(collected.meter).started(standing)
    for count in (1, 2, 3):
        now = collected.values()
        assert now["lives"] == now["members"] == now["handlers"] == {(): count}
    assert walks == 3


async def test_several_of_the_same_meter_are_one() -> None:
    collected = Collected()
    shop = SocketIOApp(namespaces={"/": Shop}, metrics=OpenTelemetryMetrics(collected.meter))
    other = SocketIOApp(namespaces={"/": Shop}, metrics=OpenTelemetryMetrics(collected.meter))
    async with TestClient(shop) as one, TestClient(other) as two:
        await one.connect()
        await two.connect()
        assert collected.values()["sockets"][("4", "websocket")] == 2


async def test_the_global_meter_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from asocketio.metrics import opentelemetry as module

    asked: list[str] = []

    def get_meter(name: str) -> Any:
        asked.append(name)
        return opentelemetry_metrics.NoOpMeter(name)

    monkeypatch.setattr(module, "get_meter", get_meter)
    monkeypatch.setattr(module, "_global", [])
    for _ in range(2):
        OpenTelemetryMetrics().opened("4", "polling")
    assert asked == ["asocketio"]


# ---- without the packages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("prometheus", "prometheus_client", "prometheus"),
        ("opentelemetry", "opentelemetry.metrics", "opentelemetry"),
    ],
)
def test_a_missing_package_is_named_with_the_way_to_get_it(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"asocketio.metrics.{name}"
    parent = importlib.import_module("asocketio.metrics")
    monkeypatch.setattr(parent, name, getattr(parent, name))  # put back what a new import would replace
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"pip install 'asocketio\[{extra}\]'") as missing:
        importlib.import_module(module)
    assert missing.value.name == package.partition(".")[0]
