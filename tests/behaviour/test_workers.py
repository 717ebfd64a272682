"""Two workers of one server: a request that meets the one is served by the other, which has the session."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asocketio import BaseNamespace, SocketIOApp, UsageError
from asocketio.testing import TestClock, settle
from asocketio.workers import worker as workers
from asocketio.workers.events import EVENT, LAST_BODY, OPEN, Forwarded, encode_opening
from asocketio.workers.link import Link, connect
from asocketio.workers.names import name_in
from asocketio.workers.siblings import SiblingFolder, named_key
from tests.clients.asgi import Call, Client
from tests.support.worlds import until


class Echo(BaseNamespace):
    def on_echo(self, *args: Any) -> tuple[Any, ...]:
        return args

    async def on_say(self, *args: Any) -> None:
        await self.emit("said", *args)


class Pair:
    """Two apps that are siblings, and clients that open their sessions at the first and go to the second then."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.apps: list[SocketIOApp] = []

    def start(self, **settings: Any) -> None:
        for name in ("wk00", "wk01"):
            self.apps.append(SocketIOApp(namespaces={"/": Echo}, workers="test", worker=name, **settings))

    @property
    def owner(self) -> SocketIOApp:
        return self.apps[0]

    @property
    def other(self) -> SocketIOApp:
        return self.apps[1]

    async def client(self, generation: str = "4", **about: Any) -> Client:
        """One that has joined at the first worker, and meets the second from now on."""
        client = Client(self.owner, TestClock(), generation, **about)
        self.clients.append(client)
        await client.open()
        client.app = self.other
        return client

    async def end(self) -> None:
        for app in self.apps:
            await app.close()
        for client in self.clients:
            await client.finish()


@pytest.fixture(autouse=True)
def folder(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(short_path))
    monkeypatch.delenv(workers.WORKER_ENV, raising=False)
    return short_path / f"asocketio-{os.getuid()}"


def files(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.exists() else []


def open_to_others(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    found = Pair()
    yield found
    await found.end()


@pytest.fixture
async def started(pair: Pair) -> Pair:
    pair.start()
    return pair


async def done(call: Call) -> Call:
    await asyncio.wait_for(call.task, 5)
    return call


async def posted(client: Client, *packets: str) -> Call:
    return await done(await client.post(client.protocol.body(list(packets), jsonp=False)))


async def frames(call: Call, count: int) -> list[Any]:
    await until(lambda: len(call.frames) >= count)
    return call.frames


# ---- what passes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["3", "4"])
async def test_polling(started: Pair, generation: str) -> None:
    client = await started.client(generation)
    assert name_in(client.sid) == "wk00"
    assert not started.other.server.sockets
    poll = await client.get()
    answer = await posted(client, '420["echo",1]')
    assert (answer.status, answer.body) == (200, "ok")
    assert "430[1]" in (await done(poll)).body


async def test_polling_of_0_9(started: Pair) -> None:
    client = await started.client("0.9")
    answer = await posted(client, '5:1+::{"name":"echo","args":[1]}')
    assert (answer.status, answer.body) == (200, "1")
    poll = await done(await client.get())
    assert poll.body == "6:::1+[1]"
    last = await done(await client.get(query_string=b"disconnect=1"))
    assert last.status == 200
    assert not started.owner.server.sockets


async def test_a_script(started: Pair) -> None:
    client = await started.client("3")
    same_site = [(b"host", b"testserver"), (b"referer", b"http://testserver/")]
    query = f"EIO=3&transport=polling&sid={client.sid}&j=7".encode()
    poll = await client.get(query_string=query, headers=same_site)
    await posted(client, '420["echo",1]')
    assert (await done(poll)).body.startswith("___eio[7](")


@pytest.mark.parametrize("generation", ["3", "4"])
async def test_an_upgrade(started: Pair, generation: str) -> None:
    client = await started.client(generation)
    poll = await client.get()
    websocket = await client.websocket("2probe")
    assert await frames(websocket, 1) == ["3probe"]
    await client.clock.advance(1)
    assert (await done(poll)).body in ("6", "1:6")
    await websocket.says("5", '420["echo","x"]', '451-1["echo",{"_placeholder":true,"num":0}]')
    await websocket.says(b"\x01\x02" if generation == "4" else b"\x04\x01\x02")
    found = (await frames(websocket, 4))[1:]
    assert found[0] == '430["x"]'
    assert found[2].endswith(b"\x01\x02")
    websocket.disconnect(1001)
    await done(websocket)
    assert not started.owner.server.sockets


async def test_a_websocket_of_0_9(started: Pair) -> None:
    client = await started.client("0.9")
    websocket = await client.websocket('5:1+::{"name":"echo","args":[1]}')
    assert (await frames(websocket, 1))[-1] == "6:::1+[1]"
    await started.owner.close()
    assert (await done(websocket)).closed


async def test_the_server_ends_a_websocket(started: Pair) -> None:
    client = await started.client()
    websocket = await client.websocket("2probe")
    await frames(websocket, 1)
    await websocket.says("5")
    await until(lambda: started.owner.server.sockets[client.sid].transport_name == "websocket")
    await started.owner.server.sockets[client.sid].disconnect()
    assert (await done(websocket)).close_code == 1000


async def test_a_body_in_pieces(started: Pair) -> None:
    client = await started.client()
    call = await client.post(b'420["ec', end=False)
    await settle()
    call.body_comes(b'ho",', end=False)
    call.body_comes(b"1]")
    assert (await done(call)).body == "ok"
    assert (await done(await client.get())).body == "430[1]"


async def test_a_body_that_is_too_large(pair: Pair) -> None:
    pair.start(max_payload=100)
    client = await pair.client()
    call = await client.post(b"4" * 101)
    assert (await done(call)).status == 413


async def test_headers_of_an_answer(pair: Pair) -> None:
    pair.start(cors_allowed_origins=["https://page.example"], http_compression=10)
    client = await pair.client()
    headers = [(b"host", b"testserver"), (b"origin", b"https://page.example"), (b"accept-encoding", b"gzip")]
    await posted(client, '420["echo","' + "x" * 100 + '"]')
    poll = await done(await client.get(headers=headers))
    assert poll.headers[b"access-control-allow-origin"] == b"https://page.example"
    assert gzip.decompress(poll.content).startswith(b'430["xxx')


@pytest.mark.parametrize("pin", ["address", "cookie"])
async def test_a_pinned_session(pair: Pair, pin: str) -> None:
    pair.start(pin=pin, cookie="io")
    client = Client(pair.owner, address="192.0.2.1")
    pair.clients.append(client)
    handshake = await client.handshake()
    client.cookie = handshake.headers[b"set-cookie"].decode().partition(";")[0]
    client.app = pair.other
    assert (await posted(client, "40")).status == 200
    client.address, client.cookie = "192.0.2.2", "io=else"
    assert (await posted(client, "42")).status == 400


async def test_a_subprotocol(started: Pair) -> None:
    client = await started.client()
    websocket = await client.websocket("2probe", subprotocols=["chat"])
    await frames(websocket, 1)
    assert websocket.sent[0]["subprotocol"] == "chat"


async def test_the_middleware_of_the_worker_that_met_it_has_run_and_the_application_does_not() -> None:
    met: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        from asocketio import socketio_manage

        met.append(scope["type"])
        await socketio_manage(scope, {"/": Echo})

    first, second = (SocketIOApp(view, workers="test", worker=name) for name in ("wk00", "wk01"))
    client = Client(first)
    await client.open()
    met.clear()
    client.app = second
    assert (await posted(client, '420["echo"]')).status == 200
    assert met == []
    for app in (first, second):
        await app.close()
    await client.finish()


# ---- how it ends ------------------------------------------------------------------------------------------------


async def test_a_client_that_hangs_up_ends_its_session(started: Pair) -> None:
    client = await started.client()
    poll = await client.get()
    await until(lambda: started.owner.server.sockets[client.sid].transport is not None)
    poll.disconnect()
    await until(lambda: not started.owner.server.sockets)
    await done(poll)


async def test_a_cancelled_call_is_a_client_that_hangs_up(started: Pair) -> None:
    client = await started.client()
    poll = await client.get()
    await until(lambda: started.owner.server.sockets[client.sid].transport is not None)
    poll.task.cancel()
    await until(lambda: not started.owner.server.sockets)


async def test_a_body_that_breaks_off(started: Pair) -> None:
    client = await started.client()
    call = await client.post(b'420["ec', end=False)
    await until(lambda: started.owner.server.sockets[client.sid].incoming_post is not None)
    call.disconnect()
    await until(lambda: not started.owner.server.sockets)
    await done(call)


async def test_a_peer_that_cannot_be_written_to(started: Pair) -> None:
    client = await started.client()
    websocket = await client.websocket("2probe")
    await frames(websocket, 1)
    websocket.broken = True
    await websocket.says("5", '420["echo"]')
    await done(websocket)
    await until(lambda: not started.owner.server.sockets)


async def test_a_worker_that_closes_lets_the_polls_of_others_go(started: Pair) -> None:
    client = await started.client()
    poll = await client.get()
    await until(lambda: started.owner.server.sockets[client.sid].transport is not None)
    await started.other.close()
    assert (await done(poll)).body == "6"
    client.app = started.owner
    assert (await posted(client, '420["echo"]')).status == 200


async def test_a_worker_that_closes_ends_the_websockets_that_it_holds_for_others(started: Pair) -> None:
    client = await started.client()
    websocket = await client.websocket("2probe")
    await frames(websocket, 1)
    await websocket.says("5")
    await until(lambda: started.owner.server.sockets[client.sid].transport_name == "websocket")
    await started.other.close()
    assert (await done(websocket)).closed
    await until(lambda: not started.owner.server.sockets)


async def test_a_worker_that_closes_answers_what_others_forward(
    started: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    client = await started.client()
    poll = await client.get()
    await until(lambda: started.owner.server.sockets[client.sid].transport is not None)
    await started.owner.close()
    assert (await done(poll)).status == 400  # as where it is not forwarded: the client comes back at once
    assert caplog.text == ""
    assert (await posted(client, "42")).status == 400


class Dying:
    """A worker called ``dead``, which takes requests and dies."""

    def __init__(self) -> None:
        self.requests: list[tuple[Link, bytes]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> asyncio.Server:
        path = SiblingFolder(named_key("test", "/socket.io")).path_of("dead")
        return await asyncio.get_running_loop().create_unix_server(lambda: Link(self._made), path)

    def _made(self, link: Link) -> None:
        self._tasks.add(asyncio.create_task(self._read(link)))

    async def _read(self, link: Link) -> None:
        opening = await link.read()
        if opening is not None and opening.kind == OPEN:
            self.requests.append((link, opening.payload))


@pytest.fixture
async def dying() -> AsyncIterator[Dying]:
    found = Dying()
    server = await found.start()
    yield found
    server.close()


@pytest.mark.parametrize("answered", [False, True])
async def test_a_worker_that_dies_in_the_middle(dying: Dying, started: Pair, answered: bool) -> None:
    """Where it has not said a word the session is unknown; else the connection is cut."""
    client = await started.client()
    client.sid = "dead" + client.sid[4:]
    poll, websocket = await client.get(), await client.websocket()
    await until(lambda: len(dying.requests) == 2)
    for link, opening in dying.requests:
        if answered and b'"type": "http"' in opening:
            link.write(EVENT, b'{"type":"http.response.start","status":200,"headers":[]}')
        elif answered:
            link.write(EVENT, b'{"type":"websocket.accept","headers":[]}')
        link.close()
    await done(poll)
    await done(websocket)
    if answered:
        assert (len(poll.sent), poll.status) == (1, 200)
        assert (websocket.accepted, websocket.close_code) == (True, 1012)
    else:
        assert (poll.status, '"message":"Session ID unknown"' in poll.body) == (400, True)
        assert websocket.sent[0]["status"] == 400


async def test_a_worker_that_dies_is_no_affair_of_a_client_that_has_gone(
    dying: Dying, started: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    client = await started.client()
    client.sid = "dead" + client.sid[4:]
    poll = await client.get()
    await until(lambda: dying.requests)
    ((link, _),) = dying.requests
    poll.disconnect()
    while (frame := await link.read()) is not None and frame.kind != EVENT:
        pass
    link.abort()
    assert (await done(poll)).sent == []
    assert caplog.text == ""


async def test_a_post_is_sent_once(dying: Dying, started: Pair) -> None:
    """Its worker dies when it has all of the body: it may have acted upon it."""
    client = await started.client()
    client.sid = "dead" + client.sid[4:]
    call = await client.post(b"42[]")
    await until(lambda: dying.requests)
    ((link, _),) = dying.requests
    assert await link.read() == (LAST_BODY, b"42[]")
    link.abort()
    assert (await done(call)).status == 400
    assert len(dying.requests) == 1


@pytest.mark.parametrize("kind", [OPEN, 99])
async def test_a_worker_that_answers_what_cannot_be_read(dying: Dying, started: Pair, kind: int) -> None:
    client = await started.client()
    client.sid = "dead" + client.sid[4:]
    poll = await client.get()
    await until(lambda: dying.requests)
    dying.requests[0][0].write(kind, b"?")
    assert (await done(poll)).status == 400


async def test_an_answer_is_not_lost_where_the_other_worker_still_writes(started: Pair) -> None:
    """A Unix socket that is closed with something unread in it is reset, and what was sent by it is gone."""
    client = await started.client()
    await posted(client, '420["echo",1]')
    socket = started.owner.server.sockets[client.sid]
    await until(lambda: socket.writer.outbox)
    link = await connect(SiblingFolder(named_key("test", "/socket.io")).path_of("wk00"))
    link._transport.pause_reading()
    scope = {
        "type": "http", "method": "GET", "path": "/socket.io/", "headers": [],
        "query_string": f"EIO=4&transport=polling&sid={client.sid}".encode(),
    }  # fmt: skip
    link.write(*encode_opening(Forwarded(client.sid, scope, "/", [])))
    await until(lambda: not socket.writer.outbox)
    for _ in range(10):
        await settle()
    link.write(LAST_BODY, b"")
    link.write(EVENT, b'{"type":"http.disconnect"}')
    link._transport.resume_reading()
    assert [await link.read() for _ in range(2)][1] == (LAST_BODY, b"430[1]")
    link.close()


# ---- bad input --------------------------------------------------------------------------------------------------


async def test_a_sibling_that_says_what_cannot_be_read(started: Pair, caplog: pytest.LogCaptureFixture) -> None:
    await started.client()
    path = SiblingFolder(named_key("test", "/socket.io")).path_of("wk00")
    for kind, payload in ((1, b"{}"), (2, b"{}"), (99, b"")):
        link = await connect(path)
        link.write(kind, payload)
        assert await asyncio.wait_for(link.read(), 5) is None
    assert "a sibling sent what cannot be read" in caplog.text


async def test_a_sibling_that_says_nothing(started: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    await started.client()
    monkeypatch.setattr(workers, "OPENING_TIMEOUT", 0.0)
    link = await connect(SiblingFolder(named_key("test", "/socket.io")).path_of("wk00"))
    assert await asyncio.wait_for(link.read(), 5) is None


async def test_requests_that_are_forwarded_are_counted(pair: Pair) -> None:
    pair.start(max_sessions=1)
    client = await pair.client()
    await client.get()
    await until(lambda: pair.owner.server.sockets[client.sid].transport is not None)
    refused = await posted(client, "42")
    assert (refused.status, refused.headers[b"retry-after"] != b"") == (503, True)


async def test_an_exception_in_a_forwarded_call_is_logged(
    started: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = await started.client()

    async def fail(*args: Any) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(started.owner, "_revisit", fail)
    assert (await posted(client, "42")).status == 400
    assert "a forwarded request failed with RuntimeError('oh')" in caplog.text


# ---- who has siblings -------------------------------------------------------------------------------------------


async def test_without_siblings_ids_name_nobody_and_nothing_listens(folder: Path) -> None:
    app = SocketIOApp(namespaces={"/": Echo})
    client = Client(app)
    await client.open()
    assert len(client.sid) == 20
    assert files(folder) == []
    await client.end()


@pytest.mark.parametrize("by", ["setting", "variable"])
async def test_a_name_without_siblings(by: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "variable":
        monkeypatch.setenv(workers.WORKER_ENV, "wk07")
    client = Client(SocketIOApp(namespaces={"/": Echo}, worker="wk07" if by == "setting" else None))
    await client.open()
    assert (client.sid[:4], len(client.sid), files(folder)) == ("wk07", 24, [])
    await client.end()


async def test_a_variable_that_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(workers.WORKER_ENV, "worker 7")
    call = Client(SocketIOApp(namespaces={"/": Echo})).call("http")
    with pytest.raises(UsageError, match="expected four letters"):
        await call.task


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", sys)
    monkeypatch.setattr("asocketio.workers.siblings._shared_listeners", lambda parent: "")


def real(app: SocketIOApp, **scope: Any) -> Call:
    """A handshake as a server brings it: without a clock of a test."""
    given = {"type": "http", "method": "GET", "path": "/socket.io/", "query_string": b"EIO=4&transport=polling"}
    return Call(app, {**given, "headers": [(b"host", b"x")], "server": ("127.0.0.1", 80), **scope})


@pytest.mark.usefixtures("supervised")
async def test_workers_of_a_supervisor_find_each_other_at_the_first_request(folder: Path) -> None:
    app = SocketIOApp(namespaces={"/": Echo})
    answer = await done(real(app))
    assert len(answer.body.partition('"sid":"')[2].partition('"')[0]) == 24
    assert len(files(folder)) == 1
    await app.close()
    assert files(folder) == []


@pytest.mark.usefixtures("supervised")
async def test_workers_that_cannot_meet_work_alone_and_say_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_to_others(folder)
    app = SocketIOApp(namespaces={"/": Echo})
    answer = await done(real(app))
    assert answer.status == 200
    assert "this worker is alone" in caplog.text
    await app.close()


async def test_siblings_by_name_that_cannot_meet_are_a_mistake(folder: Path) -> None:
    open_to_others(folder)
    app = SocketIOApp(namespaces={"/": Echo}, workers="test")
    with pytest.raises(UsageError, match="remove it"):
        await real(app).task


# ---- what is said -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sid", "says"),
    [
        ("gone" + "a" * 20, "its worker 'gone' has ended (restarted or crashed), or runs on another host"),
        ("wk01" + "a" * 20, "it has ended, or another host has a worker 'wk01', too"),
        ("a" * 20, "it has ended, or it lives in another process, to which a proxy must route it"),
    ],
)
async def test_an_unknown_session_is_explained(
    started: Pair, sid: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await started.client()
    client.sid = sid
    assert (await done(await client.get())).status == 400
    assert (await done(await client.get())).status == 400
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [says in line and "docs/workers.md" in line and sid not in line for line in lines] == [True]


async def test_a_session_of_a_worker_is_explained_where_there_are_no_workers(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(SocketIOApp(namespaces={"/": Echo}))
    client.sid = "wk01" + "a" * 20
    assert (await done(await client.get())).status == 400
    assert "worker 'wk01' has opened it, and this process, '', knows no siblings" in caplog.text
    await client.end()
