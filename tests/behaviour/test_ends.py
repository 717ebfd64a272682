"""Every way in which a connection ends, over everything that carries one: the same act has the same reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NamedTuple

import pytest

from asocketio import SocketIOApp
from asocketio.testing import TestClock, settle
from tests.clients.raw import CLIENTS, SessionClient, TakenOver, WebSocket
from tests.support.worlds import Recorder

MAX_PAYLOAD = 1000
LARGE = "x" * 200_000

POLLING = ("polling",)
WEBSOCKETS = ("websocket", "taken-over", "upgraded-websocket", "upgraded-taken-over")
ALL = (*POLLING, *WEBSOCKETS)
ENGINE = ("3", "4")


class Ending(Recorder):
    """Remembers its sockets' reasons, too: a client may have left its namespace before."""

    sockets: ClassVar[list[Any]] = []

    def initialize(self) -> None:
        self.sockets.append(self.socket)

    async def on_ask(self) -> None:
        await self.call("question", timeout=1000)


# What ends it. A client's own acts take the client.


async def closes(client: SessionClient, code: int | None) -> None:
    assert isinstance(client, WebSocket)
    await client.close(code)


async def vanishes(client: SessionClient) -> None:
    await client.vanish()


async def is_gone_when_sent_to(client: SessionClient) -> None:
    if isinstance(client, TakenOver):
        await client.vanish()  # there a write tells nothing
        return
    assert isinstance(client, WebSocket)
    client.connection.broken = True
    Ending.last.emit("news")
    await settle()


async def sends_too_much(client: SessionClient) -> None:
    assert isinstance(client, WebSocket)
    await client.send_too_much(MAX_PAYLOAD + 1)


async def sends_a_message_over_max_payload(client: SessionClient) -> None:
    await client.say("3:::" + "x" * MAX_PAYLOAD if client.generation == "0.9" else "42" + "x" * MAX_PAYLOAD)


async def breaks_the_rules_of_websockets(client: SessionClient) -> None:
    assert isinstance(client, WebSocket)
    await client.break_rules()


async def sends_a_close_packet(client: SessionClient) -> None:
    await client.say(client.protocol.close())


async def leaves_the_namespace(client: SessionClient) -> None:
    await client.say(client.protocol.disconnect("/"))


async def sends_garbage(client: SessionClient) -> None:
    await client.say("x")


async def sends_an_unknown_packet(client: SessionClient) -> None:
    await client.say("9::" if client.generation == "0.9" else "49")


async def sends_to_a_namespace_it_never_joined(client: SessionClient) -> None:
    await client.say(*client.protocol.event("/never", "echo", []))


async def is_silent(client: SessionClient) -> None:
    for _ in range(60):
        await client.clock.advance(5)
        await client.settle()


async def stops_polling(client: SessionClient) -> None:
    client.stop_reading()
    await is_silent(client)


async def floods(client: SessionClient) -> None:
    await client.emit("ask")
    for _ in range(40):
        await client.say(*client.protocol.event("/", "echo", [1]) * 10)


async def does_not_read(client: SessionClient) -> None:
    client.stop_reading()
    for _ in range(10):
        Ending.last.emit("large", LARGE)
        await settle()


async def a_second_get(client: SessionClient) -> None:
    await client.get()


async def a_second_post(client: SessionClient) -> None:
    await client.post(b"4", end=False)
    await client.post(b"4", end=False)


async def an_aborted_post(client: SessionClient) -> None:
    call = await client.post(b"4", end=False)
    call.disconnect()
    await settle()


async def a_post_that_does_not_end(client: SessionClient) -> None:
    await client.post(b"4", end=False)
    await client.clock.advance(31)


async def a_post_that_is_too_large(client: SessionClient) -> None:
    await client.post(b"x" * (MAX_PAYLOAD + 1))


async def says_that_the_page_closes(client: SessionClient) -> None:
    await client.get(fields={"disconnect": "1"})


async def the_app_closes(client: SessionClient) -> None:
    await asyncio.wait_for(asyncio.gather(client.app.close(), client.settle()), 5)


async def the_server_ends(client: SessionClient) -> None:
    assert isinstance(client, WebSocket)
    await client.server_ends()


async def is_thrown_out(client: SessionClient) -> None:
    Ending.last.socket.disconnect()
    await client.settle()


async def is_thrown_out_of_the_namespace(client: SessionClient) -> None:
    Ending.last.disconnect()
    await client.settle()


class End(NamedTuple):
    act: Callable[..., Awaitable[None]]
    reason: str
    """What `recv_disconnect` gets; empty: it is no end."""
    transports: tuple[str, ...] = ALL
    generations: tuple[str, ...] = ("0.9", "3", "4")
    args: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return "-".join([self.act.__name__, *map(str, self.args)])


LEAVING = [
    End(closes, "transport close", WEBSOCKETS, args=(1000,)),
    End(closes, "transport close", WEBSOCKETS, args=(1001,)),
    End(closes, "transport close", WEBSOCKETS, args=(4000,)),
    End(closes, "transport close", WEBSOCKETS, args=(None,)),
    End(vanishes, "transport close", WEBSOCKETS),
    End(vanishes, "transport error", POLLING, ENGINE),
    End(is_gone_when_sent_to, "transport close", WEBSOCKETS),
    End(breaks_the_rules_of_websockets, "transport close", WEBSOCKETS),
    End(sends_a_close_packet, "transport close", ALL, ENGINE),
    End(says_that_the_page_closes, "transport close", ALL, ("0.9",)),
    End(an_aborted_post, "transport error", POLLING, ENGINE),
]
"""The client goes, or its connection does."""

ENDS = [
    *LEAVING,
    End(closes, "transport error", WEBSOCKETS, args=(1009,)),
    End(sends_too_much, "transport error", WEBSOCKETS),
    End(sends_a_message_over_max_payload, "transport error", WEBSOCKETS),
    End(leaves_the_namespace, "client namespace disconnect"),
    End(sends_garbage, "parse error", ALL, ENGINE),
    End(sends_garbage, "", ALL, ("0.9",)),
    End(sends_an_unknown_packet, "parse error", ALL, ("4",)),
    End(sends_an_unknown_packet, "", ALL, ("0.9", "3")),
    End(sends_to_a_namespace_it_never_joined, "forced close", ALL, ("4",)),
    End(sends_to_a_namespace_it_never_joined, "", ALL, ("0.9", "3")),
    End(is_silent, "ping timeout", ALL, ENGINE),
    End(is_silent, "ping timeout", WEBSOCKETS, ("0.9",)),
    End(is_silent, "", POLLING, ("0.9",)),  # it polls, and that is all it needs to do
    End(stops_polling, "ping timeout", POLLING),
    End(floods, "forced close"),
    End(does_not_read, "transport error"),
    End(vanishes, "", POLLING, ("0.9",)),
    End(a_second_get, "transport error", POLLING, ENGINE),
    End(a_second_get, "", POLLING, ("0.9",)),
    End(a_second_post, "transport error", POLLING, ENGINE),
    End(a_second_post, "", POLLING, ("0.9",)),
    End(an_aborted_post, "", POLLING, ("0.9",)),
    End(a_post_that_does_not_end, "transport error", POLLING),
    End(a_post_that_is_too_large, "", POLLING),
    End(the_app_closes, "server shutting down"),
    End(the_server_ends, "server shutting down", WEBSOCKETS),
    End(is_thrown_out, "server namespace disconnect"),
    End(is_thrown_out_of_the_namespace, "server namespace disconnect"),
]


def cases(ends: list[End]) -> list[Any]:
    return [
        pytest.param(end, transport, generation, id=f"{end.name}-{transport}-{generation}")
        for end in ends
        for transport in end.transports
        for generation in end.generations
    ]


@asynccontextmanager
async def joined(transport: str, generation: str, **settings: Any) -> AsyncIterator[SessionClient]:
    """A client that has joined."""
    app = SocketIOApp(
        namespaces={"/": Ending}, max_payload=MAX_PAYLOAD, max_backlog_packets=160, max_outbox=500_000, **settings
    )
    client = CLIENTS[transport](app, TestClock(), generation)
    Ending.sockets.clear()
    await client.open()
    try:
        assert Ending.last.reasons == []
        yield client
    finally:
        await app.close()
        await client.finish()
        assert app.server.active_sessions == 0


@pytest.mark.parametrize(("end", "transport", "generation"), cases(ENDS))
async def test_an_act_has_its_reason(end: End, transport: str, generation: str) -> None:
    async with joined(transport, generation) as client:
        ended = Ending.last
        await end.act(client, *end.args)
        await client.clock.advance(6)  # a handler that still waits is cancelled
        assert ended.reasons == [end.reason][: bool(end.reason)]


@pytest.mark.parametrize(("end", "transport", "generation"), cases(LEAVING))
async def test_who_leaves_while_the_server_closes(end: End, transport: str, generation: str) -> None:
    """Before its own turn has come: nobody can tell then whether client or server was first."""
    async with joined("polling", "4", close_window=1_000_000.0) as first:
        second = CLIENTS["polling"](first.app, first.clock, "4")
        client = CLIENTS[transport](first.app, first.clock, generation)
        await second.open()
        await client.open()
        ended = Ending.last
        closing = asyncio.create_task(first.app.close())
        await settle()
        assert ended.reasons == []
        await end.act(client, *end.args)
        closing.cancel()
        assert ended.reasons == ["server shutting down"]
        first.app.server.closing = False
        await client.finish()
        await second.finish()
