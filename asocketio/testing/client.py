"""TestClient: talks to an app in memory, as a real client would, without a server or a port.

Its time-outs are of two kinds: the library's (pings, ack time-outs, ...) follow a clock that the
test advances; ``receive`` and its like wait in real time, under ``deadline``.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlencode

from asocketio.acks import unpack
from asocketio.config import Config
from asocketio.errors import ConnectionRefused, Disconnected, UsageError
from asocketio.packet import Packet, PacketType
from asocketio.protocol import Frame
from asocketio.testing.carriers import CARRIERS, Carrier
from asocketio.testing.clock import TestClock, settle
from asocketio.testing.world import World
from asocketio.transport import ASGIApp, Scope
from asocketio.visit import GENERATIONS

__all__ = ["ClientNamespace", "TestClient"]


class TestClient:
    """One client of ``app``: ``async with TestClient(app) as client: chat = await client.connect("/")``.

    ``generation`` is the one it speaks, ``transport`` how; ``headers`` and ``query`` go with its
    requests; ``deadline`` is how long, in seconds, it waits for anything. The app's lifespan runs
    around all clients of the app that are open at a time, and they share one clock.
    """

    __test__ = False

    def __init__(
        self,
        app: ASGIApp,
        *,
        generation: Literal[4] = 4,
        transport: Literal["websocket", "polling"] = "websocket",
        path: str = "/socket.io/",
        root_path: str = "",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        deadline: float = 5.0,
    ) -> None:
        if str(generation) not in GENERATIONS:
            raise UsageError(f"generation={generation!r}: expected one of {', '.join(GENERATIONS)}")
        if transport not in CARRIERS:
            raise UsageError(f"transport={transport!r}: expected one of {', '.join(CARRIERS)}")
        self.app = app
        self.protocol = GENERATIONS[str(generation)]()
        self.deadline = deadline
        self.handshake: dict[str, Any] = {}
        """What the server said when it opened the session."""
        self.answers_pings = True
        """Set it to False to fall silent."""
        self.namespaces: dict[str, ClientNamespace] = {}
        self._transport = transport
        self._scope: Scope = {
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "root_path": root_path,
            "path": root_path + path,
            "raw_path": (root_path + path).encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in {"host": "testserver", **(headers or {})}.items()],
            "client": ("testclient", 50000),
            "server": ("testserver", 80),
        }
        self._query = {**(query or {}), "EIO": str(generation), "transport": transport}
        self._decoder = self.protocol.decoder(Config(max_attachments=1000))
        self._carrier: Carrier | None = None
        self._numbers = itertools.count()
        self._acks: dict[int, tuple[str, asyncio.Future[list[Any]]]] = {}
        self._entered: World | None = None

    @property
    def _world(self) -> World:
        if self._entered is None:
            raise UsageError("use it as: async with TestClient(app) as client")
        return self._entered

    @property
    def clock(self) -> TestClock:
        """The clock that the library's time-outs follow."""
        return self._world.clock

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on the clock."""
        await self.clock.advance(seconds)

    async def __aenter__(self) -> TestClient:
        self._entered = await World.enter(self.app)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if self._carrier is not None:
                await self._carrier.leave()
        finally:
            await self._world.leave(self.app)

    async def open(self) -> None:
        """Open the session; `connect` does it when needed.

        Raises:
            ClientRefused: the server, or the view, answered with something else.
        """
        if self._carrier is not None:
            return
        carrier = CARRIERS[self._transport](self)
        async with self._in_time("the handshake"):
            await carrier.open()
        self._carrier = carrier

    async def connect(
        self, namespace: str = "/", auth: Any = None, *, on: Mapping[str, Callable[..., Any]] | None = None
    ) -> ClientNamespace:
        """Join a namespace. ``on`` gives events that may come at once their handlers, see `ClientNamespace.on`.

        Raises:
            ConnectionRefused: it was refused, with this message and data.
            ClientRefused: the handshake was refused.
            Disconnected: the connection ended instead.
        """
        await self.open()
        endpoint = "" if namespace == "/" else namespace
        former = self.namespaces.get(endpoint)
        if former is not None and former.reason is None and former.sid:
            raise UsageError(f"this client is in {namespace!r} already")
        joined = self.namespaces[endpoint] = ClientNamespace(self, endpoint)
        for event, handler in (on or {}).items():
            joined.on(event, handler)
        await self.post(Packet(PacketType.CONNECT, endpoint, data=auth))
        async with self._in_time(f"the answer to the connect to {namespace}"):
            await joined.joined
        return joined

    async def disconnect(self) -> None:
        """End the session, as a client that closes its page does."""
        if self._carrier is not None:
            await self._carrier.leave()

    async def lose(self) -> None:
        """Lose the connection without a word."""
        if self._carrier is not None:
            await self._carrier.lose()

    async def post(self, packet: Packet) -> None:
        """Send a packet."""
        await self.post_frames(*self.protocol.encode(packet).frames)

    async def post_frames(self, *frames: Frame) -> None:
        """Send raw frames, well-formed or not.

        Raises:
            Disconnected: there is no connection to send them by.
        """
        if self._carrier is None or self._carrier.ended:
            raise Disconnected("the connection has ended")
        await self._carrier.send(list(frames))

    async def ask(self, packet: Packet) -> list[Any]:
        """Send an event that wants an ack; the ack's arguments, under ``deadline``."""
        packet.id, packet.ack = next(self._numbers), "data"
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._acks[packet.id] = packet.endpoint, answer
        await self.post(packet)
        async with self._in_time(f"the ack of {packet.name!r}"):
            return await answer

    # Called by the carriers.

    def scope(self, kind: str, method: str = "GET", sid: str = "", **more: Any) -> Scope:
        """The ASGI scope of a request."""
        query = self._query | ({"sid": sid} if sid else {})
        scheme = "ws" if kind == "websocket" else "http"
        extensions: dict[str, Any] = {"asocketio.clock": self.clock}
        if kind == "websocket":
            extensions["websocket.http.response"] = {}
            more["subprotocols"] = []
        else:
            more["method"] = method
        return {
            **self._scope, "type": kind, "scheme": scheme, "query_string": urlencode(query).encode(),
            "state": dict(self._world.state), "extensions": extensions, **more,
        }  # fmt: skip

    def received(self, frame: Frame) -> Packet | None:
        """A frame came: sort it in. Returns what must be answered."""
        packet = self._decoder.feed(frame)
        if packet is None:
            return None
        if packet.type is PacketType.PING:
            return Packet(PacketType.PONG, data=packet.data) if self.answers_pings else None
        if packet.type is PacketType.ACK and packet.id is not None:
            _, answer = self._acks.pop(packet.id, ("", None))
            if answer is not None and not answer.done():
                answer.set_result(packet.args)
            return None
        namespace = self.namespaces.get(packet.endpoint)
        if namespace is not None:
            namespace.take(packet)
        return None

    def ended(self, reason: str) -> None:
        """The connection is over."""
        for namespace in self.namespaces.values():
            namespace.end(reason)

    def fail_acks(self, endpoint: str, reason: str) -> None:
        """Who waits for an ack from a namespace that the client has left gets `Disconnected`."""
        for number, (where, answer) in list(self._acks.items()):
            if where == endpoint:
                del self._acks[number]
                if not answer.done():
                    answer.set_exception(Disconnected(reason))

    def _in_time(self, what: str) -> _InTime:
        return _InTime(self.deadline, what)


class ClientNamespace:
    """A client's side of one namespace."""

    def __init__(self, client: TestClient, endpoint: str) -> None:
        self.client = client
        self.endpoint = endpoint
        self.sid = ""
        """What the server calls ``self.sid`` there."""
        self.reason: str | None = None
        """Why it is out; None while it is in."""
        self.pending: deque[tuple[Any, ...]] = deque()
        """Events that have come and were not taken by `receive`: ``(name, *args)``."""
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._handlers: dict[str, Callable[..., Any]] = {}
        self._news = asyncio.Event()
        self._jobs: set[asyncio.Task[None]] = set()

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        """Handle an event by ``handler``, plain or async; what it returns answers the server's ack."""
        self._handlers[event] = handler

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event."""
        await self.client.post(Packet(PacketType.EVENT, self.endpoint, name=event, args=list(args)))

    async def call(self, event: str, *args: Any) -> Any:
        """Send an event and wait for its ack: none is None, one argument is itself, more are a tuple."""
        return unpack(await self.client.ask(Packet(PacketType.EVENT, self.endpoint, name=event, args=list(args))))

    async def send(self, message: Any) -> None:
        """Send a message."""
        await self.client.post(Packet(PacketType.MESSAGE, self.endpoint, data=message))

    async def receive(self) -> tuple[Any, ...]:
        """The next event that no handler took: ``(name, *args)``.

        Raises:
            TimeoutError: none came within the client's deadline.
            Disconnected: the client is out of the namespace, and nothing is left.
        """
        async with self.client._in_time(f"an event in {self.endpoint or '/'}"):  # pyright: ignore[reportPrivateUsage]
            while not self.pending:
                if self.reason is not None:
                    raise Disconnected(self.reason)
                self._news.clear()
                await self._news.wait()
        return self.pending.popleft()

    async def nothing(self) -> None:
        """Assert that no event is waiting, and none is on its way.

        Raises:
            AssertionError: there is one.
        """
        await settle()
        if self.pending:
            raise AssertionError(f"unexpected events: {list(self.pending)}")

    async def disconnect(self) -> None:
        """Leave the namespace."""
        await self.client.post(Packet(PacketType.DISCONNECT, self.endpoint))
        self.end("io client disconnect")

    async def disconnected(self) -> str:
        """Wait until the client is out; returns why, in a client's words: ``"io server disconnect"``."""
        async with self.client._in_time("a disconnect"):  # pyright: ignore[reportPrivateUsage]
            while self.reason is None:
                self._news.clear()
                await self._news.wait()
        return self.reason

    def take(self, packet: Packet) -> None:
        """A packet for this namespace has come."""
        if packet.type is PacketType.CONNECT:
            self.sid, self.reason = packet.data.get("sid", ""), None
            if not self.joined.done():
                self.joined.set_result(None)
        elif packet.type is PacketType.ERROR:
            if not self.joined.done():
                self.joined.set_exception(ConnectionRefused(packet.data.get("message"), packet.data.get("data")))
        elif packet.type is PacketType.DISCONNECT:
            self.end("io server disconnect")
        elif packet.name in self._handlers:
            job = asyncio.get_running_loop().create_task(self._handle(packet))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
        else:
            self.pending.append((packet.name, *packet.args))
            self._news.set()

    def end(self, reason: str) -> None:
        """The client is out."""
        if self.reason is None:
            self.reason = reason
            self.client.fail_acks(self.endpoint, reason)
        if not self.joined.done():
            self.joined.set_exception(Disconnected(reason))
            self.joined.exception()  # whoever waits gets it; nobody has to
        self._news.set()

    async def _handle(self, packet: Packet) -> None:
        result = self._handlers[packet.name](*packet.args)
        if inspect.isawaitable(result):
            result = await result
        if packet.id is not None:
            args = list(result) if type(result) is tuple else [] if result is None else [result]
            await self.client.post(Packet(PacketType.ACK, self.endpoint, args=args, id=packet.id))


class _InTime:
    """A deadline in real time that says what did not come."""

    def __init__(self, seconds: float, what: str) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._message = f"{what} did not come within {seconds} s"

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, tb)
        except TimeoutError:
            raise TimeoutError(self._message) from None
