"""Connections that break at the same moment: all end, and others have their turns in between."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from asocketio.servers.losses import AT_ONCE, Losses
from asocketio.testing import settle
from tests.unit.servers.test_pipeline import Connection, get


class Lost:
    def __init__(self, end: Callable[[], object]) -> None:
        self.end: Any = end


async def turns(count: int, losses: Losses, end: Callable[[int], None]) -> list[int]:
    """How many of ``count`` ends have come before each turn of the loop."""
    done: list[int] = []
    seen: list[int] = []
    for number in range(count):
        losses.add(Lost(lambda number=number: (done.append(number), end(number))))
    while len(done) < count:
        seen.append(len(done))
        await asyncio.sleep(0)
    assert done == list(range(count))
    return seen


async def test_a_few_end_at_once() -> None:
    losses = Losses()
    for _ in range(3):
        assert await turns(AT_ONCE, losses, lambda _: None) == []
        await asyncio.sleep(0)


async def test_many_end_in_turns() -> None:
    losses = Losses()
    seen = await turns(10 * AT_ONCE, losses, lambda _: None)
    assert seen == [AT_ONCE * number for number in range(1, 10)]
    assert await turns(1, losses, lambda _: None) in ([], [0])


async def test_one_that_raises_keeps_none_of_the_others() -> None:
    losses, raised = Losses(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context["exception"]))

    def end(number: int) -> None:
        if number == 2 * AT_ONCE:
            raise RuntimeError("on purpose")

    await turns(5 * AT_ONCE, losses, end)
    assert [str(each) for each in raised] == ["on purpose"]


def test_a_loop_is_not_kept() -> None:
    loop = asyncio.new_event_loop()
    assert Losses.of(loop) is Losses.of(loop)
    loop.close()
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None


async def test_a_thousand_polls_that_break_leave_others_their_turns() -> None:
    clients = [Connection(HttpToolsProtocol) for _ in range(4 * AT_ONCE)]
    for client in clients:
        sid = await client.session()
        client.comes(get(f"/socket.io/?EIO=4&transport=polling&sid={sid}"))
    await settle()
    ended: list[Any] = []
    for client in clients:
        client.state.tasks.copy().pop().add_done_callback(ended.append)
        client.transport.lose()
    most, before = 0, 0
    while len(ended) < len(clients):
        await asyncio.sleep(0)
        most, before = max(most, len(ended) - before), len(ended)
    assert most <= AT_ONCE
    await settle()
    assert not any(client.app.server.active_sessions for client in clients)
    for client in clients:
        await client.app.close()
