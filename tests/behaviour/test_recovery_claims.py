"""What a client says it was when it comes back: made up, of another user, of another server, too late, or of no type.

``test_recovery`` has what is forged in one value; here is what goes wrong with true ones.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from asocketio import ConnectionRefused, SocketIOApp
from asocketio.testing import ClientNamespace, TestClient, settle
from tests.behaviour.test_recovery import RECOVERY, Room, World, pending, world


async def away(w: World, name: str) -> ClientNamespace:
    """A client that has had an event, lost its connection, and missed another."""
    chat = await w.join(name)
    w.all.to(chat.sid).emit("n", "had")
    assert await chat.receive() == ("n", "had")
    await w.lose(chat)
    w.all.to(chat.sid).emit("n", f"missed by {name}")
    return chat


async def claims(w: World, pid: Any, offset: Any, **more: Any) -> ClientNamespace:
    return await (await w.client()).connect(auth={"pid": pid, "offset": offset, **more})


async def test_ids_of_two_users_do_not_mix() -> None:
    async with world() as w:
        ada, bob = await w.join("ada"), await w.join("bob")
        for chat, name in ((ada, "ada"), (bob, "bob")):
            w.all.to(chat.sid).emit("n", "had")
            assert await chat.receive() == ("n", "had")
            await w.lose(chat)
            w.all.to(chat.sid).emit("n", f"missed by {name}")
        for pid, offset in ((ada.pid, bob.offset), (bob.pid, ada.offset), (ada.sid, ada.offset), (ada.offset, ada.pid)):
            thief = await claims(w, pid, offset)
            assert thief.sid not in (ada.sid, bob.sid)
            assert pending(thief) == []
        assert [pending(await w.back(chat)) for chat in (ada, bob)] == [
            [("n", "missed by ada")], [("n", "missed by bob")],
        ]  # fmt: skip


async def test_recv_connect_may_ask_whose_it_is() -> None:
    """With pid and offset of another, ``self.data`` says of whom: who is refused there has got and changed nothing."""

    class Owned(Room):
        def recv_connect(self, auth: Any) -> None:
            super().recv_connect(auth)
            if self.recovered and self.data["name"] != auth.get("name"):
                raise ConnectionRefused("not yours")

    async with world(cls=Owned) as w:
        ada = await away(w, "ada")
        client = await w.client()
        got: list[Any] = []
        with pytest.raises(ConnectionRefused, match="not yours"):
            await client.connect(auth={"name": "mallory"}, on={"n": got.append}, recover=ada)
        await settle()
        assert got == []
        assert pending(await w.back(ada, name="ada")) == [("n", "missed by ada")]


@pytest.mark.parametrize("what", ["pid", "offset", "both"])
async def test_what_another_server_gave_out_is_nothing_here(what: str) -> None:
    """As after a restart, or at another process."""
    async with world() as there, world() as here:
        stranger, ada = await away(there, "ada"), await away(here, "ada")
        pid = ada.pid if what == "offset" else stranger.pid
        offset = ada.offset if what == "pid" else stranger.offset
        chat = await claims(here, pid, offset)
        assert (chat.sid in (ada.sid, stranger.sid), pending(chat)) == (False, [])
        assert (await here.back(ada)).recovered


async def test_nothing_outlasts_a_restart() -> None:
    app = SocketIOApp(namespaces={"/": Room}, recovery=RECOVERY)
    Room.log = []
    async with TestClient(app) as client:
        ada = await client.connect(auth={"name": "ada"})
        app.of("/").emit("n", 1)
        assert await ada.receive() == ("n", 1)
        await client.lose()
        await settle()
    async with TestClient(app) as again:
        back = await again.connect(recover=ada)
        assert (back.recovered, back.sid == ada.sid) == (False, False)


async def test_what_has_expired_is_nothing_even_while_its_events_are_kept() -> None:
    async with world(ping_interval=1000.0, ping_timeout=1000.0) as w:
        ada, bob = await away(w, "ada"), await w.join("bob")
        await w.staying.advance(RECOVERY + 1)
        assert bob.reason is None
        assert w.store.kept[0] > 0
        for _ in range(2):
            chat = await claims(w, ada.pid, ada.offset)
            assert (chat.sid == ada.sid, pending(chat)) == (False, [])


async def test_a_used_pid_opens_nothing_when_its_client_has_left_by_itself() -> None:
    async with world() as w:
        ada = await away(w, "ada")
        back = await w.back(ada)
        old, new = ada.offset, back.offset
        await back.disconnect()
        await settle()
        for offset in (old, new, None):
            chat = await claims(w, ada.pid, offset)
            assert (chat.sid == ada.sid, pending(chat)) == (False, [])


async def test_a_pid_that_is_used_again_with_an_old_offset_ends_nobody() -> None:
    """Whoever has copied both before the client came back."""
    async with world() as w:
        ada = await away(w, "ada")
        first = ada.offset
        w.all.to(ada.sid).emit("n", 2)
        back = await w.back(ada)
        w.all.to(ada.sid).emit("n", 3)
        await settle()
        pending(back)
        await w.lose(back)
        back = await w.back(back)
        thief = await claims(w, ada.pid, first)
        assert (thief.sid == ada.sid, pending(thief)) == (False, [])
        assert await back.call("name") == "ada"


@pytest.mark.parametrize("generation", ["0.9", 3])
async def test_older_generations_claim_nothing(generation: Any) -> None:
    async with world() as w:
        ada = await away(w, "ada")
        query = {"pid": str(ada.pid), "offset": str(ada.offset)}
        async with TestClient(w.app, generation=generation, query=query) as client:
            old = await client.connect()
            assert pending(old) == []
        assert Room.log[-2][2].get("pid") == ada.pid  # its own field: there it is the program's
        assert (await w.back(ada)).recovered


ODD: list[Any] = [None, True, 0, 1.5, "", "text", [], ["pid"], {}, {"a": 1}, "\ud800", "A" * 5000, [None] * 100]


@pytest.mark.parametrize(("pid", "offset"), list(itertools.product(ODD, ODD[::3])))
async def test_odd_values_are_a_new_client(pid: Any, offset: Any) -> None:
    async with world() as w:
        ada = await away(w, "ada")
        chat = await claims(w, pid, offset, mine=1)
        assert (chat.sid == ada.sid, pending(chat)) == (False, [])
        assert Room.log[-1] == ("in", False, {"mine": 1})
        assert (await w.back(ada)).recovered


# ---- a full store --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [{"recovery_events": 1}, {"recovery_bytes": 1}], ids=str)
async def test_the_smallest_store_keeps_nothing_and_breaks_nothing(bound: dict[str, Any]) -> None:
    async with world(**bound) as w:
        chats = [await away(w, str(number)) for number in range(3)]
        assert w.store.kept[0] <= 1
        for chat in chats:
            back = await w.back(chat)
            assert (back.recovered, pending(back)) == (False, [])
        w.all.emit("n", 1)
        assert await back.receive() == ("n", 1)


async def test_of_more_clients_than_there_is_room_for_the_latest_come_back() -> None:
    async with world(recovery_events=20) as w:
        chats = [await w.join(str(number)) for number in range(15)]
        for chat in chats:
            await w.lose(chat)
        assert w.store.kept[0] == 10
        w.all.emit("n", 1)
        backs = [await w.back(chat) for chat in chats]
        assert [back.recovered for back in backs] == [False] * 5 + [True] * 10
        assert [pending(back) for back in backs] == [[]] * 5 + [[("n", 1)]] * 10


async def test_a_client_whose_data_is_too_much_is_new_and_costs_others_nothing() -> None:
    class Heavy(Room):
        def on_keep(self, size: int) -> None:
            self.data["much"] = "x" * size

    async with world(cls=Heavy, recovery_bytes=100_000) as w:
        ada, bob = await w.join("ada"), await w.join("bob")
        await w.lose(ada)
        await bob.call("keep", 60_000)
        await w.lose(bob)
        assert w.store.kept[1] <= 100_000
        assert [(await w.back(chat)).recovered for chat in (bob, ada)] == [False, True]


async def test_a_full_store_is_of_use_again_when_it_has_emptied() -> None:
    async with world(recovery_events=10, ping_interval=1000.0, ping_timeout=1000.0) as w:
        ada = await away(w, "ada")
        for number in range(50):
            w.all.to(ada.sid).emit("n", number)
        assert not (await w.back(ada)).recovered
        await w.staying.advance(RECOVERY + 3000)
        bob = await away(w, "bob")
        assert pending(await w.back(bob)) == [("n", "missed by bob")]


async def test_of_a_storm_of_returns_with_the_same_ids_one_is_that_client() -> None:
    async with world() as w:
        ada = await away(w, "ada")
        results = await asyncio.gather(*(w.back(ada) for _ in range(10)), return_exceptions=True)
        await settle()
        chats = [chat for chat in results if isinstance(chat, ClientNamespace)]
        assert any(chat.recovered for chat in chats)
        assert {chat.sid == ada.sid for chat in chats if not chat.recovered} <= {False}
        here = [chat for chat in chats if chat.reason is None]
        assert len({chat.sid for chat in here}) == len(here) == len(w.app.of("/").instances())
        assert all(pending(chat) in ([], [("n", "missed by ada")]) for chat in here)
