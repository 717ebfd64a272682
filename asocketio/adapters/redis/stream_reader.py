"""StreamReader: reads a stream of Redis, entry by entry; after an outage it goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asocketio.adapters.redis.connection import ANSWERS_WITHIN, FIRST_PAUSE, LONGEST_PAUSE, OPENS_WITHIN
from asocketio.adapters.redis.link import Link
from asocketio.adapters.redis.places import Place, reason_of
from asocketio.runtime.clock import Clock
from asocketio.runtime.log import ThrottledLog, log

__all__ = ["StreamReader"]

AT_ONCE = 100
"""Entries in one answer."""
BLOCKS = 5.0
"""Seconds that Redis waits for new entries before it answers that there are none."""


class StreamReader:
    """Hands the fields of each entry to ``take``, from `start` to `stop`, over a connection of its own."""

    def __init__(self, place: Place, stream: str, take: Callable[[dict[bytes, bytes]], None]) -> None:
        self._place = place
        self._stream = stream
        self._take = take
        self._clock = Clock()
        self._last: bytes | None = None
        """The id of the last entry that was read, or of the last one before this server came."""
        self._task: asyncio.Task[None] | None = None

    def start(self, lines: ThrottledLog) -> None:
        """Begin to read."""
        self._lines = lines
        self._last = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when what is added from then on will be read."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="read a stream of Redis")

    async def stop(self) -> None:
        """Read no more; nobody waits any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._set_ready()

    def _set_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    async def _run(self) -> None:
        pause = 0.0
        while True:
            link: Link | None = None
            try:
                async with asyncio.timeout(OPENS_WITHIN):
                    link = Link(await self._place.connect())
                await self._begin(link)
                pause = 0.0
                while True:
                    await self._read(link)
            except Exception as error:
                reason = reason_of(error)
                self._lines.warning("stream", "Redis at %s: %s; trying again", self._place.name, reason, about=reason)
            finally:
                if link is not None:
                    await link.close()
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)

    async def _begin(self, link: Link) -> None:
        """Find where to begin; after an outage, whether something has been cut off meanwhile."""
        if self._last is None:
            entries = await self._ask(link, "XREVRANGE", self._stream, "+", "-", "COUNT", 1)
            self._last = entries[0][0] if entries else b"0-0"
            self._set_ready()
            return
        entries = await self._ask(link, "XRANGE", self._stream, "-", "+", "COUNT", 1)
        if entries and self._last != b"0-0" and _key(entries[0][0]) > _key(self._last):
            log.warning(
                "Redis at %s: the stream %r begins behind what was read last: messages are missing",
                self._place.name, self._stream,
            )  # fmt: skip

    async def _read(self, link: Link) -> None:
        milliseconds = round(BLOCKS * 1000)
        command = ("XREAD", "COUNT", AT_ONCE, "BLOCK", milliseconds, "STREAMS", self._stream, self._last)
        found = await self._ask(link, *command, seconds=BLOCKS + ANSWERS_WITHIN)
        for _, entries in found or ():
            for number, fields in entries:
                self._last = number
                if fields is not None:  # it was deleted meanwhile
                    each = iter(fields)
                    self._take(dict(zip(each, each, strict=False)))

    async def _ask(self, link: Link, *command: Any, seconds: float = ANSWERS_WITHIN) -> Any:
        [answer] = await link.call([command], self._clock, seconds)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _key(number: bytes) -> tuple[int, ...]:
    return tuple(map(int, number.split(b"-")))
