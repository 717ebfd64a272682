"""HTTP long-polling: the handshake and the GETs over ASGI. A GET takes what is in the outbox; see ``posts`` for POSTs.

Source: Engine.IO protocol, "HTTP long-polling". One GET and one POST at a time; who breaks that
rule ends the session.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod

import anyio

from asocketio.asgi.responses import answer, refuse
from asocketio.asgi.types import Headers, Message, Receive, Send
from asocketio.errors import BadRequest, HandshakeError, Refused, UnknownSession
from asocketio.protocol.base import Body, BodyFormat, Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.server_protocol import ServerProtocol
from asocketio.protocol.websocket_frames import NORMAL_CLOSURE
from asocketio.runtime.clock import Timer
from asocketio.session.close_reasons import TRANSPORT_ERROR
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState
from asocketio.transports.base import HandshakeTransport, Transport
from asocketio.transports.posts import broke_in

__all__ = [
    "UPGRADE_RACE_DELAY",
    "Poll",
    "PollTransport",
    "PollingHandshake",
    "body_of",
    "release_later",
    "taken",
]

RELEASE_AFTER = 0.1
"""Seconds that a poll waits for data while a websocket takes over, before a noop releases it."""

UPGRADE_RACE_DELAY = 0.01
"""Seconds by which the refusal of a poll that crosses an upgrade comes after what the websocket was sent before it."""

MAX_JSONP_REASON = 1000
"""Bytes of a program's own refusal that a script can carry."""

_NOOP = Packet(PacketType.NOOP)


class PollingHandshake(HandshakeTransport):
    """The GET that asks for a session."""

    name = "polling"

    def __init__(
        self, protocol: ServerProtocol, body_format: BodyFormat, receive: Receive, send: Send, headers: Headers
    ) -> None:
        self._protocol = protocol
        self._body_format = body_format
        self._receive = receive
        self._send = send
        self._headers = headers
        self._excuse = b""
        self.answered = False

    async def open(self, socket: Socket) -> None:
        self.answered = True
        socket.handshake.text_only = self._body_format.text_only
        upgrades = [name for name in socket.config.transports if name == "websocket"]
        frame = socket.protocol.handshake(socket.sessid, socket.config, upgrades)
        await answer(self._send, socket.protocol.join([frame], self._body_format), self._headers)

    async def carry(self, socket: Socket) -> None:
        """Nothing: polls carry it from here."""

    async def wait_disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def refuse(self, error: HandshakeError) -> None:
        self.answered = True
        await answer(self._send, self._protocol.refusal(error, self._body_format, "GET"), self._headers)

    async def reject(self, message: Message) -> None:
        if self._body_format.jsonp_index is not None and self._protocol.refuses_via_jsonp:
            await self._reject_by_script(message)
        else:
            self.answered = True
            await self._send(message)

    async def _reject_by_script(self, message: Message) -> None:
        """The client hears nothing of a status: it gets a script that holds what the program answered."""
        if message["type"] != "http.response.body" or self.answered:
            return
        self._excuse = (self._excuse + message.get("body", b""))[:MAX_JSONP_REASON]
        if not message.get("more_body", False):
            await self.refuse(Refused(self._excuse.decode(errors="replace")))


class PollTransport(Transport):
    """A GET of an open session. It carries the socket while it waits, and is answered with what the outbox holds."""

    name = "polling"

    @abstractmethod
    def release(self) -> None:
        """Answer now, with a noop if there is nothing else."""


class Poll(PollTransport):
    """A GET over ASGI."""

    def __init__(self, body_format: BodyFormat, receive: Receive, send: Send, headers: Headers) -> None:
        self._body_format = body_format
        self._receive = receive
        self._send = send
        self._headers = headers
        self._waiting: anyio.CancelScope | None = None
        self._gone = False

    async def carry(self, socket: Socket) -> None:
        """Answer with what the outbox holds, as soon as it holds something."""
        if isinstance(socket.transport, PollTransport) and not socket.protocol.allows_transport_switch:
            broke_in(socket, "GET")
            await refuse(self._send, 400, self._headers)
            return
        frames = await self._frames(socket)
        await self.answer(body_of(socket, frames, self._body_format))

    async def answer(self, body: Body) -> None:
        """Send the answer."""
        await answer(self._send, body, self._headers)

    async def _frames(self, socket: Socket) -> list[Frame] | None:
        """See `taken`."""
        if socket.state is SocketState.OPEN:
            began_late = socket.upgrade is not None
            former = socket.transport
            socket.attach(self)
            if former is not None:
                former.end()  # only where sessions roam: the newest request carries them
            try:
                if not socket.writer.outbox:
                    await self._wait(socket)
                if socket.transport is not self:  # another has taken over: the outbox is its business now
                    if began_late:
                        await asyncio.sleep(UPGRADE_RACE_DELAY)
                        raise BadRequest("a poll that crossed the upgrade to websocket")
                    return []
            finally:
                socket.detach(self)
        return [] if self._gone else taken(socket)  # else what waits is for the next poll

    async def _wait(self, socket: Socket) -> None:
        """Wait for `flush`, `end` or `release`; a peer that hangs up meanwhile ends the session, or begins a gap."""
        timer: Timer | None = None
        with anyio.CancelScope() as self._waiting:
            if socket.upgrade is not None and socket.upgrade.probed:
                timer = socket.server.clock.call_later(RELEASE_AFTER, self.release)
            try:
                while (await self._receive())["type"] != "http.disconnect":
                    pass
            finally:
                if timer is not None:
                    timer.cancel()
            if socket.protocol.allows_transport_switch:
                self._gone = True
            else:
                socket.close(TRANSPORT_ERROR)

    def flush(self) -> None:
        self.release()

    def end(self, close_code: int = NORMAL_CLOSURE) -> None:
        self.release()

    def release(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    @property
    def writable(self) -> bool:
        return self._waiting is not None and not self._waiting.cancel_called


def taken(socket: Socket) -> list[Frame] | None:
    """What the outbox holds, at most ``max_payload`` and at least one packet; or the end of the session.

    Empty: there is nothing. None: nothing more will come, and the client is to come back.
    """
    frames: list[Frame] = []
    size = 0
    outbox = socket.writer.outbox
    while outbox and (not frames or size < socket.config.max_payload):
        encoded = outbox.take()
        size += encoded.size
        frames += encoded.frames
    if socket.state is SocketState.CLOSED:
        socket.server.trim(socket)
    if socket.state is SocketState.CLOSED and not frames:
        # Alone: clients take a close that comes with other packets before those.
        socket.server.forget(socket)
        if socket.protocol.refuses_last_poll(socket.reason):
            return None
        frames += _spell(socket, socket.protocol.close_packet(socket.reason))
    return frames


def body_of(socket: Socket, frames: list[Frame] | None, body_format: BodyFormat) -> Body:
    """The answer to a poll that has `taken` these frames."""
    opened = socket.handshake
    if opened.text_only or opened.encoded_twice:
        body_format = BodyFormat(
            opened.text_only or body_format.text_only, body_format.jsonp_index, opened.encoded_twice
        )
    if frames is None:
        return socket.protocol.refusal(UnknownSession(), body_format, "GET")
    return socket.protocol.join(frames or _spell(socket, _NOOP), body_format)


def release_later(socket: Socket) -> None:
    """The client knows that its websocket works: release the poll that waits, so that it can stop polling."""
    if isinstance(socket.transport, PollTransport):
        socket.server.clock.call_later(RELEASE_AFTER, socket.transport.release)


def _spell(socket: Socket, packet: Packet) -> list[Frame]:
    return list(socket.protocol.encode(packet).frames)
