"""Traces for OpenTelemetry, by its API alone: ``pip install 'asocketio[opentelemetry]'``, and an SDK of your choice.

::

    app = SocketIOApp(namespaces={"/": Chat}, middleware=[OpenTelemetryMiddleware()])

Names of spans and values of attributes that a client could make up are not recorded: an event is named as a handler
names it, or ``*``.
"""

from __future__ import annotations

from typing import Any

from asocketio.errors import ConnectionRefused, Disconnected, EventRefused
from asocketio.session.metering import event_label
from asocketio.session.middleware import CallNext, Invocation

try:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, get_current_span, get_tracer
except ImportError as missing:
    raise ImportError(
        "asocketio.middleware.opentelemetry needs opentelemetry-api: pip install 'asocketio[opentelemetry]'",
        name="opentelemetry",
    ) from missing

__all__ = ["OpenTelemetryMiddleware"]


class OpenTelemetryMiddleware:
    """Makes a span of each connect, event and disconnect, by ``tracer`` or the global provider's ``asocketio``.

    Spans that the handler makes are its children. It is the root of a trace of its own, for a connection may last for
    days; a span that is current where the connection was opened (of a view, or of an instrumented server) is linked.
    An exception is recorded, and makes the span an error; a refusal and a client that has gone are no errors.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = get_tracer("asocketio") if tracer is None else tracer

    async def __call__(self, call: Invocation, call_next: CallNext) -> Any:
        """The middleware."""
        opened = get_current_span().get_span_context()
        event = event_label(call.event, call.client._handlers) if call.kind == "event" else call.event
        with self._tracer.start_as_current_span(
            f"socketio {event}",
            context=Context(),
            kind=SpanKind.SERVER,
            attributes=_attributes(call, event),
            links=[Link(opened)] if opened.is_valid else (),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await call_next(call)
            except BaseException as error:
                _tell(span, error)
                raise


def _attributes(call: Invocation, event: str) -> dict[str, str]:
    client = call.client
    return {
        "socketio.kind": call.kind,
        "socketio.event": event,
        "socketio.namespace": client.ns_name or "/",
        "socketio.sid": client._member.sid,
        "socketio.generation": client.socket.protocol.generation,
        "socketio.transport": client.socket.transport_name,
    }


def _tell(span: Span, error: BaseException) -> None:
    if isinstance(error, EventRefused):
        span.set_attribute("socketio.refused", error.name)
    elif isinstance(error, ConnectionRefused):
        span.set_attribute("socketio.refused", "connection_refused")
    elif not isinstance(error, Disconnected):
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
