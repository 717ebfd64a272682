"""What a queue says that it holds is what it holds: under steady load, never drained, by tracemalloc."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple, cast

import pytest

from asocketio import BaseNamespace, Config, Packet, PacketType, SocketIOApp
from asocketio.asgi.responses import read_body
from asocketio.protocol.base import Encoded
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.json_codec import StdJson
from asocketio.protocol.json_parser import JSONPacketDecoder
from asocketio.protocol.websocket_frames import Frames
from asocketio.runtime.clock import Clock
from asocketio.runtime.log import ThrottledLog
from asocketio.runtime.timers import Deadlines
from asocketio.servers.write_coalescer import WriteCoalescer
from asocketio.session.acks import Acks
from asocketio.session.outbox import Outbox
from asocketio.session.rate_limit import Rates
from asocketio.session.read_gate import ReadGate
from asocketio.session.session_table import LINGER_BYTES
from asocketio.testing import TestClient
from tests.support.worlds import Recorder, serve, until

SIZE = 100_000
SLACK = 60_000
"""Bytes that a queue may hold for itself, whatever is in it."""


class Load(NamedTuple):
    """``step(n)`` puts something in and takes something out; ``counted()`` is what the queue says that it holds."""

    step: Callable[[int], Any]
    counted: Callable[[], int]
    rounds: int = 600
    factor: float = 1.1


def text(number: int, size: int = SIZE) -> str:
    return f"{number:0{size}}"


def packet(number: int, size: int = SIZE) -> Encoded:
    return Encoded((text(number, size),))


def outbox_take(size: int, queued: int = 1) -> Load:
    outbox = Outbox(10**9)
    for number in range(queued):
        outbox.put(packet(number, size))

    def step(number: int) -> None:
        outbox.put(packet(number, size))
        outbox.take()

    return Load(step, lambda: outbox.size, factor=1.1 if size > 1000 else 2.0)


def outbox_take_some(size: int) -> Load:
    outbox = Outbox(10**9)
    outbox.put(packet(0, size))

    def step(number: int) -> None:
        for _ in range(3):
            outbox.put(packet(number, size))
        outbox.take_some(outbox.size - size // 2)

    return Load(step, lambda: outbox.size, factor=1.1 if size > 1000 else 2.0)


def outbox_cut() -> Load:
    outbox = Outbox(10**9)

    def step(number: int) -> None:
        outbox.put(packet(number, 1000))
        outbox.cut(200_000)

    return Load(step, lambda: outbox.size)


def outbox_wide(character: str) -> Load:
    """Python keeps up to four bytes for each character of a text, for all if it has one such."""
    outbox = Outbox(10**9)
    for number in range(20):
        outbox.put(Encoded((text(number, 10_000) + character,)))

    def step(number: int) -> None:
        outbox.put(Encoded((text(number, 10_000) + character,)))
        outbox.take()

    return Load(step, lambda: outbox.size)


def outbox_waiters() -> Load:
    """Who waits for room and gives up is not held."""
    outbox = Outbox(1600)
    outbox.put(packet(0))
    return Load(lambda _: wait_in_vain(outbox.drain), lambda: outbox.size)


def gate_waiters() -> Load:
    gate = ReadGate()
    return Load(lambda _: wait_in_vain(lambda: gate.wait(lambda: True)), lambda: 0)


async def wait_in_vain(wait: Callable[[], Awaitable[None]]) -> None:
    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting


def assembler() -> Load:
    """A packet whose last attachment never comes holds the others; packets before it, nothing."""
    reader = JSONPacketDecoder(StdJson(), Config(max_attachments=10))
    held = 0

    def step(number: int) -> None:
        nonlocal held
        if reader._due:
            reader.binary(text(number).encode())
        reader.text('52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
        reader.binary(text(number).encode())
        held = SIZE

    return Load(step, lambda: held)


def frames(size: int, chunk: int) -> Load:
    """A stream that is cut anywhere but between two frames."""
    reader = Frames(1_000_000)
    head = b"\x81\xfe" + size.to_bytes(2) + bytes(4)
    stream = (head + b"x" * size) * 2
    at = 0

    def step(_: int) -> None:
        nonlocal at
        reader.push((stream * (2 + chunk // len(stream)))[at : at + chunk])
        at = (at + chunk) % (len(stream) // 2)
        while reader.next() is not None:
            pass

    return Load(step, lambda: size + chunk, rounds=2_000_000 // chunk)


def fragments() -> Load:
    """One message in a million parts."""
    reader = Frames(1_000_000)
    reader.push(b"\x01\x81" + bytes(4) + b"x")
    reader.next()
    size = 0

    def step(_: int) -> None:
        nonlocal size
        reader.push((b"\x00\x82" + bytes(4) + b"xy") * 10)
        while reader.next() is not None:
            pass
        size += 20

    return Load(step, lambda: size)


class Network:
    """Takes bytes away."""

    written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return False


def coalescer(size: int) -> Load:
    """A response that is written in one turn of the loop, however long it is."""
    network = Network()
    transport = WriteCoalescer(cast("asyncio.Transport", network), asyncio.get_running_loop())
    return Load(lambda number: transport.write(text(number, size).encode()), lambda: 0, rounds=3000)


def acks() -> Load:
    waiting = Acks(1000)
    waiting.expect_number(0, "", lambda args, error: None)

    def step(number: int) -> None:
        payload = text(number)
        waiting.expect_number(number + 1, "", lambda args, error: print(payload))
        waiting.forget(number)

    return Load(step, lambda: SIZE)


def timers() -> Load:
    queue = Deadlines(Clock(asyncio.get_running_loop())).line(1000.0, lambda item, due: None)
    queue.set(text(-1), 0.0)

    def step(number: int) -> None:
        queue.set(text(number), 0.0)
        queue.drop(queue.oldest())

    return Load(step, lambda: SIZE)


def throttled() -> Load:
    lines = ThrottledLog()
    return Load(lambda number: lines.warning("kind", "message", about=text(number)), lambda: 0)


def rates() -> Load:
    limits = Rates({"*": (1000, 1.0), "x": (1000, 1.0)})

    def step(number: int) -> None:
        limits.allow(Packet(PacketType.EVENT, name=text(number)), BaseNamespace._handlers, float(number))

    return Load(step, lambda: 0)


class Greedy(BaseNamespace):
    """Emits while its client is not in yet, whatever comes of it."""

    last: Any = None

    async def recv_connect(self) -> None:
        type(self).last = self
        await asyncio.sleep(3600)


async def held_back(client: TestClient, size: int) -> Load:
    connecting = asyncio.ensure_future(client.connect())
    await until(lambda: Greedy.last is not None)
    member, Greedy.last = Greedy.last._member, None
    connecting.add_done_callback(lambda done: done.cancelled() or done.exception())

    def step(number: int) -> None:
        member.post(packet(number, size))

    return Load(step, lambda: 500_000, rounds=3000)


class Slow(Recorder):
    turn: Any = None

    async def on_slow(self, data: str) -> None:
        type(self).turn = asyncio.get_running_loop().create_future()
        await self.turn


async def backlog(client: TestClient) -> Load:
    """Events that wait behind one that is being handled, and one always waits."""
    await client.connect()
    dispatcher = Slow.last.socket.dispatcher

    def submit(number: int) -> None:
        dispatcher.submit(Packet(PacketType.EVENT, name="slow", args=[text(number)]))

    submit(-1)
    submit(-2)

    async def step(number: int) -> None:
        submit(number)
        turn = Slow.turn
        turn.set_result(None)
        while Slow.turn is turn:  # noqa: ASYNC110
            await asyncio.sleep(0)

    return Load(step, lambda: 2 * SIZE, rounds=200)


async def lingering(client: TestClient) -> Load:
    """Polling clients that were thrown out between two polls."""
    app = cast("SocketIOApp", client.app)
    count = 0

    async def step(number: int) -> None:
        nonlocal count
        count += 1
        async with TestClient(app, transport="polling") as other:
            await other.connect()
            socket = Recorder.last.socket
            Recorder.last = None
            socket.transport = None
            for each in range(40):
                socket.writer.post(packet(each, 10_000))
            socket.disconnect()

    return Load(step, lambda: count * (LINGER_BYTES + 20_000), rounds=3)


async def gone(client: TestClient) -> Load:
    """A polling client whose session is over, and of which the program keeps the namespace object."""
    await client.connect()
    socket = Recorder.last.socket
    socket.transport = None

    def step(number: int) -> None:
        socket.writer.post(packet(number, 10_000))
        if number == 40:
            socket.close("ping timeout")

    return Load(step, lambda: 0, rounds=40)


LOADS: dict[str, Callable[[], Load]] = {
    "outbox, large": lambda: outbox_take(SIZE),
    "outbox, tiny": lambda: outbox_take(5, 1000),
    "outbox, several at a time": lambda: outbox_take_some(SIZE),
    "outbox, tiny ones at a time": lambda: outbox_take_some(5),
    "outbox, cut": outbox_cut,
    "outbox, Latin": lambda: outbox_wide("é"),
    "outbox, Chinese": lambda: outbox_wide("世"),
    "outbox, one emoji": lambda: outbox_wide("😀"),
    "outbox, who waits": outbox_waiters,
    "read gate, who waits": gate_waiters,
    "attachments": assembler,
    "frames, small chunks": lambda: frames(50_000, 1_111),
    "frames, large chunks": lambda: frames(500, 70_001),
    "fragments": fragments,
    "writes, small": lambda: coalescer(1000),
    "writes, mixed": lambda: coalescer(16_383),
    "writes, large": lambda: coalescer(SIZE),
    "acks": acks,
    "timers": timers,
    "throttled log": throttled,
    "rates": rates,
}


async def check(load: Load) -> None:
    """Run a load, and compare."""
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, load.rounds + 1):
            done = load.step(number)
            if done is not None and hasattr(done, "__await__"):
                await done
        del done
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held <= load.factor * load.counted() + SLACK, f"{held} bytes are held, {load.counted()} are counted"


@pytest.mark.parametrize("name", LOADS)
async def test_a_queue_holds_what_it_counts(name: str) -> None:
    await check(LOADS[name]())


@pytest.mark.parametrize("size", [100, 10_000])
async def test_what_is_held_back_ends_with_its_client(size: int) -> None:
    async with serve(Greedy, max_outbox=500_000, close_grace=0.1) as client:
        await check(await held_back(client, size))


async def test_a_backlog_holds_what_it_counts() -> None:
    async with serve(Slow, max_backlog=10 * SIZE) as client:
        await check(await backlog(client))


async def test_sockets_that_linger_hold_little() -> None:
    async with serve(Recorder, transport="polling") as client:
        await client.connect()
        await check(await lingering(client))


async def test_a_socket_that_is_over_holds_nothing() -> None:
    async with serve(Recorder, transport="polling") as client:
        await check(await gone(client))


@pytest.mark.parametrize("chunk", [2, 3, 1000])
async def test_a_body_in_small_chunks_holds_its_bytes(chunk: int) -> None:
    size = 60_000
    left = size

    async def receive() -> Any:
        nonlocal left
        left -= chunk
        if left <= 0:
            held.append(tracemalloc.get_traced_memory()[0])
        return {"type": "http.request", "body": text(left, chunk).encode()[-chunk:], "more_body": left > 0}

    held: list[int] = []
    gc.collect()
    tracemalloc.start()
    try:
        body = await read_body({"type": "http", "headers": []}, receive, 10 * size)
    finally:
        tracemalloc.stop()
    assert len(body) >= size
    assert held[0] <= 1.3 * size + SLACK // 2


async def test_an_encoded_packet_counts_the_memory_of_its_text() -> None:
    packets = [Packet(PacketType.EVENT, name="x", args=[each * 1000]) for each in ("a", "é", "世", "😀")]
    sizes = [EngineIO4().encode(each).size for each in packets]
    assert sizes[0] == 1010
    assert [size // 1000 for size in sizes] == [1, 1, 2, 4]
