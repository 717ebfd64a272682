"""What every engine has to do: a cluster over it is one server to all clients.

The verbs have a file of their own, ``test_verbs``, which runs over these engines as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from asocketio import (
    AckTimeout,
    ClusterChange,
    Disconnected,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
    Target,
    UsageError,
)
from asocketio.adapters.cluster.messages import Broadcast, ClientCount, Fetched, Message
from asocketio.adapters.cluster.wire import encode
from asocketio.metrics import Metrics
from asocketio.testing import TestClient, settle
from tests.support.cluster import ENGINES, CountingEngine, HeartbeatEngine, Hub, MemoryEngine, cluster_of
from tests.support.worlds import Recorder, Way, binary, until


class Chat(Recorder, RoomsMixin):
    """Joins what it is told to."""

    async def on_join(self, *rooms: str) -> str:
        for room in rooms:
            await self.join(room)
        return self.sid

    async def on_shout(self, *args: Any) -> None:
        await self.to("red").emit("shout", *args)


class Counted(Metrics):
    """The messages of a cluster."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def cluster(self, what: str, count: int) -> None:
        self.counts[what] += count


class Cluster:
    """Servers on one hub."""

    def __init__(self, kind: type[MemoryEngine], servers: int, stack: AsyncExitStack, settings: Any) -> None:
        self.hub = Hub()
        self.changes: list[list[ClusterChange]] = [[] for _ in range(servers)]
        self.adapters = cluster_of(kind, servers, self.hub)
        self.metrics = [Counted() for _ in self.adapters]
        self.apps = [
            SocketIOApp(
                namespaces={"/": Chat, "/other": Chat},
                adapter=adapter,
                metrics=metrics,
                on_cluster_change=changes.append,
                **settings,
            )
            for adapter, changes, metrics in zip(self.adapters, self.changes, self.metrics, strict=True)
        ]
        self._stack = stack
        self.keepers: list[TestClient] = []

    async def start(self) -> None:
        for app in self.apps:
            self.keepers.append(await self._stack.enter_async_context(TestClient(app)))
        await self.advance(1)

    async def client(self, server: int, *rooms: str, name: str = "/", **way: Any) -> Any:
        """A client of one server, in rooms. ``theirs`` is its sid there."""
        client = await self._stack.enter_async_context(TestClient(self.apps[server], **way))
        namespace = await client.connect(name)
        namespace.theirs = await namespace.call("join", *rooms)
        return namespace

    @property
    def engines(self) -> list[MemoryEngine]:
        return [adapter.engine for adapter in self.adapters]  # type: ignore[misc]

    async def advance(self, seconds: float) -> None:
        for client in self.keepers:
            await client.advance(seconds)

    async def carried(self) -> list[Message]:
        """What was published since the last time."""
        await settle()
        found, self.hub.carried[:] = list(self.hub.carried), []
        return [message for message in found if type(message.body).__name__ != "Heartbeat"]


@asynccontextmanager
async def cluster(kind: type[MemoryEngine], servers: int = 2, **settings: Any) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        made = Cluster(kind, servers, stack, settings)
        await made.start()
        made.hub.carried.clear()
        yield made


@pytest.fixture(params=ENGINES.values(), ids=ENGINES)
def kind(request: pytest.FixtureRequest) -> type[MemoryEngine]:
    """Every engine."""
    found: type[MemoryEngine] = request.param
    return found


# ---- broadcasts ------------------------------------------------------------------------------------------------------

WHOM: dict[str, tuple[Callable[[Any, list[Any]], Any], set[int]]] = {
    "all": (lambda of, _: of, {0, 1, 2}),
    "a room": (lambda of, _: of.to("red"), {0, 1}),
    "rooms": (lambda of, _: of.to("red", "blue"), {0, 1, 2}),
    "a sid": (lambda of, all: of.to(all[2].theirs), {2}),
    "except a room": (lambda of, _: of.except_("blue"), {0}),
    "except a sid": (lambda of, all: of.except_(all[1].theirs), {0, 2}),
    "a room except": (lambda of, _: of.to("red").except_("blue"), {0}),
    "volatile": (lambda of, _: of.to("red").volatile, {0, 1}),
    "local": (lambda of, _: of.local, {0}),
    "nobody": (lambda of, _: of.to(*[]), set()),
    "an empty room": (lambda of, _: of.to("green"), set()),
}


@pytest.mark.parametrize(("whom", "reached"), WHOM.values(), ids=WHOM)
async def test_a_broadcast_reaches_whom_it_means_once_and_in_order(
    kind: type[MemoryEngine], whom: Callable[[Any, list[Any]], Any], reached: set[int]
) -> None:
    async with cluster(kind, 3) as c:
        clients = [await c.client(0, "red"), await c.client(1, "red", "blue"), await c.client(2, "blue")]
        for number in range(5):
            await whom(c.apps[0].of("/"), clients).emit("news", number, b"raw", {"n": [None, 1.5, "é"]})
        await c.apps[0].of("/").emit("end")
        for number, client in enumerate(clients):
            expected: list[Any] = [("news", n, b"raw", {"n": [None, 1.5, "é"]}) for n in range(5)]
            for event in [*(expected if number in reached else []), ("end",)]:
                assert await client.receive() == event
            await client.nothing()


async def test_every_generation_and_transport_hears_the_others(way: Way) -> None:
    async with cluster(MemoryEngine) as c:
        near, far = await c.client(0, "red", **way), await c.client(1, "red", **way)
        await near.emit("shout", 1, binary(way))
        assert await far.receive() == ("shout", 1, binary(way))
        await far.emit("shout", 2)
        assert await near.receive() == ("shout", 2)
        for client in (near, far):
            await client.nothing()


async def test_nothing_is_published_of_what_only_this_server_is_meant_by(kind: type[MemoryEngine]) -> None:
    async with cluster(kind) as c:
        await c.client(0, "red")
        of = c.apps[0].of("/")
        for each in (of.local, of.to("red").local, of.to(*[])):
            await each.emit("x")
            await each.join("blue")
            await each.leave("blue")
            assert isinstance(await each.sockets(), list)
            await each.count()
            await each.disconnect()
            assert await each.timeout(1).call("x") == []
        assert await c.carried() == []


async def test_other_namespaces_hear_nothing(kind: type[MemoryEngine]) -> None:
    async with cluster(kind) as c:
        chat, other = await c.client(1), await c.client(1, name="/other")
        await c.apps[0].of("/other").emit("x")
        assert await other.receive() == ("x",)
        await chat.nothing()


async def test_later_changes_of_arguments_do_not_matter(kind: type[MemoryEngine]) -> None:
    async with cluster(kind) as c:
        far = await c.client(1)
        news = [1]
        sent = c.apps[0].of("/").emit("x", news)
        news.append(2)
        await sent
        assert await far.receive() == ("x", [1])


async def test_mistakes_are_seen_at_the_call(kind: type[MemoryEngine]) -> None:
    async with cluster(kind, max_outbox=10_000) as c:
        far = await c.client(1)
        with pytest.raises(UsageError, match="cannot be sent as JSON"):
            c.apps[0].of("/").emit("x", object())
        with pytest.raises(UsageError, match="int of over 64 bits"):
            c.apps[0].of("/").emit("x", 2**64, b"raw")
        with pytest.raises(Exception, match="max_outbox"):
            c.apps[0].of("/").emit("x", "y" * 20_000)
        c.apps[0].of("/").emit("x", 2**64)
        assert await far.receive() == ("x", 2**64)
        assert await c.carried() != []


# ---- questions -------------------------------------------------------------------------------------------------------


async def test_acks_of_all_servers_are_collected(kind: type[MemoryEngine]) -> None:
    async with cluster(kind, 3) as c:
        clients = [await c.client(number % 3, "red") for number in range(6)]
        for number, client in enumerate(clients):
            client.on("vote", lambda number=number: (number, "more"))
        assert sorted(await c.apps[0].of("/").to("red").timeout(5).call("vote")) == [*range(6)]
        assert await c.apps[0].of("/").to("green").timeout(5).call("vote") == []
        [peer] = await c.apps[0].of("/").to(clients[1].theirs).sockets()
        assert await peer.call("vote") == (1, "more")


async def test_who_does_not_answer_in_time_is_told_of(kind: type[MemoryEngine]) -> None:
    async with cluster(kind) as c:
        near, far, mute = await c.client(0), await c.client(1), await c.client(1)
        for client in (near, far):
            client.on("vote", lambda: "yes")
        asking = asyncio.create_task(c.apps[0].of("/").timeout(5).call("vote"))
        assert await mute.receive() == ("vote",)
        await settle()
        await c.advance(6)
        with pytest.raises(AckTimeout, match="1 clients did not answer 'vote' within 5 s") as caught:
            await asking
        assert (caught.value.answers, caught.value.missing) == (["yes", "yes"], 1)
        await c.client(1)
        assert await c.apps[0].of("/").to(far.theirs).timeout(5).call("vote") == ["yes"]


async def test_a_client_that_leaves_is_waited_for_no_longer(kind: type[MemoryEngine]) -> None:
    async with cluster(kind) as c:
        far, leaving = await c.client(1), await c.client(1)
        far.on("vote", lambda: "yes")
        asking = asyncio.create_task(c.apps[0].of("/").timeout(5).call("vote"))
        assert await leaving.receive() == ("vote",)
        await leaving.disconnect()
        assert await asking == ["yes"]
        [peer] = await c.apps[0].of("/").to(far.theirs).sockets()
        await far.disconnect()
        with pytest.raises(Disconnected):
            await peer.call("vote", timeout=5)


async def test_a_server_that_never_answers_is_told_of(kind: type[MemoryEngine]) -> None:
    async with cluster(kind, 3) as c:
        clients = [await c.client(server) for server in range(3)]
        for client in clients:
            client.on("vote", lambda: "yes")
        c.hub.deaf.add(c.engines[2].uid)
        of = c.apps[0].of("/").timeout(3)
        for ask, answers in (
            (lambda: of.call("vote"), ["yes", "yes"]),
            (of.count, [clients[0].theirs, clients[1].theirs]),
        ):
            asking = asyncio.create_task(ask())
            await settle()
            await settle()
            await c.advance(4)
            with pytest.raises(AckTimeout, match="1 servers did not answer") as caught:
                await asking
            assert (caught.value.answers, caught.value.servers_missing) == (answers, 1)


@pytest.mark.parametrize("kind", [each for each in ENGINES.values() if each not in (CountingEngine, HeartbeatEngine)])
async def test_a_server_that_dies_while_it_is_asked_ends_the_wait(kind: type[MemoryEngine]) -> None:
    async with cluster(kind, 3) as c:
        near, mute = await c.client(0), await c.client(1)
        near.on("vote", lambda: "yes")
        asking = asyncio.create_task(c.apps[0].of("/").timeout(60).call("vote"))
        assert await mute.receive() == ("vote",)
        await settle()
        c.engines[1].die()
        assert await asking == ["yes"]
        assert c.changes[0][-1] == ClusterChange("left", member=c.engines[1].uid)


async def test_heartbeats_tell_of_a_server_that_dies() -> None:
    async with cluster(HeartbeatEngine, 3) as c:
        near, mute = await c.client(0), await c.client(1)
        near.on("vote", lambda: "yes")
        others = {engine.uid for engine in c.engines}
        assert await c.apps[0].cluster.members() == others
        asking = asyncio.create_task(c.apps[0].of("/").timeout(60).call("vote"))
        assert await mute.receive() == ("vote",)
        await settle()
        c.engines[1].die()
        for _ in range(3):
            for keeper in (c.keepers[0], c.keepers[2]):
                await keeper.advance(5)
        assert await asking == ["yes"]
        assert await c.apps[0].cluster.members() == others - {c.engines[1].uid}
        assert c.changes[0][-1] == ClusterChange("left", member=c.engines[1].uid)
        await c.apps[2].close()
        await settle()
        assert await c.apps[0].cluster.members() == {c.engines[0].uid}


async def test_all_members_are_known_by_name(kind: type[MemoryEngine]) -> None:
    async with cluster(kind, 3) as c:
        for app, engine in zip(c.apps, c.engines, strict=True):
            assert (app.cluster.name, app.cluster.healthy) == (engine.uid, True)
            assert await app.cluster.members() == {each.uid for each in c.engines}
        await c.apps[2].close()
        await settle()
        assert await c.apps[0].cluster.members() == {each.uid for each in c.engines[:2]}


async def test_a_server_alone_is_a_cluster_of_one() -> None:
    app = SocketIOApp(namespaces={"/": Chat})
    assert await app.cluster.members() == {app.cluster.name}
    assert app.cluster.healthy


async def test_answers_of_strangers_and_late_ones_change_nothing(kind: type[MemoryEngine]) -> None:
    async with cluster(kind) as c:
        far = await c.client(1)
        questions = c.adapters[0]._questions
        asking = asyncio.create_task(c.apps[0].of("/").timeout(5).call("vote"))
        assert await far.receive() == ("vote",)
        await settle()
        [request_id] = questions._open
        stranger = "feedfeedfeedfeed"
        for uid in (stranger, c.engines[0].uid):
            for body in (ClientCount(request_id, 7), Fetched(request_id, [])):
                c.hub.say(encode(Message(uid, "", body)))
        c.hub.say(encode(Message(c.engines[1].uid, "", Fetched(request_id, []))))
        c.hub.say(encode(Message(c.engines[1].uid, "", ClientCount("another", 7))))
        c.hub.say(encode(Message(c.engines[1].uid, "/other", ClientCount(request_id, 7))))
        await settle()
        await c.advance(6)
        with pytest.raises(AckTimeout) as caught:
            await asking
        assert (caught.value.answers, caught.value.missing) == ([], 1)
        assert questions._open == {}
        c.hub.say(encode(Message(c.engines[1].uid, "", ClientCount(request_id, 7))))
        c.engines[0].host.member_gone(stranger)  # by heartbeats whoever says something is a member
        assert await c.apps[0].of("/").count() == 1


async def test_one_sid_of_two_servers_counts_once(kind: type[MemoryEngine]) -> None:
    async with cluster(kind, 3) as c:
        near = await c.client(0)
        for adapter in c.adapters[1:]:
            adapter.fetch_here = c.adapters[0].fetch_here  # type: ignore[method-assign]
            adapter.fetch_sids_here = c.adapters[0].fetch_sids_here  # type: ignore[method-assign]
        of = c.apps[0].of("/")
        assert (await of.count(), [each.sid for each in await of.sockets()]) == (1, [near.theirs])


async def test_events_of_servers_run_once_on_each_other_server(kind: type[MemoryEngine]) -> None:
    async with cluster(kind, 3) as c:
        heard: list[Any] = []
        for number, app in enumerate(c.apps):

            @app.of("/other").on_server_event("tick")
            async def tick(*args: Any, number: int = number) -> Any:
                heard.append((number, *args))
                return number

        await c.advance(1)
        await c.apps[1].of("/other").server_emit("tick", b"1")
        await until(lambda: len(heard) == 2)
        assert sorted(heard) == [(0, b"1"), (2, b"1")]
        assert sorted(await c.apps[1].of("/other").timeout(5).server_call("tick")) == [0, 2]
        assert len(heard) == 4


# ---- outages ---------------------------------------------------------------------------------------------------------


async def test_while_the_bus_is_down_this_server_goes_on_and_the_others_hear_all_later(
    kind: type[MemoryEngine], caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster(kind) as c:
        near, far = await c.client(0), await c.client(1)
        await c.carried()
        c.hub.down()
        assert not c.apps[0].cluster.healthy
        for number in range(3):
            await c.apps[0].of("/").emit("x", number)
            assert await near.receive() == ("x", number)
            await settle()
        await far.nothing()
        c.hub.up()
        for number in range(3):
            assert await far.receive() == ("x", number)
        await far.nothing()
        assert c.apps[0].cluster.healthy
        outage = [each for each in c.changes[0] if each.what in ("down", "up")]
        assert outage == [ClusterChange("down"), ClusterChange("up", 1.0, 0)]
        assert "the bus to the other servers is down" in caplog.text
        assert "is up again, after 1.0 s; 0 messages did not go out" in caplog.text


async def test_a_question_while_the_bus_is_down_ends_by_its_time(kind: type[MemoryEngine]) -> None:
    async with cluster(kind) as c:
        near = await c.client(0)
        c.hub.down()
        asking = asyncio.create_task(c.apps[0].of("/").timeout(3).sockets())
        await settle()
        await c.keepers[0].advance(4)
        with pytest.raises(AckTimeout) as caught:
            await asking
        assert [each.sid for each in caught.value.answers] == [near.theirs]
        c.hub.up()


async def test_over_the_bound_the_oldest_broadcasts_are_dropped_and_nothing_else(
    kind: type[MemoryEngine], caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster(kind, max_publish_queue=10_000) as c:
        near, far = await c.client(0), await c.client(1)
        of = c.apps[0].of("/")
        c.hub.down()
        await settle()
        _ = of.join("red")
        for number in range(20):
            _ = of.emit("x", number, "y" * 700)
        publisher = c.adapters[0]._publisher
        assert publisher.size <= 10_000
        assert [await near.receive() for _ in range(20)] == [("x", number, "y" * 700) for number in range(20)]
        c.hub.up()
        first = await far.receive()
        got = [first, *[await far.receive() for _ in range(19 - first[1])]]
        assert [event[1] for event in got] == [*range(first[1], 20)]
        assert 10 <= first[1] <= 12
        assert await of.to("red").count() == 2  # what was queued before them is not dropped
        assert c.metrics[0].counts["dropped"] == first[1]
        news = [each for each in c.changes[0] if each.what in ("lost", "up")]
        assert [(each.what, each.lost) for each in news] == [("lost", 1), ("up", first[1])]
        lines = [each for each in caplog.records if "messages did not go to the other servers" in each.getMessage()]
        assert len(lines) == 1
        assert lines[0].levelno == logging.WARNING


async def test_what_may_not_be_dropped_has_a_bound_too() -> None:
    async with cluster(MemoryEngine, max_publish_queue=10_000) as c:
        c.hub.down()
        await settle()
        for number in range(200):
            _ = c.apps[0].of("/").join(f"room {number} {'x' * 100}")
        assert c.adapters[0]._publisher.size <= 20_000
        assert c.metrics[0].counts["dropped"] > 100
        c.hub.up()


async def test_awaiting_a_verb_waits_for_room_and_not_for_the_bus(kind: type[MemoryEngine]) -> None:
    async with cluster(kind, max_publish_queue=10_000, send_timeout=30) as c:
        of = c.apps[0].of("/")
        c.hub.down()
        await settle()
        for _ in range(4):
            await of.emit("x", "y" * 700)
        waiting = asyncio.ensure_future(_waited(of.emit("x", "y" * 1500)))
        await settle()
        assert not waiting.done()
        c.hub.up()
        await waiting
        c.hub.down()
        for _ in range(7):
            _ = of.emit("x", "y" * 700)
        patient = asyncio.ensure_future(_waited(of.emit("x")))
        await settle()
        assert not patient.done()
        await c.keepers[0].advance(31)
        await patient
        c.hub.up()


async def _waited(awaitable: Any) -> Any:
    return await awaitable


# ---- bad input -------------------------------------------------------------------------------------------------------


async def test_what_is_no_message_is_dropped_counted_and_said_once(
    kind: type[MemoryEngine], caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster(kind) as c:
        far = await c.client(1)
        reserved = (
            b'{"type":3,"uid":"a","nsp":"/","data":{"packet":{"type":2,"data":["disconnect"]},"opts":{"rooms":[]}}}'
        )
        hostile = [b"", b"\xc1", b"{", b"{}", b"\x93\x01\x02\x03", reserved, b"{" + b"x" * 33_000_000]
        for data in hostile:
            c.hub.say(data)
        await c.apps[0].of("/").emit("still here")
        assert await far.receive() == ("still here",)
        await far.nothing()
        assert c.metrics[1].counts["malformed"] == len(hostile)
        lines = [each for each in caplog.records if "dropped what came on the cluster's bus" in each.getMessage()]
        assert len(lines) == 2  # one of each server


async def test_a_message_that_cannot_be_carried_out_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster(MemoryEngine, max_outbox=10_000) as c:
        far = await c.client(1)
        big = Broadcast(packet("big", "x" * 20_000), Target(""))
        c.hub.say(encode(Message("aaaa", "", big)))
        await c.apps[0].of("/").emit("still here")
        assert await far.receive() == ("still here",)
        assert "a Broadcast of the server 'aaaa'" in caplog.text


def packet(name: str, *args: Any) -> Packet:
    return Packet(PacketType.EVENT, "", name, list(args))


async def test_nothing_is_left_of_questions_and_namespaces(kind: type[MemoryEngine]) -> None:
    async with cluster(kind) as c:
        for name in ("/", "/other"):
            client = await c.client(1, name=name)
            client.on("vote", lambda: "yes")
            of = c.apps[0].of(name)
            for ask, answer in ((of.timeout(5).call("vote"), ["yes"]), (of.count(), 1)):
                asking = asyncio.ensure_future(_waited(ask))
                await settle()
                await c.advance(1)  # by heartbeats, a namespace that is new here takes a moment
                assert await asking == answer
            await client.disconnect()
        await settle()
        for adapter, engine in zip(c.adapters, c.engines, strict=True):
            assert adapter._questions._open == {}
            assert adapter._inbox.respondent._relays == set()
            assert list(engine.entered) == [""]
