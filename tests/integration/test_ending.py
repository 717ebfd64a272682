"""The end of a server while clients are there: prompt, with every handler told."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.clients.wire import SOCKETIO, Peer, WebSocket, kind_and_value
from tests.conftest import StartServer
from tests.integration.conftest import MeetServer
from tests.support.servers import ROOT, Server

APP = "tests.integration.app:app"
PROMPT = 3.0  # seconds
CLOSE_GRACE = 5.0  # seconds, the default setting
SIGNALS = [pytest.param(signal.SIGINT, id="SIGINT"), pytest.param(signal.SIGTERM, id="SIGTERM")]
SERVERS = (
    "uvicorn-h11-websockets",
    "uvicorn-httptools-wsproto",
    "uvicorn-httptools-websockets-sansio-uvloop",
    "granian",
    "asocketio",
)


async def join(websocket: WebSocket, token: str) -> None:
    await websocket.send("40")
    kind_and_value(await websocket.receive(), "40")
    await websocket.send(f'420["mark","{token}"]')
    assert await websocket.receive() == "430[]"


async def waiting_poll(peer: Peer, token: str) -> asyncio.Task[httpx.Response]:
    session = await peer.polling(SOCKETIO)
    await session.send(f'40\x1e420["mark","{token}"]')
    while "430[]" not in await session.receive():
        pass
    return await session.waiting()


async def stop(server: Server, number: int, *, group: bool = False) -> tuple[int, float]:
    return await asyncio.to_thread(server.stop, number, group=group)


async def stop_amid_clients(server: Server, peer: Peer, number: int, *, group: bool = False) -> tuple[int, float]:
    """Stops a server that has a waiting poll, a websocket, and a socket in a view; checks what they are told."""
    poll = await waiting_poll(peer, "poller")
    async with peer.opened(SOCKETIO) as websocket, peer.opened("/view/") as in_view:
        await join(websocket, "talker")
        await join(in_view, "viewer")
        code, took = await stop(server, number, group=group)
        answer = await poll
        assert (answer.status_code, answer.json()) == (400, {"code": 1, "message": "Session ID unknown"})
        assert await websocket.closed() == []
        assert await in_view.closed() == []
    return code, took


async def start_and_stop(
    start_server: StartServer, meet: MeetServer, name: str, number: int, *, group: bool = False
) -> tuple[Server, int, float]:
    """A server that was stopped amid its clients, its exit code, and how long that took."""
    for _ in range(3):
        server = start_server(APP, name)
        code, took = await stop_amid_clients(server, await meet(server), number, group=group)
        if "panicked at" not in server.log():  # granian, rarely: its Rust side crashes while it ends
            break
    return server, code, took


def assert_everybody_was_told(server: Server) -> None:
    lines = server.log().splitlines()
    told = sorted(line for line in lines if line.startswith("gone"))
    assert told == [f"gone {who} server shutting down" for who in ("poller", "talker", "viewer")], server.log()
    assert lines.count("view ended") == 1
    assert lines.count("lifespan shutdown") == 1
    assert "Traceback" not in server.log(), server.log()


def promptness_of(name: str) -> float:
    """granian ends its websockets while we close them, and then may never answer our close: we give it close_grace."""
    return PROMPT + CLOSE_GRACE if name == "granian" else PROMPT


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("name", SERVERS)
async def test_a_signal_ends_the_server_at_once(
    start_server: StartServer, meet: MeetServer, name: str, number: int
) -> None:
    server, code, took = await start_and_stop(start_server, meet, name, number)
    assert took < promptness_of(name), server.log()
    assert code in (0, -number), server.log()  # uvicorn dies of the signal that stopped it, when all is done
    assert_everybody_was_told(server)


@pytest.mark.parametrize("whole_group", [False, True])
async def test_hypercorn_tells_its_handlers_when_its_own_grace_is_over(
    start_server: StartServer, meet: MeetServer, whole_group: bool
) -> None:
    """Its workers get no notice of the end: after ``--graceful-timeout`` their calls are cancelled."""
    server = start_server(APP, "hypercorn", args=("--graceful-timeout", "1"))
    peer = await meet(server)
    poll = await waiting_poll(peer, "poller")
    async with peer.opened(SOCKETIO) as websocket, peer.opened("/view/") as in_view:
        await join(websocket, "talker")
        await join(in_view, "viewer")
        _, took = await stop(server, signal.SIGINT, group=whole_group)
        await websocket.closed()
        await in_view.closed()
    await asyncio.wait({poll})
    assert took < 1 + PROMPT, server.log()
    told = sorted(line.split()[1] for line in server.log().splitlines() if line.startswith("gone"))
    assert told == ["poller", "talker", "viewer"], server.log()


@pytest.mark.parametrize("name", ["uvicorn-httptools-websockets-sansio", "asocketio", "granian"])
async def test_ctrl_c_in_a_terminal_ends_all_processes(start_server: StartServer, meet: MeetServer, name: str) -> None:
    server, _, took = await start_and_stop(start_server, meet, name, signal.SIGINT, group=True)
    assert took < promptness_of(name), server.log()
    assert_everybody_was_told(server)


@pytest.mark.parametrize("name", ["uvicorn-httptools-websockets-sansio", "asocketio"])
async def test_a_server_without_clients_ends_as_promptly(
    start_server: StartServer, meet: MeetServer, name: str
) -> None:
    server = start_server(APP, name)
    peer = await meet(server)
    async with peer.opened(SOCKETIO) as websocket:
        await join(websocket, "early")
    await server.logs("gone early transport close")
    _, took = await stop(server, signal.SIGTERM)
    assert took < PROMPT, server.log()
    assert server.log().splitlines().count("lifespan shutdown") == 1


@pytest.mark.parametrize("name", ["uvicorn-httptools-websockets-sansio", "asocketio"])
async def test_a_client_that_comes_while_the_server_ends_is_not_kept(
    start_server: StartServer, meet: MeetServer, name: str
) -> None:
    server = start_server(APP, name)
    peer = await meet(server)
    async with peer.opened(SOCKETIO) as websocket:
        await join(websocket, "first")
        ending = asyncio.create_task(stop(server, signal.SIGINT))
        while not ending.done():
            try:
                await peer.get(SOCKETIO, EIO="4", transport="polling")
            except httpx.HTTPError:
                break
        _, took = await ending
        await websocket.closed()
    assert took < PROMPT, server.log()


@asynccontextmanager
async def open_at_last(peer: Peer, server: Server) -> AsyncIterator[WebSocket]:
    """A websocket to the process that comes next; the one that is ending still answers 503 for a moment."""
    deadline = time.monotonic() + 20
    status = 0
    while status != 200:
        assert (status in (0, 503), time.monotonic() < deadline) == (True, True), f"{status}\n{server.log()}"
        with suppress(httpx.TransportError):  # the connection was kept by the one that is ending
            status = (await peer.get(SOCKETIO, EIO="4", transport="polling")).status_code
    async with peer.opened(SOCKETIO) as websocket:
        yield websocket


def copy_of_the_app(folder: Path) -> str:
    """The application as a module of its own in ``folder``, so that changing it disturbs nobody; its import string."""
    source = ROOT / "tests" / "integration" / "app.py"
    (folder / "reloaded_app.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return "reloaded_app:app"


def change(file: Path) -> None:
    file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")


async def change_until_reloaded(file: Path, server: Server) -> None:
    """Changes ``file``; again if that was not noticed: what changes before the watcher's first look, it never sees."""
    for _ in range(5):
        change(file)
        with suppress(AssertionError):
            await server.logs("Reloading", within=4)
            return
    raise AssertionError(f"no reload:\n{server.log()}")


@pytest.mark.parametrize("name", ["uvicorn-httptools-websockets-sansio", "asocketio"])
async def test_reload_is_not_held_up_by_clients(
    start_server: StartServer, meet: MeetServer, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    server = start_server(copy_of_the_app(folder), name, args=("--reload", "--reload-dir", str(folder)), cwd=folder)
    peer = await meet(server)
    async with peer.opened(SOCKETIO) as websocket:
        await join(websocket, "before")
        await change_until_reloaded(folder / "reloaded_app.py", server)
        assert await websocket.closed() == []
    await server.logs("gone before server shutting down")
    async with open_at_last(peer, server) as websocket:
        await join(websocket, "after")
        _, took = await stop(server, signal.SIGINT, group=True)
        assert await websocket.closed() == []
    assert took < PROMPT, server.log()
    assert server.log().splitlines().count("lifespan startup") >= 2  # more, where the watcher saw two changes
    assert "gone after server shutting down" in server.log()
