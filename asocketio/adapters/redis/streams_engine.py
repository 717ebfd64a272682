"""StreamsEngine: a cluster with Node servers that use @socket.io/redis-streams-adapter 0.3.

What clients are to hear of goes through a stream, in which it stays for a while: an outage loses nothing of it.
Questions and answers go through channels.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable
from typing import Any

from asocketio.adapters.cluster.engine import EngineHost, Outgoing
from asocketio.adapters.cluster.messages import Broadcast, Disconnect, Join, Leave, Message, is_droppable
from asocketio.adapters.cluster.wire import decode, decode_body, encode, encode_body, read_namespace
from asocketio.adapters.redis.connection import Connection
from asocketio.adapters.redis.places import Place
from asocketio.adapters.redis.redis_engine import RedisEngine
from asocketio.adapters.redis.stream_reader import StreamReader
from asocketio.errors import MalformedMessage, UsageError

__all__ = ["StreamsEngine", "check_max_length", "entry_command", "read_entry"]


def check_max_length(max_length: object) -> None:
    """Raise `UsageError` where this cannot be the length of a stream."""
    if type(max_length) is not int or max_length < 1:
        raise UsageError(f"max_length={max_length!r}: expected a number of entries, for example 10_000")


def entry_command(message: Message, stream: str, max_length: int) -> tuple[Any, ...]:
    """The command that adds a message to the stream.

    Raises:
        UsageError: something in it has no form.
    """
    number, data = encode_body(message.body)
    text = data if data[:1] == b"{" else base64.b64encode(data)
    nsp = message.namespace or "/"
    fields = ("uid", message.uid, "nsp", nsp, "type", str(number), "data", text)
    return ("XADD", stream, "MAXLEN", "~", max_length, "*", *fields)


def read_entry(fields: dict[bytes, bytes], most: int) -> Message:
    """The message in an entry of the stream.

    Raises:
        MalformedMessage: it is none.
    """
    number, data = fields.get(b"type", b""), fields.get(b"data", b"")
    if not (number.isdigit() and len(number) < 4):
        raise MalformedMessage(f"an entry of type {number[:20]!r}")
    try:
        uid, nsp = fields.get(b"uid", b"").decode(), fields.get(b"nsp", b"").decode()
        if data[:1] != b"{":
            data = base64.b64decode(data, validate=True)
    except (UnicodeDecodeError, binascii.Error) as error:
        raise MalformedMessage(f"an entry with {error}") from None
    if not 0 < len(uid) <= 100:
        raise MalformedMessage(f"an entry of {uid!r:.40}, expected the uid of a server")
    namespace = read_namespace(nsp)
    return Message(uid, namespace, decode_body(int(number), data, namespace, most))


class StreamsEngine(RedisEngine):
    """Reads a stream from the last entry that it knows, and two channels for each namespace."""

    def __init__(self, place: Place, stream: str, prefix: str, max_length: int) -> None:
        super().__init__(place, prefix)
        self._stream = stream
        self._max_length = max_length
        self._entered: set[str] = set()

    def start(self, host: EngineHost) -> None:
        self._host = host
        self._entered.clear()
        self._own_uid = self.uid.encode()
        self.connection = Connection(self._place, self._ping_channel, self._hear, host.changed)
        self.connection.start(host.throttled_log)
        self.reader = StreamReader(self._place, self._stream, self._take)
        self.reader.start(host.throttled_log)

    async def stop(self) -> None:
        await self.reader.stop()
        await super().stop()

    def encode(self, message: Message) -> Outgoing:
        body = message.body
        is_lasting = isinstance(body, Join | Leave | Disconnect) or (
            isinstance(body, Broadcast) and body.request_id is None
        )
        if is_lasting:
            command = entry_command(message, self._stream, self._max_length)
            return Outgoing(command, len(command[-1]), is_droppable(body))
        data = encode(message, packed=True)
        channel = self._channel(message.namespace) + ("" if message.to is None else f"{message.to}#")
        return Outgoing(("PUBLISH", channel, data), len(data))

    async def count(self, namespace: str) -> int:
        return max(await self.connection.count("NUMSUB", self._channel(namespace)) - 1, 0)

    def enter(self, namespace: str) -> Awaitable[None]:
        self._entered.add(namespace)
        main = self._channel(namespace)
        # The main channel comes last: who is counted there has to answer.
        heard = self.connection.subscribe("SUBSCRIBE", f"{main}{self.uid}#".encode(), main.encode())
        return _when_both(heard, self.reader.ready)

    def leave(self, namespace: str) -> None:
        self._entered.discard(namespace)
        main = self._channel(namespace)
        self.connection.unsubscribe(main.encode(), f"{main}{self.uid}#".encode())

    def _channel(self, namespace: str) -> str:
        return f"{self._prefix}#{namespace or '/'}#"

    # What comes.

    def _hear(self, name: bytes, channel: bytes, data: bytes) -> None:
        try:
            self._receive(decode(data, self._host.config.max_publish_queue))
        except MalformedMessage as error:
            self._host.refuse(error)

    def _take(self, fields: dict[bytes, bytes]) -> None:
        if fields.get(b"uid") == self._own_uid or b"nsp" not in fields:
            return
        try:
            self._receive(read_entry(fields, self._host.config.max_publish_queue))
        except MalformedMessage as error:
            self._host.refuse(error)

    def _receive(self, message: Message) -> None:
        if message.namespace in self._entered:
            self._host.receive(message)


def _when_both(first: asyncio.Future[None], second: asyncio.Future[None]) -> asyncio.Future[None]:
    """Done when both are."""
    both: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def look(_: object) -> None:
        if first.done() and second.done() and not both.done():
            both.set_result(None)

    first.add_done_callback(look)
    second.add_done_callback(look)
    return both
