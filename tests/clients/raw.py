"""Clients by hand, one for each thing that carries a session: they can end in every way that a peer can end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from asocketio import SocketIOApp
from asocketio.asgi.request import GENERATIONS
from asocketio.protocol.base import BodyFormat, Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.testing import TestClock, settle
from tests.behaviour.test_transports import Call
from tests.clients.frames import CLOSE, TEXT, close_payload, encode_frame, messages
from tests.clients.http import upgrade_request
from tests.unit.servers.peers import Peer as ServerPeer
from tests.unit.servers.peers import clocked

__all__ = ["CLIENTS", "Client", "Polling", "TakenOver", "WebSocket"]

NAMES = {"polling": "xhr-polling", "websocket": "websocket"}


class Client(ABC):
    """A session of ``app``, and what it sends."""

    def __init__(self, app: SocketIOApp, clock: TestClock, generation: str) -> None:
        self.app = app
        self.clock = clock
        self.generation = generation
        self.protocol = GENERATIONS[generation]()
        self.sid = ""
        self.calls: list[Call] = []

    @abstractmethod
    async def open(self) -> None:
        """Open the session and join the global namespace."""

    @abstractmethod
    async def say(self, *frames: Frame) -> None:
        """Send frames."""

    @abstractmethod
    async def vanish(self) -> None:
        """Lose the connection without a word: for polling, that of the poll that waits."""

    @abstractmethod
    def stop_reading(self) -> None:
        """Take nothing more."""

    @abstractmethod
    async def settle(self) -> None:
        """Let time pass in which a client of this kind would take what is there."""

    def frames(self, packet: Packet) -> tuple[Frame, ...]:
        return self.protocol.encode(packet).frames

    async def send(self, packet: Packet) -> None:
        await self.say(*self.frames(packet))

    async def emit(self, name: str, *args: Any) -> None:
        await self.send(Packet(PacketType.EVENT, name=name, args=list(args)))

    def target(self, transport: str, more: str = "") -> tuple[str, str]:
        """Path and query."""
        if self.generation == "0.9":
            return f"/socket.io/1/{NAMES[transport]}/{self.sid}" if self.sid else "/socket.io/1/", more
        sid = f"&sid={self.sid}" if self.sid else ""
        return "/socket.io/", f"EIO={self.generation}&transport={transport}{sid}&{more}"

    async def request(self, method: str, *chunks: bytes, end: bool = True, more: str = "") -> Call:
        """A plain request of the session; without its ``end``, more of its body is to come."""
        path, query = self.target("polling", more)
        call = self._call({"type": "http", "method": method, "path": path, "query_string": query.encode()})
        for index, chunk in enumerate(chunks or (b"",)):
            more_body = not end or index < len(chunks) - 1
            call.inbox.put_nowait({"type": "http.request", "body": chunk, "more_body": more_body})
        await settle()
        return call

    def _call(self, scope: dict[str, Any]) -> Call:
        extensions = {"asocketio.clock": self.clock, "websocket.http.response": {}}
        call = Call(self.app, {**scope, "headers": [(b"host", b"testserver")], "extensions": extensions})
        self.calls.append(call)
        return call

    async def handshake(self) -> None:
        """Open the session by a plain request."""
        self.opened((await self.request("GET")).body)

    def opened(self, text: str) -> None:
        self.sid = text.split(":")[0] if self.generation == "0.9" else text.split('"sid":"')[1].split('"')[0]

    async def join(self) -> None:
        """Ask for the global namespace, where that has to be asked for."""
        if self.generation == "4":
            await self.send(Packet(PacketType.CONNECT))

    async def finish(self) -> None:
        """Take care of what is left."""
        for call in self.calls:
            call.inbox.put_nowait({"type": f"{call.kind}.disconnect"})
            if call.stuck is not None:
                call.stuck.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*(call.task for call in self.calls), return_exceptions=True)


class Polling(Client):
    """Long-polling."""

    poll: Call | None = None
    reading = True

    async def open(self) -> None:
        await self.handshake()
        await self.join()
        await self.settle()

    async def say(self, *frames: Frame) -> None:
        await self.post(*frames)
        await self.settle()

    async def post(self, *frames: Frame) -> Call:
        return await self.request("POST", self.protocol.join(frames, BodyFormat(text_only=True)).content)

    async def settle(self) -> None:
        await settle()
        while self.reading and (self.poll is None or not self.poll.waiting):
            if self.poll is not None and (self.poll.status != 200 or self.poll.body in ("1", "0::", "7:::1+0")):
                return
            self.poll = await self.request("GET")

    async def vanish(self) -> None:
        assert self.poll is not None
        self.reading = False
        self.poll.inbox.put_nowait({"type": "http.disconnect"})
        await settle()

    def stop_reading(self) -> None:
        self.reading = False


class WebSocket(Client):
    """A websocket by ASGI messages."""

    call: Call

    async def open(self) -> None:
        if self.generation == "0.9":
            await self.handshake()
        await self.connect()
        if self.generation != "0.9":
            self.opened(self.call.frames[0])
        await self.join()

    async def connect(self) -> None:
        path, query = self.target("websocket")
        self.call = self._call({"type": "websocket", "path": path, "query_string": query.encode()})
        self.call.inbox.put_nowait({"type": "websocket.connect"})
        await settle()

    async def say(self, *frames: Frame) -> None:
        await self.call.says(*frames)

    async def close(self, code: int | None) -> None:
        """Close it, with a code or without; ASGI says 1005 for none."""
        await self.hear(code or 1005)

    async def hear(self, code: int) -> None:
        """The app hears that the websocket has closed with ``code``."""
        self.call.inbox.put_nowait({"type": "websocket.disconnect", "code": code})
        await settle()

    async def vanish(self) -> None:
        await self.hear(1006)

    async def send_too_much(self, size: int) -> None:
        """A message over the server's own limit."""
        await self.hear(1009)

    async def break_rules(self) -> None:
        """No frame of a websocket."""
        await self.hear(1002)

    async def server_ends(self) -> None:
        """The server closes its connections, and has told nobody."""
        await self.hear(1012)

    def stop_reading(self) -> None:
        self.call.stuck = asyncio.Event()

    async def settle(self) -> None:
        await settle()


class TakenOver(WebSocket):
    """A websocket that the app has taken over from the server."""

    peer: ServerPeer

    async def open(self) -> None:
        if self.generation == "0.9":
            await self.handshake()
        await self.connect()
        if self.generation != "0.9":
            opened = self.peer.heard()[0]
            assert isinstance(opened, str)
            self.opened(opened)
        await self.join()

    async def connect(self) -> None:
        path, query = self.target("websocket")
        self.peer = ServerPeer(clocked(self.app, self.clock))
        await self.peer.ask(upgrade_request(f"{path}?{query}"))

    async def say(self, *frames: Frame) -> None:
        await self.peer.send(messages(*frames))

    async def close(self, code: int | None) -> None:
        await self.peer.send(encode_frame(CLOSE, b"" if code is None else close_payload(code)))

    async def vanish(self) -> None:
        self.peer.transport.lose(ConnectionResetError("reset by the peer"))
        await settle()

    async def send_too_much(self, size: int) -> None:
        await self.peer.send(encode_frame(TEXT, "x" * size))

    async def break_rules(self) -> None:
        await self.peer.send(b"\xff\xff")

    async def server_ends(self) -> None:
        self.peer.transport.protocol.shutdown()
        await settle()

    def stop_reading(self) -> None:
        self.peer.transport.stuck = True

    async def finish(self) -> None:
        await super().finish()
        self.peer.transport.lose()
        await settle()
        assert self.peer.gone


class _Upgrading:
    """Begins by polling; then a websocket takes over."""

    async def open(self: Any) -> None:
        await self.handshake()
        if self.generation == "4":
            connect = self.protocol.encode(Packet(PacketType.CONNECT))
            await self.request("POST", self.protocol.join(connect.frames, BodyFormat()).content)
        await self.request("GET")
        await self.connect()
        if self.generation != "0.9":
            await self.say("2probe", "5")


class UpgradedWebSocket(_Upgrading, WebSocket):
    """By polling first, then by ASGI messages."""


class UpgradedTakenOver(_Upgrading, TakenOver):
    """By polling first, then over a connection of the server's."""


CLIENTS: dict[str, type[Client]] = {
    "polling": Polling,
    "websocket": WebSocket,
    "taken-over": TakenOver,
    "upgraded-websocket": UpgradedWebSocket,
    "upgraded-taken-over": UpgradedTakenOver,
}
