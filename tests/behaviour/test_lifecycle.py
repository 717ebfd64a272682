"""Bugs that were met once, each with the test that failed, and the edges around the end of things."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
import weakref
from typing import Any

import httpx
import pytest

import asocketio
from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    ConnectionRefused,
    Disconnected,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
    UsageError,
)
from asocketio.testing import ClientRefused, TestClient, settle
from tests.behaviour.test_corners import app_of, respond
from tests.support.worlds import Recorder, Way, call_of, refused_by_close, serve, until

Log = pytest.LogCaptureFixture


async def test_awaiting_two_queued_emits_waits_for_room_only_while_there_is_none() -> None:
    async with serve(Recorder, max_outbox=1600, max_payload=10_000) as client:
        namespace = await client.connect()
        waits = [Recorder.last.emit("x", "y" * 90) for _ in range(4)]
        assert type(waits[-1]).__name__ == "DrainWaiter"
        async with asyncio.timeout(2):
            for wait in waits:
                await wait
        assert [await namespace.receive() for _ in range(4)] == [("x", "y" * 90)] * 4


async def test_a_client_that_takes_nothing_is_closed_by_send_timeout(caplog: Log) -> None:
    async with serve(Recorder, max_outbox=1600) as client:
        await client.connect()
        socket = Recorder.last.socket
        transport, socket.transport = socket.transport, None
        sending = asyncio.ensure_future(_wait(Recorder.last.emit("x", "y" * 200)))
        await client.advance(29)
        assert not sending.done()
        socket.transport = transport
        await client.advance(2)
        with pytest.raises(Disconnected):
            await sending
    assert "it took nothing for 30.0 s (send_timeout)" in caplog.text
    assert Recorder.last.reasons == ["transport error"]


async def _wait(awaitable: Any) -> Any:
    return await awaitable


async def test_a_burst_of_one_turn_is_no_reason_to_close_a_client_that_reads(caplog: Log) -> None:
    async with serve(Recorder, max_outbox=1000) as client:
        namespace = await client.connect()
        for _ in range(100):
            Recorder.last.emit("x", "y" * 100)
        for _ in range(100):
            assert await namespace.receive() == ("x", "y" * 100)
        assert Recorder.last.socket.connected
    assert not caplog.messages


async def test_over_max_outbox_the_client_is_closed_with_one_line(caplog: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(Recorder, max_outbox=1000) as client:
        await client.connect()
        monkeypatch.setattr(type(Recorder.last.socket.transport), "flush", lambda transport: None)  # it takes nothing
        for _ in range(20):
            Recorder.last.emit("x", "y" * 100)
        assert not Recorder.last.socket.connected
    assert len([r for r in caplog.records if "max_outbox" in r.getMessage()]) == 1


async def test_what_is_held_back_during_recv_connect_is_bounded_too() -> None:
    class Eager(BaseNamespace):
        async def recv_connect(self) -> None:
            for _ in range(20):
                self.emit("x", "y" * 100)

    async with serve(Eager, max_outbox=1000) as client:
        with pytest.raises(Disconnected):
            await client.connect()


async def test_a_query_of_many_fields_is_a_bad_request() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    query = b"EIO=4&transport=polling" + b"&a=1" * 300
    assert await call_of(app, "/socket.io/", query_string=query) == (400, b'{"code":3,"message":"Bad request"}')


async def test_a_cancelled_error_out_of_recv_disconnect_leaves_the_other_namespaces_their_goodbye() -> None:
    class Careless(BaseNamespace):
        async def recv_disconnect(self) -> None:
            task = asyncio.create_task(asyncio.sleep(10))
            task.cancel()
            await task

    app = SocketIOApp(namespaces={"/": Careless, "/b": Recorder})
    async with TestClient(app) as client:
        await client.connect()
        await client.connect("/b")
    assert Recorder.last.reasons == ["transport close"]
    assert app.server.adapter.local.namespaces == {}


async def test_a_view_cancelled_during_the_clean_up_still_cleans_up(way: Way) -> None:
    released = asyncio.Event()
    views: list[Any] = []

    class Slow(Recorder):
        async def recv_disconnect(self, reason: str) -> None:
            await released.wait()
            self.reasons.append(reason)

    async def view(scope: Any, receive: Any, send: Any) -> None:
        views.append(asyncio.current_task())
        try:
            await asocketio.socketio_manage(scope, {"/": Slow})
        except asyncio.CancelledError:
            views.append("cancelled")

    async with TestClient(app_of(view), **way) as client:
        await client.connect()
        views[0].cancel()
        await settle()
        views[0].cancel()
        await settle()
        assert views[1:] == []
        released.set()
        await until(lambda: views[1:] == ["cancelled"])
        assert Slow.last.reasons == ["forced server close"]


async def test_recv_disconnect_has_close_grace(caplog: Log) -> None:
    class Stuck(BaseNamespace):
        async def recv_disconnect(self) -> None:
            await asyncio.Event().wait()

    async with serve(Stuck) as client:
        namespace = await client.connect()
        await namespace.disconnect()
        await client.advance(6)
        assert "recv_disconnect was cancelled after close_grace" in caplog.text


async def test_recv_disconnect_that_raises_is_logged_and_told(caplog: Log) -> None:
    class Broken(BaseNamespace):
        async def recv_disconnect(self) -> None:
            raise ValueError("broken goodbye")

    async with serve(Broken) as client:
        namespace = await client.connect()
        await namespace.disconnect()
        with pytest.raises(Disconnected):
            await namespace.receive()
    assert "recv_disconnect raised ValueError('broken goodbye')" in caplog.text


@pytest.mark.parametrize("last", [b"", b"x"])
async def test_attachments_count_for_the_backlog(last: bytes) -> None:
    class Waiting(Recorder):
        async def on_wait(self) -> None:
            await self.call("question")

    async with serve(Waiting, max_backlog=10_000, max_payload=10_000) as client:
        namespace = await client.connect()
        await namespace.emit("wait")
        assert await namespace.receive() == ("question",)
        for _ in range(3):
            await namespace.emit("x", b"y" * 5000, last)
        assert await namespace.disconnected() == "transport close"
    assert Waiting.last.reasons == ["forced close"]


async def test_reading_goes_on_while_a_handler_waits_for_its_client() -> None:
    class Waiting(Recorder):
        async def on_wait(self) -> Any:
            return await self.call("question")

    async with serve(Waiting, max_backlog_packets=160) as client:
        namespace = await client.connect()
        await namespace.emit("wait")
        assert await namespace.receive() == ("question",)
        for number in range(100):
            await namespace.emit("echo", number)
        await client.post(Packet(PacketType.ACK, args=["answer"], id=await _number_of(Waiting.last)))
        assert await namespace.call("echo", "last") == "last"


async def _number_of(namespace: BaseNamespace) -> int:
    (number,) = namespace.socket.acks._waiting
    return number


async def test_reading_pauses_while_a_handler_is_busy(way: Way) -> None:
    gate = asyncio.Event()

    class Busy(Recorder):
        async def on_wait(self) -> None:
            await gate.wait()

    async with serve(Busy, **way, max_backlog_packets=160) as client:
        namespace = await client.connect()
        await namespace.emit("wait")
        echoes = [Packet(PacketType.EVENT, name="echo", args=[n]) for n in range(400)]
        frames = [frame for packet in echoes for frame in client.protocol.encode(packet).frames]
        sending = asyncio.create_task(client.post_frames(*frames))
        await settle()
        assert Busy.last.socket.reader.paused
        client.answers_pings = False
        await client.advance(25)
        assert Busy.last.socket.connected
        if way["transport"] != "websocket" and way["generation"] != "0.9":
            assert not sending.done()
            await client.advance(6)
            assert sending.done()  # the answer is given after send_timeout; the rest of the body still goes in
        gate.set()
        await sending
        client.answers_pings = True
        assert await namespace.call("echo", "last") == "last"


async def test_silence_is_not_held_against_a_client_that_is_not_read() -> None:
    gate = asyncio.Event()

    class Busy(Recorder):
        async def on_wait(self) -> None:
            await gate.wait()

    async with serve(Busy, max_backlog_packets=160) as client:
        namespace = await client.connect()
        await namespace.emit("wait")
        await client.post_frames(*(f'42["echo",{n}]' for n in range(400)))
        await client.advance(300)
        assert Busy.last.socket.connected
        gate.set()
        assert await namespace.call("echo", "last") == "last"


async def test_a_goodbye_of_a_former_namespace_object_does_not_end_the_next() -> None:
    gate = asyncio.Event()

    class Parting(Recorder):
        async def on_wait(self) -> None:
            await gate.wait()
            await self.disconnect()

    async with serve(Parting) as client:
        await client.connect()
        former = Parting.last
        await client.post_frames('42["wait"]', "41", "40")
        await settle()
        gate.set()
        await until(lambda: Parting.last is not former)
        await settle()
        assert former.reasons == ["client namespace disconnect"]
        assert Parting.last.reasons == []
        assert Parting.last.socket["/"] is Parting.last


async def test_other_clients_have_their_turn_during_a_large_body() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with TestClient(app, transport="polling") as client:
        await client.connect()
        counting = asyncio.create_task(count())
        await client.post_frames(*(["41", "40"] * 5000))
        counting.cancel()
    assert turns > 100


async def test_a_handlers_own_cancelled_error_answers_the_ack(caplog: Log) -> None:
    class Careless(Recorder):
        async def on_careless(self) -> None:
            task = asyncio.create_task(asyncio.sleep(10))
            task.cancel()
            await task

    async with serve(Careless) as client:
        namespace = await client.connect()
        assert (await namespace.call("careless"))["error"]["name"] == "handler_error"
    assert "raised CancelledError" in caplog.text


async def test_disconnected_in_the_code_of_a_dead_client_is_logged_at_debug_only(caplog: Log, way: Way) -> None:
    caplog.set_level(logging.DEBUG, "asocketio")

    class Late(Recorder):
        async def on_leave(self) -> None:
            await self.disconnect()
            await self.emit("late")

        async def on_job(self) -> None:
            self.spawn(self.late)

        async def late(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await self.emit("late")

        async def recv_disconnect(self, reason: str) -> None:
            self.reasons.append(reason)
            await self.emit("late")

    async with serve(Late, **way) as client:
        namespace = await client.connect()
        await namespace.emit("job")
        await namespace.emit("leave")
        assert await namespace.disconnected() == "io server disconnect"
    assert [m for r in caplog.records if r.levelno > logging.INFO and "Session ID" not in (m := r.getMessage())] == []


@pytest.mark.parametrize("name", ["/", "/chat"])
async def test_a_second_connect_leaves_the_client_in_once(name: str, way: Way, caplog: Log) -> None:
    """React's StrictMode connects, disconnects and connects again before the first answer: two CONNECTs.

    The second one comes while ``recv_connect`` runs; a third one when the client is in.
    """
    opens_unasked = way["generation"] != 4 and name == "/"
    decide = asyncio.Event()
    connects: list[str] = []

    class Once(Recorder):
        async def recv_connect(self) -> None:
            if (self.ns_name or "/") == name:
                connects.append(self.sid)
                if not opens_unasked:
                    await decide.wait()

    app = SocketIOApp(namespaces={"/": Once, "/chat": Once, "/other": Recorder})
    async with TestClient(app, **way) as client:
        other = await client.connect("/other")
        joining = asyncio.create_task(client.connect(name))
        await settle()
        again = client.client_protocol.connect(name.rstrip("/"), None) or Packet(PacketType.CONNECT)
        await client.post(again)
        decide.set()
        namespace = await joining
        sid = namespace.sid
        await client.post(again)
        assert await namespace.call("echo", 1) == 1
        assert await other.call("echo", 2) == 2
        assert (namespace.sid, namespace.reason, other.reason, len(connects)) == (sid, None, None, 1)
    assert Once.last.reasons == ["transport close"]
    assert "broke the protocol" not in caplog.text


async def test_a_client_that_leaves_during_recv_connect_gets_no_recv_disconnect_if_that_fails() -> None:
    gate = asyncio.Event()

    class Slow(Recorder):
        async def recv_connect(self) -> None:
            await gate.wait()
            await self.emit("late")

    async with serve(Slow) as client:
        await client.open()
        await client.post_frames("40")
        await settle()
        leaving = asyncio.create_task(client.lose())
        await settle()
        gate.set()
        await leaving
    assert Slow.last.reasons == []


async def test_a_client_that_leaves_during_recv_connect_gets_one_recv_disconnect_if_that_ends_well() -> None:
    gate = asyncio.Event()

    class Slow(Recorder):
        async def recv_connect(self) -> None:
            await gate.wait()

    async with serve(Slow) as client:
        await client.open()
        await client.post_frames("40")
        await settle()
        leaving = asyncio.create_task(client.lose())
        await settle()
        gate.set()
        await leaving
    assert Slow.last.reasons == ["transport close"]


async def test_an_exception_of_a_job_is_logged_not_raised_at_spawn(caplog: Log) -> None:
    class Spawning(Recorder):
        def on_spawn(self) -> None:
            self.spawn(self.plain)
            self.spawn(self.coroutine)

        def plain(self) -> None:
            raise ValueError("plain job")

        async def coroutine(self) -> None:
            raise ValueError("async job")

    async with serve(Spawning) as client:
        namespace = await client.connect()
        assert await namespace.call("spawn") is None
        await settle()
    assert "plain job" in caplog.text
    assert "async job" in caplog.text


async def test_a_job_cancelled_before_it_began_makes_no_warning() -> None:
    class Refusing(BaseNamespace):
        async def recv_connect(self) -> None:
            self.spawn(asyncio.sleep, 10)
            raise ConnectionRefused("no")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with serve(Refusing) as client:
            with pytest.raises(ConnectionRefused):
                await client.connect()
        gc.collect()


async def test_kill_local_jobs() -> None:
    class Spawning(Recorder):
        def on_spawn(self) -> None:
            self.jobs = [self.spawn(asyncio.sleep, 10), self.spawn(asyncio.sleep, 10)]

        def on_kill(self) -> None:
            self.kill_local_jobs()

    async with serve(Spawning) as client:
        namespace = await client.connect()
        await namespace.call("spawn")
        await namespace.call("kill")
        await asyncio.wait(Spawning.last.jobs)
        assert [job.cancelled() for job in Spawning.last.jobs] == [True, True]
        assert Spawning.last._member.jobs == set()


async def test_an_ack_value_whose_own_methods_raise_is_a_handler_error(caplog: Log) -> None:
    class Nasty(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("nasty")

    class Returning(Recorder):
        async def on_nasty(self) -> Any:
            return Nasty(a=1)

    async with serve(Returning) as client:
        namespace = await client.connect()
        assert (await namespace.call("nasty"))["error"]["name"] == "handler_error"
        assert await namespace.call("echo", 1) == 1


async def test_a_task_factory_of_the_program_is_not_asked_for_parked_tasks() -> None:
    """An eager one (Python 3.12) would start them before they are ready."""
    made: list[str] = []

    def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
        made.append(type(coro).__name__)
        return asyncio.Task(coro, loop=loop, **kwargs)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        async with serve(Recorder) as client:
            assert await (await client.connect()).call("echo", 1) == 1
    finally:
        loop.set_task_factory(None)
    assert "coroutine" in made
    assert "Runner" not in made


async def test_closing_while_a_view_decides_refuses_the_client(way: Way) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    app = app_of(view)
    async with TestClient(app, **way) as client:
        await refused_by_close(client, app)


async def test_a_view_that_answers_slowly_while_the_app_closes() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, 401)

    async with TestClient(app_of(view)) as client:
        with pytest.raises(ClientRefused, match="401"):
            await client.connect()


async def test_two_closes_at_a_time_end_together(caplog: Log) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app) as client:
        await client.connect()
        async with asyncio.timeout(2):
            await asyncio.gather(app.close(), app.close())
    assert "did not end" not in caplog.text


async def test_acks_of_what_could_not_be_sent_are_forgotten() -> None:
    class Talk(Recorder, RoomsMixin):
        pass

    app = SocketIOApp(namespaces={"/": Talk})
    async with TestClient(app) as client:
        await client.connect()
        namespace = Talk.last
        for _ in range(10):
            with pytest.raises(UsageError):
                namespace.emit("x", object(), callback=print)
            with pytest.raises(UsageError):
                await namespace.call("x", object())
            with pytest.raises(UsageError):
                await app.of("/").call("x", object())
        assert len(namespace.socket.acks) == 0


async def test_an_unencodable_broadcast_raises_even_if_nobody_is_there() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app) as client:
        await client.connect()
        with pytest.raises(UsageError):
            app.of("/").to("empty").emit("x", object())
        with pytest.raises(UsageError):
            await asyncio.to_thread(lambda: app.of("/").emit("x", object()))


async def test_infinity_is_refused_in_every_spelling() -> None:
    async with serve(Recorder) as client:
        namespace = await client.connect()
        await client.post_frames('42["echo",1e999]')
        assert await namespace.disconnected() == "transport close"


async def test_a_client_cannot_write_long_or_forged_log_lines(caplog: Log) -> None:
    class Failing(BaseNamespace):
        @asocketio.event("*")
        async def rest(self, name: str) -> None:
            raise ValueError("no")

    async with serve(Failing) as client:
        namespace = await client.connect()
        await namespace.emit("x\nERROR forged " + "y" * 10_000)
        await namespace.receive()
        with pytest.raises(ConnectionRefused):
            await client.connect("/nope\nERROR forged" + "y" * 10_000)
    for record in caplog.records:
        assert len(record.getMessage()) < 1000
        assert "\n" not in record.getMessage()


def test_an_app_used_in_one_loop_after_another_starts_anew() -> None:
    class Talk(Recorder, BroadcastMixin):
        pass

    app = SocketIOApp(namespaces={"/": Talk})

    async def abandon() -> None:
        client = TestClient(app)
        await client.__aenter__()
        await client.connect()

    async def use() -> None:
        async with TestClient(app) as client:
            namespace = await client.connect()
            Talk.last.broadcast_event("x")
            assert await namespace.receive() == ("x",)
            assert len(app.server.sockets) == 1

    asyncio.run(abandon())
    assert Talk.last.reasons == ["forced server close"]  # the end of a loop cancels what runs in it
    asyncio.run(use())


def test_apps_are_not_kept_for_being_looked_up() -> None:
    async def site(scope: Any, receive: Any, send: Any) -> None: ...

    app = SocketIOApp(site)
    assert asocketio.of(site, "/a").namespace == "/a"
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None
    with pytest.raises(UsageError, match="no SocketIOApp wraps"):
        asocketio.of(site, "/a")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"app": {"/": Recorder}},
        {"app": Recorder},
        {"namespace": {"/": Recorder}},
        {"namespaces": {}},
        {"namespaces": [Recorder]},
        {"namespaces": {"chat": Recorder}},
        {"namespaces": {"/": object}},
        {"namespaces": {"": Recorder, "/": Recorder}},
        {"namespaces": {"/": Recorder}, "path": "/"},
        {"namespaces": {"/": Recorder}, "path": None},
        {"namespaces": {"/": Recorder}, "path": "a?b"},
        {"namespaces": {"/": Recorder}, "ping_intervall": 3},
    ],
    ids=str,
)
def test_wrong_arguments_fail_at_the_start(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SocketIOApp(**arguments)


@pytest.mark.parametrize("name", ["chat", "/chat/", "/nope"])
def test_of_knows_the_namespaces(name: str) -> None:
    with pytest.raises(UsageError):
        SocketIOApp(namespaces={"/chat": Recorder}).of(name)


async def test_a_client_that_is_thrown_out_between_two_polls_still_learns_of_it() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app, transport="polling") as client:
        namespace = await client.connect()
        await Recorder.last.socket.disconnect()
        assert await namespace.disconnected() == "io server disconnect"
        await settle()
        assert app.server.sockets == {}


async def test_what_a_thrown_out_client_does_not_fetch_is_forgotten() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    async with TestClient(app, transport="polling") as client:
        await client.connect()
        client._transport._polling.cancel()  # type: ignore[union-attr]
        client._transport._poll.task.cancel()  # type: ignore[union-attr]
        await settle()
        await Recorder.last.socket.disconnect()
        await settle()
        assert len(app.server.sockets) == 1
        await client.advance(31)
        assert app.server.sockets == {}
        client._transport.ended = True  # type: ignore[union-attr]
        client._transport.calls.clear()  # type: ignore[union-attr]


async def test_a_recv_connect_that_outlives_its_cancellation_is_not_let_in(caplog: Log) -> None:
    released = asyncio.Event()

    class Stubborn(Recorder):
        async def recv_connect(self) -> None:
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    pass

    app = SocketIOApp(namespaces={"/": Stubborn}, close_grace=1)
    async with TestClient(app) as client:
        await client.open()
        await client.post_frames("40")
        await settle()
        leaving = asyncio.create_task(client.lose())
        await client.advance(3)
        released.set()
        await leaving
    assert Stubborn.last.reasons == []
    assert app.server.adapter.local.namespaces == {}
    assert "does not end when cancelled" in caplog.text


async def test_a_slow_recv_connect_of_a_client_that_has_gone_is_one_warning(caplog: Log) -> None:
    class Slow(Recorder):
        async def recv_connect(self) -> None:
            await asyncio.Event().wait()

    async with serve(Slow, close_grace=1) as client:
        await client.open()
        await client.post_frames("40")
        await settle()
        leaving = asyncio.create_task(client.lose())
        await client.advance(1.1)
        await leaving
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "still running after close_grace" in caplog.text


async def test_the_timeout_of_a_call_may_be_none_or_nothing() -> None:
    async with serve(Recorder) as client:
        await client.connect()
        namespace = Recorder.last
        for ask in (
            namespace.call("q", timeout=0),
            namespace.timeout(0).call("q"),
            namespace.timeout(5).call("q", timeout=0),
        ):
            asking = asyncio.ensure_future(ask)
            await client.advance(0.01)
            with pytest.raises(asocketio.AckTimeout):
                await asking
        asking = asyncio.ensure_future(namespace.call("q", timeout=None))
        await client.advance(61)
        with pytest.raises(asocketio.AckTimeout):
            await asking
        assert len(namespace.socket.acks) == 0


async def test_errors_of_the_test_client_itself_reach_the_test() -> None:
    async with serve(Recorder) as client:
        await client.connect()

        def broken(frame: Any) -> Any:
            raise ValueError("the client's own")

        received = client.received
        client.received = broken  # type: ignore[method-assign]
        Recorder.last.emit("x")
        await settle()
        client.received = received  # type: ignore[method-assign]
        with pytest.raises(ValueError, match="the client's own"):
            await client.disconnect()
        client._transport.errors.clear()  # type: ignore[union-attr]


async def test_a_stall_of_the_server_is_not_held_against_its_clients() -> None:
    async with serve(Recorder) as client:
        await client.connect()
        client.answers_pings = False
        registry = Recorder.last.socket.server
        client.clock._now += 60  # nothing ran for a minute: ping and pong are both overdue
        registry.timers.deadlines.fire_due()
        assert Recorder.last.socket.connected
        await client.advance(20.1)
        assert not Recorder.last.socket.connected


def test_settings_have_the_fields_of_the_config() -> None:
    from dataclasses import fields

    from asocketio.config import Config, Settings

    assert list(Settings.__annotations__) == [field.name for field in fields(Config)]


async def test_a_call_that_a_leaving_client_does_not_answer_is_no_error_in_the_log(caplog: Log) -> None:
    class Asking(Recorder):
        async def on_sum(self) -> Any:
            return await self.call("add")

    async with serve(Asking) as client:
        namespace = await client.connect()
        await namespace.emit("sum")
        assert await namespace.receive() == ("add",)
        await namespace.disconnect()
        await until(lambda: Asking.last.reasons == ["client namespace disconnect"])
    assert [r.getMessage() for r in caplog.records if r.levelno > logging.INFO] == []


async def test_recv_connect_that_returns_false_refuses_and_says_how_to_do_it(caplog: Log) -> None:
    class Refusing(Recorder):
        async def recv_connect(self) -> bool:
            return False

    async with serve(Refusing) as client:
        with pytest.raises(ConnectionRefused):
            await client.connect()
    assert "raise ConnectionRefused(...)" in caplog.text


@pytest.mark.parametrize("name", ["on_connect", "on_disconnect"])
def test_handlers_that_would_never_be_called_fail_at_class_creation(name: str) -> None:
    with pytest.raises(UsageError, match=r"would never be called.*the hook is recv_"):
        type("Chat", (BaseNamespace,), {name: lambda self: None})
    with pytest.raises(UsageError, match="would never be called"):
        type("Chat", (BaseNamespace,), {"other": asocketio.event("connect")(lambda self: None)})
    with pytest.raises(UsageError, match="would never be called"):
        type("Chat", (BaseNamespace,), {"connect": asocketio.event("connect")(lambda self: None)})


async def test_a_value_that_cannot_be_sent_is_said_to_be_returned_not_raised(caplog: Log) -> None:
    class Returning(BaseNamespace):
        async def on_when(self) -> Any:
            return object()

    async with serve(Returning) as client:
        namespace = await client.connect()
        assert (await namespace.call("when"))["error"]["name"] == "handler_error"
    assert "'when' in Returning returned what cannot be sent as JSON: object is no str" in caplog.text
    assert [r for r in caplog.records if r.exc_info] == []


def test_of_something_that_cannot_be_looked_up() -> None:
    with pytest.raises(UsageError, match="no SocketIOApp wraps"):
        asocketio.of(object(), "/")


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (200, "without awaiting socketio_manage"),
        (307, "no slash at its end"),
        (405, "must take GET"),
        (401, None),
        (302, None),
    ],
)
async def test_answers_that_are_mistakes_get_a_hint(status: int, hint: str | None, way: Way, caplog: Log) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, status)

    async with TestClient(app_of(view), **way) as client:
        with pytest.raises(ClientRefused, match=f"{status}|new Error"):
            await client.connect()
    assert (hint in caplog.text) if hint else (caplog.text == "")


async def test_a_view_in_another_event_loop_is_told_so() -> None:
    def manage_elsewhere(scope: Any) -> None:
        asyncio.run(asocketio.socketio_manage(scope, {"/": Recorder}))

    async def view(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(UsageError, match="async def"):
            await asyncio.to_thread(manage_elsewhere, scope)
        await respond(send, 500)

    async with TestClient(app_of(view)) as client:
        with pytest.raises(ClientRefused, match="500"):
            await client.connect()


async def test_slips_of_the_pen_say_what_to_write() -> None:
    class Slipping(Recorder):
        async def tick(self) -> None: ...

    async with serve(Slipping) as client:
        await client.connect()
        namespace = Slipping.last
        with pytest.raises(UsageError, match="spawn takes the function and its arguments"):
            namespace.spawn(namespace.tick())
        with pytest.raises(UsageError, match="an event is named by text, not dict"):
            namespace.emit({"a": 1})
        tick = namespace.tick()
        with pytest.raises(UsageError, match="coroutine: an await is missing"):
            namespace.emit("x", tick)
        tick.close()


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("recv_connect", lambda self, auth, more: None),
        ("recv_disconnect", lambda self, sid, reason: None),
        ("recv_conect", lambda self: None),
        ("recv_connected", lambda self, auth: None),
    ],
)
def test_hooks_that_cannot_be_called_fail_at_class_creation(name: str, function: Any) -> None:
    with pytest.raises(UsageError, match=f"Chat.{name}"):
        type("Chat", (BaseNamespace,), {name: function})


def test_initialize_is_a_plain_method() -> None:
    async def initialize(self: Any) -> None: ...

    with pytest.raises(UsageError, match="initialize is a plain method"):
        type("Chat", (BaseNamespace,), {"initialize": initialize})


async def test_a_guard_that_cannot_be_called_lets_nobody_in(caplog: Log) -> None:
    class Guarded(Recorder):
        def process_packet(self, packet: Packet) -> Any:
            if packet.type is PacketType.CONNECT:
                return self.call_method("recv_guard", packet)
            return super().process_packet(packet)

    async with serve(Guarded) as client:
        with pytest.raises(ConnectionRefused, match="Internal server error"):
            await client.connect()
    assert 'The method "recv_guard" was not found' in caplog.text


def test_helpers_whose_names_only_begin_like_hooks_are_left_alone() -> None:
    type("Chat", (BaseNamespace,), {"recv_from_queue": lambda self, a, b, c: None})


async def test_slips_with_the_test_client() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    with pytest.raises(UsageError, match="async with"):
        await TestClient(app).connect()
    async with TestClient(app) as client:
        namespace = await client.connect()
        with pytest.raises(UsageError, match="is in '/' already"):
            await client.connect()
        await namespace.disconnect()
        await client.connect()


async def test_an_ended_socket_is_freed_without_the_garbage_collector(way: Way) -> None:
    """Collecting takes time in proportion to all that lives: hundreds of milliseconds where thousands leave."""

    class Leaving(BaseNamespace):
        async def on_echo(self, value: Any) -> Any:
            return value

        async def on_later(self) -> None:
            await asyncio.sleep(0)
            self.emit("asked", callback=print)

    app = SocketIOApp(namespaces={"/": Leaving})
    gc.collect()
    gc.disable()
    try:
        async with TestClient(app, **way) as client:
            namespace = await client.connect()
            assert await namespace.call("echo", 1) == 1
            await namespace.emit("later")
            assert await namespace.receive() == ("asked",)
            (socket,) = app.server.sockets.values()
            ended = weakref.ref(socket), weakref.ref(socket.members[""].instance)
            del socket
            await client.disconnect()
            await until(lambda: app.server.active_sessions == 0)
            await settle()
            assert [each() for each in ended] == [None, None]
    finally:
        gc.enable()


async def test_nobody_stays_in_a_room_whose_connection_ends_during_its_goodbye() -> None:
    goodbye, job_end = asyncio.Event(), asyncio.Event()

    class Slow(Recorder, RoomsMixin):
        async def recv_connect(self) -> None:
            self.join("all")
            self.spawn(self.work)

        async def work(self) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await job_end.wait()

        async def recv_disconnect(self, reason: str) -> None:
            await goodbye.wait()
            await super().recv_disconnect(reason)

    app = SocketIOApp(namespaces={"/": Slow}, close_grace=5)
    async with TestClient(app) as client:
        namespace = await client.connect()
        await namespace.disconnect()
        await settle()
        Slow.last.socket.close("transport close")
        await client.advance(3)
        goodbye.set()
        await client.advance(3)  # now close_grace is over for what still runs, and its jobs are still ending
        job_end.set()
        await settle()
        assert Slow.last.reasons == ["client namespace disconnect"]
        assert (app.server.adapter.local.namespaces, app.server.adapter.local.rooms) == ({}, {}), (
            "somebody is still there"
        )
        assert app.server.active_sessions == 0


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_a_closing_server_keeps_no_connection(method: str) -> None:
    """A server that ends waits for its connections; a client that asks on without a pause would hold it for ever."""
    app = SocketIOApp(namespaces={"/": Recorder})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as http:
        query = {"EIO": "4", "transport": "polling"}
        before = await http.request(method, "/socket.io/", params=query)
        await app.close()
        after = await http.request(method, "/socket.io/", params=query)
    assert "connection" not in before.headers
    assert after.headers["connection"] == "close"
    assert after.status_code == (503 if method == "GET" else 204)
