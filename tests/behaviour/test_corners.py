"""The hard cases, one test for each ruling, in every generation over every transport where that can matter."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from contextlib import suppress
from typing import Any, ClassVar

import anyio
import pytest

from asocketio import (
    AckTimeout,
    BaseNamespace,
    BroadcastMixin,
    ConnectionRefused,
    Disconnected,
    Overflow,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
    UsageError,
    socketio_manage,
)
from asocketio.testing import ClientRefused, TestClient, settle
from tests.clients.asgi import Client
from tests.support.worlds import Recorder, Transport, Way, call_of, refused_by_connect_timeout, serve, until

Log = pytest.LogCaptureFixture
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def app_of(view: Any, **settings: Any) -> SocketIOApp:
    """``view(scope, receive, send)`` without lifespan."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await view(scope, receive, send)

    return SocketIOApp(app, **settings)


async def respond(send: Any, status: int = 200, headers: Any = (), body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


# HandshakeTransport and the view


async def test_the_view_sees_a_get_of_the_same_url(way: Way) -> None:
    seen: dict[str, Any] = {}

    async def view(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await respond(send, 401)

    async with TestClient(app_of(view), **way, path="/socket.io") as client:
        with pytest.raises(ClientRefused):
            await client.connect()
    path = "/socket.io/1/" if way["generation"] == "0.9" else "/socket.io/"
    got = {k: seen[k] for k in ("type", "method", "scheme", "http_version", "path", "raw_path", "extensions")}
    assert got == {
        "type": "http", "method": "GET", "scheme": "http", "http_version": "1.1",
        "path": path, "raw_path": path.encode(), "extensions": {"asocketio.clock": client_clock(seen)},
    }  # fmt: skip
    assert "subprotocols" not in seen


def client_clock(scope: Any) -> Any:
    return scope["extensions"]["asocketio.clock"]


async def test_receive_of_the_view_says_disconnect_only_after_its_response(way: Way) -> None:
    heard: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])
        listener = asyncio.create_task(receive())
        await socketio_manage(scope, {"/": Recorder})
        await settle()
        assert not listener.done()
        await respond(send)
        heard.append((await listener)["type"])

    async with TestClient(app_of(view), **way) as client:
        namespace = await client.connect()
        assert await namespace.call("echo", 1) == 1
    assert heard == ["http.request", "http.disconnect"]


async def test_receive_of_the_view_says_disconnect_when_the_client_leaves_before_it_is_let_in(
    transport: Transport,
) -> None:
    heard: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        heard.append((await receive())["type"])

    app = app_of(view)
    sent: list[Any] = []
    kind = "websocket" if transport == "websocket" else "http"
    first = {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "more_body": False}
    messages = [{"type": f"{kind}.disconnect"}, first]

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind, "path": "/socket.io/", "method": "GET", "headers": [],
        "query_string": f"EIO=4&transport={transport}".encode(),
    }  # fmt: skip
    await app(scope, receive, send)
    assert heard == ["http.disconnect"]


async def test_a_message_that_the_view_peeked_at_is_not_lost() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        listener = asyncio.create_task(receive())
        await settle()
        await socketio_manage(scope, {"/": Recorder})
        listener.cancel()

    async with TestClient(app_of(view)) as client:
        namespace = await client.connect()
        assert await namespace.call("echo", "first") == "first"


async def test_what_the_view_holds_lives_as_long_as_the_socket(way: Way) -> None:
    events: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        variable.set("held")
        try:
            await socketio_manage(scope, {"/": Holding})
        finally:
            events.append("released")

    class Holding(BaseNamespace):
        async def on_ask(self) -> str:
            value = variable.get()
            variable.set("changed by the handler")  # one copy of the view's context per handler
            return value

        async def recv_disconnect(self, reason: str) -> None:
            events.append(variable.get())

    async with TestClient(app_of(view), **way) as client:
        namespace = await client.connect()
        assert [await namespace.call("ask"), await namespace.call("ask")] == ["held", "held"]
        assert events == []
    assert events == ["held", "released"]


async def test_a_refusal_has_our_cors_headers_once() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, 403, [(b"Access-Control-Allow-Origin", b"*"), (b"x-why", b"no")], b"no")

    app = app_of(view, cors_allowed_origins=["https://a.example"])
    async with TestClient(app, transport="polling", headers={"origin": "https://a.example"}) as client:
        with pytest.raises(ClientRefused) as refusal:
            await client.connect()
    assert refusal.value.headers == {
        "x-why": "no",
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-credentials": "true",
        "vary": "Origin",
    }


async def test_a_404_from_the_application_at_a_handshake_logs_a_hint(way: Way, caplog: Log) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, 404)

    async with TestClient(app_of(view), **way) as client:
        with pytest.raises(ClientRefused):
            await client.connect()
    assert "give it a view there that awaits socketio_manage" in caplog.text


async def test_an_exception_in_the_view_passes_on_to_the_server(way: Way) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken view")

    app = app_of(view)
    with pytest.raises(ValueError, match="broken view"):
        async with TestClient(app, **way) as client:
            await client.connect()
    assert app.server.sockets == {}


async def test_an_exception_after_the_life_passes_on_too() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await socketio_manage(scope, {"/": Recorder})
        raise ValueError("after")

    with pytest.raises(ValueError, match="after"):
        async with TestClient(app_of(view)) as client:
            await client.connect()
    assert Recorder.last.reasons == ["transport close"]


async def test_a_view_that_does_nothing_is_a_500(way: Way, caplog: Log) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None: ...

    async with TestClient(app_of(view), **way) as client:
        with pytest.raises(ClientRefused, match=r"500|new Error"):
            await client.connect()
    assert "without awaiting socketio_manage and without a response" in caplog.text


async def test_a_view_that_never_decides_is_ended_by_connect_timeout(way: Way) -> None:
    ended: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async with TestClient(app_of(view), **way) as client:
        await refused_by_connect_timeout(client)
    assert ended == ["ended"]


async def test_a_cancelled_view_ends_its_socket(way: Way) -> None:
    tasks: list[Any] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        with pytest.raises(asyncio.CancelledError):
            await socketio_manage(scope, {"/": Recorder})

    async with TestClient(app_of(view), **way) as client:
        namespace = await client.connect()
        tasks[0].cancel()
        assert await namespace.disconnected() == "transport close"
    assert Recorder.last.reasons == ["forced server close"]


@pytest.mark.parametrize(
    ("root_path", "path"),
    [("", "/socket.io/"), ("/api", "/api/socket.io/"), ("/api", "/socket.io/"), ("/socket.io", "/socket.io/"),
     ("/a/socket.io", "/a/socket.io/"), ("/socket.io", "/socket.io"), ("/socket.io", "/socket.io/socket.io/")],
)  # fmt: skip
async def test_the_path_is_found_below_any_mount(root_path: str, path: str, way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app({**scope, "root_path": root_path}, receive, send)

    async with TestClient(mounted, **way, path=path) as client:
        assert await (await client.connect()).call("echo", 1) == 1


async def test_a_path_that_does_not_match_is_404_with_both_paths_in_the_log(way: Way, caplog: Log) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, path="/realtime/")
    async with TestClient(app, **way) as client:
        with pytest.raises(ClientRefused, match="404"):
            await client.connect()
    assert "'/socket.io/" in caplog.text
    assert "'/realtime/'" in caplog.text


# Ids


async def test_ids_are_unguessable_and_sid_is_not_the_session(way: Way) -> None:
    async with serve(Recorder, **way) as client:
        namespace = await client.connect()
        sessid = Recorder.last.socket.sessid
        assert client.handshake["sid"] == sessid
        assert (namespace.sid == Recorder.last.sid) is (way["generation"] == 4)
        assert len(sessid) * 6 >= 120  # base64url
        assert sessid not in Recorder.last.sid
        assert Recorder.last.sid[1:] not in sessid


async def test_the_session_id_is_never_logged_whole(caplog: Log, way: Way) -> None:
    caplog.set_level(logging.DEBUG, "asocketio")

    class Leaving(Recorder):
        def on_out(self) -> None:
            self.socket.disconnect()

    async with serve(Leaving, **way) as client:
        namespace = await client.connect()
        sessid = Leaving.last.socket.sessid
        await namespace.emit("nothing")
        with pytest.raises(ConnectionRefused):
            await client.connect("/nope")
        with suppress(Disconnected):  # some generations end the connection for it
            await client.post_frames("4:abc")
            await namespace.emit("out")
        await namespace.disconnected()
    assert sessid not in caplog.text
    assert caplog.text != ""


# Dispatch


class Ordered(Recorder, RoomsMixin, BroadcastMixin):
    """Handlers that wait for the test."""

    log: ClassVar[list[Any]] = []
    gate: asyncio.Event

    async def on_wait(self, name: Any) -> Any:
        self.log.append(("start", name))
        await self.gate.wait()
        self.log.append(("end", name))
        return name

    async def on_now(self, name: Any) -> Any:
        self.log.append(name)
        return name

    async def on_ask(self, question: str) -> Any:
        return await self.call(question)

    async def recv_disconnect(self, reason: str) -> None:
        self.log.append(("gone", reason))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Ordered.log = []
    Ordered.gate = asyncio.Event()


async def test_events_are_handled_in_order(way: Way) -> None:
    async with serve(Ordered, **way) as client:
        namespace = await client.connect()
        await namespace.emit("wait", 1)
        await namespace.emit("now", 2)
        await settle()
        assert Ordered.log == [("start", 1)]
        Ordered.gate.set()
        assert await namespace.call("now", 3) == 3
        assert Ordered.log == [("start", 1), ("end", 1), 2, 3]


async def test_concurrency_lets_handlers_overlap_started_in_order() -> None:
    async with serve(Ordered, concurrency=2) as client:
        namespace = await client.connect()
        for number in (1, 2, 3):
            await namespace.emit("wait", number)
        await settle()
        assert Ordered.log == [("start", 1), ("start", 2)]
        Ordered.gate.set()
        await namespace.call("now", 4)
        assert Ordered.log == [("start", 1), ("start", 2), ("end", 1), ("start", 3), ("end", 3), 4, ("end", 2)] or (
            Ordered.log[:2] == [("start", 1), ("start", 2)] and ("end", 3) in Ordered.log
        )


async def test_an_ordered_handler_may_await_its_own_client(way: Way) -> None:
    async with serve(Ordered, **way) as client:
        namespace = await client.connect()
        namespace.on("why", lambda: "because")
        assert await namespace.call("ask", "why") == "because"


async def test_emits_in_recv_connect_follow_the_connect_packet(way: Way) -> None:
    class Eager(BaseNamespace, RoomsMixin, BroadcastMixin):
        async def recv_connect(self, auth: Any) -> None:
            self.join("room")
            await self.emit("own")
            await self.broadcast_event("all")
            await asyncio.sleep(0)
            self.socket.server.adapter.broadcast(
                Packet(PacketType.EVENT, name="room"),
                self.to("room").except_().target.__class__("", frozenset({"room"})),
            )
            self.emit("asked", callback=self.got)

        def got(self, answer: str) -> None:
            self.session["answer"] = answer

        def on_answer(self) -> Any:
            return self.session.get("answer")

    async with serve(Eager, **way) as client:
        namespace = await client.connect()
        assert namespace.sid
        assert [(await namespace.receive())[0] for _ in range(4)] == ["own", "all", "room", "asked"]


async def test_emits_of_a_refused_recv_connect_are_dropped(way: Way) -> None:
    class Refusing(BaseNamespace, RoomsMixin):
        async def recv_connect(self, auth: Any) -> None:
            self.join("room")
            await self.emit("own")
            self.emit("asked", callback=print)
            raise ConnectionRefused("no")

    app = SocketIOApp(namespaces={"/": Refusing})
    async with TestClient(app, **way) as client:
        with pytest.raises(ClientRefused if way["generation"] == "0.9" else ConnectionRefused, match=r"no|Error"):
            await client.connect()
        assert list(client.namespaces[""].pending) == []
        await app.of("/").to("room").emit("nobody")
        await client.namespaces[""].nothing()
        if way["generation"] == "0.9":
            assert app.server.sockets == {}
            return
        (socket,) = app.server.sockets.values()
        assert socket.members == {}
        assert len(socket.acks) == 0


async def test_call_in_recv_connect_is_a_usage_error(caplog: Log) -> None:
    class Asking(BaseNamespace):
        async def recv_connect(self, auth: Any) -> None:
            await self.call("question")

    async with serve(Asking) as client:
        with pytest.raises(ConnectionRefused, match="Internal server error"):
            await client.connect()
    assert "can never be answered" in caplog.text


async def test_a_job_spawned_in_recv_connect_may_call() -> None:
    class Asking(BaseNamespace):
        async def recv_connect(self, auth: Any) -> None:
            self.spawn(self.ask)
            await asyncio.sleep(0.01)

        async def ask(self) -> None:
            await self.emit("got", await self.call("question"))

    async with serve(Asking) as client:
        namespace = await client.connect(on={"question": lambda: "answer"})
        assert await namespace.receive() == ("got", "answer")


async def test_closing_while_a_handler_runs(way: Way) -> None:
    async with serve(Ordered, **way) as client:
        namespace = await client.connect()
        await namespace.emit("wait", 1)
        await namespace.emit("now", 2)
        await settle()
        leaving = asyncio.create_task(client.lose())
        await settle()
        assert Ordered.log == [("start", 1)]
        Ordered.gate.set()
        await leaving
    assert Ordered.log == [("start", 1), ("end", 1), 2, ("gone", Ordered.log[-1][1])]


async def test_a_handler_that_goes_on_is_cancelled_after_close_grace() -> None:
    async with serve(Ordered, close_grace=3) as client:
        namespace = await client.connect()
        await namespace.emit("wait", 1)
        await settle()
        client._transport._call.inbox.put_nowait({"type": "websocket.disconnect"})  # type: ignore[union-attr]
        await client.advance(2.9)
        assert Ordered.log == [("start", 1)]
        await client.advance(0.2)
        assert Ordered.log == [("start", 1), ("gone", "transport close")]


async def test_pending_calls_fail_with_disconnected_at_the_end(way: Way) -> None:
    failed: list[Any] = []

    class Asking(BaseNamespace):
        async def on_ask(self) -> None:
            try:
                await self.call("question")
            except Disconnected as error:
                failed.append(error.reason)

    async with serve(Asking, **way) as client:
        namespace = await client.connect()
        await namespace.emit("ask")
        assert await namespace.receive() == ("question",)
    assert failed == ["transport close"]


async def test_rooms_are_still_there_in_recv_disconnect() -> None:
    class Parting(BaseNamespace, RoomsMixin):
        async def on_join(self) -> None:
            self.join("room")

        async def recv_disconnect(self, reason: str) -> None:
            assert self.rooms == {"room"}
            await self.emit_to_room("room", "bye", reason)

    app = SocketIOApp(namespaces={"/": Parting})
    async with TestClient(app) as one, TestClient(app) as two:
        ada, bob = await one.connect(), await two.connect()
        await ada.call("join")
        await bob.call("join")
        await ada.disconnect()
        assert await bob.receive() == ("bye", "client namespace disconnect")
    assert app.server.adapter.local.rooms == {}


async def test_disconnect_in_a_handler_returns_once_it_is_queued(way: Way) -> None:
    class Parting(Recorder):
        async def on_leave(self) -> None:
            await self.disconnect()
            assert self.reasons == []
            self.socket.session["went on"] = True

    async with serve(Parting, **way) as client:
        namespace = await client.connect()
        await namespace.emit("leave")
        assert await namespace.disconnected() == "io server disconnect"
        await until(lambda: Parting.last.reasons == ["server namespace disconnect"])
        assert Parting.last.session == {"went on": True}
        assert Parting.last.socket.connected is (way["generation"] != "0.9")


async def test_disconnect_in_a_job() -> None:
    class Parting(Recorder):
        async def on_job(self) -> None:
            self.spawn(self.leave)

        async def leave(self) -> None:
            await self.disconnect()

    async with serve(Parting) as client:
        namespace = await client.connect()
        await namespace.emit("job")
        assert await namespace.disconnected() == "io server disconnect"
        await until(lambda: Parting.last.reasons == ["server namespace disconnect"])


async def test_disconnect_in_recv_connect_comes_after_the_connect() -> None:
    class Fleeting(Recorder):
        async def recv_connect(self, auth: Any) -> None:
            await self.emit("hello")
            await self.disconnect()

    async with serve(Fleeting) as client:
        namespace = await client.connect()
        assert await namespace.receive() == ("hello",)
        assert await namespace.disconnected() == "io server disconnect"
        await until(lambda: Fleeting.last.reasons == ["server namespace disconnect"])


async def test_events_for_a_namespace_left_before_are_dropped(way: Way) -> None:
    async with serve(Recorder, **way, also={"/b": Ordered}) as client:
        namespace, other = await client.connect(), await client.connect("/b")
        await other.disconnect()
        await other.emit("now", 1)
        assert await namespace.call("echo", "still here") == "still here"
    assert Ordered.log == [("gone", "client namespace disconnect")]


async def test_events_for_a_namespace_never_joined_end_the_connection(transport: Transport) -> None:
    async with serve(Recorder, transport=transport, also={"/b": Ordered}) as client:
        namespace = await client.connect()
        await client.post(Packet(PacketType.EVENT, "/b", name="now", args=[1]))
        assert await namespace.disconnected() == "transport close" or namespace.reason == "transport error"
    assert Recorder.last.reasons == ["forced close"]


async def test_events_sent_with_the_connect_wait_for_it(way: Way) -> None:
    class Slow(Ordered):
        async def recv_connect(self, auth: Any) -> None:
            await asyncio.sleep(0.01)
            self.log.append("connected")

    async with serve(Slow, **way) as client:
        await client.open()
        if way["generation"] == 4:
            await client.post_frames("40")
        await client.post(Packet(PacketType.EVENT, name="now", args=[1]))
        await until(lambda: Ordered.log == ["connected", 1])


async def test_what_an_ack_carries_when_a_handler_fails(way: Way, caplog: Log) -> None:
    class Failing(Recorder):
        def get_initial_acl(self) -> list[str]:
            return ["on_echo", "on_fail", "on_one", "on_bad"]

        async def on_fail(self) -> None:
            raise ValueError("secret")

        async def on_one(self, one: Any) -> None: ...

        async def on_bad(self) -> Any:
            return object()

        async def on_denied(self) -> None: ...

    async with serve(Failing, **way) as client:
        namespace = await client.connect()
        names = [
            (await namespace.call(event))["error"]["name"]
            for event in ("fail", "one", "bad", "denied", "nothing", "_x")
        ]
        assert names == [
            "handler_error", "invalid_arguments", "handler_error",
            "method_access_denied", "no_such_method", "no_such_method",
        ]  # fmt: skip
        assert await namespace.call("one") == {
            "error": {"name": "invalid_arguments", "message": 'The method "on_one" takes 1 argument, 0 given'}
        }
        assert "secret" not in str(await namespace.call("fail"))
        assert await namespace.call("echo", "lives on") == "lives on"
    record = next(r for r in caplog.records if r.exc_info and "secret" in str(r.exc_info[1]))
    assert Failing.last.sid[:6] in record.getMessage()
    assert "'fail'" in record.getMessage()


async def test_what_a_client_hears_when_a_handler_fails_and_no_ack_was_wanted(way: Way) -> None:
    class Failing(BaseNamespace):
        async def on_fail(self) -> None:
            raise ValueError("secret")

    async with serve(Failing, **way) as client:
        namespace = await client.connect()
        await namespace.emit("fail")
        assert await namespace.receive() == ("error", "handler_error", "The handler of 'fail' failed")


async def test_a_long_handler_is_named_in_the_log(caplog: Log) -> None:
    async with serve(Ordered) as client:
        namespace = await client.connect()
        await namespace.emit("wait", 1)
        await client.advance(4.9)
        assert "still running" not in caplog.text
        await client.advance(0.2)
        assert "'wait' in Ordered is still running" in caplog.text
        Ordered.gate.set()


async def test_a_plain_handler_that_blocks_is_named_in_the_log(caplog: Log) -> None:
    import time

    class Blocking(BaseNamespace):
        def on_block(self) -> None:
            time.sleep(0.11)

        async def on_later(self) -> None:
            await asyncio.sleep(0)
            time.sleep(0.11)  # noqa: ASYNC251

    async with serve(Blocking) as client:
        namespace = await client.connect()
        await namespace.call("block")
        await namespace.call("later")
    assert "'block' in Blocking blocked the event loop for 0.1" in caplog.text
    assert "'later' in Blocking blocked the event loop for 0.1" in caplog.text


async def test_acl_never_blocks_connect_and_disconnect() -> None:
    class Closed(Recorder):
        def get_initial_acl(self) -> list[str]:
            return []

        async def recv_connect(self, auth: Any) -> None:
            self.socket.session["connected"] = True

    async with serve(Closed) as client:
        namespace = await client.connect()
        assert "method_access_denied" in str(await namespace.call("echo"))
    assert Closed.last.session == {"connected": True}
    assert Closed.last.reasons == ["transport close"]


async def test_the_first_acl_method_restricts_and_a_list_is_added_to() -> None:
    async with serve(Recorder) as client:
        await client.connect()
        namespace = Recorder.last
        assert namespace.is_method_allowed("on_anything")
        namespace.add_acl_method("on_echo")
        assert (namespace.is_method_allowed("on_echo"), namespace.is_method_allowed("on_other")) == (True, False)
        namespace.get_initial_acl = lambda: ["on_a"]
        namespace.reset_acl()
        namespace.add_acl_method("on_b")
        assert namespace.allowed_methods == {"on_a", "on_b"}


# Sending


async def test_sending_queues_at_the_call_and_makes_no_coroutine() -> None:
    async with serve(Recorder) as client:
        namespace = await client.connect()
        done = [Recorder.last.emit("a"), Recorder.last.emit("b"), Recorder.last.send("c")]
        assert done[0] is done[1] is done[2]
        await asyncio.gather(*map(asyncio.ensure_future, [wait_for(each) for each in done]))
        assert [await namespace.receive() for _ in range(3)] == [("a",), ("b",), ("message", "c")]


async def wait_for(awaitable: Any) -> Any:
    return await awaitable


async def test_an_unencodable_argument_raises_at_the_call() -> None:
    async with serve(Recorder) as client:
        await client.connect()
        for bad in (object(), float("nan"), {1, 2}):
            with pytest.raises(UsageError, match="cannot be sent as JSON"):
                Recorder.last.emit("x", bad)
        with pytest.raises(UsageError, match="reserved"):
            Recorder.last.emit("connect")


async def test_after_the_end_sending_is_silent_until_it_is_awaited(way: Way, caplog: Log) -> None:
    class Late(Recorder):
        async def on_late(self) -> None:
            await Ordered.gate.wait()
            self.emit("silent")
            await self.emit("loud")

    async with serve(Late, **way) as client:
        namespace = await client.connect()
        await namespace.emit("late")
        await settle()
        leaving = asyncio.create_task(client.lose())
        await settle()
        Ordered.gate.set()
        await leaving
    Late.last.emit("silent")
    with pytest.raises(Disconnected):
        await Late.last.emit("loud")
    with pytest.raises(Disconnected):
        await Late.last.call("question")
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_pending_acks_are_bounded() -> None:
    async with serve(Recorder, max_pending_acks=2) as client:
        await client.connect()
        Recorder.last.emit("a", callback=print)
        Recorder.last.emit("b", callback=print)
        with pytest.raises(Overflow):
            Recorder.last.emit("c", callback=print)


async def test_call_has_a_timeout_of_its_own() -> None:
    async with serve(Ordered) as client:
        namespace = await client.connect()
        asking = asyncio.create_task(Ordered.last.call("question"))
        assert await namespace.receive() == ("question",)
        await client.advance(59)
        assert not asking.done()
        await client.advance(2)
        with pytest.raises(AckTimeout):
            await asking


# Ends


async def test_ping_timeout_by_the_clock(way: Way) -> None:
    async with serve(Recorder, **way) as client:
        namespace = await client.connect()
        await client.advance(200)
        assert namespace.reason is None
        client.answers_pings = False
        if way["generation"] == "0.9" and way["transport"] != "websocket":
            return  # there polls are the pings
        await client.advance(25 + (60 if way["generation"] == "0.9" else 20) + 0.1)
        assert Recorder.last.reasons == ["ping timeout"]
        assert await namespace.disconnected() == "transport close"


async def test_a_client_that_joins_nothing_is_closed_by_connect_timeout(transport: Transport) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app, transport=transport) as client:
        await client.open()
        await client.advance(44.9)
        assert len(app.server.sockets) == 1
        await client.advance(0.2)
        assert app.server.sockets == {}


async def test_close_ends_all_and_takes_no_more(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app, **way) as client:
        namespace = await client.connect()
        await app.close()
        assert await namespace.disconnected() == "transport close"
        assert Recorder.last.reasons == ["server shutting down"]
        assert app.server.active_sessions == 0
        async with TestClient(app, **way) as late:
            with pytest.raises(ClientRefused, match=r"503|handshake error"):
                await late.connect()


async def test_nothing_is_left_after_the_end(way: Way) -> None:
    before = asyncio.all_tasks()
    app = SocketIOApp(namespaces={"/": Ordered, "/b": Recorder})
    for ending in ("disconnect", "lose", "close"):
        async with TestClient(app, **way) as client:
            namespace = await client.connect()
            await client.connect("/b")
            await namespace.call("now", 1)
            if ending == "close":
                await Ordered.last.socket.disconnect()
            else:
                await getattr(client, ending)()
        await settle()
        registry = app.server
        assert (registry.active_sessions, registry.sockets if ending != "close" else {}) == (0, {})
        assert registry.adapter.local.namespaces == {}
        assert registry.adapter.local.rooms == {}
        assert asyncio.all_tasks() - before == set()


# Bad input


@pytest.mark.parametrize(
    "frame",
    ["", "x", "4", "4abc", "49", "42{}", "42[]", '42["disconnect"]', '42abc["echo"]', "42[", "2", "40[1]",
     '451-["echo",{"_placeholder":true,"num":1}]', '4511-["echo"]', b"binary", '42["echo",NaN]',
     "42" + "[" * 101 + "]" * 101],
)  # fmt: skip
async def test_a_client_that_breaks_the_rules_loses_its_connection_and_nobody_else(
    frame: str | bytes, transport: Transport, caplog: Log
) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app) as good, TestClient(app, transport=transport) as bad:
        one, two = await good.connect(), await bad.connect()
        reasons = Recorder.last.reasons
        frames = [frame, b"x"] if str(frame).startswith("451-") else [frame]
        await bad.post_frames(*frames)
        await two.disconnected()
        assert await one.call("echo", 1) == 1
        await until(lambda: len(reasons) == 1)
        assert reasons[0] in ("parse error", "forced close")
    assert len([r for r in caplog.records if "closed, the client broke the protocol" in r.getMessage()]) == 1


async def test_ten_thousand_connects_cost_one_log_line_and_nothing_is_kept(caplog: Log) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app, deadline=60) as client:
        namespace = await client.connect()
        for number in range(10_000):
            await client.post_frames(f"40/nope{number},")
        assert await namespace.call("echo", 1) == 1
        (socket,) = app.server.sockets.values()
        assert list(socket.members) == [""]
        assert len(socket.former_namespaces) == 0
    said = len([r for r in caplog.records if "refused the namespace" in r.getMessage()])
    assert 1 <= said <= 6  # one in ten seconds: a slow machine takes longer than that


async def test_a_refused_origin_logs_both_values_and_what_to_write(caplog: Log, way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app, **way, headers={"origin": "http://localhost:5173"}) as client:
        with pytest.raises(ClientRefused, match=r"403|handshake bad origin"):
            await client.connect()
    for part in ("'http://localhost:5173'", "'testserver'", "cors_allowed_origins=['http://localhost:5173']"):
        assert part in caplog.text


async def test_the_same_origin_and_programs_are_let_in() -> None:
    for headers in ({}, {"origin": "http://testserver"}, {"origin": "https://TESTSERVER:443"}):
        app = SocketIOApp(namespaces={"/": Recorder})
        async with TestClient(app, headers=headers) as client:
            assert await (await client.connect()).call("echo", 1) == 1


async def test_preflight_reflects_valid_tokens_for_an_allowed_origin_only() -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cors_allowed_origins=["https://a.example"])
    headers = [
        (b"origin", b"https://a.example"),
        (b"host", b"b"),
        (b"access-control-request-headers", b"x-a, b\x00d, x-b"),
    ]
    call = await Client(app).post(b"", method="OPTIONS", query_string=b"", headers=headers)
    await call.task
    assert call.status == 204
    assert call.headers[b"access-control-allow-headers"] == b"x-a, x-b"
    assert await call_of(app, "/socket.io/", "OPTIONS", headers=[(b"origin", b"https://evil"), (b"host", b"b")]) == (
        403, b'{"code":4,"message":"Forbidden"}',
    )  # fmt: skip


async def test_scopes_of_the_caller_are_undisturbed_by_stepping() -> None:
    """A handler that closes its own socket must not leave a cancellation behind in the task that read the packet."""

    async def view(scope: Any, receive: Any, send: Any) -> None:
        await socketio_manage(scope, {"/": Leaver})
        await asyncio.sleep(0)
        with anyio.move_on_after(10) as outer:
            await asyncio.sleep(0)
        assert not outer.cancelled_caught
        after.append("whole")

    class Leaver(BaseNamespace):
        async def on_go(self) -> None:
            await self.socket.disconnect()

    after: list[str] = []
    async with TestClient(app_of(view)) as client:
        namespace = await client.connect()
        await namespace.emit("go")
        assert await namespace.disconnected() == "io server disconnect"
    assert after == ["whole"]


@pytest.mark.parametrize(("scheme", "secure"), [("http", ""), ("https", "; Secure")])
async def test_a_cookie_for_load_balancers_carries_the_session_id(scheme: str, secure: str) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cookie="io")
    client = Client(app)
    call = await client.get(headers=[], scheme=scheme)
    (sessid,) = app.server.sockets
    assert call.headers[b"set-cookie"] == f"io={sessid}; Path=/; HttpOnly; SameSite=Lax{secure}".encode()
    await client.end()
