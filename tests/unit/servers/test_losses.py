"""Connections that break at the same moment: all end, and others have their turns in between."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from asocketio import SocketIOApp
from asocketio.servers.losses import AT_ONCE, Losses
from asocketio.testing import settle
from tests.clients.http import upgrade_request
from tests.clients.http_connection import HTTPConnection, get
from tests.support.worlds import Recorder
from tests.unit.servers.test_pipeline import made


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


class Transport:
    """Of a peer that has ended its side."""

    def __init__(self, closed: list[Transport], tls: bool = False) -> None:
        self.closed = closed
        self.tls = tls

    def get_extra_info(self, name: str) -> Any:
        return self.tls if name == "sslcontext" else None

    def close(self) -> None:
        self.closed.append(self)


async def test_when_many_peers_end_their_side_some_are_closed_in_each_turn() -> None:
    losses, closed = Losses(), []
    transports: Any = [Transport(closed) for _ in range(4 * AT_ONCE)]
    late = [transport for transport in transports if losses.close_later(transport)]
    assert late == transports[AT_ONCE:]  # the others close themselves
    for turn in range(4):
        assert closed == late[: turn * AT_ONCE]
        await asyncio.sleep(0)
    assert closed == late
    assert not losses.close_later(transports[0])


async def test_one_over_tls_closes_itself() -> None:
    """asyncio's and uvloop's ignore the answer there, with a warning."""
    losses, closed = Losses(), []
    transports: Any = [Transport(closed, tls=True) for _ in range(2 * AT_ONCE)]
    assert not any(losses.close_later(transport) for transport in transports)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    "opened", [upgrade_request(), get("/socket.io/?EIO=4&transport=polling")], ids=["websocket", "polling"]
)
def test_clients_that_leave_together_are_all_closed(loop: Any, opened: bytes) -> None:
    """Over real sockets: each connection ends on the client's side too."""

    async def come(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(opened)
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    async def main() -> None:
        app = SocketIOApp(namespaces={"/": Recorder}, max_sessions_per_address=None)
        config = uvicorn.Config(app, port=0, log_config=None, ws="asocketio.servers.uvicorn:WebSocketProtocol")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        clients = [await come(port) for _ in range(3 * AT_ONCE)]
        for _, writer in clients:
            writer.write_eof()
        async with asyncio.timeout(30):
            for reader, writer in clients:
                await reader.read()
                writer.close()
            while server.server_state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        server.should_exit = True
        await serving

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


async def test_a_thousand_polls_that_break_leave_others_their_turns() -> None:
    clients = [HTTPConnection(HttpToolsProtocol, made(polls="asgi")) for _ in range(4 * AT_ONCE)]
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
