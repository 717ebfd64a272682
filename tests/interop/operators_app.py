"""What ``operators.js`` talks to: each verb of an operator as an event, and one as a request."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import asocketio
from asocketio import AckTimeout, BaseNamespace, RemoteSocket, SocketIOApp


class Desk(BaseNamespace):
    points = 0

    async def recv_connect(self, auth: Any) -> None:
        self.data["name"] = auth["name"]
        await self.join(auth["room"])

    # ---- who they are

    def on_sid(self) -> str:
        return self.sid

    async def on_who(self, room: str) -> list[Any]:
        peers = await self.namespace.to(room).sockets()
        return sorted([peer.data["name"], peer.sid, sorted(peer.rooms)] for peer in peers)

    async def on_others(self, room: str) -> list[str]:
        return sorted(peer.data["name"] for peer in await self.to(room).sockets())

    async def on_count(self, room: str) -> list[int]:
        return [await self.to(room).count(), await self.namespace.to(room).count()]

    def on_data(self, data: dict[str, Any]) -> None:
        self.data |= data

    async def on_data_of(self, room: str) -> list[Any]:
        return sorted((peer.data for peer in await self.to(room).sockets()), key=lambda data: str(data["name"]))

    def on_handshake(self) -> dict[str, Any]:
        found = self.handshake
        return {
            "page": found.query["page"], "name": found.auth["name"], "address": found.address, "secure": found.secure,
            "url": found.url.partition("?")[0], "cookies": dict(found.cookies), "host": found.headers["host"],
            "time": found.time,
        }  # fmt: skip

    async def on_handshakes_of(self, room: str) -> list[Any]:
        """What of a peer's handshake others see."""
        peers = await self.to(room).sockets()
        return [[peer.handshake.query["page"], dict(peer.handshake.auth)] for peer in peers]

    # ---- the objects of this process

    def on_score(self, points: int) -> None:
        self.points += points

    def on_points_of(self, sid: str) -> int | None:
        found = self.namespace.get(sid)
        return None if found is None else found.points

    def on_all_points(self, room: str) -> list[int]:
        return sorted(each.points for each in self.namespace.instances() if room in each.rooms)

    # ---- where they are

    async def on_move(self, room: str, enter: str, leave: str) -> None:
        await self.namespace.to(room).join(enter)
        await self.namespace.to(enter).leave(leave)

    async def on_say(self, room: str, word: str) -> None:
        await self.namespace.to(room).emit("said", word)

    async def on_end(self, room: str, close: bool) -> None:
        await self.to(room).disconnect(close=close)

    def on_happened(self, room: str) -> list[Any]:
        return happened[room]

    # ---- asking them

    async def on_vote(self, room: str, seconds: float) -> list[Any]:
        try:
            return [sorted(await self.to(room).timeout(seconds).call("vote", "?")), 0, 0]
        except AckTimeout as error:
            return [sorted(error.answers), error.missing, error.servers_missing]

    # ---- one of them

    async def peer(self, room: str, name: str) -> RemoteSocket:
        [peer] = [peer for peer in await self.to(room).sockets() if peer.data["name"] == name]
        return peer

    async def on_tell(self, room: str, name: str, word: str) -> None:
        await (await self.peer(room, name)).emit("said", word)

    async def on_ask(self, room: str, name: str) -> Any:
        return {"answer": await (await self.peer(room, name)).call("vote", "?", timeout=10)}

    async def on_move_one(self, room: str, name: str, enter: str, leave: str) -> None:
        peer = await self.peer(room, name)
        await peer.join(enter)
        await peer.leave(leave)

    async def on_end_one(self, room: str, name: str, close: bool) -> None:
        await (await self.peer(room, name)).disconnect(close)


async def shout(request: Request) -> PlainTextResponse:
    """GET /shout/<room>/<word>"""
    room = asocketio.of(request, "/").to(request.path_params["room"])
    await room.emit("said", request.path_params["word"])
    return PlainTextResponse(str(await room.count()))


app = SocketIOApp(Starlette(routes=[Route("/shout/{room}/{word}", shout)]), namespaces={"/": Desk, "/chat": Desk})

happened: defaultdict[str, list[Any]] = defaultdict(list)


@app.of("/").on_room("created")
def created(room: str) -> None:
    happened[room].append(["created"])


@app.of("/").on_room("joined")
async def joined(room: str, sid: str) -> None:
    happened[room].append(["joined", sid])


@app.of("/").on_room("left")
def left(room: str, sid: str) -> None:
    happened[room].append(["left", sid])


@app.of("/").on_room("deleted")
async def deleted(room: str) -> None:
    await asyncio.sleep(0)
    happened[room].append(["deleted"])
