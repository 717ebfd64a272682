"""Metrics: what a server tells about itself. Subclass it, or take one of the modules beside it.

``SocketIOApp(..., metrics=PrometheusMetrics())``. Without ``metrics`` nothing is counted, and it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Gauges", "Metrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """How things stand at this moment."""

    sockets: dict[tuple[str, str], int] = field(default_factory=dict)
    """Open sockets by generation (``"0.9"``, ``"3"``, ``"4"``) and transport (``"polling"``, ``"websocket"``)."""
    lives: int = 0
    """Sockets whose life has not ended: those that are opening, and those being cleaned up, too."""
    members: int = 0
    """Clients in namespaces: one in two counts twice."""
    queued_bytes: int = 0
    """Waiting to be sent, of all sockets."""
    waiting_packets: int = 0
    """Received, and waiting for the handlers of their clients."""
    handlers: int = 0
    """Handlers that have started and not ended."""


class Metrics:
    """Every method does nothing here. They are called in the event loop, must not raise, and must not take long.

    No argument is a client's own text: events are named as the program's handlers declare them.
    """

    def started(self, gauges: Callable[[], Gauges]) -> None:
        """A server is there. ``gauges()`` walks over all its sockets: ask when a scrape comes, not each second.

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
        """A handler has ended, ``seconds`` after its start. ``event`` is ``"*"`` where no handler names it."""

    def lagged(self, seconds: float) -> None:
        """The event loop came to a timer ``seconds`` late. Called about once a second while there are sockets."""
