"""Metrics: what a server tells about itself. Subclass it, or take one of the modules beside it.

``SocketIOApp(..., metrics=PrometheusMetrics())``. Without ``metrics`` nothing is counted, and it costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product

__all__ = ["EVENT_SECONDS", "LAG_SECONDS", "Gauges", "Metrics", "Servers"]

EVENT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds for histograms of handlers: most take microseconds, those that wait for a client or a database seconds."""

LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for histograms of the event loop's lateness: from 0.1 on clients notice."""

_KINDS = tuple(product(("0.9", "3", "4"), ("polling", "websocket")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """How things stand at this moment."""

    sockets: dict[tuple[str, str], int] = field(default_factory=dict)
    """Open sockets by generation (``"0.9"``, ``"3"``, ``"4"``) and transport (``"polling"``, ``"websocket"``)."""
    active_sessions: int = 0
    """Sockets whose life has not ended: those that are opening, and those being cleaned up, too."""
    members: int = 0
    """Clients in namespaces: one in two counts twice."""
    queued_bytes: int = 0
    """Waiting to be sent, of all sockets."""
    waiting_packets: int = 0
    """Received, and waiting for the handlers of their clients."""
    handlers: int = 0
    """Handlers that have started and not ended."""

    def __add__(self, other: Gauges) -> Gauges:
        return Gauges(
            sockets=dict(Counter(self.sockets) + Counter(other.sockets)),
            active_sessions=self.active_sessions + other.active_sessions,
            members=self.members + other.members,
            queued_bytes=self.queued_bytes + other.queued_bytes,
            waiting_packets=self.waiting_packets + other.waiting_packets,
            handlers=self.handlers + other.handlers,
        )


class Servers:
    """The servers that a `Metrics` was told of, as one: several apps may share it.

    It keeps them for as long as it lives itself.
    """

    def __init__(self) -> None:
        self._servers: dict[Callable[[], Gauges], None] = {}

    def add(self, gauges: Callable[[], Gauges]) -> None:
        """What `Metrics.started` was given. The same server may come again: it does so in each event loop."""
        self._servers[gauges] = None

    def gauges(self) -> Gauges:
        """The sum of all. Kinds of sockets that nobody has are 0: a series that ends looks like a lost scrape."""
        total = sum((gauges() for gauges in list(self._servers)), Gauges())
        return replace(total, sockets={**dict.fromkeys(_KINDS, 0), **total.sockets})


class Metrics:
    """Every method does nothing here. They are called in the event loop, must not raise, and must not take long.

    No argument is a client's own text: events are named as the program's handlers declare them.
    """

    def started(self, gauges: Callable[[], Gauges]) -> None:
        """A server is there. ``gauges()`` walks over all its sockets: ask when a scrape comes, not each second.

        Called once in each event loop that an app is used in, at its first request, and again in a test when a client
        brings a new clock: `Servers` knows them apart.
        In the server's event loop it is exact; from another thread it may be off by what happens meanwhile.
        """

    def opened(self, generation: str, transport: str) -> None:
        """A handshake was answered: there is a socket more."""

    def closed(self, generation: str, transport: str, reason: str) -> None:
        """A socket has ended, for one of the documented reasons."""

    def refused(self, reason: str) -> None:
        """A request was refused before it reached a socket: ``"Forbidden"``, ``"Session ID unknown"`` and so on."""

    def limited(self, setting: str) -> None:
        """A client met a limit: ``"max_outbox"``, ``"max_backlog"``, ``"max_payload"``, ``"rate_limits"`` and so on."""

    def received(self, generation: str, transport: str, size: int) -> None:
        """A frame has come: ``size`` characters or bytes."""

    def sent(self, generation: str, transport: str, size: int) -> None:
        """A packet was queued for a client: ``size`` characters and bytes."""

    def handled(self, namespace: str, event: str, seconds: float, failed: bool) -> None:
        """A handler has ended, ``seconds`` after its start. ``event`` is ``"*"`` where no handler names it.

        ``namespace`` is what the program declared: where that is a pattern, the pattern.

        ``failed``: it raised, and not because its client has gone (`Disconnected`).
        """

    def cluster(self, what: str, count: int) -> None:
        """Messages between this server and the others of its cluster: ``"published"``, ``"received"``, ``"dropped"``
        (the queue was full), or ``"malformed"`` (what came, and is no message)."""

    def lagged(self, seconds: float) -> None:
        """The event loop came to a timer ``seconds`` late. Called about once a second while there are sockets."""
