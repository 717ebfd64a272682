"""One app in two event loops, as fixtures of a session and tests of a function have them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from asocketio import RoomsMixin, SocketIOApp, UsageError
from asocketio.testing import TestClient
from tests.support.worlds import Recorder, Way, call_of

REFUSED = (
    "this SocketIOApp has 1 sockets in another event loop, and a socket cannot change its loop. Make an app for each "
    "event loop (a function that returns SocketIOApp(...)), or use one loop for all: in pytest, give tests and "
    "fixtures the same one (pytest-asyncio: loop_scope='session' for both; anyio: an anyio_backend fixture with "
    "scope='session')"
)
SECONDS = 10.0
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Chat(Recorder, RoomsMixin): ...


def runner() -> tuple[asyncio.AbstractEventLoop, Run]:
    """An event loop, and what runs a coroutine in it, under a deadline: a hang is a failure."""
    loop = asyncio.new_event_loop()
    return loop, lambda coroutine: loop.run_until_complete(asyncio.wait_for(coroutine, SECONDS))


@pytest.fixture
def loops() -> Iterator[tuple[Run, Run]]:
    """The loop of the session, and that of a function."""
    (first, in_first), (second, in_second) = runner(), runner()
    yield in_first, in_second
    for loop in (first, second):
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def opened(app: SocketIOApp, **way: Any) -> tuple[TestClient, Callable[[], Coroutine[Any, Any, Any]]]:
    client = TestClient(app, **way)

    async def enter() -> Any:
        await client.__aenter__()
        return await client.connect()

    return client, enter


def left(client: TestClient) -> Coroutine[Any, Any, None]:
    return client.__aexit__(None, None, None)


def test_another_loop_is_refused_while_the_first_has_sockets(loops: tuple[Run, Run], way: Way) -> None:
    in_first, in_second = loops
    app = SocketIOApp(namespaces={"/": Chat})
    client, enter = opened(app, **way)
    joined = in_first(enter())
    for use in (
        lambda: opened(app, **way)[1](),
        lambda: call_of(app, "/socket.io/", query_string=b"EIO=4&transport=polling"),
        lambda: app({"type": "lifespan"}, asyncio.Queue[Any]().get, asyncio.Queue[Any]().put),
    ):
        with pytest.raises(UsageError) as caught:
            in_second(use())
        assert str(caught.value) == REFUSED
    assert in_first(joined.call("echo", 1)) == 1  # the first one does not notice
    chat = Chat.last
    in_first(left(client))
    assert (chat.reasons != [], app.server.active_sessions) == (True, 0)
    _, enter = opened(app, **way)
    assert in_second(in_second(enter()).call("echo", 2)) == 2  # now it may


def test_so_it_is_in_another_thread() -> None:
    app = SocketIOApp(namespaces={"/": Chat})
    (loop, in_loop), raised = runner(), []

    async def elsewhere() -> None:
        await asyncio.wait_for(opened(app)[1](), SECONDS)

    def use() -> None:
        try:
            asyncio.run(elsewhere())
        except UsageError as error:
            raised.append(str(error))

    async def both() -> None:
        client, enter = opened(app)
        joined = await enter()
        for _ in range(20):  # the other thread may look at any moment
            await asyncio.to_thread(use)
        assert await joined.call("echo", 1) == 1
        await left(client)

    in_loop(both())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert raised == [REFUSED] * 20


def test_what_is_left_in_a_loop_that_was_closed_is_forgotten() -> None:
    app = SocketIOApp(namespaces={"/": Chat})
    (first, in_first), (second, in_second) = runner(), runner()
    in_first(opened(app)[1]())
    for task in asyncio.all_tasks(first):
        task.cancel()
    first.run_until_complete(asyncio.sleep(0))
    first.close()
    in_second(app.close())
    client, enter = opened(app)
    assert in_second(in_second(enter()).call("echo", 1)) == 1
    in_second(left(client))
    second.close()


VERBS: list[tuple[Callable[[Chat], Coroutine[Any, Any, Any]], str]] = [
    (lambda chat: chat.call("x"), "call was called outside of the server's event loop: write "),
    (lambda chat: chat.to("red").call("x"), "call was called outside of the server's event loop: write "),
    (lambda chat: chat.socket.wait_closed(), "wait_closed was called outside of the server's event loop: write "),
    (lambda chat: chat.environ["asocketio"].close(), "close was called outside of the server's event loop: write "),
    (
        lambda chat: awaited(lambda: chat.spawn(asyncio.sleep, 0)),
        "spawn was called outside of the server's event loop: write ",
    ),
    (
        lambda chat: awaited(lambda: chat.emit("x" * 1000)),
        "await emit(...) was called outside of the server's event loop: write emit(...) without await there",
    ),
]


async def awaited(verb: Callable[[], Any]) -> Any:
    return await verb()


@pytest.mark.parametrize(("verb", "says"), VERBS)
def test_a_verb_that_waits_says_so_instead_of_waiting_for_ever(loops: tuple[Run, Run], verb: Any, says: str) -> None:
    in_first, in_second = loops
    app = SocketIOApp(namespaces={"/": Chat}, max_outbox=10_000)
    client, enter = opened(app)
    joined = in_first(enter())
    with pytest.raises(UsageError) as caught:
        in_second(verb(Chat.last))
    assert str(caught.value).startswith(says)
    assert in_first(joined.call("echo", 1)) == 1
    in_first(left(client))


def test_what_does_not_wait_reaches_the_clients_of_the_first_loop(loops: tuple[Run, Run]) -> None:
    in_first, in_second = loops
    app = SocketIOApp(namespaces={"/": Chat})
    client, enter = opened(app)
    joined = in_first(enter())

    async def act() -> None:
        Chat.last.join("red")
        await Chat.last.emit("one")
        await app.of("/").to("red").emit("two")

    in_second(act())
    assert [in_first(joined.receive()) for _ in range(2)] == [("one",), ("two",)]
    in_first(left(client))


CLIENT: list[Callable[[TestClient, Any], Coroutine[Any, Any, Any]]] = [
    lambda client, joined: client.connect("/other"),
    lambda client, joined: joined.call("echo"),
    lambda client, joined: joined.emit("echo"),
    lambda client, joined: joined.receive(),
    lambda client, joined: joined.disconnected(),
    lambda client, joined: left(client),
]


@pytest.mark.parametrize("use", CLIENT)
def test_a_client_of_another_loop_says_so(loops: tuple[Run, Run], use: Any) -> None:
    in_first, in_second = loops
    app = SocketIOApp(namespaces={"/": Chat, "/other": Recorder})
    client, enter = opened(app)
    joined = in_first(enter())
    with pytest.raises(UsageError, match=r"^this TestClient was entered in another event loop: give its fixture and"):
        in_second(use(client, joined))
    in_first(left(client))


def test_an_app_without_sockets_changes_its_loop(loops: tuple[Run, Run], way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Chat})

    async def visit() -> Any:
        async with TestClient(app, **way) as client:
            return await (await client.connect()).call("echo", threading.get_ident())

    assert [run(visit()) for run in (*loops, *loops)] == [threading.get_ident()] * 4
