"""Emitters over a real Redis: what they publish, and what they say when it is away."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from asocketio import UsageError
from asocketio.emitter import Emitter, SyncEmitter
from asocketio.errors import BusDown
from tests.support.redis import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


class Ear:
    """All that is published."""

    def __init__(self, redis: RedisServer) -> None:
        self.heard = redis.client().pubsub()
        self.heard.psubscribe("*")
        self.heard.get_message(timeout=10)

    def next(self) -> tuple[str, bytes]:
        found = self.heard.get_message(timeout=10)
        assert found is not None
        return found["channel"].decode(), found["data"]


async def test_it_publishes_what_node_publishes(redis: RedisServer) -> None:
    ear = Ear(redis)
    async with Emitter(redis.url) as out:
        await out.emit("hi", 1)
        captured = bytes.fromhex(
            "93a7656d697474657283a47479706502a46461746192a2686901a36e7370a12f83a5726f6f6d7390a5666c61677380a665786365707490"
        )
        channel, data = ear.next()
        assert (channel, msgpack.unpackb(data)) == ("socket.io#/#", msgpack.unpackb(captured))
        await out.of("/chat").to("r1").volatile.emit("hi", {"a": b"1"})
        channel, data = ear.next()
        assert (channel, msgpack.unpackb(data)) == (
            "socket.io#/chat#r1#",
            ["emitter", {"type": 2, "data": ["hi", {"a": b"1"}], "nsp": "/chat"},
             {"rooms": ["r1"], "except": [], "flags": {"volatile": True}}],
        )  # fmt: skip
        for verb, fields in (
            (out.to("r1").join("r9"), {"type": 2, "opts": {"rooms": ["r1"], "except": []}, "rooms": ["r9"]}),
            (out.to("r1").leave("r9"), {"type": 3, "opts": {"rooms": ["r1"], "except": []}, "rooms": ["r9"]}),
            (out.disconnect(close=True), {"type": 4, "opts": {"rooms": [], "except": []}, "close": True}),
            (out.server_emit("sse", 5), {"type": 6, "data": ["sse", 5]}),
        ):
            await verb
            channel, data = ear.next()
            assert (channel, json.loads(data)) == ("socket.io-request#/#", {"uid": "emitter", **fields})


async def test_nobody_is_told_nothing(redis: RedisServer) -> None:
    ear = Ear(redis)
    async with Emitter(redis.url) as out:
        await out.to(*[]).emit("lost")
        await out.to(*[]).disconnect()
        await out.emit("said")
    assert b"said" in ear.next()[1]


async def test_it_connects_anew_and_says_when_redis_is_away(redis: RedisServer) -> None:
    async with Emitter(redis.url.replace("//", "//:secret@")) as wrong:
        with pytest.raises(BusDown, match="it does not take this user and password") as caught:
            await wrong.emit("x")
        assert "secret" not in str(caught.value)
    async with Emitter(redis.url) as out:
        await asyncio.gather(*(out.emit("x", number) for number in range(100)))
        redis.kill()
        with pytest.raises(BusDown):
            await out.emit("x")
        with pytest.raises(BusDown, match=r"Redis at redis://127\.0\.0\.1"):
            await out.emit("x")
        redis.start()
        ear = Ear(redis)
        await out.emit("again")
        assert b"again" in ear.next()[1]


def test_one_emitter_in_several_event_loops(redis: RedisServer) -> None:
    out = Emitter(redis.url)

    async def once() -> None:
        await out.emit("x")
        await out.aclose()

    for _ in range(2):
        asyncio.run(once())


def test_threads_and_forks_share_a_sync_emitter(redis: RedisServer) -> None:
    out = SyncEmitter(redis.url)
    ear = Ear(redis)

    def say(start: int) -> None:
        for number in range(start, start + 20):
            out.emit("x", number)

    threads = [threading.Thread(target=say, args=(start,)) for start in range(0, 100, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(msgpack.unpackb(ear.next()[1])[1]["data"][1] for _ in range(100)) == list(range(100))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            say(100)
            code = 0
        finally:
            os._exit(code)
    say(120)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sorted(msgpack.unpackb(ear.next()[1])[1]["data"][1] for _ in range(40)) == list(range(100, 140))
    out.close()


def test_a_sync_emitter_says_when_redis_is_away(redis: RedisServer) -> None:
    with SyncEmitter(redis.url) as out:
        out.emit("x")
        redis.kill()
        with pytest.raises(BusDown, match=r"Redis at redis://127\.0\.0\.1"):
            out.emit("x")
        redis.start()
        out.emit("x")


def test_a_stream_gets_entries(redis: RedisServer) -> None:
    with SyncEmitter(redis.url, kind="streams", stream="s", max_length=1000) as out:
        out.to("r").emit("hi", 1)
        out.of("/chat").emit("bin", b"1")
        out.server_emit("sse")
    entries = [fields for _, fields in redis.client().xrange("s")]
    assert [(each[b"uid"], each[b"nsp"], each[b"type"]) for each in entries] == [
        (b"emitter", b"/", b"3"), (b"emitter", b"/chat", b"3"), (b"emitter", b"/", b"9"),
    ]  # fmt: skip
    assert json.loads(entries[0][b"data"]) == {
        "packet": {"type": 2, "data": ["hi", 1]}, "opts": {"rooms": ["r"], "except": [], "flags": {}},
    }  # fmt: skip
    assert entries[1][b"data"][:1] != b"{"


@pytest.mark.parametrize("make", [Emitter, SyncEmitter])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "http://x"}, "expected redis://"),
        ({}, "needs a URL"),
        ({"url": "redis://h", "kind": "sharded"}, "kind='sharded'"),
        ({"url": "redis://h", "key": ""}, "key=''"),
        ({"url": "redis://h", "stream": 1}, "stream=1"),
        ({"url": "redis://h", "max_length": 0}, "max_length=0"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, arguments: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(**arguments)


async def test_mistakes_are_raised_at_the_call(redis: RedisServer) -> None:
    async with Emitter("redis://h") as out:
        for mistake in (
            lambda: out.emit("disconnect"),
            lambda: out.emit("x", object()),
            lambda: out.to(1),  # type: ignore[arg-type]
            lambda: out.join(["a"]),  # type: ignore[arg-type]
            lambda: out.of("chat"),
            lambda: out.server_emit("x", object()),
        ):
            with pytest.raises(UsageError):
                mistake()
