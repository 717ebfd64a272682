"""What one echo costs in this process, step by step, in nanoseconds of CPU time: no network, no kernel.

python -m tests.benchmarks.steps [--messages 100000] [--batch 16]
"""

from __future__ import annotations

import argparse
import asyncio
import json
from time import process_time_ns
from typing import Any, cast

from asocketio import BaseNamespace, SocketIOApp
from asocketio.asgi.view import http_scope
from asocketio.manage import manage_by_itself
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.server_protocol import ServerEngineIO4
from asocketio.protocol.websocket_frames import Frames
from asocketio.servers.connection import Connection
from asocketio.servers.takeover import TakeoverHandshake

MASK = b"\x12\x34\x56\x78"


class Echo(BaseNamespace):
    async def on_echo(self, x: Any) -> Any:
        return x


class Transport:
    """Takes writes and forgets them."""

    def write(self, data: bytes) -> None:
        self.last = data

    def is_closing(self) -> bool:
        return False


class Way:
    """A server's side of the lane, without a server."""

    def take_over_websocket(self, headers: Any, limit: int) -> Connection:
        self.connection = Connection(cast("asyncio.Transport", Transport()), limit)
        return self.connection


def masked(text: str) -> bytes:
    """A client's frame."""
    data = text.encode()
    covered = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(data))
    return bytes((0x81, 0x80 | len(data))) + MASK + covered


async def socket() -> tuple[SocketIOApp, Connection]:
    """A socket that has joined the global namespace."""
    app = SocketIOApp(namespaces={"/": Echo})
    app.server.bind()
    way = Way()
    opening = TakeoverHandshake(cast("Any", way), cast("Any", None), [])
    scope = {"type": "websocket", "path": "/socket.io/", "query_string": b"", "headers": []}
    assert app.namespaces is not None
    made = app.server.create(ServerEngineIO4(), opening)
    await manage_by_itself(http_scope(scope, made), app.namespaces)
    await asyncio.sleep(0)
    way.connection.data_received(masked("40"))
    return app, way.connection


def timed(name: str, count: int, step: Any) -> None:
    """Run ``step`` and print what one of ``count`` messages cost."""
    began = process_time_ns()
    step()
    print(f"{name:<40} {(process_time_ns() - began) / count:>8.0f} ns")


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=16)
    given = parser.parse_args()
    count, batch = given.messages, given.batch
    app, connection = await socket()
    text = '420["echo","' + "x" * 32 + '"]'
    chunk = masked(text) * batch
    flush = app.server._flush  # pyright: ignore[reportPrivateUsage]

    def echo() -> None:
        for _ in range(count // batch):
            connection.data_received(chunk)
            flush()

    def frames() -> None:
        reader = Frames(1_000_000)
        for _ in range(count // batch):
            reader.push(chunk)
            while reader.next() is not None:
                pass

    protocol = ServerEngineIO4()
    decoder = protocol.decoder(app.config)
    ack = Packet(PacketType.ACK, args=["x" * 32], id=0)
    payload = text[3:]
    timed("echo, all of it", count, echo)
    timed("  frames", count, frames)
    timed("  decode", count, lambda: [decoder.feed(text) for _ in range(count)])
    timed("    json.loads", count, lambda: [json.loads(payload) for _ in range(count)])
    timed("  encode", count, lambda: [protocol.encode(ack) for _ in range(count)])
    timed("    json.dumps", count, lambda: [json.dumps(ack.args) for _ in range(count)])


if __name__ == "__main__":
    asyncio.run(main())
