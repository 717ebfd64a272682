"""The application under test: its handlers do what clients ask for, and note what they see.

``GET /stats`` tells the figures, ``GET /stats?deep`` those that take longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import asocketio.session.session_table
from asocketio import (
    AckTimeout,
    BaseNamespace,
    BroadcastMixin,
    ConnectionRefused,
    Disconnected,
    RoomsMixin,
    SocketIOApp,
    event,
)
from tests.load.chaos.ledger import LEDGER, Seat

__all__ = ["LAST_WORDS", "app"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]

LAST_WORDS = "last words of the server under test:"
NEWS = 0.25
"""Seconds between two broadcasts to everybody."""

# How long a client that was thrown out can still learn of it: half a minute is too long for a short run.
asocketio.session.session_table.GONE_SESSION_TTL = 3.0


class Chaos(BaseNamespace, RoomsMixin, BroadcastMixin):
    """One client in one namespace. Whatever it is told from here on is numbered."""

    def initialize(self) -> None:
        self.seat: Seat = LEDGER.seat()
        self.asked = 0

    # ---- the two ends

    async def recv_connect(self, auth: dict[str, Any]) -> None:
        seat = self.seat
        seat.state = "connecting"
        seat.who = f"{auth.get('who', '?')} {self.ns_name or '/'}"
        seat.marks = frozenset(str(auth.get("marks", "")).split("."))
        seat.loose = "loose" in seat.marks
        try:
            self.tick()
            if "slow" in seat.marks:
                await asyncio.sleep(0.3)
            if "refuse" in seat.marks:
                raise ConnectionRefused("not you", {"code": 1})
            self.join("all")
            self.join(f"room {seat.number % 7}")
            self.emit("base", LEDGER.news)
            self.tick()
            self.spawn(self.ticker)
            if "sleepy" in seat.marks:
                self.spawn(self.clinger)
            if "mute" not in seat.marks:
                self.spawn(self.asker)
        except BaseException:
            seat.state = "refused"
            raise
        LEDGER.came(seat)

    async def recv_disconnect(self, reason: str) -> None:
        LEDGER.left(self.seat, reason)
        if "all" not in self.rooms:
            LEDGER.violation(self.seat.who, f"it is in the rooms {self.rooms} when it leaves")
        self.tick()
        if "sleepy" in self.seat.marks:
            await asyncio.sleep((0.2, 1.0, 5)[self.seat.number % 3])  # the last one is cut short
        with contextlib.suppress(Disconnected):
            await self.tick()

    # ---- to the client

    def tick(self, pad: str = "") -> Awaitable[None]:
        """The next numbered event. Some have bytes with them where the client knows bytes."""
        number = self.seat.out
        self.seat.out += 1
        LEDGER.counts["events out"] += 1
        if "bytes" in self.seat.marks and number % 5 == 0:
            return self.emit("tick", number, number.to_bytes(8, "big"), pad)
        return self.emit("tick", number, None, pad)

    async def ticker(self) -> None:
        """Ends by an exception when the client is gone, unless it is cancelled before."""
        while True:
            await asyncio.sleep(0.1 + (self.seat.number % 10) / 10)
            await self.tick()

    async def clinger(self) -> None:
        """Takes its time to end."""
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.3)

    async def asker(self) -> None:
        while True:
            await asyncio.sleep(0.2 + (self.seat.number % 5) / 5)
            if self.asked % 2:
                self.ask_back()
            else:
                await self.ask()

    async def ask(self) -> str:
        """One question; what came of it."""
        number = self.asked = self.asked + 1
        LEDGER.counts["calls"] += 1
        LEDGER.counts["calls under way"] += 1
        outcome = "cancelled"
        try:
            answer = await self.call("ask", number, timeout=1.0)
            outcome = "answered"
            if answer != 2 * number:
                LEDGER.violation(self.seat.who, f"call {number} was answered {answer!r}")
        except (AckTimeout, Disconnected) as error:
            outcome = type(error).__name__
            if outcome == "Disconnected" and self.socket.connected and self.seat.state == "in" and not self.leaving:
                LEDGER.violation(self.seat.who, f"call {number}: {error!r}, but the client is there")
        except Exception as error:
            LEDGER.violation(self.seat.who, f"call {number} raised {error!r}")
        finally:
            LEDGER.counts["calls under way"] -= 1
            LEDGER.counts[f"calls {outcome}"] += 1
        return outcome

    @property
    def leaving(self) -> bool:
        """One side has said that this client leaves."""
        member: Any = self._member
        return bool(member.rule.leaving)

    def ask_back(self) -> None:
        """A question whose answer goes to a callback, at most once."""
        number = self.asked = self.asked + 1
        heard = 0

        def answered(answer: Any) -> None:
            nonlocal heard
            heard += 1
            LEDGER.counts["callbacks"] += 1
            if heard > 1 or answer != 2 * number:
                LEDGER.violation(self.seat.who, f"callback {number}: answer {heard} is {answer!r}")

        self.emit("ask", number, callback=answered)

    # ---- from the client

    @contextlib.asynccontextmanager
    async def _event(self, number: int) -> AsyncIterator[None]:
        """What every handler of a numbered event does."""
        LEDGER.said(self.seat, number)
        self.seat.handling += 1
        try:
            yield
        finally:
            self.seat.handling -= 1

    def on_say(self, number: int, text: str) -> tuple[int, str]:
        LEDGER.said(self.seat, number)
        if number % 2:
            self.tick()
        return number, text

    async def on_think(self, number: int, seconds: float) -> int:
        async with self._event(number):
            await asyncio.sleep(seconds)
            await self.tick()
        return number

    async def on_boom(self, number: int) -> None:
        async with self._event(number):
            if number % 2:
                await asyncio.sleep(0.01)
            raise RuntimeError("boom")

    async def on_ask_me(self, number: int) -> int:
        async with self._event(number):
            await self.ask()
        return number

    async def on_bulk(self, number: int, count: int, size: int) -> int:
        async with self._event(number):
            for each in range(count):
                told = self.tick("x" * size)
                if each % 2:
                    await told
        return number

    @event("bytes")
    def on_binary(self, number: int, data: bytes) -> tuple[int, bytes]:
        LEDGER.said(self.seat, number)
        return number, data

    async def on_leave_me(self, number: int) -> None:
        async with self._event(number):
            self.tick()
            await self.disconnect()

    async def on_quit(self, number: int) -> None:
        async with self._event(number):
            self.tick()
            await self.socket.disconnect()
            if number % 2:
                await asyncio.sleep(0.05)

    def on_seen(self) -> tuple[int, int]:
        """The last number that came, and how many went out."""
        return self.seat.last, self.seat.out


class Closed(BaseNamespace):
    """Lets nobody in."""

    async def recv_connect(self) -> None:
        await asyncio.sleep(0)
        raise ConnectionRefused("closed")

    def recv_disconnect(self, reason: str) -> None:
        LEDGER.violation("?", f"recv_disconnect({reason!r}) of a client that was refused")


async def control(
    scope: Scope, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Everything beside Socket.IO."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http":
        body = json.dumps(LEDGER.stats(app, scope["query_string"] == b"deep")).encode()
        size = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", size), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    news: asyncio.Task[None] | None = None
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            LEDGER.watch()
            news = asyncio.create_task(_tell_news())
        elif news is not None:
            news.cancel()
            print(LAST_WORDS, json.dumps(LEDGER.stats(app, True)), flush=True)
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _tell_news() -> None:
    """The same to everybody, numbered."""
    while True:
        await asyncio.sleep(NEWS)
        LEDGER.news += 1
        for namespace in ("/", "/b"):
            app.of(namespace).to("all").emit("news", LEDGER.news)


PATIENCE = float(os.environ.get("CHAOS_PATIENCE", "1"))
"""All time-outs are so many times as long: hundreds of clients in one process, and their network, take their time."""

app = SocketIOApp(
    control,
    namespaces={"/": Chaos, "/b": Chaos, "/closed": Closed},
    ping_interval=1.0,
    ping_timeout=4.0 * PATIENCE,
    heartbeat_interval=1.0,
    heartbeat_timeout=4.0 * PATIENCE,
    close_timeout=6.0 * PATIENCE,
    polling_duration=1.0,
    connect_timeout=8.0 * PATIENCE,
    upgrade_timeout=3.0 * PATIENCE,
    send_timeout=4.0 * PATIENCE,
    close_grace=1.5,
    max_payload=200_000,
    max_outbox=1_000_000,
)
