"""ServerWebSocket: carries a `Socket` over a `Connection`, without ASGI messages and without a task.

What the outbox holds goes out with one write per turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asocketio.errors import ProtocolError
from asocketio.protocol.base import Decoder, Encoded, Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.websocket_frames import NORMAL_CLOSURE, TEXT, TOO_BIG, WebSocketError, frame, frames_of
from asocketio.runtime.clock import Timer
from asocketio.servers.connection import Closing, Connection, Reading, Writing
from asocketio.session.close_reasons import SHUTTING_DOWN
from asocketio.session.socket import Socket
from asocketio.transports.base import Transport
from asocketio.transports.polling import release_later
from asocketio.transports.upgrade import Answer, SwitchStep, Upgrade, may_upgrade, switch_step

__all__ = ["ServerWebSocket", "TextOnlyWebSocket"]

WRITE_CHUNK = 262_144
"""Bytes that are handed to the transport before it is asked whether it can take more: its buffer counts, too."""

_OPEN = Writing.OPEN


class ServerWebSocket(Transport):
    """One websocket of the server's, from its acceptance on."""

    __slots__ = ("_joins_writes", "_socket", "_transport", "_upgrading", "_waiting", "connection")

    name = "websocket"

    def __init__(self, connection: Connection) -> None:
        connection.owner = self
        self.connection = connection
        self._transport = connection.transport
        # asyncio's own transports forget to say that their buffer is full in `writelines`, in 3.12 before 3.12.9 and in
        # 3.13 before 3.13.2 (CVE-2024-12254), and join what they are given in 3.11. uvloop's saves a system call.
        self._joins_writes = not type(self._transport).__module__.startswith("asyncio.")
        self._socket: Socket | None = None
        self._upgrading: Upgrading | None = None
        self._waiting: asyncio.Future[bool] | None = None

    # What it carries.

    def open(self, socket: Socket) -> None:
        """Answer the handshake, and carry ``socket`` from its beginning."""
        handshake = socket.protocol.handshake(socket.sessid, socket.config, [])
        self.connection.write(frame(TEXT, handshake.encode()))
        self.carry(socket)

    def carry(self, socket: Socket) -> None:
        """Carry ``socket``, in place of what carried it until now."""
        self.connection.write()
        former = socket.transport
        self._socket, self._upgrading = socket, None
        self.connection.start(socket.reader.receive)
        socket.attach(self)
        if former is not None:
            former.end()

    def roam(self, socket: Socket) -> None:
        """Carry a session that another request has opened (0.9), once what came by a POST is in."""
        if self.connection.closing is Closing.LOST:
            return
        self.connection.write()
        step = switch_step(socket)
        if step is SwitchStep.TAKE_OVER:
            self.carry(socket)
        elif step is SwitchStep.WAIT:
            self.wait_for_post(socket, lambda: self.roam(socket))
        else:
            self.dismiss(socket.protocol.encode(socket.protocol.close_packet(socket.reason)).frames)

    def upgrade(self, socket: Socket) -> None:
        """Prove this websocket and take a polling session over (Engine.IO)."""
        if not may_upgrade(socket):
            self.connection.send_close()  # refused with a status, clients would take the session for lost
            return
        self.connection.write()
        self._upgrading = socket.upgrade = Upgrading(self, socket)
        self.connection.start(self._upgrading.take)

    def dismiss(self, frames: tuple[Frame, ...]) -> None:
        """Send ``frames`` and close."""
        self.send(frames)
        self.connection.send_close()

    def send(self, frames: tuple[Frame, ...]) -> None:
        """Send frames past the outbox."""
        self.connection.write()
        for part in frames_of(frames):
            self._transport.write(part)

    def wait_for_post(self, socket: Socket, then: Callable[[], None]) -> None:
        """Read no further until the body that is on its way is in; then go on after ``then()``.

        Where another websocket comes to wait for it, this one is closed.
        """
        assert socket.incoming_post is not None
        connection = self.connection
        if connection.reading is not Reading.PAUSED:
            connection.pause()

        def go_on(turn: asyncio.Future[bool]) -> None:
            self._waiting = None
            if turn.cancelled():
                return
            if turn.result():
                then()
            else:
                connection.send_close()
            if self._waiting is None:
                connection.resume()

        self._waiting = socket.incoming_post.succeed()
        self._waiting.add_done_callback(go_on)

    # Out.

    def flush(self) -> None:
        socket = self._socket
        if socket is None or socket.transport is not self:
            return
        connection, outbox = self.connection, socket.writer.outbox
        while outbox.size and connection.writing is _OPEN:
            self._write_out(outbox.take_some(WRITE_CHUNK))

    def _write_out(self, packets: list[Encoded]) -> None:
        """Everything with one call, where that is safe."""
        if len(packets) == 1 and (framed := packets[0].wire_bytes or packets[0].framed()) and len(framed) == 1:
            self._transport.write(framed[0])  # as most turns have no more for one client
            return
        joined: list[bytes] = []
        parts: list[bytes] = []
        for encoded in packets:
            framed = encoded.wire_bytes or encoded.framed()
            if len(framed) == 1:
                joined.append(framed[0])
                continue
            # A large payload: not copied together with what is around it.
            if joined:
                parts.append(b"".join(joined))
                joined.clear()
            parts += framed
        if parts and self._joins_writes:
            self._transport.writelines((*parts, *joined))
        elif parts:
            for part in (*parts, *joined):
                self._transport.write(part)
        elif joined:
            self._transport.write(joined[0] if len(joined) == 1 else b"".join(joined))

    @property
    def writable(self) -> bool:
        return self.connection.writing is not Writing.PAUSED

    def end(self, close_code: int = NORMAL_CLOSURE) -> None:
        self.flush()
        self.connection.finish(close_code)

    # What the connection tells.

    def on_paused(self) -> None:
        if self._socket is not None:
            self._socket.reader.add_readable_callback(self.connection.resume)

    def on_refused(self, error: WebSocketError) -> None:
        socket = self._socket
        if error.code == TOO_BIG and socket is not None:
            socket.count_limit("max_payload")
            socket.server.throttled_log.warning(
                "payload", "%s: closed, a message %s (max_payload, --ws-max-size)", socket.sid_in(""), error.reason
            )

    def on_closed(self, reason: str) -> None:
        """The peer has gone, and with it the socket, unless another transport carries that now."""
        socket, upgrading = self._socket, self._upgrading
        self._upgrading = None
        if socket is not None and socket.transport is self:
            socket.close(reason)
        if upgrading is not None:
            upgrading.end()

    def on_lost(self) -> None:
        socket, self._socket = self._socket, None
        if self._waiting is not None:
            self._waiting.cancel()
        if socket is not None and socket.transport is self:
            socket.detach(self)
            socket.writer.outbox.clear()

    def on_shutdown(self) -> bool:
        socket = self._socket
        if socket is not None and socket.transport is self:
            if socket.server.closing:
                return False
            socket.close(SHUTTING_DOWN)
        return True


class TextOnlyWebSocket(ServerWebSocket):
    """A websocket whose client takes no binary (``b64=1``): what is binary goes out as base64 in a text."""

    __slots__ = ()

    def _write_out(self, packets: list[Encoded]) -> None:
        assert self._socket is not None
        as_text = self._socket.protocol.as_text

        def textual(packet: Encoded) -> Encoded:
            frames = packet.frames
            if all(isinstance(each, str) for each in frames):
                return packet
            return Encoded(tuple(each if isinstance(each, str) else as_text(each) for each in frames))

        super()._write_out(list(map(textual, packets)))


class Upgrading:
    """A websocket that is about to take over from polling, by the rules of `Upgrade`."""

    def __init__(self, websocket: ServerWebSocket, socket: Socket) -> None:
        self._upgrade = Upgrade()
        self._websocket = websocket
        self._socket = socket
        self._decoder: Decoder = socket.protocol.decoder(socket.config)
        clock = socket.server.clock
        self._timer: Timer = clock.call_later(socket.config.upgrade_timeout, self.end)

    @property
    def probed(self) -> bool:
        """See `Upgrade.probed`."""
        return self._upgrade.probed

    def take(self, frame: Frame) -> bool:
        """A frame before the upgrade. False: read no further."""
        try:
            packet = self._decoder.feed(frame)
        except ProtocolError:
            packet = None
        answer = self._upgrade.feed(packet)
        if answer is Answer.PONG:
            socket = self._socket
            self._websocket.send(socket.protocol.encode(Packet(PacketType.PONG, data="probe")).frames)
            release_later(socket)
        elif answer is Answer.CLOSE:
            self._close()
        else:
            self._switch()
            return self._upgrade.over
        return True

    def _switch(self) -> None:
        """The client has chosen this websocket; what it sent by polling comes first."""
        if self._upgrade.over:
            return  # lost, or too late, while a body that came before was taken in
        step = switch_step(self._socket)
        if step is SwitchStep.WAIT:
            self._websocket.wait_for_post(self._socket, self._switch)
        elif step is SwitchStep.TAKE_OVER:
            self._upgrade.finish()
            self._leave()
            self._websocket.carry(self._socket)
        else:
            self.end()

    def end(self) -> None:
        """No upgrade: polling goes on."""
        if not self._upgrade.over:
            self._upgrade.fail()
            self._close()

    def _close(self) -> None:
        self._leave()
        self._websocket.connection.send_close()

    def _leave(self) -> None:
        self._timer.cancel()
        if self._socket.upgrade is self:
            self._socket.upgrade = None
