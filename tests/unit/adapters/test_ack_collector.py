"""The acks of many clients to one event."""

from __future__ import annotations

import asyncio

import pytest

from asocketio.adapters.ack_collector import AckCollector


class Asked(AckCollector):
    """Remembers for whom it stopped waiting."""

    def __init__(self, *clients: str) -> None:
        super().__init__(1)
        self.forgotten: list[str] = []
        for client in clients:
            self.ask(client)

    def ask(self, client: str) -> None:
        self.expect(client, lambda: self.forgotten.append(client))

    async def is_over(self) -> bool:
        task = asyncio.ensure_future(self.wait())
        await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        return done


async def test_answers_are_in_the_order_in_which_they_come() -> None:
    acks = Asked("a", "b", "c")
    acks.all_asked()
    over = []
    for client in ("b", "c", "a"):
        over.append(await acks.is_over())
        acks.answer(client, [client])
    assert (over, await acks.is_over(), acks.answers, acks.close(), acks.forgotten) == (
        [False] * 3, True, [["b"], ["c"], ["a"]], 0, [],
    )  # fmt: skip


@pytest.mark.parametrize("act", ["answer", "give_up"])
async def test_who_is_done_while_others_are_being_asked_does_not_end_the_wait(act: str) -> None:
    acks = Asked("a")
    acks.answer("a", [1]) if act == "answer" else acks.give_up("a")
    acks.ask("b")
    acks.all_asked()
    assert (await acks.is_over(), acks.missing) == (False, 1)
    acks.answer("b", [2])
    assert (await acks.is_over(), acks.answers) == (True, [[1], [2]] if act == "answer" else [[2]])


async def test_nobody_is_waited_for_where_nobody_was_asked() -> None:
    acks = Asked()
    acks.all_asked()
    assert (await acks.is_over(), acks.answers) == (True, [])


async def test_who_has_answered_or_gone_counts_no_more() -> None:
    acks = Asked("a", "b")
    acks.all_asked()
    for act in (lambda: acks.answer("a", [1]), lambda: acks.answer("a", [2]), lambda: acks.give_up("a")):
        act()
        assert (await acks.is_over(), acks.answers) == (False, [[1]])
    acks.give_up("b")
    acks.answer("b", [3])
    assert (await acks.is_over(), acks.answers) == (True, [[1]])


async def test_who_is_missing_at_the_end_is_forgotten() -> None:
    acks = Asked("a", "b", "c")
    acks.all_asked()
    acks.answer("b", [1])
    waiting = asyncio.ensure_future(acks.wait())
    await asyncio.sleep(0)
    acks.end()
    await waiting
    assert (acks.close(), acks.forgotten, acks.answers, acks.missing) == (2, ["a", "c"], [[1]], 0)
    acks.end()


# ---- servers ------------------------------------------------------------------------------------------------------


async def test_a_server_is_waited_for_until_it_has_named_its_clients_and_these_have_answered() -> None:
    acks = Asked("a")
    acks.expect_server("other")
    acks.all_asked()
    acks.answer("a", [1])
    assert (await acks.is_over(), acks.missing, acks.servers_missing) == (False, 0, 1)
    acks.ask("b")
    acks.server_answered("other")
    assert (await acks.is_over(), acks.missing, acks.servers_missing) == (False, 1, 0)
    acks.answer("b", [2])
    assert (await acks.is_over(), acks.answers, acks.close()) == (True, [[1], [2]], 0)


async def test_a_server_that_answers_twice_or_unasked_counts_once() -> None:
    acks = Asked()
    acks.add("mine")
    acks.expect_server("other")
    acks.server_answered("stranger", "x")
    acks.server_answered("other", "theirs")
    acks.server_answered("other", "again")
    acks.all_asked()
    assert (await acks.is_over(), acks.answers) == (True, ["mine", "theirs"])


async def test_who_comes_after_the_end_is_not_waited_for() -> None:
    acks = Asked("a")
    acks.expect_server("late")
    acks.all_asked()
    assert (acks.close(), acks.servers_missing, acks.forgotten) == (1, 1, ["a"])
    acks.ask("b")
    acks.server_answered("late", "x")
    acks.answer("a", [1])
    assert (acks.answers, acks.forgotten, acks.missing) == ([], ["a", "b"], 0)
