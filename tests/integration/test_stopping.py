"""A server that is told to stop without a signal, as programs and tests do that run one themselves."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.sync.client import connect

from asocketio import SocketIOApp, socketio_manage
from tests.support.worlds import Recorder

PROMPT = 1.0  # seconds
HANDSHAKES = {
    "4": "/socket.io/?EIO=4&transport=polling",
    "3": "/socket.io/?EIO=3&transport=polling",
    "0.9": "/socket.io/1/",
}
UNKNOWN = '{"code":1,"message":"Session ID unknown"}'
LAST = {"4": UNKNOWN, "3": UNKNOWN, "0.9": "7:::1+0"}
"""The answer to the last poll of a session."""


class Waiting(Recorder):
    """Joins everybody; tells why they left."""

    told: ClassVar[list[str]] = []

    async def recv_disconnect(self, reason: str) -> None:
        self.told.append(reason)


async def view(request: Request) -> Response:
    await socketio_manage(request.scope, {"/": Waiting})
    return Response()


def by_itself() -> SocketIOApp:
    return SocketIOApp(namespaces={"/": Waiting})


def with_a_view() -> SocketIOApp:
    return SocketIOApp(Starlette(routes=[Route("/socket.io/{_:path}", view)]))


def passing(app: Any) -> Any:
    """Middleware as people write it: ``receive`` is a function of its own."""

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        async def hear() -> Any:
            return await receive()

        await app(scope, hear, send)

    return outer


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def behind_middleware() -> Any:
    return passing(by_itself())


def with_a_view_behind_middleware() -> Any:
    return passing(with_a_view())


def behind_middleware_of_starlette() -> Any:
    return Starlette(middleware=[Middleware(Stamp), Middleware(SocketIOApp, namespaces={"/": Waiting})])


def with_a_view_behind_middleware_of_starlette() -> Any:
    routes = [Route("/socket.io/{_:path}", view)]
    return Starlette(routes=routes, middleware=[Middleware(Stamp), Middleware(SocketIOApp)])


BEHIND = [
    behind_middleware,
    with_a_view_behind_middleware,
    behind_middleware_of_starlette,
    with_a_view_behind_middleware_of_starlette,
]


@contextmanager
def running(app: Any, **settings: Any) -> Iterator[tuple[uvicorn.Server, str, threading.Thread]]:
    """The app in a real server, in a thread, where no signal can be heard."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, **{"log_level": "error", **settings}))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield server, f"127.0.0.1:{listening.getsockname()[1]}", thread
    finally:
        server.force_exit = server.should_exit = True
        thread.join(10)


def stop(server: uvicorn.Server, thread: threading.Thread) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    return time.monotonic() - began


def opened(client: httpx.Client, generation: str) -> str:
    """The path and query of a session that has joined."""
    path = HANDSHAKES[generation]
    body = client.get(path).text
    if generation == "0.9":
        path = f"/socket.io/1/xhr-polling/{body.split(':')[0]}"
    else:
        path += "&sid=" + body.split('"sid":"')[1].split('"')[0]
    if generation == "4":
        client.post(path, content="40")
    assert client.get(path).status_code == 200
    return path


SERVERS = {
    "h11": {"http": "h11"},
    "httptools": {"http": "httptools"},
    "ours": {"http": "asocketio.servers.uvicorn:HTTPProtocol", "ws": "asocketio.servers.uvicorn:WebSocketProtocol"},
    "no-lifespan": {"lifespan": "off"},
}


@pytest.mark.parametrize("generation", HANDSHAKES)
@pytest.mark.parametrize("server_name", SERVERS)
@pytest.mark.parametrize("make", [by_itself, with_a_view])
@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "between-polls"])
def test_a_server_that_stops_does_not_wait_for_polling_clients(
    make: Any, server_name: str, generation: str, waits: bool
) -> None:
    Waiting.told = []
    answers: list[str] = []
    with (
        running(make(), **SERVERS[server_name]) as (server, address, thread),
        httpx.Client(base_url=f"http://{address}", timeout=30) as client,
    ):
        path = opened(client, generation)
        poll = threading.Thread(target=lambda: answers.append(client.get(path).text))
        if waits:
            poll.start()
            time.sleep(0.3)  # only the server knows that it waits
        assert stop(server, thread) < PROMPT
        if waits:
            poll.join(5)
    assert answers == ([LAST[generation]] if waits else [])
    assert Waiting.told == ["server shutting down"]


@pytest.mark.parametrize("server_name", SERVERS)
@pytest.mark.parametrize("make", [by_itself, with_a_view])
def test_a_server_that_stops_closes_its_websockets(make: Any, server_name: str) -> None:
    Waiting.told = []
    with (
        running(make(), **SERVERS[server_name]) as (server, address, thread),
        connect(f"ws://{address}/socket.io/?EIO=4&transport=websocket") as websocket,
    ):
        websocket.send("40")
        assert str(websocket.recv()).startswith("0{")
        assert str(websocket.recv()).startswith("40{")
        assert stop(server, thread) < PROMPT
    assert Waiting.told == ["server shutting down"]


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("generation", HANDSHAKES)
@pytest.mark.parametrize("server_name", ["h11", "ours"])
@pytest.mark.parametrize("make", BEHIND)
def test_so_it_is_behind_middleware_and_without_a_traceback(
    make: Any, server_name: str, generation: str, caplog: pytest.LogCaptureFixture
) -> None:
    Waiting.told = []
    answers: list[str] = []
    settings = {**SERVERS[server_name], "log_config": None, "timeout_graceful_shutdown": 5}
    with (
        running(make(), **settings) as (server, address, thread),
        httpx.Client(base_url=f"http://{address}", timeout=30) as client,
    ):
        path = opened(client, generation)
        poll = threading.Thread(target=lambda: answers.append(client.get(path).text))
        poll.start()
        time.sleep(0.3)  # only the server knows that it waits
        assert stop(server, thread) < PROMPT
        poll.join(5)
    assert answers == [LAST[generation]]
    assert Waiting.told == ["server shutting down"]
    assert errors(caplog) == []


@pytest.mark.parametrize("make", [by_itself, with_a_view, *BEHIND])
def test_a_server_that_has_answered_enough_does_not_wait_for_polling_clients(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    Waiting.told = []
    answers: list[str] = []
    settings = {**SERVERS["ours"], "log_config": None, "limit_max_requests": 8, "timeout_graceful_shutdown": 5}
    with (
        running(make(), **settings) as (_, address, thread),
        httpx.Client(base_url=f"http://{address}", timeout=30) as client,
    ):
        path = opened(client, "4")
        poll = threading.Thread(target=lambda: answers.append(client.get(path).text))
        poll.start()
        time.sleep(0.3)  # only the server knows that it waits
        for _ in range(5):
            httpx.get(f"http://{address}/elsewhere")
        began = time.monotonic()
        thread.join(20)
        assert (thread.is_alive(), time.monotonic() - began < PROMPT) == (False, True)
        poll.join(5)
    assert answers == [LAST["4"]]
    assert Waiting.told == ["server shutting down"]
    assert errors(caplog) == []
