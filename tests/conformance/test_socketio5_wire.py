"""Socket.IO protocol 5 on the wire of a real server, packet by packet."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.clients.wire import SOCKETIO, Peer, WebSocket, kind_and_value

# ---- joining ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packet", "namespace", "auth"),
    [
        ("40", "", {}),
        ("40/", "", {}),
        ("40{}", "", {}),
        ('40{"token":"123"}', "", {"token": "123"}),
        ("40/custom", "/custom,", {}),
        ("40/custom,", "/custom,", {}),
        ('40/custom,{"token":"abc"}', "/custom,", {"token": "abc"}),
        ('40{"é":"😀"}', "", {"é": "😀"}),
    ],
)
async def test_connect_is_answered_before_any_event(peer: Peer, packet: str, namespace: str, auth: Any) -> None:
    async with peer.opened(SOCKETIO) as websocket:
        await websocket.send(packet)
        connected = kind_and_value(await websocket.receive(), f"40{namespace}")
        assert list(connected) == ["sid"]
        assert kind_and_value(await websocket.receive(), f"42{namespace}") == ["auth", auth]


async def test_connect_and_events_by_polling(peer: Peer) -> None:
    session = await peer.polling(SOCKETIO)
    await session.send("40")
    frames = (await session.receive()).split("\x1e")
    if len(frames) == 1:
        frames += (await session.receive()).split("\x1e")
    kind_and_value(frames[0], "40")
    assert frames[1:] == ['42["auth",{}]']
    await session.send('42["message",1]\x1e451-["message",{"_placeholder":true,"num":0}]\x1ebAQI=')
    assert await session.receive() == (
        '42["message-back",1]\x1e451-["message-back",{"_placeholder":true,"num":0}]\x1ebAQI='
    )


async def test_each_namespace_has_an_id_of_its_own(peer: Peer) -> None:
    async with peer.websocket(SOCKETIO) as websocket:
        ids = [kind_and_value(await websocket.receive(), "0")["sid"]]
        for namespace in ("", "/custom,"):
            await websocket.send(f"40{namespace}")
            ids.append(kind_and_value(await websocket.receive(), f"40{namespace}")["sid"])
            await websocket.receive()
    assert len(set(ids)) == 3


@pytest.mark.parametrize("packet", ["40/nope", "40/nope,", '40/nope,{"a":1}'])
async def test_an_unknown_namespace_is_refused_and_the_connection_stays(peer: Peer, packet: str) -> None:
    async with peer.opened(SOCKETIO) as websocket:
        await websocket.send(packet)
        assert await websocket.receive() == '44/nope,{"message":"Invalid namespace"}'
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")


@pytest.mark.parametrize(
    ("namespace", "refusal"),
    [
        ("/auth,", {"message": "not authorized", "data": {"code": 401, "hint": "token"}}),
        ("/closed,", {"message": "closed"}),
    ],
)
async def test_a_refusal_says_why_and_the_connection_stays(peer: Peer, namespace: str, refusal: Any) -> None:
    async with peer.opened(SOCKETIO) as websocket:
        for _ in range(2):  # it may ask again
            await websocket.send(f"40{namespace}")
            assert kind_and_value(await websocket.receive(), f"44{namespace}") == refusal
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")


async def test_a_client_that_joins_nothing_is_closed(quick: Peer) -> None:
    async with quick.opened(SOCKETIO) as websocket:
        begun = time.monotonic()
        assert set(await answer_pings_until_closed(websocket)) <= {"2"}
        assert 0.9 <= time.monotonic() - begun <= 3


async def test_a_client_that_was_refused_everything_is_closed(quick: Peer) -> None:
    async with quick.opened(SOCKETIO) as websocket:
        await websocket.send("40/nope")
        frames = await answer_pings_until_closed(websocket)
        assert frames[0] == '44/nope,{"message":"Invalid namespace"}'
        assert set(frames[1:]) <= {"2"}


async def test_a_client_that_has_joined_is_not_closed(quick: Peer) -> None:
    async with quick.joined() as websocket:
        begun = time.monotonic()
        while time.monotonic() - begun < 1.5:  # longer than it has to join
            assert await websocket.receive() == "2"
            await websocket.send("3")
        await websocket.send('42["message",1]')
        assert '42["message-back",1]' in await websocket.receive_all(1)


async def answer_pings_until_closed(websocket: WebSocket) -> list[str | bytes]:
    frames: list[str | bytes] = []
    while True:
        more = await websocket.next_or_closed()
        if more is None:
            return frames
        frames.append(more)
        if more == "2":
            await websocket.send_if_open("3")


# ---- leaving ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packet", ["41", "41/"])
async def test_leaving_has_no_answer_and_keeps_the_connection(quick: Peer, packet: str) -> None:
    async with quick.joined() as websocket:
        await websocket.send(packet)
        assert await websocket.receive() == "2"


@pytest.mark.parametrize("packet", ["41/custom", "41/custom,"])
async def test_leaving_one_namespace_leaves_the_others_alone(peer: Peer, packet: str) -> None:
    async with peer.joined() as websocket:
        await websocket.send("40/custom")
        kind_and_value(await websocket.receive(), "40/custom,")
        assert await websocket.receive() == '42/custom,["auth",{}]'
        await websocket.send(packet, '42["message","to the main one"]')
        assert await websocket.receive() == '42["message-back","to the main one"]'


async def test_a_namespace_can_be_joined_again(peer: Peer) -> None:
    async with peer.joined() as websocket:
        ids = set()
        for _ in range(3):
            await websocket.send("41", "40")
            ids.add(kind_and_value(await websocket.receive(), "40")["sid"])
            assert await websocket.receive() == '42["auth",{}]'
        assert len(ids) == 3


async def test_events_for_a_namespace_left_are_dropped(peer: Peer) -> None:
    async with peer.joined() as websocket:
        await websocket.send("40/custom,")
        await websocket.receive_all(2)
        await websocket.send(
            "41/custom,", '42/custom,["message","lost"]', '42/custom,1["message-with-ack"]', "41/custom,"
        )
        await websocket.send('42["message","alive"]')
        assert await websocket.receive() == '42["message-back","alive"]'


async def test_the_server_ends_a_namespace(peer: Peer) -> None:
    async with peer.joined() as websocket:
        await websocket.send("40/custom,")
        await websocket.receive_all(2)
        await websocket.send('42/custom,["quit"]')
        assert await websocket.receive() == "41/custom,"
        await websocket.send('42["quit"]')
        assert await websocket.receive() == "41"


async def test_the_server_ends_the_whole_client(peer: Peer) -> None:
    async with peer.joined() as websocket:
        await websocket.send("40/custom,")
        await websocket.receive_all(2)
        await websocket.send('42["quit all"]')
        assert sorted(map(str, await websocket.closed())) == ["41", "41/custom,"]


async def test_the_server_ends_a_polling_client(peer: Peer) -> None:
    session = await peer.polling(SOCKETIO)
    await session.send("40")
    while "auth" not in await session.receive():
        pass
    await session.send('42["quit all"]')
    frames: list[str] = []
    while "1" not in frames:
        answer = await session.poll()
        assert answer.status_code == 200, (frames, answer.text)
        frames += answer.text.split("\x1e")
        # Clients act on a close at once, and on other packets a moment later: together they would lose the "41".
        assert answer.text == "1" or "1" not in answer.text.split("\x1e")
    assert [frame for frame in frames if frame != "6"] == ["41", "1"]
    await session.is_over()


# ---- events and acks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']),
        (['42["message"]'], ['42["message-back"]']),
        (['42["message","é😀\\n",1]'], ['42["message-back","é😀\\n",1]']),
        (['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]']),
        (['420["message-with-ack","x"]'], ['430["x"]']),
        (['420["message-with-ack"]'], ["430[]"]),
        (['421["none"]'], ["431[]"]),
        (['42/,1["none"]'], ["431[]"]),
        (
            [
                '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
            [
                '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
        ),
        (
            [
                '452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
            ['462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"\x01\x02\x03", b"\x04\x05\x06"],
        ),
        (
            ['452-["message",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]', b"\x01", b"\x00"],
            [
                '452-["message-back",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]',
                b"\x01",
                b"\x00",
            ],
        ),
    ],
)
async def test_a_packet_is_answered(peer: Peer, sent: list[str | bytes], expected: list[str | bytes]) -> None:
    async with peer.joined() as websocket:
        await websocket.send(*sent)
        assert await websocket.receive_all(len(expected)) == expected


async def test_a_namespace_is_written_on_its_packets(peer: Peer) -> None:
    async with peer.joined("/custom,") as websocket:
        await websocket.send('42/custom,7["message-with-ack",1]', '42/custom,["message",2]')
        assert await websocket.receive_all(2) == ["43/custom,7[1]", '42/custom,["message-back",2]']
        await websocket.send('451-/custom,8["message-with-ack",{"_placeholder":true,"num":0}]', b"\x07")
        assert await websocket.receive_all(2) == ['461-/custom,8[{"_placeholder":true,"num":0}]', b"\x07"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (["43{id}[]"], [None]),
        (['43{id}["é😀",1]'], [["é😀", 1]]),
        (['43{id}["one"]'], ["one"]),
        (['43{id}[["list"]]'], [["list"]]),
    ],
)
async def test_the_server_asks_and_the_client_answers(peer: Peer, answer: list[str], expected: list[Any]) -> None:
    async with peer.joined() as websocket:
        await websocket.send('42["ask","q",1]')
        question = await websocket.receive()
        assert isinstance(question, str)
        number, bracket, rest = question.removeprefix("42").partition("[")
        assert json.loads(bracket + rest) == ["question", "q", 1]
        await websocket.send(*(frame.replace("{id}", number) for frame in answer))
        assert (
            await websocket.receive()
            == f'42["answered",{json.dumps(expected[0], ensure_ascii=False, separators=(",", ":"))}]'
        )


async def test_the_client_answers_with_binary(peer: Peer) -> None:
    async with peer.joined() as websocket:
        await websocket.send('42["ask","q"]')
        question = await websocket.receive()
        assert isinstance(question, str)
        number = question.removeprefix("42").partition("[")[0]
        await websocket.send(f'461-{number}[{{"_placeholder":true,"num":0}}]', b"\x00\x80")
        assert await websocket.receive_all(2) == ['451-["answered",{"_placeholder":true,"num":0}]', b"\x00\x80"]


async def test_the_server_asks_with_binary(peer: Peer) -> None:
    async with peer.joined() as websocket:
        await websocket.send('451-["ask",{"_placeholder":true,"num":0}]', b"\x09")
        question = await websocket.receive()
        assert isinstance(question, str)
        number = question.removeprefix("451-").partition("[")[0]
        assert question == f'451-{number}["question",{{"_placeholder":true,"num":0}}]'
        assert await websocket.receive() == b"\x09"
        await websocket.send(f"43{number}[true]")
        assert await websocket.receive() == '42["answered",true]'


async def test_numbers_of_acks_may_be_large(peer: Peer) -> None:
    async with peer.joined() as websocket:
        await websocket.send('429007199254740991["message-with-ack","big"]')
        assert await websocket.receive() == '439007199254740991["big"]'


# ---- what ends the connection ----------------------------------------------------------------------------------

PLACEHOLDER = '{"_placeholder":true,"num":0}'
ENDS = [
    ["4abc"],
    ["49"],
    ["4"],
    ["47"],
    ["42{}"],
    ["42[]"],
    ["42"],
    ['42["disconnect"]'],
    ['42["connect"]'],
    ['42["connect_error"]'],
    ['42["disconnecting"]'],
    ['42abc["message-with-ack",1,"2",{"3":[false]}]'],
    ['42["message"'],
    ['42["message",NaN]'],
    ['42["message",' + "[" * 200 + "]" * 200 + "]"],
    ["431{}"],
    ["40[1]"],
    ['40/custom,"text"'],
    ["41{}"],
    ['44{"message":"x"}'],
    ["45"],
    ['45["message"]'],
    ['451["message"]'],
    [f'45x-["message",{PLACEHOLDER}]'],
    [b"\x01"],  # no packet announced it
    [f'451-["message",{PLACEHOLDER}]', '42["message",1]'],
    [f'451-["message",{PLACEHOLDER}]', "40/custom"],
    ['451-["message",{"_placeholder":true,"num":1}]', b"\x01"],
    ['451-["message",{"_placeholder":true,"num":-1}]', b"\x01"],
    ['451-["message",{"_placeholder":true,"num":"0"}]', b"\x01"],
    ['42/custom,["message"]'],  # not joined
    ['42/custom,1["message-with-ack"]'],
    ['42/nope,["message"]'],
    ["43/custom,1[]"],
    ["41/custom,"],
    ["4511-" + '["message"]'],  # more attachments than the server takes
]


@pytest.mark.parametrize("frames", ENDS, ids=str)
async def test_a_packet_against_the_rules_closes_the_connection(peer: Peer, frames: list[str | bytes]) -> None:
    async with peer.joined() as websocket:
        await websocket.send_if_open(*frames)
        assert await websocket.closed() == []


async def test_a_second_connect_is_ignored(peer: Peer) -> None:
    """React's strict mode sends one before the answer to the first."""
    async with peer.joined() as websocket:
        await websocket.send("40")
        await websocket.send('421["message-with-ack",1]')
        assert await websocket.receive() == "431[1]"


@pytest.mark.parametrize(
    "frame", ["4abc", '42["message"]', "41", "431[]", '40"text"', "40[1]", b"\x01", '42/custom,["message"]'], ids=str
)
async def test_nothing_but_connect_comes_first(peer: Peer, frame: str | bytes) -> None:
    async with peer.opened(SOCKETIO) as websocket:
        await websocket.send(frame)
        assert await websocket.closed() == []


async def test_one_bad_packet_in_a_body_ends_a_polling_client(peer: Peer) -> None:
    session = await peer.polling(SOCKETIO)
    answer = await session.post('40\x1e4abc\x1e42["message",1]')
    assert answer.status_code in (200, 400)
    answer = await session.poll()
    while answer.status_code == 200:  # what was on its way, then the end
        assert "message-back" not in answer.text
        answer = await session.poll()
    await session.is_over()


@pytest.mark.parametrize("frame", ["43999[]", '43999["x"]', "6", "3", "5", "42[1,2]", "40/nope"])
async def test_a_packet_without_addressee_is_ignored(peer: Peer, frame: str) -> None:
    async with peer.joined() as websocket:
        await websocket.send(frame, '42["message","alive"]')
        frames = [await websocket.receive()]
        while frames[-1] != '42["message-back","alive"]':
            frames.append(await websocket.receive())
        assert all(str(other).startswith(("44/nope,", '42["error",')) for other in frames[:-1])
