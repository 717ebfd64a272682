"""Whom the verbs of an operator reach, and what happens while they do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from asocketio import AckTimeout, BaseNamespace, RoomsMixin, SocketIOApp, UsageError, socketio_manage
from asocketio.metrics import Metrics
from asocketio.operators import BroadcastOperator
from asocketio.testing import TestClient
from tests.support.worlds import Recorder

# ---- nobody -------------------------------------------------------------------------------------------------------


class Caller(Recorder, RoomsMixin):
    """Lets a test write down what its namespace does."""


@asynccontextmanager
async def clients(count: int, cls: type[BaseNamespace] = Caller, **settings: Any) -> AsyncIterator[Any]:
    """An app, the namespaces of its clients, and the objects of these in the server."""
    app = SocketIOApp(namespaces={"/": cls}, **settings)
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(TestClient(app)) for _ in range(count)]
        namespaces = [await client.connect() for client in opened]
        yield app, namespaces, [app.server.sockets[client.handshake["sid"]][""] for client in opened]


OPERATORS: dict[str, Callable[[SocketIOApp, Caller], BroadcastOperator]] = {
    "self.to": lambda app, me: me.to(*[]),
    "self.to.to": lambda app, me: me.to(*[]).to(*[]),
    "self.volatile.to": lambda app, me: me.volatile.to(*[]),
    "self.local.to": lambda app, me: me.local.to(*[]),
    "self.timeout.to": lambda app, me: me.timeout(1).to(*[]),
    "self.except_.to": lambda app, me: me.except_("muted").to(*[]),
    "self.to.except_": lambda app, me: me.to(*[]).except_("muted"),
    "self.to.volatile": lambda app, me: me.to(*[]).volatile,
    "self.to.local": lambda app, me: me.to(*[]).local,
    "of.to": lambda app, me: app.of("/").to(*[]),
    "of.to.except_ nobody": lambda app, me: app.of("/").to(*[]).except_(*[]),
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
async def test_an_operator_of_no_rooms_at_all_reaches_nobody_and_asks_no_adapter(
    operator: Callable[[SocketIOApp, Caller], BroadcastOperator], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clients(2) as (app, namespaces, [me, _]):
        nobody = operator(app, me)
        with monkeypatch.context() as patch:
            for verb in ("broadcast", "ask", "fetch", "fetch_sids", "join_all", "leave_all", "disconnect_all"):
                patch.setattr(app.server.adapter, verb, None)  # not called: nothing would be published either
            await nobody.emit("x")
            assert await nobody.call("x") == []
            await asyncio.to_thread(lambda: nobody.emit("x"))
            assert (await nobody.sockets(), await nobody.count()) == ([], 0)
            for act in (nobody.join("red"), nobody.leave("red"), nobody.disconnect(), nobody.disconnect(close=True)):
                await act
            for verb in (nobody.emit, nobody.call):
                with pytest.raises(UsageError):
                    await verb("x", object())
        for namespace in namespaces:
            await namespace.nothing()


async def test_no_rooms_named_is_the_namespace_and_nobody_excluded_is_nobody() -> None:
    async with clients(2) as (app, [ada, bob], [me, _]):
        await app.of("/").except_(*[]).emit("everybody")
        await me.except_(*[]).emit("the others")
        await app.of("/").to(*[]).to(me.sid).emit("ada")
        assert [await ada.receive(), await ada.receive()] == [("everybody",), ("ada",)]
        assert [await bob.receive(), await bob.receive()] == [("everybody",), ("the others",)]


# ---- asking several, while they go ----------------------------------------------------------------------------------


LIMIT = 10_000
QUESTION = ("vote", "?" * 500)


def fill(objects: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill the outboxes of these clients, which take nothing: the question ends them."""
    sockets = [each.socket for each in objects]
    stuck = [socket.transport for socket in sockets]
    flush = type(stuck[0]).flush
    monkeypatch.setattr(type(stuck[0]), "flush", lambda self: None if self in stuck else flush(self))
    for namespace, socket in zip(objects, sockets, strict=True):
        while socket.writer.outbox.size < 2 * LIMIT - 400:
            namespace.emit("x", "y" * 100)
        assert socket.connected


@pytest.mark.parametrize("slow", [[0], [1], [2], [0, 1], [0, 2], [0, 1, 2]])
async def test_a_client_that_is_closed_while_it_is_asked_does_not_end_the_question(
    slow: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clients(3, max_outbox=LIMIT) as (app, namespaces, objects):
        for number, namespace in enumerate(namespaces):
            namespace.on("vote", lambda text, number=number: number)
        fill([objects[number] for number in slow], monkeypatch)
        asked = [number for number in range(3) if number not in slow]
        assert sorted(await app.of("/").timeout(5).call(*QUESTION)) == asked
        assert [each.socket.connected for each in objects] == [number in asked for number in range(3)]


async def test_a_client_that_takes_others_along_while_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ending(Metrics):
        """Those who come after, and one who was asked before, are thrown out meanwhile."""

        def limited(self, setting: str) -> None:
            for number in (0, 2):
                objects[number].disconnect()

    async with clients(4, max_outbox=LIMIT, metrics=Ending()) as (app, namespaces, objects):
        for number, namespace in enumerate(namespaces):
            namespace.on("vote", lambda text, number=number: number)
        fill(objects[1:2], monkeypatch)
        assert await app.of("/").timeout(5).call(*QUESTION) == [3]


async def test_a_question_that_cannot_be_written_for_one_is_asked_of_nobody() -> None:
    def dumps(value: Any) -> str:
        if value == ["vote", 1]:
            raise ValueError("not this")
        return json.dumps(value)

    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            own = {"json_dumps": dumps} if scope["socketio"].handshake.query else {}
            await socketio_manage(scope, {"/": Caller}, **own)

    app = SocketIOApp(view, max_pending_acks=1)
    async with TestClient(app) as one, TestClient(app, query={"own": "1"}) as other:
        plain, own = await one.connect(), await other.connect()
        for number in (1, 1):
            with pytest.raises(UsageError, match="json_dumps failed"):
                await app.of("/").call("vote", number)
        await plain.nothing()
        for namespace in (plain, own):
            namespace.on("vote", lambda number: number)
        assert await app.of("/").call("vote", 2) == [2, 2]


async def test_a_question_that_is_given_up_leaves_nothing_behind() -> None:
    async with clients(2, max_pending_acks=1) as (app, namespaces, _):
        for _ in range(2):
            asking = asyncio.create_task(app.of("/").call("vote"))
            assert [await namespace.receive() for namespace in namespaces] == [("vote",)] * 2
            asking.cancel()
            await asyncio.wait([asking])
        for _ in range(2):
            asking = asyncio.create_task(app.of("/").timeout(5).call("vote"))
            assert [await namespace.receive() for namespace in namespaces] == [("vote",)] * 2
            await namespaces[0].client.advance(6)
            with pytest.raises(AckTimeout, match="2 clients did not answer 'vote' within 5 s"):
                await asking
