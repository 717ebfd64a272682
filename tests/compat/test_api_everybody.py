"""The programs that users write with operators and with recovery, as the documentation shows them.

``test_api`` has those for a client's own events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import asocketio
from asocketio import AckTimeout, Adapter, BaseNamespace, RemoteSocket, SocketIOApp, UsageError, socketio_accept
from asocketio.testing import ClientNamespace, ClientRefused, TestClient, settle
from tests.support.adapters import Bus, LateAdapter
from tests.support.worlds import Recorder, Way, call_of, until

# 9. Everybody, and anybody


class Lobby(Recorder):
    """The statements of the page, each as written."""

    async def recv_connect(self, auth: Any) -> None:
        self.data["name"] = auth["name"]
        await self.join("lobby")

    async def on_others(self) -> None:
        await self.to("lobby").emit("x")

    async def on_everybody(self) -> None:
        await self.namespace.to("lobby").emit("x")

    async def on_rooms(self) -> list[list[str]]:
        await self.join("lobby")
        await self.leave("lobby")
        left = sorted(self.rooms)
        await self.join("lobby")
        return [left, sorted(self.rooms)]

    def on_handshake(self) -> dict[str, Any]:
        found = self.handshake
        return {
            "user-agent": self.handshake.headers["user-agent"],
            "query": found.query["page"], "auth": found.auth["name"], "cookies": dict(found.cookies),
            "address": found.address, "secure": found.secure, "url": found.url.partition("?")[0],
            "time": type(found.time).__name__,
        }  # fmt: skip

    def on_session(self) -> bool:
        self.session["live"] = self
        return self.socket.session["live"] is self


class World:
    """One server or two of a cluster, and clients by name, each of the next server."""

    def __init__(self, apps: list[SocketIOApp], stack: AsyncExitStack, way: Way) -> None:
        self.apps, self.app, self._stack, self._way, self._count = apps, apps[0], stack, way, 0

    async def client(self, name: str, **on: Callable[..., Any]) -> ClientNamespace:
        app = self.apps[self._count % len(self.apps)]
        self._count += 1
        client = await self._stack.enter_async_context(TestClient(app, **self._way, query={"page": "1"}))
        return await client.connect("/chat", auth={"name": name}, on=on)


@pytest.fixture(params=["alone", "cluster"])
async def world(request: pytest.FixtureRequest, way: Way) -> AsyncIterator[World]:
    bus = Bus()
    adapters: list[Adapter | None] = [None] if request.param == "alone" else [LateAdapter(bus), LateAdapter(bus)]
    apps = [SocketIOApp(namespaces={"/chat": Lobby}, adapter=adapter) for adapter in adapters]
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(TestClient(app))
        yield World(apps, stack, way)


async def received(*clients: ClientNamespace) -> list[list[Any]]:
    """What has come to each of them."""
    await settle()
    found = [list(client.pending) for client in clients]
    for client in clients:
        client.pending.clear()
    return found


async def test_from_self_it_is_the_others_and_from_the_namespace_everybody(world: World) -> None:
    ada, bob = await world.client("ada"), await world.client("bob")
    await ada.call("others")
    assert await received(ada, bob) == [[], [("x",)]]
    await ada.call("everybody")
    assert await received(ada, bob) == [[("x",)], [("x",)]]
    assert await ada.call("rooms") == [[], ["lobby"]]


async def test_peers_are_clients_with_all_that_is_known_of_them(world: World) -> None:
    app = world.app
    heard = await world.client("ada"), await world.client("bob", ask=lambda *args: args)
    lobby = app.of("/chat").to("lobby")
    peers: dict[str, RemoteSocket] = {}
    for peer in await lobby.sockets():
        await peer.emit("hello", peer.data["name"])
        peers[peer.data["name"]] = peer
    assert await received(*heard) == [[("hello", "ada")], [("hello", "bob")]]
    assert await lobby.count() == 2
    bob = peers["bob"]
    assert (bob.rooms, bob.data, bob.handshake.query["page"]) == ({"lobby"}, {"name": "bob"}, "1")
    assert await bob.call("ask", 1, 2) == (1, 2)
    await bob.join("red")
    assert [peer.sid for peer in await app.of("/chat").to("red").sockets()] == [bob.sid]
    await bob.leave("red")
    assert await app.of("/chat").to("red").count() == 0
    await bob.disconnect()
    await heard[1].disconnected()


async def test_they_are_moved_and_disconnected(world: World) -> None:
    app = world.app
    clients = [await world.client(name) for name in ("ada", "bob", "eve")]
    lobby = app.of("/chat").to("lobby")
    await lobby.join("night")
    await lobby.leave("day")
    sid = next(peer.sid for peer in await lobby.sockets() if peer.data["name"] == "ada")
    await app.of("/chat").to(sid).join("late")
    counts = [await app.of("/chat").to(room).count() for room in ("lobby", "night", "day", "late")]
    assert counts == [3, 3, 0, 1]
    await app.of("/chat").to("late").disconnect()
    await clients[0].disconnected()
    await lobby.disconnect(close=True)
    for client in clients:
        await client.disconnected()
    await until(lambda: not any(app.of("/chat").instances() for app in world.apps))
    assert (await lobby.count(), await lobby.sockets()) == (0, [])


async def test_each_client_answers_by_its_first_argument_or_is_missing(world: World) -> None:
    app = world.app
    await world.client("ada", vote=lambda: "yes")
    await world.client("bob", vote=lambda: ("no", 1))
    lobby = app.of("/chat").to("lobby")
    answers = await lobby.timeout(5).call("vote")
    assert sorted(answers) == ["no", "yes"]
    await world.client("eve")
    asking = asyncio.ensure_future(lobby.timeout(5).call("vote"))
    await settle()
    clock: Any = app.server.clock
    await clock.advance(5.1)
    with pytest.raises(AckTimeout) as caught:
        await asking
    assert (sorted(caught.value.answers), caught.value.missing, caught.value.servers_missing) == (["no", "yes"], 1, 0)


async def test_a_namespace_has_objects_other_servers_and_rooms(world: World) -> None:
    app = world.app
    chat = app.of("/chat")
    heard: list[Any] = []

    @chat.on_room("joined")
    def joined(room: str, sid: str) -> None:
        heard.append((room, sid))

    await world.client("ada")
    await world.client("bob")
    assert [each.data["name"] for each in chat.instances()] == ["ada", "bob"][: 3 - len(world.apps)]
    sid = chat.instances()[0].sid
    assert (chat.get(sid), chat.get("nobody")) == (chat.instances()[0], None)
    assert heard == [("lobby", each.sid) for each in chat.instances()]

    reloads: list[int] = []
    for other in world.apps[1:]:
        other.of("/chat").on_server_event("reload")(reloads.append)

        @other.of("/chat").on_server_event("stats")
        async def stats() -> dict[str, int]:
            return {"sockets": 7}

    await chat.server_emit("reload", 3)
    replies = await chat.timeout(3).server_call("stats")
    assert replies == [{"sockets": 7}] * (len(world.apps) - 1)
    assert reloads == [3] * (len(world.apps) - 1)


async def test_what_is_kept_of_a_client(way: Way) -> None:
    app = SocketIOApp(namespaces={"/chat": Lobby})
    known: Any = {"headers": {"User-Agent": "tests", "Cookie": "a=b"}, "query": {"page": "1"}}
    async with TestClient(app, **way, **known) as client:
        ada = await client.connect("/chat", auth={"name": "ada"})
        assert await ada.call("handshake") == {
            "user-agent": "tests", "query": "1", "auth": "ada", "cookies": {"a": "b"}, "address": "testclient",
            "secure": False, "url": "/socket.io/1/" if way["generation"] == "0.9" else "/socket.io/", "time": "float",
        }  # fmt: skip
        assert await ada.call("session") is True


async def test_of_finds_the_namespace_by_a_request_and_by_the_application() -> None:
    async def view(request: Request) -> Response:
        await asocketio.of(request, "/chat").emit("from", "a request")
        await asocketio.of(request.app, "/chat").emit("from", "the application")
        return PlainTextResponse("done")

    api = Starlette(routes=[Route("/announce", view)])
    api.add_middleware(SocketIOApp, namespaces={"/chat": Recorder})
    async with TestClient(api) as client:
        chat = await client.connect("/chat")
        assert await call_of(api, "/announce") == (200, b"done")
        assert [await chat.receive(), await chat.receive()] == [("from", "a request"), ("from", "the application")]


async def test_the_app_has_a_lifespan_and_jobs() -> None:
    told: list[Any] = []

    @asynccontextmanager
    async def inner(api: Starlette) -> AsyncIterator[None]:
        told.append("api starts")
        yield
        told.append("api ends")

    async def tick(name: str) -> None:
        told.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            told.append(f"{name} ends")

    @asynccontextmanager
    async def lifespan(given: SocketIOApp) -> AsyncIterator[dict[str, Any]]:
        told.append(given is app)
        app.spawn(tick, "job")
        app.spawn(tick, "once", once=True)
        yield {"db": "open"}
        told.append("over")

    class Stateful(Recorder):
        def on_db(self) -> Any:
            return self.environ["state"]["db"]

    app = SocketIOApp(Starlette(lifespan=inner), namespaces={"/": Stateful}, lifespan=lifespan)
    async with TestClient(app) as client:
        assert await (await client.connect()).call("db") == "open"
        await until(lambda: "once" in told)
    assert told[:2] == [True, "api starts"]
    assert sorted(told[2:-1]) == ["api ends", "job", "job ends", "once", "once ends"]
    assert told[-1] == "over"


async def test_the_clients_script_is_served_or_it_is_said_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "socket.io.js").write_text("// the client")
    with_files = SocketIOApp(namespaces={"/": Recorder}, client_files=tmp_path)
    assert await call_of(with_files, "/socket.io/socket.io.js") == (200, b"// the client")
    assert not caplog.records
    assert (await call_of(SocketIOApp(namespaces={"/": Recorder}), "/socket.io/socket.io.js"))[0] == 404
    [line] = caplog.messages
    assert "client_files" in line


async def test_a_view_that_only_decides(way: Way) -> None:
    methods: list[str] = []

    async def view(request: Request) -> Response:
        methods.append(request.method)
        if request.headers.get("x-user") != "ada":
            return Response("who are you?", 401)
        request.scope["socketio"].session["user"] = "ada"
        socketio_accept(request.scope, request=request)
        return Response()

    class Guarded(Recorder):
        def on_user(self) -> Any:
            return [self.session["user"], self.request.headers["x-user"]]

    app = SocketIOApp(Starlette(routes=[Route("/socket.io/{_:path}", view)]), namespaces={"/": Guarded}, guard=True)
    async with TestClient(app, **way) as stranger:
        with pytest.raises(ClientRefused):
            await stranger.connect()
    async with TestClient(app, **way, headers={"x-user": "ada"}) as client:
        assert await (await client.connect()).call("user") == ["ada", "ada"]
    assert methods == ["GET", "GET"]


# 12. Recovery


class Chat(Recorder):
    async def recv_connect(self, auth: Any) -> None:
        if auth.get("device") == "old":
            self.recoverable = False
        if self.recovered:
            return
        self.data["name"] = auth["name"]
        await self.join("lobby")

    def on_me(self) -> list[Any]:
        return [self.recovered, self.recoverable, self.sid, self.data["name"], sorted(self.rooms)]


Return = Callable[[ClientNamespace], Awaitable[ClientNamespace]]


@asynccontextmanager
async def recovering(transport: Any, **settings: Any) -> AsyncIterator[tuple[SocketIOApp, TestClient, Return]]:
    """An app, a client that stays, and how another one is lost and comes back."""
    app = SocketIOApp(namespaces={"/": Chat}, ping_interval=1000.0, ping_timeout=1000.0, **settings)
    async with AsyncExitStack() as stack:
        staying = await stack.enter_async_context(TestClient(app))

        async def back(former: ClientNamespace) -> ClientNamespace:
            client = await stack.enter_async_context(TestClient(app, transport=transport))
            return await client.connect(auth={"name": "new"}, recover=former)

        yield app, staying, back


PASSED = {"websocket": 0.0, "polling": 60.0}
"""Seconds that losing a connection takes, see `TestClient.lose`."""


async def lost(app: SocketIOApp, transport: Any, auth: Any) -> ClientNamespace:
    """A client that was there, and has lost its connection."""
    async with TestClient(app, transport=transport) as client:
        chat = await client.connect(auth=auth)
        await client.lose()
        await settle()
        return chat


async def test_who_is_back_in_time_has_missed_nothing(transport: str) -> None:
    async with recovering(transport, recovery=120.0) as (app, staying, back):
        ada = await lost(app, transport, {"name": "ada"})
        await app.of("/").to("lobby").emit("news", 1)
        await app.of("/").emit("news", 2)
        await staying.advance(119 - PASSED[transport])
        again = await back(ada)
        assert list(again.pending) == [("news", 1), ("news", 2)]
        assert await again.call("me") == [True, True, ada.sid, "ada", ["lobby"]]


async def test_who_is_late_is_new(transport: str) -> None:
    async with recovering(transport, recovery=120.0) as (app, staying, back):
        ada = await lost(app, transport, {"name": "ada"})
        await app.of("/").to("lobby").emit("news", 1)
        await staying.advance(121 - PASSED[transport])
        again = await back(ada)
        assert (again.recovered, list(again.pending)) == (False, [])
        assert (await again.call("me"))[3:] == ["new", ["lobby"]]


async def test_a_client_may_be_left_out(transport: str) -> None:
    async with recovering(transport, recovery=120.0) as (app, _, back):
        old = await lost(app, transport, {"name": "old", "device": "old"})
        await app.of("/").to("lobby").emit("news", 1)
        again = await back(old)
        assert (old.pid, again.recovered, list(again.pending)) == (None, False, [])


async def test_none_is_off(transport: str) -> None:
    async with recovering(transport, recovery=None) as (app, _, back):
        ada = await lost(app, transport, {"name": "ada"})
        again = await back(ada)
        assert (ada.pid, again.recovered) == (None, False)
        assert (await again.call("me"))[:2] == [False, False]


@pytest.mark.parametrize("bound", [{"recovery_events": 4}, {"recovery_bytes": 20_000}])
async def test_what_the_process_keeps_is_bounded(transport: str, bound: dict[str, Any]) -> None:
    async with recovering(transport, recovery=120.0, **bound) as (app, _, back):
        ada = await lost(app, transport, {"name": "ada"})
        for number in range(10):
            await app.of("/").to("lobby").emit("news", number, "x" * 2000)
        again = await back(ada)
        assert (again.recovered, list(again.pending)) == (False, [])


@pytest.mark.parametrize("wrong", [True, "120", -1])
def test_recovery_is_seconds_or_none(wrong: Any) -> None:
    with pytest.raises(UsageError, match="recovery"):
        SocketIOApp(namespaces={"/": BaseNamespace}, recovery=wrong)
