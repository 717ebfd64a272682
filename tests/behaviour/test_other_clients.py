"""Clients that are no browser's and not Node's: Node's server reads what they write in another form. So does this."""

from __future__ import annotations

import ast
import base64
import re
import textwrap
from typing import Any

import pytest

from asocketio import BroadcastMixin, RoomsMixin, SocketIOApp
from asocketio.protocol.base import Frame
from asocketio.testing import ClientRefused, TestClient, TestClock, settle
from asocketio.testing.transports import ClientTransport
from tests.clients.asgi import Call, Client
from tests.clients.http import upgrade_request
from tests.clients.memory_connection import MemoryConnection, clocked
from tests.support.worlds import GENERATIONS, Recorder, Way, serve, until

Log = pytest.LogCaptureFixture
pytestmark = pytest.mark.json_wire


class Keeper(Recorder):
    """Remembers what the event ``keep`` brought."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept: list[Any] = []

    def on_keep(self, *args: Any) -> None:
        self.kept += args


DATA = bytes(range(256))
STANDARD = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()

# ---- base64 ---------------------------------------------------------------------------------------------------------

BASE64 = {
    "padded": STANDARD,
    "not padded": STANDARD.rstrip("="),
    "padded too much": STANDARD + "==",
    "URL-safe": URL_SAFE,
    "URL-safe, not padded": URL_SAFE.rstrip("="),
    "in lines": "\n".join(textwrap.wrap(STANDARD, 76)) + "\n",
    "in lines of MIME": "\r\n".join(textwrap.wrap(URL_SAFE, 76)),
}


def base64_frames(way: Way, text: str) -> list[str | bytes]:
    """An event whose only attachment comes as ``text``."""
    number = "4" if way["generation"] == 3 else ""
    return ['451-["keep",{"_placeholder":true,"num":0}]', f"b{number}{text}"]


@pytest.mark.binary
@pytest.mark.parametrize("text", BASE64.values(), ids=BASE64)
async def test_base64_is_taken_as_clients_write_it(way: Way, text: str) -> None:
    async with serve(Keeper, **way) as client:
        namespace = await client.connect()
        await client.post_frames(*base64_frames(way, text))
        assert await namespace.call("echo", "after") == "after"
        assert Keeper.last.kept == [DATA]


@pytest.mark.binary
@pytest.mark.parametrize("text", ["AQ!D", "AQI*", "AQ==AQ==", "AQIDA", "é", "AQ%3D"])
async def test_what_is_no_base64_ends_the_session(way: Way, text: str) -> None:
    async with serve(Keeper, **way) as client:
        await client.connect()
        await client.post_frames(*base64_frames(way, text))
        await until(lambda: Keeper.last.reasons)
        assert (Keeper.last.reasons, Keeper.last.kept) == (["parse error"], [])


# ---- no binary ------------------------------------------------------------------------------------------------------


@pytest.mark.binary
@pytest.mark.parametrize("asked", ["b64=1", "b64=true"])
async def test_who_takes_no_binary_is_sent_none(way: Way, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``forceBase64``, by every transport."""
    frames: list[Frame] = []

    async def taken(self: ClientTransport, frame: Frame) -> None:
        frames.append(frame)
        await take(self, frame)

    take = ClientTransport.take
    monkeypatch.setattr(ClientTransport, "take", taken)
    app = SocketIOApp(namespaces={"/": Keeper})
    async with TestClient(app, **way, query=dict([asked.split("=")])) as client:
        namespace = await client.connect()
        assert await namespace.call("echo", b"\x01\x02\x03", "x", b"") == (b"\x01\x02\x03", "x", b"")
        await app.of("/").emit("news", DATA)
        assert await namespace.receive() == ("news", DATA)
    if way["transport"] == "websocket":
        assert [frame for frame in frames if isinstance(frame, bytes)] == []
        number = "4" if way["generation"] == 3 else ""
        assert [frame for frame in frames if str(frame).startswith("b")] == [
            f"b{number}AQID", f"b{number}", f"b{number}{STANDARD}",
        ]  # fmt: skip


@pytest.mark.parametrize("lane", [False, True], ids=["asgi", "lane"])
@pytest.mark.parametrize("generation", [3, 4])
@pytest.mark.parametrize(("polls", "upgrades"), [("", "1"), ("1", "1"), ("1", ""), ("", "")])
async def test_a_websocket_that_upgrades_says_itself_whether_it_takes_binary(
    generation: Any, polls: str, upgrades: str, lane: bool
) -> None:
    """Node's own clients take none by polling, and all by websocket."""
    peer = Client(SocketIOApp(namespaces={"/": Keeper}), generation=str(generation))
    query = f"EIO={generation}&transport=polling" + ("&b64=1" if polls else "")
    handshake = await peer.get(query_string=query.encode())
    peer.opened(str(peer.protocol.split(handshake.body.encode(), jsonp=False)[0]))
    if generation == 4:
        await peer.post(b"40")
    poll = await peer.get()
    assert poll.answered
    fields = {"b64": "1"} if upgrades else {}
    event: list[str | bytes] = [
        "2probe",
        "5",
        '451-1["echo",{"_placeholder":true,"num":0}]',
        f"b{'4' * (generation == 3)}AQID",
    ]
    if lane:
        connection = MemoryConnection(clocked(peer.app, peer.clock))
        await connection.ask(upgrade_request(peer.protocol.path("websocket", peer.sid, fields)))
        await connection.say(*map(str, event))
        heard = connection.heard()
        connection.transport.lose()
    else:
        heard = (await peer.websocket(*map(str, event), fields=fields)).frames
    prefix = b"\x04" if generation == 3 else b""
    attachment = f"b{'4' * (generation == 3)}AQID" if upgrades else prefix + b"\x01\x02\x03"
    assert heard == ["3probe", '461-1[{"_placeholder":true,"num":0}]', attachment]
    await peer.end()


# ---- origins --------------------------------------------------------------------------------------------------------

ORIGINS = [
    "file://",  # the library for the ESP8266 and ESP32
    "null",
    "https://example.com/",
    "HTTPS://Example.com:443",
    "wss://example.com",
    "chrome-extension://abcdefghijklmnop",
    "capacitor://localhost",
    "example.com:3000",
]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_what_the_log_proposes_lets_the_client_in(origin: str, way: Way, caplog: Log) -> None:
    headers = {"origin": origin}
    async with TestClient(SocketIOApp(namespaces={"/": Recorder}), **way, headers=headers) as client:
        with pytest.raises(ClientRefused, match=r"403|handshake bad origin"):
            await client.connect()
    (proposed,) = set(re.findall(r"cors_allowed_origins=(\[.*?\])\)", caplog.text))
    app = SocketIOApp(namespaces={"/": Recorder}, cors_allowed_origins=ast.literal_eval(proposed))
    async with TestClient(app, **way, headers=headers) as client:
        assert await (await client.connect()).call("echo", 1) == 1


@pytest.mark.parametrize("origin", ["https://testserver/", "HTTPS://TestServer:443/", "ws://testserver:80"])
async def test_the_same_site_is_let_in_however_it_is_written(origin: str, way: Way) -> None:
    async with TestClient(SocketIOApp(namespaces={"/": Recorder}), **way, headers={"origin": origin}) as client:
        assert await (await client.connect()).call("echo", 1) == 1


async def test_patterns_and_a_function_let_pages_in(way: Way) -> None:
    for allowed in (["https://*.example.com"], lambda origin, scope: origin == "https://a.example.com"):
        for origin, let_in in (("https://a.example.com", True), ("https://a.example.org", False)):
            app = SocketIOApp(namespaces={"/": Recorder}, cors_allowed_origins=allowed)
            async with TestClient(app, **way, headers={"origin": origin}) as client:
                if let_in:
                    assert await (await client.connect()).call("echo", 1) == 1
                else:
                    with pytest.raises(ClientRefused, match=r"403|handshake bad origin"):
                        await client.connect()


async def test_a_page_that_is_let_in_by_a_pattern_may_read_the_answers() -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cors_allowed_origins=["https://*.example.com"])
    headers = [(b"host", b"testserver"), (b"origin", b"https://a.example.com")]
    call = Call(app, {
        "type": "http", "method": "GET", "path": "/socket.io/", "query_string": b"EIO=4&transport=polling",
        "headers": headers, "root_path": "", "extensions": {"asocketio.clock": TestClock()},
    })  # fmt: skip
    call.body_comes(b"")
    await until(lambda: call.answered)
    assert call.headers[b"access-control-allow-origin"] == b"https://a.example.com"
    assert call.headers[b"access-control-allow-credentials"] == b"true"
    assert call.headers[b"vary"] == b"Origin"
    await app.close()


# ---- subprotocols ---------------------------------------------------------------------------------------------------


async def subprotocol_of(peer: Client, lane: bool, *offered: str) -> str | None:
    """The subprotocol with which a websocket is accepted."""
    if not lane:
        call = await peer.websocket(subprotocols=list(offered))
        assert call.accepted
        answer: str | None = call.sent[0].get("subprotocol")
        return answer
    connection = MemoryConnection(clocked(peer.app, peer.clock))
    lines = [("sec-websocket-protocol", each) for each in offered]
    await connection.ask(upgrade_request(peer.protocol.path("websocket", peer.sid, {}), *lines))
    connection.frames()
    assert connection.head.startswith(b"HTTP/1.1 101 ")
    found = re.findall(rb"\r\nsec-websocket-protocol: (.*?)\r\n", connection.head, re.IGNORECASE)
    connection.transport.lose()
    await settle()
    assert len(found) < 2
    return found[0].decode() if found else None


SUBPROTOCOLS = {
    "none offered": (None, (), None),
    "the first": (None, ("a", "b"), "a"),
    "the first of a list": (["c", "b"], ("a", "b"), "b"),
    "none of a list": (["c"], ("a", "b"), None),
    "of a function": (lambda offered, scope: offered[-1], ("a", "b"), "b"),
}


@pytest.mark.parametrize("lane", [False, True], ids=["asgi", "lane"])
@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("moment", ["opens", "joins", "is turned away"])
@pytest.mark.parametrize(("setting", "offered", "answer"), SUBPROTOCOLS.values(), ids=SUBPROTOCOLS)
async def test_a_subprotocol_is_answered(
    setting: Any, offered: tuple[str, ...], answer: str | None, moment: str, generation: Any, lane: bool
) -> None:
    """Browsers, and the ``ws`` package, drop a connection that accepts none of what they offered."""
    peer = Client(SocketIOApp(namespaces={"/": Recorder}, subprotocols=setting), generation=str(generation))
    if moment != "opens" or generation == "0.9":
        await peer.open()
    if moment == "is turned away" and generation == "0.9":
        peer.sid = "unknown"
    elif moment == "is turned away":  # a second one tries the upgrade
        await peer.websocket()
    assert await subprotocol_of(peer, lane, *offered) == answer
    await peer.end()


# ---- names in a query that are the program's ------------------------------------------------------------------------

OWN = {"j": "5", "t": "x", "b64": "no", "i": "3", "jsonp": "page", "disconnect": "1", "eio": "9", "Transport": "x"}


@pytest.mark.parametrize("own", [OWN, OWN | {"j": "a", "b64": "0"}], ids=["a number", "text"])
async def test_a_program_may_name_its_fields_as_it_likes(way: Way, own: dict[str, str]) -> None:
    """By polling ``j``, ``t`` and, in 0.9, ``disconnect`` are the clients' own; they overwrite the program's."""
    polls, old = way["transport"] != "websocket", way["generation"] == "0.9"
    theirs = ({"t", "disconnect"} if polls else {"t"}) if old else ({"j", "t"} if polls else set())
    own = {name: value for name, value in own.items() if name not in theirs}
    if way["transport"] == "jsonp":
        own.pop("jsonp", None)
        own.pop("i", None)
    got: list[Any] = []

    class Asking(Recorder):
        def recv_connect(self, auth: Any) -> None:
            got.append(auth)

    app = SocketIOApp(namespaces={"/": Asking})
    async with TestClient(app, query=own, **way) as client:
        assert await (await client.connect()).call("echo", 1) == 1
    assert got == [own if way["generation"] != 4 else {}]


@pytest.mark.parametrize("lane", [False, True], ids=["asgi", "lane"])
async def test_a_websocket_is_not_turned_away_by_script(lane: bool) -> None:
    peer = Client(SocketIOApp(namespaces={"/": Recorder}), generation="0.9")
    target = "/socket.io/1/websocket/unknown?i=3&jsonp=2"
    if lane:
        connection = MemoryConnection(clocked(peer.app, peer.clock))
        await connection.ask(upgrade_request(target))
        assert connection.heard()[0] == "7:::1+0"
        connection.transport.lose()
    else:
        path, _, query = target.partition("?")
        assert (await peer.websocket(path=path, query_string=query.encode())).frames == ["7:::1+0"]
    await peer.end()


# ---- text that was encoded twice ------------------------------------------------------------------------------------

TEXT = "é😀 größe"


def twice(text: str) -> str:
    """What 1.x makes of text before it is sent as UTF-8."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize("lane", [False, True], ids=["asgi", "lane"])
@pytest.mark.parametrize("version", ["2", "3"])
async def test_1_0_talks_by_websocket(version: str, lane: bool) -> None:
    """Events, acks both ways and namespaces: all text is encoded twice. The browser build says ``EIO=2``."""
    asked: list[Any] = []

    class Asking(Keeper, RoomsMixin, BroadcastMixin):
        async def on_ask(self, text: str) -> None:
            self.join(text)
            self.emit("question", text, callback=asked.append)
            self.socket[self.ns_name].emit("said", text)

    peer = Client(SocketIOApp(namespaces={"/": Asking, "/größe": Asking}), generation="3")
    sent = ['420["echo","é😀 größe"]', "40/größe", '42/größe,["ask","é😀 größe"]']
    answers = ["40", '430["\\u00e9\\ud83d\\ude00 gr\\u00f6\\u00dfe"]', "40/größe,"]
    query = f"EIO={version}&transport=websocket"
    if lane:
        connection = MemoryConnection(clocked(peer.app, peer.clock))
        await connection.ask(upgrade_request(f"/socket.io/?{query}"))
        await connection.say(*map(twice, sent))
        heard = connection.heard()[1:]
        await connection.say(twice('43/größe,1["é"]'))
        connection.transport.lose()
    else:
        call = await peer.websocket(*map(twice, sent), query_string=query.encode())
        heard = call.frames[1:]
        await call.says(twice('43/größe,1["é"]'))
    assert heard[:3] == [answers[0], answers[1], twice(answers[2])]
    assert [str(each).startswith(twice("42/größe,")) for each in heard[3:]] == [True, True]
    await until(lambda: asked == ["é"])
    await peer.app.of("/größe").emit("news", "é")
    await settle()
    await peer.end()


@pytest.mark.parametrize("version", ["2", "3"])
async def test_1_x_is_in_a_namespace_of_any_name_by_polling(version: str) -> None:
    peer = Client(SocketIOApp(namespaces={"/": Keeper, "/größe": Keeper}), generation="3")
    query = f"EIO={version}&transport=polling&b64=1"
    peer.opened((await peer.get(query_string=query.encode())).body.partition(":")[2])
    query += f"&sid={peer.sid}"
    await peer.get(query_string=query.encode())
    parts = [twice("40/größe"), twice('42/größe,1["echo","é"]')]
    await peer.post("".join(f"{len(part)}:{part}" for part in parts).encode(), query_string=query.encode())
    poll = await peer.get(query_string=query.encode())
    expected = [twice("40/größe,"), twice('43/größe,1["\\u00e9"]')]
    assert poll.content.decode() == "".join(f"{len(part)}:{part}" for part in expected)
    await peer.end()


async def test_later_clients_are_in_a_namespace_of_any_name(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Keeper, "/größe": Keeper})
    async with TestClient(app, **way) as client:
        namespace = await client.connect("/größe")
        for text in ("漢", TEXT, "Ã©", twice(TEXT)):
            assert await namespace.call("echo", text) == text
        await app.of("/größe").emit("news", TEXT)
        assert await namespace.receive() == ("news", TEXT)
