"""docs/redis.md: its blocks run as they are, and its program reaches clients of two servers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from asocketio import SocketIOApp
from asocketio.testing import TestClient
from tests.support.pages import python_blocks
from tests.support.redis import RedisServer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "redis.md").read_text()
PROGRAM, PLACES, KINDS, EMITTERS = python_blocks(PAGE)


def run(block: str, url: str = "redis://localhost:6379") -> dict[str, Any]:
    world: dict[str, Any] = {"__name__": "redis_page"}
    exec(compile(block.replace("redis://localhost:6379", url), "redis.md", "exec"), world)
    return world


@pytest.mark.parametrize("block", [PLACES, KINDS])
def test_the_adapters_are_made(block: str) -> None:
    assert len(run(block)) > 3


async def test_servers_and_emitters_are_one(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        apps: list[SocketIOApp] = [run(PROGRAM, redis.url)["app"] for _ in range(2)]
        async with TestClient(apps[0]) as one, TestClient(apps[1]) as other:
            ada, bob = await one.connect(), await other.connect()
            async with asyncio.timeout(20):
                while len(await apps[0].of("/").sockets()) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await ada.emit("say", "hello")
            assert await bob.receive() == ("said", "hello")
            emitters = run(EMITTERS, redis.url)
            await asyncio.to_thread(emitters["task"])
            assert [await each.receive() for each in (ada, bob)] == [("news", 1)] * 2
            await emitters["job"]()  # nobody is in its namespace
            emitters["out"].close()
