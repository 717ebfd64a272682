"""Requests that come before the answers to others: in order, one at a time, bounded; by both parsers of uvicorn's."""

from __future__ import annotations

import asyncio
import re
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from asocketio import BaseNamespace, SocketIOApp
from asocketio.servers.uvicorn_http import HEAD, PIPELINE
from asocketio.testing import settle
from tests.clients.http import upgrade_request
from tests.clients.http_connection import HTTPConnection, chunked, get, post

CHUNK = 65_536
SENT = 4_000_000
HELD = 1_500_000
"""Bytes that a connection may hold whatever comes, the client's last two chunks among them."""


async def wrapped(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the path and the body, or the body's beginning."""
    body = b""
    if scope["path"] == "/whole":
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
    elif scope["path"] != "/unread":
        body = (await receive()).get("body", b"")
    if scope["path"] == "/slow":
        await asyncio.sleep(0.01)
    answer = scope["raw_path"] + b" " + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


def made(**settings: Any) -> SocketIOApp:
    return SocketIOApp(wrapped, namespaces={"/": BaseNamespace}, **settings)


@pytest.fixture(params=[H11Protocol, HttpToolsProtocol], ids=["h11", "httptools"])
def base(request: pytest.FixtureRequest) -> Any:
    return request.param


async def nothing(connection: HTTPConnection) -> str:
    return ""


SPAMS: dict[str, tuple[Callable[[HTTPConnection], Awaitable[str]], Callable[[str], bytes]]] = {
    "a route of the application": (nothing, lambda _: get("/x")),
    "a route that reads to the end": (nothing, lambda _: get("/whole")),
    "a route that does not read": (nothing, lambda _: post("/unread", b"x" * 100)),
    "bodies": (nothing, lambda _: post("/whole", b"x" * 10)),
    "large bodies": (nothing, lambda _: post("/whole", b"x" * 50_000)),
    "bodies in chunks": (nothing, lambda _: chunked("/whole", b"x", b"\r\n\r\n")),
    "bodies that look like ends of heads": (nothing, lambda _: post("/whole", b"\r\n\r\n" * 1000)),
    "no such session": (nothing, lambda _: get("/socket.io/?EIO=4&transport=polling&sid=x")),
    "handshakes of 0.9": (nothing, lambda _: get("/socket.io/1/nothing/")),
    "preflights": (nothing, lambda _: b"OPTIONS /socket.io/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "polls": (HTTPConnection.session, lambda sid: get(f"/socket.io/?EIO=4&transport=polling&sid={sid}")),
    "posts": (HTTPConnection.session, lambda sid: post(f"/socket.io/?EIO=4&transport=polling&sid={sid}", b"3")),
    "heads only": (nothing, lambda _: b"POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
}


@pytest.mark.parametrize("kind", SPAMS)
async def test_who_sends_requests_and_reads_no_answer_is_not_read(base: Any, kind: str) -> None:
    connection = HTTPConnection(base, made())
    prepare, spell = SPAMS[kind]
    spam = spell(await prepare(connection))
    data = (spam * (CHUNK // len(spam) + 1))[: CHUNK // len(spam) * len(spam)]
    connection.transport.stuck = True
    tracemalloc.start()
    begun, sent, most = tracemalloc.get_traced_memory()[0], 0, 0
    for _ in range(SENT // len(data)):
        if not connection.transport.reading:
            await settle()
        if connection.transport.reading and not connection.transport.closing:
            connection.comes(data)
            sent += len(data)
        most = max(most, connection.parsed_early) if base is HttpToolsProtocol else 0
    held = tracemalloc.get_traced_memory()[1] - begun
    tracemalloc.stop()
    assert not connection.transport.reading
    assert (most <= 120, held < HELD) == (True, True), (most, held, sent)
    connection.transport.lose()
    await settle()
    assert not connection.state.tasks
    assert not getattr(connection.http, "pipeline", ())
    await connection.app.close()


async def test_all_are_answered_in_their_order_by_who_reads(base: Any) -> None:
    connection = HTTPConnection(base, made())
    spam = [get(f"/{number}") if number % 3 else post(f"/{number}", b"x" * number) for number in range(2000)]
    connection.comes(b"".join(spam))
    while len(connection.state.tasks):  # noqa: ASYNC110
        await asyncio.sleep(0)
    answers = re.findall(rb"/(\d+) ([x]*)HTTP|/(1999) $", connection.written + b"HTTP")
    numbers = [int(first or last) for first, _, last in answers]
    assert numbers == list(range(2000))
    assert all(len(body) == (0 if number % 3 else number) for number, (_, body, _) in enumerate(answers))
    assert connection.transport.reading


MIXED = (
    get("/slow"),
    post("/whole", b"one\r\n\r\ntwo"),
    chunked("/whole", b"abc", b"\r\n\r\n", b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n"),
    get("/2"),
    post("/whole", b"\r\n\r\n" * 2000 + b"GET /no HTTP/1.1\r\n\r\n"),
    get("/3"),
    post("/unread", b"x" * 5000),
    get("/last"),
)


async def answers(connection: HTTPConnection, data: list[bytes]) -> bytes:
    for each in data:
        connection.comes(each)
        await asyncio.sleep(0)
    async with asyncio.timeout(3):
        while not connection.written.endswith(b"/last "):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return connection.written


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 511, 2048, 4000, 100_000])
async def test_the_answers_do_not_depend_on_how_the_bytes_come(base: Any, size: int) -> None:
    alone = b"".join([(await HTTPConnection(base, made()).ask(each)) for each in MIXED[1:]])
    stream = b"".join(MIXED)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    got = await answers(HTTPConnection(base, made()), pieces)
    assert without_dates(got).endswith(without_dates(alone))
    assert got.count(b"HTTP/1.1 200") == len(MIXED)


def without_dates(data: bytes) -> bytes:
    return re.sub(rb"date: [^\r]*\r\n", b"", data)


async def test_a_websocket_that_is_asked_for_too_early_waits_for_the_answer_before(base: Any) -> None:
    connection = HTTPConnection(base, made())
    connection.comes(get("/slow") + upgrade_request())
    assert connection.transport.protocol is connection.http
    async with asyncio.timeout(3):
        while b"101 Switching" not in connection.written:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert connection.written.index(b"/slow ") < connection.written.index(b"101 Switching")
    connection.transport.lose()
    await settle()
    await connection.app.close()


async def test_a_websocket_behind_a_body_never_gets_its_answer(base: Any) -> None:
    """What cannot be told apart in time ends the connection; no answer is written into a websocket."""
    connection = HTTPConnection(base, made())
    connection.comes(post("/slow", b"x" * 10) + upgrade_request())
    async with asyncio.timeout(3):
        while not (connection.transport.closing or b"101 Switching" in connection.written):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    if b"101 Switching" in connection.written:
        assert connection.written.index(b"/slow ") < connection.written.index(b"101 Switching")
    connection.transport.lose()
    await settle()
    await connection.app.close()


async def test_a_connection_that_is_lost_forgets_what_waited(base: Any) -> None:
    connection = HTTPConnection(base, made())
    connection.comes(post("/slow", b"x") + get("/a") * 10)
    connection.comes(get("/slow") + get("/b") * 3000)
    assert connection.parsed_early if base is HttpToolsProtocol else True
    connection.transport.lose()
    await asyncio.sleep(0.05)
    assert not connection.state.tasks
    assert not connection.http._waiting
    assert not getattr(connection.http, "pipeline", ())
    assert b"/b" not in connection.written


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1000, 100_000])
async def test_a_head_that_does_not_end_is_refused(base: Any, size: int) -> None:
    """However it comes; also the second one of a connection."""
    connection = HTTPConnection(base, made())
    await connection.ask(get("/x"))
    data = b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000
    sent = 0
    while not connection.transport.closing and sent < len(data):
        connection.comes(data[sent : sent + size])
        sent += size
    await settle()
    least = 16_384 if base is H11Protocol and size < HEAD else HEAD  # h11 has a limit of its own
    assert least <= sent <= least + max(size, 100)
    assert (b"HTTP/1.1 431 " if least == HEAD else b"HTTP/1.1 400 ") in connection.written


async def test_reading_goes_on_while_little_waits(base: Any) -> None:
    """So that the end of a client is noticed while its poll waits."""
    connection = HTTPConnection(base, made())
    sid = await connection.session()
    await connection.ask(post(f"/socket.io/?EIO=4&transport=polling&sid={sid}", b"40"))
    await connection.ask(get(f"/socket.io/?EIO=4&transport=polling&sid={sid}"))
    connection.comes(get(f"/socket.io/?EIO=4&transport=polling&sid={sid}"))
    connection.comes(get("/2"))
    await settle()
    assert connection.transport.reading
    connection.comes(b"GET /" + b"x" * PIPELINE)
    assert not connection.transport.reading
    connection.transport.lose()
    await settle()
    await connection.app.close()


# ---- header fields in several lines --------------------------------------------------------------------------------


def websocket_request(query: str, *lines: tuple[str, str]) -> bytes:
    """A request for a websocket without ``Upgrade`` and ``Connection``, but for those in ``lines``."""
    head = upgrade_request(f"/socket.io/?{query}&transport=websocket", *lines, leave="connection")
    return head.replace(b"upgrade: websocket\r\n", b"", 1)


UPGRADE, CONNECTION = ("Upgrade", "websocket"), ("Connection", "Upgrade")
LINES = {
    "Connection twice": [UPGRADE, CONNECTION, ("Connection", "keep-alive")],
    "the other way round": [UPGRADE, ("Connection", "keep-alive"), ("Connection", "upgrade")],
    "the same twice": [UPGRADE, CONNECTION, CONNECTION],
    "Connection as a list": [UPGRADE, ("Connection", "keep-alive, Upgrade")],
    "lists twice": [UPGRADE, ("Connection", "keep-alive, TE"), ("Connection", "te, Upgrade")],
    "Upgrade twice": [UPGRADE, ("Upgrade", "h2c"), CONNECTION],
    "Upgrade as a list": [("Upgrade", "h2c, WebSocket"), CONNECTION],
    "Cookie twice": [UPGRADE, CONNECTION, ("Cookie", "a=b"), ("Cookie", "c=d")],
    "subprotocols twice": [UPGRADE, CONNECTION, ("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b")],
    "extensions twice": [UPGRADE, CONNECTION, ("Sec-WebSocket-Extensions", "a"), ("Sec-WebSocket-Extensions", "b")],
}


@pytest.mark.parametrize("query", ["EIO=4", "EIO=3"])
@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
async def test_lines_of_one_field_are_one_list(base: Any, query: str, lines: list[tuple[str, str]]) -> None:
    connection = HTTPConnection(base, made())
    assert (await connection.ask(websocket_request(query, *lines))).startswith(b"HTTP/1.1 101 ")
    connection.transport.lose()
    await settle()
    await connection.app.close()


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
async def test_so_are_those_of_a_websocket_of_another_application(base: Any, lines: list[tuple[str, str]]) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    connection = HTTPConnection(base, other)
    assert (await connection.ask(websocket_request("", *lines))).startswith(b"HTTP/1.1 101 ")
    connection.transport.lose()
    await settle()


@pytest.mark.parametrize(
    "lines",
    [
        [UPGRADE, ("Connection", "keep-alive"), ("Connection", "close")],
        [("Upgrade", "h2c"), ("Upgrade", "h3"), CONNECTION],
        [("Connection", "keep-alive"), CONNECTION],
        [UPGRADE],
    ],
)
async def test_lines_that_ask_for_no_websocket_make_none(base: Any, lines: list[tuple[str, str]]) -> None:
    connection = HTTPConnection(base, made())
    assert (await connection.ask(websocket_request("EIO=4", *lines))).startswith(b"HTTP/1.1 400 ")
    await connection.app.close()
