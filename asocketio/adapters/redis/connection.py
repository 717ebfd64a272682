"""Connection: what an engine has with Redis: one connection for commands and one for subscriptions, for ever.

Both are watched: when one ends, or is silent, it is opened anew, again and again, and what is subscribed comes back.
Times here are those of the world, not of a test's clock: Redis knows nothing of it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from asocketio.adapters.cluster.engine import ClusterChange
from asocketio.adapters.redis.link import Command, Link
from asocketio.adapters.redis.places import CONNECTS_WITHIN, Place, is_answer, reason_of
from asocketio.adapters.redis.subscriptions import Subscriptions
from asocketio.errors import BusDown
from asocketio.runtime.clock import Clock
from asocketio.runtime.log import ThrottledLog, log

__all__ = ["ANSWERS_WITHIN", "Connection"]

ANSWERS_WITHIN = 5.0
"""Seconds within which Redis answers a command, and an own message is heard."""
PING_EVERY = 5.0
"""Seconds from one message to itself to the next."""
OPENS_WITHIN = 15.0
"""Seconds for opening both connections: the sentinels, TLS and what else there is on the way have their own bounds."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries to connect; each time twice as long. One at random keeps many servers from one moment."""
STEADY = 10.0
"""After so many seconds without a failure, the next try is made at once."""


class Connection:
    """Two supervised connections to Redis, from `start` to `stop`.

    ``hear`` is called with what was subscribed to, channel and data of each message; ``changed`` when Redis is away,
    and when it is back with all subscriptions.
    """

    def __init__(
        self,
        place: Place,
        ping_channel: str,
        hear: Callable[[bytes, bytes, bytes], None],
        changed: Callable[[ClusterChange], None],
        *,
        ping_command: str = "SUBSCRIBE",
    ) -> None:
        self.place = place
        self.clock = Clock()
        self._ping_channel = ping_channel.encode()
        self._ping_command = ping_command
        self._changed = changed
        self._hear = hear
        self.subscriptions = Subscriptions(self._message, self._send_subscribing)
        self._commands: Link | None = None
        self._listener: Link | None = None
        self._heard: asyncio.Future[None] | None = None
        self._ping_text = b""
        self._task: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._in_doubt = 0
        """Messages that went out when the connection ended: Redis has, or has not, got them."""
        self._asks_role = place.has_replicas

    def start(self, lines: ThrottledLog) -> None:
        """Begin to connect. What was subscribed in a former event loop is forgotten."""
        self._lines = lines
        self.subscriptions.reset()
        self.subscriptions.subscribe(self._ping_command, self._ping_channel)
        self._commands = self._listener = None
        self._down_since = None
        self._in_doubt = 0
        loop = asyncio.get_running_loop()
        self._settled: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._run(), name="connection to Redis")

    async def stop(self) -> None:
        """Disconnect; no task is left."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._settle()
            self.subscriptions.reset()

    @property
    def is_up(self) -> bool:
        """Commands are answered, and what is subscribed is heard, as far as anybody knows."""
        return self._task is not None and self._settled.done() and self._down_since is None

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """The answers of Redis, in order; that to a command which it refuses is an exception.

        Raises:
            BusDown: Redis is away, or does not answer. ``sent`` says how many commands it has, or may have.
        """
        if not self._settled.done():
            await asyncio.wait([self._settled])  # the first try to connect is under way
        if self._commands is None or self._down_since is not None:
            raise BusDown("Redis is away")
        return await self._commands.call(commands, self.clock, ANSWERS_WITHIN)

    async def publish(self, commands: Sequence[Command]) -> list[Any]:
        """`call`, for messages: those that may be lost are counted."""
        try:
            return await self.call(commands)
        except BusDown as error:
            self._in_doubt += error.sent
            raise

    async def count(self, command: str, channel: str) -> int:
        """How many connections are subscribed to the channel.

        Raises:
            BusDown: Redis is away, or does not answer.
        """
        try:
            with self.clock.deadline(ANSWERS_WITHIN):
                return await self.place.counts(self.call, command, channel)
        except BusDown:
            raise
        except Exception as error:
            raise BusDown(reason_of(error)) from None
        raise BusDown("Redis does not answer in time")

    def subscribe(self, command: str, *names: bytes) -> asyncio.Future[None]:
        """Hear what is published in channels, or by patterns; what it returns may be awaited until that is so."""
        return self.subscriptions.subscribe(command, *names)

    def unsubscribe(self, *names: bytes) -> None:
        """Hear no more of them."""
        self.subscriptions.unsubscribe(*names)

    # The life of the connections.

    async def _run(self) -> None:
        pause, since = 0.0, self.clock.now()
        try:
            while True:
                try:
                    with self.clock.deadline(OPENS_WITHIN) as scope:
                        await self._open()
                    if scope.cancelled_caught:
                        raise TimeoutError
                    since = self.clock.now()
                    self._tell_up()
                    await self._watch()
                except Exception as error:
                    if self._down_since is None and self.clock.now() - since > STEADY:
                        pause = 0.0
                    self._tell_down(error)
                await self._close_what_ended()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)
        finally:
            await self._close()

    async def _open(self) -> None:
        """Open what is not open, and wait until all subscriptions are confirmed."""
        if self._commands is None:
            self._commands = Link(await self.place.connect())
        await self._check_role()
        if self._listener is None:
            self._listener = Link(await self.place.connect(), self._take)
            self.subscriptions.begin()
        confirming = asyncio.ensure_future(self.subscriptions.confirmed())
        try:
            await self._first_end(OPENS_WITHIN, confirming)
        finally:
            confirming.cancel()
        await self._ping()

    async def _check_role(self) -> None:
        """What is published at a replica is heard there only."""
        if not self._asks_role or self._commands is None:
            return
        [role] = await self._commands.call([("ROLE",)], self.clock, ANSWERS_WITHIN)
        if isinstance(role, BaseException):
            if not is_answer(role) or "LOADING" in type(role).__name__.upper():
                raise role
            self._asks_role = False  # its ACL does not allow to ask
        elif role[0] == b"slave":
            raise BusDown("it is a read-only replica: what is published there does not reach the others")

    async def _watch(self) -> None:
        """Send messages to this server, as long as they are heard."""
        while True:
            await self._first_end(PING_EVERY)
            await self._check_role()
            await self._ping()

    async def _ping(self) -> None:
        assert self._commands is not None
        self._ping_text = secrets.token_hex(8).encode()
        self._heard = asyncio.get_running_loop().create_future()
        command = self.subscriptions.publishing(self._ping_channel)
        [answer] = await self._commands.call(
            [(command, self._ping_channel, self._ping_text)], self.clock, ANSWERS_WITHIN
        )
        if isinstance(answer, BaseException):
            raise answer
        await self._first_end(ANSWERS_WITHIN, self._heard)
        if not self._heard.done():
            error = BusDown(f"its subscriptions are silent: an own message was not heard within {ANSWERS_WITHIN} s")
            if self._listener is not None:
                self._listener.fail(error)
            raise error

    async def _first_end(self, seconds: float, *others: asyncio.Future[None]) -> None:
        """Wait so long, or until one of ``others`` is done.

        Raises:
            Exception: one of the connections has ended, and this is why.
        """
        links = [link for link in (self._commands, self._listener) if link is not None]
        ends = [link.ended for link in links]
        waited: list[asyncio.Future[Any]] = [*ends, *others]
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            if end.done():
                raise end.result()

    async def _close_what_ended(self) -> None:
        """After a failure of a kind that ends neither, such as a refusal, both are closed."""
        links = self._commands, self._listener
        nothing_ended = all(link is None or link.is_open for link in links)
        if self._commands is not None and (nothing_ended or not self._commands.is_open):
            commands, self._commands = self._commands, None
            await commands.close()
        if self._listener is not None and (nothing_ended or not self._listener.is_open):
            listener, self._listener = self._listener, None
            self.subscriptions.lose()
            await listener.close()

    async def _close(self) -> None:
        links = self._commands, self._listener
        self._commands = self._listener = None
        for link in links:
            if link is not None:
                await link.close()
        with self.clock.deadline(CONNECTS_WITHIN, shield=True):
            await self.place.close()

    # News.

    def _tell_up(self) -> None:
        since, self._down_since = self._down_since, None
        self._settle()
        if since is None:
            return
        seconds = self.clock.now() - since
        in_doubt, self._in_doubt = self._in_doubt, 0
        log.info("Redis at %s is back, after %.1f s", self.place.name, seconds)
        self._changed(ClusterChange("up", seconds, in_doubt or None))

    def _tell_down(self, error: BaseException) -> None:
        reason = reason_of(error)
        self._lines.warning("redis", "Redis at %s: %s; trying again", self.place.name, reason, about=reason)
        if self._down_since is None:
            self._down_since = self.clock.now()
            self._settle()
            self._changed(ClusterChange("down"))

    def _settle(self) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    # Subscriptions.

    def _take(self, answer: Any) -> None:
        error = self.subscriptions.take(answer)
        if error is not None and self._listener is not None:
            self._listener.fail(error)

    def _message(self, name: bytes, channel: bytes, data: bytes) -> None:
        if name != self._ping_channel:
            self._hear(name, channel, data)
        elif data == self._ping_text and self._heard is not None and not self._heard.done():
            self._heard.set_result(None)

    def _send_subscribing(self, commands: Sequence[Command]) -> None:
        if self._listener is not None and self._listener.is_open:
            self._listener.send_soon(commands)
