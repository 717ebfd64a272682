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
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlencode

from asocketio.asgi.types import ASGIApp, Scope
from asocketio.config import Config
from asocketio.errors import ConnectionRefused, Disconnected, UsageError
from asocketio.protocol.base import Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.parser import Parser
from asocketio.protocol.parsers import ParserName
from asocketio.session.acks import unpack
from asocketio.testing.clock import TestClock, settle
from asocketio.testing.context import AppContext
from asocketio.testing.protocols import CLIENT_PROTOCOLS, query_of
from asocketio.testing.transports import CLIENT_TRANSPORTS, ClientTransport

__all__ = ["ClientNamespace", "TestClient"]


class TestClient:
    """One client of ``app``: ``async with TestClient(app) as client: chat = await client.connect("/")``.

    ``generation`` is the one it speaks, ``transport`` how, ``parser`` what encodes its packets; ``headers`` and
    ``query`` go with its requests; ``deadline`` is how long, in seconds, it waits for anything. The app's lifespan
    runs around all clients of the app that are open at a time, and they share one clock.
    """

    __test__ = False

    def __init__(
        self,
        app: ASGIApp,
        *,
        generation: Literal["0.9", 3, 4] = 4,
        transport: Literal["websocket", "polling", "jsonp"] = "websocket",
        parser: ParserName | Parser = "json",
        path: str = "/socket.io/",
        root_path: str = "",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        deadline: float = 5.0,
    ) -> None:
        if str(generation) not in CLIENT_PROTOCOLS:
            raise UsageError(f"generation={generation!r}: expected one of {', '.join(CLIENT_PROTOCOLS)}")
        if transport not in CLIENT_TRANSPORTS:
            raise UsageError(f"transport={transport!r}: expected one of {', '.join(CLIENT_TRANSPORTS)}")
        self.app = app
        self.client_protocol = CLIENT_PROTOCOLS[str(generation)](str(generation))
        if parser != "json":
            self.client_protocol.use_parser(parser)
        self.protocol = self.client_protocol.protocol
        self.transport = transport
        self.deadline = deadline
        self.handshake: dict[str, Any] = {}
        """What the server said when it opened the session."""
        self.answers_pings = True
        """Set it to False to fall silent."""
        self.namespaces: dict[str, ClientNamespace] = {}
        self._scope: Scope = {
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "root_path": root_path,
            "path": root_path + path,
            "headers": [(k.lower().encode(), v.encode()) for k, v in {"host": "testserver", **(headers or {})}.items()],
            "client": ("testclient", 50000),
            "server": ("testserver", 80),
        }
        self._query = dict(query or {})
        self.decoder = self.protocol.decoder(Config(max_attachments=1000))
        self._transport: ClientTransport | None = None
        self._opening = asyncio.Lock()
        self._numbers = itertools.count()
        self._acks: dict[int, tuple[str, asyncio.Future[list[Any]]]] = {}
        self._entered: AppContext | None = None

    @property
    def _context(self) -> AppContext:
        if self._entered is None:
            raise UsageError("use it as: async with TestClient(app) as client")
        return self._entered

    @property
    def clock(self) -> TestClock:
        """The clock that the library's time-outs follow."""
        return self._context.clock

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on the clock."""
        await self.clock.advance(seconds)

    async def __aenter__(self) -> Self:
        self._entered = await AppContext.enter(self.app)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        context = self._context
        context.check_loop()
        try:
            if self._transport is not None:
                await self._transport.leave()
        finally:
            await context.leave(self.app)

    async def open(self) -> None:
        """Open the session; `connect` does it when needed.

        Raises:
            ClientRefused: the server, or the view, answered with something else.
        """
        async with self._opening:  # two namespaces may be asked for at the same time
            if self._transport is not None:
                return
            transport = CLIENT_TRANSPORTS[self.transport](self)
            if self.protocol.opens_global and "" not in self.namespaces:
                self.namespaces[""] = ClientNamespace(self, "")
            async with self._in_time("the handshake"):
                await transport.open()
            self._transport = transport
            if self.client_protocol.pings_itself:
                self._ping_later()

    async def connect(
        self,
        namespace: str = "/",
        auth: Any = None,
        *,
        on: Mapping[str, Callable[..., Any]] | None = None,
        recover: ClientNamespace | None = None,
    ) -> ClientNamespace:
        """Join a namespace. ``on`` gives events that may come at once their handlers, see `ClientNamespace.on`.

        ``recover`` is what this client was in the namespace before, perhaps by another connection: it comes back.

        Raises:
            ConnectionRefused: it was refused, with this message and data.
            ClientRefused: the handshake was refused.
            Disconnected: the connection ended instead.
        """
        endpoint = "" if namespace == "/" else namespace
        former = self.namespaces.get(endpoint)
        if former is not None and former.reason is None and former.asked and former.sid:
            raise UsageError(f"this client is in {namespace!r} already")
        if self.protocol.opens_global and not endpoint and auth:
            if self._transport is not None:
                raise UsageError("before generation 4 the auth of '/' is in the URL: connect to it first")
            self._query |= dict(parse_qsl(query_of(auth)))
        joined = former if former is not None and not former.asked else ClientNamespace(self, endpoint)
        joined.asked = True
        if recover is not None:
            joined.pid, joined.offset = recover.pid, recover.offset
            known = {"pid": recover.pid, "offset": recover.offset}
            auth = {**{name: value for name, value in known.items() if value is not None}, **(auth or {})}
        self.namespaces[endpoint] = joined
        for event, handler in (on or {}).items():
            joined.on(event, handler)
        await self.open()
        connect = self.client_protocol.connect(endpoint, auth)
        if connect is not None:
            await self.post(connect)
        async with self._in_time(f"the answer to the connect to {namespace}"):
            await joined.joined
        return joined

    async def disconnect(self) -> None:
        """End the session, as a client that closes its page does."""
        if self._transport is not None:
            await self._transport.leave()

    async def lose(self) -> None:
        """Lose the connection without a word. By polling a minute passes, in which the server notices."""
        if self._transport is not None:
            await self._transport.lose()

    async def post(self, packet: Packet) -> None:
        """Send a packet."""
        await self.post_frames(*self.protocol.encode(packet).frames)

    async def post_frames(self, *frames: Frame) -> None:
        """Send raw frames, well-formed or not.

        Raises:
            Disconnected: there is no connection to send them by.
        """
        self._context.check_loop()
        if self._transport is None or self._transport.ended:
            raise Disconnected("the connection has ended")
        await self._transport.send(list(frames))

    async def ask(self, packet: Packet) -> list[Any]:
        """Send an event that wants an ack; the ack's arguments, under ``deadline``."""
        packet.id, packet.ack = next(self._numbers), "data"
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._acks[packet.id] = packet.endpoint, answer
        await self.post(packet)
        async with self._in_time(f"the ack of {packet.name!r}"):
            return await answer

    # Called by the carriers.

    def scope(
        self, kind: str, method: str = "GET", headers: Mapping[str, str] | None = None, query: Mapping[str, str] = {}
    ) -> Scope:
        """The ASGI scope of a request."""
        below, own = self.client_protocol.address(self.transport, self.handshake.get("sid", ""))
        path: str = self._scope["path"]
        if below:
            path = f"{path.removesuffix('/')}/{below}"
        scheme = "ws" if kind == "websocket" else "http"
        extensions: dict[str, Any] = {"asocketio.clock": self.clock}
        more: dict[str, Any] = {"method": method}
        if kind == "websocket":
            extensions["websocket.http.response"] = {}
            more = {"subprotocols": []}
        added = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
        return {
            **self._scope, "type": kind, "scheme": scheme, "path": path, "raw_path": path.encode(),
            "query_string": urlencode({**self._query, **own, **query}).encode(),
            "headers": [*self._scope["headers"], *added],
            "state": dict(self._context.state), "extensions": extensions, **more,
        }  # fmt: skip

    def opened(self, frame: Frame) -> None:
        """The server has opened the session."""
        self.handshake = self.client_protocol.handshake(frame)

    def _ping_later(self) -> None:
        self.clock.call_later(self.handshake["pingInterval"] / 1000, self._ping)

    def _ping(self) -> None:
        transport = self._transport
        if transport is None or transport.ended:
            return
        if self.answers_pings:
            transport.calls.add(asyncio.get_running_loop().create_task(self.post(Packet(PacketType.PING))))
        self._ping_later()

    def received(self, frame: Frame) -> Packet | None:
        """A frame came: sort it in. Returns what must be answered."""
        packet = self.decoder.feed(frame)
        if packet is None:
            return None
        if packet.type in _BEATS:
            return self.client_protocol.answer(packet) if self.answers_pings else None
        if packet.type is PacketType.ACK and packet.id is not None:
            _, answer = self._acks.pop(packet.id, ("", None))
            if answer is not None and not answer.done():
                answer.set_result(packet.args)
            return None
        if packet.type is PacketType.DISCONNECT and not packet.endpoint and self.protocol.global_is_connection:
            self.ended("io server disconnect")
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
        self._context.check_loop()
        return _InTime(self.deadline, what)


class ClientNamespace:
    """A client's side of one namespace."""

    def __init__(self, client: TestClient, endpoint: str) -> None:
        self.client = client
        self.endpoint = endpoint
        self.sid = ""
        """What a client calls ``socket.id`` there. From generation 4 on it is ``self.sid`` of the server."""
        self.asked = False
        """The test has called `TestClient.connect` for it."""
        self.reason: str | None = None
        """Why it is out; None while it is in."""
        self.pid: str | None = None
        """The private id of a client that may come back, see the setting ``recovery``."""
        self.offset: str | None = None
        """The offset of the last event that came. It is no argument of the event here."""
        self.recovered = False
        """The server has let it come back to what it was."""
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
        """Send a message: text, or any JSON value."""
        kind = PacketType.MESSAGE if isinstance(message, str) else PacketType.JSON
        await self.client.post(Packet(kind, self.endpoint, data=message))

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
            self._told(packet.data)
            self.sid, self.reason = self._sid(packet.data), None
            if not self.joined.done():
                self.joined.set_result(None)
        elif packet.type is PacketType.ERROR:
            if not self.joined.done():
                self.joined.set_exception(_refusal(packet.data))
                self.joined.exception()  # whoever waits gets it; nobody has to
        elif packet.type is PacketType.DISCONNECT:
            self.end("io server disconnect")
        elif packet.type in (PacketType.MESSAGE, PacketType.JSON):
            self.take(replace(packet, type=PacketType.EVENT, name="message", args=[packet.data]))
        elif packet.type is PacketType.EVENT:
            self._take_event(packet)

    def _told(self, data: Any) -> None:
        pid = data.get("pid") if isinstance(data, dict) else None
        self.recovered = pid is not None and pid == self.pid
        self.pid = pid

    def _take_event(self, packet: Packet) -> None:
        if self.pid is not None and packet.id is None and packet.args and isinstance(packet.args[-1], str):
            self.offset = packet.args.pop()
        if packet.name in self._handlers:
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

    def _sid(self, data: Any) -> str:
        if self.client.protocol.opens_global:
            return self.client.client_protocol.socket_id(self.client.handshake["sid"], self.endpoint)
        return str(data.get("sid", ""))

    async def _handle(self, packet: Packet) -> None:
        result = self._handlers[packet.name](*packet.args)
        if inspect.isawaitable(result):
            result = await result
        if packet.id is not None:
            args = list(result) if type(result) is tuple else [] if result is None else [result]
            await self.client.post(Packet(PacketType.ACK, self.endpoint, args=args, id=packet.id))


_BEATS = (PacketType.PING, PacketType.PONG, PacketType.HEARTBEAT)


def _refusal(data: Any) -> ConnectionRefused:
    """What a refusal says; before generation 4 that is its data or its message, not both."""
    if isinstance(data, dict) and "message" in data:
        return ConnectionRefused(data["message"], data.get("data"))
    return ConnectionRefused(data) if isinstance(data, str) else ConnectionRefused(data=data)


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
