"""The server that the test suite of socket.io-client expects: its namespaces, and how each answers.

Three habits of Node's server are written out here, because handlers of this package have others: an ack that no handler
gives is not given at all, ``null`` is an argument of an ack, and what a client may open is decided after a delay.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from asocketio import BaseNamespace, ConnectionRefused, Packet, SocketIOApp, event, socketio_accept
from asocketio.asgi.types import Receive, Scope, Send
from asocketio.protocol.handshake_info import HandshakeInfo

__all__ = ["app"]

DECIDES_AFTER = 0.01  # seconds; tests of the client's own time-out of 0 ms need a handshake that takes a while
TEXTS = ("てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string")
BINARY = b"asdfasdf"


def now() -> str:
    """As JavaScript writes a ``Date`` in JSON."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Silent(BaseNamespace):
    """A namespace without handlers: an event that none handles gets no ack, where ours would be ``no_such_method``."""

    @event("*")
    def unhandled(self, packet: Packet) -> None:
        packet.ack = None


class WithId(Silent):
    @event("getId")
    def get_id(self) -> str:
        return self.sid


def shown(handshake: HandshakeInfo) -> dict[str, Any]:
    """What the suite looks at."""
    return {"query": dict(handshake.query), "auth": handshake.auth}


class Greeting(Silent):
    async def recv_connect(self) -> None:
        await self.emit("handshake", shown(self.handshake))


class Closed(BaseNamespace):
    def recv_connect(self) -> None:
        raise ConnectionRefused("Auth failed (custom namespace)")


class Main(WithId):
    def recv_connect(self) -> None:
        if self.handshake.query.get("fail"):
            raise ConnectionRefused("Auth failed (main namespace)")

    @event("getHandshake")
    def get_handshake(self) -> dict[str, Any]:
        return shown(self.handshake)

    # ---- events and acks

    async def on_hi(self) -> None:
        await self.emit("hi")

    def on_echo(self, value: Any) -> tuple[Any]:
        return (value,)  # a tuple: null too is an argument

    def on_ack(self, packet: Packet) -> None:
        packet.ack = None  # asks for an ack, and gives none
        self.emit("ack", callback=self.acked)

    def acked(self, number: int, test: dict[str, Any]) -> None:
        if number == 5 and test["test"]:
            self.emit("got it")

    async def on_false(self) -> None:
        await self.emit("false", False)

    # ---- dates and text

    @event("getAckDate")
    def get_ack_date(self, _: Any) -> str:
        return now()

    @event("getDate")
    async def get_date(self) -> None:
        await self.emit("takeDate", now())

    @event("getDateObj")
    async def get_date_in_object(self) -> None:
        await self.emit("takeDateObj", {"date": now()})

    @event("getUtf8")
    async def get_utf8(self) -> None:
        for text in TEXTS:
            await self.emit("takeUtf8", text)


class MainWithBinary(Main):
    """Binary values, and texts among them. What is not as expected is not answered, and the test waits in vain."""

    def initialize(self) -> None:
        self.arrived: list[str] = []

    async def on_doge(self) -> None:
        await self.emit("doge", BINARY)

    async def on_getbin(self) -> None:
        await self.emit("takebin", BINARY)

    async def on_buffa(self, value: Any) -> None:
        assert type(value) is bytes
        await self.emit("buffack")

    async def on_jsonbuff(self, value: dict[str, Any]) -> None:
        check_mixed(value)
        await self.emit("jsonbuff-ack")

    def on_abuff1(self, value: Any) -> None:
        assert type(value) is bytes
        self.arrived.append("abuff1")

    async def on_abuff2(self, _: Any) -> None:
        assert self.arrived == ["abuff1"]
        await self.emit("abuff2-ack")

    # In browsers a Blob is sent.

    async def on_blob(self, value: Any) -> None:
        assert type(value) is bytes
        await self.emit("back")

    async def on_jsonblob(self, value: dict[str, Any]) -> None:
        check_mixed(value)
        await self.emit("jsonblob-ack")

    def on_blob1(self, value: Any) -> None:
        assert type(value) is bytes
        self.arrived.append("blob1")

    def on_blob2(self, value: Any) -> None:
        assert value == "second"
        self.arrived.append("blob2")

    async def on_blob3(self, value: Any) -> None:
        assert type(value) is bytes
        assert self.arrived == ["blob1", "blob2"]
        await self.emit("blob3-ack")


def check_mixed(value: dict[str, Any]) -> None:
    assert type(value["message"]) is bytes
    assert (value["hello"], value["goodbye"]) == ("lol", "gotcha")


async def admit(scope: Scope, receive: Receive, send: Send) -> None:
    """The view of all handshakes: admits everybody, after a while. At other paths there is nothing."""
    assert scope["type"] == "http", scope["type"]
    is_handshake = "socketio" in scope
    if is_handshake:
        await asyncio.sleep(DECIDES_AFTER)
        socketio_accept(scope)
    await send({"type": "http.response.start", "status": 204 if is_handshake else 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


app = SocketIOApp(
    admit,
    guard=True,
    namespaces={
        "/": MainWithBinary,
        "/foo": WithId,
        "/timeout_socket": Silent,
        "/valid": Silent,
        "/asd": Silent,
        "/abc": Greeting,
        "/no": Closed,
    },
    ping_interval=2.0,
    recovery=120.0,  # seconds, which is what Node's server takes for ``connectionStateRecovery: {}``
)
