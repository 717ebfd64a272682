"""A client's transports through the proxy: a websocket, or polls and POSTs. Callbacks get what comes, and the end.

No `tests.clients.tcp.Connection`, as these connections end at the proxy, and a session writes without waiting.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.clients.frames import BINARY, CLOSE, PING, PONG, encode_frame, masked, messages, split
from tests.clients.http import Response, request, take_response, upgrade_request
from tests.load.chaos.proxy import Faults, Link, Proxy

if TYPE_CHECKING:
    from tests.clients.protocols import ClientProtocol, Frame

__all__ = ["Http", "Lost", "Polling", "WebSocket"]

OPENS_WITHIN = 15.0
IDLE = 2.0
"""Seconds after which a kept connection is not used again: servers close those after five."""


class Lost(Exception):
    """The connection is gone, or the server says that the session is."""


class WebSocket:
    """One websocket. ``frames(list)`` is called with what comes, ``lost(why)`` once at the end."""

    def __init__(self, proxy: Proxy, faults: Faults, rng: random.Random) -> None:
        self.link: Link
        self.lost: Callable[[str], None] = _ignored
        self.frames: Callable[[list[Frame]], None] = _ignored
        self._proxy = proxy
        self._faults = faults
        self._rng = rng
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._task: asyncio.Task[None] | None = None
        self._rest = b""
        self._ended = False

    async def ask(self, path: str) -> None:
        """Connect, and ask for a websocket."""
        self._reader, self._writer, self.link = await self._proxy.connect(self._faults)
        key = base64.b64encode(self._rng.randbytes(16)).decode()
        self._writer.write(upgrade_request(path, ("sec-websocket-key", key), leave="sec-websocket-key"))

    async def answered(self) -> None:
        """Wait for the answer.

        Raises:
            Lost: it is not the one that accepts, or never comes.
        """
        try:
            async with asyncio.timeout(OPENS_WITHIN):
                response, self._rest = await _response(self._reader)
        except (OSError, TimeoutError) as error:
            raise Lost(f"no answer to the websocket: {error!r}") from None
        if response.status != 101:
            raise Lost(f"websocket refused: {response.head.splitlines()[0]!r}")

    async def first(self) -> Frame:
        """The first frame, before `listen`."""
        while True:
            found, self._rest = split(self._rest)
            if found:
                opcode, payload = found[0]
                self._rest = b"".join(encode_frame(*each, key=None) for each in found[1:]) + self._rest
                if opcode == CLOSE:
                    raise Lost("closed at once")
                return payload if opcode == BINARY else payload.decode()
            try:
                async with asyncio.timeout(OPENS_WITHIN):
                    data = await self._reader.read(65_536)
            except (OSError, TimeoutError) as error:
                raise Lost(repr(error)) from None
            if not data:
                raise Lost("websocket: end of the stream")
            self._rest += data

    def listen(self) -> None:
        """From now on frames go to ``frames``."""
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        why = "websocket: end of the stream"
        data = b""
        try:
            while True:
                found, self._rest = split(self._rest + data)
                frames = []
                for opcode, payload in found:
                    if opcode == CLOSE:
                        why = f"websocket: close {payload[:2].hex()}"
                        self._writer.write(masked(payload[:2], CLOSE))
                    elif opcode == PING:
                        self._writer.write(masked(payload, PONG))
                    else:
                        frames.append(payload if opcode == BINARY else payload.decode())
                if frames:
                    self.frames(frames)
                data = await self._reader.read(65_536)
                if not data:
                    break
        except OSError as error:
            why = repr(error)
        self.link.end("fin")
        if not self._ended:
            self._ended = True
            self.lost(why)

    def send(self, frames: list[Frame]) -> None:
        """Write frames, all at once."""
        if not self._writer.transport.is_closing():
            self._writer.write(messages(*frames))

    async def close(self, how: str) -> None:
        """Leave; ``how``: ``fin``, ``reset``, or ``polite`` (a close frame)."""
        self._ended = True
        if how == "polite" and not self._writer.transport.is_closing():
            self._writer.write(masked((1000).to_bytes(2, "big"), CLOSE))
            if self._task is not None:
                await asyncio.wait([self._task], timeout=3)
        if hasattr(self, "link"):
            self.link.end("reset" if how == "reset" else "fin")
            self._writer.transport.abort()
        await stop(self._task)


async def _response(reader: asyncio.StreamReader) -> tuple[Response, bytes]:
    """The next response, and what came with it.

    Raises:
        ConnectionError: the connection has ended.
    """
    data = b""
    while True:
        response, data = take_response(data)
        if response is not None:
            return response, data
        more = await reader.read(65_536)
        if not more:
            raise ConnectionError("the end of the stream")
        data += more


class Http:
    """A kept connection for one request at a time."""

    def __init__(self, proxy: Proxy, faults: Callable[[], Faults]) -> None:
        self._proxy = proxy
        self._faults = faults
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter
        self.link: Link
        self._used = 0.0

    async def ask(self, method: str, path: str, body: bytes = b"", within: float = 30.0) -> tuple[int, bytes]:
        """Status and body of the answer.

        Raises:
            Lost: there was none.
        """
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(within):
                if self._reader is None or now() - self._used > IDLE or self._writer.transport.is_closing():
                    self.close("fin")
                    self._reader, self._writer, self.link = await self._proxy.connect(self._faults())
                headers = [("sec-fetch-site", "same-origin")]
                if method == "POST":
                    kind = "application/x-www-form-urlencoded" if body.startswith(b"d=") else "text/plain;charset=UTF-8"
                    headers.append(("content-type", kind))
                self._writer.write(request(method, path, body, headers))
                response, _ = await _response(self._reader)
                if response.closes:
                    self.close("fin")
                return response.status, response.body
        except (OSError, TimeoutError) as error:
            self.close("reset")
            raise Lost(f"{method}: {error!r}") from None
        finally:
            self._used = now()

    def close(self, how: str) -> None:
        """Close the connection, if there is one."""
        if self._reader is not None:
            self._reader = None
            self.link.end(how)
            self._writer.transport.abort()


class Polling:
    """A session by polls: a GET waits all the time, POSTs go one at a time."""

    def __init__(self, protocol: ClientProtocol, proxy: Proxy, faults: Callable[[], Faults], *, jsonp: bool) -> None:
        self.lost: Callable[[str], None] = _ignored
        self.frames: Callable[[list[Frame]], None] = _ignored
        self.gap: Callable[[], None] = lambda: None
        """A poll broke, and the session goes on: what was under way is lost."""
        self.sloppy = 0.0
        """How many of the requests are doubled, or sent before the one before is answered."""
        self.sid = ""
        self.get = Http(proxy, faults)
        self.post = Http(proxy, faults)
        self._protocol = protocol
        self._proxy = proxy
        self._faults = faults
        self._jsonp = jsonp
        self._queue: list[Frame] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._polls: asyncio.Task[None] | None = None
        self._posts: asyncio.Task[None] | None = None
        self._extra: set[asyncio.Task[None]] = set()
        self._pausing = False
        self._rng = random.Random(0)
        self._ended = False

    async def open(self, fields: dict[str, str], rng: random.Random) -> str:
        """The text of the answer to the handshake."""
        self._rng = rng
        status, body = await self.get.ask("GET", self._path(fields), within=OPENS_WITHIN)
        if status != 200 or b"(new Error(" in body:
            raise Lost(f"handshake: {status} {body[:80]!r}")
        first = self._protocol.split(body, self._jsonp)
        return str(first[0])

    def _path(self, fields: dict[str, str] | None = None) -> str:
        return self._protocol.polling_path(self.sid, fields or {}, jsonp=self._jsonp)

    def listen(self) -> None:
        """Begin to poll, and to post what is sent."""
        loop = asyncio.get_running_loop()
        self._polls = loop.create_task(self._guarded(self._poll))
        self._posts = loop.create_task(self._guarded(self._post))

    async def _guarded(self, work: Callable[[], object]) -> None:
        try:
            await work()  # type: ignore[misc]
        except Lost as error:
            if not self._ended:
                self._ended = True
                self.lost(str(error))

    async def _poll(self) -> None:
        broken = 0
        while not self._pausing:
            if self._rng.random() < self.sloppy / 3:
                self._apart("GET", b"")
            try:
                await self._one_poll(self.get)
            except Lost:
                broken += 1
                if not self._protocol.allows_transport_switch or broken > 3 or self._ended:
                    raise
                self.gap()

    async def _one_poll(self, http: Http) -> None:
        status, body = await http.ask("GET", self._path())
        if status != 200:
            raise Lost(f"GET: {status} {body[:80]!r}")
        self.frames(self._protocol.split(body, self._jsonp))

    def _apart(self, method: str, body: bytes) -> None:
        """A request beside those that go in order; nobody waits for it."""

        async def ask() -> None:
            http = Http(self._proxy, self._faults)
            try:
                if method == "GET":
                    await self._one_poll(http)
                else:
                    await http.ask(method, self._path(), body)
            except Lost:
                pass
            finally:
                http.close("fin")

        task = asyncio.get_running_loop().create_task(ask())
        self._extra.add(task)
        task.add_done_callback(self._extra.discard)

    def send(self, frames: list[Frame]) -> None:
        """Queue frames for the next POST."""
        self._queue += frames
        if not self._pausing:
            self._wake.set()

    async def _post(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._pausing:
                return
            if not self._queue:
                continue
            self._idle.clear()
            frames, self._queue = self._queue, []
            body = self._protocol.body(frames, self._jsonp)
            if self._rng.random() < self.sloppy:
                self._apart("POST", body)
                if self._rng.random() < 0.5:
                    continue  # the next one may overtake it
            status, text = await self.post.ask("POST", self._path(), body)
            if status != 200:
                raise Lost(f"POST: {status} {text[:80]!r}")
            if not self._queue or self._pausing:
                self._idle.set()

    def hold(self) -> None:
        """No further request."""
        self._pausing = True

    async def pause(self) -> list[Frame]:
        """Stop polling, for an upgrade: wait for what is under way. What was not posted is returned."""
        self._pausing = True
        async with asyncio.timeout(OPENS_WITHIN):
            if self._polls is not None:
                await asyncio.wait([self._polls])
            await self._idle.wait()
        await stop(self._posts)
        self.get.close("fin")
        self.post.close("fin")
        left, self._queue = self._queue, []  # only now: what is sent meanwhile is in it
        return left

    async def close(self, how: str) -> None:
        """Leave without a word."""
        self._ended = True
        self.get.close(how)
        self.post.close(how)
        await stop(self._polls, self._posts, *self._extra)


async def stop(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks and wait for their ends."""
    alive = [task for task in tasks if task is not None and not task.done() and task is not asyncio.current_task()]
    for task in alive:
        task.cancel()
    if alive:
        await asyncio.wait(alive, timeout=5)


def _ignored(_: object) -> None:
    """Nobody listens yet."""
