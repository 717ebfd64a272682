"""Link: one open connection to a Redis server. What is asked is answered in order, and what comes unasked is heard."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from asocketio.adapters.redis.places import is_answer
from asocketio.errors import BusDown
from asocketio.runtime.clock import Clock

__all__ = ["Command", "Link"]

Command = tuple[Any, ...]
"""Words of a command of Redis: text, bytes and numbers."""


class Link:
    """A connection of redis-py with a task that reads, so that its end is known at once.

    ``hear`` takes all that comes: the link is for subscriptions. Without it the link is for commands, see `call`.
    """

    def __init__(self, connection: Any, hear: Callable[[Any], None] | None = None) -> None:
        self._connection = connection
        self._hear = hear
        self._asked: deque[Asked] = deque()
        self.ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Has why the link has ended, when it has."""
        self._sends: set[asyncio.Task[None]] = set()
        self._task = asyncio.get_running_loop().create_task(self._read(), name="read from Redis")

    @property
    def is_open(self) -> bool:
        """Commands may be sent."""
        return not self.ended.done()

    async def close(self) -> None:
        """End it, for whatever reason; no task of it is left."""
        self._end(BusDown("the connection was closed"))
        tasks = [self._task, *self._sends]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    def fail(self, error: BaseException) -> None:
        """It is of no use any more; `close` is still to be called."""
        self._end(error)

    def send_soon(self, commands: Sequence[Command]) -> None:
        """Send commands whose answers are heard, in the order of the calls."""
        task = asyncio.get_running_loop().create_task(self._send(commands), name="subscribe at Redis")
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _send(self, commands: Sequence[Command]) -> None:
        try:
            await self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
        except Exception as error:
            self._end(error)

    async def call(self, commands: Sequence[Command], clock: Clock, seconds: float) -> list[Any]:
        """The answers to commands; that to one that Redis refuses is an exception.

        Raises:
            BusDown: the link has ended before all were answered, or ``seconds`` were over. ``sent`` says how many
                Redis has, or may have.
        """
        if self.ended.done():
            raise BusDown(_said(self.ended.result()))
        asked = Asked(len(commands))
        self._asked.append(asked)
        with clock.deadline(seconds) as scope:
            await self._send(commands)
            await asked.done
        if scope.cancelled_caught:
            self._end(TimeoutError(f"no answer within {seconds} s"))
            raise BusDown("it does not answer in time", len(commands))
        return asked.answers

    async def _read(self) -> None:
        connection, hear = self._connection, self._hear
        try:
            while True:
                try:
                    answer = await connection.read_response(disconnect_on_error=False)
                except Exception as error:
                    if not is_answer(error):
                        raise
                    answer = error
                if hear is not None:
                    hear(answer)
                else:
                    self._take(answer)
        except Exception as error:
            self._end(error)
        finally:
            await connection.disconnect(nowait=True)

    def _take(self, answer: Any) -> None:
        asked = self._asked[0]
        asked.answers.append(answer)
        if len(asked.answers) == asked.count:
            self._asked.popleft()
            if not asked.done.done():
                asked.done.set_result(None)

    def _end(self, error: BaseException) -> None:
        if self.ended.done():
            return
        self.ended.set_result(error)
        for asked in self._asked:
            if not asked.done.done():
                asked.done.set_exception(BusDown(_said(error), asked.count))
                asked.done.exception()  # seen: whoever was cancelled does not look at it any more
        self._asked.clear()


class Asked:
    """Commands that were sent, and the answers so far."""

    __slots__ = ("answers", "count", "done")

    def __init__(self, count: int) -> None:
        self.count = count
        self.answers: list[Any] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
