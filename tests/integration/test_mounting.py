"""Mounted applications, with and without ``--root-path``, on each kind of server.

uvicorn puts the root path before the path it was asked for, as the ASGI specification wants. hypercorn and granian
leave the path as the proxy sent it. Where that proxy has cut the prefix off, Starlette itself finds nothing below a
mount, so there only the mounts whose path Socket.IO knows are tried.
"""

from __future__ import annotations

import pytest

from tests.clients.wire import Peer, kind_and_value
from tests.conftest import StartServer
from tests.integration.conftest import MeetServer
from tests.support.servers import Server

WAYS = {
    "uvicorn": ("uvicorn-httptools-websockets-sansio", ("--root-path", "/api")),
    "asocketio": ("asocketio", ("--root-path", "/api")),
    "hypercorn": ("hypercorn", ("--root-path", "/api")),
    "granian": ("granian", ("--url-path-prefix", "/api")),
    "no-root-path": ("uvicorn-h11-websockets", ()),
}
MOUNTS = ("/socket.io/", "/at-root/", "/nested/socket.io/", "/renamed/live/")
PATHS = {
    **dict.fromkeys(("uvicorn", "asocketio", "no-root-path"), MOUNTS),
    **dict.fromkeys(("hypercorn", "granian"), (*MOUNTS[:2], *(f"/api{mount}" for mount in MOUNTS))),
}
TESTS = [pytest.param(way, path, id=f"{way}-{path}") for way, paths in PATHS.items() for path in paths]


class Servers:
    """One server for each way, started when first asked for."""

    def __init__(self, start: StartServer) -> None:
        self._start = start
        self._running: dict[str, Server] = {}

    def __getitem__(self, way: str) -> Server:
        if way not in self._running:
            name, args = WAYS[way]
            self._running[way] = self._start("tests.integration.mounted:app", name, args=args)
        return self._running[way]


@pytest.fixture(scope="module")
def servers(start_module_server: StartServer) -> Servers:
    return Servers(start_module_server)


@pytest.mark.parametrize(("way", "path"), TESTS)
async def test_a_mounted_application_is_found(servers: Servers, meet: MeetServer, way: str, path: str) -> None:
    peer = await meet(servers[way])
    session = await peer.polling(path)
    await session.send("40")
    kind_and_value(await session.receive(), "40")
    await session.send('420["echo","polling"]')
    assert await session.receive() == '430["polling"]'
    async with session.websocket() as websocket:
        await websocket.send("2probe")
        assert await websocket.receive() == "3probe"
        await websocket.send("5", '421["echo","upgraded"]')
        assert await websocket.receive() == '431["upgraded"]'
    assert await echo_by_websocket(peer, path) == '432["websocket"]'


async def echo_by_websocket(peer: Peer, path: str) -> str | bytes:
    async with peer.opened(path) as websocket:
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")
        await websocket.send('422["echo","websocket"]')
        return await websocket.receive()


@pytest.mark.parametrize("way", WAYS)
async def test_a_path_that_does_not_match_is_404_and_one_log_line_says_why(
    servers: Servers, meet: MeetServer, way: str
) -> None:
    peer = await meet(servers[way])
    prefix = "/api" if way in ("hypercorn", "granian") else ""
    answer = await peer.get(f"{prefix}/nested/socketio/", EIO="4", transport="polling")
    assert answer.status_code == 404
    lines = [line for line in servers[way].log().splitlines() if "/nested/socketio/" in line and "socket.io" in line]
    assert len(lines) == 1, servers[way].log()
