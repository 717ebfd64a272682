"""Servers of one process over a real Redis: a cluster is one server to all clients."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest

from asocketio import AckTimeout, BaseNamespace, ClusterChange, SocketIOApp, UsageError
from asocketio.adapters.redis import RedisAdapter, RedisStreamsAdapter, ShardedRedisAdapter
from asocketio.adapters.redis import connection as module
from asocketio.testing import TestClient
from asocketio.testing.client import ClientNamespace
from tests.support.redis import RedisServer, newest_redis, redis_version
from tests.support.worlds import until

KINDS: dict[str, Any] = {
    "classic": RedisAdapter,
    "sharded": ShardedRedisAdapter,
    "sharded-static": partial(ShardedRedisAdapter, subscription_mode="static"),
    "streams": RedisStreamsAdapter,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param.startswith("sharded") and redis_version(newest_redis()) < (7,):
        pytest.skip("sharded pub/sub needs Redis 7: install Debian's redis-server")
    return str(request.param)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), binary=newest_redis()) as server:
        yield server


class Desk(BaseNamespace):
    async def recv_connect(self, auth: Any) -> None:
        self.data["name"] = auth["name"]
        await self.join("lobby")

    def on_enter(self, room: str) -> Any:
        return self.join(room)


class Member:
    """One server with one client of it."""

    def __init__(self, app: SocketIOApp, name: str, client: TestClient, namespace: ClientNamespace) -> None:
        self.app = app
        self.name = name
        self.client = client
        self.namespace = namespace

    @property
    def sid(self) -> str:
        return next(iter(self.app.of("/").instances())).sid


async def settled(apps: list[SocketIOApp], namespace: str = "/") -> None:
    """Wait until all of them hear each other."""
    for app in apps:
        engine = app.server.adapter.engine
        while await engine.count("" if namespace == "/" else namespace) < len(apps) - 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def counted(app: SocketIOApp) -> Any:
    """What collects the answers to the one question of a server."""
    questions = app.server.adapter._questions
    await until(lambda: questions._open)
    [(_, question)] = questions._open.values()
    return question.answers


@asynccontextmanager
async def cluster(
    redis: RedisServer, servers: int = 3, kind: str = "classic", **settings: Any
) -> AsyncIterator[list[Member]]:
    redis.client().flushall()
    apps = [
        SocketIOApp(namespaces={"/": Desk, "/chat": Desk}, adapter=KINDS[kind](redis.url), **settings)
        for _ in range(servers)
    ]
    async with AsyncExitStack() as stack:
        members: list[Member] = []
        for number, app in enumerate(apps):
            client = await stack.enter_async_context(TestClient(app))
            namespace = await client.connect(auth={"name": f"c{number}"})
            members.append(Member(app, f"c{number}", client, namespace))
        await settled(apps)
        yield members


async def heard(members: list[Member], *who: int) -> None:
    """Each of ``who`` has been sent "news" once; the others nothing."""
    for number, member in enumerate(members):
        if number in who:
            assert await member.namespace.receive() == ("news", 1)
        else:
            await member.namespace.nothing()


async def test_broadcasts_reach_each_client_once(redis: RedisServer, kind: str) -> None:
    async with cluster(redis, kind=kind) as members:
        for member in members:
            await member.app.of("/").emit("news", 1)
            await heard(members, 0, 1, 2)
        operator = members[0].app.of("/")
        await operator.to(members[1].sid).emit("news", 1)
        await members[1].namespace.receive()
        await operator.to("lobby").except_(members[1].sid).emit("news", 1)
        for number in (0, 2):
            assert await members[number].namespace.receive() == ("news", 1)
        await operator.to("lobby").emit("binary", b"\1\2", {"x": [b"\3"]})
        for member in members:
            assert await member.namespace.receive() == ("binary", b"\1\2", {"x": [b"\3"]})
        await heard(members)


async def test_rooms_are_those_of_all_servers(redis: RedisServer, kind: str) -> None:
    async with cluster(redis, kind=kind) as members:
        operator = members[0].app.of("/")
        await operator.to(members[2].sid).join("night")
        while await operator.to("night").count() != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await members[1].app.of("/").to("night").emit("news", 1)
        assert await members[2].namespace.receive() == ("news", 1)
        await operator.to("night").leave("night")
        while await operator.to("night").count():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await operator.to(members[2].sid).disconnect()
        assert await members[2].namespace.disconnected()


async def test_questions_are_answered_by_all_servers(redis: RedisServer, kind: str) -> None:
    async with cluster(redis, kind=kind) as members:
        operator = members[0].app.of("/")
        peers = await operator.sockets()
        assert sorted((peer.data["name"], tuple(peer.rooms)) for peer in peers) == [
            (f"c{number}", ("lobby",)) for number in range(3)
        ]
        assert await operator.count() == 3
        for member in members:
            member.namespace.on("vote", lambda word, member=member: member.name + word)
        assert sorted(await operator.timeout(5).call("vote", "?")) == ["c0?", "c1?", "c2?"]
        for member in members:
            member.app.of("/").on_server_event("stats")(lambda word, member=member: {"name": member.name, "word": word})
        replies = await operator.timeout(5).server_call("stats", "x")
        assert sorted(reply["name"] for reply in replies) == ["c1", "c2"]


async def test_an_ack_that_does_not_come(redis: RedisServer, kind: str) -> None:
    async with cluster(redis, 2, kind) as members:
        members[0].namespace.on("vote", lambda: "here")
        asking = asyncio.create_task(members[0].app.of("/").timeout(1).call("vote"))
        assert await members[1].namespace.receive() == ("vote",)
        acks = await counted(members[0].app)
        await until(lambda: acks.missing == 1 and not acks.servers_missing)
        await members[0].client.advance(2)
        with pytest.raises(AckTimeout) as caught:
            await asking
        assert (caught.value.answers, caught.value.missing, caught.value.servers_missing) == (["here"], 1, 0)


async def test_a_namespace_is_subscribed_while_somebody_is_in_it(redis: RedisServer) -> None:
    def count() -> int:
        with redis.client() as plain:
            return int(plain.pubsub_numsub("socket.io-request#/chat#")[0][1])

    async with cluster(redis, 2) as members:
        assert count() == 0
        chat = await members[0].client.connect("/chat", auth={"name": "x"})
        other = await members[1].client.connect("/chat", auth={"name": "y"})
        await settled([member.app for member in members], "/chat")
        assert count() == 2
        await members[0].app.of("/chat").emit("news", 1)
        assert [await each.receive() for each in (chat, other)] == [("news", 1)] * 2
        await other.disconnect()
        await until(lambda: count() == 1)
        await chat.disconnect()
        await until(lambda: count() == 0)


async def test_what_is_no_message_harms_nobody(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with cluster(redis, 2) as members:
        with redis.client() as plain:
            for channel in ("socket.io#/#", "socket.io#/#lobby#", "socket.io-request#/#", "socket.io-response#/#"):
                for data in (b"", b"{", b"\xc1", b"{}", b"[]", b"\x90", b"x" * 100_000, msgpack.packb({"type": 5}),
                             json.dumps({"type": 7, "uid": "x"}).encode()):  # fmt: skip
                    plain.publish(channel, data)
            plain.publish(b"socket.io#/#\xff#", b"x")
        await members[0].app.of("/").emit("news", 1)
        await heard(members, 0, 1)
    assert "dropped what came on the cluster's bus" in caplog.text


async def test_a_redis_that_dies_harms_nobody_here_and_no_message_comes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.2)
    with RedisServer(tmp_path / "redis") as redis:
        async with cluster(redis, 2) as members:
            engines = [member.app.server.adapter.engine for member in members]
            for number in range(3):
                redis.kill()
                await members[0].app.of("/").emit("while down", number)
                assert await members[0].namespace.receive() == ("while down", number)
                await until(lambda: not any(engine.connection.is_up for engine in engines))
                redis.start()
                await until(lambda: all(engine.connection.is_up for engine in engines))
                await settled([member.app for member in members])
                await members[0].app.of("/").emit("again", number)
                assert await members[0].namespace.receive() == ("again", number)
                received = await members[1].namespace.receive()
                if received == ("while down", number):  # it was still in the queue
                    received = await members[1].namespace.receive()
                assert received == ("again", number)
                await heard(members)


@pytest.mark.parametrize("kind", ["classic", "streams"])
async def test_redis_is_killed_ten_times_under_load(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No message comes twice, those of one server keep their order, and what may be missing is said."""
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.2)
    changes: list[ClusterChange] = []
    with RedisServer(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as redis:
        async with cluster(redis, 3, kind, on_cluster_change=changes.append) as members:
            engines = [member.app.server.adapter.engine for member in members]
            heard: list[list[tuple[int, int]]] = [[] for _ in members]
            for member, list_ in zip(members, heard, strict=True):
                member.namespace.on("tick", lambda *tick, list_=list_: list_.append(tick))
            sent = 0

            async def load() -> None:
                nonlocal sent
                while True:
                    for number, member in enumerate(members):
                        await member.app.of("/").emit("tick", number, sent)
                    sent += 1
                    await asyncio.sleep(0.002)

            loading = asyncio.create_task(load())
            for _ in range(10):
                redis.kill()
                await until(lambda: not any(engine.connection.is_up for engine in engines), 20)
                redis.start()
                await until(lambda: all(engine.connection.is_up for engine in engines), 20)
            loading.cancel()
            await settled([member.app for member in members])
            for member in members:
                await member.app.of("/").emit("tick", -1, -1)
            await until(lambda: all(found.count((-1, -1)) == 3 for found in heard), 20)
            for here, found in enumerate(heard):
                for there in range(3):
                    numbers = [number for who, number in found if who == there]
                    assert numbers == sorted(set(numbers))
                    if here == there:
                        assert numbers == list(range(sent))
            assert Counter(change.what for change in changes) == {"down": 30, "up": 30}
            missing = 9 * sent + 9 - sum(map(len, heard))
            in_doubt = sum(change.lost or 0 for change in changes if change.what == "up")
            if (
                kind == "streams"
            ):  # others' messages are read after an outage: only own ones may be missing, and are told
                assert missing <= 2 * in_doubt


async def test_without_redis_a_server_is_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = SocketIOApp(namespaces={"/": Desk}, adapter="redis://127.0.0.1:1")
    async with TestClient(app) as client:
        namespace = await client.connect(auth={"name": "x"})
        await app.of("/").emit("news", 1)
        assert await namespace.receive() == ("news", 1)
        await until(lambda: "Redis at redis://127.0.0.1:1" in caplog.text)


def test_recovery_is_refused() -> None:
    with pytest.raises(UsageError, match="RedisAdapter has no store for it"):
        SocketIOApp(namespaces={"/": Desk}, adapter="redis://127.0.0.1:1", recovery=60.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RedisAdapter(), "needs a URL"),
        (lambda: RedisAdapter("redis://h", key=""), "key=''"),
        (lambda: SocketIOApp(namespaces={"/": Desk}, adapter="amqp://h"), "expected redis://"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_each_process_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = RedisAdapter("redis://h").engine
    before = engine.uid
    assert engine.uid == before
    assert len(before) == 6
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert engine.uid != before
