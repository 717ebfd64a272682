"""ClusterAdapter: rooms over several servers. What is done here is done at once; the others hear of it by an engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.base import Adapter, Recipient, Target
from asocketio.adapters.cluster.engine import Engine
from asocketio.adapters.cluster.inbox import Inbox
from asocketio.adapters.cluster.members import Members
from asocketio.adapters.cluster.messages import (
    Body,
    Broadcast,
    Disconnect,
    Fetch,
    Fetched,
    Join,
    Leave,
    ServerAnswer,
    ServerEvent,
)
from asocketio.adapters.cluster.presence import Presence
from asocketio.adapters.cluster.publisher import Publisher
from asocketio.adapters.cluster.requests import Questions, new_request_id
from asocketio.protocol.packet import Packet
from asocketio.runtime.awaitables import COMPLETED

__all__ = ["ClusterAdapter"]


class _ServerEvents(dict[tuple[str, str], Callable[..., Any]]):
    """The functions for events of other servers; ``hear`` is told of the namespace of each new one."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        super().__init__()
        self._hear = hear

    def __setitem__(self, key: tuple[str, str], function: Callable[..., Any]) -> None:
        super().__setitem__(key, function)
        self._hear(key[0])


class ClusterAdapter(Adapter):
    """The rooms of all servers whose engines are on one bus. Before `start` and after `stop` it is alone."""

    _publisher: Publisher
    _questions: Questions
    _inbox: Inbox
    _members: Members | None
    _presence: Presence

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.server_events = _ServerEvents(self._hear_servers)
        self._runs = False

    def start(self) -> None:
        super().start()
        engine = self.engine
        self._publisher = Publisher(engine, self.host, self._lost)
        self._members = None
        if engine.membership == "heartbeats":
            self._members = Members(
                lambda: self.host.clock, self._publisher.publish, self._server_joined, self._server_left
            )
        self._questions = Questions(engine, self._publisher, self._others)
        self._presence = Presence(engine, self.local, self._members, self._is_needed)
        self._inbox = Inbox(self, engine.uid, self._publisher, self._questions, self._members)
        self._publisher.start()
        engine.start(self._inbox)
        self._runs = True
        for namespace in ("", *(namespace for namespace, _ in self.server_events)):
            self._presence.enter(namespace)

    async def stop(self) -> None:
        self._runs = False
        self._inbox.respondent.stop()
        await self._questions.stop()
        if self._members is not None:
            self._members.stop()
        await self._publisher.stop()
        await self.engine.stop()

    def _others(self, namespace: str) -> set[str]:
        return set(self.engine.members(namespace)) if self._members is None else self._members.of(namespace)

    def _is_needed(self, namespace: str) -> bool:
        is_heard = any(namespace == where for where, _ in self.server_events)
        return namespace == "" or is_heard or self._questions.is_asked_in(namespace)

    def _hear_servers(self, namespace: str) -> None:
        if self._runs:
            self._presence.enter(namespace)

    # Clients come and go: this server hears of the namespaces and rooms in which somebody is.

    def add(self, client: Recipient) -> None:
        super().add(client)
        self._presence.added(client)

    def remove(self, client: Recipient) -> None:
        rooms = list(client.rooms or ())
        super().remove(client)
        if self._runs:
            self._presence.removed(client, rooms)

    def join(self, client: Recipient, room: str) -> None:
        is_new = self.engine.follows_rooms and not self._presence.is_in(client.namespace, room)
        super().join(client, room)
        if is_new:
            self.engine.enter_room(client.namespace, room)

    def leave(self, client: Recipient, room: str) -> None:
        was_in = self.engine.follows_rooms and room in (client.rooms or ())
        super().leave(client, room)
        if was_in:
            self._presence.left(client.namespace, room)

    # Verbs.

    def broadcast(self, packet: Packet, target: Target, *, volatile: bool = False) -> Awaitable[None]:
        self.deliver(packet, target, volatile=volatile)
        return self._publish(target, Broadcast(packet, target, volatile))

    def join_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        self.join_here(target, rooms)
        return self._publish(target, Join(target, rooms))

    def leave_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        self.leave_here(target, rooms)
        return self._publish(target, Leave(target, rooms))

    def disconnect_all(self, target: Target, *, close: bool) -> Awaitable[None]:
        self.disconnect_here(target, close=close)
        return self._publish(target, Disconnect(target, close))

    def server_emit(self, packet: Packet) -> Awaitable[None]:
        return self._publish(Target(packet.endpoint), ServerEvent(packet.name, packet.args))

    def _publish(self, target: Target, body: Body) -> Awaitable[None]:
        if target.local or not self._runs:
            return COMPLETED
        return self._publisher.publish(target.namespace, body)

    # Questions.

    def ask(self, packet: Packet, target: Target, acks: AckCollector, *, volatile: bool = False) -> None:
        here = partial(self.ask_here, packet, target, acks, volatile=volatile)
        if target.local or not self._runs:
            here()
            return
        request_id = new_request_id()
        body = Broadcast(packet, target, volatile, request_id, acks.seconds, hears_gone=True)
        self._ask(target.namespace, body, request_id, acks, here=here)

    def fetch(self, target: Target, answers: AckCollector) -> None:
        answers.add(self.fetch_here(target))
        if not target.local and self._runs:
            request_id = new_request_id()
            self._ask(target.namespace, Fetch(target, request_id), request_id, answers, _sockets)

    def fetch_sids(self, target: Target, answers: AckCollector) -> None:
        answers.add(self.fetch_sids_here(target))
        if not target.local and self._runs:
            request_id = new_request_id()
            self._ask(target.namespace, Fetch(target, request_id, only_sids=True), request_id, answers, _sids)

    def server_call(self, packet: Packet, answers: AckCollector) -> None:
        if self._runs:
            request_id = new_request_id()
            body = ServerEvent(packet.name, packet.args, request_id)
            self._ask(packet.endpoint, body, request_id, answers, _value)

    def _ask(
        self, namespace: str, body: Body, request_id: str, answers: AckCollector, read: Any = None, *, here: Any = None
    ) -> None:
        entered = self._presence.enter(namespace)
        try:
            self._questions.ask(namespace, body, request_id, answers, read, here=here, entered=entered)
        finally:
            answers.when_closed(partial(self._leave_if_idle, namespace))

    def _leave_if_idle(self, namespace: str) -> None:
        if self._runs:
            self._presence.leave_if_idle(namespace)

    # News.

    def _server_joined(self, uid: str, namespace: str) -> None:
        pass

    def _server_left(self, uid: str, namespace: str) -> None:
        self._questions.member_gone(uid, namespace)

    def _lost(self, count: int) -> None:
        self.host.throttled_log.warning(
            "publish", "%d messages did not go to the other servers: over max_publish_queue wait to be sent", count
        )


def _sockets(answer: Fetched) -> Any:
    return answer.sockets


def _sids(answer: Fetched) -> Any:
    return [info.sid for info in answer.sockets]


def _value(answer: ServerAnswer) -> Any:
    return answer.value
