"""Namespaces by pattern: which names they serve, to whom, and that nothing is kept of a name that nobody is in."""

from __future__ import annotations

import gc
import logging
import re
import sys
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from asocketio import (
    BaseNamespace,
    ConnectionRefused,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
    UsageError,
    socketio_manage,
)
from asocketio.manage import NamespaceTable
from asocketio.metrics.prometheus import PrometheusMetrics
from asocketio.protocol.json_parser import JSONParser
from asocketio.testing import TestClient, settle
from tests.support.worlds import Recorder, Way

Log = pytest.LogCaptureFixture


class Home(Recorder):
    """The global namespace."""


class Order(Recorder, RoomsMixin):
    """One order."""

    def recv_connect(self) -> None:
        if self.params["order_id"] == 13:
            raise ConnectionRefused("sold out")

    def on_number(self) -> Any:
        return self.params["order_id"]

    def on_fail(self) -> None:
        raise ValueError


class Tenant(Recorder):
    """One tenant."""

    def on_name(self) -> Any:
        return self.params["name"]


PATTERNS = {
    "/": Home, "/orders/{order_id:int}": Order, re.compile(r"/tenant-(?P<name>\w{1,20})"): Tenant,
}  # fmt: skip


async def test_a_namespace_is_what_the_pattern_says(way: Way, caplog: Log) -> None:
    app = SocketIOApp(namespaces=PATTERNS)
    async with TestClient(app, **way) as client:
        home = await client.connect()
        assert Home.last.params == {}
        one, two = [await client.connect(f"/orders/{number}") for number in (1, 2)]
        assert Order.last.params["order_id"] == 2
        assert [await each.call("number") for each in (one, two)] == [1, 2]
        assert await home.call("echo", 1) == 1
        assert await (await client.connect("/tenant-ada")).call("name") == "ada"
        await app.of("/orders/2").emit("paid")
        assert await two.receive() == ("paid",)
        assert [each.params["order_id"] for each in app.of("/orders/1").instances()] == [1]
        await one.nothing()
        for name in ("/orders/x", "/orders/", "/orders/1/2", "/orders/007", "/orders/+7", "/orders/٧", "/tenant-"):
            with pytest.raises(ConnectionRefused):
                await client.connect(name)
        with pytest.raises(ConnectionRefused):
            await client.connect("/orders/13")
        await one.call("fail")
    assert "refused the namespace" in caplog.text
    assert "'/orders/{order_id:int}'" in caplog.text
    assert "/orders/1: the handler of event 'fail' in Order" in caplog.text
    assert app.server.adapter.local.namespaces == {}


async def test_a_view_may_give_patterns_too() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await socketio_manage(scope, PATTERNS)

    app = SocketIOApp(view)
    async with TestClient(app) as client:
        order = await client.connect("/orders/7")
        assert await order.call("number") == 7
        await app.of("/orders/7").emit("paid")
        assert await order.receive() == ("paid",)
        with pytest.raises(ConnectionRefused):
            await client.connect("/orders/07")
        with pytest.raises(UsageError, match="is a pattern"):
            app.of("/orders/{order_id:int}")


async def test_patterns_are_asked_once_for_each_connect_and_for_no_event() -> None:
    asked: list[str] = []

    class Asked(NamespaceTable):
        def resolve(self, name: str) -> Any:
            asked.append(name)
            return super().resolve(name)

    with patch("asocketio.app.NamespaceTable", Asked):
        app = SocketIOApp(namespaces=PATTERNS)
    async with TestClient(app) as client:
        order = await client.connect("/orders/1")
        assert asked == ["/orders/1"]
        assert await order.call("number") == 1
        await order.call("echo")
    assert asked == ["/orders/1"]


def test_an_operator_is_of_a_namespace_that_there_is() -> None:
    app = SocketIOApp(namespaces=PATTERNS)
    app.of("/")
    app.of("/orders/7")
    app.of("/tenant-ada")
    for name in ("/orders/x", "/orders/007", "/orders/" + "7" * 200):
        with pytest.raises(UsageError, match=r"there is no namespace '/orders/.*; declared are"):
            app.of(name)


@pytest.mark.parametrize("pattern", ["/orders/{order_id:int}", "/rooms/{name}", re.compile("/tenant-(.*)")])
def test_a_pattern_is_no_namespace_to_be_talked_to(pattern: Any) -> None:
    app = SocketIOApp(namespaces={"/rooms/{name}": Home, **PATTERNS})
    with pytest.raises(UsageError, match=r"is a pattern: of\(\) takes the name of one namespace"):
        app.of(pattern)


@pytest.mark.parametrize("given", [{}, [], object(), "/chat", [("/", Home)]])
async def test_what_is_no_dict_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="expected a dict such as"):
        SocketIOApp(namespaces=given)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (re.compile(b"/x"), "names are text"),
        (7, "a name begins with '/'"),
        ("orders/{order_id}", "a name begins with '/'"),
        ("/orders,{order_id}", "a name begins with '/'"),
        ("/orders/{order_id:number}", "there is no converter 'number'"),
    ],
)
def test_a_key_that_is_no_pattern_is_refused(key: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        SocketIOApp(namespaces={key: Home})


def test_what_a_pattern_serves_is_a_class() -> None:
    with pytest.raises(UsageError, match=r"namespace '/o/\{x\}': expected a subclass of BaseNamespace"):
        SocketIOApp(namespaces={"/o/{x}": object})  # type: ignore[dict-item]


# ---- which one ---------------------------------------------------------------------------------------------------


class A(BaseNamespace):
    """One of three classes that are told apart."""


class B(BaseNamespace):
    """One of three classes that are told apart."""


class C(BaseNamespace):
    """One of three classes that are told apart."""


def served(table: NamespaceTable, name: str) -> Any:
    found = table.resolve(name)
    return None if found is None else (found.cls, found.declared, dict(found.params))


def test_a_name_wins_over_patterns_and_they_go_in_order() -> None:
    number = re.compile(r"/o/(?P<n>\d)(?P<rest>x)?")
    table = NamespaceTable({"/o/{order_id:int}": A, number: B, "/o/{rest:path}": C, "/o/7": B, "/": C})
    assert served(table, "/o/7") == (B, "/o/7", {})
    assert served(table, "/o/8") == (A, "/o/{order_id:int}", {"order_id": 8})
    assert served(table, "/o/8x") == (B, number.pattern, {"n": "8", "rest": "x"})
    assert served(table, "/o/08") == (C, "/o/{rest:path}", {"rest": "08"})
    assert served(table, "") == (C, "", {})
    assert served(table, "/x") is None
    assert table.declared == ["/o/7", "", "/o/{order_id:int}", number.pattern, "/o/{rest:path}"]


def test_a_regular_expression_matches_the_whole_name() -> None:
    table = NamespaceTable({re.compile("/a+"): A})
    assert [name for name in ("/a", "/aa", "/ab", "b/a", "/a\n") if table.resolve(name)] == ["/a", "/aa"]


def test_patterns_match_no_other_than_names() -> None:
    """The global namespace is only what is declared as such; and what ``of`` cannot name, no pattern serves."""
    table = NamespaceTable({re.compile("(?s).*"): A, "/{rest:path}": B})
    assert [name for name in ("", "x", "/a?b", "/a,b", "/" + 200 * "x") if table.resolve(name)] == []
    assert served(table, "/" + 199 * "x") == (A, "(?s).*", {})


def test_a_pattern_that_backtracks_is_asked_of_short_names_only() -> None:
    table = NamespaceTable({re.compile("/(a|a)*b"): A})  # 2 ** 199 steps would be too many
    assert table.resolve("/" + 200 * "a") is None


def test_the_params_belong_to_the_name() -> None:
    found = NamespaceTable({"/o/{order_id:int}": A}).resolve("/o/7")
    assert found is not None
    with pytest.raises(TypeError):
        found.params["order_id"] = 8  # type: ignore[index]


async def test_all_converters_reach_self_params() -> None:
    app = SocketIOApp(namespaces={"/x/{a}/{b:int}/{c:float}/{d:uuid}/{e:path}": Recorder})
    async with TestClient(app) as client:
        await client.connect("/x/é/7/1.5/0f8fad5b-d9cb-469f-a165-70867728950e/p/q")
    assert dict(Recorder.last.params) == {
        "a": "é", "b": 7, "c": 1.5, "d": UUID("0f8fad5b-d9cb-469f-a165-70867728950e"), "e": "p/q",
    }  # fmt: skip


@pytest.mark.parametrize("generation", [3, "0.9"])
async def test_a_query_string_is_cut_off_before(generation: Any) -> None:
    class Seen(Recorder):
        def recv_connect(self, auth: Any) -> None:
            self.auth = auth

    app = SocketIOApp(namespaces={"/": Home, "/orders/{order_id:int}": Seen})
    async with TestClient(app, generation=generation) as client:
        order = await client.connect("/orders/7", {"token": "abc"})
        assert (Seen.last.ns_name, dict(Seen.last.params), Seen.last.auth) == (
            "/orders/7", {"order_id": 7}, {"token": "abc"},
        )  # fmt: skip
        await app.of("/orders/7").emit("paid")
        assert await order.receive() == ("paid",)


async def test_without_a_global_namespace_older_clients_are_in_none() -> None:
    app = SocketIOApp(namespaces={re.compile(".*"): Recorder})
    async with TestClient(app, generation=3) as client:
        await client.connect()
        assert app.server.adapter.local.namespaces == {}


async def test_who_comes_back_is_in_the_same_namespace_with_its_params() -> None:
    app = SocketIOApp(namespaces=PATTERNS, recovery=60)
    async with TestClient(app) as client, TestClient(app) as again, TestClient(app) as third:
        order = await client.connect("/orders/7")
        await app.of("/orders/7").emit("a")
        assert await order.receive() == ("a",)
        await client.lose()
        await settle()
        await app.of("/orders/7").emit("b")
        await app.of("/orders/8").emit("c")
        back = await again.connect("/orders/7", recover=order)
        assert (back.recovered, await back.receive(), await back.call("number")) == (True, ("b",), 7)
        await again.lose()
        await settle()
        other = await third.connect("/orders/8", recover=back)  # what is kept belongs to the name, not to the pattern
        assert not other.recovered


# ---- nothing is kept ---------------------------------------------------------------------------------------------


class Visited(Recorder, RoomsMixin):
    """Does what leaves traces."""

    async def recv_connect(self) -> None:
        await self.join("room")
        self.data["x"] = 1
        if self.params["number"] % 10 == 9:
            raise ConnectionRefused("not this one")

    async def on_work(self) -> None:
        await self.namespace.to("room").emit("x", 1)
        await self.namespace.server_emit("x")
        await self.namespace.timeout(1).server_call("x")
        await self.namespace.sockets()
        self.error("e", "e")
        raise ValueError


def tables(app: SocketIOApp) -> list[Any]:
    """What knows namespaces by their names."""
    adapter, recovery = app.server.adapter, app.server.adapter.recovery
    kept = [adapter.local.namespaces, adapter.local.rooms, adapter.local.listeners, adapter.server_events]
    if recovery is not None:
        kept += [recovery._protocols, recovery._log._namespaces, recovery._here, recovery._away]  # type: ignore[attr-defined]
    return [len(each) for each in kept]


async def visit(client: TestClient, name: str, *, work: bool) -> None:
    try:
        each = await client.connect(name)
    except ConnectionRefused:
        pass
    else:
        if work:
            await each.call("work")
        await each.disconnect()
    client.namespaces.pop(name)


@pytest.mark.no_cover
async def test_ten_thousand_names_come_and_go_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round is 1000 names; in the nine after the first not even a block of memory in each ten names is added."""
    log = logging.getLogger("asocketio")
    monkeypatch.setattr(log, "filters", [*log.filters, lambda record: False])  # lines are made, and kept by nobody
    registry = CollectorRegistry()
    app = SocketIOApp(
        namespaces={"/": Home, "/n/{number:int}": Visited}, metrics=PrometheusMetrics(registry), recovery=30.0,
        rate_limits={"*": (1_000_000, 1.0), "work": (1_000_000, 1.0)},
    )  # fmt: skip
    held: list[int] = []
    async with TestClient(app, deadline=60) as client:
        home = await client.connect()
        before = tables(app)
        for number in range(10_000):
            await visit(client, f"/n/{number}", work=number % 100 == 0)
            if number % 1000 == 999:
                await home.call("echo", 1)
                assert tables(app) == before
                gc.collect()
                held.append(sys.getallocatedblocks())
        socket = app.server.sockets[client.handshake["sid"]]
        assert (len(socket.members), set(socket.former_namespaces)) == (1, set())
    assert held[-1] - held[0] < 900, held
    series = {sample.labels.get("namespace") for metric in registry.collect() for sample in metric.samples}
    assert series == {None, "/", "/n/{number:int}"}


async def test_the_object_of_a_namespace_is_freed_when_its_client_leaves() -> None:
    """By its references alone."""
    gone: list[Any] = []

    class Freed(BaseNamespace):
        def __del__(self) -> None:
            gone.append(self.ns_name)

    app = SocketIOApp(namespaces={"/n/{number:int}": Freed})
    gc.disable()
    try:
        async with TestClient(app) as client:
            await (await client.connect("/n/1")).disconnect()
            await client.connect("/n/2")
            assert gone == ["/n/1"]
    finally:
        gc.enable()


async def test_strays_for_names_that_match_are_dropped() -> None:
    app = SocketIOApp(namespaces={"/": Recorder, "/n/{number:int}": Recorder})
    async with TestClient(app) as client:
        home = await client.connect()
        for name in ("/n/1", "/n/2"):
            for packet in (Packet(PacketType.EVENT, name, "echo", [1]), Packet(PacketType.DISCONNECT, name)):
                await client.post(packet)
        assert await home.call("echo", 1) == 1
        await client.post(Packet(PacketType.EVENT, "/n/01", "echo", [1]))
        assert await home.disconnected() == "transport close"


def test_a_parser_names_only_so_many() -> None:
    """The line about attachments is written once for each event, of the first hundred."""
    parser = JSONParser()
    for number in range(200):
        parser.encode(Packet(PacketType.EVENT, f"/n/{number}", "x", [b"x"] * 11), "")
    assert len(parser._limit._told) == 100
