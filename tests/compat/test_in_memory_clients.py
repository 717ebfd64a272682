"""Clients of ASGI applications that wait for a call to end before they hand out its answer."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from asocketio import BaseNamespace, ConnectionRefused, SocketIOApp

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have another client than httpx
    from starlette.testclient import TestClient

HANDSHAKES = {
    "0.9": "/socket.io/1/",
    "3": "/socket.io/?EIO=3&transport=polling",
    "4": "/socket.io/?EIO=4&transport=polling",
}
SECONDS = 5.0


class Hello(BaseNamespace):
    async def recv_connect(self) -> None:
        await asyncio.sleep(0)
        self.emit("hello")

    async def on_echo(self, *args: Any) -> Any:
        return args


class Closed(BaseNamespace):
    async def recv_connect(self) -> None:
        raise ConnectionRefused("not today")


def alone() -> Any:
    return SocketIOApp(namespaces={"/": Hello})


def mounted() -> Any:
    return Starlette(routes=[Mount("/socket.io", app=alone())])


def added() -> Any:
    return Starlette(middleware=[Middleware(SocketIOApp, namespaces={"/": Hello})])


APPS = [alone, mounted, added]


@pytest.mark.parametrize("make", APPS)
@pytest.mark.parametrize("generation", HANDSHAKES)
def test_starlettes_test_client_gets_a_handshake(make: Callable[[], Any], generation: str) -> None:
    with TestClient(make()) as client:
        response = client.get(HANDSHAKES[generation])
        assert response.status_code == 200
        assert response.text


@pytest.mark.parametrize("generation", HANDSHAKES)
def test_starlettes_test_client_without_a_lifespan(generation: str) -> None:
    """Each of its requests has an event loop of its own."""
    client = TestClient(alone())
    for _ in range(2):
        assert client.get(HANDSHAKES[generation]).status_code == 200


def test_starlettes_test_client_polls() -> None:
    with TestClient(alone()) as client:
        opened = client.get(HANDSHAKES["4"]).text
        session = HANDSHAKES["4"] + "&sid=" + opened.split('"sid":"')[1].split('"')[0]
        assert client.post(session, content="40").text == "ok"
        assert client.get(session).text.split("\x1e")[1:] == ['42["hello"]']
        assert client.post(session, content='421["echo","x"]').text == "ok"
        assert client.get(session).text == '431["x"]'
        assert client.post(session, content="1").text == "ok"


@pytest.mark.parametrize("make", APPS)
@pytest.mark.parametrize("generation", HANDSHAKES)
async def test_httpx_gets_a_handshake(make: Callable[[], Any], generation: str) -> None:
    transport = httpx.ASGITransport(app=make())
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client, asyncio.timeout(SECONDS):
        response = await client.get(HANDSHAKES[generation])
    assert response.status_code == 200


async def test_httpx_polls_two_sessions_at_a_time() -> None:
    app = alone()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client, asyncio.timeout(SECONDS):
        bodies = [(await client.get(HANDSHAKES["3"])).text for _ in range(2)]
        sessions = [HANDSHAKES["3"] + "&sid=" + body.split('"sid":"')[1].split('"')[0] for body in bodies]
        polls = await asyncio.gather(*map(client.get, sessions))
        assert all("hello" in poll.text for poll in polls)
        assert app.server.active_sessions == 2
        await asyncio.gather(app.close(), *map(client.get, sessions))
        assert app.server.active_sessions == 0


async def test_a_refusal_of_0_9_is_the_answer() -> None:
    app = SocketIOApp(namespaces={"/": Closed})
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client, asyncio.timeout(SECONDS):
        response = await client.get(HANDSHAKES["0.9"])
        assert (response.status_code, response.text) == (403, "not today")
        await app.close()
    assert (app.server.sockets, app.server.active_sessions) == ({}, 0)
