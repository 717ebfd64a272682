"""What a client names is bounded in bytes, not in pieces: rooms, namespaces, events and the like; by tracemalloc."""

from __future__ import annotations

import gc
import logging
import re
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from asocketio import (
    BaseNamespace,
    ConnectionRefused,
    Disconnected,
    Overflow,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
)
from asocketio.metrics.prometheus import PrometheusMetrics
from asocketio.testing import ClientNamespace, TestClient, settle
from tests.support.worlds import GENERATIONS, Recorder

pytestmark = pytest.mark.no_cover  # the lines are those of other tests, and tracemalloc is slow enough

SLACK = 1_000_000
"""Bytes of a packet or two of the largest here, on their way, and of tables that have grown."""
NAMESPACE = 6000
"""Bytes that a namespace of a client takes besides its name: its member, its object, and places in tables."""


class Naming(Recorder, RoomsMixin):
    """Lets its clients name what they like."""

    def recv_connect(self, auth: Any) -> None:
        if self.ns_name.startswith("/refused"):
            raise ConnectionRefused(self.ns_name)

    def on_join(self, name: str) -> None:
        with suppress(Overflow):
            self.join(name)

    def on_join_many(self, size: int, last: str) -> None:
        with suppress(Overflow):
            for number in range(10_001):
                self.join(f"{number:0{size}}"[:size] + last)

    def on_fail(self, text: str) -> None:
        raise ValueError(text)

    def on_refuse(self, text: str) -> None:
        self.error(text, text)


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are made, and kept by nobody."""
    log = logging.getLogger("asocketio")
    monkeypatch.setattr(log, "filters", [*log.filters, lambda record: False])


async def held(app: SocketIOApp, generation: Any, do: Callable[[TestClient, ClientNamespace], Awaitable[None]]) -> int:
    """The bytes that are held after a client did something, more than before."""
    async with TestClient(app, generation=generation, deadline=60) as client:
        namespace = await client.connect()
        await namespace.call("echo", 1)
        gc.collect()
        tracemalloc.start()
        try:
            await do(client, namespace)
            with suppress(Disconnected):
                await namespace.call("echo", 1)
            await settle()
            for each in client.namespaces.values():
                each.pending.clear()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()


SHAPES = {
    "short": (5, ""), "hundred": (100, ""), "long": (60_000, ""), "wide": (150, "😀"), "long and wide": (60_000, "😀"),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("generation", GENERATIONS)
async def test_the_rooms_of_a_client_hold_what_the_limit_says(shape: str, generation: Any) -> None:
    names = ["/", *(f"/{number}" for number in range(3))]
    app = SocketIOApp(namespaces=dict.fromkeys(names, Naming))
    size, last = SHAPES[shape]

    async def join(client: TestClient, namespace: ClientNamespace) -> None:
        for name in names:
            await (namespace if name == "/" else await client.connect(name)).call("join many", size, last)

    assert await held(app, generation, join) <= app.config.max_room_bytes + SLACK


def long_name(number: int, size: int = 100_000) -> str:
    return f"{number:0{size}}😀"


Act = Callable[[TestClient, ClientNamespace, int], Awaitable[Any]]


async def asks_for(client: TestClient, name: str, query: str = "") -> None:
    with suppress(ConnectionRefused, Disconnected):
        namespace = await client.connect(name, {"x": query} if query else None)
        await namespace.disconnect()
    client.namespaces.pop(name, None)


def raw(kind: PacketType, **more: Any) -> Act:
    """Packets of namespaces that the client is not in."""

    async def act(client: TestClient, namespace: ClientNamespace, number: int) -> None:
        for each in range(50):  # 150 times: more than twice `SLACK`, with what Python keeps beside each name
            await client.post(Packet(kind, f"/open/{number}{each:0150}", **more))
        await settle()

    return act


ACTS: dict[str, Act] = {
    "joins and leaves rooms": lambda client, namespace, number: namespace.call("join", long_name(number)),
    "names events": lambda client, namespace, number: namespace.emit(long_name(number), 1),
    "names events and asks": lambda client, namespace, number: namespace.call(long_name(number)),
    "fails": lambda client, namespace, number: namespace.call("fail", long_name(number)),
    "is complained of": lambda client, namespace, number: namespace.call("refuse", long_name(number)),
    "sends": lambda client, namespace, number: namespace.send(long_name(number)),
    "asks for what there is not": lambda client, namespace, number: asks_for(client, "/" + long_name(number)),
    "comes and goes": lambda client, namespace, number: asks_for(client, f"/open/{number:0100}"),
    "comes and goes, by a long name": lambda client, namespace, number: asks_for(client, f"/open/{number:010000}"),
    "is refused": lambda client, namespace, number: asks_for(client, f"/refused/{number:0100}"),
    "comes with a query": lambda client, namespace, number: asks_for(client, "/open/1", long_name(number)),
    "stray acks": raw(PacketType.ACK, id=5),
    "stray events": raw(PacketType.EVENT, name="x"),
    "leaves what it is not in": raw(PacketType.DISCONNECT),
}

LONG = (
    "joins and leaves rooms", "names events", "names events and asks", "fails", "is complained of", "sends",
    "asks for what there is not", "comes with a query",
)  # fmt: skip
"""What is named has 100 kB: thirty times are three times `SLACK`."""


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("generation", GENERATIONS)
async def test_what_else_a_client_names_is_not_kept(act: str, generation: Any) -> None:
    served = {"": Naming, "/open/{name}": Naming, re.compile(r"/refused/\d+"): Naming}
    app = SocketIOApp(
        namespaces=served, metrics=PrometheusMetrics(), rate_limits={"*": (100_000, 1.0), "x": (100_000, 1.0)},
        max_room_bytes=100_000,
    )  # fmt: skip

    async def repeat(client: TestClient, namespace: ClientNamespace) -> None:
        for number in range(30 if act in LONG else 150):
            await ACTS[act](client, namespace, number)

    assert await held(app, generation, repeat) <= SLACK


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_the_namespaces_of_a_client_hold_what_the_limit_says(generation: Any) -> None:
    app = SocketIOApp(namespaces={"": Naming, "/open/{name}": Naming}, max_namespaces=200)

    async def join(client: TestClient, namespace: ClientNamespace) -> None:
        for number in range(250):
            with suppress(ConnectionRefused):
                await client.connect(f"/open/{number:0180}😀")
            client.namespaces.pop(f"/open/{number:0180}😀")

    assert await held(app, generation, join) <= 200 * (NAMESPACE + 4 * 200) + SLACK


async def test_a_name_that_was_left_is_not_told_from_one_that_was_never_joined() -> None:
    """Of the names of a pattern none is remembered; declared ones are."""
    app = SocketIOApp(namespaces={"": Recorder, "/open/{number:int}": Recorder})
    async with TestClient(app) as client:
        namespace = await client.connect()
        left = await client.connect("/open/1")
        await left.disconnect()
        for name in ("/open/1", "/open/2"):  # late, or never joined: dropped
            await client.post(Packet(PacketType.EVENT, name, name="echo", args=[1]))
            await client.post(Packet(PacketType.ACK, name, id=7))
            await client.post(Packet(PacketType.DISCONNECT, name))
        assert await namespace.call("echo", 1) == 1
        await client.post(Packet(PacketType.EVENT, "/open/x", name="echo"))
        assert await namespace.disconnected() == "transport close"


class Long(BaseNamespace):
    """Declared by a name of any length."""


async def test_a_declared_name_may_be_long() -> None:
    name = "/" + 5000 * "x"
    async with TestClient(SocketIOApp(namespaces={name: Long})) as client:
        await client.connect(name)
        with pytest.raises(ConnectionRefused):
            await client.connect(name + "x")
