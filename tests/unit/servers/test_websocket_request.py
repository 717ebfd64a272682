"""The upgrade request: what is taken is taken as the ``websockets`` package and uvicorn's own class take it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.server import ServerProtocol

from asocketio.servers.websocket_request import read_request, short_form, switching
from asocketio.testing import settle
from tests.clients.frames import CLOSE, TEXT, encode_frame
from tests.clients.http import ACCEPT, KEY, OPENING, upgrade_request
from tests.clients.memory_connection import MemoryConnection
from tests.support.properties import short


def theirs(head: bytes) -> bool:
    """The oracle would answer with 101."""
    protocol = ServerProtocol()
    protocol.receive_data(head)
    for event in protocol.events_received():
        if isinstance(event, Request):
            return protocol.accept(event).status_code == 101
    return False


def test_a_request() -> None:
    found = read_request(
        upgrade_request("/a%20b/?x=1&y=%20?z", ("Cookie", "a=b; c"), ("x-latin", "é"), ("cookie", "d"))
    )
    assert found is not None
    assert (found.path, found.raw_path, found.query, found.key) == ("/a b/", b"/a%20b/", b"x=1&y=%20?z", KEY)
    assert found.subprotocols == []
    assert found.headers == [
        (b"host", b"testserver"),
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-key", KEY),
        (b"sec-websocket-version", b"13"),
        (b"cookie", b"a=b; c"),
        (b"x-latin", b"\xe9"),
        (b"cookie", b"d"),
    ]


@pytest.mark.parametrize(
    ("offered", "read"),
    [("chat", ["chat"]), ("chat, superchat", ["chat", "superchat"]), ("a,b ,  c", ["a", "b", "c"]), ("", [])],
)
def test_subprotocols(offered: str, read: list[str]) -> None:
    found = read_request(upgrade_request("/", ("Sec-WebSocket-Protocol", offered)))
    assert found is not None
    assert found.subprotocols == read


@pytest.mark.parametrize("name", ["upgrade", "connection", "sec-websocket-key", "sec-websocket-version"])
def test_each_of_these_headers_is_needed(name: str) -> None:
    assert read_request(upgrade_request(leave=name)) is None
    assert not theirs(upgrade_request(leave=name))


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("upgrade", "WebSocket", True),
        ("upgrade", "h2c", False),
        ("upgrade", "websocket2", False),
        ("upgrade", "websocket 2", False),
        ("connection", "keep-alive, Upgrade", True),
        ("connection", "keep-alive,, Upgrade,", True),
        ("connection", "upgrade", True),
        ("connection", "keep-alive", False),
        ("connection", "upgrades", False),
        ("connection", "no-upgrade", False),
        ("sec-websocket-version", "8", False),
        ("sec-websocket-version", "13, 8", False),
        ("sec-websocket-key", KEY.decode()[:-2], False),
        ("sec-websocket-key", "AAAA", False),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==x", False),
        ("sec-websocket-key", "", False),
        ("sec-websocket-key", "!" * 24, False),
    ],
)
def test_what_these_headers_hold(name: str, value: str, taken: bool) -> None:
    """Where it is not taken, uvicorn's own class has the word."""
    head = upgrade_request("/", (name, value), leave=name)
    assert (read_request(head) is not None) == taken == theirs(head)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        upgrade_request()[:-2],
        upgrade_request().replace(b"GET", b"POST"),
        upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        upgrade_request().replace(b"HTTP/1.1", b"HTTP/2"),
        upgrade_request("/\xe9"),
        upgrade_request().replace(b"host: testserver", b"host testserver"),
        upgrade_request("/", ("sec-websocket-key", KEY.decode())),
        upgrade_request("/", ("Sec-WebSocket-Version", "13")),
        b"\x00\xff" * 20,
    ],
)
def test_what_is_not_a_plain_request(head: bytes) -> None:
    assert read_request(head) is None


@pytest.mark.parametrize(
    ("name", "lines", "taken"),
    [
        ("connection", ["Upgrade", "keep-alive"], True),
        ("connection", ["keep-alive", "upgrade"], True),
        ("connection", ["Upgrade", "Upgrade"], True),
        ("connection", ["keep-alive, Upgrade", "", "te"], True),
        ("connection", ["keep-alive", "close"], False),
        ("connection", ["Upgrade", "a b"], False),
        ("upgrade", ["websocket", "websocket"], True),
        ("upgrade", ["h2c", "WebSocket"], True),
        ("upgrade", ["websocket, h2c"], True),
        ("upgrade", ["h2c", "h3"], False),
        ("sec-websocket-key", [KEY.decode()] * 2, False),
        ("sec-websocket-version", ["13", "13"], False),
        ("origin", ["http://a", "http://a"], False),
    ],
)
def test_lines_of_one_field_are_a_list(name: str, lines: list[str], taken: bool) -> None:
    assert (read_request(upgrade_request("/", *((name, line) for line in lines), leave=name)) is not None) == taken


def test_what_is_offered_in_several_lines_is_one_list() -> None:
    found = read_request(upgrade_request("/", ("Sec-WebSocket-Protocol", "a"), ("sec-websocket-protocol", "b, c")))
    assert found is not None
    assert found.subprotocols == ["a", "b", "c"]


def test_the_short_form_has_all_extensions() -> None:
    found = read_request(
        upgrade_request("/", ("sec-websocket-extensions", "x-a"), ("sec-websocket-extensions", "x-b; c"))
    )
    assert found is not None
    assert b"\r\nSec-WebSocket-Extensions: x-a, x-b; c\r\n" in short_form(found)


NAMES = st.sampled_from(["host", "origin", "cookie", "connection", "upgrade", "Sec-WebSocket-Key", "x"])
VALUES = st.one_of(
    st.sampled_from(["websocket", "upgrade", "13", KEY.decode(), "a, b", ""]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=10),
)
TARGETS = st.text("abc/%20?&=.-~é", max_size=12).map(lambda text: "/" + text)
LEAVE = st.sampled_from(["", "", "upgrade", "connection", "sec-websocket-key"])


@given(TARGETS, st.lists(st.tuples(NAMES, VALUES), max_size=4), LEAVE)
@example("/", [("connection", "upgrades")], "connection")
@short
def test_nothing_is_taken_that_the_oracle_refuses(target: str, more: list[tuple[str, str]], leave: str) -> None:
    head = upgrade_request(target, *more, leave=leave)
    found = read_request(head)
    # The oracle takes one word in ``Upgrade``, and no empty lists; both may be (RFC 9110, 7.8 and 5.6.1.2).
    rest = [(name, value) for name, value in more if name != "upgrade" and (name != "connection" or value.strip(" ,"))]
    assert found is None or theirs(upgrade_request(target, *rest, leave=leave.replace("upgrade", "")))


@given(st.binary(max_size=80))
@short
def test_garbage(data: bytes) -> None:
    assert read_request(data + b"\r\n\r\n") is None


def test_the_answer() -> None:
    head = switching(KEY, [(b"server", b"mine"), (b"set-cookie", b"a=b")])
    assert head == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nserver: mine\r\nset-cookie: a=b\r\n\r\n"
    )
    assert switching(KEY, []).endswith(ACCEPT + b"\r\n\r\n")


# ---- as a scope ----------------------------------------------------------------------------------------------------


async def scope_of(protocol: Any, head: bytes, **settings: Any) -> Any:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(dict(scope))
        await receive()
        await send({"type": "websocket.close"})

    peer = MemoryConnection(app, protocol, ws_per_message_deflate=False, **settings)
    await peer.ask(head)
    if not peer.transport.ended:
        peer.transport.lose()
    await settle()
    (scope,) = scopes or [None]
    if scope is not None:
        scope["extensions"].pop("asocketio.front", None)
    return scope


@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize(
    "head",
    [
        upgrade_request(),
        upgrade_request("/a%20b%C3%A9/%2F?q=%20&x=a?b"),
        upgrade_request("/x?"),
        upgrade_request("/", ("sec-websocket-protocol", "a, b"), ("x-twice", "1"), ("x-twice", "2")),
        upgrade_request("/", ("sec-websocket-protocol", "a"), ("sec-websocket-protocol", "b")),
        upgrade_request("/", ("x-latin", "é ÿ"), ("x-space", "a  b \t")),
        upgrade_request("/", ("sec-websocket-extensions", "permessage-deflate")),
    ],
)
async def test_the_scope_is_the_one_that_uvicorn_makes(head: bytes, root_path: str) -> None:
    from asocketio.servers.uvicorn import WebSocketProtocol

    expected = await scope_of(WebSocketsSansIOProtocol, head, root_path=root_path)
    assert expected is not None
    assert await scope_of(WebSocketProtocol, head, root_path=root_path) == expected


# ---- websockets of other applications ------------------------------------------------------------------------------


class Other:
    """Plain ASGI websockets, one for each path."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].strip("/")
        try:
            await getattr(self, name)(scope, receive, send)
        except Exception as error:
            self.log.append(repr(error))
            raise

    async def hear(self, receive: Any) -> Any:
        message = await receive()
        self.log.append(message)
        return message

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hear(receive)
        await send({"type": "websocket.accept", "headers": [(b"x-mine", b"yes")]})
        while (message := await self.hear(receive))["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})

    async def subprotocol(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hear(receive)
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][-1]})
        await self.hear(receive)

    async def hasty(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "before all"})
        for _ in range(3):
            await self.hear(receive)

    async def closes(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hear(receive)
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": b"x" * 70_000})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})

    async def forbids(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hear(receive)
        await send({"type": "websocket.close"})
        await self.hear(receive)

    async def denies(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hear(receive)
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"token")]})
        await send({"type": "websocket.http.response.body", "body": b"no ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"entry"})

    async def raises(self, scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broken app")

    async def raises_later(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hear(receive)
        await send({"type": "websocket.accept"})
        await self.hear(receive)
        raise RuntimeError("broken app")

    async def returns(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hear(receive)

    async def waits(self, scope: Any, receive: Any, send: Any) -> None:
        await self.hear(receive)
        await self.hear(receive)

    async def wrong(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.send", "text": "not accepted"})


NAMED = ("echo", "subprotocol", "hasty", "closes", "forbids", "denies", "raises", "raises_later", "returns", "waits")


async def talk(protocol: Any, path: str, *chunks: bytes, end: str = "close") -> tuple[list[bytes], list[Any], bool]:
    """What is written to this client, what the application heard, and whether anything is left behind."""
    from asocketio import SocketIOApp
    from tests.support.worlds import Recorder

    other = Other()
    app = SocketIOApp(other, namespaces={"/": Recorder})
    peer = MemoryConnection(app, protocol, ws_per_message_deflate=False, ws_max_size=100_000)
    await peer.ask(upgrade_request(path, ("sec-websocket-protocol", "one, two")))
    for chunk in chunks:
        await peer.send(chunk)
    if end == "close":
        await peer.send(encode_frame(CLOSE, b"\x03\xe9going"))
    elif end == "lost":
        peer.transport.lose(ConnectionResetError())
    elif end == "shutdown":
        for connection in list(peer.state.connections):
            connection.shutdown()
    await settle()
    if not peer.transport.ended:
        peer.transport.close()
    await settle()
    lines = b"".join(peer.transport.writes).split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(b"date: ")]
    return kept, other.log, peer.gone


@pytest.mark.parametrize("end", ["close", "lost", "shutdown"])
@pytest.mark.parametrize(
    "path",
    [*(f"/{name}" for name in NAMED), "/wrong", "/none", "/socket.io/?EIO=9"],
)
async def test_other_websockets_are_served_as_by_uvicorns_own_class(path: str, end: str) -> None:
    from asocketio.servers.uvicorn import WebSocketProtocol

    chunks = [
        encode_frame(TEXT, "one"),
        encode_frame(TEXT, "t", fin=False) + encode_frame(0, "wo"),
        encode_frame(9, b"ping"),
        encode_frame(2, b"\xff"),
    ]
    expected = await talk(WebSocketsSansIOProtocol, path, *chunks, end=end)
    got = await talk(WebSocketProtocol, path, *chunks, end=end)
    assert got == expected
    assert got[2], "something is left in the server"


@pytest.mark.parametrize(
    "data", [b"\xff\xff", encode_frame(TEXT, b"\xff"), encode_frame(2, bytes(100_001)), encode_frame(TEXT, key=None)]
)
async def test_what_is_wrong_on_other_websockets(data: bytes) -> None:
    from asocketio.servers.uvicorn import WebSocketProtocol

    expected = await talk(WebSocketsSansIOProtocol, "/echo", data)
    assert await talk(WebSocketProtocol, "/echo", data) == expected


async def test_a_bad_request_is_answered_by_uvicorns_own_class() -> None:
    from asocketio.servers.uvicorn import WebSocketProtocol

    for head in (
        upgrade_request(OPENING, leave="sec-websocket-key"),
        upgrade_request(OPENING, ("sec-websocket-key", KEY.decode())),
    ):
        lines = []
        for protocol in (WebSocketsSansIOProtocol, WebSocketProtocol):
            peer = MemoryConnection(Other(), protocol, ws_per_message_deflate=False)
            await peer.ask(head)
            lines.append(peer.transport.writes[0].splitlines()[0])
            assert peer.gone
        assert lines[0] == lines[1]
        assert lines[0].startswith(b"HTTP/1.1 4")
