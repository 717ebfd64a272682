"""ShardedEngine: a cluster with Node servers that use ``createShardedAdapter`` of @socket.io/redis-adapter 8.3."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

from asocketio.adapters.cluster.engine import EngineHost, Outgoing
from asocketio.adapters.cluster.messages import Broadcast, Message, is_droppable
from asocketio.adapters.cluster.wire import decode, encode
from asocketio.adapters.redis.connection import Connection
from asocketio.adapters.redis.places import Place
from asocketio.adapters.redis.redis_engine import RedisEngine
from asocketio.errors import MalformedMessage
from asocketio.runtime.awaitables import COMPLETED

__all__ = ["ShardedEngine", "SubscriptionMode"]

SubscriptionMode = Literal["static", "dynamic", "dynamic-private"]
_SID_OF_NODE = 20
"""Characters. In the mode ``dynamic`` a name of so many counts as a sid, and its messages go to all servers."""


class ShardedEngine(RedisEngine):
    """Each namespace has a channel, and so have the rooms in which clients of this server are.

    Sids of this package have 21 characters: for Node they are rooms like others. So each client has a channel, too,
    unless the mode is ``static``.
    """

    def __init__(self, place: Place, prefix: str, mode: SubscriptionMode) -> None:
        super().__init__(place, prefix)
        self._mode = mode
        self._entered: set[str] = set()
        self.follows_rooms = mode != "static"  # type: ignore[misc]  # pyright: ignore[reportIncompatibleVariableOverride]

    def start(self, host: EngineHost) -> None:
        self._host = host
        self._entered.clear()
        self.connection = Connection(
            self._place, self._ping_channel, self._hear, host.changed, ping_command="SSUBSCRIBE"
        )
        self.connection.start(host.throttled_log)

    def encode(self, message: Message) -> Outgoing:
        data = encode(message)
        return Outgoing(("SPUBLISH", self._channel_of(message), data), len(data), is_droppable(message.body))

    async def count(self, namespace: str) -> int:
        return max(await self.connection.count("SHARDNUMSUB", self._channel(namespace)) - 1, 0)

    def enter(self, namespace: str) -> Awaitable[None]:
        self._entered.add(namespace)
        main = self._channel(namespace)
        # One name in a command: in a Redis Cluster they are in different slots. The main channel comes last: who is
        # counted there has to answer.
        self.connection.subscribe("SSUBSCRIBE", f"{main}{self.uid}#".encode())
        return self.connection.subscribe("SSUBSCRIBE", main.encode())

    def leave(self, namespace: str) -> None:
        self._entered.discard(namespace)
        main = self._channel(namespace)
        self.connection.unsubscribe(main.encode(), f"{main}{self.uid}#".encode())

    def enter_room(self, namespace: str, room: str) -> Awaitable[None]:
        if not self._has_channel(room):
            return COMPLETED
        return self.connection.subscribe("SSUBSCRIBE", self._room_channel(namespace, room).encode())

    def leave_room(self, namespace: str, room: str) -> None:
        if self._has_channel(room):
            self.connection.unsubscribe(self._room_channel(namespace, room).encode())

    def _channel(self, namespace: str) -> str:
        return f"{self._prefix}#{namespace or '/'}#"

    def _room_channel(self, namespace: str, room: str) -> str:
        return f"{self._channel(namespace)}{room}#"

    def _has_channel(self, room: str) -> bool:
        return self._mode == "dynamic-private" or (self._mode == "dynamic" and len(room) != _SID_OF_NODE)

    def _channel_of(self, message: Message) -> str:
        if message.to is not None:
            return f"{self._channel(message.namespace)}{message.to}#"
        body = message.body
        if isinstance(body, Broadcast) and body.request_id is None:
            rooms = list(body.target.rooms or ())
            if len(rooms) == 1 and self._has_channel(room := rooms[0]):
                return self._room_channel(message.namespace, room)
        return self._channel(message.namespace)

    def _hear(self, name: bytes, channel: bytes, data: bytes) -> None:
        if data.endswith(b'"}') and b'"uid":"' + self.uid.encode() + b'","nsp":' in data[-1000:]:
            return  # the echo of an own message, as `encode` writes it
        try:
            message = decode(data, self._host.config.max_publish_queue)
        except MalformedMessage as error:
            self._host.refuse(error)
            return
        if message.namespace in self._entered:
            self._host.receive(message)
