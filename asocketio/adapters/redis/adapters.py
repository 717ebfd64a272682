"""The adapters of programs: rooms over all servers on one Redis."""

from __future__ import annotations

from collections.abc import Sequence

from asocketio.adapters.cluster.adapter import ClusterAdapter
from asocketio.adapters.redis.classic_engine import ClassicEngine
from asocketio.adapters.redis.places import place_of
from asocketio.errors import UsageError

__all__ = ["RedisAdapter"]


class RedisAdapter(ClusterAdapter):
    """One cluster with all servers, of Node and of Python, that use the classic Redis adapter with this Redis and key.

    ``url`` is ``redis://user:password@host:port/db``, ``rediss://`` for TLS, or ``unix://path``. With ``sentinels``, a
    list of ``host:port`` or of URLs, its host is the name of their master (without a URL: ``mymaster``). With
    ``cluster`` it is any server of a Redis Cluster. ``key`` is Node's option of this name.

    Raises:
        UsageError: redis-py is not installed (``asocketio[redis]``), or an argument is wrong.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        sentinels: Sequence[str] | None = None,
        cluster: bool = False,
        key: str = "socket.io",
    ) -> None:
        check_key("key", key)
        super().__init__(ClassicEngine(place_of(url, sentinels, cluster=cluster), key, self._has_room))

    def _has_room(self, namespace: str, room: str) -> bool:
        return self.local.has_any(namespace, frozenset((room,)))


def check_key(name: str, key: object) -> None:
    """Raise `UsageError` where a prefix of channels is none."""
    if not isinstance(key, str) or not key:
        raise UsageError(f"{name}={key!r}: expected the prefix of all channels, for example {name}='socket.io'")
