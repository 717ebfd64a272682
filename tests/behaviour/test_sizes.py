"""What one packet becomes: in memory, in an outbox, for others. Limits count that, and do not contradict each other."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asocketio import BroadcastMixin, Overflow, Packet, PacketType, SocketIOApp
from asocketio.config import Config
from asocketio.testing import TestClient, settle
from tests.support.worlds import GENERATIONS, Recorder, Way, serve, until

DEFAULTS = Config()
LATER: Any = pytest.mark.parametrize("generation", [3, 4])
PLACEHOLDER = '{"_placeholder":true,"num":%d}'


@LATER
@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize(
    "numbers", [[0] * 30_000, [1, 0], [0], [0, 1, 1]], ids=["many", "turned round", "few", "twice"]
)
async def test_an_attachment_comes_once_and_in_order(generation: Any, transport: Any, numbers: list[int]) -> None:
    async with serve(Recorder, generation=generation, transport=transport) as client:
        await client.connect()
        text = f'2-["echo",{",".join(PLACEHOLDER % number for number in numbers)}]'
        of_attachment = b"\x04" if generation == 3 else b""
        frames = [f"45{text}", *[of_attachment + bytes(1000)] * 2]
        await client.post_frames(*frames)
        await until(lambda: Recorder.last.reasons == ["parse error"])


class Hall(Recorder, BroadcastMixin):
    """Sends what is as large as it is told."""

    async def on_tell(self, size: int) -> None:
        await self.emit("news", "x" * size)

    async def on_ask(self, size: int) -> str:
        return "x" * size

    async def on_tell_all(self, size: int) -> None:
        await self.broadcast_event("news", "x" * size)

    async def on_call_all(self, size: int) -> Any:
        return await self.timeout(5).to("nobody").call("news", "x" * size)

    async def on_try(self, size: int) -> Any:
        try:
            self.emit("news", "x" * size)
        except Overflow as error:
            return str(error)
        return ""

    async def on_spread(self, *values: Any) -> None:
        await self.broadcast_event_not_me("heard", *values)


@pytest.mark.parametrize("event", ["tell", "ask", "tell_all"])
async def test_one_packet_over_max_outbox_goes_to_nobody_and_closes_nobody(
    way: Way, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = SocketIOApp(namespaces={"/": Hall}, max_outbox=20_000)
    async with TestClient(app, **way) as client, TestClient(app, **way) as neighbour:
        namespace, other = await client.connect(), await neighbour.connect()
        for _ in range(3):
            assert (await namespace.call(event, 20_001))["error"]["name"] == "handler_error"
        assert (await namespace.call("try", 20_001)).endswith("at most 20000 may be queued for a client (max_outbox)")
        assert [await each.call("echo", 1) for each in (namespace, other)] == [1, 1]
        assert len(app.server.sockets) == 2
    assert len([line for line in caplog.messages if "(max_outbox)" in line]) == 1
    assert [record for record in caplog.records if record.exc_info] == []


async def test_what_recv_connect_sends_may_be_one_packet_of_max_outbox(way: Way) -> None:
    class Greeting(Recorder):
        async def recv_connect(self) -> None:
            self.emit("hello", "x" * 19_000)

    async with serve(Greeting, max_outbox=20_000, **way) as client:
        namespace = await client.connect()
        assert await namespace.receive() == ("hello", "x" * 19_000)


async def test_one_packet_in_an_empty_outbox_is_no_slowness(way: Way) -> None:
    """Whatever the transport says: with the 100 bytes that each packet counts it is over the limit."""
    async with serve(Hall, max_outbox=20_000, **way) as client:
        namespace = await client.connect()
        encoded = client.protocol.encode(Packet(PacketType.EVENT, name="news", args=[""]))
        for _ in range(3):
            await namespace.emit("tell", 20_000 - encoded.size)
            [text] = (await namespace.receive())[1:]
            assert len(text) == 20_000 - encoded.size


def largest_text(shape: str) -> str:
    """JSON that fills ``max_payload`` as an event of generation 4 by polling, with room for other envelopes."""
    size = DEFAULTS.max_payload - 200
    if shape == "numbers":
        return f"[{','.join(['1e15'] * (size // 5))}]"
    filling = {"text": "x", "wide": "x", "accents": "é", "emojis": "😀", "lists": None}[shape]
    if filling is None:
        return f"[{','.join(['[[]]'] * (size // 5))}]"
    text = filling * (size // len(filling.encode()))
    return json.dumps(f"{text[:-4]}😀" if shape == "wide" else text, ensure_ascii=False)


async def hall(stack: AsyncExitStack, app: SocketIOApp) -> dict[Any, Any]:
    """A client of each generation, by polling: nothing leaves its outbox but what it fetches."""
    found = {}
    for generation in GENERATIONS:
        client = await stack.enter_async_context(
            TestClient(app, generation=generation, transport="polling", deadline=60)
        )
        found[generation] = await client.connect()
    return found


@pytest.mark.parametrize("shape", ["text", "wide", "accents", "emojis", "lists", "numbers"])
async def test_what_max_payload_lets_in_goes_out_to_all(shape: str) -> None:
    app = SocketIOApp(namespaces={"/": Hall})
    async with AsyncExitStack() as stack:
        hearing = await hall(stack, app)
        client = await stack.enter_async_context(TestClient(app))
        await client.connect()
        text = largest_text(shape)
        await client.post_frames(f'42["spread",{text}]')
        for generation, namespace in hearing.items():
            assert await namespace.receive() == ("heard", json.loads(text)), generation
        await settle()
        assert len(app.server.sockets) == 4


@pytest.mark.parametrize("count", [1, DEFAULTS.max_attachments])
async def test_what_the_limits_of_attachments_let_in_goes_out_to_all(count: int) -> None:
    app = SocketIOApp(namespaces={"/": Hall})
    async with AsyncExitStack() as stack:
        hearing = await hall(stack, app)
        del hearing["0.9"]  # it knows no binary
        client = await stack.enter_async_context(TestClient(app))
        sender = await client.connect()
        size = min(DEFAULTS.max_attachment_bytes // count, DEFAULTS.max_payload)
        values = [bytes([number]) * size for number in range(count)]
        await sender.emit("spread", *values)
        for namespace in hearing.values():
            assert await namespace.receive() == ("heard", *values)
        assert len(app.server.sockets) == 4


def test_limits_do_not_contradict_each_other() -> None:
    """For each pair: what one lets in, the other lets wait, or go out."""
    config = DEFAULTS
    wide = 4  # bytes of memory for a character, where one is an emoji
    assert wide * config.max_payload <= config.max_outbox
    assert config.max_attachment_bytes + config.max_payload <= config.max_outbox
    assert config.max_payload <= config.max_attachment_bytes <= config.max_attachments * config.max_payload
    assert config.max_payload <= config.max_backlog
    assert config.max_attachments < config.max_backlog_packets
    assert config.max_sessions_per_address is None or config.max_sessions_per_address <= config.max_sessions
    assert config.close_window + 4 * config.close_grace <= config.ping_interval
    assert config.send_timeout < config.ping_interval + config.ping_timeout
    assert config.upgrade_timeout < config.ping_interval
