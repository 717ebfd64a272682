"""A thousand pollers and a thousand websockets, a stalled loop, a server that is full: by real servers."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.clients.frames import CLOSE, masked
from tests.clients.http import OPENING, request
from tests.clients.tcp import Connection
from tests.clients.wire import SOCKETIO
from tests.conftest import StartServer
from tests.integration.conftest import MeetServer
from tests.support.servers import Server

T = TypeVar("T")

APP = "tests.integration.crowd:app"
CROWD = 1000  # of each kind
AT_A_TIME = 100
FILES = 8192
DEADLINE = 10.0  # seconds for the end of the server
PATIENCE = 60.0  # seconds for anything that a client waits for
SERVERS = ("asocketio", "uvicorn-httptools-websockets-sansio-uvloop")


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for the connections, here and in the servers that are started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip(f"at most {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


made: list[Connection] = []
"""The connections of a test, which closes them all."""


def kept(connection: Connection) -> Connection:
    connection.patience = PATIENCE
    made.append(connection)
    return connection


async def poller(server: Server) -> Connection:
    """A client that has joined, and whose poll waits."""
    connection, path = await Connection.poller(server.port)
    await kept(connection).send(request("GET", path))
    return connection


async def websocket_of(server: Server, target: str = OPENING, join: str = "") -> Connection:
    return kept(await Connection.websocket(server.port, target, join))


async def talker(server: Server) -> Connection:
    """A client with a websocket, which has joined."""
    return await websocket_of(server, join="40")


async def told_by_poll(connection: Connection) -> bool:
    response = await connection.response()
    return (response.status, response.body) == (400, b'{"code":1,"message":"Session ID unknown"}')


async def told_by_close(connection: Connection) -> bool:
    opcode, _ = await connection.frame()
    await connection.send(masked(b"\x03\xe8", CLOSE))
    return opcode == CLOSE


@pytest.fixture(autouse=True)
async def _closed(start_server: StartServer) -> AsyncIterator[None]:
    yield  # then before the servers end, which wait for their clients' goodbyes
    for connection in made:
        connection.close()
    made.clear()


async def all_of(coroutines: list[Coroutine[Any, Any, T]]) -> list[T]:
    """What they return, some at a time."""
    turn = asyncio.Semaphore(AT_A_TIME)

    async def one(coroutine: Coroutine[Any, Any, T]) -> T:
        async with turn:
            return await coroutine

    return await asyncio.gather(*map(one, coroutines))


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.usefixtures("many_files")
async def test_a_crowd_is_told_when_the_server_ends(start_server: StartServer, tmp_path: Path, name: str) -> None:
    counts = tmp_path / "counts.json"
    server = start_server(APP, name, env={"COUNTS": str(counts)}, args=("--log-level", "warning"))
    async with asyncio.timeout(60):
        pollers = await all_of([poller(server) for _ in range(CROWD)])
        talkers = await all_of([talker(server) for _ in range(CROWD)])
        waiting = [asyncio.create_task(told_by_poll(connection)) for connection in pollers]
        waiting += [asyncio.create_task(told_by_close(connection)) for connection in talkers]
        code, took = await asyncio.to_thread(server.stop)
        told = await asyncio.gather(*waiting)
    assert told.count(True) == 2 * CROWD
    assert took < DEADLINE, server.log()
    assert json.loads(counts.read_text()) == {"server shutting down": 2 * CROWD}
    assert "Traceback" not in server.log(), server.log()
    assert code in (0, -15)


# ---- a stalled loop -----------------------------------------------------------------------------------------------

SHORT: dict[str, Any] = {
    "ping_interval": 0.3, "ping_timeout": 0.6, "heartbeat_interval": 0.3, "heartbeat_timeout": 0.6,
    "polling_duration": 0.3, "close_timeout": 0.9,
}  # fmt: skip
STALLS = (2.1, 2.6)


class Answering:
    """A websocket client that answers at once, or pings by itself, in a task of its own."""

    def __init__(self, connection: Connection, ping: str, pong: str, pings_itself: bool = False) -> None:
        self.connection = connection
        self.ping, self.pong = ping.encode(), pong
        self.answers = True
        self.closed = False
        self.tasks = [asyncio.create_task(self._answer())]
        if pings_itself:
            self.tasks.append(asyncio.create_task(self._ping()))

    async def _answer(self) -> None:
        while not self.closed:
            opcode, payload = await self.connection.frame()
            if payload == self.ping and self.answers:
                await self.connection.send(masked(self.pong))
            self.closed = opcode == CLOSE

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(SHORT["ping_interval"])
            await self.connection.send(masked("2"))


async def oldest(server: Server) -> Connection:
    """A websocket of 0.9."""
    with await Connection.tcp(server.port) as connection:
        sid = await connection.open_session("0.9")
    return await websocket_of(server, f"/socket.io/1/websocket/{sid}")


async def test_a_blocked_loop_cuts_no_client(start_server: StartServer, tmp_path: Path) -> None:
    """A handler that blocks the loop for longer than a ping time-out; uvloop runs timers before it reads."""
    env = {"COUNTS": str(tmp_path / "counts.json"), "SETTINGS": json.dumps(SHORT)}
    server = start_server(APP, "asocketio", env=env)
    async with asyncio.timeout(40):
        clients = [
            Answering(await talker(server), "2", "3"),
            Answering(await websocket_of(server, "/socket.io/?EIO=3&transport=websocket"), "", "", pings_itself=True),
            Answering(await oldest(server), "2::", "2::"),
        ]
        for index, length in enumerate(STALLS):
            await asyncio.sleep(0.7 + 0.13 * index)
            await clients[0].connection.send(masked(f'42["block",{length}]'))
            await asyncio.sleep(length + 0.3)
        await asyncio.sleep(2)
        assert [client.closed for client in clients] == [False] * len(clients), server.log()
        assert server.log().count("the event loop was blocked for about") == len(STALLS)
        clients[0].answers = False  # one falls silent: that still counts
        await clients[0].tasks[0]
        assert [client.closed for client in clients] == [True, False, False]
    tasks = [task for client in clients for task in client.tasks]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


# ---- a full server --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SERVERS, "uvicorn-h11-wsproto", "hypercorn", "granian"])
async def test_a_real_server_answers_503_over_max_sessions(
    start_server: StartServer, meet: MeetServer, tmp_path: Path, name: str
) -> None:
    env = {"COUNTS": str(tmp_path / "counts.json"), "SETTINGS": json.dumps({"max_sessions": 1})}
    peer = await meet(start_server(APP, name, env=env))
    async with peer.opened(SOCKETIO):
        refused = await peer.get(SOCKETIO, EIO="4", transport="polling")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        oldest = await peer.get(f"{SOCKETIO}1/")
        assert (oldest.status_code, oldest.text, oldest.headers["retry-after"]) == (503, "handshake error", "5")
        by_websocket = await peer.refusal(SOCKETIO, "EIO=4&transport=websocket")
        assert (by_websocket.status_code, by_websocket.headers["retry-after"]) == (503, "5")
    for _ in range(100):  # the place is free when the clean-up is done
        again = await peer.get(SOCKETIO, EIO="4", transport="polling")
        if again.status_code == 200:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the place was not given back")
