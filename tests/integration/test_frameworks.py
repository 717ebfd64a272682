"""Views of Starlette, FastAPI and Django behind a real server: their middleware, their dependencies, their refusals."""

from __future__ import annotations

import time

import pytest

from tests.clients.wire import SOCKETIO, Peer, Polling, kind_and_value
from tests.conftest import StartServer
from tests.integration.conftest import MeetServer
from tests.support.servers import Server

APPS = {
    "starlette-inside": "tests.integration.frameworks:starlette_inside",
    "starlette-outside": "tests.integration.frameworks:starlette_outside",
    "fastapi": "tests.integration.frameworks:fastapi_application",
    "django": "tests.integration.frameworks:django_application",
}
SERVERS = ("uvicorn-h11-websockets", "uvicorn-httptools-websockets-sansio", "hypercorn")


class Servers:
    """One server for each application, started when first asked for."""

    def __init__(self, start: StartServer) -> None:
        self._start = start
        self._running: dict[tuple[str, str], Server] = {}

    def get(self, app: str, name: str = SERVERS[1]) -> Server:
        key = (app, name)
        if key not in self._running:
            self._running[key] = self._start(APPS[app], name)
        return self._running[key]


@pytest.fixture(scope="module")
def servers(start_module_server: StartServer) -> Servers:
    return Servers(start_module_server)


async def polling_as(peer: Peer, name: str) -> Polling:
    answer = await peer.get(SOCKETIO, EIO="4", transport="polling", name=name)
    assert answer.status_code == 200, answer.text
    session = Polling(peer, SOCKETIO, kind_and_value(answer.text, "0")["sid"])
    await session.send("40")
    kind_and_value(await session.receive(), "40")
    return session


def name_seen_by(app: str, name: str) -> str:
    """The middleware inside of ours, and the one outside of it, marks a request by polling."""
    return f"{name} stamped" if app.startswith("starlette") else name


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("app", APPS)
async def test_a_view_talks_by_polling(servers: Servers, meet: MeetServer, app: str, server: str) -> None:
    running = servers.get(app, server)
    session = await polling_as(await meet(running), "ada")
    await session.send('420["who"]')
    assert await session.receive() == f'430["{name_seen_by(app, "ada")}"]'
    await session.send('421["large"]')
    assert await session.receive() == f'431["{"x" * 10_000}"]'
    poll = await session.waiting()
    await session.send("1")
    assert (await poll).text == "6"
    await session.is_over()
    await running.logs(f"gone {name_seen_by(app, 'ada')} transport close")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("app", APPS)
async def test_a_view_talks_by_websocket(servers: Servers, meet: MeetServer, app: str, server: str) -> None:
    running = servers.get(app, server)
    peer = await meet(running)
    # Middleware outside of ours that knows HTTP only lets websockets pass.
    seen = "bob unstamped" if app == "starlette-outside" else name_seen_by(app, "bob")
    async with peer.websocket(SOCKETIO, name="bob") as websocket:
        kind_and_value(await websocket.receive(), "0")
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")
        await websocket.send('420["who"]')
        assert await websocket.receive() == f'430["{seen}"]'
    await running.logs(f"gone {seen} transport close")


@pytest.mark.parametrize("app", APPS)
async def test_a_view_talks_across_the_upgrade(servers: Servers, meet: MeetServer, app: str) -> None:
    session = await polling_as(await meet(servers.get(app)), "cy")
    async with session.websocket() as websocket:
        await websocket.send("2probe")
        assert await websocket.receive() == "3probe"
        await websocket.send("5", '420["who"]')
        assert await websocket.receive() == f'430["{name_seen_by(app, "cy")}"]'


@pytest.mark.parametrize("app", APPS)
async def test_a_refusal_reaches_the_client(servers: Servers, meet: MeetServer, app: str) -> None:
    peer = await meet(servers.get(app))
    answer = await peer.get(SOCKETIO, EIO="4", transport="polling")
    assert answer.status_code == 401
    assert "who are you?" in answer.text
    status, body = await peer.refused_websocket(SOCKETIO, "EIO=4&transport=websocket")
    assert status == 401
    assert "who are you?" in body


@pytest.mark.parametrize("app", ["starlette-inside", "starlette-outside"])
async def test_a_refusal_has_passed_the_middleware(servers: Servers, meet: MeetServer, app: str) -> None:
    peer = await meet(servers.get(app))
    answer = await peer.get(SOCKETIO, EIO="4", transport="polling")
    assert (answer.status_code, answer.headers.get_list("x-stamp")) == (401, ["stamped"])


async def test_a_fastapi_refusal_has_its_headers(servers: Servers, meet: MeetServer) -> None:
    peer = await meet(servers.get("fastapi"))
    answer = await peer.get(SOCKETIO, EIO="4", transport="polling")
    assert answer.json() == {"detail": "who are you?"}
    refusal = await peer.refusal(SOCKETIO, "EIO=4&transport=websocket")
    assert [answer.headers["www-authenticate"], refusal.headers["www-authenticate"]] == ["Name", "Name"]


async def present(peer: Peer, wanted: list[str]) -> None:
    """Waits until exactly these dependencies are open."""
    deadline = time.monotonic() + 10
    while (seen := (await peer.get("/present")).json()) != wanted:
        assert time.monotonic() < deadline, seen


async def test_a_dependency_lives_as_long_as_the_socket_by_websocket(servers: Servers, meet: MeetServer) -> None:
    peer = await meet(servers.get("fastapi"))
    await present(peer, [])
    async with peer.websocket(SOCKETIO, name="dan") as websocket:
        kind_and_value(await websocket.receive(), "0")
        await present(peer, ["dan"])
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")
        assert (await peer.get("/present")).json() == ["dan"]
    await present(peer, [])


async def test_a_dependency_lives_as_long_as_the_socket_by_polling(servers: Servers, meet: MeetServer) -> None:
    peer = await meet(servers.get("fastapi"))
    await present(peer, [])
    session = await polling_as(peer, "eve")
    assert (await peer.get("/present")).json() == ["eve"]
    async with session.websocket() as websocket:
        await websocket.send("2probe", "5")
        assert await websocket.receive() == "3probe"
        assert (await peer.get("/present")).json() == ["eve"]
    await present(peer, [])


@pytest.mark.parametrize("way", ["by-app", "by-request"])
async def test_a_request_reaches_the_sockets(servers: Servers, meet: MeetServer, way: str) -> None:
    peer = await meet(servers.get("fastapi"))
    session = await polling_as(peer, "fay")
    async with peer.websocket(SOCKETIO, name="gil") as websocket:
        kind_and_value(await websocket.receive(), "0")
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")
        answer = await peer.http.post(f"/announce/{way}", params={"text": "é"})
        assert (answer.status_code, answer.json()) == (200, None)
        assert await websocket.receive() == '42["announced","é"]'
        assert await session.receive() == '42["announced","é"]'
        await session.send("1")
    await present(peer, [])


async def test_django_serves_its_pages_and_its_view_ends(servers: Servers, meet: MeetServer) -> None:
    running = servers.get("django")
    peer = await meet(running)
    assert (await peer.get("/page")).text == "a page"
    before = running.log().count("django view ends")
    session = await polling_as(peer, "hal")
    await session.send("1")
    await running.logs("gone hal transport close")
    deadline = time.monotonic() + 10
    while running.log().count("django view ends") <= before:
        assert time.monotonic() < deadline, running.log()
