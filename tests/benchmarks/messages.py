"""What `tests.benchmarks.steps` measures: cases of messages, the parts of an echo, and idle connections.

Each case makes ready what it needs, with a look at what the clients get, and returns a function that takes one step:
that is what is measured.
"""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from asocketio import BaseNamespace, CallNext, Config, Invocation, RoomsMixin, SocketIOApp
from tests.benchmarks.in_process import (
    HTTPPollingClient,
    PollingClient,
    SteppedLoop,
    Transport,
    WebSocketServer,
    running,
)
from tests.benchmarks.inside import EngineIO4, Frames, Packet, PacketType
from tests.clients.frames import masked, messages, server_frame

__all__ = ["MESSAGES", "MessageCase", "idle_bytes", "parts_of_echo"]

BURST = 16
"""Events in one chunk."""

RECIPIENTS = 100
"""Clients that a broadcast reaches, or that are in the room; as many others are not."""

TEXT = "x" * 32
ECHO = f'420["echo","{TEXT}"]'
ECHO_ACK = f'430["{TEXT}"]'
BINARY = bytes(range(256)) * 4
BINARY_ECHO = '451-0["echo",{"_placeholder":true,"num":0}]'
BINARY_ECHO_ACK = '461-0[{"_placeholder":true,"num":0}]'
NEWS = f'42["news","{TEXT}"]'


class Echo(BaseNamespace):
    async def on_echo(self, x: Any) -> Any:
        return x


async def _pass_on(call: Invocation, call_next: CallNext) -> Any:
    return await call_next(call)


class Lobby(BaseNamespace, RoomsMixin):
    async def on_enter(self, room: str) -> None:
        self.join(room)


Step = Callable[[], Any]


def _exchange(loop: SteppedLoop, chunk: bytes, expected: bytes, **settings: Any) -> Step:
    """``chunk`` comes from a client, and ``expected`` goes back."""
    server = WebSocketServer(loop, SocketIOApp(namespaces={"/": Echo}, **settings))
    transport = server.connect(Transport())
    server.send(transport, chunk)
    assert transport.last == expected, transport.last
    return lambda: server.send(transport, chunk)


def _echo(loop: SteppedLoop, **settings: Any) -> Step:
    return _exchange(loop, masked(ECHO), server_frame(ECHO_ACK), **settings)


def _enter(loop: SteppedLoop, declared: str) -> Step:
    """A client joins ``/orders/7``, which is ``declared``, and leaves it."""
    server = WebSocketServer(loop, SocketIOApp(namespaces={"/": Echo, declared: Echo}))
    transport = server.connect(Transport())

    def step() -> None:
        server.send(transport, masked("40/orders/7,"))
        server.send(transport, masked("41/orders/7,"))

    server.send(transport, masked("40/orders/7,"))
    assert b'40/orders/7,{"sid":' in transport.last, transport.last
    server.send(transport, masked("41/orders/7,"))
    return step


def _burst(loop: SteppedLoop) -> Step:
    return _exchange(loop, masked(ECHO) * BURST, server_frame(ECHO_ACK) * BURST)


def _binary(loop: SteppedLoop) -> Step:
    return _exchange(loop, messages(BINARY_ECHO, BINARY), server_frame(BINARY_ECHO_ACK) + server_frame(BINARY))


def _broadcast(loop: SteppedLoop, **settings: Any) -> Step:
    app = SocketIOApp(namespaces={"/": Lobby}, **settings)
    server = WebSocketServer(loop, app)
    transports = [server.connect(Transport()) for _ in range(RECIPIENTS)]

    def step() -> None:
        app.of("/").emit("news", TEXT)
        loop.settle()

    step()
    assert all(transport.last[2:].startswith(NEWS.encode()[:-1]) for transport in transports)
    return step


def _room(loop: SteppedLoop) -> Step:
    app = SocketIOApp(namespaces={"/": Lobby})
    server = WebSocketServer(loop, app)
    transports = [server.connect(Transport()) for _ in range(2 * RECIPIENTS)]
    for transport in transports[::2]:
        server.send(transport, masked('42["enter","lobby"]'))

    def step() -> None:
        app.of("/").to("lobby").emit("news", TEXT)
        loop.settle()

    step()
    assert [transport.last == server_frame(NEWS) for transport in transports] == [True, False] * RECIPIENTS
    return step


def _poll(loop: SteppedLoop) -> Step:
    client = PollingClient(loop, SocketIOApp(namespaces={"/": Echo}))
    body = ECHO.encode()

    def step() -> bytes:
        client.post(body)
        return client.get()

    assert step() == ECHO_ACK.encode()
    return step


def _poll_bytes(loop: SteppedLoop, polls: str) -> Step:
    client = HTTPPollingClient(loop, SocketIOApp(namespaces={"/": Echo}, polls=polls))  # type: ignore[arg-type]
    body = ECHO.encode()

    def step() -> bytes:
        client.post(body)
        return client.get()

    assert step().endswith(ECHO_ACK.encode())
    return step


@dataclass(frozen=True, slots=True)
class MessageCase:
    """One load in this process."""

    name: str
    message: str
    """What one message is."""
    counted: int
    """Messages between callgrind's two counts: enough that the count of one is steady."""
    step: Callable[[SteppedLoop], Step]
    messages: int = 1
    """Messages of one step."""

    def whole(self, count: int) -> int:
        """``count``, rounded up to whole steps."""
        return -(-count // self.messages) * self.messages

    def run(self, count: int, measure: Callable[[Callable[[], None]], Any]) -> Any:
        """Make ready, and ``measure`` the taking of ``count`` messages, in whole steps."""
        with running() as loop:
            step = self.step(loop)
            steps = self.whole(count) // self.messages

            def take() -> None:
                for _ in range(steps):
                    step()

            gc.collect()  # what was made ready is not to be looked at in the middle of what is measured
            return measure(take)


_all = [
    MessageCase("echo", "event and its ack", 800, _echo),
    MessageCase("burst", f"event and its ack, {BURST} at a time", 1600, _burst, BURST),
    MessageCase("broadcast", f"delivery to one of {RECIPIENTS}", 4000, _broadcast, RECIPIENTS),
    MessageCase("room", f"delivery to one of {RECIPIENTS} in a room, of {2 * RECIPIENTS}", 4000, _room, RECIPIENTS),
    MessageCase("poll", "POST of an event and GET of its ack, over ASGI", 300, _poll),
    MessageCase("http-poll", "the same, as bytes of HTTP", 300, partial(_poll_bytes, polls="server")),
    MessageCase("http-poll-asgi", "the same, with polls='asgi'", 300, partial(_poll_bytes, polls="asgi")),
    MessageCase("binary", "event with 1 kB of bytes and its ack", 1000, _binary),
    MessageCase("middleware", "echo through one middleware", 800, partial(_echo, middleware=[_pass_on])),
    MessageCase("middleware-3", "echo through three", 800, partial(_echo, middleware=[_pass_on] * 3)),
    MessageCase("recovery", "echo of a client that may come back", 800, partial(_echo, recovery=60)),
    MessageCase("kept", f"event to {RECIPIENTS} that may come back", 100, partial(_broadcast, recovery=60)),
    MessageCase("unkept", f"event to {RECIPIENTS} that may not", 100, _broadcast),
    MessageCase("enter", "joining a declared namespace, and leaving it", 400, partial(_enter, declared="/orders/7")),
    MessageCase("pattern", "the same by a pattern", 400, partial(_enter, declared="/orders/{order_id:int}")),
]
MESSAGES = {case.name: case for case in _all}


def parts_of_echo(count: int) -> dict[str, Step]:
    """What an echo is made of, each ``count`` times."""
    chunk = masked(ECHO) * BURST
    protocol = EngineIO4()
    decoder = protocol.decoder(Config())
    ack = Packet(PacketType.ACK, args=[TEXT], id=0)
    payload = ECHO[3:]

    def frames() -> None:
        reader = Frames(1_000_000)
        for _ in range(count // BURST):
            reader.push(chunk)
            while reader.next() is not None:
                pass

    return {
        "frames": frames,
        "decode": lambda: [decoder.feed(ECHO) for _ in range(count)],
        "  json.loads": lambda: [json.loads(payload) for _ in range(count)],
        "encode": lambda: [protocol.encode(ack) for _ in range(count)],
        "  json.dumps": lambda: [json.dumps(ack.args) for _ in range(count)],
    }


def idle_bytes(count: int = 2000) -> float:
    """Bytes of Python objects that one connected websocket client takes which says nothing, of ``count``."""
    with running() as loop:
        server = WebSocketServer(loop, SocketIOApp(namespaces={"/": Echo}))
        transports = [Transport() for _ in range(count + 100)]
        for transport in transports[count:]:  # what is made once
            server.connect(transport)
        tracemalloc.start()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for transport in transports[:count]:
            server.connect(transport).last = b""
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return (after - before) / count
