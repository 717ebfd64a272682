"""Middleware: round each connect, event and disconnect, in order; what it may do, and what it cannot."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import pytest

from asocketio import (
    BaseNamespace,
    ConnectionRefused,
    EventRefused,
    Invocation,
    Packet,
    PacketType,
    SocketIOApp,
    UsageError,
    event,
    socketio_manage,
)
from asocketio.testing import ClientRefused, TestClient, settle
from tests.support.worlds import Recorder, Way, until

Log = pytest.LogCaptureFixture
Any2 = Callable[[Invocation, Any], Any]
trace: list[Any] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    trace.clear()


def named(name: str) -> Any2:
    async def middleware(call: Invocation, call_next: Any) -> Any:
        trace.append((name, call.kind, call.event, list(call.args)))
        try:
            return await call_next(call)
        finally:
            trace.append(name)

    return middleware


def answering(*answers: Any) -> Any2:
    """Does not call on."""

    async def middleware(call: Invocation, call_next: Any) -> Any:
        return (
            answers[0] if call.kind == "event" and answers else None if call.kind == "event" else await call_next(call)
        )

    return middleware


def only(kind: str, do: Any2) -> Any2:
    """``do`` for one kind, and no middleware for others."""

    async def middleware(call: Invocation, call_next: Any) -> Any:
        return await (do(call, call_next) if call.kind == kind else call_next(call))

    return middleware


class Chat(Recorder):
    """Is traced."""

    middleware: ClassVar[Any] = [named("one"), named("two")]

    def initialize(self) -> None:
        trace.append("initialize")

    async def recv_connect(self, auth: Any) -> None:
        trace.append("recv_connect")
        if auth.get("out"):
            raise ConnectionRefused("out", {"code": 1})

    def recv_message(self, data: Any) -> Any:
        trace.append("recv_message")
        return data

    def recv_json(self, data: Any) -> Any:
        trace.append("recv_json")
        return data

    def recv_error(self, packet: Any) -> None:
        trace.append("recv_error")

    async def on_two(self, one: Any, two: Any) -> Any:
        trace.append("on_two")
        return one, two

    async def on_ask(self) -> Any:
        return await self.call("question")

    def on_fail(self) -> None:
        raise ValueError("secret")

    async def on_job(self) -> None:
        self.spawn(trace.append, "job")

    async def recv_disconnect(self, reason: str) -> None:
        trace.append("recv_disconnect")
        self.reasons.append(reason)


class Bare(Recorder):
    """Has none of its own."""

    async def recv_connect(self, auth: Any) -> None:
        trace.append(auth)
        if "out" in auth:
            raise ConnectionRefused("out", {"code": 1})

    @event("packet")
    def whole(self, packet: Any) -> Any:
        return [packet.name, packet.args]

    def on_fail(self) -> None:
        raise ValueError("secret")

    def on_refuse(self, details: Any = None) -> None:
        raise EventRefused("not_paid", details, message="Pay first")

    def get_initial_acl(self) -> Any:
        return ["on_echo", "whole", "on_fail", "on_refuse", "recv_message", "recv_json"]

    def on_forbidden(self) -> None:
        raise AssertionError


def app_with(*middleware: Any, cls: type[BaseNamespace] = Bare, **settings: Any) -> SocketIOApp:
    return SocketIOApp(namespaces={"/": cls, "/other": cls}, middleware=list(middleware), **settings)


# ---- the order ---------------------------------------------------------------------------------------------------


async def test_middleware_goes_round_connect_events_and_disconnect(way: Way) -> None:
    app = app_with(named("app"), cls=Chat)
    async with TestClient(app, **way) as client:
        if way["generation"] != 4:
            await client.connect()
            trace.clear()
        chat = await client.connect("/other")
        assert [each for each in trace if isinstance(each, str)] == [
            "initialize", "recv_connect", "two", "one", "app",
        ]  # fmt: skip
        assert [each[:3] for each in trace if isinstance(each, tuple)] == [
            (name, "connect", "connect") for name in ("app", "one", "two")
        ]
        trace.clear()
        assert await chat.call("two", 1, 2) == (1, 2)
        calls = [(name, "event", "two", [1, 2]) for name in ("app", "one", "two")]
        assert trace == [*calls, "on_two", "two", "one", "app"]
        trace.clear()
        await chat.disconnect()
        await settle()
        reason = "client namespace disconnect"
        calls = [(name, "disconnect", "disconnect", [reason]) for name in ("app", "one", "two")]
        assert trace == [*calls, "recv_disconnect", "two", "one", "app"]
        assert Chat.last.reasons == [reason]


async def test_messages_and_json_are_events() -> None:
    async with TestClient(app_with(cls=Chat), generation="0.9") as client:
        chat = await client.connect()
        trace.clear()
        await chat.send("hi")
        await chat.send({"a": 1})
        await settle()
        assert [each for each in trace if isinstance(each, tuple) and each[0] == "one"] == [
            ("one", "event", "message", ["hi"]), ("one", "event", "json", [{"a": 1}]),
        ]  # fmt: skip
        assert [each for each in trace if str(each).startswith("recv")] == ["recv_message", "recv_json"]


async def test_acks_jobs_and_errors_pass_none() -> None:
    async with TestClient(app_with(cls=Chat), generation="0.9") as client:
        chat = await client.connect()
        chat.on("question", lambda: "yes")
        trace.clear()
        assert await chat.call("ask") == "yes"
        await chat.call("job")
        await client.post(Packet(PacketType.ERROR, "", data={"message": "x"}))
        await settle()
    events = [each[2] for each in trace if isinstance(each, tuple) and each[0] == "one" and each[1] == "event"]
    assert events == ["ask", "job"]
    assert "job" in trace
    assert "recv_error" in trace


async def test_the_middleware_of_a_base_is_inherited_added_to_or_replaced() -> None:
    class Adding(Chat):
        middleware: ClassVar[Any] = [*Chat.middleware, named("three")]

    class Replacing(Chat):
        middleware = ()

    class Plain(Chat):
        pass

    found = []
    for cls in (Adding, Replacing, Plain):
        async with TestClient(app_with(cls=cls)) as client:
            chat = await client.connect()
            trace.clear()
            await chat.call("two", 1, 2)
            found.append([each[0] for each in trace if isinstance(each, tuple)])
    assert found == [["one", "two", "three"], [], ["one", "two"]]


async def test_middleware_that_is_set_later_counts_from_the_next_connect() -> None:
    class Late(Recorder):
        pass

    async with TestClient(app_with(cls=Late)) as client:
        first = await client.connect()
        Late.middleware = [named("late")]
        second = await client.connect("/other")
        trace.clear()
        await first.call("echo", 1)
        assert trace == []
        await second.call("echo", 1)
        assert trace == [("late", "event", "echo", [1]), "late"]


async def test_a_view_has_the_middleware_too() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await socketio_manage(scope, {"/": Chat})

    async with TestClient(SocketIOApp(view, middleware=[named("app")])) as client:
        chat = await client.connect()
        trace.clear()
        await chat.call("two", 1, 2)
    names = [each[0] for each in trace if isinstance(each, tuple)]
    assert names == 2 * ["app", "one", "two"]  # the event, the disconnect


async def test_without_middleware_nothing_goes_round_a_handler() -> None:
    async with TestClient(SocketIOApp(namespaces={"/": Recorder})) as client:
        await client.connect()
        handle = Recorder.last._member.handle
        assert handle == Recorder.last._handle


# ---- what comes back ---------------------------------------------------------------------------------------------


async def test_the_value_of_the_middleware_is_the_ack(way: Way) -> None:
    async def wrap(call: Invocation, call_next: Any) -> Any:
        return "wrapped", await call_next(call)

    async with TestClient(app_with(only("event", wrap)), **way) as client:
        await client.connect()
        assert await (await client.connect("/other")).call("echo", 1) == ("wrapped", [1])


@pytest.mark.parametrize(("answers", "ack"), [((), None), (("dropped",), "dropped"), (((1, 2),), (1, 2))])
async def test_who_does_not_call_on_drops_the_event(answers: Any, ack: Any) -> None:
    async with TestClient(app_with(answering(*answers))) as client:
        namespace = await client.connect()
        assert await namespace.call("fail") == ack  # its handler did not run
        await namespace.emit("fail")
        await namespace.nothing()


async def test_arguments_and_event_may_be_changed(way: Way) -> None:
    async def change(call: Invocation, call_next: Any) -> Any:
        if call.event == "old":
            call.event, call.args = "echo", ["new", *call.args]
        call.args.append(call.kind)
        return await call_next(call)

    async with TestClient(app_with(only("event", change)), **way) as client:
        await client.connect()
        namespace = await client.connect("/other")
        assert await namespace.call("old", 1) == ("new", 1, "event")
        assert await namespace.call("packet", 1) == ["packet", [1, "event"]]


async def test_a_message_may_become_an_event() -> None:
    async def change(call: Invocation, call_next: Any) -> Any:
        call.event = "echo"
        return await call_next(call)

    async with TestClient(app_with(only("event", change)), generation="0.9") as client:
        await client.connect()
        packet = Packet(PacketType.MESSAGE, "", data="hi")
        assert await client.ask(packet) == ["hi"]


async def test_auth_may_be_changed_for_recv_connect() -> None:
    async def change(call: Invocation, call_next: Any) -> Any:
        call.args[0] = {"name": "ada"}
        return await call_next(call)

    async with TestClient(app_with(only("connect", change))) as client:
        await client.connect("/", {"name": "x"})
    assert trace == [{"name": "ada"}]


# ---- refusals ----------------------------------------------------------------------------------------------------


REFUSED = [
    ("forbidden", (), "method_access_denied"),
    ("unheard of", (), "no_such_method"),
    ("fail", (1,), "invalid_arguments"),
]


@pytest.mark.parametrize(("name", "args", "error"), REFUSED)
async def test_what_refuses_an_event_is_raised_out_of_call_next(name: str, args: Any, error: str, caplog: Log) -> None:
    seen: list[Any] = []

    async def watch(call: Invocation, call_next: Any) -> Any:
        try:
            return await call_next(call)
        except EventRefused as refused:
            seen.append((refused.name, refused.details))
            raise

    told = []
    for app in (app_with(only("event", watch)), SocketIOApp(namespaces={"/": Bare})):
        caplog.clear()
        async with TestClient(app) as client:
            namespace = await client.connect()
            ack = await namespace.call(name, *args)
            await namespace.emit(name, *args)
            told.append((ack, await namespace.receive()))
            lines = [record.getMessage().partition(" ")[2] for record in caplog.records if record.levelno >= 30]
            told.append(lines)
    assert seen == 2 * [(error, None)]
    assert told[:2] == told[2:]  # the same as without middleware
    assert told[0][0]["error"]["name"] == error
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_refusal_may_be_answered_otherwise() -> None:
    async def forgive(call: Invocation, call_next: Any) -> Any:
        try:
            return await call_next(call)
        except EventRefused as refused:
            return refused.name

    async with TestClient(app_with(only("event", forgive))) as client:
        namespace = await client.connect()
        assert await namespace.call("unheard of") == "no_such_method"
        await namespace.nothing()


@pytest.mark.parametrize("details", [None, {"price": 7}, [1, None]])
async def test_a_program_may_refuse_by_its_own_name(way: Way, details: Any, caplog: Log) -> None:
    async def refuse(call: Invocation, call_next: Any) -> Any:
        raise EventRefused("not_paid", details, message="Pay first")

    more = {} if details is None else {"details": details}
    expected = {"error": {"name": "not_paid", "message": "Pay first", **more}}
    async with TestClient(app_with(only("event", refuse)), **way) as client:
        await client.connect()
        namespace = await client.connect("/other")
        assert await namespace.call("echo", 1) == expected
        await namespace.emit("echo")
        assert await namespace.receive() == ("error", "not_paid", "Pay first")
    async with TestClient(SocketIOApp(namespaces={"/": Bare})) as client:  # so may a handler
        assert await (await client.connect()).call("refuse", details) == expected
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("details", [object(), {1, 2}])
async def test_details_that_are_no_json_stay_behind(details: Any, caplog: Log) -> None:
    async def refuse(call: Invocation, call_next: Any) -> Any:
        raise EventRefused("not_paid", details, message="Pay first")

    async with TestClient(app_with(only("event", refuse))) as client:
        ack = await (await client.connect()).call("echo")
    assert ack == {"error": {"name": "not_paid", "message": "Pay first"}}
    assert "the details of a refusal" in caplog.text


async def test_middleware_that_raises_is_reported_as_a_handler_is(way: Way, caplog: Log) -> None:
    async def fail(call: Invocation, call_next: Any) -> Any:
        raise ValueError("secret")

    told: list[Any] = []
    app = app_with(only("event", fail), on_exception=lambda error, about: told.append((repr(error), about["event"])))
    async with TestClient(app, **way) as client:
        await client.connect()
        namespace = await client.connect("/other")
        message = "The handler of 'echo' failed"
        assert await namespace.call("echo", 1) == {"error": {"name": "handler_error", "message": message}}
        await namespace.emit("echo")
        assert await namespace.receive() == ("error", "handler_error", message)
    assert told == 2 * [("ValueError('secret')", "echo")]
    assert "ValueError: secret" in caplog.text


# ---- connect -----------------------------------------------------------------------------------------------------


async def not_called(call: Invocation, call_next: Any) -> Any:
    return "welcome"


async def swallowing(call: Invocation, call_next: Any) -> Any:
    try:
        await call_next(call)
    except ConnectionRefused:
        return "welcome"


async def failing_after(call: Invocation, call_next: Any) -> Any:
    await call_next(call)
    raise ValueError("after")


async def timing_out(call: Invocation, call_next: Any) -> Any:
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(0)
            await call_next(call)
    except TimeoutError:
        return "welcome"


async def not_awaited(call: Invocation, call_next: Any) -> Any:
    tasks.add(asyncio.ensure_future(call_next(call)))


tasks: set[Any] = set()


async def refusing(call: Invocation, call_next: Any) -> Any:
    raise ConnectionRefused("not today", 7)


async def refusing_an_event(call: Invocation, call_next: Any) -> Any:
    raise EventRefused("no_seat", {"free": 0})


async def swallowing_all(call: Invocation, call_next: Any) -> Any:
    try:
        return await call_next(call)
    except Exception:
        return None


@pytest.mark.parametrize(
    ("chain", "auth", "message", "data"),
    [
        ([not_called], {}, "Connection refused", None),
        ([swallowing], {"out": 1}, "out", {"code": 1}),
        ([failing_after], {}, "Internal server error", None),
        ([swallowing_all, failing_after], {}, "Internal server error", None),
        ([swallowing_all, not_called], {}, "Connection refused", None),
        ([not_awaited], {}, "Connection refused", None),
        ([timing_out], {}, "Connection refused", None),
        ([refusing], {}, "not today", 7),
        ([swallowing_all, refusing], {}, "not today", 7),
        ([refusing_an_event], {}, "no_seat", {"free": 0}),
    ],
)
async def test_who_is_not_passed_on_is_not_admitted(
    chain: Any, auth: Any, message: str, data: Any, caplog: Log
) -> None:
    app = app_with(*(only("connect", each) for each in chain))
    async with TestClient(app) as client:
        with pytest.raises(ConnectionRefused) as refused:
            await client.connect("/", auth)
        assert (refused.value.message, refused.value.data) == (message, data)
        assert app.server.adapter.local.namespaces == {}
        for task in tasks:
            with pytest.raises(RuntimeError, match="after its middleware had ended"):
                await task
        tasks.clear()


async def test_what_middleware_returns_admits_and_refuses_nobody() -> None:
    async def false(call: Invocation, call_next: Any) -> Any:
        await call_next(call)
        return False

    async with TestClient(app_with(only("connect", false))) as client:
        await client.connect()


@pytest.mark.parametrize("chain", [[], [named("x")]])
async def test_false_from_recv_connect_refuses_as_ever(chain: Any, caplog: Log) -> None:
    class Shut(Recorder):
        def recv_connect(self) -> bool:
            return False

    async with TestClient(app_with(*chain, cls=Shut)) as client:
        with pytest.raises(ConnectionRefused, match="Connection refused"):
            await client.connect()
    assert "recv_connect returned False" in caplog.text


async def test_the_handshake_of_0_9_is_refused_by_middleware_too() -> None:
    async with TestClient(app_with(only("connect", refusing)), generation="0.9") as client:
        with pytest.raises(ClientRefused, match="403"):
            await client.connect()


# ---- disconnect --------------------------------------------------------------------------------------------------


async def failing_before(call: Invocation, call_next: Any) -> Any:
    raise ValueError("before")


async def hanging(call: Invocation, call_next: Any) -> Any:
    await asyncio.Event().wait()


async def calling_when_cancelled(call: Invocation, call_next: Any) -> Any:
    try:
        await asyncio.Event().wait()
    finally:
        with pytest.raises(RuntimeError, match="called too late"):
            await call_next(call)
        trace.append("late")


@pytest.mark.parametrize(
    ("do", "log"),
    [
        (not_called, ""), (failing_before, "ValueError: before"), (failing_after, "ValueError: after"),
        (hanging, "cancelled after close_grace"), (calling_when_cancelled, "cancelled after close_grace"),
    ],
)  # fmt: skip
async def test_recv_disconnect_runs_once_in_any_case(do: Any2, log: str, caplog: Log) -> None:
    app = app_with(only("disconnect", do), cls=Recorder)
    async with TestClient(app) as client:
        await client.connect()
        namespace = Recorder.last
        await client.lose()
        await settle()
        for _ in range(3):
            await client.advance(5)
        assert namespace.reasons == ["transport close"]
        await until(lambda: not app.server.active_sessions)
    assert log in caplog.text
    assert (trace == ["late"]) == (do is calling_when_cancelled)


async def test_an_event_that_hangs_in_middleware_is_cancelled_after_close_grace(caplog: Log) -> None:
    app = app_with(only("event", hanging), cls=Recorder)
    async with TestClient(app) as client:
        namespace = await client.connect()
        await namespace.emit("echo")
        await settle()
        await client.lose()
        await settle()
        await client.advance(6)
        assert Recorder.last.reasons == ["transport close"]
    assert "was still running after close_grace: cancelled" in caplog.text


async def test_events_that_wait_in_middleware_hold_the_next_ones_back() -> None:
    gate = asyncio.Event()

    async def wait(call: Invocation, call_next: Any) -> Any:
        trace.append(call.args)
        await gate.wait()
        return await call_next(call)

    async with TestClient(app_with(only("event", wait))) as client:
        namespace = await client.connect()
        trace.clear()
        for number in range(3):
            await namespace.emit("echo", number)
        await settle()
        assert trace == [[0]]
        gate.set()
        assert await namespace.call("echo", 3) == 3
        assert trace == [[0], [1], [2], [3]]


# ---- call_next ---------------------------------------------------------------------------------------------------


async def test_call_next_is_good_for_one_call_while_its_middleware_runs() -> None:
    errors: list[str] = []
    kept: list[Any] = []

    async def twice(call: Invocation, call_next: Any) -> Any:
        kept.append((call, call_next))
        result = await call_next(call)
        for again in (call, Invocation(call.client, call.packet)):
            try:
                await call_next(again)
            except (RuntimeError, UsageError) as error:
                errors.append(str(error))
        return result

    async with TestClient(app_with(only("event", twice))) as client:
        assert await (await client.connect()).call("echo", 1) == 1
        call, call_next = kept[0]
        with pytest.raises(RuntimeError, match="twice"):
            call_next(call)
    assert errors == ["call_next was called twice", f"call_next takes {errors[1][16:]}"]
    assert "the invocation that the middleware was given" in errors[1]


async def test_a_call_next_that_was_kept_is_over() -> None:
    kept: list[Any] = []

    async def keep(call: Invocation, call_next: Any) -> Any:
        kept.append((call, call_next))

    async with TestClient(app_with(only("event", keep))) as client:
        await (await client.connect()).call("echo", 1)
        call, call_next = kept[0]
        with pytest.raises(RuntimeError, match="after its middleware had ended"):
            call_next(call)


# ---- mistakes ----------------------------------------------------------------------------------------------------


def plain(call: Any, call_next: Any) -> Any:
    return call_next(call)


async def one_argument(call: Any) -> None:
    pass


async def three_arguments(self: Any, call: Any, call_next: Any) -> None:
    pass


async def generator(call: Any, call_next: Any) -> AsyncIterator[None]:
    yield


class AnObject:
    async def __call__(self, call: Invocation, call_next: Any) -> Any:
        return await call_next(call)


async def curried(extra: Any, call: Invocation, call_next: Any) -> Any:
    return await call_next(call)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([plain], "is no coroutine function: expected a list"), ([one_argument], r"does not take \(call, call_next\)"),
        ([three_arguments], r"does not take \(call, call_next\)"), ([generator], "is no coroutine function"),
        ([AnObject], "is no coroutine function"), ([7], "is no coroutine function"), (named("x"), "expected a list"),
        ("x", "expected a list"), (None, "expected a list"), ([None], "is no coroutine function"),
    ],
)  # fmt: skip
def test_what_is_no_middleware_is_a_usage_error(given: Any, says: str) -> None:
    with pytest.raises(UsageError, match=f"^middleware.*{says}"):
        SocketIOApp(namespaces={"/": Recorder}, middleware=given)
    with pytest.raises(UsageError, match=f"^Wrong.middleware.*{says}"):
        type("Wrong", (BaseNamespace,), {"middleware": given})


async def test_objects_partials_and_static_methods_are_middleware() -> None:
    class Chat(Recorder):
        @staticmethod
        async def own(call: Invocation, call_next: Any) -> Any:
            trace.append("own")
            return await call_next(call)

        middleware: ClassVar[Any] = [AnObject(), functools.partial(curried, 1), own]

    async with TestClient(app_with(cls=Chat)) as client:
        assert await (await client.connect()).call("echo", 1) == 1
    assert trace == ["own", "own", "own"]


# ---- what is left ------------------------------------------------------------------------------------------------


async def test_nothing_is_left_to_the_garbage_collector() -> None:
    gone: list[Any] = []

    class Freed(BaseNamespace):
        def recv_connect(self, auth: Any) -> None:
            if auth:
                raise ConnectionRefused

        def on_echo(self, value: Any) -> Any:
            return value

        def __del__(self) -> None:
            gone.append(self.ns_name)

    gc.collect()
    gc.disable()
    try:
        async with TestClient(app_with(named("x"), only("connect", swallowing_all), cls=Freed)) as client:
            namespace = await client.connect()
            assert await namespace.call("echo", 1) == 1
            assert (await namespace.call("unheard of"))["error"]["name"] == "no_such_method"
            await namespace.disconnect()
            await settle()
            trace.clear()
            assert gone == [""]
            with pytest.raises(ConnectionRefused):
                await client.connect("/other", {"out": 1})
            trace.clear()
            await settle()
            assert gone == ["", "/other"]
    finally:
        gc.enable()
