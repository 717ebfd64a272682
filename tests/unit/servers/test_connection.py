"""Connection and `WebSocketProtocol` on a transport in memory: what is written for what comes in."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asocketio import BaseNamespace, BroadcastMixin, SocketIOApp
from asocketio.protocol import websocket_frames as lane_frames
from asocketio.servers.uvicorn import EARLY
from asocketio.testing import TestClock, settle
from tests.clients.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, encode_frame
from tests.clients.http import OPENING, upgrade_request
from tests.clients.memory_connection import MemoryConnection, MemoryTransport, clocked, opened
from tests.support.worlds import Recorder
from tests.unit.servers.oracle import cut

LARGE = "x" * 100_000
Step = Callable[[], Awaitable[Any]]


# ---- pings and closes: no socket needed --------------------------------------------------------------------------


class Bare:
    """A connection of a session that says nothing."""

    def __init__(self, peer: MemoryConnection) -> None:
        self.peer = peer
        self.transport = peer.transport

    def hears(self, *chunks: bytes) -> list[bytes]:
        """What is written for these, at once."""
        before = len(self.transport.writes)
        self.peer.comes(*chunks)
        assert self.transport.late == []
        return self.transport.writes[before:]


@pytest.fixture
async def bare() -> Bare:
    return Bare(await opened(SocketIOApp(namespaces={"/": Recorder}, max_payload=1000)))


@pytest.mark.parametrize("chop", [1, 999])
@pytest.mark.parametrize("payload", [b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125])
async def test_pings_are_answered_with_their_payload(bare: Bare, payload: bytes, chop: int) -> None:
    """Autobahn 2.1 to 2.4, 2.6, 2.10, 2.11."""
    pings = [encode_frame(PING, payload + bytes((number,)) if len(payload) < 125 else payload) for number in range(10)]
    pongs = [
        encode_frame(PONG, payload + bytes((number,)) if len(payload) < 125 else payload, key=None)
        for number in range(10)
    ]
    assert b"".join(bare.hears(*cut(b"".join(pings), chop))) == b"".join(pongs)
    assert not bare.transport.closing


async def test_pongs_are_not_answered(bare: Bare) -> None:
    """Autobahn 2.7 to 2.9."""
    assert bare.hears(encode_frame(PONG), encode_frame(PONG, b"unsolicited")) == []
    assert bare.hears(encode_frame(PING, b"ping")) == [encode_frame(PONG, b"ping", key=None)]


async def test_a_ping_within_a_message_is_answered_at_once(bare: Bare) -> None:
    assert bare.hears(encode_frame(TEXT, "a", fin=False), encode_frame(PING, b"p")) == [
        encode_frame(PONG, b"p", key=None)
    ]


@pytest.mark.parametrize(
    "payload",
    [b"", close_payload(1000), close_payload(1000, "Hello World!"), close_payload(1000, "*" * 123)]
    + [close_payload(code) for code in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)],
)
async def test_a_close_is_echoed_once(bare: Bare, payload: bytes) -> None:
    """Autobahn 7.1.2, 7.3, 7.7."""
    assert bare.hears(encode_frame(CLOSE, payload) + encode_frame(CLOSE, payload)) == [
        encode_frame(CLOSE, payload, key=None)
    ]
    assert bare.transport.closing


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(encode_frame(CLOSE, b"a"), 1002, id="7.3.2"),
        pytest.param(encode_frame(CLOSE, close_payload(1000, "*" * 124)), 1002, id="7.3.6"),
        pytest.param(encode_frame(CLOSE, close_payload(1000, b"\xed\xa0\x80")), 1007, id="7.5.1"),
        *(
            pytest.param(encode_frame(CLOSE, close_payload(code)), 1002, id=f"7.9, {code}")
            for code in (0, 999, 1005, 1006, 5000)
        ),
        pytest.param(encode_frame(PING, bytes(126)), 1002, id="2.5"),
        pytest.param(encode_frame(TEXT, reserved=4), 1002, id="3.1"),
        pytest.param(encode_frame(11), 1002, id="4.2.1"),
        pytest.param(encode_frame(PING, fin=False), 1002, id="5.1"),
        pytest.param(encode_frame(CONT), 1002, id="5.9"),
        pytest.param(encode_frame(TEXT, b"\xff"), 1007, id="6.16.2"),
        pytest.param(encode_frame(BINARY, bytes(1001)), 1009, id="too large"),
        pytest.param(encode_frame(TEXT, key=None), 1002, id="unmasked"),
    ],
)
async def test_what_is_wrong_ends_with_its_code(bare: Bare, data: bytes, code: int) -> None:
    (written,) = bare.hears(data + encode_frame(PING), encode_frame(PING))
    assert written[:1] == bytes((0x80 | CLOSE,))
    assert int.from_bytes(written[2:4]) == code
    assert written[1] == len(written) - 2 <= 125
    assert bool(written[4:].decode()) == (code != 1009)
    assert bare.transport.closing


async def test_nothing_is_heard_after_a_close(bare: Bare) -> None:
    """Autobahn 7.1.3 to 7.1.5."""
    late = encode_frame(PING) + encode_frame(TEXT, b"\xff") + encode_frame(CONT)
    assert len(bare.hears(encode_frame(CLOSE) + late, late)) == 1


async def test_a_peer_that_does_not_read_gets_no_pongs(bare: Bare) -> None:
    bare.transport.stuck = True
    for _ in range(100):
        bare.hears(encode_frame(PING, b"x" * 125) * 50)
        await settle()
    assert bare.transport.waiting < 65_536 + 200
    bare.transport.drain()
    assert bare.hears(encode_frame(PING, b"again")) == [encode_frame(PONG, b"again", key=None)]


# ---- sessions ----------------------------------------------------------------------------------------------------


class Chat(Recorder, BroadcastMixin):
    async def on_burst(self, count: int) -> None:
        for number in range(count):
            self.emit("n", number)

    async def on_large(self, *texts: str) -> None:
        for text in texts:
            self.emit("large", text)

    async def on_send_and_leave(self, count: int, size: int) -> None:
        for number in range(count):
            self.emit("n", number, "x" * size)
        await self.disconnect()

    async def on_throw_out(self) -> None:
        await self.socket.disconnect()


@pytest.fixture
def app() -> SocketIOApp:
    return SocketIOApp(namespaces={"/": Chat})


@pytest.fixture
async def chat(app: SocketIOApp) -> MemoryConnection:
    return await opened(app, TestClock())


async def test_a_session_from_its_opening_to_its_end(app: SocketIOApp, chat: MemoryConnection) -> None:
    await chat.say('421["echo","é"]', '42["burst",2]')
    assert chat.heard() == ['431["é"]', '42["n",0]', '42["n",1]']
    assert not chat.state.tasks, "the ASGI call has ended"
    await chat.send(encode_frame(CLOSE, close_payload(1001)))
    assert chat.heard() == ["CLOSE 1001"]
    assert chat.gone
    assert Chat.last.reasons == ["transport close"]
    assert (app.server.sockets, app.server.active_sessions) == ({}, 0)


async def test_binary_both_ways(chat: MemoryConnection) -> None:
    await chat.send(
        encode_frame(TEXT, '451-2["echo",{"_placeholder":true,"num":0}]', fin=False)
        + encode_frame(CONT)
        + encode_frame(BINARY, b"\x00\xff", fin=False)
        + encode_frame(PING, b"!")
        + encode_frame(CONT, b"\x80")
    )
    assert chat.frames() == [
        (PONG, b"!"),
        (TEXT, b'461-2[{"_placeholder":true,"num":0}]'),
        (BINARY, b"\x00\xff\x80"),
    ]


@pytest.mark.parametrize("size", [1, 7, 1000, 65_536])
async def test_messages_are_answered_in_order_however_they_are_cut(chat: MemoryConnection, size: int) -> None:
    wire = b"".join(encode_frame(TEXT, f'42{n}["echo",{n}]') for n in range(500))
    for chunk in cut(wire, size):
        chat.comes(chunk)
        await asyncio.sleep(0)
    await settle()
    assert chat.heard() == [f"43{n}[{n}]" for n in range(500)]


async def test_a_long_chunk_lets_others_have_their_turns(app: SocketIOApp, chat: MemoryConnection) -> None:
    other = await opened(app)
    chat.comes(b"".join(encode_frame(TEXT, f'42{n}["echo",{n}]') for n in range(1000)))
    other.comes(encode_frame(TEXT, '421["echo","me"]'))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert other.heard() == ['431["me"]']
    assert len(chat.heard()) < 1000
    await settle()


async def test_what_is_sent_in_one_turn_is_one_write(chat: MemoryConnection) -> None:
    before = len(chat.transport.writes)
    await chat.say('42["burst",16]')
    assert len(chat.transport.writes) - before == 1
    assert chat.heard() == [f'42["n",{n}]' for n in range(16)]


async def test_answers_to_what_came_in_one_chunk_are_one_write(chat: MemoryConnection) -> None:
    before = len(chat.transport.writes)
    await chat.say(*(f'42{n}["echo"]' for n in range(16)))
    assert len(chat.transport.writes) - before == 1
    assert chat.heard() == [f"43{n}[]" for n in range(16)]


async def test_large_payloads_are_not_joined_and_arrive_as_they_were(chat: MemoryConnection) -> None:
    before = len(chat.transport.writes)
    Chat.last.emit("a", "small")
    Chat.last.emit("b", LARGE)
    Chat.last.emit("c", bytes(20_000), "small", b"tiny")
    Chat.last.emit("d")
    await settle()
    sizes = [len(write) for write in chat.transport.writes[before:]]
    assert len(f'42["b","{LARGE}"]') in sizes
    assert 20_000 in sizes
    assert chat.heard() == [
        '42["a","small"]',
        f'42["b","{LARGE}"]',
        '452-["c",{"_placeholder":true,"num":0},"small",{"_placeholder":true,"num":1}]',
        bytes(20_000),
        b"tiny",
        '42["d"]',
    ]


@pytest.mark.parametrize(("module", "calls"), [("uvloop.loop", 1), ("asyncio.selector_events", 0)])
async def test_a_large_payload_is_one_call_where_that_counts_what_it_buffers(
    app: SocketIOApp, monkeypatch: pytest.MonkeyPatch, module: str, calls: int
) -> None:
    monkeypatch.setattr(MemoryTransport, "__module__", module)
    peer = await opened(app)
    Chat.last.emit("a", LARGE)
    Chat.last.emit("b")
    await settle()
    assert peer.transport.together == calls
    assert peer.heard() == [f'42["a","{LARGE}"]', '42["b"]']


async def test_a_broadcast_is_framed_once(app: SocketIOApp, monkeypatch: pytest.MonkeyPatch) -> None:
    peers = [await opened(app) for _ in range(5)]
    framings = 0
    frames_of = lane_frames.frames_of

    def counted(messages: Any) -> Any:
        nonlocal framings
        framings += 1
        return frames_of(messages)

    monkeypatch.setattr("asocketio.protocol.base.frames_of", counted)
    await app.of("/").emit("all", LARGE)
    await app.of("/").emit("small")
    await settle()
    assert framings == 2
    assert [peer.heard() for peer in peers] == [[f'42["all","{LARGE}"]', '42["small"]']] * 5
    assert len({id(peer.transport.writes[-1]) for peer in peers}) == 1


@pytest.mark.parametrize("limits", [(100_000, 1000), (1000, 100_000)], ids=["max_payload", "ws_max_size"])
async def test_both_limits_count(limits: tuple[int, int]) -> None:
    server_limit, limit = limits
    app = SocketIOApp(namespaces={"/": Chat}, max_payload=limit)
    peer = await opened(app, ws_max_size=server_limit)
    filling = 1000 - len('421["echo",""]')
    await peer.say(f'421["echo","{"x" * filling}"]')
    assert len(peer.heard()) == 1
    await peer.say(f'421["echo","{"x" * (filling + 1)}"]')
    assert peer.heard() == ["CLOSE 1009"]
    assert peer.gone
    assert app.server.active_sessions == 0


async def test_attachments_that_are_too_large_together_end_as_one_message_would() -> None:
    peer = await opened(SocketIOApp(namespaces={"/": Chat}, max_attachment_bytes=50))
    await peer.say('451-["echo",{"_placeholder":true,"num":0}]', b"x" * 51)
    assert peer.heard() == ["CLOSE 1009"]
    assert Chat.last.reasons == ["transport error"]


async def test_what_breaks_the_protocol_above_ends_the_socket(chat: MemoryConnection) -> None:
    await chat.say('421["echo"]', "4?", '422["echo"]')
    assert chat.heard() == ["431[]", "CLOSE 1000"]
    assert Chat.last.reasons == ["parse error"]
    await chat.bye()
    assert chat.gone


# ---- before the 101 ----------------------------------------------------------------------------------------------


async def test_a_peer_that_sends_before_it_is_answered() -> None:
    """An impatient client: what it sends waits for the view, and none of it is lost."""
    from asocketio import socketio_manage

    gate = asyncio.Event()

    async def view(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await socketio_manage(scope, {"/": Chat})

    peer = MemoryConnection(SocketIOApp(view))
    await peer.ask(
        upgrade_request(),
        encode_frame(TEXT, "40"),
        encode_frame(TEXT, '421["echo"]') + encode_frame(TEXT, '422["echo"]')[:5],
    )
    assert peer.transport.writes == []
    gate.set()
    await settle()
    await peer.send(encode_frame(TEXT, '422["echo"]')[5:])
    opened, joined, *answers = peer.heard()
    assert str(opened).startswith("0{")
    assert str(joined).startswith("40{")
    assert answers == ["431[]", "432[]"]
    await peer.send(encode_frame(CLOSE))
    assert peer.gone


async def test_a_peer_that_sends_with_its_request() -> None:
    peer = MemoryConnection(SocketIOApp(namespaces={"/": Chat}))
    await peer.ask(upgrade_request(), encode_frame(TEXT, "40"), encode_frame(TEXT, '421["echo"]'))
    assert [str(message)[:2] for message in peer.heard()] == ["0{", "40", "43"]


async def test_a_peer_that_sends_much_before_it_is_answered_is_not_read() -> None:
    gate = asyncio.Event()
    seen: list[Any] = []

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await gate.wait()
        await send({"type": "websocket.accept"})
        for _ in range(4):
            seen.append((await receive())["text"])

    peer = MemoryConnection(SocketIOApp(plain, namespaces={"/": Chat}))
    messages = [f"{n}" * 30_000 for n in range(4)]
    await peer.ask(upgrade_request("/other"), *(encode_frame(TEXT, message) for message in messages))
    assert not peer.transport.reading
    assert EARLY < 120_000
    gate.set()
    await settle()
    assert seen == messages


async def test_a_peer_that_leaves_before_it_is_answered() -> None:
    left: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        left.append((await receive())["type"])

    app = SocketIOApp(view)
    peer = MemoryConnection(app)
    await peer.ask()
    peer.transport.lose()
    await settle()
    assert left == ["http.disconnect"]
    assert peer.gone
    assert app.server.active_sessions == 0


# ---- a peer that does not read -------------------------------------------------------------------------------------


async def test_what_a_slow_peer_gets_is_whole_and_in_order(chat: MemoryConnection) -> None:
    chat.transport.stuck = True
    for number in range(30):
        Chat.last.emit("n", number, LARGE[: 10_000 * (number % 5)])
        await settle()
    assert chat.transport.waiting < 200_000, "the rest waits in the outbox"
    await chat.say('427["echo"]')
    chat.transport.drain()
    await settle()
    texts = [f'42["n",{n},"{LARGE[: 10_000 * (n % 5)]}"]' for n in range(30)]
    assert chat.heard() == [*texts, "437[]"]


async def test_a_peer_that_does_not_read_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    app = SocketIOApp(namespaces={"/": Chat}, max_outbox=500_000)
    peer = await opened(app)
    peer.transport.stuck = True
    for _ in range(8):
        Chat.last.emit("n", LARGE)
        await settle()
    assert "max_outbox" in caplog.text
    assert Chat.last.reasons == ["transport error"]
    assert app.server.active_sessions == 0
    assert peer.transport.waiting < 300_000
    assert peer.transport.late == []


@pytest.fixture
def short_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asocketio.servers.connection.CLOSE_TIMEOUT", 0.02)


@pytest.mark.usefixtures("short_goodbye")
@pytest.mark.parametrize("how", ["too slow", "thrown out", "leaves", "breaks", "shutdown"])
async def test_the_connection_of_a_peer_that_never_reads_is_cut(how: str) -> None:
    """`close` alone waits until the buffer is empty: for such a peer, for ever."""
    app = SocketIOApp(namespaces={"/": Chat}, max_outbox=500_000)
    peer = await opened(app)
    peer.transport.stuck = True
    for _ in range(8 if how == "too slow" else 3):
        Chat.last.emit("n", LARGE)
        await settle()
    if how == "thrown out":
        Chat.last.socket.disconnect()
    elif how == "leaves":
        await peer.send(encode_frame(CLOSE))
    elif how == "breaks":
        await peer.send(b"\xff\xff")
    elif how == "shutdown":
        peer.lane.shutdown()
    await settle()
    assert not peer.transport.ended
    await asyncio.sleep(0.05)
    assert peer.transport.aborted
    await settle()
    assert peer.gone
    assert app.server.active_sessions == 0


@pytest.mark.usefixtures("short_goodbye")
async def test_a_peer_that_does_not_answer_a_close_is_cut(app: SocketIOApp, chat: MemoryConnection) -> None:
    await chat.say('42["throw_out"]')
    assert chat.heard() == ["41", "CLOSE 1000"]
    assert not chat.transport.closing
    await chat.say('421["echo"]', "3")
    await asyncio.sleep(0.05)
    await settle()
    assert chat.gone
    assert chat.frames() == []
    assert app.server.active_sessions == 0


async def test_a_slow_peer_gets_all_that_was_sent_before_the_end(chat: MemoryConnection) -> None:
    chat.transport.stuck = True
    await chat.say('42["send_and_leave",10,30000]')
    chat.transport.drain()
    await settle()
    *events, last = chat.heard()[:11]
    assert events == [f'42["n",{n},"{"x" * 30_000}"]' for n in range(10)]
    assert last == "41"


async def test_a_socket_that_is_thrown_out_gets_all_that_was_sent_before(chat: MemoryConnection) -> None:
    chat.transport.stuck = True
    await chat.say('42["burst",1]', f'42["large","{LARGE}","{LARGE}","{LARGE}"]', '42["throw_out"]')
    chat.transport.drain()
    await settle()
    assert chat.heard() == ['42["n",0]', *[f'42["large","{LARGE}"]'] * 3, "41", "CLOSE 1000"]
    await chat.bye()
    assert chat.gone


async def test_senders_that_wait_go_on_when_the_peer_reads(app: SocketIOApp) -> None:
    sent: list[int] = []

    class Stream(BaseNamespace):
        async def on_stream(self) -> None:
            for number in range(20):
                await self.emit("n", number, LARGE)
                sent.append(number)

    peer = await opened(SocketIOApp(namespaces={"/": Stream}, max_outbox=1_600_000))
    peer.transport.stuck = True
    await peer.say('42["stream"]')
    assert 1 <= len(sent) < 10
    for _ in range(30):
        peer.transport.drain()
        await settle()
    assert sent == list(range(20))
    assert len(peer.heard()) == 20


# ---- a server that does not read -----------------------------------------------------------------------------------


class Gated(Recorder):
    gate: asyncio.Event
    seen: list[int]

    async def on_wait(self) -> None:
        await self.gate.wait()

    async def on_say(self, number: int) -> None:
        self.seen.append(number)


@pytest.fixture
async def gated() -> MemoryConnection:
    Gated.gate, Gated.seen = asyncio.Event(), []
    return await opened(SocketIOApp(namespaces={"/": Gated}, max_backlog_packets=160), TestClock())


@pytest.mark.parametrize("size", [100, 100_000])
async def test_a_busy_server_does_not_read(gated: MemoryConnection, size: int) -> None:
    data = b"".join(encode_frame(TEXT, f'42["say",{n}]') for n in range(100))
    gated.comes(encode_frame(TEXT, '42["wait"]'))
    for chunk in cut(data, size):
        gated.comes(chunk)
    await settle()
    assert not gated.transport.reading
    assert gated.transport.pauses == 1
    assert Gated.seen == []
    Gated.gate.set()
    await settle()
    assert Gated.seen == list(range(100))
    assert gated.transport.reading
    await gated.say('42["say",100]')
    assert Gated.seen[-1] == 100


async def test_a_busy_server_that_stays_full_pauses_again(gated: MemoryConnection) -> None:
    for turn in range(3):
        Gated.gate.clear()
        await gated.say('42["wait"]', *(f'42["say",{n}]' for n in range(turn * 50, turn * 50 + 50)))
        assert not gated.transport.reading
        Gated.gate.set()
        await settle()
        assert gated.transport.reading
    assert Gated.seen == list(range(150))


async def test_a_connection_that_is_lost_while_it_is_not_read(gated: MemoryConnection) -> None:
    await gated.say('42["wait"]', *(f'42["say",{n}]' for n in range(100)))
    assert not gated.transport.reading
    gated.transport.lose(ConnectionResetError())
    await settle()
    Gated.gate.set()
    await settle()
    assert Gated.last.reasons == ["transport close"]
    assert gated.gone


async def test_a_socket_that_closes_while_it_is_not_read(gated: MemoryConnection) -> None:
    await gated.say('42["wait"]', *(f'42["say",{n}]' for n in range(100)))
    Gated.last.socket.disconnect()
    await settle()
    assert gated.heard() == ["41", "CLOSE 1000"]
    Gated.gate.set()
    await settle()
    await gated.bye()
    assert gated.gone
    assert gated.transport.late == []


@pytest.mark.parametrize(
    "data", [encode_frame(PONG), encode_frame(TEXT, "3"), encode_frame(TEXT, '42["say",1]')], ids=["pong", "3", "say"]
)
async def test_a_flood_of_small_frames_is_not_read_faster_than_it_is_handled(
    gated: MemoryConnection, data: bytes
) -> None:
    """Frames are handled a slice a turn; what a peer may send in that turn is thousands."""
    chunk = data * (65_536 // len(data))
    taken = 0
    for _ in range(50):
        if gated.transport.reading:
            gated.comes(chunk)
            taken += len(chunk)
        await asyncio.sleep(0)
    assert taken < 10 * len(chunk), "what waits to be read grows without bound"


# ---- the end -------------------------------------------------------------------------------------------------------


async def test_nothing_is_written_after_a_close(chat: MemoryConnection) -> None:
    """What was sent just before the client's close goes before the answer to it, or nowhere."""
    await chat.send(encode_frame(TEXT, '421["echo"]') + encode_frame(CLOSE, close_payload(1000)))
    assert chat.transport.late == []
    assert chat.heard() in (["CLOSE 1000"], ["431[]", "CLOSE 1000"])
    assert chat.gone


async def test_nothing_is_written_after_the_end_of_a_socket(chat: MemoryConnection) -> None:
    """Frames that had come by then are dropped, pings too."""
    await chat.send(
        b"".join(
            [
                encode_frame(TEXT, '42["throw_out"]'),
                encode_frame(PING),
                encode_frame(TEXT, '421["echo"]'),
                encode_frame(PING),
            ]
        )
    )
    assert [payload for opcode, payload in chat.frames() if opcode != PONG] == [b"41", close_payload(1000)]
    await chat.bye()
    assert chat.transport.late == []
    assert chat.gone


async def test_nothing_is_read_after_the_end_of_a_socket(chat: MemoryConnection) -> None:
    chat.comes(encode_frame(PONG) * 64 + encode_frame(PING))  # the 65th waits for the next turn
    Chat.last.socket.disconnect()
    await settle()
    assert [payload for opcode, payload in chat.frames() if opcode != PONG] == [b"41", close_payload(1000)]
    await chat.bye()
    assert chat.transport.late == []
    assert chat.gone


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_a_connection_that_is_lost(app: SocketIOApp, chat: MemoryConnection, error: Exception | None) -> None:
    chat.transport.lose(error)
    await settle()
    assert Chat.last.reasons == ["transport close"]
    assert chat.gone
    assert (app.server.sockets, app.server.active_sessions) == ({}, 0)
    Chat.last.emit("late")
    await settle()
    assert chat.transport.late == []


async def test_the_end_of_the_peers_half_is_the_end(chat: MemoryConnection) -> None:
    assert not chat.lane.eof_received(), "the transport would stay open"


async def test_the_server_ends(app: SocketIOApp, chat: MemoryConnection) -> None:
    other = MemoryConnection(app, state=chat.state)
    await other.join()
    for connection in list(chat.state.connections):
        connection.shutdown()
    await settle()
    assert chat.heard() == other.heard() == ["CLOSE 1000"]
    assert Chat.last.reasons == ["server shutting down"]
    await chat.bye()
    await other.bye()
    assert chat.gone
    assert other.gone


async def test_the_server_ends_before_a_view_has_answered() -> None:
    gate = asyncio.Event()

    async def view(scope: Any, receive: Any, send: Any) -> None:
        from asocketio import socketio_manage

        await gate.wait()
        await socketio_manage(scope, {"/": Chat})

    app = SocketIOApp(view)
    peer = MemoryConnection(app)
    await peer.ask()
    peer.lane.shutdown()
    await settle()
    gate.set()
    await settle()
    peer.frames()
    assert peer.head.startswith(b"HTTP/1.1 500 ")
    assert peer.gone
    assert app.server.active_sessions == 0


async def test_the_app_closes(app: SocketIOApp, chat: MemoryConnection) -> None:
    await app.close()
    await settle()
    assert chat.heard() == ["CLOSE 1000"]
    await chat.bye()
    assert chat.gone


async def test_a_hundred_clients_leave_nothing_behind(app: SocketIOApp) -> None:
    first = await opened(app)
    tasks = len(asyncio.all_tasks())
    peers = [first, *[await opened(app) for _ in range(99)]]
    assert len(asyncio.all_tasks()) == tasks, "a socket has a task"
    remembered = [weakref.ref(thing) for peer in peers for thing in (peer.lane, peer.transport.protocol)]
    for number, peer in enumerate(peers):
        if number % 2:
            peer.comes(encode_frame(CLOSE))
        else:
            peer.transport.lose()
    await settle()
    assert all(peer.gone for peer in peers)
    assert (app.server.sockets, app.server.active_sessions) == ({}, 0)
    peer = first
    del peers, first, peer
    Chat.last = None
    await settle()
    gc.collect()
    assert sum(reference() is not None for reference in remembered) == 0


async def test_a_view_that_raises_after_its_socket_has_opened(caplog: pytest.LogCaptureFixture) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        from asocketio import socketio_manage

        await socketio_manage(scope, {"/": Chat})
        raise RuntimeError("after all")

    peer = MemoryConnection(SocketIOApp(view))
    await peer.join()
    await peer.send(encode_frame(CLOSE))
    assert "after all" in caplog.text
    assert peer.gone


async def test_a_view_is_cancelled_and_its_socket_ends() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        from asocketio import socketio_manage

        await socketio_manage(scope, {"/": Chat})

    app = SocketIOApp(view)
    peer = MemoryConnection(app)
    await peer.join()
    (task,) = peer.state.tasks
    task.cancel()
    await settle()
    assert peer.heard() == ["CLOSE 1000"]
    assert Chat.last.reasons == ["forced server close"]
    await peer.bye()
    assert peer.gone


async def test_pings_of_engine_io_and_a_peer_that_is_silent(app: SocketIOApp) -> None:
    clock = TestClock()
    peer = await opened(app, clock)
    await clock.advance(25.1)
    assert peer.heard() == ["2"]
    await peer.say("3")
    await clock.advance(25.1)
    assert peer.heard() == ["2"]
    await clock.advance(25)
    assert peer.heard() == ["CLOSE 1000"]
    assert Chat.last.reasons == ["ping timeout"]
    await peer.bye()
    assert peer.gone


# ---- the handshake -------------------------------------------------------------------------------------------------


async def test_the_101_carries_the_headers_of_the_server_and_of_the_app(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn.error")
    peer = MemoryConnection(SocketIOApp(namespaces={"/": Chat}, cookie="io"))
    peer.state.default_headers = [(b"server", b"mine")]
    await peer.ask()
    (opening,) = peer.heard()
    head = peer.head.decode().splitlines()
    assert head[0] == "HTTP/1.1 101 Switching Protocols"
    assert "server: mine" in head
    assert any(line.startswith("set-cookie: io=") for line in head)
    assert str(opening).startswith('0{"sid":')
    assert '"WebSocket /socket.io/?EIO=4&transport=websocket" [accepted]' in caplog.text


@pytest.mark.parametrize(
    ("target", "status"),
    [("/socket.io/?EIO=4&transport=websocket&sid=nope", 400), ("/socket.io/?EIO=9&transport=websocket", 400)],
)
async def test_a_handshake_that_is_refused(target: str, status: int) -> None:
    app = SocketIOApp(namespaces={"/": Chat})
    peer = MemoryConnection(app)
    await peer.ask(upgrade_request(target))
    peer.frames()
    assert peer.head.startswith(f"HTTP/1.1 {status} ".encode())
    assert peer.gone
    assert app.server.active_sessions == 0


@pytest.mark.parametrize("what", ["socket", "upgrade", "another application's", "broken"])
async def test_a_websocket_over_limit_concurrency_is_refused(
    app: SocketIOApp, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As uvicorn counts: the connections, with the one that asks; a websocket on the lane is one."""
    first = MemoryConnection(app, limit_concurrency=3)
    await first.join()
    second = MemoryConnection(app, state=first.state, limit_concurrency=3)
    await second.join()
    targets = {"socket": OPENING, "upgrade": OPENING + "&sid=x", "another application's": "/other", "broken": OPENING}
    third = MemoryConnection(app, state=first.state, limit_concurrency=3)
    await third.ask(upgrade_request(targets[what], leave="sec-websocket-key" if what == "broken" else ""))
    assert third.frames() == []
    assert third.head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nconnection: close\r\n" in third.head
    assert caplog.messages[-1] == "Exceeded concurrency limit."
    assert third.transport.ended
    third.lane.shutdown()
    await second.bye()
    assert len(first.state.connections) == 1
    fourth = MemoryConnection(app, state=first.state, limit_concurrency=3)
    await fourth.join()
    await fourth.bye()
    await first.bye()
    assert first.gone


async def test_a_page_of_another_site_is_refused() -> None:
    peer = MemoryConnection(SocketIOApp(namespaces={"/": Chat}))
    await peer.ask(upgrade_request(OPENING, ("origin", "http://evil.example")))
    peer.frames()
    assert peer.head.split()[1] in (b"400", b"403")
    assert peer.gone


async def test_a_view_that_refuses() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"x-why", b"no token")]})
        await send({"type": "http.response.body", "body": b"who are you?"})

    app = SocketIOApp(view)
    peer = MemoryConnection(app)
    await peer.ask()
    peer.frames()
    assert peer.head.startswith(b"HTTP/1.1 401 ")
    assert b"x-why: no token\r\n" in peer.head
    assert peer.transport.writes[-1].endswith(b"who are you?")
    assert peer.gone
    assert app.server.active_sessions == 0


async def test_a_generation_of_3_and_the_clock(app: SocketIOApp) -> None:
    peer = MemoryConnection(clocked(app, TestClock()))
    await peer.ask(upgrade_request("/socket.io/?EIO=3&transport=websocket"))
    assert [str(message)[:2] for message in peer.heard()] == ["0{", "40"]
    await peer.say("2probe", '421["echo",7]')
    assert peer.heard() == ["3probe", "431[7]"]
