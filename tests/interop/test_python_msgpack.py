"""python-socketio's client with ``serializer="msgpack"``, beside one that speaks JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio

from tests.conftest import StartServer
from tests.support.servers import Server


@pytest.fixture(scope="module", params=["uvicorn-httptools-websockets-sansio", "asocketio"])
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("tests.interop.app:app", request.param, env={"PARSERS": "json,msgpack"})


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="-".join)
async def test_it_talks_and_hears_what_is_said_in_its_room(server: Server, transports: list[str]) -> None:
    url = f"http://127.0.0.1:{server.port}"
    room = "room of " + "-".join(transports)
    async with asyncio.timeout(30):
        clients = [socketio.AsyncClient(serializer=name) for name in ("msgpack", "default")]
        heard: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        for client in clients:
            client.on("said", lambda *args: heard.put_nowait(args))
            await client.connect(url, transports=transports, auth={"token": "é"})
        values = ("é😀", {"a": [1, None, -1.5]}, b"\0\xff", [b""])
        for client in clients:
            assert await client.call("echo-ack", values) == values
            assert await client.call("join", room) == ("joined", room)
        await clients[0].call("to room", ([room], "said", b"raw", 1))
        assert await heard.get() == (b"raw", 1)
        await clients[1].call("to room", ([room], "said", {"b": b"raw"}))
        assert await heard.get() == ({"b": b"raw"},)
        assert heard.empty()
        for client in clients:
            await client.disconnect()
