"""Whom the verbs of an operator reach, and what happens while they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from asocketio import BaseNamespace, RoomsMixin, SocketIOApp, UsageError
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
            for verb in ("broadcast", "members"):
                patch.setattr(app.server.adapter, verb, None)  # not called: nothing would be published either
            await nobody.emit("x")
            assert await nobody.call("x") == []
            await asyncio.to_thread(lambda: nobody.emit("x"))
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
