"""Polling, websocket and the upgrade, message by message: each state of the table and each race."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asocketio import BaseNamespace, SocketIOApp
from asocketio.session import session_table
from asocketio.testing import TestClock, settle
from tests.support.worlds import Recorder, until

pytestmark = pytest.mark.json_wire

Log = pytest.LogCaptureFixture
HEADERS = [(b"host", b"testserver")]


class Peer:
    """An app, and requests to it by hand."""

    def __init__(self, cls: type[BaseNamespace] = Recorder, **settings: Any) -> None:
        self.app = SocketIOApp(namespaces={"/": cls}, **settings)
        self.clock = TestClock()
        self.sid = ""
        self.calls: list[Call] = []

    def call(self, kind: str, method: str = "GET", transport: str = "polling", **more: Any) -> Call:
        query = f"EIO=4&transport={transport}" + (f"&sid={self.sid}" if self.sid else "")
        scope = {
            "type": kind, "method": method, "path": "/socket.io/", "query_string": query.encode(), "headers": HEADERS,
            "extensions": {"asocketio.clock": self.clock, "websocket.http.response": {}}, **more,
        }  # fmt: skip
        call = Call(self.app, scope)
        self.calls.append(call)
        return call

    async def get(self, **more: Any) -> Call:
        call = self.call("http", **more)
        call.inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        await settle()
        return call

    async def post(self, *chunks: bytes, method: str = "POST", end: bool = True, **more: Any) -> Call:
        call = self.call("http", method, **more)
        for index, chunk in enumerate(chunks):
            more_body = not end or index < len(chunks) - 1
            call.inbox.put_nowait({"type": "http.request", "body": chunk, "more_body": more_body})
        await settle()
        return call

    async def websocket(self, *texts: str, **more: Any) -> Call:
        call = self.call("websocket", transport="websocket", **more)
        call.inbox.put_nowait({"type": "websocket.connect"})
        await settle()
        for text in texts:
            await call.says(text)
        return call

    async def open(self) -> None:
        """A polling session that has joined the global namespace."""
        handshake = await self.get()
        self.sid = handshake.body.split('"')[3]
        await self.post(b"40")
        assert (await self.get()).body.startswith("40{")

    async def end(self) -> None:
        await self.app.close()
        for call in self.calls:
            call.inbox.put_nowait({"type": f"{call.kind}.disconnect"})
        async with asyncio.timeout(5):
            await asyncio.gather(*(call.task for call in self.calls), return_exceptions=True)


class Call:
    """One request and what was answered."""

    def __init__(self, app: Any, scope: Any) -> None:
        self.kind = scope["type"]
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[Any] = []
        self.broken = False
        self.stuck: asyncio.Event | None = None
        """The peer does not read, until this is set."""
        self.task = asyncio.ensure_future(app(scope, self.inbox.get, self._send))

    async def _send(self, message: Any) -> None:
        if self.broken:
            raise OSError("the peer is gone")
        if self.stuck is not None:
            await self.stuck.wait()
        self.sent.append(message)

    async def says(self, *frames: str | bytes) -> None:
        for frame in frames:
            key = "text" if isinstance(frame, str) else "bytes"
            self.inbox.put_nowait({"type": "websocket.receive", key: frame})
            await settle()

    @property
    def waiting(self) -> bool:
        return not self.sent

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> str:
        return b"".join(m.get("body", b"") for m in self.sent).decode(errors="replace")

    @property
    def frames(self) -> list[Any]:
        return [m.get("text", m.get("bytes")) for m in self.sent if m["type"] == "websocket.send"]

    @property
    def accepted(self) -> bool:
        return bool(self.sent) and self.sent[0]["type"] == "websocket.accept"

    @property
    def closed(self) -> bool:
        return bool(self.sent) and self.sent[-1]["type"] == "websocket.close"


@pytest.fixture
async def peer() -> Any:
    peer = Peer()
    yield peer
    await peer.end()


@pytest.fixture
async def session(peer: Peer) -> Peer:
    await peer.open()
    return peer


async def a_busy_session() -> tuple[Peer, asyncio.Event, list[int], str]:
    """A session, what its first handler waits for, what the others saw, and a body that overfills its backlog."""
    gate = asyncio.Event()
    seen: list[int] = []

    class Busy(Recorder):
        async def on_wait(self) -> None:
            await gate.wait()

        async def on_say(self, number: int) -> None:
            seen.append(number)

    peer = Peer(Busy, max_backlog_packets=160)
    await peer.open()
    return peer, gate, seen, "\x1e".join(['42["wait"]', *(f'42["say",{n}]' for n in range(100))])


# Polling


async def test_a_poll_waits_for_the_first_packet_and_takes_all_of_a_turn(session: Peer) -> None:
    poll = await session.get()
    assert poll.waiting
    Recorder.last.emit("a")
    Recorder.last.emit("b", b"bin")
    await settle()
    assert (poll.status, poll.body) == (200, '42["a"]\x1e451-["b",{"_placeholder":true,"num":0}]\x1ebYmlu')


async def test_a_poll_takes_as_much_as_max_payload() -> None:
    peer = Peer(max_payload=1000)
    await peer.open()
    for number in range(4):
        Recorder.last.emit(str(number), "x" * 600)
    sizes = [len((await peer.get()).body) for _ in range(2)]
    assert sizes == [1221, 1221]
    await peer.end()


async def test_a_second_get_ends_the_session(session: Peer, caplog: Log) -> None:
    first, second = await session.get(), await session.get()
    assert (first.status, first.body) == (200, "1")
    assert (second.status, second.body) == (400, "")
    assert (await session.get()).body == '{"code":1,"message":"Session ID unknown"}'
    assert "a second GET while one is served" in caplog.text
    assert Recorder.last.reasons == ["transport error"]


async def test_a_second_post_ends_the_session(session: Peer) -> None:
    first = await session.post(b"42", end=False)
    second = await session.post(b'42["echo"]')
    assert (second.status, second.body) == (400, "")
    assert first.status == 400
    assert (await session.get()).status == 400
    assert Recorder.last.reasons == ["transport error"]


async def test_a_poll_whose_peer_hangs_up_ends_the_session(session: Peer) -> None:
    poll = await session.get()
    poll.inbox.put_nowait({"type": "http.disconnect"})
    await settle()
    assert Recorder.last.reasons == ["transport error"]


async def test_a_post_whose_peer_vanishes_ends_the_session(session: Peer) -> None:
    post = await session.post(b"42", end=False)
    post.inbox.put_nowait({"type": "http.disconnect"})
    await settle()
    assert Recorder.last.reasons == ["transport error"]


async def test_a_body_that_does_not_end_is_given_up_after_send_timeout(session: Peer) -> None:
    post = await session.post(b"42", end=False)
    await session.clock.advance(29)
    assert post.waiting
    await session.clock.advance(2)
    assert post.status == 400
    assert Recorder.last.reasons == ["transport error"]


async def test_a_body_that_does_not_end_does_not_outlive_its_socket(session: Peer) -> None:
    post = await session.post(b"42", end=False)
    await session.app.close()
    await settle()
    assert post.status == 400
    await post.task


async def test_a_body_over_max_payload_is_refused_while_it_arrives() -> None:
    peer = Peer(max_payload=100)
    await peer.open()
    post = await peer.post(b"x" * 60, b"x" * 60, end=False)
    assert (post.status, post.body) == (413, "")
    announced = await peer.post(headers=[*HEADERS, (b"content-length", b"101")])
    assert announced.status == 413
    assert Recorder.last.socket.connected
    await peer.end()


async def test_a_binary_body_ends_the_session(session: Peer) -> None:
    post = await session.post(b"4x", headers=[*HEADERS, (b"content-type", b"application/octet-stream")])
    assert post.status == 400
    assert Recorder.last.reasons == ["parse error"]


async def test_a_body_that_does_not_parse_ends_the_session(session: Peer) -> None:
    assert (await session.post(b'42["echo",1]\x1e9')).status == 400
    assert Recorder.last.reasons == ["parse error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
async def test_other_methods_are_bad_requests(session: Peer, method: str) -> None:
    call = await session.post(b"", method=method)
    assert (call.status, call.body) == (400, '{"code":3,"message":"Bad request"}')
    assert Recorder.last.socket.connected


async def test_a_client_that_says_goodbye(session: Peer) -> None:
    poll = await session.get()
    post = await session.post(b"1")
    assert (post.body, poll.body) == ("ok", "6")
    assert Recorder.last.reasons == ["transport close"]


async def test_a_post_is_answered_after_send_timeout_and_the_next_waits_for_its_rest() -> None:
    peer, gate, seen, body = await a_busy_session()
    first = await peer.post(body.encode())
    assert first.waiting
    await peer.clock.advance(30.1)
    assert first.body == "ok"
    second = await peer.post(b'42["say",100]')
    assert second.waiting
    gate.set()
    await until(lambda: seen == list(range(101)))
    await until(lambda: second.body == "ok")
    await peer.end()


async def test_a_client_that_fills_its_backlog_for_long_is_closed(caplog: Log) -> None:
    class Busy(Recorder):
        async def on_wait(self) -> None:
            await asyncio.Event().wait()

    peer = Peer(Busy, max_backlog_packets=160, close_grace=1)
    await peer.open()
    body = "\x1e".join(['42["wait"]', *(f'42["say",{n}]' for n in range(100))])
    await peer.post(body.encode())
    await peer.clock.advance(30.1)
    second = await peer.post(b'42["say",100]')
    await peer.clock.advance(30.1)
    assert second.status == 400
    assert "it floods" in caplog.text
    await peer.clock.advance(2.1)
    assert Busy.last.reasons == ["forced close"]
    await peer.end()


# Websocket


async def test_a_websocket_talks(peer: Peer) -> None:
    websocket = await peer.websocket("40", '420["echo",1]')
    assert websocket.frames[0].startswith('0{"sid":"')
    assert '"upgrades":[]' in websocket.frames[0]
    assert websocket.frames[2] == "430[1]"
    await websocket.says("1")
    assert websocket.closed
    assert Recorder.last.reasons == ["transport close"]


async def test_a_websocket_that_breaks_while_sending(peer: Peer) -> None:
    websocket = await peer.websocket("40")
    websocket.broken = True
    Recorder.last.emit("x")
    await settle()
    assert Recorder.last.reasons == ["transport close"]


async def test_a_websocket_that_breaks_while_closing(peer: Peer) -> None:
    websocket = await peer.websocket("40")
    websocket.broken = True
    Recorder.last.socket.disconnect()
    await settle()
    assert Recorder.last.reasons == ["server namespace disconnect"]
    await websocket.task


async def test_a_slow_websocket_is_sent_the_rest_before_it_closes(peer: Peer) -> None:
    websocket = await peer.websocket("40")
    gate = asyncio.Event()
    record = websocket._send

    async def slow(message: Any) -> None:
        await gate.wait()
        await record(message)

    Recorder.last.socket.transport._send = slow  # type: ignore[union-attr]
    Recorder.last.emit("a")
    await settle()
    Recorder.last.emit("b")
    Recorder.last.socket.disconnect()
    await settle()
    assert not websocket.closed
    gate.set()
    await websocket.task
    assert websocket.frames[2:] == ['42["a"]', '42["b"]', "41"]
    assert websocket.closed


async def test_a_websocket_that_is_stuck_is_given_up_after_close_grace(peer: Peer) -> None:
    websocket = await peer.websocket("40")

    async def stuck(message: Any) -> None:
        await asyncio.Event().wait()

    Recorder.last.socket.transport._send = stuck  # type: ignore[union-attr]
    Recorder.last.emit("a")
    await settle()
    Recorder.last.socket.disconnect()
    await peer.clock.advance(4.9)
    assert not websocket.task.done()
    await peer.clock.advance(0.2)
    await websocket.task
    assert Recorder.last.reasons == ["server namespace disconnect"]


async def test_a_message_over_max_payload_closes() -> None:
    peer = Peer(max_payload=100)
    websocket = await peer.websocket("40", '42["echo","' + "x" * 100 + '"]')
    assert websocket.closed
    assert Recorder.last.reasons == ["transport error"]
    await peer.end()


async def test_max_payload_counts_bytes() -> None:
    peer = Peer(max_payload=100)
    websocket = await peer.websocket("40", '42["echo","' + "é" * 40 + '"]')
    assert not websocket.closed
    await websocket.says('42["echo","' + "é" * 45 + '"]')
    assert websocket.closed
    await peer.end()


async def test_a_refused_websocket_is_answered_before_it_is_accepted(peer: Peer) -> None:
    peer.sid = "unknown"
    websocket = await peer.websocket()
    assert [m["type"] for m in websocket.sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert (websocket.status, websocket.body) == (400, "Session ID unknown")


async def test_where_the_server_cannot_deny_it_closes(peer: Peer) -> None:
    peer.sid = "unknown"
    websocket = await peer.websocket(extensions=None)
    assert [m["type"] for m in websocket.sent] == ["websocket.close"]


async def test_larger_limits_of_uvicorn_are_pointed_out_once(peer: Peer, caplog: Log) -> None:
    class Connection:
        class config:  # noqa: N801  (as uvicorn has it)
            ws_max_size = 16_000_000

        async def receive(self) -> Any:
            return {"type": "websocket.disconnect"}

    async def send(message: Any) -> None: ...

    scope = {
        "type": "websocket",
        "path": "/socket.io/",
        "query_string": b"EIO=4&transport=websocket",
        "headers": HEADERS,
    }
    for _ in range(2):
        await peer.app(dict(scope), Connection().receive, send)
    assert caplog.text.count("--ws-max-size 1000000") == 1


@pytest.mark.parametrize("step", ["open", "second", "probe", "deny"])
async def test_a_peer_that_resets_at_any_step_makes_no_traceback(session: Peer, step: str, caplog: Log) -> None:
    if step == "open":
        session.sid = ""
    if step == "deny":
        session.sid = "unknown"
    if step == "second":
        await session.websocket("2probe")
    websocket = session.call("websocket", transport="websocket")
    websocket.broken = True
    websocket.inbox.put_nowait({"type": "websocket.connect"})
    if step == "probe":
        await websocket.says("2probe", "5")
    await settle()
    await websocket.task
    assert [r for r in caplog.records if r.exc_info] == []


# Upgrade


async def test_the_upgrade(session: Peer) -> None:
    websocket = await session.websocket("2probe")
    assert websocket.frames == ["3probe"]
    poll = await session.get()
    assert poll.waiting
    await session.clock.advance(0.11)
    assert poll.body == "6"
    Recorder.last.emit("queued")
    await settle()
    assert websocket.frames == ["3probe"]
    await websocket.says("5", '420["echo",1]')
    assert websocket.frames == ["3probe", '42["queued"]', "430[1]"]
    late = await session.get()
    await until(lambda: not late.waiting)
    assert (late.status, late.body) == (400, '{"code":3,"message":"Bad request"}')


async def test_a_poll_that_waits_before_the_probe_is_released(session: Peer) -> None:
    poll = await session.get()
    websocket = await session.websocket("2probe")
    assert poll.waiting
    await session.clock.advance(0.11)
    assert poll.body == "6"
    await websocket.says("5")
    assert Recorder.last.socket.transport_name == "websocket"


async def test_data_during_the_probe_goes_by_the_waiting_poll(session: Peer) -> None:
    poll = await session.get()
    websocket = await session.websocket("2probe")
    Recorder.last.emit("data")
    await settle()
    assert poll.body == '42["data"]'
    assert websocket.frames == ["3probe"]


async def test_a_poll_that_crosses_the_upgrade_is_a_bad_request(session: Peer) -> None:
    websocket = await session.websocket("2probe")
    poll = await session.get()
    await websocket.says("5")
    await until(lambda: not poll.waiting)
    assert (poll.status, poll.body) == (400, '{"code":3,"message":"Bad request"}')


async def test_the_upgrade_packet_alone_will_do(session: Peer) -> None:
    poll = await session.get()
    websocket = await session.websocket("5")
    assert poll.body == "6"
    Recorder.last.emit("x")
    await settle()
    assert websocket.frames == ['42["x"]']


async def test_a_second_websocket_during_and_after_the_upgrade_is_accepted_and_closed(session: Peer) -> None:
    first = await session.websocket("2probe")
    second = await session.websocket()
    assert second.accepted
    assert second.closed
    await first.says("5")
    third = await session.websocket()
    assert third.accepted
    assert third.closed
    await first.says('420["echo",1]')
    assert first.frames[-1] == "430[1]"


@pytest.mark.parametrize("frame", ["4hello", "3", "2", "2other", "x", ""])
async def test_anything_else_on_the_probing_websocket_closes_it_and_polling_goes_on(session: Peer, frame: str) -> None:
    websocket = await session.websocket(frame)
    assert websocket.closed
    assert (await session.post(b'420["echo",1]')).body == "ok"
    assert (await session.get()).body == "430[1]"


async def test_a_probing_websocket_that_is_lost_leaves_polling_as_it_was(session: Peer) -> None:
    websocket = await session.websocket("2probe")
    websocket.inbox.put_nowait({"type": "websocket.disconnect"})
    await settle()
    assert Recorder.last.socket.upgrade is None
    await session.post(b'420["echo",1]')
    assert (await session.get()).body == "430[1]"


async def test_an_upgrade_that_takes_too_long_is_closed(session: Peer) -> None:
    websocket = await session.websocket("2probe")
    await session.clock.advance(9.9)
    assert not websocket.closed
    await session.clock.advance(0.2)
    assert websocket.closed
    assert Recorder.last.socket.connected


async def test_a_session_that_ends_while_it_upgrades(session: Peer) -> None:
    websocket = await session.websocket("2probe")
    await session.post(b"1")
    assert websocket.closed
    assert Recorder.last.reasons == ["transport close"]


async def test_what_came_by_post_is_handled_before_what_comes_by_websocket() -> None:
    peer, gate, seen, body = await a_busy_session()
    await peer.post(body.encode())
    websocket = await peer.websocket("2probe", "5", '42["say",100]')
    gate.set()
    await until(lambda: seen == list(range(101)))
    assert websocket.accepted
    await peer.end()


async def test_thrown_out_by_polling_the_goodbye_comes_alone(session: Peer) -> None:
    poll = await session.get()
    Recorder.last.socket.disconnect()
    await settle()
    assert poll.body == "41"
    assert (await session.get()).body == "1"
    assert (await session.get()).status == 400


async def test_a_session_that_has_been_thrown_out_can_only_poll_for_its_goodbye(session: Peer) -> None:
    Recorder.last.socket.disconnect()
    await settle()
    # A POST that crosses the goodbye is answered and ignored: a client that met an error would reconnect.
    assert (await session.post(b'420["echo",1]')).body == "ok"
    websocket = await session.websocket()
    assert websocket.closed
    assert (await session.get()).body == "41"


async def test_who_was_thrown_out_between_two_polls_can_still_fetch_the_last_of_it() -> None:
    class Strict(Recorder):
        async def on_go(self) -> None:
            for _ in range(30):
                self.emit("news", "x" * 10_000)
            await self.socket.disconnect()

    peer = Peer(Strict)
    await peer.open()
    await peer.post(b'42["go"]')
    [socket] = peer.app.server.sockets.values()
    assert not socket.connected
    assert len(socket.writer.outbox) < 8  # of thirty
    frames = (await peer.get()).body.split("\x1e")
    assert (frames[0][:8], frames[-1]) == ('42["news', "41")
    await peer.end()


async def test_of_those_who_were_thrown_out_between_two_polls_a_thousand_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_table, "MOST_LINGERING", 2)

    class Strict(Recorder):
        async def on_go(self) -> None:
            await self.socket.disconnect()

    peer = Peer(Strict)
    sids = []
    for _ in range(4):
        peer.sid = ""
        await peer.open()
        await peer.post(b'42["go"]')
        sids.append(peer.sid)
    assert list(peer.app.server.sockets) == sids[2:]
    assert (await peer.get()).body == "41"
    await peer.end()


async def test_only_one_post_may_wait_for_the_one_before() -> None:
    peer, gate, _, body = await a_busy_session()
    first = await peer.post(body.encode())
    await peer.clock.advance(31)  # it is answered, and still goes in
    assert first.status == 200
    second = await peer.post(b'42["note",1]')
    assert second.waiting
    third = await peer.post(b'42["note",2]')
    assert (third.status, peer.app.server.active_sessions) == (400, 1)
    gate.set()
    await peer.end()


async def test_a_body_that_is_too_large_and_whole_is_answered_and_done() -> None:
    peer = Peer(max_payload=100)
    await peer.open()
    post = await peer.post(b"x" * 101)
    assert (post.status, post.task.done()) == (413, True)
    await peer.end()
