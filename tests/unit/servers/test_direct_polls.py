"""Polls that the server serves by itself: what comes out is what comes out over ASGI, by both parsers of uvicorn's."""

from __future__ import annotations

import itertools
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from asocketio import BaseNamespace, SocketIOApp, UsageError
from asocketio.asgi.types import Receive, Scope, Send
from asocketio.servers.direct_polls import PollTable
from asocketio.testing import settle
from tests.clients.http import upgrade_request
from tests.clients.http_connection import HTTPConnection, chunked
from tests.clients.memory_connection import messages

ECHO = b'420["echo",1]'
COOKIE = "io=AAAAAAAAAAAAAAAAAAAA"


class Echo(BaseNamespace):
    async def on_echo(self, x: Any) -> Any:
        return x

    async def on_kick(self) -> None:
        await self.disconnect()

    async def on_slow(self) -> None:
        await self.environ["socketio"].server.clock.sleep(1)


class Counted:
    """An application that counts its calls."""

    def __init__(self, **settings: Any) -> None:
        self.app = SocketIOApp(namespaces={"/": Echo}, **settings)
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await self.app(scope, receive, send)


class Visitor:
    """A client and its connections, one for each number that is used."""

    def __init__(
        self, base: Any, query: str = "EIO=4", server_settings: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        self.base = base
        self.app = Counted(**settings)
        self.query = query
        self.server = HTTPConnection(base, self.app, **(server_settings or {}))
        self.connections: dict[int, HTTPConnection] = {0: self.server}
        self.sid = ""

    async def open(self, *fields: str) -> None:
        answer = await self.send(self.spell("GET", "", *fields, sid=""))
        found = re.search(rb'"sid":"([^"]+)', answer)
        assert found is not None, answer
        self.sid = found[1].decode()
        if "EIO=4" in self.query:
            await self.send(self.spell("POST", b"40", *fields))
        assert b'"sid":' in await self.send(self.spell("GET", "", *fields)) or "EIO=3" in self.query
        self.app.calls = 0

    def spell(
        self, method: str, body: bytes | str = b"", *fields: str, sid: str | None = None, more: str = ""
    ) -> bytes:
        """A request as clients write it."""
        sid = self.sid if sid is None else sid
        body = body.encode() if isinstance(body, str) else body
        query = f"{self.query}&transport=polling&t=x{f'&sid={sid}' if sid else ''}{more}"
        lines = [f"{method} /socket.io/?{query} HTTP/1.1", "Host: a", "Accept: */*", *fields]
        if method == "POST":
            lines += ["Content-type: text/plain;charset=UTF-8", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def send(self, data: bytes, number: int = 0) -> bytes:
        """What a connection answers to some bytes."""
        connection = self.connections.get(number)
        if connection is None:
            connection = self.connections[number] = HTTPConnection(self.base, self.app, self.server)
        return await connection.ask(data)

    async def websocket(self, number: int = 9) -> None:
        """Begin an upgrade."""
        target = f"/socket.io/?{self.query}&transport=websocket&sid={self.sid}"
        await self.send(upgrade_request(target, host="a"), number)
        await self.send(messages("2probe"), number)


@pytest.fixture(params=[H11Protocol, HttpToolsProtocol], ids=["h11", "httptools"])
def base(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_only_the_handshake_comes_to_the_application(base: Any) -> None:
    client = Visitor(base)
    await client.open()
    assert (await client.send(client.spell("POST", ECHO))).endswith(b"\r\n\r\nok")
    assert (await client.send(client.spell("GET"))).endswith(b"\r\n\r\n430[1]")
    assert client.app.calls == 0


async def test_a_poll_waits_for_what_is_sent(base: Any) -> None:
    client = Visitor(base)
    await client.open()
    assert await client.send(client.spell("GET")) == b""
    assert b"ok" in await client.send(client.spell("POST", ECHO), 1)
    assert client.server.written.endswith(b"430[1]")
    assert client.app.calls == 0


Step = Callable[[Visitor], Awaitable[bytes]]


def plain(method: str, body: bytes = b"", *fields: str, number: int = 0, more: str = "") -> Step:
    return lambda client: client.send(client.spell(method, body, *fields, more=more), number)


def raw(change: Callable[[bytes], bytes], method: str = "GET", body: bytes = b"", number: int = 0) -> Step:
    return lambda client: client.send(change(client.spell(method, body)), number)


def lost(number: int = 0) -> Step:
    async def step(client: Visitor) -> bytes:
        client.connections[number].http.connection_lost(None)
        await settle()
        return b""

    return step


async def upgraded(client: Visitor) -> bytes:
    await client.websocket()
    return b""


async def in_two(client: Visitor) -> bytes:
    data = client.spell("POST", ECHO)
    return await client.send(data[:-5]) + await client.send(data[-5:])


async def head_in_two(client: Visitor) -> bytes:
    data = client.spell("GET")
    return await client.send(data[:20]) + await client.send(data[20:])


async def in_chunks(client: Visitor) -> bytes:
    target = f"/socket.io/?EIO=4&transport=polling&sid={client.sid}"
    return await client.send(chunked(target, ECHO[:3], ECHO[3:]))


async def closing(client: Visitor) -> bytes:
    client.app.app.server.closing = True
    return b""


async def shut_down(client: Visitor) -> bytes:
    client.server.http.shutdown()
    return b""


async def passes(client: Visitor) -> bytes:
    await client.app.app.server.clock.sleep(0)
    return b""


SAID = plain("POST", ECHO, number=1)
TOLD = plain("GET")
ORIGIN = "Origin: https://other.example"

DIRECT: dict[str, tuple[Sequence[Step], dict[str, Any]]] = {
    "an echo": ([SAID, TOLD], {}),
    "a poll that waits": ([TOLD, SAID], {}),
    "many packets": ([plain("POST", b"\x1e".join([ECHO] * 10)), TOLD], {}),
    "more packets than are handled at once": ([plain("POST", b"\x1e".join([ECHO] * 200), number=1), TOLD], {}),
    "nothing in a body": ([plain("POST", b"")], {}),
    "a close under a poll": ([TOLD, plain("POST", b"1", number=1)], {}),
    "a leave": ([plain("POST", b"41", number=1), TOLD], {}),
    "a kick under a poll": ([TOLD, plain("POST", b'42["kick"]', number=1)], {}),
    "the same origin": ([plain("POST", ECHO, "Origin: http://a"), plain("GET", b"", "Origin: http://a")], {}),
    "an allowed origin": ([plain("POST", ECHO, ORIGIN), plain("GET", b"", ORIGIN)], {"cors_allowed_origins": "*"}),
    "a listed one": ([plain("GET", b"", ORIGIN), SAID], {"cors_allowed_origins": [ORIGIN[8:]]}),
    "its address": ([SAID, TOLD], {"pin": "address"}),
    "its cookie": (
        [plain("GET", b"", f"Cookie: {COOKIE}"), plain("POST", ECHO, f"Cookie: {COOKIE}", number=1)],
        {"pin": "cookie", "cookie": "io"},
    ),
    "binary": ([plain("POST", b'451-0["echo",{"_placeholder":true,"num":0}]\x1ebAQI='), TOLD], {}),
    "a large header field": ([plain("GET", b"", "X-A: " + "a" * 30_000), SAID], {}),
    "the server ends": ([TOLD, shut_down, SAID], {}),
    "a keep-alive said": ([plain("GET", b"", "Connection: keep-alive"), SAID], {}),
    "a body with an end of a head": ([plain("POST", b'42["echo","\r\n\r\n"]')], {}),
    "one name twice in the query": ([plain("GET", more="&EIO=4"), SAID], {}),
    "a heartbeat": ([plain("POST", b"3")], {}),
}
"""What is served without the application, in steps; and the settings."""

OVER_ASGI: dict[str, tuple[Sequence[Step], dict[str, Any]]] = {
    "no packet": ([plain("POST", b"9"), TOLD], {}),
    "an event for a namespace that nobody joined": ([plain("POST", b'42/x,["a"]', number=1), TOLD], {}),
    "a close": ([plain("POST", b"1", number=1), TOLD], {}),
    "the connection is lost": ([TOLD, lost(), plain("GET", number=2)], {}),
    "binary that nothing announces": ([plain("POST", b"bAQI="), TOLD], {}),
    "another origin": ([plain("GET", b"", ORIGIN)], {}),
    "two hosts": ([plain("GET", b"", "Host: b")], {}),
    "a function that decides on origins": (
        [plain("GET", b"", ORIGIN), SAID],
        {"cors_allowed_origins": lambda *_: True},
    ),
    "another session's cookie": ([plain("GET", b"", "Cookie: io=B")], {"pin": "cookie", "cookie": "io"}),
    "no cookie": ([TOLD], {"pin": "cookie", "cookie": "io"}),
    "JSONP": ([plain("GET", more="&j=0")], {}),
    "base64": ([plain("GET", more="&b64=1"), SAID], {}),
    "a body in two": ([in_two, TOLD], {}),
    "a head in two": ([SAID, head_in_two], {}),
    "a body in chunks": ([in_chunks, TOLD], {}),
    "Expect": ([plain("POST", ECHO, "Expect: 100-continue"), TOLD], {}),
    "the last request": ([SAID, plain("GET", b"", "Connection: close")], {}),
    "HTTP/1.0": ([SAID, raw(lambda data: data.replace(b"HTTP/1.1", b"HTTP/1.0"))], {}),
    "a body of a GET": ([SAID, raw(lambda data: data.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\nx"))], {}),
    "PUT": ([plain("PUT", b"")], {}),
    "HEAD": ([plain("HEAD")], {}),
    "OPTIONS": ([plain("OPTIONS", b"", ORIGIN)], {}),
    "a percent sign": ([SAID, plain("GET", more="&a=%20")], {}),
    "no such session": ([raw(lambda data: data.replace(b"sid=", b"sid=x"))], {}),
    "another generation": ([raw(lambda data: data.replace(b"EIO=4", b"EIO=3"))], {}),
    "another path": ([raw(lambda data: data.replace(b"/socket.io/", b"/socket.io"))], {}),
    "a second poll": ([TOLD, plain("GET", number=1)], {}),
    "two requests at once": ([SAID, raw(lambda data: data + data)], {}),
    "two requests at once, the first of which waits": ([raw(lambda data: data + data), SAID], {}),
    "a body and the next request": ([raw(lambda data: data + data, "POST", ECHO)], {}),
    "too large a body": ([plain("POST", b"4" + b"x" * 200)], {"max_payload": 100}),
    "a short length": ([raw(lambda data: data + b"x", "POST", ECHO)], {}),
    "two lengths": ([plain("POST", ECHO, f"Content-Length: {len(ECHO)}")], {}),
    "a folded line": ([raw(lambda data: data.replace(b"Accept: */*", b"Accept: */*\r\n x"))], {}),
    "a line without a colon": ([raw(lambda data: data.replace(b"Accept: */*", b"Accept"))], {}),
    "a bare newline": ([raw(lambda data: data.replace(b"Accept: */*", b"Accept: a\nX: b"))], {}),
    "while a websocket is tried": ([SAID, upgraded, TOLD], {}),
    "after the end": ([plain("POST", b"1", number=1), TOLD, plain("GET", number=2)], {}),
    "while the server closes": ([SAID, closing, TOLD], {}),
    "where answers are compressed": ([SAID, TOLD], {"http_compression": 1}),
}
"""What the application decides on, or uvicorn's parser, in the last step at least."""


async def played(
    base: Any, polls: str, steps: Sequence[Step], settings: dict[str, Any]
) -> tuple[list[bytes], Sequence[int]]:
    """What each connection wrote, without what differs from run to run; and the calls of the application by step."""
    client = Visitor(base, polls=polls, **settings)
    await client.open(*([f"Cookie: {COOKIE}"] if "pin" in settings else []))
    calls = [0]
    for step in steps:
        await step(client)
        await settle()
        calls.append(client.app.calls)
    written = [connection.written for _, connection in sorted(client.connections.items())]
    # h11 does not say it where it ends a connection behind a response
    written = [re.sub(rb'"sid":"[^"]+"|connection: close\r\n', b"", each) for each in written]
    return written, [after - before for before, after in itertools.pairwise(calls)]


@pytest.mark.parametrize("case", DIRECT)
async def test_the_server_answers_as_the_application_does(base: Any, case: str) -> None:
    steps, settings = DIRECT[case]
    direct, calls = await played(base, "server", steps, settings)
    asked, _ = await played(base, "asgi", steps, settings)
    assert direct == asked
    assert not any(calls)


@pytest.mark.parametrize("case", OVER_ASGI)
async def test_what_is_not_plain_goes_to_the_application(base: Any, case: str) -> None:
    steps, settings = OVER_ASGI[case]
    direct, calls = await played(base, "server", steps, settings)
    asked, calls_of_asked = await played(base, "asgi", steps, settings)
    assert direct == asked
    assert any(calls) == any(calls_of_asked)


# ---- what is the server's own ----------------------------------------------------------------------------------


def test_polls_is_one_of_two() -> None:
    with pytest.raises(UsageError, match="polls='never': expected 'server' or 'asgi'"):
        SocketIOApp(namespaces={"/": Echo}, polls="never")  # type: ignore[arg-type]


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_address_behind_a_trusted_proxy_counts(base: Any, trusted: bool) -> None:
    settings = {"proxy_headers": True, "forwarded_allow_ips": "127.0.0.1" if trusted else "10.0.0.1"}
    client = Visitor(base, server_settings=settings, pin="address")
    await client.open("X-Forwarded-For: 1.2.3.4")
    assert (await client.send(client.spell("POST", ECHO, "X-Forwarded-For: 1.2.3.4"), 1)).endswith(b"ok")
    assert client.app.calls == 0
    other = await client.send(client.spell("POST", ECHO, "X-Forwarded-For: 1.2.3.5"), 2)
    assert (b"Session ID unknown" in other) == trusted


async def test_the_access_log_has_the_polls_too(base: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = Visitor(base, server_settings={"access_log": True, "log_level": "info"})
    lines: dict[str, list[str]] = {}
    for polls in ("server", "asgi"):
        caplog.clear()
        client = Visitor(base, server_settings={"access_log": True, "log_level": "info"}, polls=polls)
        with caplog.at_level("INFO", logger="uvicorn.access"):
            await client.open()
            await client.send(client.spell("POST", ECHO))
            await client.send(client.spell("GET"))
        lines[polls] = [
            each.getMessage().replace(client.sid, "x") for each in caplog.records if each.name == "uvicorn.access"
        ]
    assert len(lines["server"]) == 5
    assert lines["server"] == lines["asgi"]


async def test_a_connection_that_polls_is_kept_and_one_that_falls_silent_is_not(base: Any) -> None:
    client = Visitor(base, server_settings={"timeout_keep_alive": 1})
    await client.open()
    http = client.server.http
    for _ in range(3):
        await client.send(client.spell("POST", ECHO))
        await client.send(client.spell("GET"))
        http.timeout_keep_alive_handler()
        assert not client.server.transport.closing
    http._answered_at -= 1
    http.timeout_keep_alive_handler()
    assert client.server.transport.closing


async def test_a_poll_outlasts_the_keep_alive(base: Any) -> None:
    client = Visitor(base)
    await client.open()
    await client.send(client.spell("GET"))
    client.server.http._answered_at -= 60
    client.server.http.timeout_keep_alive_handler()
    assert not client.server.transport.closing
    await client.send(client.spell("POST", ECHO), 1)
    assert client.server.written.endswith(b"430[1]")
    assert client.server.http.timeout_keep_alive_task is not None


async def test_where_uvicorn_counts_requests_it_gets_them_all(base: Any) -> None:
    client = Visitor(base, server_settings={"limit_concurrency": 100})
    await client.open()
    await client.send(client.spell("POST", ECHO))
    assert client.app.calls == 1


async def test_sessions_of_another_path_are_not_found_by_this_one(base: Any) -> None:
    first, second = SocketIOApp(namespaces={"/": Echo}), SocketIOApp(namespaces={"/": Echo}, path="other")
    calls: list[str] = []

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope["path"])
        await (second if scope["path"].startswith("/other") else first)(scope, receive, send)

    server = HTTPConnection(base, both)
    sids = {}
    for path in ("/socket.io/", "/other/"):
        answer = await server.ask(f"GET {path}?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        found = re.search(rb'"sid":"([^"]+)', answer)
        assert found is not None
        sids[path] = found[1].decode()
    query = f"EIO=4&transport=polling&sid={sids['/other/']}"
    answer = await server.ask(f"GET /socket.io/?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert b"Session ID unknown" in answer
    assert calls == ["/socket.io/", "/other/", "/socket.io/"]


async def test_a_program_with_middleware_is_told_once(base: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = Visitor(base)
    with caplog.at_level("INFO", logger="asocketio"):
        await client.open()
        await client.send(client.spell("GET", sid=""), 2)
    assert len([each for each in caplog.records if "served below ASGI" in each.getMessage()]) == 1


async def test_who_has_no_middleware_is_told_nothing(base: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="asocketio"):
        await HTTPConnection(base, SocketIOApp(namespaces={"/": Echo})).session()
    assert "served below ASGI" not in caplog.text


async def test_paths_that_clients_make_up_are_not_kept_without_end(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asocketio.servers.direct_polls.PATHS", 3)
    calls: list[str] = []
    inner = SocketIOApp(namespaces={"/": Echo})

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope["path"])
        await inner({**scope, "root_path": scope["path"].removesuffix("/socket.io/")}, receive, send)

    server = HTTPConnection(base, mounted)
    for number in range(6):
        for path in (f"/{number}/socket.io/", f"/{number}/%73ocket.io/"):
            target = f"{path}?EIO=4&transport=polling"
            answer = await server.ask(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            found = re.search(rb'"sid":"([^"]+)', answer)
            assert found is not None
            calls.clear()
            said = f"POST {target}&sid={found[1].decode()} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n40"
            assert (await server.ask(said.encode())).endswith(b"ok")
            assert bool(calls) == (number >= 3 or "%" in path)
    assert len(PollTable.of(server.config).finders) == 3
