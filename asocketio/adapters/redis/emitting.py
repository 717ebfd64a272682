"""Senders of the emitters: they give commands to Redis, one after the other, and tell at once what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from asocketio.adapters.redis.link import Command, Link
from asocketio.adapters.redis.places import place_of, reason_of, sync_client
from asocketio.errors import BusDown
from asocketio.runtime.clock import Clock

__all__ = ["AsyncSender", "SyncSender"]

WITHIN = 5.0
"""Seconds for connecting, and for an answer."""


class AsyncSender:
    """One connection, which is opened when it is needed. Of one event loop at a time."""

    def __init__(self, url: str | None, sentinels: Sequence[str] | None, *, cluster: bool) -> None:
        self._place = place_of(url, sentinels, cluster=cluster)
        self._clock = Clock()
        self._link: Link | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()

    async def send(self, commands: Sequence[Command]) -> None:
        """Give Redis the commands.

        Raises:
            BusDown: it cannot be reached, does not answer, or refuses one.
        """
        if not commands:
            return
        link = await self._open()
        answers = await link.call(commands, self._clock, WITHIN)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise BusDown(f"Redis at {self._place.name}: {reason_of(answer)}")

    async def aclose(self) -> None:
        """Disconnect."""
        link, self._link = self._link, None
        if link is not None and self._loop is asyncio.get_running_loop():
            await link.close()
        await self._place.close()

    async def _open(self) -> Link:
        if self._loop is not asyncio.get_running_loop():  # a former one is gone, and its connections with it
            self._loop = asyncio.get_running_loop()
            self._link = None
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._link is not None and not self._link.is_open:
                link, self._link = self._link, None
                await link.close()
            if self._link is None:
                try:
                    async with asyncio.timeout(WITHIN):
                        self._link = Link(await self._place.connect())
                except Exception as error:
                    raise BusDown(f"Redis at {self._place.name}: {reason_of(error)}") from None
            return self._link


class SyncSender:
    """redis-py's own client: safe in threads, and after a fork. It sends nothing twice."""

    def __init__(self, url: str | None, sentinels: Sequence[str] | None, *, cluster: bool) -> None:
        self._name, self._connect = sync_client(url, sentinels, cluster=cluster, seconds=WITHIN)
        self._client: Any = None

    def send(self, commands: Sequence[Command]) -> None:
        """Give Redis the commands.

        Raises:
            BusDown: it cannot be reached, does not answer, or refuses one.
        """
        try:
            for command in commands:
                if self._client is None:
                    self._client = self._connect()
                self._client.execute_command(*command)
        except Exception as error:
            raise BusDown(f"Redis at {self._name}: {reason_of(error)}") from None

    def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
