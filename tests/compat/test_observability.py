"""The guide to observability: its programs run, and what it names is there."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions
from opentelemetry.sdk.metrics import export
from prometheus_client import CollectorRegistry

from asocketio import SocketIOApp
from asocketio.metrics import Gauges, Metrics
from asocketio.metrics.opentelemetry import OpenTelemetryMetrics
from asocketio.metrics.prometheus import PrometheusMetrics
from asocketio.testing import TestClient
from tests.support.pages import programs
from tests.support.worlds import Recorder, call_of

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "observability.md").read_text()

PROGRAMS = programs(GUIDE)


def run(heading: str) -> dict[str, Any]:
    """What a block defines."""
    world: dict[str, Any] = {"__name__": "guide"}
    exec(compile(PROGRAMS[heading], f"observability.md: {heading}", "exec"), world)
    return world


def test_each_program_has_its_test() -> None:
    assert list(PROGRAMS) == ["The log", "Exceptions", "Prometheus", "OpenTelemetry", "Your own"]


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The logger, and afterwards as it was."""
    log = logging.getLogger("asocketio")
    handlers = log.handlers.copy()
    yield log
    log.handlers = handlers


async def test_the_log_in_lines_of_json(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    run("The log")
    async with TestClient(SocketIOApp(namespaces={"/chat": Recorder})) as client:
        chat = await client.connect("/chat")
        await chat.emit("unheard of")
        await chat.call("unheard of")
        log.error("about nobody")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {key: lines[0][key] for key in ("level", "sid", "namespace", "event")} == {
        "level": "WARNING", "sid": chat.sid, "namespace": "/chat", "event": "",
    }  # fmt: skip
    assert lines[-1] == {"level": "ERROR", "message": "about nobody"}


async def test_sentry_is_told_once_with_the_fields_as_tags(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stand-in for sentry-sdk takes what the real one does."""
    told: list[Any] = []

    def capture_exception(error: BaseException, *, tags: dict[str, str]) -> None:
        told.append((repr(error), tags))

    monkeypatch.setitem(sys.modules, "sentry_sdk", SimpleNamespace(capture_exception=capture_exception))
    async with TestClient(run("Exceptions")["app"]) as client:
        shop = await client.connect()
        assert await shop.call("divide", 6, 3) == 2
        assert (await shop.call("divide", 6, 0))["error"]["name"] == "handler_error"
    tags = {"sid": shop.sid, "namespace": "/", "event": "divide"}
    assert told == [("ZeroDivisionError('division by zero')", tags)]
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert {name: record.__dict__[name] for name in tags} == tags
    assert record.exc_info is not None


async def test_a_scrape_beside_the_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    import prometheus_client

    from asocketio.metrics import prometheus

    registry = CollectorRegistry()  # the real one is that of all tests
    monkeypatch.setattr(prometheus, "REGISTRY", registry)
    monkeypatch.setattr(prometheus_client, "generate_latest", lambda: original(registry))
    original = prometheus_client.exposition.generate_latest
    app = run("Prometheus")["app"]
    async with TestClient(app) as client:
        assert await (await client.connect()).call("say", "hello") == 5
        status, body = await call_of(app, "/metrics")
    assert status == 200
    assert b'\nsocketio_handler_seconds_count{event="say",namespace="/"} 1.0\n' in body
    assert b'\nsocketio_sockets{generation="4",transport="websocket"} 1.0\n' in body


async def test_an_sdk_of_the_programs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    exporter = partial(export.ConsoleMetricExporter, out=shown)  # its own choice was made when it was imported
    monkeypatch.setattr(export, "ConsoleMetricExporter", exporter)
    world = run("OpenTelemetry")
    try:
        async with TestClient(world["app"]) as client:
            assert await (await client.connect()).call("say", "hello") == 5
    finally:
        world["provider"].shutdown()
    assert '"socketio.server.handler.duration"' in shown.getvalue()
    assert '"socketio.event": "say"' in shown.getvalue()


async def test_a_subclass_of_ones_own() -> None:
    world = run("Your own")
    async with TestClient(world["app"]) as client:
        assert await (await client.connect()).call("say", "hello") == 5
        assert world["statistics"].sockets == 1
    world["statistics"].handled("/", "say", 0.6, False)
    assert world["statistics"].slow == [("/", "say")]


class Meter:
    """Takes the names of instruments, and their attributes."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.observed: list[Any] = []

    def create_histogram(self, name: str, *args: Any, **more: Any) -> Any:
        self.names.add(name)
        return SimpleNamespace(record=lambda value, attributes=None: self.attributes(attributes))

    def create_observable_counter(self, name: str, callbacks: Any, *args: Any) -> None:
        self.names.add(name)
        self.observed += callbacks

    create_observable_up_down_counter = create_observable_counter

    def attributes(self, attributes: Any) -> None:
        self.found: set[str] = getattr(self, "found", set()) | set(attributes or ())


def tell(metrics: Metrics) -> None:
    """Everything there is."""
    metrics.started(lambda: Gauges(sockets={("4", "polling"): 1}))
    metrics.opened("4", "polling")
    metrics.closed("4", "polling", "ping timeout")
    metrics.refused("Forbidden")
    metrics.limited("max_outbox")
    metrics.cluster("published", 1)
    metrics.received("4", "polling", 1)
    metrics.sent("4", "polling", 1)
    metrics.handled("/", "say", 0.1, True)
    metrics.lagged(0.1)


def table() -> list[list[str]]:
    """The rows of the table of what is measured."""
    rows = GUIDE.split("| Prometheus | OpenTelemetry |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in row.split("|")[1:-1]] for row in rows]


def test_the_table_names_what_prometheus_gets() -> None:
    registry = CollectorRegistry()
    tell(PrometheusMetrics(registry))
    found = {}
    for family in registry.collect():
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = {label for sample in samples for label in sample.labels} - {"le"}
    assert found == {name: set(filter(None, labels.split(", "))) for name, _, labels, _ in table()}


def test_the_table_names_what_opentelemetry_gets() -> None:
    meter: Any = Meter()
    tell(OpenTelemetryMetrics(meter))
    for callback in meter.observed:
        for observation in callback(CallbackOptions()):
            meter.attributes(observation.attributes)
    assert meter.names == {name for _, name, _, _ in table()}
    assert meter.found == {f"socketio.{label}" for row in table() for label in row[2].split(", ") if label}
    assert all(f"`{name}`" in GUIDE for name in meter.found)


def test_the_alerts_ask_for_series_that_exist() -> None:
    registry = CollectorRegistry()
    tell(PrometheusMetrics(registry))
    exist = {sample.name for family in registry.collect() for sample in family.samples}
    asked = set(re.findall(r"socketio_[a-z_]+", "".join(re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL))))
    assert len(asked) > 6
    assert asked <= exist
