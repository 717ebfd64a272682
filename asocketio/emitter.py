"""Emitter and SyncEmitter: what a program without a server says to the clients of a cluster on Redis.

They publish, and hear nothing: there are no answers and no acks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from asocketio.adapters.base import Target
from asocketio.adapters.cluster.messages import Body, Broadcast, Disconnect, Join, Leave, Message, ServerEvent
from asocketio.errors import UsageError
from asocketio.manage import namespace_name
from asocketio.operators import names
from asocketio.protocol.packet import EVENT, GLOBAL_NS, Packet
from asocketio.protocol.parser import check_name

__all__ = ["Emitter", "EmitterOperator", "Kind", "SyncEmitter"]

UID = "emitter"
"""The name that all emitters have among the servers."""
Kind = Literal["classic", "streams"]
R = TypeVar("R")
"""What a verb returns: that of an `Emitter` is to be awaited, that of a `SyncEmitter` is None."""
Command = tuple[Any, ...]


class EmitterOperator(Generic[R]):
    """Clients in a namespace, as `asocketio.operators.BroadcastOperator`; each verb sends to the cluster at once.

    Verbs raise:
        UsageError: an argument has no form, or a name is reserved.
        BusDown: Redis cannot be reached, does not answer, or refuses. It may have heard it all the same.
    """

    __slots__ = ("_send", "excluded", "is_volatile", "namespace", "rooms")

    def __init__(
        self,
        send: Callable[[Message], R],
        namespace: str = GLOBAL_NS,
        rooms: frozenset[str] | None = None,
        excluded: frozenset[str] = frozenset(),
        is_volatile: bool = False,
    ) -> None:
        self._send = send
        self.namespace = namespace
        self.rooms = rooms
        """None: everybody. Empty: nobody."""
        self.excluded = excluded
        self.is_volatile = is_volatile

    def to(self, *rooms: str) -> EmitterOperator[R]:
        """Those in any of these rooms, besides those already meant. A sid is a room of one."""
        found = (self.rooms or frozenset()) | names(rooms)
        return EmitterOperator(self._send, self.namespace, found, self.excluded, self.is_volatile)

    def except_(self, *rooms: str) -> EmitterOperator[R]:
        """Without those in any of these rooms."""
        found = self.excluded | names(rooms)
        return EmitterOperator(self._send, self.namespace, self.rooms, found, self.is_volatile)

    @property
    def volatile(self) -> EmitterOperator[R]:
        """Without slow consumers."""
        return EmitterOperator(self._send, self.namespace, self.rooms, self.excluded, True)

    def emit(self, event: str, *args: Any) -> R:
        """Send an event to all of them."""
        check_name(event)
        packet = Packet(EVENT, self.namespace, event, list(args))
        return self._tell(Broadcast(packet, self._target, self.is_volatile))

    def join(self, *rooms: str) -> R:
        """Put all of them into each of ``rooms``."""
        return self._tell(Join(self._target, names(rooms)))

    def leave(self, *rooms: str) -> R:
        """Take all of them out of each of ``rooms``."""
        return self._tell(Leave(self._target, names(rooms)))

    def disconnect(self, close: bool = False) -> R:
        """Disconnect all of them from the namespace; with ``close`` end their connections."""
        return self._tell(Disconnect(self._target, close))

    def server_emit(self, event: str, *args: Any) -> R:
        """Send an event to all servers: each calls its function for it, see `Namespace.on_server_event`."""
        check_name(event)
        return self._tell(ServerEvent(event, list(args)))

    @property
    def _target(self) -> Target:
        return Target(self.namespace, self.rooms, self.excluded)

    def _tell(self, body: Body) -> R:
        return self._send(Message(UID, self.namespace, body))


class _ClusterEmitter(EmitterOperator[R]):
    """What both emitters are; ``_open`` makes what gives Redis its commands."""

    __slots__ = ("_commands", "_sender")

    def __init__(
        self,
        url: str | None = None,
        *,
        sentinels: Sequence[str] | None = None,
        cluster: bool = False,
        kind: Kind = "classic",
        key: str = "socket.io",
        stream: str = "socket.io",
        max_length: int = 10_000,
    ) -> None:
        self._commands = _commands_of(kind, key, stream, max_length)
        self._sender: Any = self._open(url, sentinels, cluster)
        super().__init__(self._publish)

    def of(self, namespace: str) -> EmitterOperator[R]:
        """Everybody in a namespace."""
        return EmitterOperator(self._send, namespace_name(namespace))

    def _open(self, url: str | None, sentinels: Sequence[str] | None, cluster: bool) -> Any:
        raise NotImplementedError

    def _publish(self, message: Message) -> R:
        sent: R = self._sender.send(self._commands(message))
        return sent


class Emitter(_ClusterEmitter[Awaitable[None]]):
    """Everybody in the global namespace of a cluster, from a program with an event loop and no server.

    ``url``, ``sentinels``, ``cluster`` and ``key`` are as those of `asocketio.adapters.redis.RedisAdapter`, of the
    servers. With ``kind="streams"`` these have a `RedisStreamsAdapter` with this ``stream`` and ``max_length``. Used by
    ``async with``, or until `aclose`. Each verb has to be awaited; then Redis has it.

    Raises:
        UsageError: redis-py is not installed (``asocketio[redis]``), or an argument is wrong.
    """

    __slots__ = ()

    async def aclose(self) -> None:
        """Disconnect. The next verb connects anew."""
        await self._sender.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _open(self, url: str | None, sentinels: Sequence[str] | None, cluster: bool) -> Any:
        from asocketio.adapters.redis.emitting import AsyncSender  # redis-py is loaded where it is used

        return AsyncSender(url, sentinels, cluster=cluster)


class SyncEmitter(_ClusterEmitter[None]):
    """The same for a program without an event loop: Celery, Django, a script.

    It may be made at module level: it connects when it is first used, and anew after a fork. Any thread may use it;
    each verb waits until Redis has it, for 5 s at most.

    Raises:
        UsageError: redis-py is not installed (``asocketio[redis]``), or an argument is wrong.
    """

    __slots__ = ()

    def close(self) -> None:
        """Disconnect. The next verb connects anew."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, url: str | None, sentinels: Sequence[str] | None, cluster: bool) -> Any:
        from asocketio.adapters.redis.emitting import SyncSender  # redis-py is loaded where it is used

        return SyncSender(url, sentinels, cluster=cluster)


def _commands_of(kind: Kind, key: str, stream: str, max_length: int) -> Callable[[Message], list[Command]]:
    """What Redis is told for a message; nothing where nobody is meant."""
    from asocketio.adapters.redis.classic import Channels, write_message
    from asocketio.adapters.redis.streams_engine import check_max_length, entry_command

    if kind not in ("classic", "streams"):
        raise UsageError(f"kind={kind!r}: expected 'classic' or 'streams'")
    for name, value in (("key", key), ("stream", stream)):
        if not isinstance(value, str) or not value:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{name}={value!r}: expected a name, for example {name}='socket.io'")
    check_max_length(max_length)

    def commands(message: Message) -> list[Command]:
        if kind == "streams":
            command = entry_command(message, stream, max_length)
        else:
            channel = Channels(key, message.namespace, message.uid).of(message)
            command = ("PUBLISH", channel, write_message(message))
        target = getattr(message.body, "target", None)
        return [] if target is not None and target.rooms is not None and not target.rooms else [command]

    return commands
