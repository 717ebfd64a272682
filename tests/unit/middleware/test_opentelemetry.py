"""Traces, by the real SDK: a span for each connect, event and disconnect, with what is recorded of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from asocketio import BaseNamespace, ConnectionRefused, SocketIOApp, event, socketio_manage
from asocketio.middleware.opentelemetry import OpenTelemetryMiddleware
from asocketio.testing import TestClient, settle
from tests.support.worlds import Way


class Traced(BaseNamespace):
    """Makes spans of its own."""

    tracer: Tracer

    def recv_connect(self, auth: Any) -> None:
        if auth.get("out"):
            raise ConnectionRefused("out")

    async def on_say(self, text: str) -> int:
        with self.tracer.start_as_current_span("inside"):
            await asyncio.sleep(0)
            with self.tracer.start_as_current_span("inside that"):
                return len(text)

    def on_fail(self) -> None:
        raise ValueError("secret")

    async def on_ask(self) -> Any:
        return await self.call("question")

    @event("*")
    def rest(self, name: str, *args: Any) -> str:
        return name


class Strict(Traced):
    """Refuses."""

    def get_initial_acl(self) -> list[str]:
        return ["on_say"]


class World:
    """An app, and the spans that were made."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = Traced.tracer = provider.get_tracer("test")
        self.middleware = OpenTelemetryMiddleware(self.tracer)
        self.app = SocketIOApp(namespaces={"/": Traced, "/strict": Strict}, middleware=[self.middleware])

    def spans(self) -> list[ReadableSpan]:
        spans = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return spans


@pytest.fixture
def world() -> World:
    return World()


async def test_each_has_a_span_with_its_attributes(way: Way) -> None:
    world = World()
    async with TestClient(world.app, **way) as client:
        await client.connect()
        world.spans()
        namespace = await client.connect("/strict")
        assert await namespace.call("say", "hello") == 5
        sid = world.app.of("/strict").instances()[0].sid
        await namespace.disconnect()
        await settle()
        spans = [span for span in world.spans() if not span.name.startswith("inside")]
    assert [span.name for span in spans] == ["socketio connect", "socketio say", "socketio disconnect"]
    for span, kind in zip(spans, ("connect", "event", "disconnect"), strict=True):
        assert span.attributes is not None
        attributes = dict(span.attributes)
        assert attributes.pop("socketio.transport") in ("polling", "websocket")
        assert attributes == {
            "socketio.kind": kind, "socketio.event": span.name.removeprefix("socketio "),
            "socketio.namespace": "/strict", "socketio.sid": sid, "socketio.generation": str(way["generation"]),
        }  # fmt: skip
        assert (span.kind, span.parent, span.status.status_code) == (SpanKind.SERVER, None, StatusCode.UNSET)
    assert len({span.context.trace_id for span in spans if span.context}) == 3


async def test_spans_of_handlers_are_its_children_also_after_they_have_waited(world: World) -> None:
    async with TestClient(world.app) as client:
        namespace = await client.connect()
        world.spans()
        await asyncio.gather(*(namespace.call("say", "x") for _ in range(3)))
        spans = world.spans()
    names = ["inside that", "inside", "socketio say"]
    assert [span.name for span in spans] == 3 * names
    for innermost, inside, outside in (spans[0:3], spans[3:6], spans[6:9]):
        assert innermost.parent is not None
        assert inside.parent is not None
        assert (innermost.parent.span_id, inside.parent.span_id) == (
            inside.get_span_context().span_id,  # type: ignore[union-attr]
            outside.get_span_context().span_id,  # type: ignore[union-attr]
        )


async def test_an_exception_makes_an_error_and_a_refusal_does_not(world: World) -> None:
    async with TestClient(world.app) as client:
        namespace, strict = await client.connect(), await client.connect("/strict")
        world.spans()
        await namespace.call("fail")
        await strict.call("fail")
        await strict.disconnect()
        with pytest.raises(ConnectionRefused):
            await client.connect("/strict", {"out": 1})
        spans = [span for span in world.spans() if span.name != "socketio disconnect"]
    refused = [(span.attributes or {}).get("socketio.refused") for span in spans]
    assert [(span.name, span.status.status_code, each) for span, each in zip(spans, refused, strict=True)] == [
        ("socketio fail", StatusCode.ERROR, None),
        ("socketio fail", StatusCode.UNSET, "method_access_denied"),
        ("socketio connect", StatusCode.UNSET, "connection_refused"),
    ]
    [recorded] = spans[0].events
    assert (recorded.attributes or {})["exception.message"] == "secret"
    assert [list(span.events) for span in spans[1:]] == [[], []]


async def test_a_client_that_goes_is_no_error(world: World) -> None:
    async with TestClient(world.app) as client:
        namespace = await client.connect()
        await namespace.emit("ask")
        await settle()
        world.spans()
        await client.lose()
        await settle()
        spans = world.spans()
    assert [(span.name, span.status.status_code) for span in spans] == [
        ("socketio ask", StatusCode.UNSET), ("socketio disconnect", StatusCode.UNSET),
    ]  # fmt: skip


async def test_no_span_is_named_by_a_client(world: World) -> None:
    async with TestClient(world.app) as client:
        namespace = await client.connect()
        world.spans()
        for number in range(5):
            assert await namespace.call(f"made up {number}") == f"made up {number}"
        spans = world.spans()
    assert {(span.name, (span.attributes or {})["socketio.event"]) for span in spans} == {("socketio *", "*")}


async def test_a_span_of_the_view_is_linked_and_no_parent(world: World) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            with world.tracer.start_as_current_span("view"):
                await socketio_manage(scope, {"/": Traced})

    async with TestClient(SocketIOApp(view, middleware=[world.middleware])) as client:
        await (await client.connect()).call("made up")
    spans = {span.name: span for span in world.spans()}
    opened = spans["view"].get_span_context()
    for name in ("socketio connect", "socketio *", "socketio disconnect"):
        span = spans[name]
        assert span.parent is None
        assert [link.context for link in span.links] == [opened]


async def test_without_a_tracer_it_is_the_global_one() -> None:
    app = SocketIOApp(namespaces={"/": Traced}, middleware=[OpenTelemetryMiddleware()])
    async with TestClient(app) as client:
        assert await (await client.connect()).call("made up") == "made up"
