"""Metrics for OpenTelemetry, by its API alone: ``pip install 'asocketio[opentelemetry]'``, and an SDK of your choice.

::

    app = SocketIOApp(namespaces={"/": Chat}, metrics=OpenTelemetryMetrics())

The number of attribute sets is bounded as that of `asocketio.metrics.prometheus`: none holds what a client made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from asocketio.metrics import EVENT_SECONDS, LAG_SECONDS, Gauges, Metrics, Servers

try:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation, get_meter
except ImportError as missing:
    raise ImportError(
        "asocketio.metrics.opentelemetry needs opentelemetry-api: pip install 'asocketio[opentelemetry]'",
        name="opentelemetry",
    ) from missing

__all__ = ["OpenTelemetryMetrics"]

_GENERATION, _TRANSPORT = "socketio.generation", "socketio.transport"
_WHO = (_GENERATION, _TRANSPORT)
_HANDLER = ("socketio.namespace", "socketio.event")


class OpenTelemetryMetrics(Metrics):
    """Instruments of ``meter``, or of the global provider's meter ``asocketio``.

    One may serve several apps, and several of the same meter are one: their figures are sums.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self._instruments = _instruments_of(meter)
        self._attributes: dict[tuple[str, str], dict[str, str]] = {}

    def started(self, gauges: Callable[[], Gauges]) -> None:
        self._instruments.servers.add(gauges)

    def lagged(self, seconds: float) -> None:
        self._instruments.lag.record(seconds)

    def opened(self, generation: str, transport: str) -> None:
        self._instruments.opened.add(1, (generation, transport))

    def closed(self, generation: str, transport: str, reason: str) -> None:
        self._instruments.closed.add(1, (generation, transport, reason))

    def refused(self, reason: str) -> None:
        self._instruments.refused.add(1, (reason,))

    def cluster(self, what: str, count: int) -> None:
        self._instruments.cluster.add(count, (what,))

    def limited(self, setting: str) -> None:
        self._instruments.limited.add(1, (setting,))

    def received(self, generation: str, transport: str, size: int) -> None:
        who = generation, transport
        self._instruments.received.add(1, who)
        self._instruments.received_size.add(size, who)

    def sent(self, generation: str, transport: str, size: int) -> None:
        who = generation, transport
        self._instruments.sent.add(1, who)
        self._instruments.sent_size.add(size, who)

    def handled(self, namespace: str, event: str, seconds: float, failed: bool) -> None:
        which = namespace, event
        attributes = self._attributes.get(which)
        if attributes is None:
            attributes = self._attributes[which] = dict(zip(_HANDLER, which, strict=True))
        self._instruments.duration.record(seconds, attributes)
        self._instruments.failures.add(failed, which)  # 0 counts: so that the first failure is a rise from it


class _Total:
    """A counter that is read when a collection comes: to add to the SDK's own takes ten times as long."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._sums: dict[tuple[str, ...], int] = {}

    def add(self, amount: int, values: tuple[str, ...]) -> None:
        """``values`` are those of the attributes."""
        self._sums[values] = self._sums.get(values, 0) + amount

    def observe(self, options: CallbackOptions) -> Iterator[Observation]:
        """What the SDK calls, maybe in a thread of its own."""
        for values, amount in list(self._sums.items()):
            yield Observation(amount, dict(zip(self._names, values, strict=True)))


class _Snapshot:
    """One walk over all sockets for the instruments of one collection, each of which has a callback of its own.

    Who asks a second time begins the next collection.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._asked: set[str] = set()
        self._gauges = Gauges()

    def ask(self, name: str) -> Gauges:
        if not self._asked or name in self._asked:
            self._gauges = self._servers.gauges()
            self._asked.clear()
        self._asked.add(name)
        return self._gauges


class _Instruments:
    """All that one meter has. How things stand adds up over processes: hence up-down counters and no gauges."""

    def __init__(self, meter: Meter) -> None:
        self.servers = Servers()
        self._snapshot = _Snapshot(self.servers)

        def total(name: str, unit: str, text: str, attributes: tuple[str, ...]) -> _Total:
            made = _Total(attributes)
            meter.create_observable_counter(f"socketio.server.{name}", [made.observe], unit, text)
            return made

        def histogram(name: str, text: str, bounds: tuple[float, ...]) -> Histogram:
            name = f"socketio.server.{name}"
            return meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=bounds)

        self.opened = total("opened", "{socket}", "Sockets opened, by the transport that they began on", _WHO)
        reasons = (*_WHO, "socketio.reason")
        self.closed = total("closed", "{socket}", "Sockets ended, by the transport that they ended on", reasons)
        self.refused = total("refused", "{request}", "Requests refused before a socket", ("socketio.reason",))
        self.limited = total("limited", "{limit}", "Clients that met a limit", ("socketio.setting",))
        text = "Messages from and to other servers"
        self.cluster = total("cluster.messages", "{message}", text, ("socketio.what",))
        self.received = total("received.frames", "{frame}", "Frames received", _WHO)
        self.received_size = total("received.size", "By", "Size of frames received; text in characters", _WHO)
        self.sent = total("sent.packets", "{packet}", "Packets queued for clients", _WHO)
        self.sent_size = total("sent.size", "By", "Size of packets queued; text in characters", _WHO)
        self.failures = total("handler.failures", "{handler}", "Handlers that raised", _HANDLER)
        self.duration = histogram("handler.duration", "Handlers, from start to end", EVENT_SECONDS)
        self.lag = histogram("loop.lag", "How late the event loop came to a timer", LAG_SECONDS)
        meter.create_observable_up_down_counter("socketio.server.sockets", [self._sockets], "{socket}", "Open sockets")
        for name, unit, text, value in _STANDING:
            meter.create_observable_up_down_counter(name, [self._standing(name, value)], unit, text)

    def _sockets(self, options: CallbackOptions) -> Iterator[Observation]:
        for (generation, transport), count in self._snapshot.ask("socketio.server.sockets").sockets.items():
            yield Observation(count, {_GENERATION: generation, _TRANSPORT: transport})

    def _standing(
        self, name: str, value: Callable[[Gauges], int]
    ) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(options: CallbackOptions) -> Iterator[Observation]:
            yield Observation(value(self._snapshot.ask(name)))

        return observe


_STANDING: tuple[tuple[str, str, str, Callable[[Gauges], int]], ...] = (
    (
        "socketio.server.lives",
        "{socket}",
        "Sockets whose life has not ended",
        lambda now: now.active_sessions,
    ),
    ("socketio.server.members", "{member}", "Clients in namespaces; one in two counts twice", lambda now: now.members),
    ("socketio.server.queued.size", "By", "Waiting to be sent", lambda now: now.queued_bytes),
    ("socketio.server.waiting.packets", "{packet}", "Waiting for handlers", lambda now: now.waiting_packets),
    ("socketio.server.handlers", "{handler}", "Handlers that have started and not ended", lambda now: now.handlers),
)

_known: WeakKeyDictionary[Meter, _Instruments] = WeakKeyDictionary()
_global: list[_Instruments] = []


def _instruments_of(meter: Meter | None) -> _Instruments:
    """The same for all who ask for the same: an SDK exports an instrument that is made twice, twice.

    The global meter is asked for once: before a provider is set, each call gives another stand-in.
    """
    if meter is None:
        if not _global:
            _global.append(_Instruments(get_meter("asocketio")))
        return _global[0]
    if meter not in _known:
        _known[meter] = _Instruments(meter)
    return _known[meter]
