"""The programs that users write, as the documentation shows them, in every generation over every transport."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest

import asocketio
from asocketio import (
    AckTimeout,
    BaseNamespace,
    BroadcastMixin,
    ConnectionRefused,
    Disconnected,
    Packet,
    RoomsMixin,
    Socket,
    SocketIOApp,
    event,
    socketio_manage,
)
from asocketio.testing import ClientNamespace, ClientRefused, TestClient
from tests.support.worlds import Recorder, Transport, Way, binary, call_of, serve

# 1. Served directly


class Chat(BaseNamespace, RoomsMixin, BroadcastMixin):
    left: ClassVar[list[tuple[str, str]]] = []

    async def recv_connect(self, auth: Any) -> None:
        if not auth or "name" not in auth:
            raise ConnectionRefused("who are you?", {"code": 401})
        self.session["name"] = auth["name"]

    async def on_join(self, room: str) -> tuple[str, str]:
        self.join(room)
        await self.emit_to_room(room, "joined", self.session["name"])
        return "welcome", room

    async def on_user_message(self, text: str) -> None:
        await self.broadcast_event("said", text)
        await self.broadcast_event_not_me("heard", text)

    @event("file:chunk")
    async def chunk(self, data: bytes) -> int:
        return len(data)

    @event("*")
    async def anything(self, name: str, *args: Any) -> list[Any]:
        return [name, *args]

    async def recv_disconnect(self, reason: str) -> None:
        self.left.append((self.session["name"], reason))


@pytest.fixture
def chat_app() -> SocketIOApp:
    Chat.left = []
    return SocketIOApp(namespaces={"/": Chat})


async def test_the_chat_of_the_first_page(way: Way, chat_app: SocketIOApp) -> None:
    async with TestClient(chat_app, **way) as one, TestClient(chat_app, **way) as two:
        ada = await one.connect("/", auth={"name": "ada"})
        bob = await two.connect("/", auth={"name": "bob"})
        assert await ada.call("join", "lobby") == ("welcome", "lobby")
        assert await bob.call("join", "lobby") == ("welcome", "lobby")
        assert await ada.receive() == ("joined", "bob")
        await ada.emit("user message", "hi")
        assert await ada.receive() == ("said", "hi")
        assert [await bob.receive(), await bob.receive()] == [("said", "hi"), ("heard", "hi")]
        await ada.nothing()
        assert await ada.call("file:chunk", "12345" if way["generation"] == "0.9" else b"12345") == 5
        assert await ada.call("what else", 1, "2") == ["what else", 1, "2"]
        await two.disconnect()
    assert Chat.left == [("bob", "transport close"), ("ada", "transport close")]


async def test_a_refusal_carries_message_and_data(way: Way, chat_app: SocketIOApp) -> None:
    async with TestClient(chat_app, **way) as client:
        if way["generation"] == "0.9":  # there the global namespace is the connection
            with pytest.raises(ClientRefused, match="who are you"):
                await client.connect("/")
        else:
            with pytest.raises(ConnectionRefused) as refusal:
                await client.connect("/")
            data = {"code": 401}
            said = ("Connection refused", data) if way["generation"] == 3 else ("who are you?", data)
            assert (refusal.value.message, refusal.value.data) == said
    assert Chat.left == []


async def test_a_refusal_leaves_the_connection_there(chat_app: SocketIOApp, transport: Transport) -> None:
    async with TestClient(chat_app, transport=transport) as client:
        with pytest.raises(ConnectionRefused):
            await client.connect("/")
        await client.connect("/", auth={"name": "ada"})
    assert Chat.left == [("ada", "transport close")]


async def test_the_empty_name_is_the_global_namespace_too() -> None:
    async with serve(Recorder, name="") as client:
        namespace = await client.connect("/")
        assert await namespace.call("echo", 1) == 1


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        (None, None),
        ((), None),
        ([], []),
        ([1, 2], [1, 2]),
        ((1, 2), (1, 2)),
        (0, 0),
        ("", ""),
        (False, False),
        ({}, {}),
    ],
)
async def test_what_a_handler_returns_is_the_ack(returned: Any, got: Any, way: Way) -> None:
    class Returning(BaseNamespace):
        async def on_ask(self) -> Any:
            return returned

        def on_ask_plainly(self) -> Any:
            return returned

    async with serve(Returning, **way) as client:
        namespace = await client.connect()
        assert await namespace.call("ask") == got
        assert await namespace.call("ask plainly") == got


# 2. Awaited from a view


def view_app(view: Callable[[Any], Awaitable[None]], **settings: Any) -> SocketIOApp:
    """A SocketIOApp around a bare ASGI app; ``view(scope)`` awaits socketio_manage, or returns to answer 401."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await receive()
        await view(scope)
        await send({"type": "http.response.start", "status": 401, "headers": [(b"x-why", b"because")]})
        await send({"type": "http.response.body", "body": b"who are you?"})

    return SocketIOApp(app, **settings)


async def test_a_view_awaits_the_life_of_the_socket(way: Way) -> None:
    seen: list[str] = []

    async def view(scope: Any) -> None:
        seen.append("before")
        await socketio_manage(scope, {"/chat": Recorder}, request="the request")
        seen.append("after")

    async with TestClient(view_app(view), **way) as client:
        namespace = await client.connect("/chat")
        assert await namespace.call("echo", 1) == 1
        recorder = Recorder.last
        assert recorder.request == "the request"
        assert recorder.environ["socketio"] is recorder.socket
        assert isinstance(recorder.socket, Socket)
        assert seen == ["before"]
    assert seen == ["before", "after"]
    assert recorder.reasons == ["transport close"]


async def test_a_view_that_answers_refuses_with_that_answer(way: Way) -> None:
    async def view(scope: Any) -> None: ...

    async with TestClient(view_app(view), **way) as client:
        with pytest.raises(ClientRefused) as refusal:
            await client.connect()
    if way == {"generation": "0.9", "transport": "jsonp"}:  # whose client cannot see a status
        assert (refusal.value.status, refusal.value.body) == (200, b'io.j[0](new Error("who are you?"));')
    else:
        status, why = refusal.value.status, refusal.value.headers["x-why"]
        assert (status, why, refusal.value.body) == (401, "because", b"who are you?")


async def test_a_scope_without_a_socket_says_what_is_missing() -> None:
    with pytest.raises(asocketio.UsageError, match="SocketIOApp"):
        await socketio_manage({"type": "http"}, {})


async def test_a_socket_has_one_manager(way: Way) -> None:
    async def view(scope: Any) -> None:
        await socketio_manage(scope, {"/": Recorder})
        with pytest.raises(asocketio.UsageError, match="managed already"):
            await socketio_manage(scope, {"/": Recorder})

    async with TestClient(view_app(view), **way) as client:
        await client.connect()


# 4. Talking


class Talk(Recorder, RoomsMixin, BroadcastMixin):
    """Each statement of the documentation as one event."""

    def initialize(self) -> None:
        self.got: list[Any] = []

    def got_it(self, *args: Any) -> None:
        self.got.append(args)

    async def on_emit(self) -> None:
        await self.emit("news", {"a": 1}, "text" if self.socket.protocol.generation == "0.9" else b"raw")

    def on_callback(self) -> None:
        self.emit("news", 1, callback=self.got_it)

    async def on_call(self) -> Any:
        return await self.call("question", 42, timeout=5)

    async def on_send(self) -> None:
        await self.send("text")
        await self.send({"j": 1}, json=True)

    async def on_join(self, *rooms: str) -> str:
        for room in rooms:
            self.join(room)
        return self.sid

    async def on_shout(self) -> None:
        await self.to("room1", "room2").except_("muted").emit("x")

    async def on_ask_all(self) -> Any:
        return await self.to("room").timeout(5).call("vote")

    async def on_volatile(self) -> None:
        await self.volatile.emit("v1")
        await self.local.emit("l1")
        await self.volatile.to("room1").local.emit("x1")

    async def on_tick(self) -> None:
        self.spawn(self.ticker, 1.0)

    async def ticker(self, seconds: float) -> None:
        await self.emit("tick", seconds)
        await asyncio.Event().wait()

    async def on_leave(self) -> None:
        await self.disconnect()

    async def on_go(self) -> None:
        await self.socket.disconnect()

    async def on_allow(self) -> None:
        self.socket["/admin"].add_acl_method("on_kick")


class Admin(Recorder):
    def get_initial_acl(self) -> list[str]:
        return ["on_echo"]

    def on_kick(self) -> str:
        return "kicked"


async def test_emit_callback_call_and_send(way: Way) -> None:
    async with serve(Talk, **way) as client:
        talk = await client.connect()
        await talk.emit("emit")
        assert await talk.receive() == ("news", {"a": 1}, binary(way))
        talk.on("news", lambda number: ("a", number))
        await talk.call("callback")
        talk.on("question", lambda number: number + 1)
        assert await talk.call("call") == 43
        assert Talk.last.got == [("a", 1)]
        await talk.emit("send")
        assert [await talk.receive(), await talk.receive()] == [("message", "text"), ("message", {"j": 1})]


async def test_a_call_without_an_answer_times_out(way: Way) -> None:
    async with serve(Talk, **way) as client:
        talk = await client.connect()
        question = asyncio.create_task(talk.call("call"))
        assert await talk.receive() == ("question", 42)
        await client.advance(4.9)
        assert not question.done()
        await client.advance(0.2)
        assert (await question)["error"]["name"] == "handler_error"


async def members(app: SocketIOApp, way: Way, count: int) -> Any:
    clients = [TestClient(app, **way) for _ in range(count)]
    for client in clients:
        await client.__aenter__()
    return clients, [await client.connect() for client in clients]


async def leave(clients: list[TestClient]) -> None:
    for client in clients:
        await client.__aexit__(None, None, None)


async def test_rooms_and_operators(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Talk})
    clients, (ada, bob, eve) = await members(app, way, 3)
    await ada.call("join", "room1", "room2")
    await bob.call("join", "room1", "room2", "room")
    await eve.call("join", "room2", "muted", "room")
    await ada.emit("shout")
    assert await bob.receive() == ("x",)
    bob.on("vote", lambda: "yes")
    eve.on("vote", lambda: ("no", 1))
    assert sorted(await ada.call("ask all"), key=str) == ["no", "yes"]  # the first argument of each
    await ada.emit("volatile")
    assert await ada.receive() == ("v1",)
    assert await bob.receive() == ("l1",)
    assert await bob.receive() == ("x1",)
    assert await eve.receive() == ("l1",)
    sid = await bob.call("join")
    await app.of("/").to(sid).emit("only you")
    assert await bob.receive() == ("only you",)
    await app.of("/").to("room1").emit("both")
    assert [await ada.receive(), await bob.receive()] == [("both",), ("both",)]
    for someone in (ada, bob, eve):
        await someone.nothing()
    await leave(clients)


async def test_asking_all_gives_the_answers_so_far_when_some_are_missing() -> None:
    app = SocketIOApp(namespaces={"/": Talk})
    clients, (_, bob, eve) = await members(app, {"generation": 4, "transport": "websocket"}, 3)
    for each in (bob, eve):
        await each.call("join", "room")
    bob.on("vote", lambda: "yes")
    asking = asyncio.create_task(app.of("/").to("room").timeout(5).call("vote"))
    assert await eve.receive() == ("vote",)
    await clients[0].advance(6)
    with pytest.raises(AckTimeout) as missing:
        await asking
    assert missing.value.answers == ["yes"]
    await leave(clients)


async def test_jobs_end_with_their_namespace(way: Way) -> None:
    async with serve(Talk, **way) as client:
        talk = await client.connect()
        await talk.call("tick")
        assert await talk.receive() == ("tick", 1.0)
        (job,) = Talk.last._member.jobs or set()
        with pytest.raises(Disconnected, match="io server disconnect"):
            await talk.call("leave")
        assert await talk.disconnected() == "io server disconnect"
        await asyncio.wait([job])
        assert job.cancelled()
        assert Talk.last.reasons == ["server namespace disconnect"]


async def test_the_whole_client_is_thrown_out(way: Way) -> None:
    async with serve(Talk, **way, also={"/admin": Admin}) as client:
        talk, admin = await client.connect(), await client.connect("/admin")
        await talk.emit("go")
        assert await talk.disconnected() == "io server disconnect"
        assert await admin.disconnected() == "io server disconnect"
    assert Talk.last.reasons == ["server namespace disconnect"]
    assert Admin.last.reasons == ["server namespace disconnect"]


async def test_another_namespace_of_the_same_client(way: Way) -> None:
    async with serve(Talk, **way, also={"/admin": Admin}) as client:
        talk, admin = await client.connect(), await client.connect("/admin")
        assert await admin.call("kick") == {
            "error": {"name": "method_access_denied", "message": 'You do not have access to method "on_kick"'}
        }
        await talk.call("allow")
        assert await admin.call("kick") == "kicked"
        sessid = client.handshake["sid"]
        app: Any = client.app
        public = [app.server.sockets[sessid][name].sid for name in ("/", "/admin")]
        assert all(re.fullmatch("~[A-Za-z0-9_-]{20}", sid) for sid in public)
        assert len({*public, "~" + sessid}) == 3
        if way["generation"] == 4:
            assert [talk.sid, admin.sid] == public
        else:  # what these clients call socket.id they make of the session's id
            assert (talk.sid, admin.sid) == (sessid, sessid if way["generation"] == "0.9" else f"/admin#{sessid}")


async def test_emitting_from_a_request_and_by_the_application() -> None:
    async def site(scope: Any, receive: Any, send: Any) -> None:
        await scope["asocketio"].of("/").emit("x", scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    app = SocketIOApp(site, namespaces={"/": Recorder})
    async with TestClient(app) as client:
        namespace = await client.connect()
        assert await call_of(app, "/page") == (200, b"done")
        assert await namespace.receive() == ("x", "/page")
        await asocketio.of(site, "/").emit("y")
        await asocketio.of(app, "/").emit("z")
        assert [await namespace.receive(), await namespace.receive()] == [("y",), ("z",)]


async def test_emitting_from_another_thread() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app) as client:
        namespace = await client.connect()
        await asyncio.to_thread(lambda: app.of("/").emit("from a thread", 1))
        assert await namespace.receive() == ("from a thread", 1)


# 5. gevent-socketio's own ways


class Gevent(BaseNamespace):
    """Plain functions, hooks and packets."""

    seen: ClassVar[list[Any]] = []

    def initialize(self) -> None:
        self.seen.append("initialize")

    def recv_connect(self) -> None:
        self.seen.append("connect")

    def recv_message(self, data: Any) -> None:
        self.seen.append(("message", data))

    def on_packet(self, packet: Packet) -> Any:
        self.seen.append((packet["type"], packet.get("name"), packet["args"], "ack" in packet))
        return packet.get("id")

    def on_manual(self, first: Any, second: Any = 2) -> Any:
        return [first, second]

    def recv_disconnect(self) -> None:
        self.seen.append("disconnect")


async def test_hooks_and_plain_handlers(way: Way) -> None:
    Gevent.seen = []
    async with serve(Gevent, **way) as client:
        namespace = await client.connect()
        await namespace.send("hello")
        assert await namespace.call("packet", 1, "2") == 0
        assert await namespace.call("manual", 1) == [1, 2]
    assert Gevent.seen == [
        "initialize",
        "connect",
        ("message", "hello"),
        ("event", "packet", [1, "2"], True),
        "disconnect",
    ]


async def test_initialize_runs_on_every_class_that_has_its_own() -> None:
    order: list[str] = []

    class Mixin:
        def initialize(self) -> None:
            order.append("mixin")

    class Parent(BaseNamespace):
        def initialize(self) -> None:
            order.append("parent")

    class Child(Parent, Mixin):
        def initialize(self) -> None:
            order.append("child")

    async with serve(Child) as client:
        await client.connect()
    assert order == ["child", "parent", "mixin"]


async def test_the_hooks_of_dispatch_may_be_async_and_call_super(way: Way) -> None:
    steps: list[str] = []

    class Hooked(BaseNamespace):
        async def process_packet(self, packet: Packet) -> Any:
            steps.append(f"packet {packet.type}")
            return await super().process_packet(packet)

        async def process_event(self, packet: Packet) -> Any:
            steps.append("event")
            return await super().process_event(packet)

        def call_method_with_acl(self, method_name: str, packet: Packet, *args: Any) -> Any:
            steps.append("acl")
            return super().call_method_with_acl(method_name, packet, *args)

        async def call_method(self, method_name: str, packet: Packet, *args: Any) -> Any:
            steps.append(method_name)
            return await super().call_method(method_name, packet, *args)

        def on_plain(self) -> str:
            return "plain"

        async def on_async(self) -> str:
            await asyncio.sleep(0)
            return "async"

    async with serve(Hooked, **way) as client:
        namespace = await client.connect()
        assert [await namespace.call("plain"), await namespace.call("async")] == ["plain", "async"]
    assert steps == [
        "packet connect", "recv_connect",
        "packet event", "event", "acl", "on_plain",
        "packet event", "event", "acl", "on_async",
        "packet disconnect", "recv_disconnect",
    ]  # fmt: skip


async def test_a_decorator_that_swallows_a_refusal_lets_nobody_in(way: Way) -> None:
    seen: list[str] = []

    class Guarded(BaseNamespace):
        def exception_handler_decorator(self, function: Callable[..., Any]) -> Callable[..., Any]:
            async def wrapped(*args: Any) -> Any:
                try:
                    return await function(*args)
                except Exception as error:
                    seen.append(f"{function.__name__}: {error}")

            return wrapped

        def recv_connect(self) -> None:
            raise ConnectionRefused("no")

    async with serve(Recorder, also={"/guarded": Guarded}, **way) as client:
        await client.connect("/")
        with pytest.raises(ConnectionRefused):
            await client.connect("/guarded")
    assert seen == ["recv_connect: no"]


async def test_exception_handler_decorator_wraps_handlers_and_jobs() -> None:
    caught: list[str] = []

    class Guarded(BaseNamespace):
        def exception_handler_decorator(self, function: Callable[..., Any]) -> Callable[..., Any]:
            async def wrapped(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await function(*args, **kwargs)
                except ValueError as error:
                    caught.append(str(error))

            return wrapped

        async def recv_connect(self) -> None: ...

        async def recv_disconnect(self) -> None: ...

        async def on_fail(self) -> None:
            raise ValueError("handler")

        async def on_job(self) -> None:
            await self.spawn(self.job)

        async def job(self) -> None:
            raise ValueError("job")

    async with serve(Guarded) as client:
        namespace = await client.connect()
        assert [await namespace.call("fail"), await namespace.call("job")] == [None, None]
    assert caught == ["handler", "job"]


async def test_error_reaches_the_error_handler() -> None:
    told: list[Any] = []

    def handler(socket: Socket, name: str, message: str, endpoint: str, msg_id: int | None, quiet: bool) -> None:
        told.append((type(socket), name, message, endpoint, msg_id, quiet))

    class Failing(BaseNamespace):
        def on_complain(self) -> None:
            self.error("my_error", "it went wrong", msg_id=3, quiet=True)

    async def view(scope: Any) -> None:
        await socketio_manage(scope, {"/a": Failing}, error_handler=handler)

    async with TestClient(view_app(view)) as client:
        namespace = await client.connect("/a")
        await namespace.call("complain")
        await namespace.emit("nothing")
        await namespace.nothing()
    assert told == [
        (Socket, "my_error", "it went wrong", "/a", 3, True),
        (Socket, "no_such_method", "There is no handler for the event 'nothing'", "/a", None, False),
    ]


async def test_the_default_error_handler_emits_error(way: Way) -> None:
    async with serve(Recorder, **way) as client:
        namespace = await client.connect()
        await namespace.emit("nothing")
        assert await namespace.receive() == ("error", "no_such_method", "There is no handler for the event 'nothing'")


async def test_the_acl_methods() -> None:
    class Guarded(BaseNamespace):
        def get_initial_acl(self) -> list[str]:
            return ["on_open"]

        def on_open(self) -> Any:
            return sorted(self.allowed_methods or ())

        def on_secret(self) -> str:
            return "secret"

        def on_grant(self) -> None:
            raise AssertionError

    async with serve(Guarded) as client:
        namespace = await client.connect()
        guarded = server_side_of(client)
        assert await namespace.call("open") == ["on_open"]
        assert "method_access_denied" in str(await namespace.call("secret"))
        guarded.add_acl_method("on_secret")
        assert await namespace.call("secret") == "secret"
        assert guarded.is_method_allowed("on_secret")
        guarded.del_acl_method("on_secret")
        assert not guarded.is_method_allowed("on_secret")
        with pytest.raises(KeyError):
            guarded.del_acl_method("on_secret")
        guarded.lift_acl_restrictions()
        assert await namespace.call("secret") == "secret"
        with pytest.raises(ValueError, match="no ACL restrictions"):
            guarded.del_acl_method("on_secret")
        guarded.reset_acl()
        assert guarded.allowed_methods == {"on_open"}


def server_side_of(client: TestClient) -> BaseNamespace:
    """The server's side of the only client of an app."""
    assert isinstance(client.app, SocketIOApp)
    (socket,) = client.app.server.sockets.values()
    return socket["/"]


async def test_send_packet_takes_dicts_and_packets(way: Way) -> None:
    class Sender(BaseNamespace):
        def on_send(self) -> None:
            self.socket.send_packet({"type": "event", "name": "a", "args": [1], "endpoint": self.ns_name})
            self.socket.send_packet(Packet(asocketio.PacketType.EVENT, self.ns_name, name="b", args=[2]))

    async with serve(Sender, **way) as client:
        namespace = await client.connect()
        await namespace.emit("send")
        assert [await namespace.receive(), await namespace.receive()] == [("a", 1), ("b", 2)]


async def test_the_socket_as_gevent_knows_it() -> None:
    async with serve(Recorder, also={"/b": Admin}) as client:
        await client.connect()
        socket = Recorder.last.socket
        assert socket.connected
        assert socket.GLOBAL_NS == ""
        assert socket[""] is socket["/"] is Recorder.last
        assert socket.active_ns == {"": Recorder.last}
        assert "" in socket
        assert "/b" not in socket
        with pytest.raises(KeyError, match="not in the namespace"):
            socket["/b"]
        assert socket.server.sockets == {socket.sessid: socket}
        assert socket.session is Recorder.last.session
        assert socket.sessid not in repr(socket)
    assert not socket.connected


async def test_custom_json(way: Way) -> None:
    import json

    def loads(text: str) -> Any:
        return json.loads(text, parse_float=str)

    async def view(scope: Any) -> None:
        await socketio_manage(
            scope, {"/": Recorder}, json_loads=loads, json_dumps=lambda value: json.dumps(value).encode()
        )

    async with TestClient(view_app(view), **way) as client:
        namespace: ClientNamespace = await client.connect()
        assert await namespace.call("echo", {"a": 1.5, "b": binary(way)}) == {"a": "1.5", "b": binary(way)}
