"""Connection: a websocket that carries a `Socket` without ASGI messages and without a task.

Bytes come in by `Connection.data_received`; what the outbox holds goes out with one write per turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asocketio.errors import ProtocolError
from asocketio.protocol.base import Decoder, Encoded, Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    TOO_BIG,
    Frames,
    WebSocketError,
    frame,
    frames_of,
)
from asocketio.runtime.clock import Timer
from asocketio.runtime.log import log
from asocketio.session.socket import Socket, SocketState
from asocketio.transports.base import Transport
from asocketio.transports.polling import SLICE, Poll, may_upgrade, release_later
from asocketio.transports.websocket import close_reason

__all__ = ["Connection"]

GOODBYE = 5.0
"""Seconds for the peer to read what is left and to answer a close; then the connection is cut."""

WRITE_CHUNK = 262_144
"""Bytes that are handed to the transport before it is asked whether it can take more: its buffer counts, too."""

_NORMAL = (1000).to_bytes(2)


class Connection(Transport, asyncio.Protocol):
    """One websocket. ``accept_response`` is the answer that accepts it: it goes out with the first thing that is said.

    ``early`` is what the peer has sent already; ``lost`` is called at its end.
    """

    name = "websocket"

    def __init__(
        self,
        transport: asyncio.Transport,
        limit: int,
        accept_response: bytes = b"",
        early: bytes = b"",
        lost: Callable[[Exception | None], None] | None = None,
    ) -> None:
        self._transport = transport
        self._frames = Frames(limit)
        self._accept_response = accept_response
        self._on_lost = lost
        if early:
            self._frames.push(early)
        self._take: Callable[[Frame], bool] = _drop
        self._socket: Socket | None = None
        # asyncio's own transports forget to say that their buffer is full in `writelines`, in 3.12 before 3.12.9 and in
        # 3.13 before 3.13.2 (CVE-2024-12254), and join what they are given in 3.11. uvloop's saves a system call.
        self._at_once = not type(transport).__module__.startswith("asyncio.")
        self._write_paused = False
        """The transport's buffer is full."""
        self._reading_paused = False
        """The transport does not read."""
        self._paused = False
        """The socket has enough for now."""
        self._discarding = False
        """The peer has said goodbye, or broken the protocol: nothing it sends counts any more."""
        self._reading_later = True
        """What has come is read in a later turn of the loop: first somebody must be there to take it."""
        self._next_read: asyncio.Handle | None = None
        self._ending = False
        """The socket has closed: what is left goes out, then the goodbye."""
        self._closing = False
        """A close frame was sent."""
        self._lost = False
        self._deadline: asyncio.TimerHandle | None = None
        self._probe: Probe | None = None
        self._holding: asyncio.Task[Any] | None = None

    # What the server's protocol object passes on.

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        self._frames.push(data)
        if not self._paused and not self._reading_later:
            self._read()

    def _begin(self, take: Callable[[Frame], bool]) -> None:
        """``take`` gets the frames from now on."""
        self._take = take
        if self._reading_later and not self._lost:
            self._read_soon()

    def _read_soon(self) -> None:
        self._reading_later = True
        if self._next_read is None:
            self._next_read = asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        """Hand the frames that are there to the socket, a slice of them at a time."""
        self._reading_later = False
        self._next_read = None
        if self._discarding:
            return
        frames, take = self._frames, self._take
        try:
            for _ in range(SLICE):
                found = frames.next()
                if found is None:
                    if self._reading_paused:
                        self._stop_reading(False)
                    return
                opcode, payload = found
                if opcode > BINARY:
                    self._control(opcode, payload)
                elif opcode == CONTINUATION:
                    continue
                elif not self._closing and not take(payload):
                    self._pause()
                    return
                if self._discarding:
                    return
                take = self._take
        except WebSocketError as error:
            self._break(error)
            return
        self._stop_reading(True)  # until what is here has been handled
        self._read_soon()

    def _stop_reading(self, stopped: bool) -> None:
        if stopped is not self._reading_paused and not self._lost:
            self._reading_paused = stopped
            if stopped:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _control(self, opcode: int, payload: Frame) -> None:
        assert isinstance(payload, bytes)
        if opcode == PING and not self._write_paused:  # who does not read gets no more to read
            self._transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self._answer_close(payload)

    def _break(self, error: WebSocketError) -> None:
        log.debug("websocket closed with %d: %s", error.code, error.reason)
        socket = self._socket
        self._answer_close(error.code.to_bytes(2) + error.reason.encode()[:123])
        if error.code == TOO_BIG and socket is not None:
            socket.count_limit("max_payload")
            socket.server.throttled_log.warning(
                "payload", "%s: closed, a message %s (max_payload, --ws-max-size)", socket.sid_in(""), error.reason
            )

    def _answer_close(self, goodbye: bytes) -> None:
        """The end by the peer: what is due to it goes out first."""
        self._discarding = True
        self.flush()
        self._send_close(goodbye)
        self._transport.close()
        self._ended(close_reason(int.from_bytes(goodbye[:2])))

    def _ended(self, reason: str = "transport close") -> None:
        """The peer has gone, and with it the socket, unless another transport carries that now."""
        socket = self._socket
        if socket is not None and socket.transport is self:
            socket.close(reason)
        if self._probe is not None:
            self._probe.end()
            self._probe = None

    def _pause(self) -> None:
        """The socket has enough for now: the peer's bytes wait in the network."""
        if not self._paused and self._socket is not None:
            self._paused = True
            self._stop_reading(True)
            self._socket.add_readable_callback(self._resume)

    def _resume(self) -> None:
        if self._paused and not self._lost:
            self._paused = False
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._lost = self._closing = self._discarding = True
        if self._deadline is not None:
            self._deadline.cancel()
        self._ended()
        socket, self._socket = self._socket, None
        if socket is not None and socket.transport is self:
            socket.detach(self)
            socket.outbox.clear()
        on_lost, self._on_lost, self._take = self._on_lost, None, _drop
        if on_lost is not None:
            on_lost(exc)

    def on_call_done(self, error: BaseException | None) -> None:
        """The ASGI call that led here has ended: well, once the socket has a life of its own."""
        if error is not None:
            log.error("a websocket's call raised %r", error, exc_info=error)
        if self._socket is None and self._probe is None and self._holding is None:
            self._send_close(_NORMAL)

    def shutdown(self) -> None:
        """Close, whoever is there."""
        socket = self._socket
        if socket is not None and socket.transport is self:
            if socket.server.closing:
                return  # its turn comes
            socket.close("server shutting down")
        self._send_close(_NORMAL)

    # Out.

    def flush(self) -> None:
        socket = self._socket
        if self._write_paused or self._closing or socket is None or socket.transport is not self:
            return
        outbox = socket.outbox
        while outbox.size and not self._write_paused:
            self._write_out(outbox.take_some(WRITE_CHUNK))

    def _write_out(self, packets: list[Encoded]) -> None:
        """Everything with one call, where that is safe."""
        if len(packets) == 1 and (framed := packets[0].wire_bytes or _framed(packets[0])) and len(framed) == 1:
            self._transport.write(framed[0])  # as most turns have no more for one client
            return
        joined: list[bytes] = []
        parts: list[bytes] = []
        for encoded in packets:
            framed = encoded.wire_bytes or _framed(encoded)
            if len(framed) == 1:
                joined.append(framed[0])
                continue
            # A large payload: not copied together with what is around it.
            if joined:
                parts.append(b"".join(joined))
                joined.clear()
            parts += framed
        if parts and self._at_once:
            self._transport.writelines((*parts, *joined))
        elif parts:
            for part in (*parts, *joined):
                self._transport.write(part)
        elif joined:
            self._transport.write(joined[0] if len(joined) == 1 else b"".join(joined))

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._ending:
            self.end()
        else:
            self.flush()

    @property
    def writable(self) -> bool:
        return not self._write_paused

    def end(self) -> None:
        self._ending = True
        self.flush()
        if not self._write_paused:
            self._send_close(_NORMAL)
        elif self._deadline is None:
            self._cut_later()

    def _send_close(self, reason: bytes) -> None:
        """Say goodbye. The peer answers that and ends the connection; ended at once, it may lose what is under way."""
        if self._closing:
            return
        self._closing = True
        self._accept(frame(CLOSE, reason))
        if self._deadline is None:
            self._cut_later()
        self._begin(_drop)  # the peer's own goodbye is still to be read

    def _cut_later(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(GOODBYE, self._transport.abort)

    # Which socket it carries.

    def open(self, socket: Socket) -> None:
        """Answer the handshake, and carry ``socket`` from its beginning."""
        handshake = socket.protocol.handshake(socket.sessid, socket.config, [])
        self._accept(frame(TEXT, handshake.encode()))
        self.take_over(socket)

    def _accept(self, data: bytes = b"") -> None:
        """Accept the websocket, if that is still to be done, and send ``data`` with it: one write for both."""
        accept_response, self._accept_response = self._accept_response, b""
        if accept_response or data:
            self._transport.write(accept_response + data)

    def take_over(self, socket: Socket) -> None:
        """Carry ``socket``, in place of what carried it until now."""
        self._accept()
        former = socket.transport
        self._socket, self._probe = socket, None
        self._begin(socket.receive)
        socket.attach(self)
        if isinstance(former, Poll):
            former.release()
        elif former is not None:
            former.end()

    def roam(self, socket: Socket) -> None:
        """Carry a session that another request has opened (0.9), once what came by a POST is in."""
        if self._lost:
            return
        self._accept()
        if not socket.connected:
            self.dismiss(socket.protocol.encode(socket.protocol.close_packet(socket.reason)).frames)
        elif socket.incoming_post is not None:
            self.hold(socket.incoming_post.done, lambda: self.roam(socket))
        else:
            self.take_over(socket)

    def dismiss(self, frames: tuple[Frame, ...]) -> None:
        """Send ``frames`` and close."""
        self.write(frames)
        self._send_close(_NORMAL)

    def upgrade(self, socket: Socket) -> None:
        """Prove this websocket and take a polling session over (Engine.IO)."""
        if not may_upgrade(socket):
            self._send_close(_NORMAL)  # refused with a status, clients would take the session for lost
            return
        self._accept()
        self._probe = Probe(self, socket)
        self._begin(self._probe.take)
        socket.upgrade = self._probe

    def write(self, frames: tuple[Frame, ...]) -> None:
        """Send frames past the outbox."""
        self._accept()
        for part in frames_of(frames):
            self._transport.write(part)

    def hold(self, event: asyncio.Event, then: Callable[[], None]) -> None:
        """Read no further until ``event``; then go on after ``then()``."""
        self._paused = True
        self._stop_reading(True)
        self._holding = asyncio.get_running_loop().create_task(event.wait())

        def go_on(_: asyncio.Task[Any]) -> None:
            self._holding = None
            then()
            if self._holding is None:
                self._resume()

        self._holding.add_done_callback(go_on)


def _framed(encoded: Encoded) -> tuple[bytes, ...]:
    """The bytes of a packet, made by the first who sends it."""
    framed = encoded.wire_bytes = frames_of(encoded.frames)
    return framed


def _drop(payload: Frame) -> bool:
    return True


class Probe:
    """A websocket that is about to take over from polling: probe, then upgrade."""

    def __init__(self, connection: Connection, socket: Socket) -> None:
        self.probed = False
        self._connection = connection
        self._socket = socket
        self._decoder: Decoder = socket.protocol.decoder(socket.config)
        clock = socket.server.clock
        self._timer: Timer = clock.call_later(socket.config.upgrade_timeout, self.end)

    def take(self, frame: Frame) -> bool:
        """A frame before the upgrade."""
        try:
            packet = self._decoder.feed(frame)
        except ProtocolError:
            packet = None
        if packet is not None and packet.type is PacketType.UPGRADE:
            return self._upgrade()
        if packet is None or packet.type is not PacketType.PING or packet.data != "probe" or self.probed:
            self.end()
        else:
            self._answer()
        return True

    def _answer(self) -> None:
        socket = self._socket
        pong = socket.protocol.encode(Packet(PacketType.PONG, data="probe"))
        self._connection.write(pong.frames)
        self.probed = True
        release_later(socket)

    def _upgrade(self) -> bool:
        """The client has chosen this websocket; what it sent by polling comes first."""
        if self._socket.incoming_post is not None:
            self._connection.hold(self._socket.incoming_post.done, self._take_over)
            return False
        self._take_over()
        return True

    def _take_over(self) -> None:
        socket = self._socket
        self._timer.cancel()
        current = socket.upgrade is self
        if current:
            socket.upgrade = None
        if not current:
            return  # lost, or too late, while a body that came before was taken in
        if socket.state is SocketState.OPEN:
            self._connection.take_over(socket)
        else:
            self._connection.shutdown()

    def end(self) -> None:
        """No upgrade: polling goes on."""
        self._timer.cancel()
        if self._socket.upgrade is self:
            self._socket.upgrade = None
        self._connection.shutdown()
