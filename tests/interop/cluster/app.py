"""The member of Python: the same namespaces as ``server.js``, and the same verbs at POST /do."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asocketio import BaseNamespace, SocketIOApp
from asocketio.adapters.cluster.adapter import ClusterAdapter
from asocketio.adapters.redis import RedisAdapter, RedisStreamsAdapter, ShardedRedisAdapter

KINDS: dict[str, Callable[..., ClusterAdapter]] = {
    "classic": RedisAdapter,
    "classic-specific": RedisAdapter,
    "sharded": ShardedRedisAdapter,
    "sharded-static": partial(ShardedRedisAdapter, subscription_mode="static"),
    "sharded-dynamic-private": partial(ShardedRedisAdapter, subscription_mode="dynamic-private"),
    "streams": RedisStreamsAdapter,
}
NAME = os.environ.get("NAME", "python")
seen: list[Any] = []


class Desk(BaseNamespace):
    async def recv_connect(self, auth: Any) -> None:
        self.data["name"] = auth["name"]
        await self.join("lobby")
        await self.emit("ready", self.sid)


def pack(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bin": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [pack(item) for item in value]
    return {key: pack(item) for key, item in value.items()} if isinstance(value, dict) else value


def unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if isinstance(value, dict):
        if "$bin" in value:
            return base64.b64decode(value["$bin"])
        return {key: unpack(item) for key, item in value.items()}
    return value


async def do(request: Request) -> JSONResponse:
    asked = unpack(json.loads(await request.body()))
    try:
        return JSONResponse({"result": pack(await act(asked["verb"], asked["about"]))})
    except Exception as error:
        return JSONResponse({"error": repr(error)})


async def act(verb: str, about: dict[str, Any]) -> Any:
    everybody = app.of(about.get("nsp", "/"))
    to = everybody.to(*about["rooms"]) if about.get("rooms") else everybody
    if about.get("except"):
        to = to.except_(*about["except"])
    args = about.get("args", [])
    match verb:
        case "emit":
            await to.emit(*args)
        case "sockets":
            return [
                {
                    "id": peer.sid,
                    "rooms": sorted(peer.rooms),
                    "data": peer.data,
                    "agent": peer.handshake.headers.get("user-agent"),
                }
                for peer in await to.sockets()
            ]
        case "count":
            return await to.count()
        case "call":
            return await to.timeout(5).call(*args)
        case "call_one":
            [peer] = await to.sockets()
            return await peer.call(*args, timeout=5)
        case "join":
            for room in about["into"]:
                await to.join(room)
        case "leave":
            for room in reversed(about["outof"]):
                await to.leave(room)
        case "disconnect":
            await to.disconnect(close=about["close"])
        case "server_emit":
            await everybody.server_emit(*args)
        case "server_call":
            return await everybody.timeout(5).server_call(*args)
        case "seen":
            return seen
        case "members":
            namespace = about.get("nsp", "/").removesuffix("/")
            return await adapter.engine.count(namespace) + 1
        case _:
            raise AssertionError(verb)
    return None


adapter = KINDS[os.environ.get("KIND", "classic")](os.environ.get("REDIS_URL", "redis://127.0.0.1"))
app = SocketIOApp(
    Starlette(routes=[Route("/do", do, methods=["POST"])]),
    namespaces={"/": Desk, "/chat": Desk},
    adapter=adapter,
)

for name in ("/", "/chat"):

    @app.of(name).on_server_event("tell")
    def tell(*args: Any, name: str = name) -> None:
        seen.append([name, *args])

    @app.of(name).on_server_event("stats")
    def stats(word: str) -> Any:
        return {"name": NAME, "word": word}
