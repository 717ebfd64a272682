"""Requests for paths that nobody serves: the log speaks of Socket.IO only where a Socket.IO client asks."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio import SocketIOApp
from tests.support.worlds import Recorder, call_of

Log = pytest.LogCaptureFixture

CLIENTS = [
    ("/live/", b"EIO=4&transport=polling&t=abc"),
    ("/live/", b"transport=polling&EIO=3"),
    ("/", b"EIO=4&transport=websocket"),
    ("/engine.io/", b"EIO=2&transport=polling"),
    ("/api/socket.io/", b""),
    ("/api/socket.io", b"transport=polling"),
    ("/live/1/", b"t=1700000000000"),
    ("/live/1/websocket/abc", b""),
    ("/live/1/xhr-polling/abc", b"t=17"),
    ("/live/1/jsonp-polling/abc", b"t=17&i=0"),
]
OTHERS = [
    ("/", b""),
    ("/favicon.ico", b""),
    ("/robots.txt", b""),
    ("/healthz", b"verbose=1"),
    ("/users/1/", b""),
    ("/users/1/", b"page=2"),
    ("/users/1/websocket", b""),
    ("/socket.ios/", b""),
    ("/wp-login.php", b"redirect=EIO"),
    ("/search", b"q=&REIO=4"),
]
FILES = [
    "/socket.io/socket.io.js",
    "/socket.io/socket.io.min.js",
    "/socket.io/socket.io.esm.min.js.map",
    "/live/socket.io.msgpack.min.js",
]


async def asked(path: str, query: bytes, log: Log) -> list[str]:
    """The lines that a request for ``path`` makes; its answer is 404."""
    app = SocketIOApp(namespaces={"/": Recorder})
    log.clear()
    assert await call_of(app, path, query_string=query) == (404, b"Not Found")
    return [record.getMessage() for record in log.records]


@pytest.mark.parametrize(("path", "query"), CLIENTS)
async def test_a_client_at_the_wrong_path_is_one_line_with_both(path: str, query: bytes, caplog: Log) -> None:
    assert await asked(path, query, caplog) == [
        f"404: the path is {path!r}, Socket.IO is at '/socket.io/': write io(url, {{path: '/socket.io/'}}) there, "
        "or another path='socket.io' here"
    ]


@pytest.mark.parametrize(("path", "query"), OTHERS)
async def test_whoever_else_asks_is_no_line(path: str, query: bytes, caplog: Log) -> None:
    assert await asked(path, query, caplog) == []


@pytest.mark.parametrize("path", FILES)
async def test_who_asks_for_the_script_of_the_client_is_told_where_it_is(path: str, caplog: Log) -> None:
    assert await asked(path, b"", caplog) == [
        f"404: {path!r}: the script of the client is not served here; take it from the npm package socket.io-client, "
        "or from https://cdn.socket.io, or write client_files="
    ]


@pytest.mark.parametrize(("query", "lines"), [(b"EIO=4&transport=websocket", 1), (b"token=1", 0)])
async def test_so_it_is_for_websockets(query: bytes, lines: int, caplog: Log) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    scope = {"type": "websocket", "path": "/elsewhere", "query_string": query, "headers": [], "extensions": {}}
    messages = [{"type": "websocket.connect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app(scope, receive, send)
    assert (len(caplog.records), sent) == (lines, ["websocket.close"])
