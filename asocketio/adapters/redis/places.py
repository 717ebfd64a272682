"""Places: where Redis is, and how a connection to it is opened: one server, what sentinels watch, or a Redis Cluster.

The only module here that imports redis-py. Nothing of its retrying is used: `asocketio.adapters.redis.connection`
sees to that.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from asocketio.errors import BusDown, UsageError

aioredis: Any
exceptions: Any
redis: Any
sync_sentinel: Any
NoBackoff: Any
Retry: Any
Sentinel: Any
SyncRetry: Any
try:
    import redis
    from redis import asyncio as aioredis
    from redis import exceptions
    from redis import sentinel as sync_sentinel
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import Sentinel
    from redis.backoff import NoBackoff
    from redis.retry import Retry as SyncRetry
except ImportError:  # pip install asocketio[redis]
    aioredis = None

__all__ = ["Place", "is_answer", "is_lasting", "place_of", "reason_of", "sync_client"]

CONNECTS_WITHIN = 5.0
"""Seconds for opening a connection, and for each answer while it is opened."""
SCHEMES = ("redis", "rediss", "unix")
MASTER = "mymaster"
"""The name that sentinels have for a master where nobody gave another one."""


def place_of(url: str | None, sentinels: Sequence[str] | None = None, *, cluster: bool = False) -> Place:
    """Where Redis is.

    ``url`` is ``redis://user:password@host:port/db``, ``rediss://`` for TLS, or ``unix://path``; what redis-py takes as
    options may follow a ``?``. With ``sentinels``, URLs or ``host:port``, its host is the name of the master. With
    ``cluster`` it is any server of a Redis Cluster.

    Raises:
        UsageError: redis-py is not installed, or something in these is wrong.
    """
    if aioredis is None:
        raise UsageError("Redis needs the package redis: pip install 'asocketio[redis]'")
    if url is None and sentinels is None:
        raise UsageError("Redis needs a URL, for example 'redis://localhost:6379', or sentinels=['host:26379', ...]")
    if url is None:
        url = f"redis://{MASTER}"
    if sentinels is None:
        return ClusterPlace(url) if cluster else ServerPlace(url)
    if cluster:
        raise UsageError("sentinels= and cluster=True exclude each other: a Redis Cluster watches itself")
    if isinstance(sentinels, str) or not sentinels:
        raise UsageError(f"sentinels={sentinels!r}: expected a list, for example ['10.0.0.1:26379', '10.0.0.2:26379']")
    return SentinelPlace(url, sentinels)


def sync_client(
    url: str | None, sentinels: Sequence[str] | None, *, cluster: bool, seconds: float
) -> tuple[str, Callable[[], Any]]:
    """The name of the place for the log, and what makes a client of redis-py without an event loop.

    Raises:
        UsageError: as `place_of`.
    """
    name = place_of(url, sentinels, cluster=cluster).name
    url = url or f"redis://{MASTER}"
    options = {
        "protocol": 2,
        "retry": SyncRetry(NoBackoff(), 0),
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
    }
    if cluster:
        return name, lambda: redis.RedisCluster.from_url(url, **options)
    if sentinels is None:
        return name, lambda: redis.Redis.from_url(url, **options)

    def of_sentinels() -> Any:
        pool = redis.ConnectionPool.from_url(url, **options)
        found = {key: value for key, value in pool.connection_kwargs.items() if key not in ("host", "port")}
        found["ssl"] = issubclass(pool.connection_class, redis.SSLConnection)
        asked = [each if "://" in each else f"redis://{each}" for each in sentinels or ()]
        manager = sync_sentinel.Sentinel([])
        manager.sentinels = [redis.Redis.from_url(each, **options) for each in asked]
        return manager.master_for(pool.connection_kwargs.get("host", MASTER), **found)

    return name, of_sentinels


class Place(ABC):
    """Opens connections to Redis. What it raises is read by `reason_of`."""

    name: str
    """For the log: without the password."""
    has_replicas = False
    """A connection may lead to a server that others do not publish to: its role is to be asked for."""

    @abstractmethod
    async def connect(self) -> Any:
        """A new connection of redis-py, open; whoever asked closes it."""

    async def close(self) -> None:  # noqa: B027  (most have nothing)
        """Close what finding the servers needed."""

    async def counts(self, call: Any, command: str, channel: str) -> int:
        """How many connections are subscribed to a channel, by ``PUBSUB NUMSUB``, or what ``command`` names else."""
        [found] = await call([("PUBSUB", command, channel)])
        return _number(found)


class ServerPlace(Place):
    """One server, by its URL."""

    has_replicas = True

    def __init__(self, url: str) -> None:
        self.name = _shown(url)
        self._class, self._options = _parsed(url)

    async def connect(self) -> Any:
        return await _opened(self._class(**self._options))


class SentinelPlace(Place):
    """The master that sentinels know."""

    has_replicas = True

    def __init__(self, url: str, sentinels: Sequence[str]) -> None:
        self._class, self._options = _parsed(url)
        self._master = self._options.pop("host", MASTER)
        self._options.pop("port", None)
        if self._class is aioredis.UnixDomainSocketConnection:
            raise UsageError(f"{_shown(url)!r} with sentinels: expected 'redis://<name of the master>', or rediss://")
        asked = [_parsed(each if "://" in each else f"redis://{each}") for each in sentinels]
        self.name = f"the master {self._master!r} of {', '.join(map(_shown_host, sentinels))}"
        self._sentinels = Sentinel([])
        self._sentinels.sentinels = [_client(kind, options) for kind, options in asked]

    async def connect(self) -> Any:
        host, port = await self._sentinels.discover_master(self._master)
        return await _opened(self._class(**self._options, host=host, port=port))

    async def close(self) -> None:
        for each in self._sentinels.sentinels:
            await each.aclose()


class ClusterPlace(Place):
    """A Redis Cluster: what is published at one of its servers is heard at all of them."""

    def __init__(self, url: str) -> None:
        self.name = f"the Redis Cluster at {_shown(url)}"
        self._class, options = _parsed(url)
        if self._class is aioredis.UnixDomainSocketConnection:
            raise UsageError(f"{_shown(url)!r} with cluster=True: expected the redis:// URL of one of its servers")
        self._first = options
        self._options = {key: value for key, value in options.items() if key not in ("host", "port", "db")}
        self._known: list[tuple[str, int]] = []
        self._turn = itertools.count()

    async def connect(self) -> Any:
        """One of the masters; of those that are known the next one, so that one that is gone is not asked for ever."""
        known = [(self._first.get("host", "localhost"), self._first.get("port", 6379)), *self._known]
        first = next(self._turn)
        for number in range(first, first + len(known)):
            host, port = known[number % len(known)]
            try:
                connection = await _opened(self._class(**self._options, host=host, port=port))
            except (exceptions.RedisError, OSError):
                continue
            self._known = await _masters(connection)
            return connection
        raise BusDown(f"none of {len(known)} servers can be reached")

    async def counts(self, call: Any, command: str, channel: str) -> int:
        """Each master counts its own connections."""
        found = 0
        for host, port in self._known:
            connection = await _opened(self._class(**self._options, host=host, port=port))
            try:
                await connection.send_command("PUBSUB", command, channel)
                found += _number(await connection.read_response())
            finally:
                await connection.disconnect(nowait=True)
        return found


async def _masters(connection: Any) -> list[tuple[str, int]]:
    """The masters of a Redis Cluster that have slots, as the server that was asked knows them."""
    await connection.send_command("CLUSTER", "SLOTS")
    slots = await connection.read_response()
    return sorted({(master[0].decode() or connection.host, int(master[1])) for _, _, master, *_ in slots})


def _number(found: Any) -> int:
    if isinstance(found, BaseException):
        raise found
    return int(found[1])


async def _opened(connection: Any) -> Any:
    try:
        await connection.connect()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


def _client(kind: Any, options: dict[str, Any]) -> Any:
    bounded = {**options, "socket_timeout": CONNECTS_WITHIN}
    return aioredis.Redis.from_pool(aioredis.ConnectionPool(connection_class=kind, **bounded))


def _parsed(url: str) -> tuple[Any, dict[str, Any]]:
    """The class of a connection, and its arguments."""
    if not isinstance(url, str) or urlsplit(url).scheme not in SCHEMES:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{_shown(url)!r}: expected redis://host:port, rediss://host:port or unix://path")
    retry = Retry(NoBackoff(), 0)
    times = {"socket_timeout": None, "socket_connect_timeout": CONNECTS_WITHIN}
    try:
        pool = aioredis.ConnectionPool.from_url(url, protocol=2, retry=retry, **times)
        pool.make_connection()
    except Exception as error:
        raise UsageError(f"{_shown(url)!r} is no URL of Redis: {type(error).__name__}") from None
    return pool.connection_class, dict(pool.connection_kwargs)


def _shown(url: Any) -> str:
    """A URL without its user, password and options."""
    if not isinstance(url, str) or "://" not in url:
        return f"{url!r:.60}" if "@" not in str(url) else "a text with an @"
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def _shown_host(url: str) -> str:
    return _shown(url if "://" in url else f"redis://{url}").partition("://")[2]


# ---- what goes wrong -------------------------------------------------------------------------------------------------

_WORDS = (
    (("WRONGPASS", "invalid username-password", "NOAUTH", "Authentication required", "invalid password",
      "AUTH <password>"),
     "it does not take this user and password"),
    (("NOPERM", "no permissions"), "its ACL does not allow this user what is needed"),
    (("LOADING", "loading the dataset"), "it is loading its data"),
    (("READONLY", "read only replica", "is now a slave"), "it is a read-only replica"),
    (("OOM", "maxmemory"), "it is out of memory"),
    (("unknown command",), "it does not know a command; sharded pub/sub needs Redis 7, and streams Redis 5"),
    (("MASTERDOWN",), "it is a replica that has lost its master"),
    (("CLUSTERDOWN",), "the Redis Cluster is down"),
    (("No master found",), "the sentinels know no such master now"),
)  # fmt: skip
"""What Redis and redis-py say, and what it means."""


def is_answer(error: BaseException) -> bool:
    """Whether what redis-py raises is an answer of the server: the connection goes on."""
    return isinstance(error, exceptions.ResponseError | exceptions.BusyLoadingError)


def is_lasting(error: BaseException) -> bool:
    """Whether Redis would refuse the same command again: for what the user may do, or what it is."""
    passing = ("loading", "readonly", "read only", "maxmemory", "oom", "masterdown", "clusterdown", "tryagain", "moved")
    return is_answer(error) and not _is_any(passing, f"{type(error).__name__} {error}")


def reason_of(error: BaseException) -> str:
    """What a failure means, for the log."""
    if isinstance(error, BusDown):
        return str(error)
    text = str(error)
    kind = type(error).__name__
    found = [words for signs, words in _WORDS if _is_any(signs, f"{kind} {text}")]
    if found:
        return f"{found[0]} ({text:.200})"
    if isinstance(error, TimeoutError) or kind == "TimeoutError":
        return "it does not answer in time"
    return f"{text:.200}" if text else kind


def _is_any(signs: Iterable[str], text: str) -> bool:
    return any(sign.lower() in text.lower() for sign in signs)
