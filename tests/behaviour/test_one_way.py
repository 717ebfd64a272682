"""Every packet for a namespace passes `Member.handle`, whenever its turn comes; what wraps handlers goes round that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asocketio import BaseNamespace, Packet, PacketType
from asocketio.testing import TestClient
from tests.support.worlds import Recorder, Way, serve, until


class Chat(Recorder):
    """Handles each kind of packet. ``gate`` holds the first event up, so that the others wait in the backlog."""

    gate: asyncio.Event

    async def on_gate(self) -> None:
        await self.gate.wait()

    async def on_word(self, word: str) -> str:
        self.seen.append(word)
        return word

    async def recv_message(self, data: Any) -> None:
        self.seen.append(data)

    async def recv_json(self, data: Any) -> None:
        self.seen.append(data)

    async def recv_error(self, packet: Packet) -> None:
        self.seen.append(packet.data)

    def initialize(self) -> None:
        self.seen: list[Any] = []


class Hooked(Chat):
    """Overrides the way itself, which then is no shorter one."""

    def process_packet(self, packet: Packet) -> Awaitable[Any]:
        return super().process_packet(packet)


def wrap(socket: Any, seen: list[PacketType]) -> None:
    """What middleware will do."""
    member = socket.members[""]
    handle: Callable[[Packet], Any] = member.handle

    def wrapped(packet: Packet) -> Any:
        seen.append(packet.type)
        return handle(packet)

    member.handle = wrapped


def packets(client: TestClient) -> list[Packet]:
    own = [
        Packet(PacketType.MESSAGE, data="text"),
        Packet(PacketType.JSON, data=[1]),
        Packet(PacketType.ERROR, data="broken"),
    ]
    return [
        Packet(PacketType.EVENT, name="word", args=["a"]),
        *(own if client.protocol.generation == "0.9" else [Packet(PacketType.EVENT, name="message", args=["text"])]),
        Packet(PacketType.EVENT, name="no such", args=[]),
        Packet(PacketType.EVENT, name="word", args=["b"]),
    ]


@pytest.mark.parametrize("cls", [Chat, Hooked])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("rates", [None, {"*": (100, 1.0)}])
async def test_every_packet_passes_what_wraps_its_handler(way: Way, cls: Any, held: bool, rates: Any) -> None:
    cls.gate = asyncio.Event()
    async with serve(cls, rate_limits=rates, **way) as client:
        await client.connect()
        seen: list[PacketType] = []
        wrap(cls.last.socket, seen)
        sent = packets(client)
        if held:
            sent.insert(0, Packet(PacketType.EVENT, name="gate", args=[]))
        for packet in sent:
            await client.post(packet)
        await client.advance(0)
        cls.gate.set()
        await until(lambda: "b" in cls.last.seen)
        assert len(seen) == len(sent)
        assert seen == [packet.type for packet in sent]


async def test_a_message_is_not_taken_for_the_event_without_a_name() -> None:
    class Nameless(Chat):
        async def on_(self) -> None:
            raise AssertionError("a message is no event")

    async with serve(Nameless, generation="0.9") as client:
        await client.connect()
        await client.post(Packet(PacketType.MESSAGE, data="text"))
        await until(lambda: Nameless.last.seen == ["text"])


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_a_connect_waits_for_handlers_and_handlers_for_it(concurrency: int) -> None:
    order: list[str] = []

    class Slow(BaseNamespace):
        async def recv_connect(self) -> None:
            order.append("connect")
            await asyncio.sleep(0.01)
            order.append("connected")

    class First(Chat):
        async def on_first(self) -> None:
            order.append("first")
            await asyncio.sleep(0.01)
            order.append("first done")

        async def on_second(self) -> None:
            order.append("second")

        async def recv_disconnect(self, *_: Any) -> None:
            order.append("left")

    async with serve(First, also={"/slow": Slow}, concurrency=concurrency) as client:
        chat = await client.connect()
        await chat.emit("first")
        connecting = asyncio.ensure_future(client.connect("/slow"))
        await asyncio.sleep(0)
        await chat.emit("second")
        await connecting
        await until(lambda: "second" in order)
    assert order == ["first", "first done", "connect", "connected", "second", "left"]


async def test_a_callback_runs_past_a_full_house() -> None:
    class Asking(Chat):
        async def on_ask(self) -> None:
            done = asyncio.Event()
            self.emit("question", callback=lambda answer: (self.seen.append(answer), done.set()))
            await done.wait()

    async with serve(Asking) as client:
        chat = await client.connect()
        chat.on("question", lambda: "yes")
        await chat.call("ask")
        await chat.emit("word", "next")
        await until(lambda: Asking.last.seen == ["yes", "next"])
