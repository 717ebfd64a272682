"""Servers with three workers and no sticky sessions: clients of all generations, and a worker that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.servers import WORKERS, Server

CASES = Path(__file__).resolve().parent.parent / "interop" / "workers.js"
RUN = CASES.with_name("run.js")
DEADLINE = 120.0
EVERYWHERE = ["everybody_is_answered", "everybody_hears_everybody_once", "a_large_event_passes"]
RESTARTING = ("uvicorn", "gunicorn", "asocketio")
"""Those that start another worker where one has died. hypercorn and granian end then."""
WAYS = [
    ("4.8.4", "polling"), ("4.8.4", "upgrade"), ("4.8.4", "websocket"), ("2.5.0", "polling"), ("2.5.0", "upgrade"),
    ("0.9.17", "polling"), ("0.9.17", "websocket"),
]  # fmt: skip


@pytest.fixture(scope="module", params=WORKERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("workers")
    found = Server(
        "tests.integration.workers_app:app", request.param, folder / "log", workers=True, env={"TMPDIR": str(folder)}
    )
    with found:
        yield found
        found.stop()
    if found.name in RESTARTING:
        return  # one that was killed while it started has left its socket to the next to start
    left = [file.name for each in folder.glob("asocketio-*") for file in each.iterdir()]
    assert left == []


def restarting(server: Server) -> None:
    if server.name not in RESTARTING:
        pytest.skip(f"{server.name} starts no worker in place of one that has died")


def run(server: Server, node: Path, modules: Path, version: str, mode: str, case: str) -> None:
    done = subprocess.run(
        [node, RUN, version, mode, str(server.port), case],
        env={**os.environ, "NODE_MODULES": str(modules), "CASES": str(CASES)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, f"run.js ended with {done.returncode}:\n{done.stderr}\n{server.log()}"
    results = json.loads(done.stdout)
    assert results == {case: {"ok": True}}, f"{results[case]}\n{server.log()[-3000:]}"


@pytest.mark.parametrize("case", EVERYWHERE)
@pytest.mark.parametrize(("version", "mode"), WAYS)
def test_no_client_notices_that_there_are_workers(
    server: Server, node: Path, node_modules: Path, version: str, mode: str, case: str
) -> None:
    run(server, node, node_modules, version, mode, case)
    assert "Session ID unknown" not in server.log()


# ---- a worker that is killed: the following tests come last, their lines may stay in the log --------------------


class Session:
    """One by polling, each of whose requests has a connection of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.sid = ""
        self.pid = 0

    @property
    def _query(self) -> str:
        return f"EIO=4&transport=polling&sid={self.sid}"

    async def open(self) -> None:
        async with httpx.AsyncClient(base_url=self._server.url, headers={"connection": "close"}) as http:
            handshake = await http.get("/socket.io/?EIO=4&transport=polling")
            self.sid = json.loads(handshake.text[1:])["sid"]
            url = f"/socket.io/?{self._query}"
            assert (await http.post(url, content="40")).text == "ok"
            assert (await http.get(url)).text.startswith("40")
            assert (await http.post(url, content='420["pid"]')).text == "ok"
            self.pid = json.loads((await http.get(url)).text.removeprefix("430"))[0]

    async def begin_post(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The head of a POST, and a part of its body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        writer.write(
            f"POST /socket.io/?{self._query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            'content-length: 13\r\n\r\n421["e'.encode()
        )
        return reader, writer


async def status_of(reader: asyncio.StreamReader) -> int:
    """Of an answer; 0 where the connection was cut without one."""
    try:
        line = await asyncio.wait_for(reader.readline(), 30)
    except ConnectionError:
        return 0
    return int(line.split()[1]) if line else 0


async def sessions_of(server: Server) -> list[Session]:
    """Some at each of two workers, at least."""
    sessions: list[Session] = []
    while len(sessions) < 12 or len({session.pid for session in sessions}) < 2:
        sessions.append(Session(server))
        await sessions[-1].open()
    return sessions


async def test_a_worker_is_killed_in_the_middle_of_bodies(server: Server) -> None:
    restarting(server)
    sessions = await sessions_of(server)
    posts = [await session.begin_post() for session in sessions]
    victim = sessions[0].pid
    os.kill(victim, signal.SIGKILL)
    statuses = []
    for session, (reader, writer) in zip(sessions, posts, strict=True):
        try:
            writer.write(b'cho",1]')
            await writer.drain()
            statuses.append((session.pid == victim, await status_of(reader)))
        except ConnectionError:
            statuses.append((session.pid == victim, 0))
        finally:
            writer.close()
    # 0: it was the killed one that had the connection. Nobody waits for ever, and no body counts for a dead session.
    assert {status for dead, status in statuses if dead} <= {0, 400}
    assert {status for dead, status in statuses if not dead} <= {0, 200}
    assert (False, 200) in statuses
    await Session(server).open()


async def test_a_worker_is_killed_in_the_middle_of_upgrades(server: Server) -> None:
    restarting(server)
    sessions = await sessions_of(server)
    websockets = []
    for session in sessions:
        url = f"{server.ws_url}/socket.io/?EIO=4&transport=websocket&sid={session.sid}"
        websockets.append(await connect(url, ping_interval=None))
        await websockets[-1].send("2probe")
        assert await websockets[-1].recv() == "3probe"
    victim = sessions[0].pid
    os.kill(victim, signal.SIGKILL)
    alive = []
    for session, websocket in zip(sessions, websockets, strict=True):
        try:
            await websocket.send("5")
            await websocket.send('421["echo",1]')
            assert await asyncio.wait_for(websocket.recv(), 30) == "431[1]"
            alive.append(session.pid)
        except ConnectionClosed:
            pass
        finally:
            await websocket.close()
    assert alive
    assert victim not in alive
    await Session(server).open()


@pytest.mark.parametrize(("version", "mode"), [("4.8.4", "websocket"), ("4.8.4", "upgrade"), ("2.5.0", "polling")])
def test_clients_of_a_killed_worker_come_back(
    server: Server, node: Path, node_modules: Path, version: str, mode: str
) -> None:
    restarting(server)
    run(server, node, node_modules, version, mode, "a_worker_that_is_killed")
