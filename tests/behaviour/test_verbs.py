"""The verbs of operators: who is meant, joined, moved and thrown out; in one process, and where answers come late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from asocketio import AckTimeout, Adapter, BaseNamespace, Disconnected, SocketIOApp, UsageError
from asocketio.operators import BroadcastOperator, RemoteSocket
from asocketio.testing import ClientRefused, TestClient, settle
from tests.support.adapters import Bus, LateAdapter
from tests.support.cluster import ENGINES, cluster_of
from tests.support.worlds import Recorder, Way, serve, until


class Member(Recorder):
    """Keeps what it is told about a client."""

    async def on_set(self, data: Any) -> None:
        self.data = data

    async def on_join(self, *rooms: str) -> None:
        for room in rooms:
            await self.join(room)

    async def on_sid(self) -> str:
        return self.sid

    async def on_others(self) -> list[Any]:
        """Those in ``red`` but this one, and the number of all in it."""
        others = [peer.data["name"] for peer in await self.to("red").sockets()]
        return [sorted(others), await self.to("red").count(), await self.namespace.to("red").count()]


class World:
    """Apps, which are servers of one cluster or just one, and their clients."""

    def __init__(self, apps: list[SocketIOApp], stack: AsyncExitStack, way: Way) -> None:
        self.apps = apps
        self.app = apps[0]
        self._stack = stack
        self._way = way
        self._clients = 0

    async def join(self, name: str, *rooms: str, **on: Callable[..., Any]) -> Any:
        """A client with a name, in rooms. Each is of the next app. ``theirs`` is its sid in the server."""
        app = self.apps[self._clients % len(self.apps)]
        self._clients += 1
        client = await self._stack.enter_async_context(TestClient(app, **self._way))
        namespace = await client.connect("/", on=on)
        await namespace.call("set", {"name": name})
        await namespace.call("join", *rooms)
        namespace.theirs = await namespace.call("sid")
        return namespace


CLUSTERS: dict[str, Callable[[], list[Adapter | None]]] = {
    "alone": lambda: [None],
    "late": lambda: [LateAdapter(bus) for bus in [Bus()] for _ in range(2)],
    **{name: lambda kind=kind: [*cluster_of(kind)] for name, kind in ENGINES.items()},  # type: ignore[misc]
}


@asynccontextmanager
async def world_of(adapters: list[Adapter | None], way: Way, cls: type[BaseNamespace] = Member) -> AsyncIterator[World]:
    apps = [SocketIOApp(namespaces={"/": cls}, adapter=adapter) for adapter in adapters]
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(TestClient(app))  # each server runs from the start
        yield World(apps, stack, way)


@pytest.fixture(params=CLUSTERS)
async def world(request: pytest.FixtureRequest, way: Way) -> AsyncIterator[World]:
    """One server, or two of a cluster that tell each other late."""
    async with world_of(CLUSTERS[request.param](), way) as made:
        yield made


def by_name(sockets: list[RemoteSocket]) -> dict[str, RemoteSocket]:
    return {socket.data["name"]: socket for socket in sockets}


# ---- who they are -------------------------------------------------------------------------------------------------


async def test_sockets_are_the_clients_that_are_meant(world: World) -> None:
    ada = await world.join("ada", "red", "night")
    bob = await world.join("bob", "red")
    eve = await world.join("eve")
    everybody = world.app.of("/")
    sids = {"ada": ada.theirs, "bob": bob.theirs, "eve": eve.theirs}
    found = by_name(await everybody.sockets())
    assert {name: socket.sid for name, socket in found.items()} == sids
    assert {name: socket.rooms for name, socket in found.items()} == {
        "ada": {"red", "night"}, "bob": {"red"}, "eve": frozenset(),
    }  # fmt: skip
    assert set(by_name(await everybody.to("red").sockets())) == {"ada", "bob"}
    assert set(by_name(await everybody.to("red", eve.theirs).sockets())) == {"ada", "bob", "eve"}
    assert set(by_name(await everybody.except_(ada.theirs).sockets())) == {"bob", "eve"}
    assert set(by_name(await everybody.to("red").except_("night").sockets())) == {"bob"}
    assert await everybody.to(*[]).sockets() == await everybody.to("nobody").sockets() == []


async def test_count_is_their_number(world: World) -> None:
    for name in ("ada", "bob", "eve"):
        peer = await world.join(name, "red")
    everybody = world.app.of("/")
    assert (await everybody.count(), await everybody.to("red").except_(peer.theirs).count()) == (3, 2)
    assert (await everybody.to(*[]).count(), await everybody.to("nobody").count()) == (0, 0)


async def test_from_self_they_are_the_others_and_from_the_namespace_everybody(world: World) -> None:
    ada = await world.join("ada", "red")
    await world.join("bob", "red")
    await world.join("eve", "red")
    assert await ada.call("others") == [["bob", "eve"], 2, 3]


async def test_local_means_those_of_this_process(world: World) -> None:
    for name in ("ada", "bob"):
        await world.join(name, "red")
    here = {"ada"} if len(world.apps) == 2 else {"ada", "bob"}
    assert set(by_name(await world.app.of("/").local.sockets())) == here
    assert await world.app.of("/").to("red").local.count() == len(here)


async def test_a_remote_socket_talks_to_its_client(world: World) -> None:
    await world.join("ada")
    bob = await world.join("bob", vote=lambda: ("yes", 1), silent=lambda: None)
    peer = by_name(await world.app.of("/").sockets())["bob"]
    await peer.emit("x", 1)
    assert await bob.receive() == ("x", 1)
    assert await peer.call("vote") == ("yes", 1)
    assert await peer.call("silent") is None
    await peer.join("red")
    assert await world.app.of("/").to("red").count() == 1
    await peer.leave("red")
    assert await world.app.of("/").to("red").count() == 0
    await peer.disconnect()
    await bob.disconnected()
    await settle()
    await peer.emit("x")  # nothing happens
    await peer.join("red")
    await peer.disconnect()
    with pytest.raises(Disconnected):
        await peer.call("vote")
    assert await world.app.of("/").to("red").count() == 0


async def test_a_remote_socket_shows_the_handshake_without_its_secrets(way: Way) -> None:
    headers = {"User-Agent": "tests", "Cookie": "a=1", "Authorization": "Bearer x", "X-More": "1"}
    for make in CLUSTERS.values():
        async with (
            world_of(make(), way) as world,
            TestClient(world.apps[-1], **way, headers=headers, query={"page": "1"}) as client,
        ):
            await client.connect()
            [peer] = await world.app.of("/").sockets()
            assert dict(peer.handshake.auth) == {}
            assert (peer.handshake.headers["user-agent"], peer.handshake.headers["x-more"]) == ("tests", "1")
            assert "cookie" not in peer.handshake.headers
            assert "authorization" not in peer.handshake.headers
            assert (peer.handshake.cookies, peer.handshake.query) == ({}, {"page": "1"})
            assert peer.handshake.address == "testclient"


# ---- asking them --------------------------------------------------------------------------------------------------


async def test_an_answer_is_the_first_argument_of_each_ack(world: World) -> None:
    for name, answer in (("ada", ("yes", "really")), ("bob", "no"), ("eve", None)):
        await world.join(name, "red", vote=lambda answer=answer: answer)
    answers = await world.app.of("/").to("red").timeout(5).call("vote")
    assert sorted(answers, key=str) == [None, "no", "yes"]


async def test_those_who_do_not_answer_are_counted(world: World) -> None:
    never = asyncio.get_running_loop().create_future()
    for name in ("ada", "bob"):
        await world.join(name, vote=lambda name=name: name)
    for name in ("eve", "dan"):
        await world.join(name, vote=lambda: never)
    asking = asyncio.create_task(world.app.of("/").timeout(5).call("vote"))
    await settle()
    clock = world.app.server.clock
    await clock.advance(5.1)
    with pytest.raises(AckTimeout) as caught:
        await asking
    assert (sorted(caught.value.answers), caught.value.missing, caught.value.servers_missing) == (["ada", "bob"], 2, 0)
    assert "2 clients did not answer 'vote' within 5 s" in str(caught.value)
    never.cancel()


async def test_those_who_leave_while_they_are_asked_are_not_waited_for(world: World) -> None:
    never = asyncio.get_running_loop().create_future()
    await world.join("ada", vote=lambda: "ada")
    bob = await world.join("bob", vote=lambda: never)
    asking = asyncio.create_task(world.app.of("/").timeout(5).call("vote"))
    await settle()
    await bob.client.disconnect()
    assert await asking == ["ada"]
    never.cancel()


# ---- moving them --------------------------------------------------------------------------------------------------


async def test_they_are_moved_from_room_to_room(world: World) -> None:
    for name in ("ada", "bob"):
        await world.join(name, "day")
    await world.join("eve")
    everybody = world.app.of("/")
    await everybody.to("day").join("night", "late")
    await everybody.to("night").leave("day", "never joined")
    found = by_name(await everybody.sockets())
    assert {name: set(socket.rooms) for name, socket in found.items()} == {
        "ada": {"night", "late"}, "bob": {"night", "late"}, "eve": set(),
    }  # fmt: skip
    await everybody.to(found["eve"].sid).join("day")
    assert set(by_name(await everybody.to("day").sockets())) == {"eve"}


async def test_joining_acts_at_the_call_and_needs_not_be_awaited(world: World) -> None:
    ada = await world.join("ada")
    world.app.of("/").to(ada.theirs).join("red")
    world.app.of("/").to("red").emit("x")
    world.app.of("/").to(ada.theirs).leave("red")
    world.app.of("/").to("red").emit("y")
    assert await ada.receive() == ("x",)
    await ada.nothing()


async def test_nobody_is_put_into_the_private_room_of_another(world: World) -> None:
    ada, bob = await world.join("ada"), await world.join("bob")
    everybody = world.app.of("/")
    for verb in (everybody.join, everybody.to(bob.theirs).join, everybody.to("red").join):
        with pytest.raises(UsageError, match="private rooms"):
            verb("red", ada.theirs)
    assert await everybody.to("red").count() == 0
    await everybody.to(ada.theirs).join(ada.theirs)  # its own: it is in there
    await everybody.to(ada.theirs).leave(ada.theirs)
    await everybody.to(ada.theirs).emit("x")
    assert await ada.receive() == ("x",)
    [peer] = await everybody.to(ada.theirs).sockets()
    assert peer.rooms == frozenset()


@pytest.mark.parametrize("room", [1, None, b"red", ["red"], ("red",), object(), 1.5])
async def test_a_room_is_text(room: Any) -> None:
    async with serve(Member) as client:
        await client.connect()
        everybody = client.app.of("/")
        for verb in (everybody.join, everybody.leave, everybody.to, everybody.except_, Member.last.to):
            with pytest.raises(UsageError, match="a room is named by text"):
                verb(room)
        assert await everybody.join() is await everybody.leave() is None  # no rooms: nothing


async def test_one_that_has_rooms_enough_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    app = SocketIOApp(namespaces={"/": Member}, max_rooms=1)
    async with TestClient(app) as one, TestClient(app) as other:
        ada, bob = await one.connect(), await other.connect()
        await ada.call("join", "red")
        await app.of("/").join("blue")
        assert [peer.sid for peer in await app.of("/").to("blue").sockets()] == [bob.sid]
        await app.of("/").join("blue", "red")
        assert await app.of("/").to("red").count() == 1
    assert "did not join a room: one room more than the 1 of a client in '/' (max_rooms)" in caplog.text


# ---- throwing them out --------------------------------------------------------------------------------------------


async def test_they_are_disconnected_from_the_namespace(world: World) -> None:
    ada, bob = await world.join("ada", "red"), await world.join("bob", "red")
    eve = await world.join("eve")
    await world.app.of("/").to("red").disconnect()
    await ada.disconnected()
    await bob.disconnected()
    await until(lambda: not any(app.of("/").get(ada.theirs) for app in world.apps))
    assert await world.app.of("/").count() == 1
    assert await eve.call("sid") == eve.theirs


async def test_with_close_the_whole_connection_ends(way: Way) -> None:
    app = SocketIOApp(namespaces={"/one": Member, "/two": Recorder})
    async with TestClient(app, **way) as client, TestClient(app, **way) as stays:
        await client.connect("/one")
        two = await client.connect("/two")
        left = Recorder.last
        await stays.connect("/two")
        await app.of("/one").disconnect(close=True)
        await two.disconnected()
        await until(lambda: left.reasons)
        assert left.reasons == ["server namespace disconnect"]
        assert (await app.of("/one").count(), await app.of("/two").count()) == (0, 1)


async def test_a_handler_may_disconnect_everybody_itself_included(world: World) -> None:
    class Ending(Member):
        async def on_end(self) -> str:
            await self.namespace.disconnect()
            return "done"

    async with serve(Ending) as client:
        namespace = await client.connect()
        await namespace.emit("end")
        await namespace.disconnected()
        await until(lambda: Ending.last.reasons)
    assert Ending.last.reasons == ["server namespace disconnect"]


# ---- while they come and go ---------------------------------------------------------------------------------------


class Slow(Member):
    """Its ``recv_connect`` waits until it is told to go on."""

    gate: asyncio.Event

    async def recv_connect(self) -> None:
        await self.gate.wait()

    async def recv_disconnect(self, reason: str) -> None:
        self.last.counted = await self.namespace.count(), await self.to("red").count()
        self.last.found = self.namespace.get(self.sid)
        await self.namespace.join("late")
        await super().recv_disconnect(reason)


async def test_one_that_connects_is_meant_and_one_that_has_left_is_not(way: Way) -> None:
    Slow.gate = asyncio.Event()
    async with serve(Slow, **way) as client:
        app: Any = client.app
        connecting = asyncio.create_task(client.connect())
        await until(lambda: app.server.adapter.local.namespaces)
        assert (await app.of("/").count(), app.of("/").instances()) == (1, [Slow.last])
        await app.of("/").join("red")
        Slow.gate.set()
        await connecting
        assert Slow.last.rooms == {"red"}
        await client.disconnect()
        await until(lambda: Slow.last.reasons)
        assert (Slow.last.counted, Slow.last.found) == ((0, 0), None)
        await until(lambda: not app.server.adapter.local.rooms)


async def test_one_that_is_thrown_out_while_it_connects(way: Way) -> None:
    Slow.gate = asyncio.Event()
    async with serve(Slow, **way) as client:
        app: Any = client.app
        connecting = asyncio.ensure_future(client.connect())
        await until(lambda: app.server.adapter.local.namespaces)
        await app.of("/").disconnect()
        Slow.gate.set()
        await asyncio.wait([connecting])
        await until(lambda: not app.server.adapter.local.namespaces)
        assert connecting.exception() is None or isinstance(connecting.exception(), ClientRefused)  # 0.9: it was all


# ---- other servers ------------------------------------------------------------------------------------------------


async def test_alone_nobody_hears_and_nobody_answers() -> None:
    async with serve(Member) as client:
        everybody = client.app.of("/")
        heard: list[Any] = []
        everybody.on_server_event("stats")(heard.append)
        await everybody.server_emit("stats", 1)
        assert (await everybody.timeout(1).server_call("stats", 2), heard) == ([], [])
        for verb in (everybody.server_emit, everybody.server_call):
            with pytest.raises(UsageError):
                await verb("stats", object())


async def test_before_the_server_runs_nobody_is_there() -> None:
    everybody = SocketIOApp(namespaces={"/": Member}).of("/")
    assert await everybody.sockets() == [] == await everybody.server_call("stats")
    assert (await everybody.count(), everybody.instances(), everybody.get("x")) == (0, [], None)
    await everybody.join("red")
    await everybody.leave("red")
    await everybody.disconnect(close=True)
    await everybody.server_emit("x")


async def test_servers_tell_and_ask_each_other(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    adapters: list[Adapter | None] = [LateAdapter(bus) for _ in range(3)]
    async with world_of(adapters, {"generation": 4, "transport": "websocket"}) as world:
        heard: list[Any] = []
        for number, app in enumerate(world.apps):
            namespace = app.of("/")

            async def stats(*args: Any, number: int = number) -> Any:
                await asyncio.sleep(0)
                heard.append((number, *args))
                return {"number": number}

            assert namespace.on_server_event("stats")(stats) is stats
            namespace.on_server_event("plain")(lambda number=number: number)
            with pytest.raises(UsageError, match="there is a function for it"):
                namespace.on_server_event("stats")(stats)
        first = world.app.of("/")
        await first.server_emit("stats", 1, "x")
        await until(lambda: len(heard) == 2)
        assert sorted(heard) == [(1, 1, "x"), (2, 1, "x")]
        answers = await first.timeout(3).server_call("stats", 2)
        assert sorted(answer["number"] for answer in answers) == [1, 2]
        assert sorted(await first.server_call("plain")) == [1, 2]


async def test_a_server_that_does_not_answer_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    adapters = [LateAdapter(bus) for _ in range(3)]
    async with world_of([*adapters], {"generation": 4, "transport": "websocket"}) as world:
        first, second, third = (app.of("/") for app in world.apps)
        second.on_server_event("stats")(lambda: 2)
        third.on_server_event("stats")(lambda: 1 / 0)
        await world.join("ada", vote=lambda: "ada")
        await world.join("bob", vote=lambda: "bob")
        await world.join("eve", vote=lambda: "eve")

        async def times_out(question: Any) -> AckTimeout:
            asking = asyncio.ensure_future(question)
            await settle()
            await world.app.server.clock.advance(3.1)
            with pytest.raises(AckTimeout) as caught:
                await asking
            return caught.value

        error = await times_out(first.timeout(3).server_call("stats"))
        assert (error.answers, error.missing, error.servers_missing) == ([2], 0, 1)
        assert "on_server_event 'stats' raised ZeroDivisionError" in caplog.text
        error = await times_out(first.timeout(3).server_call("unheard of"))
        assert (error.answers, error.servers_missing) == ([], 2)
        bus.deaf.add(adapters[2])
        error = await times_out(first.timeout(3).call("vote"))
        assert (sorted(error.answers), error.missing, error.servers_missing) == (["ada", "bob"], 0, 1)
        error = await times_out(first.timeout(3).sockets())
        assert (sorted(peer.data["name"] for peer in error.answers), error.servers_missing) == (["ada", "bob"], 1)
        error = await times_out(first.timeout(3).count())
        assert (len(error.answers), error.servers_missing) == (2, 1)
        assert "1 servers did not answer count() within 3 s" in str(error)


# ---- the objects of this process ----------------------------------------------------------------------------------


async def test_the_objects_of_a_namespace(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Member, "/two": Recorder})
    async with TestClient(app, **way) as one, TestClient(app, **way) as other:
        await one.connect()
        ada = Member.last
        await other.connect()
        bob = Member.last
        assert app.of("/").instances() == [ada, bob]
        assert (app.of("/").get(ada.sid), app.of("/two").get(ada.sid), app.of("/").get("red")) == (ada, None, None)
        assert ada.namespace.get(bob.sid) is bob
        assert app.of("/two").instances() == []


# ---- rooms that come and go ---------------------------------------------------------------------------------------


async def test_what_happens_to_rooms_is_told(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Member, "/two": Member})
    heard: list[Any] = []
    chat = app.of("/")

    @chat.on_room("created")
    def created(room: str) -> None:
        heard.append(("created", room))

    @chat.on_room("deleted")
    async def deleted(room: str) -> None:
        heard.append(("deleted", room))

    @chat.on_room("joined")
    def joined(room: str, sid: str) -> None:
        heard.append(("joined", room, sid))

    @chat.on_room("left")
    def left(*args: str) -> None:
        heard.append(("left", *args))

    async with TestClient(app, **way) as one, TestClient(app, **way) as other:
        ada, bob = await one.connect(), await other.connect()
        await (await other.connect("/two")).call("join", "elsewhere")
        for namespace in (ada, bob, bob):
            await namespace.call("join", "red")
        ada_sid, bob_sid = await ada.call("sid"), await bob.call("sid")
        assert heard == [("created", "red"), ("joined", "red", ada_sid), ("joined", "red", bob_sid)]
        heard.clear()
        await chat.to(ada_sid).leave("red")
        await chat.to(ada_sid).leave("red")
        await two_gone(other, app)
        assert heard == [("left", "red", ada_sid), ("left", "red", bob_sid), ("deleted", "red")]


async def two_gone(client: TestClient, app: SocketIOApp) -> None:
    """The client goes, and the server has noticed."""
    await client.disconnect()
    await until(lambda: len(app.of("/").instances()) == 1 and not app.server.adapter.local.rooms)
    await settle()


async def test_a_listener_may_raise_and_may_join_and_leave(caplog: pytest.LogCaptureFixture) -> None:
    app = SocketIOApp(namespaces={"/": Member})
    chat = app.of("/")

    @chat.on_room("joined")
    def joined(room: str, sid: str) -> None:
        if room == "red":
            chat.to(sid).join("blue")
            chat.to(sid).leave("red")
        raise ValueError("oh")

    async with TestClient(app) as client:
        await (await client.connect()).call("join", "red")
        assert Member.last.rooms == {"blue"}
    assert "on_room joined raised ValueError('oh')" in caplog.text


@pytest.mark.parametrize("what", ["join", "", None, "create-room"])
def test_an_unknown_happening_is_refused(what: Any) -> None:
    with pytest.raises(UsageError, match="expected one of created, joined, left, deleted"):
        SocketIOApp(namespaces={"/": Member}).of("/").on_room(what)


@pytest.mark.parametrize(
    ("what", "function"),
    [
        ("joined", lambda room: None), ("joined", 1), ("left", lambda: None),
        ("created", lambda room, sid: None), ("deleted", lambda: None), ("created", None),
    ],
)  # fmt: skip
def test_a_listener_that_does_not_fit_is_refused(what: Any, function: Any) -> None:
    with pytest.raises(UsageError, match="on_room"):
        SocketIOApp(namespaces={"/": Member}).of("/").on_room(what)(function)


@pytest.mark.parametrize("function", [1, None, "stats"])
def test_a_server_event_is_handled_by_a_function(function: Any) -> None:
    with pytest.raises(UsageError, match="on_server_event decorates a function"):
        SocketIOApp(namespaces={"/": Member}).of("/").on_server_event("x")(function)


# ---- what operators are made of -----------------------------------------------------------------------------------


async def test_what_narrows_an_operator_leaves_the_operator_as_it_was() -> None:
    async with serve(Member) as client:
        await client.connect()
        everybody = client.app.of("/")
        lobby = everybody.to("lobby")
        for narrow in (
            lambda: lobby.to("x"), lambda: lobby.except_("x"), lambda: lobby.volatile, lambda: lobby.local,
            lambda: lobby.timeout(1), lambda: lobby.compress(True),
        ):  # fmt: skip
            made = narrow()
            assert type(made) is BroadcastOperator
            assert made.namespace == ""
        assert lobby == BroadcastOperator(client.app.server, "", frozenset({"lobby"}))
        assert type(everybody.timeout(1)) is type(everybody.compress(False)) is type(everybody)
        assert everybody.timeout(1).local.volatile.to("a").except_("b") == BroadcastOperator(
            client.app.server, "", frozenset("a"), frozenset("b"), None, None, True, True, 1
        )
        with pytest.raises(UsageError, match="True or False"):
            lobby.compress(1)  # type: ignore[arg-type]


async def test_an_operator_of_one_client_means_it_for_every_verb() -> None:
    app = SocketIOApp(namespaces={"/": Member})
    async with TestClient(app) as one, TestClient(app) as other:
        await one.connect()
        me = Member.last
        await other.connect()
        for alone in (me.timeout(5), me.volatile):
            assert ([peer.sid for peer in await alone.sockets()], await alone.count()) == ([me.sid], 1)
        await me.timeout(5).join("red")
        assert await app.of("/").to("red").count() == 1
        await me.volatile.leave("red")
        assert await app.of("/").to("red").count() == 0
        assert await me.local.count() == await me.volatile.to("x", Member.last.sid).count() == 1
        await me.volatile.disconnect()
        await until(lambda: app.of("/").instances() == [Member.last])


async def test_from_another_thread_they_act_soon_and_questions_are_refused() -> None:
    async with serve(Member) as client:
        await client.connect()
        everybody, me = client.app.of("/"), Member.last
        await asyncio.to_thread(everybody.join, "red", "blue")
        await until(lambda: me.rooms == {"red", "blue"})
        await asyncio.to_thread(everybody.to("red").leave, "blue")
        await until(lambda: me.rooms == {"red"})
        await asyncio.to_thread(everybody.server_emit, "x")
        for verb in ("sockets", "count", "server_call"):
            with pytest.raises(UsageError, match=f"{verb} was called outside of the server's event loop"):
                await asyncio.to_thread(asyncio.run, getattr(everybody, verb)(*["x"] * (verb == "server_call")))
        await asyncio.to_thread(everybody.disconnect)
        await until(lambda: me.reasons)
