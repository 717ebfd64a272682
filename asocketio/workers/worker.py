"""Worker: this process among the workers of its server. It gives its name to the sessions that it opens, forwards what
is for a sibling's session, and serves what siblings forward.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from asocketio.adapters.base import Adapter
from asocketio.adapters.cluster.adapter import ClusterAdapter
from asocketio.adapters.memory import MemoryAdapter
from asocketio.asgi.types import Receive, Scope, Send
from asocketio.config import Config
from asocketio.errors import Unavailable, UnknownSession, UsageError
from asocketio.runtime.log import log
from asocketio.server import Server
from asocketio.transports.polling import PollTransport
from asocketio.workers.engine import MESH, WorkersEngine
from asocketio.workers.events import Forwarded, MalformedFrame
from asocketio.workers.link import Frame, Link, LinkLost, connect
from asocketio.workers.names import NAME, name_in
from asocketio.workers.siblings import Claim, SiblingFolder, has_supervisor, named_key, supervised_key
from asocketio.workers.tunnel import Arrival, Tunnel

__all__ = ["WORKER_ENV", "ServeForwarded", "Worker", "adapter_of"]

WORKER_ENV = "ASOCKETIO_WORKER"
"""The variable that names a worker, as ``worker=`` does."""
OPENING_TIMEOUT = 5.0
"""Seconds for a sibling that has connected to say what for."""
PAGE = "docs/workers.md"

ServeForwarded = Callable[[Forwarded, Receive, Send], Awaitable[None]]
"""Serves the request of a session that is here."""


def adapter_of(adapter: Adapter | str | None, config: Config) -> Adapter:
    """What ``adapter=`` says: an instance, a URL of Redis, or nothing.

    Raises:
        UsageError: it is none of these.
    """
    if adapter is None:
        return _default_adapter(config)
    if isinstance(adapter, str):
        from asocketio.adapters.redis import RedisAdapter  # redis-py is loaded where it is used

        return RedisAdapter(adapter)
    if not isinstance(adapter, Adapter):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"adapter={adapter!r}: expected an instance of a subclass of asocketio.Adapter")
    return adapter


def _default_adapter(config: Config) -> Adapter:
    """Where the rooms are without ``adapter=``: in this process, or in all workers where there may be several."""
    alone = sys.platform == "win32" or (config.workers is None and not has_supervisor())
    # What clients that are away have missed is kept by one process.
    return MemoryAdapter() if alone or config.recovery is not None else ClusterAdapter(WorkersEngine())


class Worker:
    """The sockets by which it reaches its siblings and they reach it, and what passes through.

    ``path`` and ``number`` tell the SocketIOApp from others of this process; ``serve`` serves what siblings forward.
    """

    def __init__(self, server: Server, path: str, number: int, serve: ServeForwarded) -> None:
        self._server = server
        self._config = server.config
        self._path = path
        self._number = number
        self._serve = serve
        adapter = server.adapter
        engine = adapter.engine if isinstance(adapter, ClusterAdapter) else None
        self._engine = engine if isinstance(engine, WorkersEngine) else None
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop in which it has started."""
        self._folder: SiblingFolder | None = None
        """None: there are no siblings."""
        self._listener: asyncio.Server | None = None
        self._tunnels: set[Tunnel] = set()
        self._arrivals: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()

    async def start(self, scope: Scope | None = None) -> None:
        """Find out whether there may be siblings, take a name, and listen; once for each event loop.

        Without ``scope``, that of a request, it may be too early.

        Raises:
            UsageError: processes that were made siblings by ``workers=`` cannot reach each other.
        """
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        wanted = self._wanted_name()
        key = self._key(scope)
        if key is None:
            return
        self._loop, self._server.worker_name = loop, wanted
        if key == "":
            return
        try:
            folder = SiblingFolder(key)
            claim = folder.claim(wanted)
        except (UsageError, OSError) as error:
            if self._config.workers is not None:
                self._loop = None
                raise
            log.error(
                "this worker is alone: clients whose requests reach another one are refused (%s): %s", PAGE, error
            )
            return
        self._folder, self._server.worker_name = folder, claim.name
        await self._listen(loop, claim)

    def _wanted_name(self) -> str:
        name = self._config.worker or os.environ.get(WORKER_ENV, "")
        if name and not NAME.fullmatch(name):
            raise UsageError(f"{WORKER_ENV}={name!r}: expected four letters, digits, '-' or '_'")
        return name

    def _key(self, scope: Scope | None) -> str | None:
        """What siblings have in common; ``""`` where there are none, None where it is too early to know."""
        if self._config.workers is not None:
            if sys.platform == "win32":
                raise UsageError("workers= needs Unix sockets, which asyncio does not have on this system")
            return named_key(self._config.workers, self._path)
        if self._server.clock.for_tests or sys.platform == "win32" or not has_supervisor():
            return ""
        return supervised_key(self._path, self._number, scope)

    async def _listen(self, loop: asyncio.AbstractEventLoop, claim: Claim) -> None:
        def accept() -> Link:
            return Link(self._accept)

        # Others may connect before this has returned: the socket listens already.
        self._listener = await loop.create_unix_server(accept, sock=claim.listener)
        if self._engine is not None and self._folder is not None:
            self._engine.join(self._folder, claim.name)

    # What is for a sibling.

    @property
    def name(self) -> str:
        """The beginning of the ids of its sessions; empty where this process has none."""
        return self._server.worker_name

    async def forward(self, forwarded: Forwarded, receive: Receive, send: Send) -> None:
        """Let the worker that has the session, which is not here, answer a request.

        Raises:
            UnknownSession: no sibling has it; the text says why, for the log.
            Unavailable: too many requests are being forwarded.
        """
        await self.start(forwarded.scope)
        sid = forwarded.sid
        name = name_in(sid)
        if self._folder is None or not name or name == self.name:
            raise UnknownSession(self._why_not_here(sid, name))
        if len(self._tunnels) >= self._config.max_sessions:
            raise Unavailable(f"{len(self._tunnels)} requests are being forwarded (max_sessions)")
        try:
            link = await connect(self._folder.path_of(name))
        except OSError as error:
            raise UnknownSession(
                f"no session {sid[:6]!r}…: its worker {name!r} has ended (restarted or crashed), or runs on another "
                f"host, to which a proxy must route it. This is worker {self.name!r}, see {PAGE}: {error}"
            ) from None
        tunnel = Tunnel(link, forwarded, receive, send)
        self._tunnels.add(tunnel)
        try:
            await tunnel.run()
        finally:
            self._tunnels.discard(tunnel)
            self._idle.set()

    def _why_not_here(self, sid: str, name: str) -> str:
        """Why this process cannot know a session."""
        what = f"no session {sid[:6]!r}…: "
        if name and name == self.name:
            return f"{what}it has ended, or another host has a worker {name!r}, too ({PAGE})"
        if name:
            return (
                f"{what}worker {name!r} has opened it, and this process, {self.name!r}, knows no siblings: it has no "
                f"supervisor and no workers= ({PAGE})"
            )
        return f"{what}it has ended, or it lives in another process, to which a proxy must route it ({PAGE})"

    # What siblings forward.

    def _accept(self, link: Link) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(link))
        self._arrivals.add(task)
        task.add_done_callback(self._arrivals.discard)

    async def _answer(self, link: Link) -> None:
        try:
            async with asyncio.timeout(OPENING_TIMEOUT):
                frame = await link.read()
        except TimeoutError:
            frame = None
        if frame is None:
            link.close()
        elif frame.kind == MESH and self._engine is not None:
            self._engine.serve(link, frame)
        else:
            await self._serve_request(link, frame)

    async def _serve_request(self, link: Link, frame: Frame) -> None:
        arrival = Arrival(link, self._release_poll)
        try:
            arrival.open(frame)
            await self._call(arrival)
            await arrival.end()
        except LinkLost as error:
            log.debug("a sibling's link has ended: %r", error)
        except MalformedFrame as error:
            self._server.throttled_log.error("sibling", "a sibling sent what cannot be read: %s", error)
        finally:
            link.close()

    async def _call(self, arrival: Arrival) -> None:
        try:
            await self._serve(arrival.forwarded, arrival.receive, arrival.send)
        except (LinkLost, MalformedFrame):
            raise
        except Exception as error:  # as a server does with an application's
            self._server.throttled_log.error("forwarded", "a forwarded request failed with %r", error, error=error)

    def _release_poll(self, sid: str) -> None:
        socket = self._server.find(sid)
        if socket is not None and isinstance(socket.transport, PollTransport):
            socket.transport.release()

    # The end.

    def begin_stop(self) -> None:
        """This worker is closing: let go of what is forwarded to siblings, so that its clients go to another worker."""
        for tunnel in list(self._tunnels):
            tunnel.release()

    async def stop(self, grace: float) -> None:
        """Listen no more, and wait at most ``grace`` seconds for what passes through."""
        folder, listener, self._folder, self._listener, self._loop = self._folder, self._listener, None, None, None
        if folder is not None:
            folder.give_back(self.name)
        if listener is not None:
            listener.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._wait_idle()
        for tunnel in list(self._tunnels):
            tunnel.cut()
        for task in list(self._arrivals):
            task.cancel()

    async def _wait_idle(self) -> None:
        arrivals: set[asyncio.Task[Any]] = set(self._arrivals)
        if arrivals:
            await asyncio.wait(arrivals)
        while self._tunnels:
            self._idle.clear()
            await self._idle.wait()
