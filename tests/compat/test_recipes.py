"""docs/recipes.md: each program does what the page says. Its scripts are run by ``tests/interop/test_recipes.py``."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Any

import pytest

from asocketio import ConnectionRefused
from asocketio.testing import ClientNamespace, TestClient, settle
from tests.support.recipes import PAGE, PROGRAMS, run
from tests.support.worlds import until


def test_each_program_has_its_test_and_is_in_the_list() -> None:
    assert list(PROGRAMS) == [
        "Log out everywhere",
        "A token that ends",
        "Who is online",
        "What a client sends arrives",
        "What you send arrives",
    ]
    assert re.findall(r"^- \[(.*?)\]", PAGE, re.MULTILINE) == list(PROGRAMS)


class Time:
    """The time of a program: it passes when the test says so."""

    def __init__(self, world: dict[str, Any]) -> None:
        self.now = world["time"]()
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []
        world["time"] = lambda: self.now
        world["asyncio"] = SimpleNamespace(sleep=self.sleep, Event=asyncio.Event)

    async def sleep(self, seconds: float) -> None:
        end = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.now + seconds, end))
        await self._pass()
        await end

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        await self._pass()
        await settle()

    async def _pass(self) -> None:
        for entry in [entry for entry in self._sleeping if entry[0] <= self.now]:
            self._sleeping.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)


async def received(*clients: ClientNamespace) -> list[list[Any]]:
    """What has come to each of them."""
    await settle()
    found = [list(client.pending) for client in clients]
    for client in clients:
        client.pending.clear()
    return found


async def test_log_out_everywhere() -> None:
    world = run("Log out everywhere")
    app = world["app"]
    async with TestClient(app) as one, TestClient(app, transport="polling") as two, TestClient(app) as three:
        phone, laptop = [await c.connect(auth={"token": t}) for c, t in ((one, "sesame"), (two, "simsim"))]
        bob = await three.connect(auth={"token": "abc"})
        await phone.call("note", "milk")
        assert await received(phone, laptop, bob) == [[], [("note", "milk")], []]
        await phone.emit("log out everywhere")
        for device in (phone, laptop):
            assert await device.receive() == ("logged out",)
            assert await device.disconnected() == "io server disconnect"
        assert world["TOKENS"] == {"abc": "bob"}
        await bob.call("note", "alone")
        assert await received(bob) == [[]]
        for token in ("sesame", "simsim", None, ["sesame"], {}):
            async with TestClient(app) as again:
                with pytest.raises(ConnectionRefused, match="log in first"):
                    await again.connect(auth={"token": token})


async def test_with_recovery_those_who_are_away_are_logged_out_too() -> None:
    world = run("Log out everywhere")
    app = type(world["app"])(namespaces={"/": world["Desk"]}, recovery=120.0)
    world["app"] = app
    async with TestClient(app), TestClient(app) as away, TestClient(app) as again:
        former = await away.connect(auth={"token": "sesame"})
        await away.lose()
        await settle()
        await world["log_out"]("ada")
        with pytest.raises(ConnectionRefused, match="log in first"):
            await again.connect(auth={"token": "sesame"}, recover=former)


@pytest.mark.parametrize("renewed", ["in time", "at the last moment", "by another user", "never"])
async def test_a_token_that_ends(renewed: str) -> None:
    world = run("A token that ends")
    time = Time(world)
    world["TOKENS"] |= {
        "first": ("ada", time.now + 100), "second": ("ada", time.now + 300), "bobs": ("bob", time.now + 300),
    }  # fmt: skip
    async with TestClient(world["app"]) as client:
        for wrong in ("unknown", None, ["first"]):
            with pytest.raises(ConnectionRefused, match="log in first"):
                await client.connect(auth={"token": wrong})
        desk = await client.connect(auth={"token": "first"})
        await time.advance(39)
        assert await received(desk) == [[]]
        if renewed == "in time":
            assert await desk.call("renew", "second") is True
        await time.advance(2)
        assert await received(desk) == [[("token ends", 59.0)] if renewed != "in time" else []]
        if renewed == "at the last moment":
            await time.advance(58)
            assert await desk.call("renew", "second") is True
        if renewed == "by another user":
            assert await desk.call("renew", "bobs") is False
            assert await desk.call("renew", {}) is False
        await time.advance(60)
        if renewed in ("by another user", "never"):
            assert await desk.disconnected() == "io server disconnect"
            return
        assert desk.reason is None
        await time.advance(300)
        await settle()
        assert (await received(desk))[0][0][0] == "token ends"
        await time.advance(300)
        assert await desk.disconnected() == "io server disconnect"


async def test_who_is_online() -> None:
    world = run("Who is online")
    time = Time(world)
    app = world["app"]
    async with TestClient(app) as one:
        ada = await one.connect(auth={"user": "ada"})
        async with TestClient(app) as two, TestClient(app) as three:
            await two.connect(auth={"user": "bob"})
            await three.connect(auth={"user": "bob"})
            assert await received(ada) == [[("online", "ada"), ("online", "bob")]]
            assert await ada.call("who") == ["ada", "bob"]
            assert await ada.call("last seen", "bob") == "now"
            await two.disconnect()
            await time.advance(10)
            assert await received(ada) == [[]]
        async with TestClient(app) as reloaded:
            await time.advance(4)
            await reloaded.connect(auth={"user": "bob"})
            await time.advance(10)
            assert (await received(ada), await ada.call("who")) == ([[]], ["ada", "bob"])
        await until(lambda: len(app.of("/").instances()) == 1)
        seen = time.now
        await time.advance(4)
        assert await received(ada) == [[]]
        await time.advance(2)
        assert await received(ada) == [[("offline", "bob", seen)]]
        assert [await ada.call("who"), await ada.call("last seen", "bob")] == [["ada"], seen]
        assert await ada.call("last seen", "eve") is None


async def test_what_a_client_sends_arrives() -> None:
    world = run("What a client sends arrives")
    app = world["app"]
    async with TestClient(app) as one, TestClient(app) as two:
        ada = await one.connect(auth={"user": "ada"})
        assert [await ada.call("order", key, "tea") for key in ("a", "b", "a")] == [1, 2, 1]
        await one.lose()
        ada = await two.connect(auth={"user": "ada"})
        assert [await ada.call("order", key, "tea") for key in ("b", "c")] == [2, 3]
        async with TestClient(app) as three:  # another's key is another order
            assert await (await three.connect(auth={"user": "bob"})).call("order", "a", "tea") == 4
        assert (await ada.call("order", {}, "tea"))["error"]["name"] == "handler_error"
    assert world["db"].execute("SELECT user, key FROM orders").fetchall() == [
        ("ada", "a"), ("ada", "b"), ("ada", "c"), ("bob", "a"),
    ]  # fmt: skip


async def test_what_you_send_arrives() -> None:
    world = run("What you send arrives")
    app, send = world["app"], world["send"]
    got: list[Any] = []

    def take(*args: Any) -> None:
        got.append(args)

    silent = asyncio.get_running_loop().create_future()

    def hang(*args: Any) -> Any:
        got.append(args)
        return silent

    send("ada", "before")
    async with TestClient(app) as one, TestClient(app) as bobs:
        await bobs.connect(auth={"user": "bob"})
        ada = await one.connect(auth={"user": "ada"}, on={"message for you": take})
        await until(lambda: got == [(1, "before")])
        send("ada", "while it is there")
        await until(lambda: got == [(1, "before"), (2, "while it is there")])
        got.clear()
        ada.on("message for you", hang)
        await settle()
        send("ada", "not answered")
        await until(lambda: got == [(3, "not answered")])
        await one.advance(10.1)
        await until(lambda: got == [(3, "not answered")] * 2)
    got.clear()
    async with TestClient(app) as again:
        await again.connect(auth={"user": "ada"}, on={"message for you": take})
        await until(lambda: got == [(3, "not answered")])
        send("ada", "at once")
        await until(lambda: got == [(3, "not answered"), (4, "at once")])
        await until(lambda: not world["db"].execute("SELECT * FROM messages").fetchall())
    silent.cancel()
