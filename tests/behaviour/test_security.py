"""What docs/trust.md promises of security, as far as no other module has a test of it."""

from __future__ import annotations

import ast
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Literal
from unittest.mock import ANY

import pytest

import asocketio
from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    Disconnected,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
    UsageError,
    event,
)
from asocketio.protocol.sids import new_sid
from asocketio.testing import ClientRefused, TestClient, TestClock, settle
from tests.clients.asgi import Call, Client
from tests.clients.http import upgrade_request
from tests.clients.memory_connection import MemoryConnection, clocked
from tests.support.worlds import GENERATIONS, Recorder, Way, serve, until

Log = pytest.LogCaptureFixture
Generation = Literal["0.9", 3, 4]

# ---- whose pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["host", "origin"])
@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_request_with_two_hosts_or_origins_is_refused(name: str, generation: Generation) -> None:
    app, clock = SocketIOApp(namespaces={"/": Recorder}, cors_allowed_origins="*"), TestClock()
    more = [(name, "http://testserver")] * 2
    path, query = ("/socket.io/1/", "") if generation == "0.9" else ("/socket.io/", f"EIO={generation}&transport=")
    headers = [(each.encode(), value.encode()) for each, value in more]
    for kind, transport in (("http", "polling"), ("websocket", "websocket")):
        call = Call(app, {
            "type": kind, "method": "GET", "path": path, "query_string": (query and query + transport).encode(),
            "headers": headers, "extensions": {"asocketio.clock": clock, "websocket.http.response": {}},
        })  # fmt: skip
        call.inbox.put_nowait({"type": "websocket.connect"})
        await settle()
        assert call.status == 400
    lane = MemoryConnection(clocked(app, clock))
    await lane.ask(upgrade_request(f"{path}?{query}websocket", *more, leave=name))
    lane.frames()
    assert lane.head.startswith(b"HTTP/1.1 400 ")
    assert lane.gone
    assert app.server.active_sessions == 0


# ---- private rooms ------------------------------------------------------------------------------------------------


class Doors(Recorder, RoomsMixin):
    """Lets its clients into rooms by any name, as many programs do."""

    def on_join(self, room: str) -> list[str]:
        self.join(room)
        return sorted(self.rooms)

    def on_leave(self, room: str) -> None:
        self.leave(room)


REFUSED = {"error": {"name": "handler_error", "message": ANY}}


@asynccontextmanager
async def victim_and_spy(victims: Generation, **way: Any) -> AsyncGenerator[tuple[SocketIOApp, Any, Any]]:
    """Two clients of one app, in ``"/"`` and ``"/b"``."""
    app = SocketIOApp(namespaces={"/": Doors, "/b": Doors})
    async with TestClient(app, generation=victims) as victim, TestClient(app, **way) as spy:
        yield app, victim, spy


def sid_of(app: SocketIOApp, client: TestClient, name: str = "/") -> str:
    """The public sid of a client, as the server has it."""
    sid: str = app.server.sockets[client.handshake["sid"]][name].sid
    return sid


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_nobody_gets_into_the_private_room_of_another(generation: Generation, way: Way, caplog: Log) -> None:
    async with victim_and_spy(generation, **way) as (app, victim, spy):
        victims = {name: await victim.connect(name) for name in ("/", "/b")}
        for where in [await spy.connect(name) for name in ("/", "/b")]:
            for name in victims:
                assert await where.call("join", sid_of(app, victim, name)) == REFUSED
        for name, namespace in victims.items():
            await app.of(name).to(sid_of(app, victim, name)).emit("secret", name)
            assert await namespace.receive() == ("secret", name)
        for where in spy.namespaces.values():
            await where.nothing()
    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {UsageError}
    assert victim.handshake["sid"] not in caplog.text


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_the_sid_of_a_client_that_is_not_there_is_no_room_either(generation: Generation, way: Way) -> None:
    async with victim_and_spy(generation, **way) as (app, victim, spy):
        await victim.connect()
        sids = [sid_of(app, victim), new_sid()]  # the other one may come to another process
        await victim.disconnect()
        await until(lambda: victim.handshake["sid"] not in app.server.sockets)
        chat = await spy.connect()
        for sid in sids:
            assert await chat.call("join", sid) == REFUSED
            await app.of("/").to(sid).emit("secret")
        await chat.nothing()


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_session_id_is_the_name_of_nothing(generation: Generation, way: Way) -> None:
    """What old clients call ``socket.id`` is made of it. It is a room like any other, whether or not there is one."""
    async with victim_and_spy(generation, **way) as (app, victim, spy):
        victims = [await victim.connect(name) for name in ("/", "/b")]
        sessid = victim.handshake["sid"]
        there = await spy.connect("/b")
        for name in (sessid, f"/b#{sessid}", f"#{sessid}", new_sid()[1:]):
            assert await there.call("join", name) == [name]
            await there.call("leave", name)
            await app.of("/b").to(name).emit("to nobody")
            assert app.server.find(sid_of(app, victim)) is None
        for namespace in (*victims, there):
            await namespace.nothing()


async def test_a_client_may_join_its_own_private_room_and_is_in_it_anyway(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Doors}, max_rooms=1)
    async with TestClient(app, **way) as client:
        chat = await client.connect()
        sid = sid_of(app, client)
        assert [await chat.call("join", room) for room in (sid, "red", sid)] == [[], ["red"], ["red"]]
        await chat.call("leave", sid)
        await app.of("/").to(sid).emit("once")
        assert await chat.receive() == ("once",)
        await chat.nothing()


@pytest.mark.parametrize(
    "room", ["", "red", "~", "~" + 19 * "a", "~" + 21 * "a", "~a b" + 17 * "c", 21 * "a", "a#b", "#"]
)
async def test_what_only_looks_a_little_like_a_sid_is_a_room(room: str) -> None:
    async with serve(Doors) as client:
        chat = await client.connect()
        assert await chat.call("join", room) == [room]


# ---- pinned sessions ----------------------------------------------------------------------------------------------


HARMLESS = {"0.9": b"8::", "3": b"1:6", "4": b"6"}
"""The body of a POST that does nothing."""


class Browser(Client):
    """Somebody who makes requests: for any session, and with the cookie that came last."""

    async def opens(self) -> str:
        """The id of a new session; its cookie is kept, as browsers do."""
        call = await self.handshake()
        await until(lambda: call.answered)
        self.cookie = call.headers.get(b"set-cookie", b"").decode().partition(";")[0]
        return self.sid

    async def posts(self, sid: str, **scope: Any) -> tuple[int, str]:
        """Status and body of the answer to a harmless POST."""
        self.sid = sid
        call = await self.post(HARMLESS[self.generation], **scope)
        await until(lambda: call.answered)
        return call.status, call.body

    async def gets(self, sid: str) -> tuple[int, str]:
        self.sid = sid
        call = await self.get()
        return (0, "waits") if call.waiting else (call.status, call.body)

    async def upgrades(self, sid: str) -> str:
        """What a websocket for the session is told: ``"accepted"``, or how it was refused."""
        self.sid = sid
        return outcome(await self.websocket())

    async def upgrades_on_the_lane(self, sid: str) -> str:
        cookies = [("cookie", self.cookie)] if self.cookie else []
        connection = MemoryConnection(clocked(self.app, self.clock))
        connection.transport._extra["peername"] = (self.address, 50_000)
        await connection.ask(upgrade_request(self.protocol.path("websocket", sid, {}), *cookies))
        await settle()
        heard = connection.heard()
        status = connection.head.decode().partition("\r\n")[0]
        if " 101 " not in status:
            return status
        return "dismissed" if "7:::1+0" in heard else "accepted"


def outcome(call: Call) -> str:
    first = call.sent[0]
    if first["type"] != "websocket.accept":
        return f"{first['status']} {call.body}"
    return "dismissed" if "7:::1+0" in call.frames else "accepted"


UNKNOWN = '{"code":1,"message":"Session ID unknown"}'
PINS: dict[str, dict[str, Any]] = {"address": {"pin": "address"}, "cookie": {"pin": "cookie", "cookie": "io"}}


@asynccontextmanager
async def owner_and_thief(pin: str, generation: Generation) -> AsyncGenerator[tuple[Browser, Browser, str]]:
    """Who has a session, one who knows its id, and the id."""
    app = SocketIOApp(namespaces={"/": Recorder}, **PINS[pin])
    owner = Browser(app, generation=str(generation))
    thief = Browser(app, owner.clock, str(generation), address="192.0.2.66")
    sid = await owner.opens()
    yield owner, thief, sid
    thief.calls += owner.calls
    await thief.end()


@pytest.fixture(params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("pin", PINS)
async def test_a_pinned_session_is_nobody_elses(pin: str, generation: Any, caplog: Log) -> None:
    async with owner_and_thief(pin, generation) as (owner, thief, sid):
        thief.cookie = "io=AAAAAAAAAAAAAAAAAAAA; other=x" if pin == "cookie" else ""
        if generation == "0.9":  # told to come back, as where there is no such session
            assert await thief.gets(sid) == (200, "7:::1+0")
            assert await thief.posts(sid) == (200, "1")
        else:
            assert await thief.gets(sid) == (400, UNKNOWN)
            assert await thief.posts(sid) == (400, UNKNOWN)
        for cookie in ("", "io=", f"io={sid}", "oi=x"):
            thief.cookie = cookie
            assert (await thief.posts(sid))[1] in (UNKNOWN, "1")
        assert len(owner.app.server.sockets) == 1
        assert (await owner.posts(sid))[0] == 200
        assert owner.app.server.sockets[sid].connected
        assert sid not in caplog.text
        assert owner.cookie.partition("=")[2] == "" or owner.cookie.partition("=")[2] not in caplog.text


@pytest.mark.parametrize("pin", PINS)
@pytest.mark.parametrize("lane", [False, True])
async def test_a_pinned_session_cannot_be_upgraded_by_another(pin: str, lane: bool, generation: Any) -> None:
    async with owner_and_thief(pin, generation) as (owner, thief, sid):
        refused = await (thief.upgrades_on_the_lane(sid) if lane else thief.upgrades(sid))
        if generation == "0.9":
            assert refused == "dismissed"
        else:
            assert refused in (f"400 {UNKNOWN}", "400 Session ID unknown", "HTTP/1.1 400 Bad Request")
        socket = owner.app.server.sockets[sid]
        assert (socket.upgrade, socket.transport_name) == (None, "polling")
        assert await (owner.upgrades_on_the_lane(sid) if lane else owner.upgrades(sid)) == "accepted"
        assert socket.upgrade is not None or socket.transport_name == "websocket"
        socket.close("transport close")
        await settle()


async def test_pages_of_one_browser_share_its_cookie(generation: Any) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cookie="io", pin="cookie")
    browser = Browser(app, generation=str(generation))
    first = await browser.opens()
    secret = browser.cookie
    second = await browser.opens()
    assert (browser.cookie, first != second) == (secret, True)
    assert len(secret.removeprefix("io=")) * 6 >= 120
    assert secret.removeprefix("io=") not in (first, second)  # the id itself would be no second secret
    for cookie in (secret, f"a=b; {secret}", f"{secret}; a=b"):
        browser.cookie = cookie
        assert [(await browser.posts(sid))[0] for sid in (first, second)] == [200, 200]
    await browser.end()


@pytest.mark.parametrize("planted", ["", "short", "x" * 5000, "AAAAAAAAAAAAAAAAAAA\r", "<script>"])
async def test_a_cookie_that_is_none_of_ours_is_replaced(planted: str) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cookie="io", pin="cookie")
    browser = Browser(app, cookie=f"io={planted}")
    await browser.opens()
    assert len(browser.cookie.removeprefix("io=")) == 20
    await browser.end()


async def test_cookies_may_come_in_fields_of_their_own() -> None:
    """As HTTP/2 brings them."""
    app = SocketIOApp(namespaces={"/": Recorder}, cookie="io", pin="cookie")
    browser = Browser(app)
    sid = await browser.opens()
    headers = [(b"host", b"h"), (b"cookie", browser.cookie.encode()), (b"cookie", b"a=b")]
    assert (await browser.posts(sid, headers=headers))[0] == 200
    await browser.end()


@pytest.mark.parametrize("fields", [["a=b, {ours}"], ["{ours}, a=b"], ["a=b,{ours},c=d"], ["a=b", "c=d, {ours}"]])
async def test_cookies_may_be_joined_as_a_list(fields: list[str]) -> None:
    """By a proxy that joins the lines of each field in the same way."""
    app = SocketIOApp(namespaces={"/": Recorder}, cookie="io", pin="cookie")
    browser = Browser(app)
    sid = await browser.opens()
    headers = [(b"cookie", field.format(ours=browser.cookie).encode()) for field in fields]
    assert (await browser.posts(sid, headers=[(b"host", b"h"), *headers]))[0] == 200
    await browser.end()


async def test_a_comma_in_another_cookie_hides_none() -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cookie="io", pin="cookie")
    browser = Browser(app)
    sid = await browser.opens()
    headers = [(b"host", b"h"), (b"cookie", b"a=b, io=AAAAAAAAAAAAAAAAAAAA"), (b"cookie", browser.cookie.encode())]
    assert (await browser.posts(sid, headers=headers))[0] == 200
    await browser.end()


# ---- what comes back, and what is believed ------------------------------------------------------------------------

MARK = "echo-of-a-header"


async def test_no_header_of_a_request_is_echoed(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cors_allowed_origins="*", max_sessions=1)
    names = ["x-anything", "cookie", "user-agent", "referer", "x-forwarded-host", "accept", "content-type"]
    headers = dict.fromkeys(names, MARK) | {"origin": f"http://{MARK}.example"}
    async with TestClient(app) as first, TestClient(app, **way, headers=headers) as second:
        await first.connect()
        with pytest.raises(ClientRefused) as refusal:
            await second.connect()
        assert MARK not in f"{refusal.value.headers} {refusal.value.body!r}"


async def test_forwarded_headers_are_not_believed(way: Way, caplog: Log) -> None:
    """A server that trusts its proxy puts the address into the scope; what a header says is a claim."""
    app = SocketIOApp(namespaces={"/": Recorder}, max_sessions_per_address=1)
    headers = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9"}
    async with TestClient(app, **way) as first, TestClient(app, **way, headers=headers) as second:
        await first.connect()
        assert Recorder.last.socket.handshake.address == "testclient"
        with pytest.raises(ClientRefused):
            await second.connect()
    assert "203.0.113.9" not in caplog.text


# ---- names --------------------------------------------------------------------------------------------------------


class Everything(BaseNamespace, RoomsMixin, BroadcastMixin):
    """Has a method of each kind; only one of them is for clients, and only once each hook."""

    reached: ClassVar[list[str]] = []
    on_value = "no method"

    def recv_connect(self) -> None:
        self.reached.append("recv_connect")

    def recv_disconnect(self) -> None:
        self.reached.append("recv_disconnect")

    def on_good(self) -> str:
        return "good"

    def helper(self) -> None:
        self.reached.append("helper")

    def _on_hidden(self) -> None:
        self.reached.append("_on_hidden")

    def once(self) -> None:
        self.reached.append("once")

    @event("marked")
    def not_by_its_own_name(self) -> None:
        self.reached.append("not_by_its_own_name")


ODD = [
    "on_good", "value", "on_value", "_on_hidden", "hidden", "get_initial_acl", "reset_acl", "lift_acl_restrictions",
    "__init__", "__class__", "__dict__", "self", "", " ", "_", "*", "good ", " good", "Good", "good\0", "on good",
    "constructor", "__proto__", "init__", "_handle", "emit", "recv_connect", "recv connect", "socket.close",
    "x" * 5000, "\ud800", "1e999",
]  # fmt: skip
# "marked" is a handler's, "disconnect" the client's own: the next test's.
NAMES = sorted({*ODD, *(name for name in dir(Everything) if name not in ("on_good", "disconnect"))} - {"marked"})


async def test_names_that_are_no_handlers_reach_nothing(way: Way, caplog: Log) -> None:
    Everything.reached = []
    async with serve(Everything, **way) as client:
        namespace = await client.connect()
        for name in NAMES:
            answer = await namespace.call(name)
            assert answer["error"]["name"] == "no_such_method", name
        assert await namespace.call("good") == "good"
        assert Everything.reached == ["recv_connect"]
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("name", ["connect", "connect_error", "disconnect", "disconnecting"])
async def test_names_of_the_clients_own_life_reach_nothing(name: str, way: Way) -> None:
    Everything.reached = []
    async with serve(Everything, **way) as client:
        namespace = await client.connect()
        said = f'5:::{{"name":"{name}"}}' if way["generation"] == "0.9" else f'42["{name}"]'
        with suppress(Disconnected):
            await client.post_frames(said)
        await settle()
        if way["generation"] == "0.9":
            assert await namespace.call("good") == "good"
        else:
            await namespace.disconnected()
    assert Everything.reached == ["recv_connect", "recv_disconnect"]


# ---- the log ------------------------------------------------------------------------------------------------------

FORGED = "x\r\nERROR forged\x1b[31m\u2028\x85"


async def test_text_of_a_client_cannot_forge_log_lines(way: Way, caplog: Log) -> None:
    class Noisy(BaseNamespace):
        @event("*")
        def rest(self, name: str, *args: Any) -> None:
            raise LookupError("no")

    async with serve(Noisy, also={"/quiet": Recorder}, rate_limits={"often": (1, 1000.0)}, **way) as client:
        namespace = await client.connect()
        quiet = await client.connect("/quiet")
        await namespace.emit(FORGED)
        await quiet.emit(FORGED)
        await quiet.emit("echo " + FORGED, FORGED)
        for endpoint in ("/" + FORGED, "/never" + FORGED):
            for kind, more in (
                (PacketType.CONNECT, {}),
                (PacketType.EVENT, {"name": FORGED}),
                (PacketType.ACK, {"id": 5, "args": [FORGED]}),
                (PacketType.DISCONNECT, {}),
            ):
                with suppress(Disconnected):
                    await client.post(Packet(kind, endpoint, **more))
        for frame in (FORGED, "4" + FORGED, "42" + FORGED, "b" + FORGED, "99999" + FORGED, "5::/" + FORGED):
            with suppress(Disconnected):
                await client.post_frames(frame)
        await settle()
    assert_no_line_is_forged(caplog)


async def test_text_of_a_client_cannot_make_long_log_lines(way: Way, caplog: Log) -> None:
    long = "x" * 100_000
    async with serve(Recorder, **way) as client:
        namespace = await client.connect()
        await namespace.emit(long, long)
        for packet in (
            Packet(PacketType.CONNECT, "/" + long),
            Packet(PacketType.ACK, "/" + long, id=5),
            Packet(PacketType.EVENT, "/" + long, name=long),
        ):
            with suppress(Disconnected):
                await client.post(packet)
        await settle()
    assert caplog.records != []
    assert_no_line_is_forged(caplog)


REQUESTS: list[dict[str, Any]] = [
    {"path": "/socket.io/1/" + FORGED + "/x"},
    {"path": "/socket.io/1/websocket/" + FORGED},
    {"path": "/elsewhere" + FORGED},
    {"query_string": b"EIO=%0d%0aERROR+forged&transport=polling"},
    {"query_string": b"EIO=4&transport=%0d%0aERROR+forged"},
    {"query_string": b"EIO=4&transport=polling&sid=%0d%0aERROR+forged"},
    {"query_string": b"EIO=4&transport=polling&j=%0d%0aERROR+forged"},
    {"query_string": b"EIO=4&transport=polling", "method": FORGED},
    {"query_string": b"EIO=4&transport=polling&sid=x", "method": FORGED},
    {"query_string": b"EIO=4&transport=polling", "headers": [(b"origin", FORGED.encode()), (b"host", FORGED.encode())]},
    {"query_string": b"EIO=4&transport=polling&j=0", "headers": [(b"referer", b"http://" + FORGED.encode())]},
    {"query_string": b"EIO=4&transport=polling", "headers": [(b"cookie", FORGED.encode())]},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: next(iter(each)))
async def test_a_request_cannot_forge_log_lines(request_: dict[str, Any], caplog: Log) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cookie="io", pin="cookie")
    client = Client(app)
    call = await client.get(**{"path": "/socket.io/", "query_string": b"", **request_})
    await until(lambda: call.answered)
    for _, value in call.sent[0]["headers"]:
        assert b"\r" not in value
        assert b"forged" not in value
    await client.end()
    assert_no_line_is_forged(caplog)


def assert_no_line_is_forged(caplog: Log) -> None:
    for record in caplog.records:
        fields = [getattr(record, name, "") for name in ("sid", "namespace", "event")]
        for text in (record.getMessage(), *fields):
            assert text.splitlines() in ([text], []), text[:1000]
            assert "\x1b" not in text
            assert len(text) < 1000


# ---- the sources --------------------------------------------------------------------------------------------------

EXECUTES = {"pickle", "shelve", "dill", "subprocess", "importlib", "ctypes", "code", "runpy", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__", "globals"}
ATTRIBUTES = {("marshal", "load"), ("marshal", "loads"), ("os", "system"), ("os", "popen")}  # marshal only writes here
PACKAGE = Path(asocketio.__file__).parent
GIVEN = {PACKAGE / "runtime" / "tuning.py": {"ctypes"}, PACKAGE / "__main__.py": {"importlib"}}
"""Two constants for glibc, and what the command line names; before the first client comes."""


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_in_the_package_executes_what_comes(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = {alias.name.partition(".")[0] for alias in node.names} & EXECUTES
            assert found <= GIVEN.get(module, set())
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in (EXECUTES | {"marshal"}) - GIVEN.get(module, set())
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in CALLS, f"line {node.lineno}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in ATTRIBUTES, f"line {node.lineno}"
