"""ClusterAdapter: rooms over several servers. What is done here is done at once; the others hear of it by an engine."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NoReturn

from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.base import Adapter, Target
from asocketio.adapters.cluster.engine import ClusterChange, Engine
from asocketio.adapters.cluster.messages import Body, Broadcast, Message
from asocketio.adapters.cluster.publisher import Publisher
from asocketio.config import Config
from asocketio.errors import MalformedMessage, Overflow, SocketIOError, UsageError
from asocketio.protocol.packet import Packet
from asocketio.runtime.clock import Clock
from asocketio.runtime.log import ThrottledLog

__all__ = ["ClusterAdapter"]


class ClusterAdapter(Adapter):
    """The rooms of all servers whose engines are on one bus."""

    _publisher: Publisher

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def start(self) -> None:
        super().start()
        self._publisher = Publisher(self.engine, self.host, self._lost)
        self._publisher.start()
        self.engine.start(self)
        self.engine.enter("")

    async def stop(self) -> None:
        await self._publisher.stop()
        await self.engine.stop()

    # Verbs.

    def broadcast(self, packet: Packet, target: Target, *, volatile: bool = False) -> Awaitable[None]:
        self.deliver(packet, target, volatile=volatile)
        return self._publish(target.namespace, Broadcast(packet, target, volatile))

    def _publish(self, namespace: str, body: Body) -> Awaitable[None]:
        return self._publisher.put(self.engine.encode(Message(self.engine.uid, namespace, body)))

    def ask(self, packet: Packet, target: Target, acks: AckCollector, *, volatile: bool = False) -> NoReturn:
        raise NotImplementedError

    def join_all(self, target: Target, rooms: frozenset[str]) -> NoReturn:
        raise NotImplementedError

    def leave_all(self, target: Target, rooms: frozenset[str]) -> NoReturn:
        raise NotImplementedError

    def disconnect_all(self, target: Target, *, close: bool) -> NoReturn:
        raise NotImplementedError

    def fetch(self, target: Target, answers: AckCollector) -> NoReturn:
        raise NotImplementedError

    def fetch_sids(self, target: Target, answers: AckCollector) -> NoReturn:
        raise NotImplementedError

    def server_emit(self, packet: Packet) -> NoReturn:
        raise NotImplementedError

    def server_call(self, packet: Packet, answers: AckCollector) -> NoReturn:
        raise NotImplementedError

    # What the engine says.

    @property
    def config(self) -> Config:
        return self.host.config

    @property
    def clock(self) -> Clock:
        return self.host.clock

    @property
    def throttled_log(self) -> ThrottledLog:
        return self.host.throttled_log

    def receive(self, message: Message) -> None:
        if message.uid == self.engine.uid:
            return
        body = message.body
        if isinstance(body, Broadcast):
            try:
                self.deliver(body.packet, body.target, volatile=body.volatile)
            except (UsageError, Overflow) as error:
                self._log_failure(message, error)

    def _log_failure(self, message: Message, error: SocketIOError) -> None:
        kind = type(message.body).__name__
        self.host.throttled_log.warning("cluster", "a %s of the server %.40r: %s", kind, message.uid, error)

    def refuse(self, error: MalformedMessage) -> None:
        self.host.throttled_log.warning("bus", "dropped what came on the cluster's bus: %s", error)

    def member_gone(self, uid: str) -> None:
        pass

    def changed(self, change: ClusterChange) -> None:
        if change.what == "up":
            self._publisher.wake()

    def _lost(self, count: int) -> None:
        self.host.throttled_log.warning("publish", "%d broadcasts did not go to the other servers", count)
