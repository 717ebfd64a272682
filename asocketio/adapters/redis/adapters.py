"""The adapters of programs: rooms over all servers on one Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from asocketio.adapters.cluster.adapter import ClusterAdapter
from asocketio.adapters.redis.classic_engine import ClassicEngine
from asocketio.adapters.redis.places import place_of
from asocketio.adapters.redis.sharded_engine import ShardedEngine, SubscriptionMode
from asocketio.adapters.redis.streams_engine import StreamsEngine, check_max_length
from asocketio.errors import UsageError

__all__ = ["RedisAdapter", "RedisStreamsAdapter", "ShardedRedisAdapter"]


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


class ShardedRedisAdapter(ClusterAdapter):
    """One cluster with all servers that use ``createShardedAdapter`` with this Redis, key and mode. Needs Redis 7.

    ``url``, ``sentinels`` and ``key`` are as those of `RedisAdapter`; Node calls the key ``channelPrefix``. All servers
    need the same ``subscription_mode``, as Node's: ``dynamic`` subscribes to each room of a client, ``static`` to none.

    Raises:
        UsageError: redis-py is not installed (``asocketio[redis]``), or an argument is wrong.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        sentinels: Sequence[str] | None = None,
        key: str = "socket.io",
        subscription_mode: SubscriptionMode = "dynamic",
    ) -> None:
        check_key("key", key)
        modes = get_args(SubscriptionMode)
        if subscription_mode not in modes:
            raise UsageError(f"subscription_mode={subscription_mode!r}: expected one of {modes}")
        super().__init__(ShardedEngine(place_of(url, sentinels), key, subscription_mode))


class RedisStreamsAdapter(ClusterAdapter):
    """One cluster with all servers that use @socket.io/redis-streams-adapter 0.3 with this Redis, stream and key.

    ``url``, ``sentinels`` and ``key`` are as those of `RedisAdapter`; Node calls the key ``channelPrefix``, the stream
    ``streamName``, and ``max_length``, its number of entries, ``maxLen``. Do not use the key of a classic cluster.

    Raises:
        UsageError: redis-py is not installed (``asocketio[redis]``), or an argument is wrong.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        sentinels: Sequence[str] | None = None,
        key: str = "socket.io",
        stream: str = "socket.io",
        max_length: int = 10_000,
    ) -> None:
        check_key("key", key)
        check_key("stream", stream)
        check_max_length(max_length)
        super().__init__(StreamsEngine(place_of(url, sentinels), stream, key, max_length))


def check_key(name: str, key: object) -> None:
    """Raise `UsageError` where a prefix of channels is none."""
    if not isinstance(key, str) or not key:
        raise UsageError(f"{name}={key!r}: expected the prefix of all channels, for example {name}='socket.io'")
