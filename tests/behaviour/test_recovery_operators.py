"""Operators and clients that are away and may come back: they are moved and thrown out as if they were there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asocketio import ConnectionRefused
from asocketio.testing import ClientNamespace, settle
from tests.behaviour.test_recovery import RECOVERY, Room, World, carrier, pending, world
from tests.support.worlds import until

__all__ = ["carrier"]


class Slow(Room):
    """A handler of it, or its ``recv_connect`` on return, waits until it is told to go on."""

    gate: asyncio.Event
    refuses: bool

    async def recv_connect(self, auth: Any) -> None:
        super().recv_connect(auth)
        if self.recovered and auth.get("name") == "slow":
            await self.gate.wait()
            if self.refuses:
                raise ConnectionRefused("not now")

    async def on_wait(self) -> None:
        await self.gate.wait()


@pytest.fixture(autouse=True)
def gates() -> None:
    Slow.gate, Slow.refuses = asyncio.Event(), False


async def away(w: World, name: str = "ada") -> ClientNamespace:
    """A client that was in the lobby, and has lost its connection."""
    chat = await w.join(name)
    await w.lose(chat)
    return chat


Operator = Callable[[World, ClientNamespace], Any]
OPERATORS: dict[str, Operator] = {
    "its sid": lambda w, chat: w.all.to(chat.sid),
    "its room": lambda w, chat: w.all.to("lobby"),
    "everybody": lambda w, chat: w.all,
    "everybody but": lambda w, chat: w.all.except_("elsewhere"),
    "local": lambda w, chat: w.all.local,
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
async def test_who_joins_while_away_gets_what_was_sent_there_since(operator: Operator, carrier: str) -> None:
    async with world(carrier) as w:
        ada = await away(w)
        w.all.to("red", "blue").emit("n", "before")
        await operator(w, ada).join("red", "blue")
        w.all.to("red").emit("n", 1)
        w.all.to("red", "blue", "lobby").emit("n", 2)
        w.all.to("lobby").except_("blue").emit("n", "no")
        back = await w.back(ada)
        assert (back.recovered, pending(back)) == (True, [("n", 1), ("n", 2)])
        assert await back.call("rooms") == ["blue", "lobby", "red"]
        w.all.to("blue").emit("n", 3)
        assert await back.receive() == ("n", 3)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
async def test_who_leaves_while_away_gets_what_was_sent_before(operator: Operator, carrier: str) -> None:
    async with world(carrier) as w:
        ada = await away(w)
        w.all.to("lobby").emit("n", 1)
        await operator(w, ada).leave("lobby", "never joined")
        w.all.to("lobby").emit("n", "after")
        w.all.except_("lobby").emit("n", 2)
        back = await w.back(ada)
        assert (back.recovered, pending(back)) == (True, [("n", 1), ("n", 2)])
        assert await back.call("rooms") == []
        w.all.to("lobby").emit("n", "after")
        await back.nothing()


async def test_who_leaves_and_joins_while_away_has_a_gap() -> None:
    async with world() as w:
        ada = await away(w)
        for number in range(3):
            w.all.to("lobby").emit("n", number)
            await w.all.to(ada.sid).leave("lobby")
            w.all.to("lobby").emit("n", "gap")
            await w.all.to(ada.sid).join("lobby")
        assert pending(await w.back(ada)) == [("n", 0), ("n", 1), ("n", 2)]


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
async def test_who_is_disconnected_while_away_comes_back_as_a_new_one(
    operator: Operator, close: bool, carrier: str
) -> None:
    async with world(carrier) as w:
        ada = await away(w)
        w.all.emit("n", "missed")
        await operator(w, ada).disconnect(close=close)
        back = await w.back(ada, name="new")
        assert (back.recovered, back.sid == ada.sid, back.pid == ada.pid, pending(back)) == (False, False, False, [])
        assert await back.call("name") == "new"


async def test_others_are_not_meant() -> None:
    async with world() as w:
        ada, bob = await away(w), await away(w, "bob")
        for act in (w.all.to(bob.sid), w.all.except_(ada.sid), w.app.of("/other"), w.all.to("nobody"), w.all.to(*[])):
            await act.join("red")
            await act.leave("lobby")
            await act.disconnect(close=True)
        back = await w.back(ada)
        assert (back.recovered, await back.call("rooms")) == (True, ["lobby"])
        assert not (await w.back(bob)).recovered


async def test_they_are_not_counted_and_not_asked() -> None:
    async with world() as w:
        await away(w)
        assert ((await w.all.count(), await w.all.sockets()), w.all.instances()) == ((0, []), [])
        assert await w.all.timeout(1).call("x") == []


async def test_the_room_of_another_is_not_joined_while_away() -> None:
    async with world() as w:
        ada, bob = await away(w), await w.join("bob")
        with pytest.raises(Exception, match="private rooms"):
            w.all.to(ada.sid).join(bob.sid)
        await w.all.to(ada.sid).join(ada.sid)
        await w.all.to(ada.sid).leave(ada.sid)
        w.all.to(ada.sid).emit("n", 1)
        assert pending(await w.back(ada)) == [("n", 1)]


# ---- all of a connection -------------------------------------------------------------------------------------------


async def both_away(w: World, name: str = "ada") -> tuple[ClientNamespace, ClientNamespace]:
    """A client that was in two namespaces."""
    client = await w.client()
    chat, other = await client.connect(auth={"name": name}), await client.connect("/other", auth={"name": name})
    await w.lose(chat)
    return chat, other


@pytest.mark.parametrize("first", ["/", "/other"])
async def test_close_means_all_namespaces_of_a_client_that_is_away(first: str) -> None:
    async with world() as w:
        chats, others = await both_away(w), await both_away(w, "bob")
        await w.app.of(first).to(chats[first == "/other"].sid).disconnect(close=True)
        again = await w.client()
        back = [await again.connect(recover=chats[0]), await again.connect("/other", recover=chats[1])]
        assert [each.recovered for each in back] == [False, False]
        third = await w.client()
        back = [await third.connect(recover=others[0]), await third.connect("/other", recover=others[1])]
        assert [each.recovered for each in back] == [True, True]


async def test_without_close_the_other_namespaces_stay() -> None:
    async with world() as w:
        chat, other = await both_away(w)
        await w.app.of("/other").to(other.sid).disconnect()
        again = await w.client()
        assert (await again.connect("/other", recover=other)).recovered is False
        assert (await again.connect(recover=chat)).recovered is True


# ---- while its last handler runs -----------------------------------------------------------------------------------


async def ending(w: World) -> ClientNamespace:
    """A client whose connection is lost, and whose handler still runs."""
    chat = await w.join()
    await chat.emit("wait")
    await settle()
    await chat.client.lose()
    await settle()
    assert [entry[0] for entry in Slow.log] == ["in"]
    return chat


async def ended() -> None:
    Slow.gate.set()
    await until(lambda: Slow.log[-1][0] == "out")
    await settle()


async def test_who_is_moved_before_it_is_saved_is_moved() -> None:
    async with world(cls=Slow) as w:
        ada = await ending(w)
        await w.all.to("lobby").join("red")
        await w.all.to(ada.sid).leave("lobby")
        w.all.to("red").emit("n", 1)
        w.all.to("lobby").emit("n", "no")
        await ended()
        w.all.to("red").emit("n", 2)
        back = await w.back(ada)
        assert (back.recovered, pending(back), await back.call("rooms")) == (True, [("n", 1), ("n", 2)], ["red"])


@pytest.mark.parametrize("close", [False, True])
async def test_who_is_disconnected_before_it_is_saved_is_new(close: bool) -> None:
    async with world(cls=Slow) as w:
        ada = await ending(w)
        await w.all.to(ada.sid).disconnect(close=close)
        await ended()
        assert not (await w.back(ada)).recovered
        assert Slow.log[1] == ("out", "transport close", ["lobby"])


@pytest.mark.parametrize("first", ["/", "/other"])
async def test_so_it_is_in_all_namespaces(first: str) -> None:
    class Late(Slow):
        async def recv_disconnect(self, reason: str) -> None:
            await super().recv_disconnect(reason)
            await self.gate.wait()

    async with world(cls=Late) as w:
        client = await w.client()
        chats = [await client.connect(name, auth={"name": "ada"}) for name in ("/", "/other")]
        await client.lose()
        await settle()  # one is saved already, and its recv_disconnect runs
        await w.app.of(first).disconnect(close=True)
        await ended()
        again = await w.client()
        back = [await again.connect(name, recover=chat) for name, chat in zip(("/", "/other"), chats, strict=True)]
        assert [each.recovered for each in back] == [False, False]


# ---- while it comes back -------------------------------------------------------------------------------------------


async def over(back: asyncio.Future[ClientNamespace]) -> None:
    """It is in, or not: both will do."""
    await asyncio.wait([back])
    back.exception()
    await settle()


async def returning(w: World, former: ClientNamespace) -> asyncio.Future[ClientNamespace]:
    """A client whose ``recv_connect`` runs on its return."""
    back = asyncio.ensure_future(w.back(former, name="slow"))
    await until(lambda: Slow.log[-1][:2] == ("in", True))
    return back


async def test_who_is_disconnected_while_it_returns_is_new() -> None:
    async with world(cls=Slow) as w:
        ada = await away(w)
        back = await returning(w, ada)
        await w.all.disconnect()
        Slow.gate.set()
        await (await back).disconnected()
        await settle()
        assert not (await w.back(ada)).recovered


@pytest.mark.parametrize("how", ["refused", "lost"])
@pytest.mark.parametrize("close", [False, True])
async def test_so_it_is_where_it_is_not_let_in(how: str, close: bool) -> None:
    async with world(cls=Slow) as w:
        ada = await away(w)
        back = await returning(w, ada)
        Slow.refuses = how == "refused"
        await w.all.disconnect(close=close)
        if how == "lost":
            await w.clients[-1].lose()
        Slow.gate.set()
        await over(back)
        assert not (await w.back(ada)).recovered


@pytest.mark.parametrize("how", ["admitted", "refused", "lost"])
async def test_who_is_moved_while_it_returns_is_moved(how: str) -> None:
    async with world(cls=Slow) as w:
        ada = await away(w)
        w.all.to("lobby").emit("n", 1)
        back = await returning(w, ada)
        await w.all.join("red")
        await w.all.leave("lobby")
        w.all.to("red").emit("n", 2)
        w.all.to("lobby").emit("n", "no")
        Slow.refuses = how == "refused"
        if how == "lost":
            await w.clients[-1].lose()
        Slow.gate.set()
        await over(back)
        chat = await back if how == "admitted" else await w.back(ada)
        await settle()
        assert chat.recovered
        assert pending(chat) == [("n", 1), ("n", 2)]
        assert await chat.call("rooms") == ["red"]


# ---- bounds --------------------------------------------------------------------------------------------------------


async def test_who_has_rooms_enough_joins_no_more_while_away(caplog: pytest.LogCaptureFixture) -> None:
    async with world(max_rooms=2) as w:
        ada = await away(w)
        await w.all.join("red")
        await w.all.join("blue")
        await w.all.join("red")
        assert await (await w.back(ada)).call("rooms") == ["lobby", "red"]
    assert "did not join a room: one room more than the 2 of a client in '/' (max_rooms)" in caplog.text


async def test_nor_do_their_rooms_take_more_than_they_may() -> None:
    async with world(max_room_bytes=3000) as w:
        ada = await away(w)
        for number in range(5):
            await w.all.join(f"{number}" * 1000)
        assert len(await (await w.back(ada)).call("rooms")) == 2


async def test_rooms_that_are_joined_while_away_count_for_the_store() -> None:
    async with world(recovery_bytes=100_000) as w:
        chats = [await away(w, str(number)) for number in range(5)]
        for number in range(20):
            await w.all.join(f"{number} {'x' * 1000}")
            assert w.store.kept[1] <= 100_000
        recovered = [(await w.back(chat)).recovered for chat in chats]
        assert recovered == sorted(recovered)  # the oldest went first
        assert recovered[0] is False


async def test_nothing_is_left_of_those_who_were_moved_and_thrown_out() -> None:
    async with world() as w:
        for name in ("ada", "bob"):
            await away(w, name)
        await w.all.join("red", "blue")
        await w.all.to("red").leave("blue")
        await w.all.disconnect(close=True)
        assert w.store.kept == (0, 0)
        assert not w.store.find_away("", None, frozenset())
        await w.staying.advance(RECOVERY + 100)


async def test_what_recv_disconnect_leaves_is_not_left_by_who_comes_back() -> None:
    """As many programs do there; what comes back is what was there before."""

    class Tidy(Room):
        async def recv_disconnect(self, reason: str) -> None:
            await super().recv_disconnect(reason)
            self.leave("lobby")

    async with world(cls=Tidy) as w:
        ada = await away(w)
        w.all.to("lobby").emit("n", 1)
        await w.all.to(ada.sid).join("lobby", "red")
        back = await w.back(ada)
        assert (back.recovered, pending(back), await back.call("rooms")) == (True, [("n", 1)], ["lobby", "red"])
        await w.lose(back)
        await w.all.disconnect()
        assert w.store.kept == (0, 0)
