"""The application that the JavaScript clients talk to: each event that ``cases.js`` knows, by public names only."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    CallNext,
    ConnectionRefused,
    EventRefused,
    Invocation,
    RoomsMixin,
    SocketIOApp,
    UsageError,
    event,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]

UNICODE = (
    'é ß 漢字 😀 𝄞 👩\u200d👩\u200d👧\u200d👦 \u0000 \n "\\ '
    "\r\n \\n \\\\n \u2028\u2029 \ufffd3\ufffd %41+&=?# </script> \ufeff"
)


class Everything(BaseNamespace, RoomsMixin, BroadcastMixin):
    def initialize(self) -> None:
        self.items: list[int] = []
        self.streamed = 0
        self.enough = False
        self.token: str | None = None

    async def recv_connect(self, auth: Any) -> None:
        if auth == {"refuse": "me"}:
            raise ConnectionRefused("not you")
        await self.emit("auth", auth)

    async def recv_disconnect(self, reason: str) -> None:
        if self.token is not None:
            await self.environ["asocketio"].of("/").to(f"watch {self.token}").emit("gone", self.token, reason)

    # ---- who and where

    def on_who(self) -> str:
        return self.sid

    @event("socket.id")
    def socket_id(self) -> str:
        """What this client calls itself: before generation 4 it is made of the session's secret."""
        generation, sessid = self.socket.protocol.generation, self.socket.sessid
        if generation == "4":
            return self.sid
        return f"{self.ns_name}#{sessid}" if generation == "3" and self.ns_name else sessid

    def on_where(self) -> str:
        return self.ns_name or "/"

    def on_params(self) -> tuple[str, dict[str, Any]]:
        return self.ns_name, dict(self.params)

    def on_query(self, key: str) -> str:
        query = parse_qs(str(self.environ["query_string"], "ascii"))
        return query[key][0]

    # ---- events and acks

    async def on_echo(self, *args: Any) -> None:
        await self.emit("echo-back", *args)

    @event("echo-ack")
    def echo_ack(self, *args: Any) -> tuple[Any, ...]:
        return args

    @event("größe 😀:𝄞")
    async def any_text(self, value: Any) -> None:
        await self.emit("zurück 😀", value)

    async def on_message(self, *args: Any) -> None:
        await self.emit("message", *args)

    async def recv_message(self, text: str) -> None:
        await self.send(text)

    async def recv_json(self, value: Any) -> None:
        await self.send(value, json=True)

    async def on_emit_bytes(self) -> str:
        try:
            await self.emit("bytes", b"abc")
        except UsageError as error:
            return type(error).__name__
        return "sent"

    def on_ack_none(self) -> None:
        return None

    def on_ack_list(self) -> list[int]:
        return [1, 2, 3]

    async def on_ask_me(self, *args: Any) -> dict[str, Any]:
        return {"answer": await self.call("question", *args, timeout=10)}

    async def on_size(self, text: str) -> None:
        await self.emit("size is", len(text))

    def on_large(self, length: int) -> str:
        return "é" * length

    # ---- order

    def on_item(self, number: int) -> None:
        self.items.append(number)

    def on_items(self) -> list[int]:
        return self.items

    async def on_count(self, upto: int) -> int:
        for number in range(upto):
            await self.emit("number", number)
        return upto

    def on_stream(self) -> None:
        self.spawn(self.stream)

    async def stream(self) -> None:
        while not self.enough:
            for _ in range(10):
                await self.emit("number", self.streamed)
                self.streamed += 1
            await asyncio.sleep(0.001)

    def on_enough(self) -> int:
        self.enough = True
        return self.streamed

    # ---- rooms

    def on_join(self, room: str) -> tuple[str, str]:
        self.join(room)
        return "joined", room

    def on_leave(self, room: str) -> None:
        self.leave(room)

    async def on_to_room(self, rooms: list[str], name: str, *args: Any) -> None:
        await self.to(*rooms).emit(name, *args)

    async def on_to_room_except(self, rooms: list[str], muted: list[str], name: str, *args: Any) -> None:
        await self.to(*rooms).except_(*muted).emit(name, *args)

    async def on_emit_to_room(self, room: str, name: str, *args: Any) -> None:
        await self.emit_to_room(room, name, *args)

    async def on_from_the_app(self, rooms: list[str], name: str, *args: Any) -> None:
        await self.environ["asocketio"].of(self.ns_name).to(*rooms).emit(name, *args)

    async def on_broadcast(self, name: str, *args: Any) -> None:
        await self.broadcast_event(name, *args)

    async def on_broadcast_not_me(self, name: str, *args: Any) -> None:
        await self.broadcast_event_not_me(name, *args)

    async def on_volatile(self, rooms: list[str], name: str, *args: Any) -> None:
        await self.to(*rooms).volatile.emit(name, *args)

    async def on_poll_room(self, room: str, question: str) -> list[Any]:
        return list(await self.to(room).timeout(10).call("vote", question))

    # ---- the end

    def on_mark(self, token: str) -> None:
        self.token = token

    async def on_quit(self) -> None:
        await self.disconnect()

    async def on_quit_all(self) -> None:
        await self.socket.disconnect()

    async def on_count_and_quit(self, upto: int) -> None:
        await self.on_count(upto)
        await self.disconnect()


class Auth(Everything):
    async def recv_connect(self, auth: Any) -> None:
        if auth != {"token": "right"}:
            raise ConnectionRefused("not authorized", {"code": 401, "hint": UNICODE})


class Closed(BaseNamespace):
    async def recv_connect(self) -> None:
        raise ConnectionRefused("closed")


class Strict(BaseNamespace):
    def get_initial_acl(self) -> list[str]:
        return ["on_boom", "on_two"]

    def on_boom(self, _: Any) -> None:
        raise RuntimeError("secret of the house")

    def on_two(self, one: int, other: int) -> int:
        return one + other

    def on_forbidden(self) -> None:
        raise AssertionError("never called")


class Star(BaseNamespace):
    @event("*")
    def rest(self, *args: Any) -> tuple[Any, ...]:
        return args

    def on_known(self) -> str:
        return "known itself"


async def refusing_view(
    scope: Scope, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Lets nobody in."""
    assert scope["type"] == "http", scope["type"]
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-reason", b"unknown")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b"no entry: who are you?"})


async def watch(call: Invocation, call_next: CallNext) -> Any:
    """Renames, answers, refuses or passes on."""
    if call.event == "shout":
        call.event, call.args = "say", [text.upper() for text in call.args]
    if call.event == "dropped":
        return "not today"
    if call.event == "secret":
        raise EventRefused("not_yours", {"asked": call.event}, message="It is not yours")
    return await call_next(call)


async def keep_out(call: Invocation, call_next: CallNext) -> Any:
    raise ConnectionRefused("kept out")


class Watched(BaseNamespace):
    middleware = (watch,)

    def on_say(self, text: str) -> str:
        return text


class Shut(Everything):
    middleware = (keep_out,)


def seconds(name: str, default: str) -> float:
    return float(os.environ.get(name, default))


PARSERS: Any = os.environ.get("PARSERS", "json").split(",")
ELSEWHERE = ["http://pages.example"]  # where the pages of JSONP are

app = SocketIOApp(
    SocketIOApp(refusing_view, path="guarded", cors_allowed_origins=ELSEWHERE),
    namespaces={
        "/": Everything,
        "/chat": Everything,
        "/größe😀": Everything,
        "/auth": Auth,
        "/closed": Closed,
        "/strict": Strict,
        "/star": Star,
        "/watched": Watched,
        "/shut": Shut,
        "/orders/{order_id:int}": Everything,
        re.compile(r"/tenant-(?P<name>\w{1,20})"): Everything,
    },
    ping_interval=seconds("PING_INTERVAL", "25"),
    ping_timeout=seconds("PING_TIMEOUT", "20"),
    heartbeat_interval=seconds("HEARTBEAT_INTERVAL", "25"),
    heartbeat_timeout=seconds("HEARTBEAT_TIMEOUT", "60"),
    close_timeout=seconds("CLOSE_TIMEOUT", "60"),
    polling_duration=seconds("POLLING_DURATION", "20"),
    max_payload=int(os.environ.get("MAX_PAYLOAD", "1000000")),
    cors_allowed_origins=ELSEWHERE,
    parsers=PARSERS,
    http_compression=int(os.environ.get("HTTP_COMPRESSION", "0")) or None,
)
