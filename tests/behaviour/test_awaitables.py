"""Whatever can be awaited may be awaited by several, and given up by any of them, without effect on the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

import pytest

from asocketio import BaseNamespace, Disconnected, SocketIOApp, socketio_manage
from asocketio.protocol.base import Encoded
from asocketio.runtime.awaitables import COMPLETED, Waiters
from asocketio.session.member import ClosedWaiter
from asocketio.session.outbox import Outbox
from asocketio.session.read_gate import ReadGate
from asocketio.testing import TestClient
from asocketio.transports.base import Transport
from tests.support.worlds import Recorder, serve, until


class Case(NamedTuple):
    """``wait`` gives something to await; after ``happen()`` each of them is done with ``outcome``."""

    wait: Callable[[], Awaitable[Any]]
    happen: Callable[[], Any]
    outcome: Any = None


class Chat(Recorder):
    turn: Any = None

    async def on_slow(self) -> None:
        type(self).turn = asyncio.get_running_loop().create_future()
        await self.turn


@asynccontextmanager
async def joined(**settings: Any) -> AsyncIterator[tuple[Any, Any]]:
    async with serve(Chat, **settings) as client:
        yield await client.connect(), Chat.last.socket


@asynccontextmanager
async def waiters() -> AsyncIterator[Case]:
    waiting = Waiters()
    yield Case(waiting.wait, lambda: waiting.wake(True), outcome=True)


@asynccontextmanager
async def closed() -> AsyncIterator[Case]:
    async with joined() as (_, socket):
        yield Case(socket.wait_closed, lambda: socket.close("transport close"))


@asynccontextmanager
async def closed_already() -> AsyncIterator[Case]:
    async with joined() as (_, socket):
        socket.close("transport close")
        yield Case(socket.wait_closed, lambda: None)


@asynccontextmanager
async def drained() -> AsyncIterator[Case]:
    async with joined(max_outbox=1600) as (_, socket):
        socket.transport, transport = None, socket.transport
        wait = Chat.last.emit("x", "y" * 200)

        def happen() -> None:
            socket.transport = transport
            socket.writer.flush()

        yield Case(lambda: wait, happen)


@asynccontextmanager
async def drained_never() -> AsyncIterator[Case]:
    async with joined(max_outbox=1600) as (_, socket):
        socket.transport = None
        wait = Chat.last.emit("x", "y" * 200)
        yield Case(lambda: wait, lambda: socket.close("ping timeout"), outcome=Disconnected)


class Stuck(Transport):
    """Takes nothing, also when its socket has ended."""

    name = "websocket"
    writable = False

    def flush(self) -> None:
        pass

    def end(self, close_code: int = 1000) -> None:
        pass


@asynccontextmanager
async def never_sent() -> AsyncIterator[Case]:
    async with joined(max_outbox=1600) as (_, socket):
        socket.transport, transport = Stuck(), socket.transport
        wait = Chat.last.emit("x", "y" * 200)
        yield Case(lambda: wait, lambda: socket.close("ping timeout"), outcome=Disconnected)
        transport.end()


@asynccontextmanager
async def outbox() -> AsyncIterator[Case]:
    box = Outbox(1600)
    box.put(Encoded(("x" * 200,)))
    yield Case(box.drain, box.take)


@asynccontextmanager
async def readable() -> AsyncIterator[Case]:
    gate, full = ReadGate(), [True]

    def happen() -> None:
        full.clear()
        gate.wake()

    yield Case(lambda: gate.wait(lambda: bool(full)), happen)


@asynccontextmanager
async def completed() -> AsyncIterator[Case]:
    yield Case(lambda: COMPLETED, lambda: None)


@asynccontextmanager
async def gone() -> AsyncIterator[Case]:
    waiter = ClosedWaiter("transport close")
    yield Case(lambda: waiter, lambda: None, outcome=Disconnected)


@asynccontextmanager
async def emitted() -> AsyncIterator[Case]:
    async with joined():
        wait = Chat.last.emit("x")
        yield Case(lambda: wait, lambda: None)


@asynccontextmanager
async def left_namespace() -> AsyncIterator[Case]:
    async with joined():
        wait = Chat.last.disconnect()
        yield Case(lambda: wait, lambda: None)


@asynccontextmanager
async def thrown_out() -> AsyncIterator[Case]:
    async with joined() as (_, socket):
        wait = socket.disconnect()
        yield Case(lambda: wait, lambda: None)


@asynccontextmanager
async def asked(operator: bool = False) -> AsyncIterator[Case]:
    async with joined() as (client, _socket):
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def question() -> str:
            return await asyncio.shield(answer)

        client.on("question", question)
        chat = Chat.last
        app: SocketIOApp = client.client.app
        ask = app.of("/").call if operator else chat.call
        yield Case(
            lambda: ask("question", timeout=100),
            lambda: answer.set_result("yes"),
            outcome=["yes"] if operator else "yes",
        )


@asynccontextmanager
async def dispatcher_idle() -> AsyncIterator[Case]:
    async with joined() as (client, socket):
        await client.emit("slow")
        await until(lambda: Chat.turn is not None)
        turn, Chat.turn = Chat.turn, None
        yield Case(socket.dispatcher.wait_idle, lambda: turn.set_result(None))


@asynccontextmanager
async def dispatcher_idle_and_closed() -> AsyncIterator[Case]:
    async with joined(close_grace=0.01) as (client, socket):
        await client.emit("slow")
        await until(lambda: Chat.turn is not None)
        Chat.turn = None
        yield Case(socket.dispatcher.wait_idle, lambda: socket.close("transport close"))


@asynccontextmanager
async def app_closed() -> AsyncIterator[Case]:
    async with joined() as (client, _socket):
        await client.emit("slow")
        await until(lambda: Chat.turn is not None)
        turn, Chat.turn = Chat.turn, None
        yield Case(client.client.app.close, lambda: turn.set_result(None))


@asynccontextmanager
async def server_idle() -> AsyncIterator[Case]:
    async with joined() as (client, socket):
        yield Case(client.client.app.server.wait_idle, lambda: socket.close("transport close"))


@asynccontextmanager
async def received() -> AsyncIterator[Case]:
    async with joined() as (client, _socket):

        def happen() -> None:
            for _ in range(3):
                Chat.last.emit("x")

        yield Case(client.receive, happen, outcome=("x",))


CASES: dict[str, Callable[[], Any]] = {
    "Waiters": waiters,
    "Socket.wait_closed": closed,
    "Socket.wait_closed, closed": closed_already,
    "emit, drained": drained,
    "emit, closed": drained_never,
    "emit, closed while nothing is sent": never_sent,
    "emit, queued": emitted,
    "Outbox.drain": outbox,
    "ReadGate.wait": readable,
    "COMPLETED": completed,
    "ClosedWaiter": gone,
    "BaseNamespace.disconnect": left_namespace,
    "Socket.disconnect": thrown_out,
    "BaseNamespace.call": asked,
    "BroadcastOperator.call": lambda: asked(operator=True),
    "Dispatcher.wait_idle": dispatcher_idle,
    "Dispatcher.wait_idle, closed": dispatcher_idle_and_closed,
    "SocketIOApp.close": app_closed,
    "Server.wait_idle": server_idle,
    "ClientNamespace.receive": received,
}


async def outcome_of(wait: Callable[[], Awaitable[Any]]) -> Any:
    """What it gave, or the type of what it raised."""
    try:
        return await wait()
    except Exception as error:
        return type(error)


async def begun(case: Case, count: int) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(outcome_of(case.wait)) for _ in range(count)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("name", CASES)
async def test_several_may_wait(name: str) -> None:
    async with CASES[name]() as case:
        tasks = await begun(case, 3)
        case.happen()
        assert await asyncio.wait_for(asyncio.gather(*tasks), 5) == [case.outcome] * 3


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("name", CASES)
async def test_any_may_give_up(name: str, which: int) -> None:
    async with CASES[name]() as case:
        tasks = await begun(case, 3)
        tasks[which].cancel()
        await asyncio.sleep(0)
        case.happen()
        others = [task for task in tasks if task is not tasks[which]]
        assert await asyncio.wait_for(asyncio.gather(*others), 5) == [case.outcome] * 2


@pytest.mark.parametrize("name", CASES)
async def test_all_may_give_up_and_another_wait(name: str) -> None:
    async with CASES[name]() as case:
        for task in await begun(case, 3):
            task.cancel()
        tasks = await begun(case, 1)
        case.happen()
        assert await asyncio.wait_for(asyncio.gather(*tasks), 5) == [case.outcome]


@pytest.mark.parametrize("name", CASES)
async def test_what_is_no_coroutine_may_be_awaited_again(name: str) -> None:
    async with CASES[name]() as case:
        wait = case.wait()
        if asyncio.iscoroutine(wait):
            wait.close()
            return
        tasks = await begun(case, 1)
        case.happen()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert [await outcome_of(lambda: wait) for _ in range(2)] == [case.outcome] * 2


class Waiting(Recorder):
    """Awaits the end of its own connection, in several places at once."""

    places: tuple[str, ...] = ()
    ended: list[str]

    def recv_connect(self) -> None:
        type(self).ended = []
        for place in self.places:
            if place != "handler":
                self.spawn(self.wait, place)

    async def wait(self, place: str) -> None:
        try:
            await self.socket.wait_closed()
        finally:  # a job may be cancelled in the turn of the loop in which it would go on
            self.ended.append(place)

    async def on_wait(self) -> None:
        await self.wait("handler")


@pytest.mark.parametrize(
    "places", [("job",), ("job", "job"), ("handler",), ("job", "handler"), ("job", "job", "handler")]
)
@pytest.mark.parametrize("end", ["client", "server", "loss"])
@pytest.mark.parametrize("viewed", [False, True])
async def test_who_awaits_the_end_is_not_waited_for(
    places: tuple[str, ...], end: str, viewed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Here(Waiting):
        pass

    Here.places = places
    async with _client(Here, viewed) as client:
        namespace = await client.connect()
        if "handler" in places:
            await namespace.emit("wait")
        await client.advance(0)
        if end == "server":
            Here.last.socket.disconnect()
        elif end == "client":
            await client.disconnect()
        else:
            await client.lose()
        server = cast("SocketIOApp", client.app).server
        await asyncio.wait_for(server.wait_idle(), 5)
        assert (sorted(Here.ended), len(Here.last.reasons)) == (sorted(places), 1)
    assert not caplog.messages


@asynccontextmanager
async def _client(cls: type[BaseNamespace], viewed: bool) -> AsyncIterator[TestClient]:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await socketio_manage(scope, {"/": cls})

    app = SocketIOApp(view) if viewed else SocketIOApp(namespaces={"/": cls})
    async with TestClient(app) as client:
        yield client


async def test_namespaces_may_be_asked_for_at_the_same_time() -> None:
    async with serve(Recorder, also={"/a": Recorder, "/b": Recorder}) as client:
        names = ["/", "/a", "/b"]
        joined = await asyncio.gather(*(client.connect(name) for name in names))
        assert [await each.call("echo", name) for each, name in zip(joined, names, strict=True)] == names
