"""Polling, websocket and the upgrade, message by message: each state of the table and each race."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asocketio.session import session_table
from asocketio.testing import settle
from tests.clients.asgi import HEADERS, Client, client_of
from tests.support.worlds import Recorder, until

pytestmark = pytest.mark.json_wire

Log = pytest.LogCaptureFixture


@pytest.fixture
async def client() -> Any:
    client = client_of(Recorder)
    yield client
    await client.end()


@pytest.fixture
async def session(client: Client) -> Client:
    await client.open()
    return client


async def a_busy_session() -> tuple[Client, asyncio.Event, list[int], str]:
    """A session, what its first handler waits for, what the others saw, and a body that overfills its backlog."""
    gate = asyncio.Event()
    seen: list[int] = []

    class Busy(Recorder):
        async def on_wait(self) -> None:
            await gate.wait()

        async def on_say(self, number: int) -> None:
            seen.append(number)

    client = client_of(Busy, max_backlog_packets=160)
    await client.open()
    return client, gate, seen, "\x1e".join(['42["wait"]', *(f'42["say",{n}]' for n in range(100))])


# Polling


async def test_a_poll_waits_for_the_first_packet_and_takes_all_of_a_turn(session: Client) -> None:
    poll = await session.get()
    assert poll.waiting
    Recorder.last.emit("a")
    Recorder.last.emit("b", b"bin")
    await settle()
    assert (poll.status, poll.body) == (200, '42["a"]\x1e451-["b",{"_placeholder":true,"num":0}]\x1ebYmlu')


async def test_a_poll_takes_as_much_as_max_payload() -> None:
    client = client_of(Recorder, max_payload=1000)
    await client.open()
    for number in range(4):
        Recorder.last.emit(str(number), "x" * 600)
    sizes = [len((await client.get()).body) for _ in range(2)]
    assert sizes == [1221, 1221]
    await client.end()


async def test_a_second_get_ends_the_session(session: Client, caplog: Log) -> None:
    first, second = await session.get(), await session.get()
    assert (first.status, first.body) == (200, "1")
    assert (second.status, second.body) == (400, "")
    assert (await session.get()).body == '{"code":1,"message":"Session ID unknown"}'
    assert "a second GET while one is served" in caplog.text
    assert Recorder.last.reasons == ["transport error"]


async def test_a_second_post_ends_the_session(session: Client) -> None:
    first = await session.post(b"42", end=False)
    second = await session.post(b'42["echo"]')
    assert (second.status, second.body) == (400, "")
    assert first.status == 400
    assert (await session.get()).status == 400
    assert Recorder.last.reasons == ["transport error"]


async def test_a_poll_whose_peer_hangs_up_ends_the_session(session: Client) -> None:
    poll = await session.get()
    poll.disconnect()
    await settle()
    assert Recorder.last.reasons == ["transport error"]


async def test_a_post_whose_peer_vanishes_ends_the_session(session: Client) -> None:
    post = await session.post(b"42", end=False)
    post.disconnect()
    await settle()
    assert Recorder.last.reasons == ["transport error"]


async def test_a_body_that_does_not_end_is_given_up_after_send_timeout(session: Client) -> None:
    post = await session.post(b"42", end=False)
    await session.clock.advance(29)
    assert post.waiting
    await session.clock.advance(2)
    assert post.status == 400
    assert Recorder.last.reasons == ["transport error"]


async def test_a_body_that_does_not_end_does_not_outlive_its_socket(session: Client) -> None:
    post = await session.post(b"42", end=False)
    await session.app.close()
    await settle()
    assert post.status == 400
    await post.task


async def test_a_body_over_max_payload_is_refused_while_it_arrives() -> None:
    client = client_of(Recorder, max_payload=100)
    await client.open()
    post = await client.post(b"x" * 60, b"x" * 60, end=False)
    assert (post.status, post.body) == (413, "")
    announced = await client.post(headers=[*HEADERS, (b"content-length", b"101")])
    assert announced.status == 413
    assert Recorder.last.socket.connected
    await client.end()


async def test_a_binary_body_ends_the_session(session: Client) -> None:
    post = await session.post(b"4x", headers=[*HEADERS, (b"content-type", b"application/octet-stream")])
    assert post.status == 400
    assert Recorder.last.reasons == ["parse error"]


async def test_a_body_that_does_not_parse_ends_the_session(session: Client) -> None:
    assert (await session.post(b'42["echo",1]\x1e9')).status == 400
    assert Recorder.last.reasons == ["parse error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
async def test_other_methods_are_bad_requests(session: Client, method: str) -> None:
    call = await session.post(b"", method=method)
    assert (call.status, call.body) == (400, '{"code":3,"message":"Bad request"}')
    assert Recorder.last.socket.connected


async def test_a_client_that_says_goodbye(session: Client) -> None:
    poll = await session.get()
    post = await session.post(b"1")
    assert (post.body, poll.body) == ("ok", "6")
    assert Recorder.last.reasons == ["transport close"]


async def test_a_post_is_answered_after_send_timeout_and_the_next_waits_for_its_rest() -> None:
    client, gate, seen, body = await a_busy_session()
    first = await client.post(body.encode())
    assert first.waiting
    await client.clock.advance(30.1)
    assert first.body == "ok"
    second = await client.post(b'42["say",100]')
    assert second.waiting
    gate.set()
    await until(lambda: seen == list(range(101)))
    await until(lambda: second.body == "ok")
    await client.end()


async def test_a_client_that_fills_its_backlog_for_long_is_closed(caplog: Log) -> None:
    class Busy(Recorder):
        async def on_wait(self) -> None:
            await asyncio.Event().wait()

    client = client_of(Busy, max_backlog_packets=160, close_grace=1)
    await client.open()
    body = "\x1e".join(['42["wait"]', *(f'42["say",{n}]' for n in range(100))])
    await client.post(body.encode())
    await client.clock.advance(30.1)
    second = await client.post(b'42["say",100]')
    await client.clock.advance(30.1)
    assert second.status == 400
    assert "it floods" in caplog.text
    await client.clock.advance(2.1)
    assert Busy.last.reasons == ["forced close"]
    await client.end()


# Websocket


async def test_a_websocket_talks(client: Client) -> None:
    websocket = await client.websocket("40", '420["echo",1]')
    assert websocket.frames[0].startswith('0{"sid":"')
    assert '"upgrades":[]' in websocket.frames[0]
    assert websocket.frames[2] == "430[1]"
    await websocket.says("1")
    assert websocket.closed
    assert Recorder.last.reasons == ["transport close"]


async def test_a_websocket_that_breaks_while_sending(client: Client) -> None:
    websocket = await client.websocket("40")
    websocket.broken = True
    Recorder.last.emit("x")
    await settle()
    assert Recorder.last.reasons == ["transport close"]


async def test_a_websocket_that_breaks_while_closing(client: Client) -> None:
    websocket = await client.websocket("40")
    websocket.broken = True
    Recorder.last.socket.disconnect()
    await settle()
    assert Recorder.last.reasons == ["server namespace disconnect"]
    await websocket.task


async def test_a_slow_websocket_is_sent_the_rest_before_it_closes(client: Client) -> None:
    websocket = await client.websocket("40")
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


async def test_a_websocket_that_is_stuck_is_given_up_after_close_grace(client: Client) -> None:
    websocket = await client.websocket("40")

    async def stuck(message: Any) -> None:
        await asyncio.Event().wait()

    Recorder.last.socket.transport._send = stuck  # type: ignore[union-attr]
    Recorder.last.emit("a")
    await settle()
    Recorder.last.socket.disconnect()
    await client.clock.advance(4.9)
    assert not websocket.task.done()
    await client.clock.advance(0.2)
    await websocket.task
    assert Recorder.last.reasons == ["server namespace disconnect"]


ATTACHED = '451-["echo",{"_placeholder":true,"num":0}]'


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        (['42["echo","' + "x" * 100 + '"]'], 1009, "transport error"),
        ([ATTACHED, b"x" * 101], 1009, "transport error"),
        ([ATTACHED, b"x" * 51], 1009, "transport error"),
        (["4?"], 1000, "parse error"),
        (["1"], 1000, "transport close"),
    ],
    ids=["a text", "binary", "the attachments of a packet", "no packet", "a close packet"],
)
@pytest.mark.parametrize("upgraded", [False, True], ids=["websocket", "upgraded"])
async def test_a_message_over_max_payload_closes(
    frames: list[str | bytes], code: int, reason: str, upgraded: bool
) -> None:
    client = client_of(Recorder, max_payload=100, max_attachment_bytes=50)
    if upgraded:
        await client.open()
    websocket = await client.websocket(*(["2probe", "5"] if upgraded else ["40"]))
    await websocket.says(*frames)
    assert (websocket.close_code, Recorder.last.reasons) == (code, [reason])
    await client.end()


async def test_what_is_no_such_message_is_not_said_to_be_one(client: Client) -> None:
    websocket = await client.websocket("40")
    Recorder.last.socket.close("transport error")  # as for a slow consumer
    await until(lambda: websocket.close_code == 1000)


async def test_a_message_over_max_payload_closes_what_roams() -> None:
    client = Client(client_of(Recorder, max_payload=100).app, generation="0.9")
    await client.open()
    websocket = await client.websocket("5:::" + "x" * 100)
    assert websocket.close_code == 1009
    await client.end()


async def test_max_payload_counts_bytes() -> None:
    client = client_of(Recorder, max_payload=100)
    websocket = await client.websocket("40", '42["echo","' + "é" * 40 + '"]')
    assert not websocket.closed
    await websocket.says('42["echo","' + "é" * 45 + '"]')
    assert websocket.closed
    await client.end()


async def test_a_refused_websocket_is_answered_before_it_is_accepted(client: Client) -> None:
    client.sid = "unknown"
    websocket = await client.websocket()
    assert [m["type"] for m in websocket.sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert (websocket.status, websocket.body) == (400, "Session ID unknown")


async def test_where_the_server_cannot_deny_it_closes(client: Client) -> None:
    client.sid = "unknown"
    websocket = await client.websocket(extensions=None)
    assert [m["type"] for m in websocket.sent] == ["websocket.close"]


async def test_larger_limits_of_uvicorn_are_pointed_out_once(client: Client, caplog: Log) -> None:
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
        await client.app(dict(scope), Connection().receive, send)
    assert caplog.text.count("--ws-max-size 1000000") == 1


@pytest.mark.parametrize("step", ["open", "second", "probe", "deny"])
async def test_a_peer_that_resets_at_any_step_makes_no_traceback(session: Client, step: str, caplog: Log) -> None:
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


async def test_the_upgrade(session: Client) -> None:
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


async def test_a_poll_that_waits_before_the_probe_is_released(session: Client) -> None:
    poll = await session.get()
    websocket = await session.websocket("2probe")
    assert poll.waiting
    await session.clock.advance(0.11)
    assert poll.body == "6"
    await websocket.says("5")
    assert Recorder.last.socket.transport_name == "websocket"


async def test_data_during_the_probe_goes_by_the_waiting_poll(session: Client) -> None:
    poll = await session.get()
    websocket = await session.websocket("2probe")
    Recorder.last.emit("data")
    await settle()
    assert poll.body == '42["data"]'
    assert websocket.frames == ["3probe"]


async def test_a_poll_that_crosses_the_upgrade_is_a_bad_request(session: Client) -> None:
    websocket = await session.websocket("2probe")
    poll = await session.get()
    await websocket.says("5")
    await until(lambda: not poll.waiting)
    assert (poll.status, poll.body) == (400, '{"code":3,"message":"Bad request"}')


async def test_the_upgrade_packet_alone_will_do(session: Client) -> None:
    poll = await session.get()
    websocket = await session.websocket("5")
    assert poll.body == "6"
    Recorder.last.emit("x")
    await settle()
    assert websocket.frames == ['42["x"]']


async def test_a_second_websocket_during_and_after_the_upgrade_is_accepted_and_closed(session: Client) -> None:
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
async def test_anything_else_on_the_probing_websocket_closes_it_and_polling_goes_on(
    session: Client, frame: str
) -> None:
    websocket = await session.websocket(frame)
    assert websocket.closed
    assert (await session.post(b'420["echo",1]')).body == "ok"
    assert (await session.get()).body == "430[1]"


async def test_a_probing_websocket_that_is_lost_leaves_polling_as_it_was(session: Client) -> None:
    websocket = await session.websocket("2probe")
    websocket.disconnect()
    await settle()
    assert Recorder.last.socket.upgrade is None
    await session.post(b'420["echo",1]')
    assert (await session.get()).body == "430[1]"


async def test_an_upgrade_that_takes_too_long_is_closed(session: Client) -> None:
    websocket = await session.websocket("2probe")
    await session.clock.advance(9.9)
    assert not websocket.closed
    await session.clock.advance(0.2)
    assert websocket.closed
    assert Recorder.last.socket.connected


async def test_a_session_that_ends_while_it_upgrades(session: Client) -> None:
    websocket = await session.websocket("2probe")
    await session.post(b"1")
    assert websocket.closed
    assert Recorder.last.reasons == ["transport close"]


async def test_what_came_by_post_is_handled_before_what_comes_by_websocket() -> None:
    client, gate, seen, body = await a_busy_session()
    await client.post(body.encode())
    websocket = await client.websocket("2probe", "5", '42["say",100]')
    gate.set()
    await until(lambda: seen == list(range(101)))
    assert websocket.accepted
    await client.end()


async def test_thrown_out_by_polling_the_goodbye_comes_alone(session: Client) -> None:
    poll = await session.get()
    Recorder.last.socket.disconnect()
    await settle()
    assert poll.body == "41"
    assert (await session.get()).body == "1"
    assert (await session.get()).status == 400


async def test_a_session_that_has_been_thrown_out_can_only_poll_for_its_goodbye(session: Client) -> None:
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

    client = client_of(Strict)
    await client.open()
    await client.post(b'42["go"]')
    [socket] = client.app.server.sockets.values()
    assert not socket.connected
    assert len(socket.writer.outbox) < 8  # of thirty
    frames = (await client.get()).body.split("\x1e")
    assert (frames[0][:8], frames[-1]) == ('42["news', "41")
    await client.end()


async def test_of_those_who_were_thrown_out_between_two_polls_a_thousand_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_table, "MOST_LINGERING", 2)

    class Strict(Recorder):
        async def on_go(self) -> None:
            await self.socket.disconnect()

    client = client_of(Strict)
    sids = []
    for _ in range(4):
        client.sid = ""
        await client.open()
        await client.post(b'42["go"]')
        sids.append(client.sid)
    assert list(client.app.server.sockets) == sids[2:]
    assert (await client.get()).body == "41"
    await client.end()


async def test_only_one_post_may_wait_for_the_one_before() -> None:
    client, gate, _, body = await a_busy_session()
    first = await client.post(body.encode())
    await client.clock.advance(31)  # it is answered, and still goes in
    assert first.status == 200
    second = await client.post(b'42["note",1]')
    assert second.waiting
    third = await client.post(b'42["note",2]')
    assert (third.status, client.app.server.active_sessions) == (400, 1)
    gate.set()
    await client.end()


async def test_a_body_that_is_too_large_and_whole_is_answered_and_done() -> None:
    client = client_of(Recorder, max_payload=100)
    await client.open()
    post = await client.post(b"x" * 101)
    assert (post.status, post.task.done()) == (413, True)
    await client.end()
