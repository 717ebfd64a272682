"""From polling to a websocket on the fast lane (Engine.IO), and between the transports of 0.9."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asocketio.testing import settle
from tests.clients.asgi import Client, client_of
from tests.clients.frames import CLOSE, PING, PONG, TEXT, encode_frame
from tests.clients.http import upgrade_request
from tests.clients.memory_connection import MemoryConnection, clocked
from tests.support.worlds import Recorder

UPGRADE_TIMEOUT = 10.0


class Chat(Recorder):
    gate: asyncio.Event

    async def on_wait(self) -> None:
        await self.gate.wait()

    async def on_say(self, *args: Any) -> None:
        self.emit("said", *args)


@pytest.fixture
async def session() -> Any:
    """A polling session that has joined."""
    Chat.gate = asyncio.Event()
    session = client_of(Chat, max_backlog_packets=160)
    await session.open()
    yield session
    Chat.gate.set()
    await session.end()


async def websocket(session: Client, *texts: str) -> MemoryConnection:
    """A websocket for the session."""
    peer = MemoryConnection(clocked(session.app, session.clock))
    await peer.ask(upgrade_request(f"/socket.io/?EIO=4&transport=websocket&sid={session.sid}"))
    await peer.say(*texts)
    return peer


async def end(*peers: MemoryConnection) -> None:
    for peer in peers:
        await peer.bye()
        assert peer.gone
        assert peer.transport.late == []


async def assert_polling_goes_on(session: Client) -> None:
    assert (await session.post(b'427["echo"]')).body == "ok"
    body = (await session.get()).body
    while body == "6":  # a probe had begun to release polls
        body = (await session.get()).body
    assert body == "437[]"


async def test_an_upgrade(session: Client) -> None:
    poll = await session.get()
    peer = await websocket(session, "2probe")
    assert peer.heard() == ["3probe"]
    assert poll.waiting
    await session.clock.advance(0.2)
    assert (poll.status, poll.body) == (200, "6")
    await peer.say("5", '421["echo","é"]')
    assert peer.heard() == ['431["é"]']
    assert not peer.state.tasks
    await session.clock.advance(2 * UPGRADE_TIMEOUT)
    await peer.say('422["echo"]')
    assert peer.heard() == ["432[]"]
    assert Chat.last.reasons == []
    await peer.send(encode_frame(CLOSE))
    assert Chat.last.reasons == ["transport close"]
    assert session.app.server.active_sessions == 0
    await end(peer)


async def test_probe_and_upgrade_in_one_chunk(session: Client) -> None:
    poll = await session.get()
    peer = await websocket(session, "2probe", "5", '421["echo"]')
    assert peer.heard() == ["3probe", "431[]"]
    assert poll.body == "6"
    await end(peer)


async def test_an_upgrade_without_a_probe_answers_the_waiting_poll(session: Client) -> None:
    poll = await session.get()
    peer = await websocket(session, "5", '421["echo"]')
    assert (poll.body, peer.heard()) == ("6", ["431[]"])
    await end(peer)


async def test_what_waits_follows_by_websocket_in_order(session: Client) -> None:
    peer = await websocket(session, "2probe")
    await session.post(b'42["say",1]\x1e451-["say",{"_placeholder":true,"num":0}]\x1ebAQ==\x1e42["say",3]')
    await peer.say("5", '42["say",4]')
    assert peer.heard() == [
        "3probe", '42["said",1]', '451-["said",{"_placeholder":true,"num":0}]', b"\x01", '42["said",3]', '42["said",4]',
    ]  # fmt: skip
    await end(peer)


async def test_large_messages_that_wait_follow_by_websocket(session: Client) -> None:
    texts = [str(n) * 50_000 for n in range(5)]
    for text in texts:
        Chat.last.emit("large", text)
    peer = await websocket(session, "2probe", "5", '421["echo"]')
    assert peer.heard() == ["3probe", *(f'42["large","{text}"]' for text in texts), "431[]"]
    await end(peer)


async def test_what_came_by_polling_comes_first(session: Client) -> None:
    """A POST that is still being taken in: the websocket is not read until it is."""
    body = "\x1e".join(['42["wait"]', *(f'42["say",{n}]' for n in range(100))])
    post = await session.post(body.encode())
    assert post.waiting
    peer = await websocket(session, "2probe", "5", '42["say",100]')
    assert peer.heard() == ["3probe"]
    assert not peer.transport.reading
    Chat.gate.set()
    await settle()
    assert peer.heard() == [f'42["said",{n}]' for n in range(101)]
    assert peer.transport.reading
    await end(peer)


async def test_a_websocket_lost_while_a_post_is_taken_in_leaves_polling_alone(session: Client) -> None:
    body = "\x1e".join(['42["wait"]', *(f'42["say",{n}]' for n in range(100))])
    await session.post(body.encode())
    peer = await websocket(session, "2probe", "5")
    peer.transport.lose()
    await settle()
    Chat.gate.set()
    await settle()
    answer = await session.get()
    await asyncio.sleep(0.03)  # a refusal would be late
    assert (answer.status, answer.body.count("said")) == (200, 100)
    await assert_polling_goes_on(session)
    assert peer.gone


async def test_an_upgrade_that_waits_for_a_post_for_too_long_is_closed_and_polling_goes_on(session: Client) -> None:
    body = "\x1e".join(['42["wait"]', *(f'42["say",{n}]' for n in range(100))])
    await session.post(body.encode())
    peer = await websocket(session, "2probe", "5")
    await session.clock.advance(UPGRADE_TIMEOUT + 0.1)
    assert peer.heard() == ["3probe", "CLOSE 1000"]
    Chat.gate.set()
    await settle()
    await end(peer)
    answer = await session.get()
    assert (answer.status, answer.body.count("said")) == (200, 100)
    await assert_polling_goes_on(session)


async def test_the_session_ends_while_a_post_is_taken_in(session: Client) -> None:
    body = "\x1e".join(['42["wait"]', *(f'42["say",{n}]' for n in range(100))])
    await session.post(body.encode())
    peer = await websocket(session, "2probe", "5")
    Chat.last.socket.close("forced close")
    Chat.gate.set()
    await settle()
    assert peer.heard() == ["3probe", "CLOSE 1000"]
    await end(peer)
    assert session.app.server.active_sessions == 0


async def test_polling_talks_on_while_a_websocket_probes(session: Client) -> None:
    peer = await websocket(session, "2probe")
    await assert_polling_goes_on(session)
    await peer.say("5", '421["echo"]')
    assert peer.heard() == ["3probe", "431[]"]
    await end(peer)


@pytest.mark.parametrize("when", ["during", "after"])
async def test_a_second_websocket_is_accepted_and_closed(session: Client, when: str) -> None:
    first = await websocket(session, "2probe", *(["5"] if when == "after" else []))
    second = await websocket(session)
    assert second.heard() == ["CLOSE 1000"]
    assert second.head.startswith(b"HTTP/1.1 101 ")
    await end(second)
    await first.say(*(["5"] if when == "during" else []), '421["echo"]')
    assert first.heard() == ["3probe", "431[]"]
    assert Chat.last.reasons == []
    await end(first)


async def test_a_second_websocket_that_says_something_is_not_heard(session: Client) -> None:
    first = await websocket(session, "2probe")
    second = await websocket(session, "2probe", "5", '421["echo"]')
    assert second.heard() == ["CLOSE 1000"]
    await end(second)
    await first.say("5", '422["echo"]')
    assert first.heard() == ["3probe", "432[]"]
    await end(first)


@pytest.mark.parametrize("texts", [[], ["2probe"]])
async def test_an_upgrade_that_takes_too_long_is_closed_and_polling_goes_on(session: Client, texts: list[str]) -> None:
    peer = await websocket(session, *texts)
    await session.clock.advance(UPGRADE_TIMEOUT - 0.1)
    assert "CLOSE 1000" not in peer.heard()
    await session.clock.advance(0.2)
    assert peer.heard() == ["CLOSE 1000"]
    await peer.say("5", '42["say","too late"]')
    await end(peer)
    await assert_polling_goes_on(session)
    again = await websocket(session, "2probe", "5", '421["echo"]')
    assert again.heard() == ["3probe", "431[]"]
    await end(again)


@pytest.mark.parametrize("text", ["42hello", "3", "1", "abc", "", "2", "2probes"])
async def test_another_frame_than_the_probe_closes_the_websocket(session: Client, text: str) -> None:
    peer = await websocket(session, text)
    assert peer.heard() == ["CLOSE 1000"]
    await end(peer)
    await assert_polling_goes_on(session)


@pytest.mark.parametrize("how", ["close", "lost", "broken"])
@pytest.mark.parametrize("texts", [[], ["2probe"]])
async def test_a_websocket_that_ends_while_it_probes_leaves_polling_alone(
    session: Client, how: str, texts: list[str]
) -> None:
    peer = await websocket(session, *texts)
    if how == "lost":
        peer.transport.lose()
        await settle()
    else:
        await peer.send(encode_frame(CLOSE) if how == "close" else b"\xff\xff")
    assert peer.gone
    await assert_polling_goes_on(session)
    again = await websocket(session, "2probe", "5", '421["echo"]')
    assert again.heard() == ["3probe", "431[]"]
    await end(again)


async def test_pings_of_the_websocket_while_it_probes(session: Client) -> None:
    peer = await websocket(session)
    await peer.send(encode_frame(PING, b"?") + encode_frame(TEXT, "2probe"))
    assert peer.frames() == [(PONG, b"?"), (TEXT, b"3probe")]
    await end(peer)


@pytest.mark.parametrize("texts", [[], ["2probe"]])
async def test_the_session_ends_while_a_websocket_probes(session: Client, texts: list[str]) -> None:
    peer = await websocket(session, *texts)
    Chat.last.socket.disconnect()
    await settle()
    assert peer.heard()[-1] == "CLOSE 1000"
    await end(peer)
    assert session.app.server.active_sessions == 0


async def test_the_server_ends_while_a_websocket_probes(session: Client) -> None:
    peer = await websocket(session, "2probe")
    peer.lane.shutdown()
    await settle()
    assert peer.heard() == ["3probe", "CLOSE 1000"]
    await end(peer)
    await assert_polling_goes_on(session)


async def test_after_the_upgrade_a_poll_is_refused(session: Client) -> None:
    peer = await websocket(session, "2probe", "5")
    poll = await session.get()
    await asyncio.sleep(0.03)
    assert poll.status == 400
    await peer.say('421["echo"]')
    assert peer.heard()[-1] == "431[]"
    await end(peer)


# ---- 0.9: the newest request carries the session -------------------------------------------------------------------


@pytest.fixture
async def session09() -> Any:
    session = client_of(Chat)
    session.sid = (await session.get(path="/socket.io/1/", query_string=b"")).body.partition(":")[0]
    yield session
    await session.end()


async def websocket09(session: Client, sid: str = "") -> MemoryConnection:
    peer = MemoryConnection(clocked(session.app, session.clock))
    await peer.ask(upgrade_request(f"/socket.io/1/websocket/{sid or session.sid}"))
    return peer


async def test_a_websocket_of_0_9(session09: Client) -> None:
    peer = await websocket09(session09)
    assert peer.heard() == ["1::"]
    await peer.say('5:1+::{"name":"echo","args":["é"]}')
    assert peer.heard() == ['6:::1+["\\u00e9"]']
    await peer.send(encode_frame(CLOSE))
    await end(peer)


async def test_a_second_websocket_of_0_9_takes_over(session09: Client) -> None:
    first = await websocket09(session09)
    assert first.heard() == ["1::"]
    second = await websocket09(session09)
    assert first.heard() == ["CLOSE 1000"]
    await end(first)
    assert Chat.last.reasons == []
    await second.say('5:1+::{"name":"echo","args":[2]}')
    assert second.heard()[-1] == "6:::1+[2]"
    await end(second)
    assert Chat.last.reasons != []


async def test_the_first_websocket_of_0_9_ends_late_and_the_session_stays(session09: Client) -> None:
    first = await websocket09(session09)
    second = await websocket09(session09)
    await first.say('5:7+::{"name":"echo","args":["old way"]}')
    first.transport.lose()
    await settle()
    first.lane.shutdown()
    await settle()
    assert Chat.last.reasons == []
    await second.say('5:1+::{"name":"echo","args":[2]}')
    assert second.heard()[-1] == "6:::1+[2]"
    await end(second)


async def test_a_session_of_0_9_that_is_unknown(session09: Client) -> None:
    peer = await websocket09(session09, "unknown")
    first, close = peer.heard()
    assert str(first).startswith(("0", "7"))
    assert close == "CLOSE 1000"
    await end(peer)


async def busy09(session: MemoryConnection) -> Any:
    """A polling session of 0.9, and a POST that is not in yet."""
    await session.get(path=f"/socket.io/1/xhr-polling/{session.sid}", query_string=b"")
    return await session.post(b"5:::", end=False, path=f"/socket.io/1/xhr-polling/{session.sid}", query_string=b"")


async def test_of_websockets_of_0_9_that_wait_for_a_post_the_newest_takes_over(session09: MemoryConnection) -> None:
    """As where none has to wait. However many come: one is held, and no task for it."""
    post = await busy09(session09)
    tasks = len(asyncio.all_tasks())
    peers = [await websocket09(session09) for _ in range(20)]
    assert [peer.heard() for peer in peers] == [*[["CLOSE 1000"]] * 19, []]
    assert len(asyncio.all_tasks()) == tasks
    await end(*peers[:19])
    post.inbox.put_nowait({"type": "http.request", "body": b'{"name":"say","args":[1]}', "more_body": False})
    await settle()
    assert peers[19].heard() == ['5:::{"name":"said","args":[1]}']
    await end(peers[19])


async def test_of_asgi_websockets_that_wait_for_a_post_the_newest_takes_over(session09: MemoryConnection) -> None:
    post = await busy09(session09)
    path = f"/socket.io/1/websocket/{session09.sid}"
    calls = [await session09.websocket(path=path, query_string=b"") for _ in range(20)]
    assert [call.task.done() and call.closed for call in calls] == [True] * 19 + [False]
    post.inbox.put_nowait({"type": "http.request", "body": b'{"name":"say","args":[1]}', "more_body": False})
    await settle()
    assert calls[19].frames == ['5:::{"name":"said","args":[1]}']
    assert [call.frames for call in calls[:19]] == [[]] * 19


async def test_a_websocket_of_0_9_that_is_lost_while_it_waits_for_a_post(session09: MemoryConnection) -> None:
    post = await busy09(session09)
    peer = await websocket09(session09)
    peer.transport.lose()
    await settle()
    assert peer.gone
    post.inbox.put_nowait({"type": "http.request", "body": b'{"name":"say","args":[1]}', "more_body": False})
    await settle()
    poll = await session09.get(path=f"/socket.io/1/xhr-polling/{session09.sid}", query_string=b"")
    assert poll.body == '5:::{"name":"said","args":[1]}'
