"""Engine.IO 4 on the wire of a real server: every rule that the official suite checks, and those it leaves out."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients.wire import ENGINE, SOCKETIO, Peer, Polling, WebSocket, kind_and_value, soon
from tests.conftest import StartServer

UNICODE = "é 漢 😀 𝄞 \u2028 \\n"


def unknown(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return 400, {"code": code, "message": message}


UNKNOWN_TRANSPORT = unknown(0, "Transport unknown")
UNKNOWN_SESSION = unknown(1, "Session ID unknown")
BAD_METHOD = unknown(2, "Bad handshake method")
BAD_REQUEST = unknown(3, "Bad request")
UNSUPPORTED = unknown(5, "Unsupported protocol version")


def status_and_error(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    return answer.status_code, answer.json()


# ---- opening ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ENGINE, SOCKETIO])
async def test_polling_opens_with_five_keys_and_no_others(peer: Peer, path: str) -> None:
    answer = await peer.get(path, EIO="4", transport="polling")
    opened = kind_and_value(answer.text, "0")
    assert opened.pop("sid")
    assert (answer.status_code, opened) == (
        200,
        {"upgrades": ["websocket"], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000},
    )
    assert answer.headers["content-type"].lower() == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [ENGINE, SOCKETIO])
async def test_a_websocket_opens_with_five_keys_and_no_others(peer: Peer, path: str) -> None:
    async with peer.websocket(path) as websocket:
        opened = kind_and_value(await websocket.receive(), "0")
    assert opened.pop("sid")
    assert opened == {"upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}


async def test_session_ids_differ(peer: Peer) -> None:
    assert len({(await peer.polling()).sid for _ in range(10)}) == 10


async def test_the_clients_own_query_is_no_hindrance(peer: Peer) -> None:
    answer = await peer.get(ENGINE, token="a b", EIO="4", transport="polling", t="Q84Pdze", b64="1")
    assert (answer.status_code, answer.text[:1]) == (200, "0")


async def test_without_websockets_no_upgrade_is_offered(start_server: StartServer) -> None:
    server = start_server("tests.conformance.apps:app", env={"TRANSPORTS": "polling"})
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as http:
        peer = Peer(http, server.ws_url)
        answer = await peer.get(SOCKETIO, EIO="4", transport="polling")
        assert kind_and_value(answer.text, "0")["upgrades"] == []
        assert await peer.refused_websocket(SOCKETIO, "EIO=4&transport=websocket") == (400, "Transport unknown")
        answer = await peer.get(SOCKETIO, EIO="4", transport="websocket")
        assert status_and_error(answer) == UNKNOWN_TRANSPORT


@pytest.mark.parametrize(
    ("method", "query", "expected"),
    [
        ("GET", "EIO=4", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4&transport=abc", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4&transport=abc&sid=nobody", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4&transport=polling&sid=nobody", UNKNOWN_SESSION),
        ("POST", "EIO=4&transport=polling&sid=nobody", UNKNOWN_SESSION),
        ("POST", "EIO=4&transport=polling", BAD_METHOD),
        ("PUT", "EIO=4&transport=polling", BAD_METHOD),
        ("DELETE", "EIO=4&transport=polling", BAD_METHOD),
        ("GET", "EIO=4&transport=websocket", BAD_REQUEST),
        ("GET", "transport=polling", UNSUPPORTED),
        ("GET", "EIO=abc&transport=polling", UNSUPPORTED),
        ("GET", "EIO=9&transport=polling", UNSUPPORTED),
    ],
)
async def test_a_wrong_request_is_told_why(peer: Peer, method: str, query: str, expected: Any) -> None:
    answer = await peer.http.request(method, f"{ENGINE}?{query}")
    assert status_and_error(answer) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("EIO=4&transport=websocket&sid=nobody", "Session ID unknown"),
        ("EIO=4", "Transport unknown"),
        ("EIO=4&transport=abc", "Transport unknown"),
        ("transport=websocket", "Unsupported protocol version"),
        ("EIO=abc&transport=websocket", "Unsupported protocol version"),
    ],
)
async def test_a_wrong_websocket_is_refused_before_its_handshake(peer: Peer, query: str, message: str) -> None:
    assert await peer.refused_websocket(ENGINE, query) == (400, message)


async def test_a_session_by_websocket_takes_no_polling(peer: Peer) -> None:
    async with peer.websocket() as websocket:
        sid = kind_and_value(await websocket.receive(), "0")["sid"]
        for method in ("GET", "POST"):
            answer = await Polling(peer, ENGINE, sid).request(method)
            assert status_and_error(answer) == BAD_REQUEST
        await websocket.send("4alive")
        assert await websocket.receive() == "4alive"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_a_session_knows_get_and_post_only(peer: Peer, method: str) -> None:
    session = await peer.polling()
    answer = await session.request(method)
    assert answer.status_code in (400, 405, 500)


# ---- another site's pages --------------------------------------------------------------------------------------

HERE, ELSEWHERE = "http://allowed.example", "http://elsewhere.example"


async def test_a_preflight_is_answered(peer: Peer) -> None:
    session = await peer.polling()
    headers = {
        "origin": HERE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-token",
    }
    answer = await session.request("OPTIONS", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == HERE
    assert {word.strip() for word in answer.headers["access-control-allow-methods"].split(",")} >= {"GET", "POST"}
    assert [word.strip() for word in answer.headers["access-control-allow-headers"].split(",")] == [
        "content-type",
        "x-token",
    ]
    await session.is_open()


async def test_an_allowed_origin_is_named_in_every_answer(peer: Peer) -> None:
    session = await peer.polling()
    answers = [
        await peer.http.get(f"{ENGINE}?EIO=4&transport=polling", headers={"origin": HERE}),
        await session.request("POST", content="4x", headers={"origin": HERE}),
        await session.request("GET", headers={"origin": HERE}),
        await peer.http.get(f"{ENGINE}?EIO=4&transport=polling&sid=nobody", headers={"origin": HERE}),
    ]
    assert [(answer.status_code, answer.headers.get_list("access-control-allow-origin")) for answer in answers] == [
        (200, [HERE]),
        (200, [HERE]),
        (200, [HERE]),
        (400, [HERE]),
    ]


async def test_another_origin_is_not_let_in(peer: Peer) -> None:
    answer = await peer.http.get(f"{ENGINE}?EIO=4&transport=polling", headers={"origin": ELSEWHERE})
    assert (answer.status_code, answer.json()) == (403, {"code": 4, "message": "Forbidden"})
    assert "access-control-allow-origin" not in answer.headers


# ---- messages by polling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ["4hello", "4test1\x1e4test2\x1e4test3", "4hello\x1ebAQIDBA==", "bAA==\x1e4\x1eb\x1e4end", f"4{UNICODE}"],
)
async def test_a_body_comes_back_in_one_poll_as_it_was_sent(peer: Peer, body: str) -> None:
    session = await peer.polling()
    answer = await session.post(body)
    assert (answer.status_code, answer.content) == (200, b"ok")
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-length"] == "2"
    answer = await session.poll()
    assert (answer.status_code, answer.text) == (200, body)
    assert answer.headers["content-type"].lower() == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_a_waiting_poll_is_answered_by_the_first_message(peer: Peer) -> None:
    session = await peer.polling()
    poll = await session.waiting()
    await session.send("4one")
    assert (await poll).text == "4one"
    await session.send("4two")
    assert await session.receive() == "4two"


async def test_a_broken_poll_ends_the_session(peer: Peer) -> None:
    session = await peer.polling()
    poll = await session.waiting()
    poll.cancel()  # httpx closes its connection
    await asyncio.wait({poll})
    deadline = time.monotonic() + 5
    while (await session.post("4x")).status_code != 400:
        assert time.monotonic() < deadline
    await session.is_over()


@pytest.mark.parametrize("body", ["abc", "", "\x1e", "4a\x1e", "b!!!", "7", "4ok\x1e9", "4\udcff"])
async def test_a_body_that_does_not_parse_ends_the_session(peer: Peer, body: str) -> None:
    session = await peer.polling()
    answer = await session.post(body.encode(errors="surrogateescape"))
    assert answer.status_code in (200, 400)
    await session.is_over()


async def test_a_binary_body_ends_the_session(peer: Peer) -> None:
    session = await peer.polling()
    answer = await session.post(b"4hello", "application/octet-stream")
    assert answer.status_code == 400
    await session.is_over()


async def test_a_body_of_exactly_the_limit_is_taken(peer: Peer) -> None:
    session = await peer.polling()
    await session.send("4" + "x" * 999_999)
    assert len(await session.receive()) == 1_000_000


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413(peer: Peer, chunked: bool) -> None:
    session = await peer.polling()
    body = b"4" + b"x" * 1_000_000

    async def pieces() -> Any:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    answer = await session.request("POST", content=pieces() if chunked else body)
    assert (answer.status_code, answer.content) == (413, b"")


async def test_two_polls_at_once_end_the_session(peer: Peer) -> None:
    session = await peer.polling()
    first = await session.waiting()
    second = await session.poll()
    assert second.status_code in (400, 500)
    answer = await first
    assert (answer.status_code, answer.text) == (200, "1")
    await session.is_over()


async def test_two_posts_at_once_end_the_session(peer: Peer) -> None:
    session = await peer.polling()
    go_on = asyncio.Event()

    async def slowly() -> Any:
        yield b"4first"
        await go_on.wait()
        yield b"-end"

    first = asyncio.create_task(session.request("POST", content=slowly()))
    for _ in range(3):
        await peer.get(ENGINE, EIO="4", transport="none")
    second = await session.post("4second")
    assert (second.status_code, second.content) == (400, b"")
    go_on.set()
    await asyncio.wait({first})  # its answer does not matter: the session is over
    await session.is_over()


async def test_a_body_may_come_in_pieces(peer: Peer) -> None:
    session = await peer.polling()

    async def pieces() -> Any:
        for byte in "4é😀".encode():
            yield bytes([byte])

    answer = await session.request("POST", content=pieces())
    assert (answer.status_code, answer.text) == (200, "ok")
    assert await session.receive() == "4é😀"


# ---- messages by websocket -------------------------------------------------------------------------------------


async def test_a_websocket_echoes_text_and_binary(peer: Peer) -> None:
    async with peer.opened() as websocket:
        frames: list[str | bytes] = ["4hello", b"\x01\x02\x03\x04", "4", b"", f"4{UNICODE}", bytes(range(256))]
        await websocket.send(*frames)
        assert await websocket.receive_all(len(frames)) == frames


@pytest.mark.parametrize("frame", ["abc", "", "7", "2", "2probe"])
async def test_a_frame_that_does_not_parse_closes_the_websocket(peer: Peer, frame: str) -> None:
    async with peer.opened() as websocket:
        await websocket.send(frame)
        assert await websocket.closed() == []


@pytest.mark.parametrize("frame", ["6", "5", "3"])
async def test_a_frame_without_meaning_is_ignored(peer: Peer, frame: str) -> None:
    async with peer.opened() as websocket:
        await websocket.send(frame, "4alive")
        assert await websocket.receive() == "4alive"


async def test_a_message_of_the_limit_is_taken_and_a_larger_one_closes(peer: Peer) -> None:
    async with peer.opened() as websocket:
        await websocket.send("4" + "x" * 999_999)
        assert len(await websocket.receive()) == 1_000_000
        await websocket.send("4" + "x" * 1_000_000)
        assert await websocket.closed() == []


# ---- heartbeat -------------------------------------------------------------------------------------------------


async def test_polls_return_pings(quick: Peer) -> None:
    session = await quick.polling()
    for _ in range(3):
        assert await session.receive() == "2"
        await session.send("3")


async def test_a_websocket_receives_pings(quick: Peer) -> None:
    async with quick.opened() as websocket:
        for _ in range(3):
            assert await websocket.receive() == "2"
            await websocket.send("3")


async def test_a_session_without_pong_is_over_by_interval_and_timeout(quick: Peer) -> None:
    session = await quick.polling()
    await asyncio.sleep(0.5)  # the time itself is what is promised
    await session.is_over()


async def test_a_poll_waiting_for_more_is_answered_when_the_pong_fails(quick: Peer) -> None:
    session = await quick.polling()
    assert await session.receive() == "2"
    answer = await session.poll()
    assert (answer.status_code, answer.text) in ((200, "1"), (400, '{"code":1,"message":"Session ID unknown"}'))
    await session.is_over()


async def test_a_websocket_without_pong_is_closed(quick: Peer) -> None:
    async with quick.opened() as websocket:
        begun = time.monotonic()
        assert await websocket.closed() == ["2"]
        assert 0.4 <= time.monotonic() - begun <= 2


async def test_messages_are_no_pong(quick: Peer) -> None:
    async with quick.opened() as websocket:
        begun = time.monotonic()

        async def chatter() -> None:
            with suppress(ConnectionClosed):
                while True:
                    await websocket.send("4x")
                    await asyncio.sleep(0.02)

        talking = asyncio.create_task(chatter())
        frames = await websocket.closed()
        talking.cancel()
        await asyncio.wait({talking})
        assert set(frames) == {"2", "4x"}
        assert frames.count("2") == 1
        assert time.monotonic() - begun <= 2


async def test_a_ping_of_the_client_ends_a_polling_session(peer: Peer) -> None:
    session = await peer.polling()
    answer = await session.post("2")
    assert answer.status_code in (200, 400)
    await session.is_over()


# ---- closing ---------------------------------------------------------------------------------------------------


async def test_a_close_packet_releases_the_waiting_poll_and_ends_the_session(peer: Peer) -> None:
    session = await peer.polling()
    poll = await session.waiting()
    await session.send("1")
    answer = await poll
    assert (answer.status_code, answer.text) == (200, "6")
    await session.is_over()


async def test_a_close_packet_closes_the_websocket(peer: Peer) -> None:
    async with peer.opened() as websocket:
        await websocket.send("1")
        assert await websocket.closed() == []


@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_closed_websocket_ends_the_session(peer: Peer, abruptly: bool) -> None:
    async with peer.websocket() as websocket:
        sid = kind_and_value(await websocket.receive(), "0")["sid"]
        if abruptly:
            websocket.abort()
        else:
            await websocket.close()
        session = Polling(peer, ENGINE, sid)
        deadline = time.monotonic() + 5
        while (await session.poll()).json()["code"] != 1:
            assert time.monotonic() < deadline


# ---- upgrade ---------------------------------------------------------------------------------------------------


async def probe(websocket: WebSocket) -> None:
    await websocket.send("2probe")
    assert await websocket.receive() == "3probe"


async def test_an_upgrade_moves_the_session_to_the_websocket(peer: Peer) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await probe(websocket)
        answer = await session.poll()  # started after the probe
        assert (answer.status_code, answer.text) == (200, "6")
        await websocket.send("5", "4hello")
        assert await websocket.receive() == "4hello"
        for method in ("GET", "POST"):
            assert status_and_error(await session.request(method)) == BAD_REQUEST


async def test_a_poll_waiting_before_the_probe_is_released(peer: Peer) -> None:
    session = await peer.polling()
    poll = await session.waiting()
    async with session.websocket() as websocket:
        await probe(websocket)
        assert (await poll).text == "6"
        assert (await session.poll()).text == "6"  # and any further one
        await websocket.send("5", "4hello")
        assert await websocket.receive() == "4hello"


async def test_an_upgrade_without_probe_is_taken_and_answers_the_waiting_poll(peer: Peer) -> None:
    session = await peer.polling()
    poll = await session.waiting()
    async with session.websocket() as websocket:
        await websocket.send("5", "4hello")
        assert await websocket.receive() == "4hello"
        assert (await poll).text == "6"


async def test_polling_talks_on_while_a_websocket_is_probing(peer: Peer) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await probe(websocket)
        await session.send("4by polling")
        texts = [await session.receive()]
        while texts[-1] == "6":
            texts.append(await session.receive())
        assert texts[-1] == "4by polling"
        await websocket.send("5", "4by websocket")
        assert await websocket.receive() == "4by websocket"


async def test_what_waits_during_the_upgrade_follows_by_websocket(peer: Peer) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await probe(websocket)
        await session.send("4one\x1ebAQ==\x1e4two")  # no poll waits
        await websocket.send("5", "4three")
        assert await websocket.receive_all(4) == ["4one", b"\x01", "4two", "4three"]


async def test_after_the_upgrade_a_poll_is_refused_at_once(peer: Peer) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await websocket.send("2probe", "5")
        answer = await session.poll()
        assert answer.status_code == 400
        assert await websocket.receive() == "3probe"
        await websocket.send("4hello")
        assert await websocket.receive() == "4hello"


async def test_after_the_upgrade_another_websocket_is_accepted_and_closed(peer: Peer) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await probe(websocket)
        await websocket.send("5")
        async with session.websocket() as second:
            assert await second.closed() == []
        await websocket.send("4hello")
        assert await websocket.receive() == "4hello"


async def test_during_the_upgrade_another_websocket_is_accepted_and_closed(peer: Peer) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await probe(websocket)
        async with session.websocket() as second:
            assert await second.closed() == []
        await websocket.send("5", "4hello")
        assert await websocket.receive() == "4hello"


@pytest.mark.parametrize("frame", ["4hello", "3", "1", "abc", "", b"\x01"])
async def test_another_frame_than_the_probe_closes_the_websocket_and_polling_stays(
    peer: Peer, frame: str | bytes
) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await websocket.send(frame)
        assert await websocket.closed() == []
    await session.is_open()


@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_websocket_lost_while_probing_leaves_polling_alone(peer: Peer, abruptly: bool) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await probe(websocket)
        if abruptly:
            websocket.abort()
        else:
            await websocket.close()
    await session.send("4alive?")
    texts = [await session.receive()]
    while texts[-1] == "6":  # the probe had begun to release polls
        texts.append(await session.receive())
    assert texts[-1] == "4alive?"
    async with session.websocket() as websocket:  # and it may try again
        await probe(websocket)
        await websocket.send("5", "4hello")
        assert await websocket.receive() == "4hello"


async def test_an_upgrade_that_is_not_finished_in_time_is_closed(quick: Peer) -> None:
    session = await quick.polling()
    begun = time.monotonic()

    async def keep_polling() -> None:
        while True:
            if "2" in (await session.receive()).split("\x1e"):
                await session.send("3")

    polling = asyncio.create_task(keep_polling())
    async with session.websocket() as websocket:
        await probe(websocket)
        assert await websocket.closed() == []
        assert 0.4 <= time.monotonic() - begun <= 3
    assert not polling.done()
    polling.cancel()
    await asyncio.wait({polling})


async def test_a_websocket_that_is_lost_after_the_upgrade_ends_the_session(peer: Peer) -> None:
    session = await peer.polling()
    async with session.websocket() as websocket:
        await probe(websocket)
        await websocket.send("5", "4hello")
        assert await websocket.receive() == "4hello"
    deadline = time.monotonic() + 5
    while (await session.poll()).json()["code"] != 1:
        assert time.monotonic() < deadline


async def test_an_upgraded_session_goes_on_with_its_pings(quick: Peer) -> None:
    session = await quick.polling()
    async with session.websocket() as websocket:
        await probe(websocket)
        await websocket.send("5")
        for _ in range(3):
            assert await websocket.receive() == "2"
            await websocket.send("3")


async def test_many_sessions_upgrade_side_by_side(peer: Peer) -> None:
    async def one(number: int) -> str | bytes:
        session = await peer.polling()
        async with session.websocket() as websocket:
            await probe(websocket)
            await websocket.send("5", f"4{number}")
            return await websocket.receive()

    assert await soon(asyncio.gather(*map(one, range(20)))) == [f"4{number}" for number in range(20)]
