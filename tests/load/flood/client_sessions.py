"""Client sessions of every generation that connect, talk and leave, each in its own way: the churn of a soak."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.clients.frames import BINARY, CLOSE, TEXT, close_payload, masked, messages
from tests.clients.http import request
from tests.clients.protocols import CLIENT_PROTOCOLS, Frame, Packet
from tests.clients.tcp import Connection

__all__ = ["ENDINGS", "GENERATIONS", "TRANSPORTS", "ClientSession"]

GENERATIONS = tuple(CLIENT_PROTOCOLS)
TRANSPORTS = ("websocket", "polling", "upgrade")
ENDINGS = ("clean", "packet", "abrupt")
"""A close of the connection, a disconnect packet, and a connection that breaks."""
PATIENCE = 30.0
"""Seconds; a churn that finds a busy machine is slow, not wrong."""
ROOMS = 20
BYTES = bytes(range(64))


class _Transport:
    """A session on the connection that carries it: its websocket, or that of its polls."""

    def __init__(self, port: int, generation: str) -> None:
        self.port = port
        self.protocol = CLIENT_PROTOCOLS[generation]
        self.sid = ""
        self.connection: Connection | None = None
        self.polls = False
        self._unread: list[Frame] = []

    async def open_polling(self) -> None:
        self.polls = True
        await self._use(await Connection.tcp(self.port))
        handshake, *self._unread = await self._poll()
        self.sid, _ = self.protocol.handshake(str(handshake))

    async def open_websocket(self) -> None:
        """For the session that is open; where there is none, the websocket opens it."""
        path = self.protocol.path("websocket", self.sid, {})
        self.polls = False
        await self._use(await Connection.websocket(self.port, path, join=""))

    async def _use(self, connection: Connection) -> None:
        self.close()
        connection.patience = PATIENCE
        self.connection = connection

    async def _ask(self, method: str, body: bytes = b"") -> bytes:
        assert self.connection is not None
        path = self.protocol.polling_path(self.sid, {}, jsonp=False)
        return await self.connection.ask(request(method, path, body))

    async def _poll(self) -> list[Frame]:
        return self.protocol.split(await self._ask("GET"), jsonp=False)

    async def send(self, *frames: Frame) -> None:
        """By one POST for each, as clients do that wait for its answer; or by websocket."""
        assert self.connection is not None
        if not self.polls:
            await self.connection.send(messages(*frames))
            return
        for frame in frames:
            await self._ask("POST", self.protocol.body([frame], jsonp=False))

    async def frame(self) -> Frame:
        """The next frame."""
        assert self.connection is not None
        if self.polls:
            while not self._unread:
                self._unread = await self._poll()
            return self._unread.pop(0)
        while True:
            opcode, payload = await self.connection.frame()
            if opcode == CLOSE:
                raise ConnectionError("the server has closed the websocket")
            if opcode in (TEXT, BINARY):
                return payload if opcode == BINARY else payload.decode()

    async def packet(self, kind: str) -> Packet:
        """Read until a packet of this kind has come; answers what the protocol wants answered."""
        async with asyncio.timeout(PATIENCE):
            while True:
                packet = self.protocol.read(await self.frame())
                if packet.kind == "ping":
                    await self.send(self.protocol.pong())
                if packet.kind == kind:
                    return packet

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


class ClientSession:
    """One client from its handshake to its end."""

    def __init__(self, port: int, dice: random.Random) -> None:
        self.generation = dice.choice(GENERATIONS)
        self.transport_name = dice.choice(TRANSPORTS)
        self.ending = dice.choice(ENDINGS)
        self.transport = _Transport(port, self.generation)
        self._dice = dice
        self._room = f"room {dice.randrange(ROOMS)}"

    def __str__(self) -> str:
        return f"{self.generation} {self.transport_name} {self.ending}"

    async def run(self) -> None:
        """All of it.

        Raises:
            ConnectionError, TimeoutError: the server has not done its part.
        """
        try:
            await _OPENERS[self.transport_name](self.transport)
            await self._talk()
            await self._leave()
        finally:
            self.transport.close()

    async def _talk(self) -> None:
        transport, event = self.transport, self.transport.protocol.event
        await transport.send(*event("/", "join", [self._room]))
        for _ in range(self._dice.randrange(1, 4)):
            await transport.send(*event("/", "say", [self._room, ["news", 1, 2, 3]]))
            await self._expect_echo("a word", 7)
            await asyncio.sleep(self._dice.random() * 0.5)
        if not transport.polls and transport.protocol.carries_bytes:
            await self._expect_echo(BYTES, 8)

    async def _expect_echo(self, value: str | bytes, number: int) -> None:
        transport, protocol = self.transport, self.transport.protocol
        await transport.send(*protocol.event("/", "echo", [value], number))
        ack = await transport.packet("ack")
        due = [value] if isinstance(value, str) else [{"_placeholder": True, "num": 0}]
        if (ack.number, ack.args) != (number, due):
            raise ConnectionError(f"not the ack that was due: {ack}")
        if ack.due and await transport.frame() != protocol.attachment(BYTES):
            raise ConnectionError("not the attachment that was sent")

    async def _leave(self) -> None:
        """An abrupt end of a poller is found out by its silence."""
        transport = self.transport
        if self.ending == "packet":
            await transport.send(transport.protocol.close())
        elif self.ending == "clean" and not transport.polls and transport.connection is not None:
            await transport.connection.send(masked(close_payload(1000), CLOSE))
            await transport.connection.ended(5)


async def _by_polling(transport: _Transport) -> None:
    await transport.open_polling()
    if not transport.protocol.opens:
        await transport.send("40")
    await transport.packet("connect")


async def _by_websocket(transport: _Transport) -> None:
    if transport.protocol.allows_transport_switch:
        await transport.open_polling()
    await transport.open_websocket()
    if not transport.protocol.opens:
        await transport.packet("open")
        await transport.send("40")
    await transport.packet("connect")


async def _by_upgrade(transport: _Transport) -> None:
    """Polls first, and then goes over to a websocket; in 0.9 any request may carry the session on."""
    await _by_polling(transport)
    await transport.open_websocket()
    if transport.protocol.allows_transport_switch:
        return
    await transport.send("2probe")
    await transport.packet("pong")
    await transport.send("5")


_OPENERS: dict[str, Callable[[_Transport], Awaitable[None]]] = {
    "websocket": _by_websocket,
    "polling": _by_polling,
    "upgrade": _by_upgrade,
}
