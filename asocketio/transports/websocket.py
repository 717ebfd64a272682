"""Websocket over ASGI: one message is one frame. Also the upgrade of a polling session to it.

Sending needs no task: a flush steps the ASGI ``send`` in place and leaves it to a parked task only
when the peer is slow. Source: Engine.IO protocol, "WebSocket" and "Upgrade".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import copy_context
from typing import Any

import anyio

from asocketio.asgi.acceptance import PLAIN, Acceptance
from asocketio.asgi.responses import respond, try_send
from asocketio.asgi.types import Headers, Message, Receive, Scope, Send
from asocketio.errors import ProtocolError
from asocketio.protocol.base import Decoder, Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.websocket_frames import NORMAL_CLOSURE
from asocketio.runtime.log import log
from asocketio.session.close_reasons import SHUTTING_DOWN, TRANSPORT_CLOSE, reason_of_close_code
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState
from asocketio.transports.base import HandshakeTransport, Transport
from asocketio.transports.polling import release_later
from asocketio.transports.posts import SLICE
from asocketio.transports.upgrade import Answer, SwitchStep, Upgrade, UpgradeState, may_upgrade, switch_step

__all__ = ["RoamingWebSocket", "UpgradingWebSocket", "WebSocket", "WebSocketHandshake", "deny"]


SHUTDOWN_CLOSE_TIMEOUT = 1.0
"""Seconds for the last frames and the close of a server that shuts down: granian's ``send`` may never return then."""

_CLOSE = {"type": "websocket.close", "code": NORMAL_CLOSURE}


class WebSocket(Transport):
    """An accepted websocket: reads until the websocket or the socket ends, then sends what is left and closes."""

    name = "websocket"

    def __init__(self, receive: Receive, send: Send, acceptance: Acceptance = PLAIN) -> None:
        self._receive = receive
        self._send = send
        self._acceptance = acceptance
        self._context = copy_context()
        self._socket: Socket
        self._reading: anyio.CancelScope | None = None
        self._writing = False
        self._writer: asyncio.Task[None] | None = None
        self._written_out: anyio.Event | None = None
        self._gone = False
        self._close_code = 1006
        """The peer's."""
        self._own_close_code = NORMAL_CLOSURE

    async def _run(self, socket: Socket) -> None:
        """Read; when the socket or the peer is gone, send what is left and close."""
        try:
            await self._read(socket)
        finally:
            await self._finish(socket)

    async def _read(self, socket: Socket) -> None:
        with anyio.CancelScope() as self._reading:
            count = 0
            while socket.state is SocketState.OPEN:
                frame = await self._frame()
                count += 1
                if frame is None:
                    self._close_socket()
                    return
                if not socket.reader.receive(frame):
                    await socket.reader.wait_readable()
                elif count % SLICE == 0:
                    await asyncio.sleep(0)

    async def _frame(self) -> Frame | None:
        """The next frame, or None when the peer has gone."""
        return self._frame_of(await self._receive())

    async def _switch(self, socket: Socket) -> bool:
        """Carry ``socket`` in place of what carried it until now; False when one of the two is gone, or superseded."""
        while (step := switch_step(socket)) is SwitchStep.WAIT:
            assert socket.incoming_post is not None
            if not await socket.incoming_post.succeed():
                return False
        if step is SwitchStep.CLOSE or self._gone:
            return False
        former = socket.transport
        socket.attach(self)
        if former is not None:
            former.end()
        return True

    def _frame_of(self, message: Message) -> Frame | None:
        if message["type"] != "websocket.receive":
            self._gone = True
            self._close_code = message.get("code", 1005)
            return None
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text

    def flush(self) -> None:
        if not self._writing:
            self._writing = True
            self._writer = self._socket.server.eager_runner.start(self._context, self._written, self._drain)

    async def _drain(self) -> None:
        socket = self._socket
        outbox = socket.writer.outbox
        while outbox and socket.transport is self:
            for frame in outbox.take().frames:
                await self._send_frame(frame)

    async def _send_frame(self, frame: Frame) -> None:
        if isinstance(frame, str):
            await self._send({"type": "websocket.send", "text": frame})
        elif self._acceptance.text_only:
            await self._send({"type": "websocket.send", "text": self._socket.protocol.as_text(frame)})
        else:
            await self._send({"type": "websocket.send", "bytes": frame})

    async def _try_send(self, message: Message) -> None:
        """Send a message, unless the peer has gone: servers raise exceptions of any type then."""
        if self._gone:
            return
        try:
            await self._send(message)
        except Exception as error:
            self._lost(error)

    def _lost(self, error: BaseException) -> None:
        log.debug("%s: websocket lost: %r", self._socket.sid_in(""), error)
        self._gone = True

    def _written(self, result: Any, error: BaseException | None) -> None:
        self._writing = False
        self._writer = None
        if self._written_out is not None:
            self._written_out.set()
        if error is not None:  # the server's way to say that the peer has gone
            self._lost(error)
            self._close_socket()

    def _close_socket(self) -> None:
        """The peer has gone, and with it the socket, unless another transport carries that now."""
        if self._socket.transport is self:
            self._socket.close(reason_of_close_code(self._close_code))

    def end(self, close_code: int = NORMAL_CLOSURE) -> None:
        self._own_close_code = close_code
        # Not now: the reading task may be the one that steps the handler that closes the socket, and
        # a task that is cancelled while it runs would carry that on to whatever it awaits next.
        if self._reading is not None:
            asyncio.get_running_loop().call_soon(self._reading.cancel)

    @property
    def writable(self) -> bool:
        return not self._writing

    async def _finish(self, socket: Socket) -> None:
        """Send what is left and close, within ``close_grace``; at once where the server itself is going."""
        grace = (
            min(socket.config.close_grace, SHUTDOWN_CLOSE_TIMEOUT)
            if socket.reason == SHUTTING_DOWN
            else socket.config.close_grace
        )
        with socket.server.clock.deadline(grace, shield=True):
            if self._writing:
                written_out = self._written_out = anyio.Event()
                await written_out.wait()
            if not self._gone:
                self._writing = True
                await self._send_rest_and_close()
        if self._writer is not None:
            self._writer.cancel()
        if socket.transport is self:
            socket.detach(self)
            socket.writer.outbox.clear()

    async def _send_rest_and_close(self) -> None:
        try:
            await self._drain()
        except Exception as error:  # as in `_try_send`
            self._lost(error)
        await self._try_send({"type": "websocket.close", "code": self._own_close_code})


class WebSocketHandshake(WebSocket, HandshakeTransport):
    """The websocket that asks for a session, and carries it to its end."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, acceptance: Acceptance = PLAIN
    ) -> None:
        super().__init__(receive, send, acceptance)
        self._headers = headers
        self._peeked: asyncio.Task[Message] | None = None
        self._can_deny = _can_deny(scope)
        self.answered = False

    async def open(self, socket: Socket) -> None:
        self.answered = True
        self._socket = socket
        await self._try_send(self._acceptance.message(self._headers))
        handshake = socket.protocol.handshake(socket.sessid, socket.config, [])
        await self._try_send({"type": "websocket.send", "text": handshake})
        socket.attach(self)
        if self._gone:
            socket.close(TRANSPORT_CLOSE)

    async def carry(self, socket: Socket) -> None:
        await self._run(socket)

    async def wait_disconnected(self) -> None:
        # The pending ``receive`` is kept for `_frame`: granian loses a frame when it is cancelled.
        if self._peeked is None:
            self._peeked = asyncio.ensure_future(self._message())
        await asyncio.wait([self._peeked])
        if self._peeked.result()["type"] != "websocket.disconnect":
            await anyio.sleep_forever()

    async def _message(self) -> Message:
        return await self._receive()

    async def _frame(self) -> Frame | None:
        if self._peeked is None:
            return await super()._frame()
        peeked, self._peeked = self._peeked, None
        return self._frame_of(await peeked)

    def stop_listening(self) -> None:
        if self._peeked is not None:
            self._peeked.cancel()

    async def reject(self, message: Message) -> None:
        started, self.answered = self.answered, True
        if self._can_deny:
            if message["type"] in ("http.response.start", "http.response.body"):
                await self._send({**message, "type": f"websocket.{message['type']}"})
        elif not started:
            await self._send({"type": "websocket.close", "code": 1008})


class RoamingWebSocket(WebSocket):
    """A websocket that carries a session which another request has opened, from now on (0.9)."""

    async def carry(self, socket: Socket) -> None:
        """Take over from what carries the socket now, and read until the end."""
        self._socket = socket
        await self._try_send(self._acceptance.message())
        if await self._switch(socket):
            await self._run(socket)
        elif not self._gone:
            superseded = socket.state is SocketState.OPEN
            last = () if superseded else socket.protocol.encode(socket.protocol.close_packet(socket.reason)).frames
            await self.dismiss(last)

    async def turn_away(self, frames: Sequence[Frame]) -> None:
        """Accept the websocket only to `dismiss` it: refused with a status, clients would wait for their time-out."""
        await try_send(self._send, self._acceptance.message())
        await self.dismiss(frames)

    async def dismiss(self, frames: Sequence[Frame]) -> None:
        """Send ``frames`` and close: there is no such session, or no more."""
        try:
            for frame in frames:
                await self._send_frame(frame)
            await self._send(_CLOSE)
        except Exception as error:  # as in `_try_send`
            log.debug("a websocket was lost while it was dismissed: %r", error)


class UpgradingWebSocket(WebSocket):
    """A websocket that takes a polling session over, by the rules of `Upgrade`.

    Until the client's upgrade packet everything goes by polling; on any fault the websocket
    closes and polling goes on.
    """

    def __init__(self, receive: Receive, send: Send, acceptance: Acceptance = PLAIN) -> None:
        super().__init__(receive, send, acceptance)
        self._upgrade = Upgrade()

    @property
    def probed(self) -> bool:
        """See `Upgrade.probed`."""
        return self._upgrade.probed

    async def carry(self, socket: Socket) -> None:
        """Prove this websocket, take over, and read until the end."""
        self._socket = socket
        await self._try_send(self._acceptance.message())
        if not may_upgrade(socket):
            # Refused with a status, clients would take the session for lost.
            await self._try_send(_CLOSE)
            return
        socket.upgrade = self
        try:
            await self._prove(socket)
        finally:
            socket.upgrade = None
            if not self._upgrade.over:  # too late, or cancelled
                self._upgrade.fail()
        if self._upgrade.state is UpgradeState.DONE:
            await self._run(socket)
        else:
            await self._try_send(_CLOSE)

    async def _prove(self, socket: Socket) -> None:
        """Follow the client until the websocket has taken over, or failed; at most ``upgrade_timeout``."""
        decoder = socket.protocol.decoder(socket.config)
        with socket.server.clock.deadline(socket.config.upgrade_timeout) as self._reading:
            answer = Answer.PONG
            while answer is Answer.PONG:
                answer = self._upgrade.feed(_packet(decoder, await self._frame()))
                if answer is Answer.PONG:
                    await self._answer_probe(socket)
            if answer is Answer.SWITCH and await self._switch(socket):
                self._upgrade.finish()

    async def _answer_probe(self, socket: Socket) -> None:
        pong = socket.protocol.encode(Packet(PacketType.PONG, data="probe"))
        await self._try_send({"type": "websocket.send", "text": pong.frames[0]})
        release_later(socket)


def _packet(decoder: Decoder, frame: Frame | None) -> Packet | None:
    """The packet that a frame holds, if it can be read."""
    try:
        return None if frame is None else decoder.feed(frame)
    except ProtocolError:
        return None


async def deny(scope: Scope, send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Refuse a websocket with an HTTP response, or with a close where the server has no such extension."""
    if not _can_deny(scope):
        await try_send(send, {"type": "websocket.close", "code": 1008})
        return
    await respond(send, status, body, headers, prefix="websocket.")


def _can_deny(scope: Scope) -> bool:
    return "websocket.http.response" in (scope.get("extensions") or {})
