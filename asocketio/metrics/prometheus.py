"""Metrics for Prometheus, by the package prometheus-client: ``pip install 'asocketio[prometheus]'``.

::

    app = SocketIOApp(namespaces={"/": Chat}, metrics=PrometheusMetrics())

The number of time series is bounded, for no label holds what a client made up. There are three generations and two
transports; reasons and settings are the package's own words; namespaces are those of the program; events are those that
its handlers name, and all others are ``"*"``. So it grows with the program, not with its clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from asocketio.metrics import EVENT_SECONDS, LAG_SECONDS, Gauges, Metrics, Servers

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as missing:
    raise ImportError(
        "asocketio.metrics.prometheus needs prometheus-client: pip install 'asocketio[prometheus]'",
        name="prometheus_client",
    ) from missing

__all__ = ["PrometheusMetrics"]

_WHO = ("generation", "transport")
_HANDLER = ("namespace", "event")


class PrometheusMetrics(Metrics):
    """Counters, histograms and gauges in ``registry``, or in prometheus-client's own; names begin with ``prefix``.

    One may serve several apps, and several of the same registry and prefix are one: their figures are sums.
    """

    def __init__(self, registry: CollectorRegistry | None = None, prefix: str = "socketio") -> None:
        series = _series_in(REGISTRY if registry is None else registry, prefix)
        self._series = series
        # A labelled child costs a lock and a look-up by strings each time; these are dictionaries of a few.
        self._received: dict[tuple[str, str], tuple[Counter, Counter]] = {}
        self._sent: dict[tuple[str, str], tuple[Counter, Counter]] = {}
        self._handlers: dict[tuple[str, str], tuple[Histogram, Counter]] = {}

    def started(self, gauges: Callable[[], Gauges]) -> None:
        self._series.servers.add(gauges)

    def lagged(self, seconds: float) -> None:
        self._series.lag.observe(seconds)

    def opened(self, generation: str, transport: str) -> None:
        self._series.opened.labels(generation, transport).inc()

    def closed(self, generation: str, transport: str, reason: str) -> None:
        self._series.closed.labels(generation, transport, reason).inc()

    def refused(self, reason: str) -> None:
        self._series.refused.labels(reason).inc()

    def cluster(self, what: str, count: int) -> None:
        self._series.cluster.labels(what).inc(count)

    def limited(self, setting: str) -> None:
        self._series.limited.labels(setting).inc()

    def received(self, generation: str, transport: str, size: int) -> None:
        who = generation, transport
        pair = self._received.get(who)
        if pair is None:
            series = self._series
            pair = self._received[who] = series.received.labels(*who), series.received_bytes.labels(*who)
        pair[0].inc()
        pair[1].inc(size)

    def sent(self, generation: str, transport: str, size: int) -> None:
        who = generation, transport
        pair = self._sent.get(who)
        if pair is None:
            series = self._series
            pair = self._sent[who] = series.sent.labels(*who), series.sent_bytes.labels(*who)
        pair[0].inc()
        pair[1].inc(size)

    def handled(self, namespace: str, event: str, seconds: float, failed: bool) -> None:
        which = namespace, event
        pair = self._handlers.get(which)
        if pair is None:
            # Both are made at the first event: a failure that is the first must rise from 0, or ``rate()`` misses it.
            series = self._series
            pair = self._handlers[which] = series.seconds.labels(*which), series.failures.labels(*which)
        pair[0].observe(seconds)
        if failed:
            pair[1].inc()


class _Series(Collector):
    """All that one registry knows under one prefix. It collects the gauges itself, when somebody scrapes."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.servers = Servers()
        self._prefix = prefix

        def counter(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            return Counter(name, text, labels, namespace=prefix, registry=registry)

        def histogram(name: str, text: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, labels, namespace=prefix, registry=registry, buckets=bounds)

        self.opened = counter("opened", "Sockets opened, by the transport that they began on.", _WHO)
        self.closed = counter("closed", "Sockets ended, by the transport that they ended on.", (*_WHO, "reason"))
        self.refused = counter("refused", "Requests refused before they reached a socket.", ("reason",))
        self.limited = counter("limited", "Clients that met a limit, by the setting.", ("setting",))
        self.cluster = counter("cluster_messages", "Messages from and to other servers.", ("what",))
        self.received = counter("received_frames", "Frames received.", _WHO)
        self.received_bytes = counter("received_bytes", "Size of frames received; text in characters.", _WHO)
        self.sent = counter("sent_packets", "Packets queued for clients.", _WHO)
        self.sent_bytes = counter("sent_bytes", "Size of packets queued for clients; text in characters.", _WHO)
        self.seconds = histogram("handler_seconds", "Handlers, from start to end.", _HANDLER, EVENT_SECONDS)
        self.failures = counter("handler_failures", "Handlers that raised.", _HANDLER)
        self.lag = histogram("loop_lag_seconds", "How late the event loop came to a timer.", (), LAG_SECONDS)
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """The names, so that the registry sees at once whether they are taken."""
        return self._families(Gauges())

    def collect(self) -> Iterator[Metric]:
        return self._families(self.servers.gauges())

    def _families(self, now: Gauges) -> Iterator[Metric]:
        sockets = GaugeMetricFamily(self._name("sockets"), "Open sockets.", labels=_WHO)
        for who, count in now.sockets.items():
            sockets.add_metric(who, count)
        yield sockets
        for name, text, value in (
            ("lives", "Sockets whose life has not ended: those that open or are cleaned up, too.", now.active_sessions),
            ("members", "Clients in namespaces; one in two counts twice.", now.members),
            ("queued_bytes", "Waiting to be sent; each packet counts 100 more.", now.queued_bytes),
            ("waiting_packets", "Received, and waiting for the handlers of their clients.", now.waiting_packets),
            ("running_handlers", "Handlers that have started and not ended.", now.handlers),
        ):
            yield GaugeMetricFamily(self._name(name), text, value=value)

    def _name(self, name: str) -> str:
        return f"{self._prefix}_{name}" if self._prefix else name


_known: WeakKeyDictionary[CollectorRegistry, dict[str, _Series]] = WeakKeyDictionary()


def _series_in(registry: CollectorRegistry, prefix: str) -> _Series:
    """The same for all who ask for the same: a registry takes a name once."""
    known = _known.setdefault(registry, {})
    if prefix not in known:
        known[prefix] = _Series(registry, prefix)
    return known[prefix]
