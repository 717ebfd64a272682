"""What a request's head may hold where it is kept: with the session that it opens, or the websocket that it becomes."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from asocketio import BaseNamespace, SocketIOApp
from asocketio.metrics import Metrics
from asocketio.testing import settle
from tests.clients.asgi import Call, Client, client_of
from tests.clients.http import upgrade_request
from tests.clients.memory_connection import MemoryConnection, clocked
from tests.conftest import StartServer
from tests.support.worlds import GENERATIONS

LIMIT = 5000
Headers = list[tuple[str, str]]

TOO_LARGE: dict[str, tuple[str, Headers]] = {
    "one field": ("", [("cookie", "x" * LIMIT)]),
    "a name": ("", [("x" * LIMIT, "")]),
    "many small fields": ("", [("a", "b")] * (LIMIT // 100)),
    "the query": ("&a=" + "x" * LIMIT, []),
    "all together": ("&a=" + "x" * (LIMIT // 2), [("cookie", "x" * (LIMIT // 2))]),
    "subprotocols": ("", [("sec-websocket-protocol", ",".join(["ab"] * (LIMIT // 60)))]),
}
PLAIN = {name: given for name, given in TOO_LARGE.items() if name != "subprotocols"}


class Counted(Metrics):
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)


def target(generation: Any, transport: str, more: str = "") -> tuple[str, str]:
    if generation == "0.9":
        return "/socket.io/1/", "t=1" + more
    return "/socket.io/", f"EIO={generation}&transport={transport}" + more


def raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"testserver"), *((name.encode(), value.encode()) for name, value in headers)]


def asgi(peer: Client, kind: str, path: str, query: str, headers: Headers) -> Call:
    subprotocols = [each for name, value in headers if name == "sec-websocket-protocol" for each in value.split(",")]
    call = peer.call(kind, path=path, query_string=query.encode(), headers=raw(headers), subprotocols=subprotocols)
    call.inbox.put_nowait({"type": "http.request", "body": b""} if kind == "http" else {"type": "websocket.connect"})
    return call


@pytest.fixture
async def peer() -> Any:
    peer = client_of(BaseNamespace, max_head=LIMIT, metrics=Counted())
    yield peer
    await peer.end()


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("more", "headers"), PLAIN.values(), ids=PLAIN)
async def test_a_polling_handshake_over_max_head_is_refused(
    peer: Client, generation: Any, more: str, headers: Headers
) -> None:
    call = asgi(peer, "http", *target(generation, "polling", more), headers)
    await settle()
    assert call.status == 431
    assert peer.app.server.active_sessions == 0
    assert peer.app.config.metrics.reasons == ["Request header fields too large"]  # type: ignore[union-attr]


@pytest.mark.parametrize("generation", [3, 4])
@pytest.mark.parametrize(("more", "headers"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_a_websocket_over_max_head_is_refused(peer: Client, generation: Any, more: str, headers: Headers) -> None:
    path, query = target(generation, "websocket", more)
    call = asgi(peer, "websocket", path, query, headers)
    lane = MemoryConnection(clocked(peer.app, peer.clock))
    await lane.ask(upgrade_request(f"{path}?{query}", *headers))
    assert lane.frames() == []
    assert lane.head.startswith(b"HTTP/1.1 431 ")
    assert lane.gone
    assert (call.sent[0]["type"], call.status) == ("websocket.http.response.start", 431)
    assert peer.app.server.active_sessions == 0


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_so_is_one_that_joins_a_session(peer: Client, generation: Any) -> None:
    """It is kept as long."""
    path, query = target(generation, "polling")
    call = asgi(peer, "http", path, query, [])
    await settle()
    sid = call.body.split(":")[0] if generation == "0.9" else call.body.split('"sid":"')[1].split('"')[0]
    path = f"/socket.io/1/websocket/{sid}" if generation == "0.9" else "/socket.io/"
    query = "" if generation == "0.9" else f"EIO={generation}&transport=websocket&sid={sid}"
    for _, headers in list(TOO_LARGE.values())[:3]:
        websocket = asgi(peer, "websocket", path, query, headers)
        lane = MemoryConnection(clocked(peer.app, peer.clock))
        await lane.ask(upgrade_request(f"{path}?{query}", *headers))
        lane.frames()
        assert lane.head.startswith(b"HTTP/1.1 431 ")
        assert websocket.status == 431
    assert peer.app.server.active_sessions == 1


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_what_browsers_send_is_within_the_default(generation: Any) -> None:
    """Node takes 16 kB of heads."""
    peer = client_of(BaseNamespace)
    headers = [(f"sec-ch-ua-{number}", "x" * 60) for number in range(18)]
    call = asgi(peer, "http", *target(generation, "polling"), [*headers, ("cookie", "x" * 15_000)])
    await settle()
    assert call.status == 200
    await peer.end()


SIZE = 12_000
COUNT = 20


def polling(peer: Client, more: str, headers: Headers) -> Call:
    return asgi(peer, "http", *target(4, "polling", more), headers)


def websocket(peer: Client, more: str, headers: Headers) -> Call:
    return asgi(peer, "websocket", *target(4, "websocket", more), headers)


def lane(peer: Client, more: str, headers: Headers) -> MemoryConnection:
    path, query = target(4, "websocket", more)
    client = MemoryConnection(clocked(peer.app, peer.clock))
    client.comes(upgrade_request(f"{path}?{query}", *headers))
    return client


@pytest.mark.parametrize("carrier", [polling, websocket, lane])
@pytest.mark.parametrize("where", ["a field", "the query", "many fields of the query"])
async def test_a_head_is_kept_once(carrier: Callable[..., Any], where: str) -> None:
    """As the program sees it, and not in other forms besides."""
    held = []
    for size in (0, SIZE):
        peer = client_of(BaseNamespace)
        clients = []
        await settle()
        gc.collect()
        tracemalloc.start()
        for number in range(COUNT):
            text = f"{number:0{size}}" if size else ""
            if where == "a field":
                clients.append(carrier(peer, "", [("cookie", text)]))
            elif where == "the query":
                clients.append(carrier(peer, f"&a={text}", []))
            else:
                clients.append(carrier(peer, "".join(f"&{i}={text[:55]}" for i in range(190)), []))
            await settle()
            if isinstance(clients[-1], Call):
                clients[-1].task = None  # type: ignore[assignment]
        for client in clients:
            if isinstance(client, MemoryConnection):
                client.transport.writes.clear()
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0] / COUNT)
        tracemalloc.stop()
        assert peer.app.server.active_sessions == COUNT
        await peer.app.close()
    assert held[1] - held[0] < 1.3 * SIZE


LONG = [
    pytest.param([("cookie", "x" * 30_000)], "", id="a field"),
    pytest.param([(f"x-{number}", "x") for number in range(200)], "", id="200 fields"),
    pytest.param([], "?" + "x" * 30_000, id="the query"),
]


@pytest.mark.parametrize(("headers", "query"), LONG)
async def test_a_websocket_of_another_application_may_have_a_long_head(headers: Headers, query: str) -> None:
    """It is for that one to bound. The websockets package answers nothing to such a request."""
    seen: list[Any] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    client = MemoryConnection(SocketIOApp(other, namespaces={"/": BaseNamespace}))
    await client.ask(upgrade_request("/other" + query, *headers))
    await client.say("hello")
    assert client.heard()[0] == "hello"
    assert [(name.encode(), value.encode()) for name, value in headers] == seen[0]["headers"][5:]
    assert seen[0]["query_string"] == query[1:].encode()
    client.transport.lose()
    await settle()


@pytest.mark.parametrize(("headers", "query"), LONG)
async def test_a_view_refuses_a_long_head_in_its_own_words(headers: Headers, query: str) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"who?"})

    client = MemoryConnection(SocketIOApp(view, max_head=100_000))
    target = "/socket.io/?EIO=4&transport=websocket" + query.replace("?", "&a=")
    await client.ask(upgrade_request(target, *headers))
    client.frames()
    assert client.head.startswith(b"HTTP/1.1 401 ")
    assert client.gone


async def test_a_long_head_that_cannot_be_read_is_answered() -> None:
    client = MemoryConnection(SocketIOApp(namespaces={"/": BaseNamespace}))
    await client.ask(upgrade_request("/x", ("cookie", "x" * 30_000), leave="sec-websocket-key"))
    client.frames()
    assert client.head.startswith(b"HTTP/1.1 400 ")
    assert client.gone


@pytest.mark.parametrize("server", ["asocketio", "uvicorn-h11-websockets", "uvicorn-httptools-wsproto"])
async def test_a_real_server_refuses_heads_over_the_limit(server: str, start_server: StartServer) -> None:
    running = start_server("tests.unit.servers.app:app", server)
    assert await status(running.port, "polling", 5000) == 200
    assert await status(running.port, "polling", 30_000) == 431
    if server == "asocketio":
        assert await status(running.port, "websocket", 5000) == 101
        assert await status(running.port, "websocket", 30_000) == 431
        assert await status(running.port, "polling", 200_000) == 431


async def status(port: int, transport: str, size: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = upgrade_request(f"/socket.io/?EIO=4&transport={transport}", ("cookie", "x" * size))
    if transport == "polling":
        head = head.replace(b"upgrade: websocket\r\nconnection: Upgrade\r\n", b"")
    writer.write(head)
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return int(line.split()[1])
