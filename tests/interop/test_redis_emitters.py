"""Emitters of Python and of Node, and clients at a server of each: all hear the same."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio

from asocketio.emitter import Emitter, SyncEmitter
from tests.conftest import StartServer
from tests.interop.cluster.app import pack, unpack
from tests.interop.test_redis_cluster import python_member
from tests.support.node import node_binary
from tests.support.node_servers import CLUSTER, NodeServer, cluster_modules
from tests.support.redis import RedisServer

Do = Callable[[str, dict[str, Any]], Awaitable[None]]
WITHIN = 20.0  # seconds


class Cluster:
    """A server of Node, one of Python, and a client at each."""

    def __init__(self, urls: list[str], clients: list[Any], http: aiohttp.ClientSession) -> None:
        self.urls = urls
        self.clients = clients
        self._http = http
        self.numbering: set[str] = set()
        """The URLs of servers that number events."""

    async def ask(self, number: int, verb: str, **about: Any) -> Any:
        body = json.dumps({"verb": verb, "about": about})
        async with self._http.post(f"{self.urls[number]}/do", data=body) as response:
            return unpack(json.loads(await response.text()))["result"]

    async def heard(self, event: list[Any], *who: int) -> None:
        """Each of ``who`` hears the event next."""
        for number in who or range(len(self.clients)):
            found = await self.clients[number].receive(timeout=WITHIN)
            if self.urls[number] in self.numbering and re.fullmatch(r"\d+-\d+", str(found[-1])):
                found.pop()  # where its client goes on after a loss
            assert found == event

    async def seen(self, number: int, event: list[Any]) -> None:
        async with asyncio.timeout(WITHIN):
            while event not in await self.ask(number, "seen"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@asynccontextmanager
async def cluster(kind: str, tmp_path: Path, start_server: StartServer) -> AsyncIterator[tuple[RedisServer, Cluster]]:
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(tmp_path / "redis"))
        node = stack.enter_context(NodeServer(kind, redis.url, "node1", tmp_path / "node.log"))
        python = python_member(start_server, kind, redis)
        async with AsyncExitStack() as closing:
            http = await closing.enter_async_context(aiohttp.ClientSession())
            urls = [node.url, python.url]
            clients = []
            for number, url in enumerate(urls):
                client = socketio.AsyncSimpleClient()
                await client.connect(url, auth={"name": f"c{number}"}, transports=["websocket"])
                closing.push_async_callback(client.disconnect)
                assert (await client.receive(timeout=WITHIN))[0] == "ready"
                clients.append(client)
            found = Cluster(urls, clients, http)
            if kind == "streams":
                found.numbering.add(node.url)
            async with asyncio.timeout(WITHIN):
                while await found.ask(1, "members") != 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            yield redis, found
            assert node.is_alive


def act(emitter: Any, verb: str, about: dict[str, Any]) -> Any:
    to = emitter.of(about["nsp"]) if "nsp" in about else emitter
    if "rooms" in about:
        to = to.to(*about["rooms"])
    if "except" in about:
        to = to.except_(*about["except"])
    match verb:
        case "emit" | "server_emit":
            return getattr(to, verb)(*about["args"])
        case "join" | "leave":
            return getattr(to, verb)(*about["into" if verb == "join" else "outof"])
        case _:
            return to.disconnect(about["close"])


@asynccontextmanager
async def emitter_of(name: str, kind: Any, redis: RedisServer) -> AsyncIterator[Do]:
    if name == "async":
        async with Emitter(redis.url, kind=kind) as emitter:
            yield lambda verb, about: act(emitter, verb, about)
    elif name == "sync":
        with SyncEmitter(redis.url, kind=kind) as sync:
            yield lambda verb, about: asyncio.to_thread(act, sync, verb, about)
    else:

        async def do(verb: str, about: dict[str, Any]) -> None:
            await asyncio.to_thread(
                subprocess.run,
                [node_binary(), CLUSTER / "emitter.js", redis.url],
                env={**os.environ, "NODE_MODULES": str(cluster_modules())},
                input=json.dumps([[verb, pack(about)]]).encode(),
                check=True,
                timeout=60,
            )

        yield do


@pytest.mark.parametrize(("name", "kind"), [
    ("async", "classic"), ("sync", "classic"), ("node", "classic"), ("async", "streams"), ("sync", "streams"),
])  # fmt: skip
async def test_all_servers_do_what_an_emitter_says(
    name: str, kind: str, tmp_path: Path, start_server: StartServer
) -> None:
    async with cluster(kind, tmp_path, start_server) as (redis, found), emitter_of(name, kind, redis) as do:
        by_name = {each["data"]["name"]: each["id"] for each in await found.ask(0, "sockets", rooms=["lobby"])}
        await do("emit", {"args": ["news", 1, {"a": None}]})
        await found.heard(["news", 1, {"a": None}])
        await do("emit", {"rooms": ["lobby"], "args": ["bin", b"\1\2"]})
        await found.heard(["bin", b"\1\2"])
        for number in (0, 1):
            sid = by_name[f"c{number}"]
            await do("emit", {"rooms": [sid], "args": ["you", number]})
            await found.heard(["you", number], number)
            await do("emit", {"rooms": ["lobby", "x"], "except": [sid], "args": ["not you", number]})
            await found.heard(["not you", number], 1 - number)
            await do("join", {"rooms": [sid], "into": ["night"]})
            await do("emit", {"rooms": ["night"], "args": ["night", number]})
            await found.heard(["night", number], number)
            await do("leave", {"rooms": ["night"], "outof": ["night"]})
            await do("emit", {"rooms": ["night"], "args": ["lost"]})
        await do("server_emit", {"args": ["tell", name, 7]})
        for number in (0, 1):
            await found.seen(number, ["/", name, 7])
        await do("emit", {"args": ["last"]})
        await found.heard(["last"])
        await do("disconnect", {"rooms": ["lobby"], "close": True})
        async with asyncio.timeout(WITHIN):
            while await found.ask(0, "sockets"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
