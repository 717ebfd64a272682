"""Verbs called from another thread: each works, or raises before anything has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from asocketio import BaseNamespace, BroadcastMixin, Disconnected, Overflow, RoomsMixin, SocketIOApp, UsageError
from asocketio.runtime.awaitables import COMPLETED
from asocketio.testing import TestClient
from tests.support.worlds import Recorder, Way, serve, until

Log = pytest.LogCaptureFixture


class Chat(Recorder, RoomsMixin, BroadcastMixin):
    """Runs functions of itself in another thread."""

    answers: list[Any]

    def initialize(self) -> None:
        self.answers = []

    async def apart(self, function: Callable[[Chat], Any]) -> Any:
        return await asyncio.to_thread(function, self)


def nothing_changed(chat: Any) -> Callable[[], bool]:
    """A function that tells whether the client is as it is now."""

    def state() -> Any:
        member, socket = chat._member, chat.socket
        outbox = socket.writer.outbox
        rooms, jobs = set(member.rooms or ()), len(member.jobs or ())
        return socket.state, member.state, rooms, jobs, outbox.size, len(socket.acks), socket.server.active_sessions

    before = state()
    return lambda: state() == before


async def test_what_is_sent_from_another_thread_arrives_in_order(way: Way) -> None:
    def talk(chat: Chat) -> list[Any]:
        return [
            chat.emit("one", 1),
            chat.send("two"),
            chat.socket.send_packet({"type": "event", "name": "three", "args": [3]}),
            chat.emit("four", callback=chat.answers.append),
            chat.volatile.emit("five"),
            chat.emit("six", {"a": [1]}),
        ]

    async with serve(Chat, **way) as client:
        joined = await client.connect()
        joined.on("four", lambda: "yes")
        waits = await Chat.last.apart(talk)
        assert waits == [COMPLETED, COMPLETED, None, COMPLETED, COMPLETED, COMPLETED]
        got = [await joined.receive() for _ in range(5)]
        assert [each[0] for each in got] == ["one", "message", "three", "five", "six"]
        await until(lambda: Chat.last.answers == ["yes"])


async def test_what_a_broadcast_sends_from_another_thread_arrives(way: Way) -> None:
    def talk(chat: Chat) -> None:
        chat.join("red")
        chat.broadcast_event("all")
        chat.broadcast_event_not_me("others")
        chat.emit_to_room("red", "room")
        chat.leave("red")

    async with serve(Chat, **way) as client:
        joined = await client.connect()
        await Chat.last.apart(talk)
        assert await joined.receive() == ("all",)
        assert Chat.last.rooms == frozenset()


async def test_rooms_are_joined_and_left_from_another_thread() -> None:
    async with serve(Chat) as client:
        await client.connect()
        await Chat.last.apart(lambda chat: (chat.join("red"), chat.join("blue"), chat.leave("red")))
        await until(lambda: Chat.last.rooms == {"blue"})


async def test_a_thread_disconnects_a_client_from_its_namespace(way: Way) -> None:
    app = SocketIOApp(namespaces={"/desk": Chat})
    async with TestClient(app, **way) as client:
        await client.connect("/desk")
        chat = Chat.last
        assert await chat.apart(lambda chat: chat.disconnect()) is COMPLETED
        await until(lambda: bool(chat.reasons))
    assert chat.reasons == ["server namespace disconnect"]


async def test_a_thread_disconnects_the_whole_client(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Chat})
    async with TestClient(app, **way) as client:
        await client.connect()
        chat = Chat.last
        assert await chat.apart(lambda chat: chat.socket.disconnect()) is COMPLETED
        await until(lambda: app.server.active_sessions == 0)
    assert chat.reasons == ["server namespace disconnect"]


async def test_a_thread_ends_the_jobs_of_a_client() -> None:
    async with serve(Chat) as client:
        await client.connect()
        job = Chat.last.spawn(asyncio.Event().wait)
        await Chat.last.apart(lambda chat: chat.kill_local_jobs())
        await asyncio.wait([job], timeout=5)
        assert job.cancelled()


def in_a_loop(make: Callable[[Chat], Any]) -> Callable[[Chat], Any]:
    """Awaits something in an event loop of the thread's own."""

    async def wait(chat: Chat) -> Any:
        return await make(chat)

    return lambda chat: asyncio.run(wait(chat))


RAISES: list[tuple[Callable[[Chat], Any], type[Exception], str]] = [
    (
        in_a_loop(lambda chat: chat.call("x", timeout=0.01)),
        UsageError,
        "call was called outside of the server's event loop: "
        "write asyncio.run_coroutine_threadsafe(self.call(...), loop).result() there",
    ),
    (
        in_a_loop(lambda chat: chat.timeout(0.01).call("x")),
        UsageError,
        "call was called outside of the server's event loop: "
        "write asyncio.run_coroutine_threadsafe(....call(...), loop).result() there",
    ),
    (
        in_a_loop(lambda chat: chat.to("red").call("x", timeout=0.01)),
        UsageError,
        "call was called outside of the server's event loop: "
        "write asyncio.run_coroutine_threadsafe(....call(...), loop).result() there",
    ),
    (
        in_a_loop(lambda chat: chat.socket.wait_closed()),
        UsageError,
        "wait_closed was called outside of the server's event loop: "
        "write asyncio.run_coroutine_threadsafe(socket.wait_closed(), loop) there",
    ),
    (
        in_a_loop(lambda chat: chat.environ["asocketio"].close()),
        UsageError,
        "close was called outside of the server's event loop: "
        "write asyncio.run_coroutine_threadsafe(app.close(), loop) there",
    ),
    (
        lambda chat: chat.spawn(print),
        UsageError,
        "spawn was called outside of the server's event loop: write loop.call_soon_threadsafe(self.spawn, ...) there",
    ),
    (lambda chat: chat.emit("x", object()), UsageError, "no JSON"),
    (lambda chat: chat.emit("x", object(), callback=print), UsageError, "no JSON"),
    (lambda chat: chat.emit("x" * 5000), Overflow, "max_outbox"),
    (lambda chat: chat.socket.send_packet({"type": "event", "name": "x", "args": [object()]}), UsageError, "no JSON"),
    (lambda chat: chat.join(5), UsageError, "a room is named by text"),
    (lambda chat: chat.join("~" + 20 * "a"), UsageError, "another client's sid"),
]


@pytest.mark.parametrize(("verb", "error", "says"), RAISES)
async def test_what_does_not_work_there_raises_before_anything_has_changed(verb: Any, error: Any, says: str) -> None:
    async with serve(Chat, max_outbox=4000) as client:
        await client.connect()
        same = nothing_changed(Chat.last)
        with pytest.raises(error) as caught:
            await Chat.last.apart(verb)
        assert same()
        assert says in str(caught.value) or says == "no JSON"
        await asyncio.sleep(0)
        assert same()


async def test_a_thread_asks_by_way_of_the_loop() -> None:
    async with serve(Chat) as client:
        joined = await client.connect()
        joined.on("sum", lambda a, b: a + b)
        loop = asyncio.get_running_loop()
        ask = asyncio.to_thread(
            lambda: asyncio.run_coroutine_threadsafe(Chat.last.call("sum", 1, 2, timeout=5), loop).result()
        )
        assert await ask == 3


async def test_a_thread_that_outlives_its_client_is_told_as_ever() -> None:
    async with serve(Chat) as client:
        await client.connect()
        chat = Chat.last
        await chat.apart(lambda chat: chat.socket.disconnect())
        await until(lambda: bool(chat.reasons))
        assert await chat.apart(lambda chat: chat.emit("x")) is COMPLETED
        with pytest.raises(Disconnected):
            await chat.apart(lambda chat: chat.join("red"))


def test_a_thread_that_outlives_the_loop_is_silent() -> None:
    async def serve_one() -> Any:
        async with serve(Chat) as client:
            await client.connect()
            return Chat.last

    chat = asyncio.run(serve_one())
    chat.socket.server.thread = 0  # as in another one
    assert chat.emit("x") is chat.send("x") is chat.disconnect() is chat.socket.disconnect() is COMPLETED


async def test_what_the_loop_could_not_do_for_a_thread_is_in_the_log(caplog: Log) -> None:
    async with serve(Chat, max_rooms=1) as client:
        await client.connect()
        thread = Thread(target=lambda: (Chat.last.join("red"), Chat.last.join("blue")))
        thread.start()
        thread.join()  # the loop has no turn in between
        await until(lambda: "asked for by another thread" in caplog.text)
        assert Chat.last.rooms == {"red"}


async def test_an_overridden_verb_reaches_ours_from_another_thread() -> None:
    class Polite(BaseNamespace):
        last: Any

        def initialize(self) -> None:
            Polite.last = self
            self.times = 0

        def disconnect(self, silent: bool = False) -> Any:
            self.times += 1
            return super().disconnect(silent)

    async with serve(Polite, name="/polite") as client:
        await client.connect("/polite")
        await asyncio.to_thread(Polite.last.disconnect)
        await until(lambda: Polite.last._member.rule.left)
        assert Polite.last.times == 1
