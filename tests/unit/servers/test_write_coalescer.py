"""WriteCoalescer: what one turn of the loop writes is one write, in order, of any size; all else is the transport's."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.asyncio.client import connect

from asocketio import BaseNamespace, SocketIOApp
from asocketio.protocol.websocket_frames import LARGE
from asocketio.servers.uvicorn import WebSocketProtocol
from asocketio.servers.uvicorn_http import http_protocol
from asocketio.servers.write_coalescer import WriteCoalescer

LIMIT = 10.0  # seconds


class Written:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def joined() -> tuple[WriteCoalescer, Written]:
    transport = Written()
    return WriteCoalescer(cast("asyncio.Transport", transport), asyncio.get_running_loop()), transport


async def test_small_writes_of_a_turn_are_one() -> None:
    out, transport = joined()
    out.write(b"head")
    out.write(b"body")
    assert not transport.writes
    await asyncio.sleep(0)
    assert transport.writes == [b"headbody"]
    out.write(b"next")
    await asyncio.sleep(0)
    assert transport.writes == [b"headbody", b"next"]


async def test_a_large_write_is_not_copied_and_keeps_its_place() -> None:
    out, transport = joined()
    large = b"x" * LARGE
    out.write(b"head")
    out.write(large)
    out.write(b"tail")
    assert transport.writes == [b"head", large]
    await asyncio.sleep(0)
    assert transport.writes == [b"head", large, b"tail"]
    out.write(large)
    out.write(b"")
    await asyncio.sleep(0)
    assert b"" not in transport.writes


async def test_close_sends_what_is_held_first() -> None:
    out, transport = joined()
    out.write(b"last")
    out.close()
    assert transport.writes == [b"last"]
    assert transport.closed
    assert out.is_closing()
    await asyncio.sleep(0)
    assert transport.writes == [b"last"]


class Echo(BaseNamespace):
    async def on_echo(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize("base", [H11Protocol, HttpToolsProtocol])
async def test_both_of_uvicorns_classes_serve_polls_and_hand_websockets_over(base: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = SocketIOApp(namespaces={"/": Echo})
    config = uvicorn.Config(app, http=http_protocol(base), ws=cast("Any", WebSocketProtocol), log_level="error")
    server = uvicorn.Server(config)
    async with asyncio.timeout(LIMIT):
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        url = f"127.0.0.1:{port}/socket.io/?EIO=4&transport="
        async with httpx.AsyncClient() as http:
            sid = (await http.get(f"http://{url}polling")).text.split('"')[3]
            assert (await http.post(f"http://{url}polling&sid={sid}", content='40\x1e421["echo","é"]')).text == "ok"
            assert (await http.get(f"http://{url}polling&sid={sid}")).text.endswith('431["é"]')
            assert (await http.get(f"http://{url}polling&sid=none")).status_code == 400
        async with connect(f"ws://{url}websocket", compression=None) as websocket:
            await websocket.send("40")
            await websocket.send('421["echo","' + "x" * 50_000 + '"]')
            assert str(await websocket.recv()).startswith("0{")
            assert str(await websocket.recv()).startswith("40")
            assert len(str(await websocket.recv())) > 50_000
        await app.close()
        server.should_exit = True
        await serving
