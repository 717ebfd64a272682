"""The fast lane behind real servers, on asyncio's loop and on uvloop: what only a network shows."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.clients.frames import PONG, masked, messages
from tests.clients.http import OPENING
from tests.clients.tcp import Connection
from tests.clients.wire import DEADLINE, SOCKETIO, Peer, WebSocket, kind_and_value, soon
from tests.conftest import StartServer
from tests.support.servers import Server

APP = "tests.unit.servers.app:app"
LANE = ("--ws", "asocketio.servers.uvicorn:WebSocketProtocol")
LOOPS = {"asyncio": ("--loop", "asyncio", "--http", "h11"), "uvloop": ("--loop", "uvloop")}
ENV = {"GOODBYE": "0.3"}


@pytest.fixture(scope="module", params=list(LOOPS))
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server(APP, "asocketio", args=(*LANE, *LOOPS[request.param]), env=ENV)


@asynccontextmanager
async def joined(server: Server, name: str) -> AsyncGenerator[WebSocket]:
    """A websocket whose end the log tells by this name."""
    async with httpx.AsyncClient() as http, Peer(http, server.ws_url).opened(SOCKETIO) as websocket:
        await websocket.send("40", f'421["mark","{name}"]')
        kind_and_value(await websocket.receive(), "40")
        assert await websocket.receive() == f'431["{name}"]'
        yield websocket


@asynccontextmanager
async def raw(server: Server, name: str) -> AsyncGenerator[Connection]:
    """As `joined`, by bytes; at the end its connection just breaks."""
    with await Connection.websocket(server.port, OPENING) as connection:
        await connection.send(masked(f'421["mark","{name}"]'))
        await connection.until(f'431["{name}"]'.encode())
        yield connection


async def test_large_messages_both_ways(server: Server) -> None:
    async with joined(server, "large") as websocket:
        for size in (1000, 16_384, 70_000, 900_000):
            text = ("é" + "x" * size)[: size // 2]
            await websocket.send(f'422["echo","{text}"]')
            answer = await websocket.receive()
            assert isinstance(answer, str)
            assert json.loads(answer[3:]) == [text]
            await websocket.send('451-3["echo",{"_placeholder":true,"num":0}]', bytes(size))
            assert await websocket.receive() == '461-3[{"_placeholder":true,"num":0}]'
            assert await websocket.receive() == bytes(size)


async def test_a_peer_that_reads_late_gets_all_in_order(server: Server) -> None:
    async with raw(server, "late") as connection:
        await connection.send(messages('42["flood",30,100000]', '429["echo"]'))
        await asyncio.sleep(0.1)
        data = await connection.until(b"439[]")
        assert [data.count(b'42["n",%d,' % number) for number in range(30)] == [1] * 30
        positions = [data.index(b'42["n",%d,' % number) for number in range(30)]
        assert positions == sorted(positions)
        assert data.count(b"x") >= 3_000_000


async def test_a_peer_that_does_not_read_is_cut(server: Server) -> None:
    async with raw(server, "stuck") as connection:
        await connection.send(masked('42["flood",300,100000]'))
        await server.logs("gone stuck transport error")
        assert "max_outbox" in server.log()
        begun = time.monotonic()
        while is_open := await connection.send(masked(b"", PONG)):  # a connection that is cut says so
            if time.monotonic() > begun + 5:
                break
            await asyncio.sleep(0.1)
        assert not is_open


async def test_what_was_sent_before_the_end_arrives(server: Server) -> None:
    async with joined(server, "leaving") as websocket:
        await websocket.send('42["flood_and_leave",30,100000]')
        frames = await websocket.closed()
    numbers = [json.loads(str(frame)[2:])[1] for frame in frames[:-1]]
    assert (numbers, frames[-1]) == (list(range(30)), "41")


async def test_a_busy_server_loses_nothing(server: Server) -> None:
    async with joined(server, "busy") as websocket:
        await websocket.send('42["sleep",0.15]')
        for number in range(700):
            await websocket.send(f'42["say",{number},"{"x" * 1000}"]')
        await websocket.send('425["seen"]')
        answer = await websocket.receive()
    assert isinstance(answer, str)
    (seen,) = json.loads(answer[3:])
    assert seen == list(range(700))


async def test_a_peer_that_closes_its_half_is_gone(server: Server) -> None:
    async with raw(server, "half") as connection:
        connection.sock.shutdown(socket.SHUT_WR)
        await connection.rest()
        await server.logs("gone half transport close")


async def test_bytes_one_by_one(server: Server) -> None:
    async with raw(server, "slowly") as connection:
        for byte in masked('422["echo","é"]'):
            await connection.send(bytes((byte,)))
            await asyncio.sleep(0.001)
        await connection.until('432["é"]'.encode())


async def test_polling_and_the_upgrade(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=DEADLINE) as http:
        session = await Peer(http, server.ws_url).polling(SOCKETIO)
        await session.send("40")
        assert (await session.receive()).startswith("40{")
        poll = await session.waiting()
        async with session.websocket() as websocket:
            await websocket.send("2probe")
            assert await websocket.receive() == "3probe"
            async with session.websocket() as second:
                begun = time.monotonic()
                assert await second.closed() == []
            assert time.monotonic() - begun < 0.25, "the second websocket lingers"
            assert (await poll).text == "6"
            await websocket.send("5", '421["echo",1]')
            assert await websocket.receive() == "431[1]"


async def test_a_websocket_of_another_application(server: Server) -> None:
    async with connect(f"{server.ws_url}/other", subprotocols=["a", "b"], compression=None) as websocket:  # type: ignore[list-item]
        assert websocket.subprotocol == "a"
        for message in ("é", b"\x00\xff", "x" * 100_000):
            await websocket.send(message)
            assert await soon(websocket.recv()) == message


async def test_clients_that_vanish(server: Server) -> None:
    async def vanish(number: int) -> None:
        async with raw(server, f"ghost-{number}"):
            pass

    await asyncio.gather(*map(vanish, range(30)))
    for number in range(30):
        await server.logs(f"gone ghost-{number} transport close")
    assert "Traceback" not in server.log()


async def test_the_server_ends_with_open_sockets(start_server: StartServer) -> None:
    server = start_server(APP, "asocketio", args=LANE, env=ENV)
    async with joined(server, "one") as one, joined(server, "two") as two, raw(server, "mute") as mute:
        code, took = await asyncio.to_thread(server.stop, signal.SIGTERM)
        assert await one.closed() == await two.closed() == []
        assert (await mute.rest()).endswith(b"\x88\x02\x03\xe8")  # it has not answered that
    assert took < 3, server.log()
    assert code in (0, -signal.SIGTERM)
    for name in ("one", "two", "mute"):
        assert f"gone {name} server shutting down" in server.log()
    assert "Traceback" not in server.log()
