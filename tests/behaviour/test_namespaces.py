"""Namespaces that the program resolves by itself."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asocketio import ConnectionRefused, RoomsMixin, SocketIOApp, UsageError, socketio_manage
from asocketio.testing import TestClient
from tests.support.namespaces import PatternNamespaces
from tests.support.worlds import Recorder, Way

Log = pytest.LogCaptureFixture


class Home(Recorder):
    """The global namespace."""


class Order(Recorder, RoomsMixin):
    """One order."""

    def recv_connect(self) -> None:
        if self.params["number"] == "13":
            raise ConnectionRefused("sold out")

    def on_number(self) -> str:
        return str(self.params["number"])

    def on_fail(self) -> None:
        raise ValueError


def orders() -> PatternNamespaces:
    return PatternNamespaces({"": Home, r"/orders/(?P<number>\d+)": Order})


async def test_a_namespace_is_what_the_resolver_says(way: Way, caplog: Log) -> None:
    app = SocketIOApp(namespaces=orders())
    async with TestClient(app, **way) as client:
        home = await client.connect()
        assert Home.last.params == {}
        one, two = [await client.connect(f"/orders/{number}") for number in (1, 2)]
        assert [await each.call("number") for each in (one, two)] == ["1", "2"]
        assert await home.call("echo", 1) == 1
        await app.of("/orders/2").emit("paid")
        assert await two.receive() == ("paid",)
        await one.nothing()
        for name in ("/orders/x", "/orders/", "/orders/1/2"):
            with pytest.raises(ConnectionRefused):
                await client.connect(name)
        with pytest.raises(ConnectionRefused):
            await client.connect("/orders/13")
        await one.call("fail")
    assert r"declared are ['/', '/orders/(?P<number>\\d+)']" in caplog.text
    assert "/orders/1: the handler of event 'fail' in Order" in caplog.text
    assert app.server.adapter.local.namespaces == {}


async def test_a_view_may_give_a_resolver_too() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await socketio_manage(scope, orders())

    async with TestClient(SocketIOApp(view)) as client:
        assert await (await client.connect("/orders/7")).call("number") == "7"


async def test_the_resolver_is_asked_once_for_each_connect_and_for_no_event() -> None:
    namespaces = orders()
    async with TestClient(SocketIOApp(namespaces=namespaces, rate_limits={"*": (100, 1)})) as client:
        order = await client.connect("/orders/1")
        namespaces.asked.clear()
        assert await order.call("number") == "1"
        await order.call("echo")
    assert namespaces.asked == []


def test_an_operator_is_of_a_namespace_that_there_is() -> None:
    app = SocketIOApp(namespaces=orders())
    app.of("/")
    app.of("/orders/7")
    with pytest.raises(UsageError, match="there is no namespace '/orders/x'; declared are"):
        app.of("/orders/x")


@pytest.mark.parametrize("given", [{}, [], None, object(), "/chat", [("/", Home)]])
async def test_what_is_neither_a_dict_nor_a_resolver_is_refused(given: Any, caplog: Log) -> None:
    caplog.set_level(logging.CRITICAL)
    if given is not None:
        with pytest.raises(UsageError, match="expected a dict such as"):
            SocketIOApp(namespaces=given)
