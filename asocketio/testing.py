"""TestClient: talks to an app in memory, as a real client would, without a server or a port.

Its time-outs are of two kinds: the library's (pings, ack time-outs, ...) follow a clock that the
test advances; ``receive`` and its like wait in real time, under ``deadline``.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
import itertools
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlencode

from asocketio.acks import unpack
from asocketio.clock import Clock, Timer
from asocketio.config import Config
from asocketio.errors import ConnectionRefused, Disconnected, SocketIOError, UsageError
from asocketio.packet import Packet, PacketType
from asocketio.protocol import Frame
from asocketio.transport import ASGIApp, Message, Scope
from asocketio.visit import GENERATIONS

__all__ = ["ClientNamespace", "ClientRefused", "TestClient", "TestClock"]

Response = tuple[int, dict[str, str], bytes]


class ClientRefused(SocketIOError):
    """The handshake was answered with an HTTP response: ``status``, ``headers`` (lower case), ``body``."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(f"the handshake was answered {status}: {body[:200]!r}")
        self.status = status
        self.headers = headers
        self.body = body


class TestClock(Clock):
    """A clock that stands still until `advance`."""

    __test__ = False

    def __init__(self) -> None:
        self._now = 1000.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Timer]] = []

    def now(self) -> float:
        return self._now

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = _Timer(callback, args)
        heapq.heappush(self._due, (self._now + max(delay, 0.0), next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: what falls due is done in order, with time to take effect in between."""
        end = self._now + seconds
        await settle()
        while self._due and self._due[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._due)
            if timer.callback is not None:
                timer.callback(*timer.args)
                await settle()
        self._now = end
        await settle()


class _Timer:
    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None


async def settle() -> None:
    """Let everything that can happen now happen."""
    for _ in range(25):
        await asyncio.sleep(0)


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
        if transport not in _CARRIERS:
            raise UsageError(f"transport={transport!r}: expected one of {', '.join(_CARRIERS)}")
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
        self._carrier: _Carrier | None = None
        self._numbers = itertools.count()
        self._acks: dict[int, tuple[str, asyncio.Future[list[Any]]]] = {}
        self._world: _World

    @property
    def clock(self) -> TestClock:
        """The clock that the library's time-outs follow."""
        return self._world.clock

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on the clock."""
        await self.clock.advance(seconds)

    async def __aenter__(self) -> TestClient:
        self._world = await _World.enter(self.app)
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
        carrier = _CARRIERS[self._transport](self)
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


class _Call:
    """One ASGI call of the app."""

    def __init__(self, app: ASGIApp, scope: Scope, messages: Sequence[Message]) -> None:
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.inbox.put_nowait(message)
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = b""
        self._goodbye: Message = {"type": f"{scope['type']}.disconnect"}
        self.task = asyncio.get_running_loop().create_task(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self.inbox.get, self.send)
        except Exception as error:
            if self.response.done():
                raise
            self.response.set_exception(error)
        if not self.response.done():
            self.response.set_exception(UsageError("the app returned without a response"))

    async def send(self, message: Message) -> None:
        kind = message["type"].removeprefix("websocket.")
        if kind == "http.response.start":
            self._status = message["status"]
            self._headers = {k.decode().lower(): v.decode() for k, v in message.get("headers", [])}
        elif kind == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self.inbox.put_nowait(self._goodbye)
                if not self.response.done():
                    self.response.set_result((self._status, self._headers, self._body))


class _Carrier:
    """How a `TestClient` reaches its app."""

    ended = False

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.calls: set[asyncio.Task[None]] = set()

    def call(self, call: _Call) -> _Call:
        self.calls.add(call.task)
        return call

    async def open(self) -> None:
        raise NotImplementedError

    async def send(self, frames: list[Frame]) -> None:
        raise NotImplementedError

    async def leave(self) -> None:
        raise NotImplementedError

    async def lose(self) -> None:
        raise NotImplementedError

    def opened(self, frame: Frame) -> None:
        """Read the handshake's answer."""
        packet = self.client.protocol.decoder(Config()).feed(frame)
        if packet is None or packet.type is not PacketType.OPEN:
            raise SocketIOError(f"not a handshake: {frame!r}")
        self.client.handshake = self.client.protocol.json.loads(packet.data)

    def end(self, reason: str) -> None:
        if not self.ended:
            self.ended = True
            self.client.ended(reason)

    async def wait(self) -> None:
        """Wait for the app's calls to end; what only time would end gets time."""
        for seconds in (0.0, 60.0, 600.0):
            await self.client.advance(seconds)
            running = [task for task in self.calls if not task.done()]
            if running:
                await asyncio.wait(running, timeout=self.client.deadline if seconds else 0.2)
        running = [task for task in self.calls if not task.done()]
        for task in running:
            task.cancel()
        errors = await asyncio.gather(*self.calls, return_exceptions=True)
        self.calls.clear()
        if running:
            raise TimeoutError(f"{len(running)} calls of the app did not end when the client left")
        for error in errors:
            if isinstance(error, BaseException):
                raise error


class _WebSocket(_Carrier):
    """A websocket in memory."""

    async def open(self) -> None:
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._call = self.call(_Call(self._app, self.client.scope("websocket"), [{"type": "websocket.connect"}]))
        either: list[asyncio.Future[Any]] = [self._first, self._call.response]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._first.done():
            raise ClientRefused(*self._call.response.result())
        self._call.response.cancel()
        self._first.result()

    async def _app(self, scope: Scope, receive: Any, send: Any) -> None:
        """The app, with the websocket's own messages taken out of what it sends."""

        async def take(message: Message) -> None:
            if message["type"] == "websocket.send":
                text = message.get("text")
                await self._took(message["bytes"] if text is None else text)
            elif message["type"] == "websocket.close":
                self._call.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
                if not self._first.done():
                    self._first.set_exception(ClientRefused(403, {}, b""))
                self.end("transport close")
            elif message["type"] != "websocket.accept":
                await send(message)

        await self.client.app(scope, receive, take)
        self.end("transport close")

    async def _took(self, frame: Frame) -> None:
        if not self._first.done():
            self.opened(frame)
            self._first.set_result(None)
            return
        answer = self.client.received(frame)
        if answer is not None:
            await self.client.post(answer)

    async def send(self, frames: list[Frame]) -> None:
        for frame in frames:
            kind = "text" if isinstance(frame, str) else "bytes"
            self._call.inbox.put_nowait({"type": "websocket.receive", kind: frame})

    async def leave(self) -> None:
        await self.lose()

    async def lose(self) -> None:
        self._call.inbox.put_nowait({"type": "websocket.disconnect", "code": 1005})
        self.end("transport close")
        await self.wait()


class _Polling(_Carrier):
    """Long-polling in memory: one GET at a time, and POSTs."""

    async def open(self) -> None:
        self._sid = ""
        self._posting = asyncio.Lock()  # one POST at a time
        self._poll: _Call | None = None
        status, headers, body = await self._request("GET")
        if status != 200:
            raise ClientRefused(status, headers, body)
        self.opened(self.client.protocol.split(body)[0])
        self._sid = self.client.handshake["sid"]
        self._polling = asyncio.get_running_loop().create_task(self._keep_polling())
        self.calls.add(self._polling)

    async def _request(self, method: str, body: bytes = b"") -> Response:
        scope = self.client.scope("http", method, self._sid)
        call = _Call(self.client.app, scope, [{"type": "http.request", "body": body, "more_body": False}])
        self.call(call)
        if method == "GET":
            self._poll = call
        return await call.response

    async def _keep_polling(self) -> None:
        try:
            while not self.ended:
                status, _, body = await self._request("GET")
                self.calls = {task for task in self.calls if not task.done()}
                if status != 200:
                    break
                for frame in self.client.protocol.split(body):
                    if frame == "1":
                        return
                    answer = self.client.received(frame)
                    if answer is not None:
                        await self.client.post(answer)
        finally:
            self.end("transport close")

    async def send(self, frames: list[Frame]) -> None:
        async with self._posting:
            status, _, _ = await self._request("POST", self.client.protocol.join(frames))
        if status != 200:
            self.end("transport error")

    async def leave(self) -> None:
        if not self.ended:
            await self.send(list(self.client.protocol.encode(Packet(PacketType.CLOSE)).frames))
        self.end("transport close")
        await self.wait()

    async def lose(self) -> None:
        self.end("transport close")
        if self._poll is not None:
            self._poll.inbox.put_nowait({"type": "http.disconnect"})
        await self.wait()


_CARRIERS: dict[str, type[_Carrier]] = {"websocket": _WebSocket, "polling": _Polling}


class _World:
    """What the clients of one app share: a clock and the app's lifespan."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.state: dict[str, Any] = {}
        self._clients = 0
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def enter(cls, app: ASGIApp) -> _World:
        world = _worlds.get(app)
        if world is None or world._loop is not asyncio.get_running_loop():
            world = _worlds[app] = _World()
        world._clients += 1
        if world._clients == 1:
            await world._start(app)
        return world

    async def leave(self, app: ASGIApp) -> None:
        self._clients -= 1
        if self._clients == 0:
            _worlds.pop(app, None)
            await self._stop()

    async def _start(self, app: ASGIApp) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        self._task = asyncio.get_running_loop().create_task(
            _as_coroutine(app(scope, self._inbox.get, self._outbox.put))
        )
        await self._tell("startup")

    async def _stop(self) -> None:
        if self._task is not None and not self._task.done():
            await self._tell("shutdown")
            await self._task

    async def _tell(self, what: str) -> None:
        """Send a lifespan message; an app that knows no lifespan ends or raises instead of answering."""
        assert self._task is not None
        self._inbox.put_nowait({"type": f"lifespan.{what}"})
        answer = asyncio.ensure_future(self._outbox.get())
        await asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            if self._task.exception() is not None and what == "shutdown":
                self._task.result()
        elif answer.result()["type"].endswith(".failed"):
            raise RuntimeError(f"lifespan {what} failed: {answer.result().get('message', '')}")


_worlds: weakref.WeakKeyDictionary[Any, _World] = weakref.WeakKeyDictionary()


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
