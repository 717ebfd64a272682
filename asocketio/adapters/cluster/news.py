"""News: whether the bus is there, what was lost, who comes and goes: in the log, for metrics and for the program."""

from __future__ import annotations

from asocketio.adapters.base import Host
from asocketio.adapters.cluster.engine import ClusterChange
from asocketio.errors import MalformedMessage
from asocketio.runtime.log import log

__all__ = ["News"]


class News:
    """Tells ``on_cluster_change`` and the log."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.is_up = True
        """The engine has its bus."""
        self._lost = 0
        self._since = 0.0

    def changed(self, change: ClusterChange) -> None:
        """The engine, or the heartbeats, say what has happened. The same twice is said once."""
        if change.what == "down":
            if self.is_up:
                self.is_up, self._lost, self._since = False, 0, self._host.clock.now()
                log.warning("the bus to the other servers is down: clients of this server alone are reached")
                self._tell(change)
        elif change.what == "up":
            if not self.is_up:
                self._up(change)
        else:
            self._tell(change)

    def _up(self, change: ClusterChange) -> None:
        self.is_up = True
        seconds = change.seconds or self._host.clock.now() - self._since
        lost = self._lost if change.lost is None else self._lost + change.lost
        log.warning(
            "the bus to the other servers is up again, after %.1f s; %d messages did not go out, and what the others "
            "sent meanwhile may be missing", seconds, lost,
        )  # fmt: skip
        self._lost = 0
        self._tell(ClusterChange("up", seconds, lost))

    def dropped(self, count: int) -> None:
        """The queue was full. The program is told at the first time of an outage, and of the sum when it has ended."""
        self._host.metrics.cluster("dropped", count)
        self._host.throttled_log.warning(
            "publish", "%d messages did not go to the other servers: more than max_publish_queue wait to be sent", count
        )
        is_first = not self._lost
        self._lost += count
        if is_first or self.is_up:
            self._tell(ClusterChange("lost", lost=count))

    def malformed(self, error: MalformedMessage) -> None:
        """Something came that is no message."""
        self._host.metrics.cluster("malformed", 1)
        self._host.throttled_log.warning("bus", "dropped what came on the cluster's bus: %s", error)

    def _tell(self, change: ClusterChange) -> None:
        hook = self._host.config.on_cluster_change
        if hook is not None:
            self._host.jobs.call("on_cluster_change", hook, change)
