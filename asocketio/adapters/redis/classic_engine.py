"""ClassicEngine: a cluster with Node servers that use ``createAdapter`` of @socket.io/redis-adapter."""

from __future__ import annotations

import secrets
import string
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from asocketio.adapters.cluster.engine import EngineHost, Outgoing
from asocketio.adapters.cluster.messages import (
    Answer,
    Broadcast,
    Fetch,
    Fetched,
    Message,
    ServerEvent,
    is_droppable,
)
from asocketio.adapters.redis.classic import (
    Channels,
    Form,
    read_answer,
    read_broadcast,
    read_request,
    write_message,
)
from asocketio.adapters.redis.connection import Connection
from asocketio.adapters.redis.link import Command
from asocketio.adapters.redis.places import Place
from asocketio.adapters.redis.redis_engine import RedisEngine
from asocketio.adapters.redis.unnamed import Unnamed
from asocketio.errors import MalformedMessage

__all__ = ["ClassicEngine"]

_LETTERS = string.ascii_letters + string.digits + "_-"
MOST_FORMS = 1000
"""Requests of older kinds, the latest ones, that are not answered yet."""
_QUESTIONS = Broadcast | Fetch | ServerEvent

Read = Callable[[str, bytes, bytes], None]


class ClassicEngine(RedisEngine):
    """Publishes and subscribes as Node does; who is there is counted by Redis.

    ``has_room`` tells whether a client of this server is in a room: what is for others is not read.
    """

    def __init__(self, place: Place, key: str, has_room: Callable[[str, str], bool]) -> None:
        super().__init__(place, key, lambda: "".join(secrets.choice(_LETTERS) for _ in range(6)))
        self._has_room = has_room
        self._channels: dict[str, Channels] = {}
        self._readers: dict[bytes, tuple[str, Read]] = {}
        """By what is subscribed to: the namespace, and what reads its messages."""

    def start(self, host: EngineHost) -> None:
        self._host = host
        self._channels.clear()
        self._readers.clear()
        self._unnamed = Unnamed()
        self._forms: OrderedDict[tuple[str, str], Form] = OrderedDict()
        self._echo = b"\x93\xa6" + self.uid.encode()  # how MessagePack of [uid, packet, opts] begins
        self.connection = Connection(self._place, self._ping_channel, self._hear, host.changed)
        self.connection.start(host.throttled_log)

    def encode(self, message: Message) -> Outgoing:
        body = message.body
        form = self._forms.pop((message.to or "", body.request_id), "") if isinstance(body, Fetched) else ""
        data = write_message(message, form)
        if isinstance(body, _QUESTIONS) and body.request_id is not None:
            self._unnamed.ask(body.request_id)
        command: Command | None = ("PUBLISH", self._channels_of(message.namespace).of(message), data) if data else None
        return Outgoing(command, len(data), is_droppable(body))

    async def count(self, namespace: str) -> int:
        channel = self._channels_of(namespace).request
        return max(await self.connection.count("NUMSUB", channel) - 1, 0)

    def enter(self, namespace: str) -> Awaitable[None]:
        channels = self._channels[namespace] = Channels(self._prefix, namespace, self.uid)
        pattern = channels.pattern.encode()
        # The channel of requests comes last: who is counted has to answer.
        names = [name.encode() for name in (channels.response, channels.own_response, channels.request)]
        reads = (self._read_answer, self._read_answer, self._read_request)
        self._readers[pattern] = namespace, self._read_broadcast
        self._readers |= {name: (namespace, read) for name, read in zip(names, reads, strict=True)}
        self.connection.subscribe("PSUBSCRIBE", pattern)
        return self.connection.subscribe("SUBSCRIBE", *names)

    def leave(self, namespace: str) -> None:
        channels = self._channels.pop(namespace)
        names = channels.request, channels.response, channels.own_response, channels.pattern
        found = [name.encode() for name in names]
        for name in found:
            del self._readers[name]
        self.connection.unsubscribe(*found)

    def _channels_of(self, namespace: str) -> Channels:
        found = self._channels.get(namespace)
        return Channels(self._prefix, namespace, self.uid) if found is None else found

    # What comes.

    def _hear(self, name: bytes, channel: bytes, data: bytes) -> None:
        found = self._readers.get(name)
        if found is None:
            return  # left meanwhile
        namespace, read = found
        try:
            read(namespace, channel, data)
        except MalformedMessage as error:
            self._host.refuse(error)

    def _read_broadcast(self, namespace: str, channel: bytes, data: bytes) -> None:
        if data.startswith(self._echo):
            return
        room = self._channels_of(namespace).room_of(channel.decode(errors="replace"))
        if room and not self._has_room(namespace, room):
            return
        message = read_broadcast(data, namespace, self._host.config.max_publish_queue)
        if message is not None:
            self._host.receive(message)

    def _read_request(self, namespace: str, channel: bytes, data: bytes) -> None:
        request = read_request(data, namespace, self._host.config.max_publish_queue)
        uid = request.messages[0].uid
        if uid == self.uid:
            return
        if request.form:
            self._forms[uid, request.request_id] = request.form
            if len(self._forms) > MOST_FORMS:
                self._forms.popitem(last=False)
        for message in request.messages:
            self._host.receive(message)

    def _read_answer(self, namespace: str, channel: bytes, data: bytes) -> None:
        message = read_answer(data, namespace, self._host.config.max_publish_queue)
        if message is None or not isinstance(message.body, Answer):
            return
        if message.uid:
            self._host.receive(message)
            return
        for name, answer in self._unnamed.named(message.body):
            self._host.receive(message._replace(uid=name, body=answer))
