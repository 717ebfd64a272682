"""What docs/trust.md promises of limits: what happens at each of them, and one beyond."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode

import pytest

from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    ConnectionRefused,
    Disconnected,
    Overflow,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
)
from asocketio.protocol.base import BodyFormat, Frame
from asocketio.testing import ClientRefused, TestClient, settle
from tests.support.worlds import Recorder, Way, serve, until

Log = pytest.LogCaptureFixture


def lines(caplog: Log, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


# ---- what comes in ------------------------------------------------------------------------------------------------

PAYLOAD = 2000


def payload(client: TestClient, frame: Frame) -> int:
    """Bytes of the body or message that carries ``frame``."""
    if client.transport == "websocket":
        return len(frame)
    body = client.protocol.join([frame], BodyFormat(text_only=True)).content
    if client.transport == "polling":
        return len(body)
    return len(urlencode({"d": client._transport._escaped(body.decode())}))  # type: ignore[union-attr]


def large_event(client: TestClient, size: int) -> Frame:
    """The frame of an event that makes a payload of ``size`` bytes."""

    def of(text: str) -> Frame:
        return client.protocol.encode(Packet(PacketType.EVENT, name="echo", args=[text])).frames[0]

    length = size - payload(client, of(""))
    while payload(client, of("x" * length)) > size:  # the length of a packet is written before it
        length -= 1
    assert payload(client, of("x" * length)) == size
    return of("x" * length)


@pytest.mark.json_wire
async def test_max_payload_is_taken_and_one_byte_more_is_not(way: Way, caplog: Log) -> None:
    async with serve(Recorder, max_payload=PAYLOAD, **way) as client:
        namespace = await client.connect()
        await client.post_frames(large_event(client, PAYLOAD))
        assert await namespace.call("echo", "still here") == "still here"
        assert lines(caplog, "max_payload") == []
        reasons = Recorder.last.reasons
        incoming_post = asyncio.ensure_future(client.post_frames(large_event(client, PAYLOAD + 1)))
        await client.advance(3)  # what is left of such a body is read for a while, and thrown away
        await incoming_post
        assert len(lines(caplog, "(max_payload")) == 1
        if way["transport"] == "polling":  # the body is refused, not the session
            assert reasons == []
            Recorder.last.socket.close("transport close")  # its client has given up
        else:
            await until(lambda: reasons == ["transport error"])


@pytest.fixture(params=[3, 4])
def later(request: pytest.FixtureRequest) -> Any:
    """The generations that know binary."""
    return request.param


def with_attachments(client: TestClient, *sizes: int) -> list[Frame]:
    args = [b"x" * size for size in sizes]
    return list(client.protocol.encode(Packet(PacketType.EVENT, name="sizes", args=args)).frames)


class Sizes(Recorder):
    async def on_sizes(self, *args: bytes) -> None:
        await self.emit("sizes", *map(len, args))


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_attachments_up_to_the_limit_are_taken_and_one_more_is_not(
    later: Any, transport: Any, caplog: Log
) -> None:
    async with serve(Sizes, generation=later, transport=transport, max_attachments=3) as client:
        namespace = await client.connect()
        await client.post_frames(*with_attachments(client, 1, 2, 3))
        assert await namespace.receive() == ("sizes", 1, 2, 3)
        await client.post_frames(*with_attachments(client, 1, 2, 3, 4))
        await until(lambda: Sizes.last.reasons == ["parse error"])
    assert len(lines(caplog, "4 attachments, at most 3 are allowed (max_attachments)")) == 1


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_attachment_bytes_up_to_the_limit_are_taken_and_one_more_is_not(
    later: Any, transport: Any, caplog: Log
) -> None:
    async with serve(Sizes, generation=later, transport=transport, max_attachment_bytes=1000) as client:
        namespace = await client.connect()
        for _ in range(2):  # each packet begins anew
            await client.post_frames(*with_attachments(client, 500, 500))
            assert await namespace.receive() == ("sizes", 500, 500)
        frames = with_attachments(client, 500, 501, 1)
        await client.post_frames(*frames[:3])  # not waited for: the last one has not come
        await until(lambda: Sizes.last.reasons == ["transport error"])
    assert len(lines(caplog, "over 1000 bytes in one packet (max_attachment_bytes)")) == 1


# ---- what is kept -------------------------------------------------------------------------------------------------


class Joining(Recorder, RoomsMixin):
    overflows: int = 0

    def on_join(self, room: str) -> int:
        self.join(room)
        return len(self.rooms)

    def on_leave(self, room: str) -> None:
        self.leave(room)

    def on_try(self, room: str) -> str:
        try:
            self.join(room)
        except Overflow as error:
            return error.side
        return "joined"


async def test_the_rooms_of_a_client_are_joined_up_to_their_bytes_and_not_beyond(way: Way, caplog: Log) -> None:
    long, wide = 550 * "x", 138 * "x" + "é"  # which count 1000 and 1006
    async with serve(Joining, also={"/b": Joining}, max_room_bytes=2000, **way) as client:
        namespace, other = await client.connect(), await client.connect("/b")
        assert await namespace.call("try", 1551 * "x") == "in"  # it alone is too much
        assert await namespace.call("try", 1550 * "x") == "joined"
        await namespace.call("leave", 1550 * "x")
        assert [await namespace.call("join", room) for room in (long, long[1:] + "y", long)] == [1, 2, 2]
        for _ in range(3):
            assert (await namespace.call("join", "green"))["error"]["name"] == "handler_error"
        assert await other.call("try", "green") == "in"  # all namespaces of the client together
        await namespace.call("leave", "not in there" * 1000)
        for _ in range(3):
            await namespace.call("leave", long)
        assert await namespace.call("try", wide) == "in"
        assert await other.call("join", long) == 1
        assert await namespace.call("try", "") == "in"
        await other.disconnect()
        assert await namespace.call("try", "green") == "joined"
    assert len(lines(caplog, "(max_room_bytes)")) == 1
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_client_is_in_only_so_many_namespaces(way: Way, caplog: Log) -> None:
    app = SocketIOApp(namespaces={"": Recorder, "/n{number:int}": Recorder}, max_namespaces=3)
    async with TestClient(app, **way) as client, TestClient(app, **way) as other:
        home = await client.connect()
        first, _ = [await client.connect(f"/n{number}") for number in range(2)]
        for number in range(2, 30):
            with pytest.raises(ConnectionRefused):
                await client.connect(f"/n{number}")
        await first.disconnect()
        assert await (await client.connect("/n7")).call("echo", 7) == 7
        assert await home.call("echo", 1) == 1
        assert await (await other.connect("/n8")).call("echo", 8) == 8
    assert len(lines(caplog, "(max_namespaces)")) == 1


async def test_rooms_up_to_the_limit_are_joined_and_one_more_is_not(way: Way, caplog: Log) -> None:
    async with serve(Joining, also={"/b": Joining}, max_rooms=2, **way) as client:
        namespace, other = await client.connect(), await client.connect("/b")
        assert [await namespace.call("join", room) for room in ("red", "blue", "red")] == [1, 2, 2]
        for _ in range(3):
            assert (await namespace.call("join", "green"))["error"]["name"] == "handler_error"
        assert await namespace.call("try", "green") == "in"
        assert await other.call("join", "green") == 1
        await namespace.call("leave", "red")
        assert await namespace.call("join", "green") == 2
    assert len(lines(caplog, "(max_rooms)")) == 1
    assert [record for record in caplog.records if record.exc_info] == []


@asynccontextmanager
async def another(app: SocketIOApp, way: Way, address: str = "testclient") -> AsyncGenerator[TestClient]:
    """A client that comes from an address of its own."""
    async with TestClient(app, **way) as client:
        client._scope["client"] = (address, 50_000)
        yield client


async def assert_told_to_come_later(client: TestClient) -> None:
    with pytest.raises(ClientRefused) as refusal:
        await client.connect()
    assert refusal.value.headers["retry-after"] == "5"
    by_script = client.transport == "jsonp" and client.protocol.generation == "0.9"  # it hears nothing of a status
    assert refusal.value.status == (200 if by_script else 503)


async def test_a_session_over_the_limit_is_told_to_come_later(way: Way, caplog: Log) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, max_sessions=2)
    async with another(app, way) as first, another(app, way) as second:
        one, two = await first.connect(), await second.connect()
        async with another(app, way) as third:
            await assert_told_to_come_later(third)
        assert [await one.call("echo", 1), await two.call("echo", 2)] == [1, 2]
        await first.disconnect()
        await until(lambda: app.server.active_sessions == 1)
        async with another(app, way) as fourth:
            assert await (await fourth.connect()).call("echo", 4) == 4
    assert app.server.active_sessions == 0
    assert len(lines(caplog, "2 sessions are open (max_sessions)")) == 1


async def test_a_refused_client_takes_no_place(way: Way) -> None:
    """Nor does one whose view refuses it, or that leaves before it is let in."""

    async def view(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})

    app = SocketIOApp(view, max_sessions=1, max_sessions_per_address=1)
    for _ in range(3):
        async with another(app, way) as client:
            with pytest.raises(ClientRefused, match=r"403|Error"):
                await client.connect()
    assert app.server.active_sessions == 0


async def test_sessions_of_one_address_are_counted_and_leaving_frees_the_place(way: Way, caplog: Log) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, max_sessions_per_address=1)
    async with another(app, way, "192.0.2.1") as first, another(app, way, "192.0.2.2") as neighbour:
        await first.connect()
        assert await (await neighbour.connect()).call("echo", 1) == 1
        async with another(app, way, "192.0.2.1") as second:
            await assert_told_to_come_later(second)
        await first.disconnect()
        await until(lambda: app.server.active_sessions == 1)
        async with another(app, way, "192.0.2.1") as third:
            assert await (await third.connect()).call("echo", 3) == 3
    assert app.server.admission._addresses == {}
    assert len(lines(caplog, "192.0.2.1 has 1 sessions open (max_sessions_per_address)")) == 1


async def test_who_has_no_address_is_not_counted_by_it() -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, max_sessions_per_address=1)
    way = Way(generation=4, transport="websocket")
    async with another(app, way) as first, another(app, way) as second:
        for client in (first, second):
            client._scope["client"] = None  # a socket of the file system
            assert await (await client.connect()).call("echo", 1) == 1


async def test_a_recv_connect_that_hangs_is_ended_by_connect_timeout(way: Way) -> None:
    ended: list[str] = []

    class Hanging(Recorder):
        async def recv_connect(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("ended")

    app = SocketIOApp(namespaces={"/": Hanging}, connect_timeout=45, close_grace=5)
    async with TestClient(app, **way) as client:
        joining = asyncio.ensure_future(client.connect())
        await client.advance(44.9)
        assert (app.server.active_sessions, ended) == (1, [])
        await client.advance(0.2)
        assert [socket.connected for socket in app.server.sockets.values()] in ([], [False])
        await client.advance(5)
        assert ended == ["ended"]
        with pytest.raises((Disconnected, ClientRefused)):
            await joining
        await until(lambda: app.server.active_sessions == 0)
    assert Hanging.last.reasons == []


# ---- tasks, timers and turns --------------------------------------------------------------------------------------


class Waiting(Recorder):
    gate: asyncio.Event

    async def on_wait(self) -> None:
        await self.gate.wait()

    async def on_step(self) -> None:
        await asyncio.sleep(0)


def timers(client: TestClient) -> int:
    return sum(timer.callback is not None for _, _, timer in client.clock._due)


def provocations(client: TestClient) -> list[Packet]:
    """Everything that could make the server keep something: each of these is sent a hundred times."""
    sent = [
        Packet(PacketType.EVENT, name="step"),
        Packet(PacketType.EVENT, name="echo", args=["x"], id=7, ack="data"),
        Packet(PacketType.EVENT, name="no such event"),
        Packet(PacketType.ACK, id=12345, args=[1]),
        Packet(PacketType.CONNECT, "/never"),
    ]
    if client.protocol.generation == "3":
        sent.append(Packet(PacketType.PING))
    elif client.protocol.generation == "4":
        sent.append(Packet(PacketType.PONG))
    else:
        sent.append(Packet(PacketType.HEARTBEAT))
    return sent


async def test_what_a_client_sends_makes_no_tasks_and_no_timers(way: Way) -> None:
    Waiting.gate = asyncio.Event()
    async with serve(Waiting, **way) as client:
        namespace = await client.connect()
        for packet in provocations(client):
            await client.post(packet)
        await settle()
        tasks, ticking = len(asyncio.all_tasks()), timers(client)
        most_tasks = most_timers = 0
        for packet in provocations(client):
            frames = client.protocol.encode(packet).frames
            await client.post_frames(*frames * 100)
            most_tasks, most_timers = max(most_tasks, len(asyncio.all_tasks())), max(most_timers, timers(client))
            await settle()
        assert most_tasks <= tasks + 4  # requests on their way
        assert most_timers <= ticking + 4
        await namespace.emit("wait")
        await settle()
        tasks, ticking = len(asyncio.all_tasks()), timers(client)
        for _ in range(50):  # these wait in the backlog, which is no task
            await namespace.emit("step")
        await settle()
        assert len(asyncio.all_tasks()) <= tasks + 1
        assert timers(client) <= ticking + 1
        Waiting.gate.set()
        assert await namespace.call("echo", "end") == "end"


# ---- the end of many ----------------------------------------------------------------------------------------------


class Ending:
    """As much of a socket as `SocketIOApp.close` looks at."""

    pending = None
    ends: list[float]

    def __init__(self, ends: list[float]) -> None:
        self.ends = ends

    def close(self, reason: str) -> None:
        assert reason == "server shutting down"
        self.ends.append(asyncio.get_running_loop().time())


async def ends_of(count: int, window: float) -> list[float]:
    """When each of ``count`` sockets was closed, in seconds from the beginning."""
    app = SocketIOApp(namespaces={"/": BaseNamespace}, close_window=window)
    ends: list[float] = []
    app.server.sessions.sockets = {str(number): Ending(ends) for number in range(count)}  # type: ignore[misc]
    began = asyncio.get_running_loop().time()
    await app.close()
    assert len(ends) == count
    return [end - began for end in ends]


@pytest.mark.parametrize("count", [1000, 3000])
async def test_a_thousand_sockets_end_over_the_close_window(count: int) -> None:
    ends = await ends_of(count, 0.6)
    assert ends[0] < 0.3
    assert ends[count // 2] > 0.25  # one after the other: none before its time
    assert ends[-1] > 0.55


@pytest.mark.parametrize(("count", "window"), [(20, 5), (3000, 0)])
async def test_few_sockets_end_at_once(count: int, window: float) -> None:
    assert (await ends_of(count, window))[-1] < 1


async def test_close_ends_though_a_handler_does_not(way: Way, caplog: Log) -> None:
    """Within four times ``close_grace``, and says so."""
    gate = asyncio.Event()

    class Stubborn(BaseNamespace):
        async def on_stay(self) -> None:
            while not gate.is_set():
                with suppress(asyncio.CancelledError):
                    await gate.wait()

    app = SocketIOApp(namespaces={"/": Stubborn}, close_grace=5)
    async with TestClient(app, **way) as client:
        namespace = await client.connect()
        await namespace.emit("stay")
        await settle()
        closing = asyncio.ensure_future(app.close())
        await client.advance(9.9)
        assert not closing.done()
        await client.advance(10.2)
        await closing
        gate.set()
        await until(lambda: app.server.active_sessions == 0)
    assert lines(caplog, "was still running after close_grace: cancelled") != []
    assert lines(caplog, "does not end when cancelled") != []


BINARY_WAYS = [(3, "websocket"), (3, "polling"), (3, "jsonp"), (4, "websocket"), (4, "polling")]


@pytest.mark.parametrize("name", ["/", "/chat"])
@pytest.mark.parametrize(("generation", "transport"), BINARY_WAYS)
async def test_more_attachments_than_clients_take_are_named_where_they_are_emitted(
    generation: Any, transport: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """socket.io-client closes the connection at the eleventh, with no word of the event."""

    class Images(BaseNamespace, BroadcastMixin):
        async def on_emit(self, count: int) -> None:
            await self.emit("ten", [b"x"] * 10)
            for _ in range(3):
                await self.emit("gallery", {"all": [b"x"] * count})

        async def on_broadcast(self, count: int) -> None:
            await self.broadcast_event("tiles", *[b"x"] * count)

        def on_ack(self, count: int) -> list[bytes]:
            return [b"x"] * count

    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if "binary values" in record.getMessage()]

    app = SocketIOApp(namespaces=dict.fromkeys({"/", name}, Images))
    async with TestClient(app, generation=generation, transport=transport) as client:
        images = await client.connect(name)
        assert len(await images.call("ack", 10)) == 10
        await images.call("emit", 10)
        assert lines() == []
        await images.call("emit", 11)
        await images.call("broadcast", 12)
        assert len(await images.call("ack", 13)) == 13
    advice = (
        "binary values: socket.io-client takes at most 10 in one packet, and closes the connection; "
        "send several events, or join the values"
    )
    assert lines() == [
        f"{name}: the event 'gallery' has 11 {advice}", f"{name}: the event 'tiles' has 12 {advice}",
        f"{name}: an ack has 13 {advice}",
    ]  # fmt: skip


async def test_a_client_cannot_have_attachments_named_without_end(caplog: pytest.LogCaptureFixture) -> None:
    class Repeating(BaseNamespace):
        async def on_repeat(self, name: str) -> None:
            await self.emit(name, *[b"x"] * 11)

    async with TestClient(SocketIOApp(namespaces={"/": Repeating})) as client:
        namespace = await client.connect()
        for number in range(150):
            await namespace.call("repeat", f"{number} \n" + "x" * 1000)
    said = [record.getMessage() for record in caplog.records if "binary values" in record.getMessage()]
    assert len(said) == 100
    assert max(map(len, said)) < 400
    assert all("\n" not in line for line in said)
