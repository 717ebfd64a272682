"""Members: which other servers are there, by heartbeats, for engines that do not know by themselves.

Source: npm socket.io-adapter 2.5.8, ``ClusterAdapterWithHeartbeat``.
"""

from __future__ import annotations

from collections.abc import Callable

from asocketio.adapters.cluster.messages import Body, Close, Heartbeat
from asocketio.runtime.clock import Clock, Timer

__all__ = ["EMITTER", "Members"]

INTERVAL = 5.0
"""Seconds from one heartbeat of this server to the next."""
TIMEOUT = 10.0
"""A server that has said nothing for so many seconds has gone."""
MOST = 10_000
"""Servers that are known in one namespace."""
EMITTER = "emitter"
"""The uid of all that only publish: programs without a server."""


class Members:
    """The other servers of each namespace that this one is in. Whatever a server sends is a sign of its life.

    Time is that of the event loop, which no change of the date moves. When the loop itself was late, nobody is blamed.
    """

    def __init__(
        self,
        clock: Callable[[], Clock],
        send: Callable[[str, Body, str | None], object],
        joined: Callable[[str, str], None],
        left: Callable[[str, str], None],
    ) -> None:
        self._clock = clock
        self._send = send
        self._joined = joined
        """Told of a server, and of the namespace that it has come into."""
        self._left = left
        self._last: dict[str, dict[str, float]] = {}
        self._timer: Timer | None = None
        self._due = 0.0

    def stop(self) -> None:
        """Leave all namespaces."""
        for namespace in list(self._last):
            self.leave(namespace)

    def enter(self, namespace: str) -> None:
        """Tell the others in a namespace of this server, and ask who they are."""
        self._last[namespace] = {}
        self._send(namespace, Heartbeat(is_first=True), None)
        if self._timer is None:
            self._arm()

    def leave(self, namespace: str) -> None:
        """Tell the others that this server goes."""
        if self._last.pop(namespace, None) is not None:
            self._send(namespace, Close(), None)
        if not self._last and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def of(self, namespace: str) -> set[str]:
        """The uids of the others."""
        return set(self._last.get(namespace, ()))

    def hear(self, uid: str, namespace: str, body: Body) -> None:
        """A server has said something."""
        known = self._last.get(namespace)
        if known is None or uid == EMITTER:
            return
        if isinstance(body, Close):
            self._remove(uid, namespace)
            return
        is_new = uid not in known
        if is_new and len(known) >= MOST:
            return
        known[uid] = self._clock().now()
        if isinstance(body, Heartbeat) and body.is_first:
            self._send(namespace, Heartbeat(), None)
        if is_new:
            self._joined(uid, namespace)

    def forget(self, uid: str) -> None:
        """A server has gone, in all namespaces."""
        for namespace in self._last:
            self._remove(uid, namespace)

    def _remove(self, uid: str, namespace: str) -> None:
        if self._last[namespace].pop(uid, None) is not None:
            self._left(uid, namespace)

    def _arm(self) -> None:
        self._due = self._clock().now() + INTERVAL
        self._timer = self._clock().call_later(INTERVAL, self._beat)

    def _beat(self) -> None:
        now = self._clock().now()
        late = max(now - self._due, 0.0)
        for namespace, known in self._last.items():
            self._send(namespace, Heartbeat(), None)
            for uid in [uid for uid, last in known.items() if now - last - late >= TIMEOUT]:
                self._remove(uid, namespace)
            if late > 0.0:
                for uid in known:
                    known[uid] += late
        self._arm()
