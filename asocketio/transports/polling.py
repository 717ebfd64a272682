"""HTTP long-polling over ASGI: a GET takes what is in the outbox, a POST brings frames.

Source: Engine.IO protocol, "HTTP long-polling". One GET and one POST at a time; who breaks that
rule ends the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

import anyio

from asocketio.asgi.responses import read_body, respond, try_send
from asocketio.asgi.types import Headers, Message, Receive, Scope, Send, header
from asocketio.errors import (
    BadRequest,
    Disconnected,
    HandshakeError,
    PayloadTooLarge,
    ProtocolError,
    Refused,
    UnknownSession,
)
from asocketio.protocol.base import Body, BodyFormat, Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.server_protocol import ServerProtocol
from asocketio.protocol.websocket_frames import NORMAL_CLOSURE
from asocketio.runtime.clock import Timer
from asocketio.runtime.eager_call import EagerCall
from asocketio.session.close_reasons import FORCED_CLOSE, PARSE_ERROR, TRANSPORT_ERROR
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState
from asocketio.transports.base import HandshakeTransport, Transport

__all__ = ["UPGRADE_RACE_DELAY", "Poll", "PollingHandshake", "Post", "release_later"]

RELEASE_AFTER = 0.1
"""Seconds that a poll waits for data while a websocket takes over, before a noop releases it."""

UPGRADE_RACE_DELAY = 0.01
"""Seconds by which the refusal of a poll that crosses an upgrade comes after what the websocket was sent before it."""

MAX_JSONP_REASON = 1000
"""Bytes of a program's own refusal that a script can carry."""

SLICE = 64
"""Frames of one client that are handled before others have a turn."""

BODY_DRAIN_TIMEOUT = 2.0
"""Seconds for which the rest of a body that is too large is read, to be thrown away."""

_NOOP = Packet(PacketType.NOOP)
_PLAIN = (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")


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
        await _answer(self._send, socket.protocol.join([frame], self._body_format), self._headers)

    async def carry(self, socket: Socket) -> None:
        """Nothing: polls carry it from here."""

    async def wait_disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def refuse(self, error: HandshakeError) -> None:
        self.answered = True
        await _answer(self._send, self._protocol.refusal(error, self._body_format, "GET"), self._headers)

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


class Poll(Transport):
    """A GET of an open session: waits for packets, and takes them."""

    name = "polling"

    def __init__(self, body_format: BodyFormat, receive: Receive, send: Send, headers: Headers) -> None:
        self._body_format = body_format
        self._receive = receive
        self._send = send
        self._headers = headers
        self._waiting: anyio.CancelScope | None = None
        self._gone = False

    async def carry(self, socket: Socket) -> None:
        """Answer with what the outbox holds, as soon as it holds something."""
        if isinstance(socket.transport, Poll) and not socket.protocol.allows_transport_switch:
            _broke_in(socket, "GET")
            await _refuse(self._send, 400, self._headers)
            return
        frames = await self._frames(socket)
        body_format, opened = self._body_format, socket.handshake
        if opened.text_only or opened.encoded_twice:
            body_format = BodyFormat(
                opened.text_only or body_format.text_only, body_format.jsonp_index, opened.encoded_twice
            )
        if frames is None:
            body = socket.protocol.refusal(UnknownSession(), body_format, "GET")
        else:
            body = socket.protocol.join(frames or _spell(socket, _NOOP), body_format)
        await self.answer(body)

    async def answer(self, body: Body) -> None:
        """Send the answer."""
        await respond(self._send, body.status, body.content, [(b"content-type", body.kind), *_PLAIN, *self._headers])

    async def _frames(self, socket: Socket) -> list[Frame] | None:
        """What the outbox holds. None: nothing more will come, and the client is to come back."""
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
        if self._gone:
            return []  # what waits is for the next poll
        frames = self._take(socket)
        if socket.state is SocketState.CLOSED:
            socket.server.trim(socket)
        if socket.state is SocketState.CLOSED and not frames:
            # Alone: clients take a close that comes with other packets before those.
            socket.server.forget(socket)
            if socket.protocol.refuses_last_poll(socket.reason):
                return None
            frames += _spell(socket, socket.protocol.close_packet(socket.reason))
        return frames

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

    def _take(self, socket: Socket) -> list[Frame]:
        """As many packets as fit in ``max_payload``, at least one."""
        frames: list[Frame] = []
        size = 0
        outbox = socket.writer.outbox
        while outbox and (not frames or size < socket.config.max_payload):
            encoded = outbox.take()
            size += encoded.size
            frames += encoded.frames
        return frames

    def flush(self) -> None:
        self.release()

    def end(self, close_code: int = NORMAL_CLOSURE) -> None:
        self.release()

    def release(self) -> None:
        """Answer now, with a noop if there is nothing else."""
        if self._waiting is not None:
            self._waiting.cancel()

    @property
    def writable(self) -> bool:
        return self._waiting is not None and not self._waiting.cancel_called


def release_later(socket: Socket) -> None:
    """The client knows that its websocket works: release the poll that waits, so that it can stop polling."""
    if isinstance(socket.transport, Poll):
        socket.server.clock.call_later(RELEASE_AFTER, socket.transport.release)


class Post:
    """A POST of an open session: brings frames."""

    def __init__(self, body_format: BodyFormat, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        self._body_format = body_format
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = headers

    async def carry(self, socket: Socket) -> None:
        """Take the body in, then answer.

        While the client's packets fill its backlog the answer waits, at most ``send_timeout``;
        what is left of the body then still goes in before the next POST is read.
        """
        if socket.incoming_post is not None and not await self._wait_for_former(socket):
            await _refuse(self._send, 400, self._headers)
            return
        inlet = socket.incoming_post = IncomingBody()
        too_large: PayloadTooLarge | None = None
        try:
            await self._take_in(socket, inlet)
        except PayloadTooLarge as error:
            too_large = error
        except ProtocolError as error:
            socket.refuse(error)
            if not inlet.answered:
                await _refuse(self._send, error.status, self._headers)
        except Disconnected as error:
            if not socket.protocol.allows_transport_switch:  # there a request that breaks ends nothing
                socket.close(error.reason)
        finally:
            socket.incoming_post = None
            inlet.finish()
        if too_large is not None:
            await self._refuse_and_linger(socket, too_large)

    async def _refuse_and_linger(self, socket: Socket, error: PayloadTooLarge) -> None:
        """Answer, then read on for a while: the answer to who still sends is lost when the connection just closes.

        Not for ever, as the server would.
        """
        socket.count_limit(error.limit)
        socket.server.throttled_log.warning("payload", "%s: %s", socket.sid_in(""), error, fields=socket.fields())
        if self._body_format.jsonp_index is not None:  # a page cannot see the status of a form: the next poll tells it
            await _refuse(self._send, error.status, self._headers)
            socket.close(TRANSPORT_ERROR)
            return
        headers = [_PLAIN[0], (b"connection", b"close"), (b"content-length", b"0"), *self._headers]
        await try_send(self._send, {"type": "http.response.start", "status": error.status, "headers": headers})
        left = 2 * socket.config.max_payload
        with socket.server.clock.deadline(BODY_DRAIN_TIMEOUT):
            rest = error.rest
            while rest and left > 0:
                message = await self._receive()
                left -= len(message.get("body", b""))
                rest = message.get("more_body", False)
        await try_send(self._send, {"type": "http.response.body", "body": b""})

    async def _wait_for_former(self, socket: Socket) -> bool:
        former = socket.incoming_post
        if former is None or former.awaited or not (former.answered or socket.protocol.allows_transport_switch):
            _broke_in(socket, "POST")
            return False
        former.awaited = True
        with socket.server.clock.deadline(socket.config.send_timeout):
            await former.done.wait()
            return socket.incoming_post is None
        socket.close_flooding()
        return False

    async def _take_in(self, socket: Socket, inlet: IncomingBody) -> None:
        reading = inlet.reading = EagerCall(read_body(self._scope, self._receive, socket.config.max_payload))
        if not reading.done and not await reading.finish(socket.server.clock, socket.config.send_timeout):
            socket.close(TRANSPORT_ERROR)  # too slow, if it is not the end of the socket that we heard
            await _refuse(self._send, 400, self._headers)
            return
        inlet.reading = None
        body = reading.value
        if socket.protocol.answers_posts_first:
            await self._accept(socket, inlet)
        frames = self._split(socket, body)
        all_in = False
        if not inlet.answered:
            all_in = _feed_now(socket, frames)
            if not all_in:
                with socket.server.clock.deadline(socket.config.send_timeout):
                    all_in = await _feed(socket, frames)
            if socket.reason in (PARSE_ERROR, FORCED_CLOSE, TRANSPORT_ERROR):
                await _refuse(self._send, 400, self._headers)
                return
            await self._accept(socket, inlet)
        if not all_in:
            await _feed(socket, frames)

    def _split(self, socket: Socket, body: bytes) -> Iterator[Frame]:
        kind = header(self._scope, b"content-type").partition(";")[0].strip()
        try:
            yield from socket.reader.split(body, self._body_format, binary=kind == "application/octet-stream")
        except socket.protocol.nonfatal_errors as error:
            socket.refuse(error)

    async def _accept(self, socket: Socket, inlet: IncomingBody) -> None:
        inlet.answered = True
        await _answer(self._send, socket.protocol.post_answer, self._headers)


class IncomingBody:
    """The body of a POST on its way in. ``answered``: the client may send the next."""

    def __init__(self) -> None:
        self.answered = False
        self.awaited = False
        """The next POST waits for the end of this one. Only one may."""
        self.reading: EagerCall[bytes] | None = None
        self.done = asyncio.Event()
        self._successor: asyncio.Future[bool] | None = None

    def succeed(self) -> asyncio.Future[bool]:
        """Wait for the end, to carry the socket then. The newest websocket does, as where none has to wait."""
        self._tell(False)
        self._successor = asyncio.get_running_loop().create_future()
        return self._successor

    def finish(self) -> None:
        """All of it is in, or will never be."""
        self.done.set()
        self._tell(True)

    def _tell(self, turn: bool) -> None:
        successor, self._successor = self._successor, None
        if successor is not None and not successor.done():
            successor.set_result(turn)

    def end(self) -> None:
        """The socket has closed: what is still to come is of no use."""
        if self.reading is not None:
            self.reading.cut()


def _feed_now(socket: Socket, frames: Iterator[Frame]) -> bool:
    """Hand over a few frames, as most bodies have; False when more may be left, or there is something to wait for."""
    count = 0
    for frame in islice(frames, SLICE):
        if socket.state is not SocketState.OPEN:
            return True
        if not socket.reader.receive(frame):
            return False
        count += 1
    return count < SLICE


async def _feed(socket: Socket, frames: Iterator[Frame]) -> bool:
    """Hand the frames over. Waits while the backlog is full; lets other clients have their turns. True at the end."""
    count = 0
    while True:
        await socket.reader.wait_readable()
        frame = next(frames, None) if socket.state is SocketState.OPEN else None
        if frame is None:
            return True
        count += 1
        if socket.reader.receive(frame) and count % SLICE == 0:
            await asyncio.sleep(0)


async def _answer(send: Send, body: Body, headers: Headers) -> None:
    await respond(send, body.status, body.content, [(b"content-type", body.kind), *_PLAIN, *headers])


async def _refuse(send: Send, status: int, headers: Headers) -> None:
    await respond(send, status, b"", [_PLAIN[0], *headers])


def _broke_in(socket: Socket, method: str) -> None:
    """A second request of a kind of which there may be one at a time: the session is over."""
    socket.server.throttled_log.warning(
        method, "%s: closed, a second %s while one is served", socket.sid_in(""), method
    )
    socket.close(TRANSPORT_ERROR)


def _spell(socket: Socket, packet: Packet) -> list[Frame]:
    return list(socket.protocol.encode(packet).frames)
