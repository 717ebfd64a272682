"""What is particular to a generation of clients, and what happens where they meet."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from asocketio import BaseNamespace, BroadcastMixin, CannotCarry, ConnectionRefused, RoomsMixin, SocketIOApp, UsageError
from asocketio.protocol.base import Encoded, Protocol
from asocketio.protocol.packet import Packet, PacketType
from asocketio.testing import ClientRefused, TestClient, settle
from asocketio.testing.client import ClientNamespace
from tests.clients.asgi import Client
from tests.conftest import WAYS
from tests.support.worlds import Recorder, Way, call_of, serve, until

Log = pytest.LogCaptureFixture
OLD: list[Way] = [way for way in WAYS.values() if way["generation"] != 4]
old = pytest.mark.parametrize("way", OLD, ids=lambda way: f"{way['generation']}-{way['transport']}")


class Room(Recorder, RoomsMixin, BroadcastMixin):
    def recv_connect(self) -> None:
        self.join("room")

    async def on_say(self, *args: Any) -> str:
        await self.emit_to_room("room", "said", *args)
        return "delivered"

    async def on_binary(self) -> str:
        await self.broadcast_event("bytes", b"\x00")
        return "sent"

    async def on_mine(self) -> str:
        with pytest.raises(CannotCarry, match="base64"):
            self.emit("bytes", b"\x00")
        return "refused"

    def on_return(self) -> bytes:
        return b"\x00"

    async def on_vote(self) -> Any:
        return sorted(await self.to("room").timeout(5).call("vote", b"\x00"))


# ---- together ---------------------------------------------------------------------------------------------------


async def test_clients_of_all_generations_hear_each_other_over_every_transport() -> None:
    app = SocketIOApp(namespaces={"/": Room})
    clients = [TestClient(app, **way) for way in WAYS.values()]
    for client in clients:
        await client.__aenter__()
    here: list[ClientNamespace] = [await client.connect() for client in clients]
    text = "é😀\u2028 \\n \n</script>"
    for speaker in here:
        assert await speaker.call("say", text, {"n": [1, None]}) == "delivered"
        for other in here:
            if other is not speaker:
                assert await other.receive() == ("said", text, {"n": [1, None]})
    for client in clients:
        await client.__aexit__(None, None, None)


async def test_a_broadcast_is_encoded_once_for_each_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def counting(cls: type[Protocol]) -> Any:
        encode = cls.encode

        def counted(self: Protocol, packet: Packet) -> Encoded:
            if packet.name == "news":
                encoded.append(self.generation)
            return encode(self, packet)

        return counted

    app = SocketIOApp(namespaces={"/": Room})
    for protocol in app._protocols.values():  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(type(protocol), "encode", counting(type(protocol)))
    clients = [TestClient(app, **way) for way in WAYS.values()]
    for client in clients:
        await client.__aenter__()
    here = [await client.connect() for client in clients]
    await app.of("/").emit("news", 1)
    assert [await one.receive() for one in here] == [("news", 1)] * len(here)
    assert sorted(encoded) == ["0.9", "3", "4"]
    for client in clients:
        await client.__aexit__(None, None, None)


async def test_binary_leaves_clients_of_09_out_and_says_so(caplog: Log) -> None:
    app = SocketIOApp(namespaces={"/": Room})
    async with (
        TestClient(app, generation="0.9") as oldest,
        TestClient(app, generation=3) as old,
        TestClient(app) as new,
    ):
        here = [await client.connect() for client in (oldest, old, new)]
        assert await here[0].call("binary") == "sent"
        assert [await one.receive() for one in here[1:]] == [("bytes", b"\x00")] * 2
        await here[0].nothing()
        assert await here[0].call("mine") == "refused"
        assert (await here[0].call("return"))["error"]["name"] == "handler_error"
        for one, answer in zip(here, ("never asked", "old", "new"), strict=True):
            one.on("vote", lambda _, answer=answer: answer)
        assert await here[2].call("vote") == ["old"]
    lines = [record.getMessage() for record in caplog.records if "did not go" in record.getMessage()]
    assert lines == [
        f"/: event {name!r} did not go to the clients of generation 0.9: "
        "clients of 0.9 know no binary: send them text, for example base64"
        for name in ("bytes", "vote")
    ]


# ---- whose session it is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generation", "path", "query", "answer"),
    [
        (4, "/socket.io/", "EIO=3&transport=polling&sid={sid}", (400, b'{"code":1,"message":"Session ID unknown"}')),
        (3, "/socket.io/", "EIO=4&transport=polling&sid={sid}", (400, b'{"code":1,"message":"Session ID unknown"}')),
        (
            "0.9",
            "/socket.io/",
            "EIO=4&transport=polling&sid={sid}",
            (400, b'{"code":1,"message":"Session ID unknown"}'),
        ),
        (4, "/socket.io/1/xhr-polling/{sid}", "t=1", (200, b"7:::1+0")),
        (3, "/socket.io/1/jsonp-polling/{sid}", "i=3", (200, b'io.j[3]("7:::1+0");')),
    ],
)
async def test_a_session_is_of_one_generation(
    generation: Any, path: str, query: str, answer: tuple[int, bytes]
) -> None:
    async with serve(Recorder, generation=generation) as client:
        namespace = await client.connect()
        sid = client.handshake["sid"]
        asked = {"path": path.format(sid=sid), "query_string": query.format(sid=sid).encode()}
        extensions = {"asocketio.clock": client.clock}
        headers = [(b"host", b"testserver"), (b"referer", b"http://testserver/")]
        got = await call_of(client.app, asked.pop("path"), extensions=extensions, headers=headers, **asked)
        assert got == answer
        assert await namespace.call("echo", "still here") == "still here"


async def test_a_post_of_an_unknown_session_of_09_is_taken_for_nothing() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    assert await call_of(app, "/socket.io/1/xhr-polling/nobody", "POST") == (200, b"1")


# ---- switched off -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generations", "path", "query", "answer", "named"),
    [
        ((3, 4), "/socket.io/1/", b"t=1", (500, b"Protocol version not supported."), "generation 0.9"),
        (
            ("0.9", 4),
            "/socket.io/",
            b"EIO=3&transport=polling",
            (400, b'{"code":5,"message":"Unsupported protocol version"}'),
            "generation 3, socket.io-client 1.x and 2.x",
        ),
        (
            ("0.9", 3),
            "/socket.io/",
            b"EIO=4&transport=polling",
            (400, b'{"code":5,"message":"Unsupported protocol version"}'),
            "generation 4, socket.io-client 3.x and 4.x",
        ),
        (
            (4,),
            "/socket.io/1/",
            b"jsonp=2",
            (200, b'io.j[2](new Error("Protocol version not supported."));'),
            "generation 0.9",
        ),
    ],
)
async def test_a_generation_that_is_off_is_refused_in_its_own_words(
    generations: Any, path: str, query: bytes, answer: tuple[int, bytes], named: str, caplog: Log
) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, generations=generations)
    assert [await call_of(app, path, query_string=query) for _ in range(3)] == [answer] * 3
    (record,) = caplog.records
    assert named in record.getMessage()


def test_settings_for_nobody_are_a_mistake() -> None:
    with pytest.raises(UsageError, match="generations"):
        SocketIOApp(namespaces={"/": Recorder}, generations=())


# ---- the global namespace ---------------------------------------------------------------------------------------


@old
async def test_a_global_namespace_that_is_not_declared_is_joined_all_the_same(way: Way, caplog: Log) -> None:
    async with serve(Recorder, name="/chat", **way) as client:
        root = await client.connect("/")
        chat = await client.connect("/chat")
        await root.emit("echo", "to nobody")
        assert await chat.call("echo", 1) == 1
        assert cast("Recorder", Recorder.last).socket.active_ns.keys() == {"/chat"}
    assert "an event for the namespace '/', which it never joined" in caplog.text


@old
async def test_the_query_is_what_recv_connect_gets(way: Way) -> None:
    got: list[Any] = []

    class Asking(BaseNamespace):
        def recv_connect(self, auth: Any) -> None:
            got.append(auth)

    app = SocketIOApp(namespaces={"/": Asking, "/chat": Asking})
    async with TestClient(app, query={"a": "1", "empty": "", "u": "é "}, **way) as client:
        await client.connect("/")
        await client.connect("/chat", {"a": "2", "b": "é&="})
    assert got == [{"a": "1", "empty": "", "u": "é "}, {"a": "2", "empty": "", "u": "é ", "b": "é&="}]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_the_handshake_of_09_waits_for_recv_connect(transport: Any) -> None:
    gate = asyncio.Event()

    class Slow(Recorder):
        async def recv_connect(self) -> None:
            self.emit("early")
            await gate.wait()

    async with serve(Slow, generation="0.9", transport=transport) as client:
        connecting = asyncio.create_task(client.connect())
        await client.advance(5)
        assert (connecting.done(), client.handshake) == (False, {})
        gate.set()
        assert await (await connecting).receive() == ("early",)


async def test_a_recv_connect_that_never_decides_is_ended_by_connect_timeout() -> None:
    class Stuck(Recorder):
        async def recv_connect(self) -> None:
            await asyncio.Event().wait()

    async with serve(Stuck, generation="0.9") as client:
        connecting = asyncio.create_task(client.connect())
        await client.advance(46)
        with pytest.raises(ClientRefused, match=r"503: b'handshake error'"):
            await connecting
        await client.advance(6)
    assert Stuck.last.reasons == []


@old
async def test_leaving_the_global_namespace(way: Way) -> None:
    """Of 0.9 that is the end of the connection, elsewhere of the namespace."""
    async with serve(Recorder, also={"/chat": Recorder}, **way) as client:
        root = await client.connect("/")
        first = Recorder.last
        chat = await client.connect("/chat")
        await root.disconnect()
        await until(lambda: first.reasons == ["client namespace disconnect"])
        if way["generation"] == "0.9":
            await until(lambda: Recorder.last.reasons == ["client namespace disconnect"])
        else:
            assert await chat.call("echo", 1) == 1


# ---- refusals and repeats ---------------------------------------------------------------------------------------


class Guarded(Recorder):
    def recv_connect(self, auth: Any) -> None:
        if "with" in auth:
            raise ConnectionRefused("no", {"code": 401})
        raise ConnectionRefused("no")


@pytest.mark.parametrize(
    ("generation", "auth", "refusal"),
    [
        (4, {}, ("no", None)),
        (4, {"with": "data"}, ("no", {"code": 401})),
        (3, {}, ("no", None)),
        (3, {"with": "data"}, ("Connection refused", {"code": 401})),
        ("0.9", {}, ("unauthorized", None)),
        ("0.9", {"with": "data"}, ("unauthorized", None)),
    ],
)
async def test_a_refusal_says_what_the_generation_can_say(generation: Any, auth: Any, refusal: Any) -> None:
    async with serve(Recorder, also={"/guarded": Guarded}, generation=generation) as client:
        root = await client.connect("/")
        with pytest.raises(ConnectionRefused) as refused:
            await client.connect("/guarded", auth)
        assert (refused.value.message, refused.value.data) == refusal
        assert await root.call("echo", 1) == 1


async def test_a_second_connect_is_confirmed_by_09_and_ignored_by_3() -> None:
    class Once(Recorder):
        joins = 0

        def recv_connect(self) -> None:
            type(self).joins += 1

    for generation, frame, answers in (("0.9", "1::/chat", ["1::/chat"]), (3, "40/chat", [])):
        Once.joins = 0
        async with serve(Recorder, also={"/chat": Once}, generation=cast("Any", generation)) as client:
            root = await client.connect("/")
            await client.connect("/chat")
            seen: list[Any] = []
            client.received = seen.append  # type: ignore[method-assign]
            await client.post_frames(frame)
            await until(lambda seen=seen, answers=answers: seen == answers)
            del client.received
            assert await root.call("echo", 1) == 1
        assert Once.joins == 1


# ---- 0.9 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/socket.io/1/xhr-polling/{sid}/", "/socket.io/1//{sid}/", "/socket.io/1/x/{sid}"])
async def test_a_page_of_09_that_closes_says_goodbye_by_a_request(path: str) -> None:
    async with serve(Recorder, generation="0.9", transport="polling") as client:
        namespace = await client.connect()
        await settle()  # the next poll waits
        extensions = {"asocketio.clock": client.clock}
        goodbye = path.format(sid=client.handshake["sid"])
        assert await call_of(client.app, goodbye, query_string=b"disconnect=1", extensions=extensions) == (200, b"")
        assert await namespace.disconnected() == "io server disconnect"
        assert Recorder.last.reasons == ["transport close"]


async def test_a_client_of_09_that_was_thrown_out_between_polls_learns_of_it() -> None:
    class Strict(Recorder):
        def on_out(self) -> None:
            self.socket.disconnect()

    app = SocketIOApp(namespaces={"/": Strict})
    async with TestClient(app, generation="0.9", transport="polling") as client:
        namespace = await client.connect()
        await namespace.emit("out")
        assert await namespace.disconnected() == "io server disconnect"


async def test_garbage_costs_a_client_of_09_the_packet_alone(caplog: Log) -> None:
    async with serve(Recorder, generation="0.9") as client:
        namespace = await client.connect()
        for garbage in ("", "x", "9::", "5:::{", '5:::{"name":"disconnect"}', "6:::x", "4:::NaN", "1::/nope"):
            await client.post_frames(garbage)
        await client.post_frames(b"\x00")
        await client.post(Packet(PacketType.EVENT, "/never", name="joined"))
        assert await namespace.call("echo", "fine") == "fine"
    assert "dropped what broke the protocol" in caplog.text


async def test_a_receipt_is_sent_before_the_handler_runs() -> None:
    gate = asyncio.Event()

    class Slow(Recorder):
        async def recv_message(self, text: str) -> str:
            await gate.wait()
            return "not an answer"

    async with serve(Slow, generation="0.9") as client:
        await client.connect()
        seen: list[Any] = []
        client.received = seen.append  # type: ignore[method-assign]
        await client.post_frames("3:2::text")
        await until(lambda: seen == ["6:::2"])
        gate.set()
        del client.received


# ---- JSONP of other sites -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"referer": "http://testserver/page?x"}, 200),
        ({"referer": "https://testserver"}, 200),
        ({"referer": "http://allowed.example/a/b"}, 200),
        ({"referer": "http://evil.example/?http://testserver/"}, 403),
        ({"referer": "http://testserver.evil.example/"}, 403),
        ({"referer": "//testserver/"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "referer": "http://allowed.example/"}, 200),
        ({"origin": "http://allowed.example"}, 200),
        ({"origin": "http://evil.example", "referer": "http://testserver/"}, 403),
    ],
)
async def test_a_page_of_another_site_cannot_use_jsonp_unless_it_is_allowed(headers: Any, status: int) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, cors_allowed_origins=["http://allowed.example"])
    own = [(b"host", b"testserver"), *((k.encode(), v.encode()) for k, v in headers.items())]
    for path, query in (
        ("/socket.io/", b"EIO=3&transport=polling&j=0"),
        ("/socket.io/", b"EIO=4&transport=polling&j=0"),
        ("/socket.io/1/", b"jsonp=0"),
    ):
        call = Client(app).call("http", path=path, query_string=query, headers=own)  # lives as long as its socket
        await until(lambda call=call: call.answered)
        call.task.cancel()
        refused = call.body == 'io.j[0](new Error("handshake bad origin"));' if query == b"jsonp=0" else None
        assert (call.status if refused is None else 403 if refused else 200) == status
