"""A loopback TCP proxy that hurts connections: delays, torn chunks, slow readers, cuts, and silence."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

__all__ = ["Faults", "Link", "Proxy"]

HOST = "127.0.0.1"
CHUNK = 65_536
TEARING = 0.05
"""Seconds for which a chunk is torn; the rest of a large one, or on a busy machine, passes whole."""
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close is a reset

Cut = Literal["", "reset", "fin", "hang", "hang up", "hang down", "freeze"]
"""``hang``: what comes (from the client: ``up``) is swallowed; ``freeze``: nothing is read any more."""
Way = Literal["up", "down"]


@dataclass(frozen=True, slots=True, repr=False)
class Faults:
    """What happens to one connection."""

    delay: float = 0.0
    """Seconds that a chunk is held back, at most."""
    torn: int = 0
    """The largest piece that is passed on at a time."""
    rate: int = 0
    """Bytes per second that are taken from the server."""
    cut: Cut = ""
    at_bytes: int = 0
    """The cut comes after so many bytes, of both directions; or, where that is 0,"""
    at_time: float = 0.0
    """after so many seconds."""

    def __repr__(self) -> str:
        told = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return f"Faults({', '.join(f'{name}={value!r}' for name, value in told if value)})"


class Link:
    """One connection through the proxy."""

    def __init__(self, faults: Faults, rng: random.Random, count: Counter[str]) -> None:
        self.faults = faults
        self.over = False
        self.cut_at: float | None = None
        """When the network broke, in the loop's time."""
        self._rng = rng
        self._count = count
        self._left = faults.at_bytes or 1 << 60
        self._mute: set[Way] = set()
        self._released = asyncio.Event()
        self._near: asyncio.StreamWriter | None = None
        self._far: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        for kind in ("delay", "torn", "rate"):
            if getattr(faults, kind):
                count[kind] += 1

    @property
    def silent(self) -> bool:
        """Nothing passes, and nobody is told: not even that one side has closed."""
        return bool(self._mute)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Pass everything on, until it is over."""
        self._near = writer
        if self.over:
            self._close(writer, reset=True)
            return
        try:
            far, self._far = await self._dial(port)
        except OSError:
            self.end("reset")
            return
        if self.over:  # meanwhile
            self._close(self._far, reset=True)
            return
        if self.faults.cut and not self.faults.at_bytes:
            self._timer = asyncio.get_running_loop().call_later(self.faults.at_time, self.cut, self.faults.cut)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._pump(reader, self._far, "up")),
            loop.create_task(self._pump(far, writer, "down")),
        ]
        await asyncio.wait(self._tasks)
        self.end("fin", force=True)

    async def _dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sock = socket.socket()
        sock.setblocking(False)
        if self.faults.rate or self.faults.cut == "freeze":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # or the kernel would read for us
        try:
            await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
            return await asyncio.open_connection(sock=sock, limit=4096 if self.faults.rate else CHUNK)
        except OSError:
            sock.close()
            raise

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        size = CHUNK
        if self.faults.rate and way == "down":
            size = max(512, self.faults.rate // 20)  # twenty sleeps a second: a busy machine manages no more
        try:
            while data := await reader.read(size):
                await self._hold_back(len(data), way)
                if way in self._mute:
                    if self.faults.cut == "freeze":
                        await self._released.wait()
                    continue
                passed, data = data[: self._left], data[self._left :]
                self._left -= len(passed)
                await self._write(writer, passed)
                if not self._left and not self.over:
                    self.cut(self.faults.cut)
                if data and way not in self._mute and not self.over:  # the other way has fallen silent
                    await self._write(writer, data)
        except OSError:
            if not self.silent:
                self.end("reset")
            elif way == "up":
                await self._released.wait()
            return
        if way == "down":
            self.end("fin", force=True)  # the server has gone; where the network is silent, that is what we waited for
        elif self.silent:
            await self._released.wait()
        else:
            self.end("fin")

    async def _hold_back(self, size: int, way: Way) -> None:
        if self.faults.rate and way == "down":
            await asyncio.sleep(size / self.faults.rate)
        elif self.faults.delay:
            await asyncio.sleep(self._rng.random() * self.faults.delay)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        now = asyncio.get_running_loop().time
        until = now() + TEARING
        while self.faults.torn and not self.faults.rate and data and now() < until:
            size = self._rng.randint(1, self.faults.torn)
            writer.write(data[:size])
            data = data[size:]
            await asyncio.sleep(0)
        if data:
            writer.write(data)
        await writer.drain()

    def cut(self, how: Cut) -> None:
        """The network breaks, now."""
        if self.over or self._mute or not how:
            return
        self._count[f"cut: {how}"] += 1
        self.cut_at = asyncio.get_running_loop().time()
        self._left = 1 << 60
        if how in ("reset", "fin"):
            self.end(how)
        elif how == "hang up":
            self._mute = {"up"}
        elif how == "hang down":
            self._mute = {"down"}
        else:
            self._mute = {"up", "down"}

    def end(self, how: str, *, force: bool = False) -> None:
        """Both sides are closed, unless the network has fallen silent before."""
        if self.over or (self.silent and not force):
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        self._released.set()
        self._close(self._far, reset=how == "reset")
        self._close(self._near, reset=how == "reset")
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    @staticmethod
    def _close(writer: asyncio.StreamWriter | None, *, reset: bool) -> None:
        if writer is None or writer.transport.is_closing():
            return
        if reset:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        else:
            writer.close()


class Proxy:
    """Stands before the server at ``port``. Clients that say what is to happen to them come by `connect`."""

    def __init__(self, port: int, strangers: Callable[[], Faults], rng: random.Random) -> None:
        self.count: Counter[str] = Counter()
        """What was done to connections."""
        self.port = 0
        """Where strangers connect."""
        self._port = port
        self._strangers = strangers
        self._rng = rng
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def silent(self) -> int:
        """Connections that one side takes for open."""
        return sum(link.silent and not link.over for link in self._links)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept_stranger, HOST, 0, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]

    async def connect(self, faults: Faults) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Link]:
        """A connection to the server that will be hurt by ``faults``; its near half needs no port."""
        link = Link(faults, random.Random(self._rng.random()), self.count)
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=theirs)
        task = asyncio.get_running_loop().create_task(self._carry(link, *await asyncio.open_connection(sock=ours)))
        self._tasks.add(task)
        return reader, writer, link

    async def _accept_stranger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._carry(Link(self._strangers(), random.Random(self._rng.random()), self.count), reader, writer)

    async def _carry(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._links.add(link)
        self.count["connections"] += 1
        try:
            await link.carry(reader, writer, self._port)
        finally:
            link.end("reset", force=True)
            self._links.discard(link)
            self._tasks.discard(task)

    def release(self, after: float = 0.0) -> None:
        """Close what has been silent for ``after`` seconds: no network stays so for ever."""
        now = asyncio.get_running_loop().time()
        for link in list(self._links):
            if link.silent and link.cut_at is not None and now - link.cut_at >= after:
                link.end("reset", force=True)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.end("reset", force=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        for task in self._tasks:
            task.cancel()
