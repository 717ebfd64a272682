"""An app with an adapter of the program's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asocketio import Adapter, BroadcastMixin, MemoryAdapter, RoomsMixin, SocketIOApp, UsageError
from asocketio.testing import TestClient
from tests.support.adapters import CountingAdapter
from tests.support.worlds import Recorder, Way


class Talk(Recorder, RoomsMixin, BroadcastMixin):
    """Joins, leaves and shouts."""

    def on_join(self, room: str) -> None:
        self.join(room)

    def on_leave(self, room: str) -> None:
        self.leave(room)

    def on_all(self) -> None:
        self.broadcast_event("all")
        self.broadcast_event_not_me("others")
        self.emit_to_room("red", "room")

    async def on_vote(self) -> Any:
        return await self.to("red").call("vote")

    async def on_alone(self) -> None:
        await self.emit("one")
        await self.volatile.emit("one")


async def test_every_verb_for_others_goes_through_the_adapter(way: Way) -> None:
    adapter = CountingAdapter()
    app = SocketIOApp(namespaces={"/": Talk}, adapter=adapter)
    async with TestClient(app, **way) as one, TestClient(app, **way) as other:
        ada, bob = await one.connect(), await other.connect()
        bob.on("vote", lambda: "yes")
        for room in ("red", "blue"):
            await bob.call("join", room)
        await bob.call("leave", "blue")
        await ada.call("alone")
        assert adapter.counts == {"start": 1, "add": 2, "join": 2, "leave": 1}
        await ada.call("all")
        await app.of("/").to("red").emit("from outside")
        assert await ada.call("vote") == ["yes"]
        assert [await ada.receive() for _ in range(3)] == [("one",), ("one",), ("all",)]
        assert [await bob.receive() for _ in range(4)] == [("all",), ("others",), ("room",), ("from outside",)]
    assert adapter.counts == {
        "start": 1, "add": 2, "join": 2, "leave": 1, "broadcast": 4, "ask": 1, "remove": 2, "stop": 1,
    }  # fmt: skip


def test_an_adapter_starts_and_stops_with_the_server_in_each_event_loop() -> None:
    adapter = CountingAdapter()
    app = SocketIOApp(namespaces={"/": Talk}, adapter=adapter)

    async def serve() -> None:
        async with TestClient(app):
            assert adapter.running  # before anybody has come: it may hear of others
        assert not adapter.running
        async with TestClient(app) as client:
            await client.connect()

    async def vanish() -> None:
        await TestClient(app).__aenter__()

    asyncio.run(serve())
    assert (adapter.counts["start"], adapter.counts["stop"]) == (2, 2)
    asyncio.run(vanish())
    asyncio.run(serve())
    assert (adapter.counts["start"], adapter.counts["stop"]) == (5, 4)


async def test_an_app_that_is_closed_stops_its_adapter_once() -> None:
    adapter = CountingAdapter()
    app = SocketIOApp(namespaces={"/": Talk}, adapter=adapter)
    await app.close()
    async with TestClient(app) as client:
        await client.connect()
        await asyncio.gather(app.close(), app.close())
    assert (adapter.counts["start"], adapter.counts["stop"]) == (1, 1)


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ("amqp://localhost", "expected redis://host:port, rediss://host:port or unix://path"),
        ("", "expected redis://host:port"),
        (MemoryAdapter, "expected an instance of a subclass of asocketio.Adapter"),
        (object(), "expected an instance of a subclass of asocketio.Adapter"),
    ],
)
def test_what_is_no_adapter_is_refused_at_once(adapter: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SocketIOApp(namespaces={"/": Talk}, adapter=adapter)


@pytest.mark.parametrize("kind", [MemoryAdapter, CountingAdapter])
def test_an_adapter_belongs_to_one_app(kind: type[Adapter]) -> None:
    adapter = kind()
    SocketIOApp(namespaces={"/": Talk}, adapter=adapter)
    with pytest.raises(UsageError, match="belongs to another SocketIOApp"):
        SocketIOApp(namespaces={"/": Talk}, adapter=adapter)
