"""Clients whose view gave JSON functions of its own, among others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from asocketio import RoomsMixin, SocketIOApp, UsageError, socketio_manage
from asocketio.testing import TestClient
from tests.support.worlds import Recorder, Way


class Talk(Recorder, RoomsMixin):
    """Echoes."""


class Dates:
    """JSON of a program that writes sets, and counts how often."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def dumps(self, value: Any) -> str:
        self.written.append(value)
        return json.dumps(value, default=sorted)


def app_with(**own: Any) -> SocketIOApp:
    """An app whose clients with ``?own=1`` get these functions."""

    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await socketio_manage(scope, {"/": Talk}, **(own if scope["socketio"].handshake.query else {}))

    return SocketIOApp(view)


@asynccontextmanager
async def clients(app: SocketIOApp, count: int, **way: Any) -> AsyncIterator[list[Any]]:
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(TestClient(app, query={"own": "1"}, **way)) for _ in range(count)]
        yield [await client.connect() for client in opened]


async def test_one_broadcast_is_encoded_once_for_all_with_the_same_functions(way: Way) -> None:
    own = Dates()
    app = app_with(json_dumps=own.dumps)
    async with clients(app, 5, **way) as namespaces:
        own.written.clear()
        await app.of("/").emit("news", {2, 1})
        assert [await namespace.receive() for namespace in namespaces] == [("news", [1, 2])] * 5
        assert len(own.written) == 1
        for namespace in namespaces:
            namespace.on("vote", lambda: "yes")
        own.written.clear()
        assert await app.of("/").call("vote") == ["yes"] * 5
        assert len(own.written) == 1


async def test_mistakes_are_seen_though_one_client_has_functions_of_its_own() -> None:
    own = Dates()
    app = app_with(json_dumps=own.dumps)
    async with TestClient(app) as plain:
        for count in (0, 1, 0):  # before it comes, while it is there, and after it has gone
            async with clients(app, count):
                for nobody in (app.of("/").to("nobody"), app.of("/").to(*[]), app.of("/elsewhere")):
                    for verb in (nobody.emit, nobody.call):
                        with pytest.raises(UsageError):
                            await verb("news", object())
        await plain.connect()
        with pytest.raises(UsageError):
            await app.of("/").emit("news", {1})


async def test_what_only_the_programs_json_writes_may_be_sent_where_nobody_is() -> None:
    app = app_with(json_dumps=Dates().dumps)
    async with clients(app, 1) as [namespace]:
        await app.of("/").emit("news", {1})
        assert await namespace.receive() == ("news", [1])
        await app.of("/").to("nobody").emit("news", {1})
        assert await app.of("/").to("nobody").call("news", {1}) == []
    await app.of("/").emit("news", {1})
