"""RedisEngine: what the engines on Redis have in common: their names, one connection, and how they publish."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from asocketio.adapters.cluster.engine import Engine, EngineHost, Outgoing
from asocketio.adapters.redis.connection import Connection
from asocketio.adapters.redis.places import Place
from asocketio.adapters.redis.process_uid import ProcessUid
from asocketio.adapters.redis.publishing import publish

__all__ = ["RedisEngine"]


def _hexadecimal() -> str:
    return secrets.token_hex(8)


class RedisEngine(Engine):
    """An engine whose messages are commands of Redis, which counts the servers that listen. `start` connects it."""

    membership = "counted"
    connection: Connection
    _host: EngineHost

    def __init__(self, place: Place, prefix: str, make_uid: Callable[[], str] = _hexadecimal) -> None:
        self._place = place
        self._prefix = prefix
        self._process_uid = ProcessUid(make_uid)

    @property
    def uid(self) -> str:
        return self._process_uid.get()

    @property
    def _ping_channel(self) -> str:
        return f"{self._prefix}-ping#{self.uid}#"

    async def stop(self) -> None:
        await self.connection.stop()

    async def send(self, batch: Sequence[Outgoing]) -> None:
        await publish(self.connection, [outgoing.content for outgoing in batch], self._host.throttled_log)
