"""Reader: the reading side of one client. It decodes frames, and takes each packet to who handles it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asocketio.errors import PayloadTooLarge, ProtocolError, StrayPacket, UnexpectedPacket
from asocketio.protocol.base import BodyFormat, Frame
from asocketio.protocol.packet import ACK, EVENT, Packet, PacketType
from asocketio.protocol.server_protocol import ServerProtocol
from asocketio.session.close_reasons import CLIENT_DISCONNECT, TRANSPORT_CLOSE
from asocketio.session.rate_limit import Rates
from asocketio.session.read_gate import ReadGate
from asocketio.session.states import OPEN

if TYPE_CHECKING:
    from asocketio.session.socket import Socket

__all__ = ["Reader"]

_BEATS = frozenset({PacketType.PING, PacketType.PONG, PacketType.HEARTBEAT})
_SILENT = frozenset({PacketType.NOOP, PacketType.UPGRADE, PacketType.OPEN})


class Reader:
    """Takes what a client sends. Transports call `receive`, and stop reading while it says so."""

    __slots__ = (
        "_client_pings",
        "_decoder",
        "_gate",
        "_held_open",
        "_large",
        "_rates",
        "_socket",
        "last_received",
    )

    def __init__(self, socket: Socket, protocol: ServerProtocol) -> None:
        config = socket.server.config
        self.last_received = 0.0
        """When a frame came; kept where the client's silence is what counts."""
        self._socket = socket
        self._decoder = protocol.decoder(config)
        self._client_pings = protocol.pings == "client"
        self._large = config.max_payload // 4  # a character is up to 4 bytes
        self._rates = None if config.rate_limits is None else Rates(config.rate_limits)
        self._gate = ReadGate()
        self._held_open = 0

    def use_protocol(self, protocol: ServerProtocol) -> None:
        """Decode by another protocol of the same generation, from the first frame on."""
        self._decoder = protocol.decoder(self._socket.server.config)

    def receive(self, frame: Frame) -> bool:
        """Take a frame in. False: enough for now; await `wait_readable` before the next one.

        Errors of the client end its socket; none is raised.
        """
        socket = self._socket
        if socket.state is not OPEN:
            return True
        if self._client_pings:
            self.last_received = socket.server.clock.now()
        dispatcher = socket.dispatcher
        try:
            if len(frame) > self._large:
                self._refuse_large(frame)
            packet = self._decoder.feed(frame)
            if packet is None:
                pass  # it has attachments, which are still to come
            elif packet.type is EVENT and self._rates is None and packet.ack is not True:
                dispatcher.submit(packet)  # `_route`, for what most packets are
            else:
                self._route(packet)
        except ProtocolError as error:
            socket.refuse(error)
        return dispatcher.backlog is None or self._held_open > 0 or not dispatcher.full

    def split(self, body: bytes, body_format: BodyFormat, *, binary: bool) -> Iterator[Frame]:
        """The frames of a polling body, see `Decoder.split`."""
        return self._decoder.split(body, body_format, binary=binary)

    def _refuse_large(self, frame: Frame) -> None:
        size = len(frame) if isinstance(frame, bytes) or frame.isascii() else len(frame.encode(errors="surrogatepass"))
        most = self._socket.server.config.max_payload
        if size > most:
            raise PayloadTooLarge(f"a message of {size} bytes, at most {most} are taken (max_payload)", "max_payload")

    def break_cycles(self) -> None:
        """See `Socket.break_cycles`."""
        self._socket = weakref.proxy(self._socket)

    # Where packets go.

    def _route(self, packet: Packet) -> None:
        kind, socket = packet.type, self._socket
        if kind is EVENT:
            self._submit(packet)
        elif kind is ACK:
            self._resolve(packet)
        elif kind in _BEATS:
            socket.heartbeat.on_heartbeat(socket, packet)
        elif kind is PacketType.CLOSE:
            socket.close(TRANSPORT_CLOSE)
        elif kind is PacketType.DISCONNECT:
            self._leave(packet)
        elif kind is PacketType.ERROR and not socket.protocol.clients_send_errors:
            raise UnexpectedPacket("an error packet; only servers send them")
        elif kind not in _SILENT:
            if kind is PacketType.CONNECT:
                self._note_encoding()
                settled = socket.protocol.settled(self._decoder)
                if settled is not None:
                    socket.protocol, self._decoder = settled
            self._submit(packet)

    def _note_encoding(self) -> None:
        """Write to the client as it does. Beyond ASCII are the names of namespaces alone, and it has told one now."""
        where = self._decoder.encodes_twice
        if where == "bodies":
            self._socket.handshake.encoded_twice = True
        elif where == "messages":
            self._socket.protocol = self._socket.protocol.encoding_twice

    def _submit(self, packet: Packet) -> None:
        """Hand a packet to the dispatcher, unless there are too many (``rate_limits``)."""
        if packet.ack is True:
            self._confirm(packet)
        if self._is_allowed(packet):
            self._socket.dispatcher.submit(packet)

    def _is_allowed(self, packet: Packet) -> bool:
        """What is for no namespace of the program is refused elsewhere."""
        socket = self._socket
        if self._rates is None:
            return True
        handlers = socket.dispatcher.lifecycle.handlers_of(packet.endpoint)
        if handlers is None or self._rates.allow(packet, handlers, socket.server.clock.now()):
            return True
        socket.count_limit("rate_limits")
        event = packet.name or ("connect" if packet.type is PacketType.CONNECT else "message")
        socket.dispatcher.reject(packet, "rate_limited", f"The event {event[:100]!r} comes too often")
        return False

    def _confirm(self, packet: Packet) -> None:
        """Acknowledge the receipt, at once; the handler has no say in that (0.9, an id without ``+``)."""
        socket = self._socket
        if packet.endpoint in socket.members:
            socket.writer.send(Packet(ACK, packet.endpoint, id=packet.id))

    def _resolve(self, packet: Packet) -> None:
        socket = self._socket
        if packet.endpoint not in socket.members and not socket.dispatcher.lifecycle.knows(packet.endpoint):
            raise StrayPacket(f"an ack for the namespace {packet.endpoint[:100]!r}, which was never joined")
        socket.acks.resolve(packet.id, packet.endpoint, packet.args)

    def _leave(self, packet: Packet) -> None:
        """The client leaves a namespace, or everything with it."""
        socket = self._socket
        if socket.protocol.global_is_connection and not packet.endpoint:
            socket.close(CLIENT_DISCONNECT)
            return
        socket.acks.fail(CLIENT_DISCONNECT, packet.endpoint)
        member = socket.members.get(packet.endpoint)
        if member is not None:
            member.on_peer_leaving()
        socket.dispatcher.submit(packet)

    # When transports may read.

    async def wait_readable(self) -> None:
        """Wait until frames may come again."""
        await self._gate.wait(self._is_full)

    def add_readable_callback(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once frames may come again, or never will: `wait_readable` for those who cannot wait."""
        self._gate.call(self._is_full, callback)

    def _is_full(self) -> bool:
        socket = self._socket
        return socket.state is OPEN and not self._held_open and socket.dispatcher.full

    @property
    def paused(self) -> bool:
        """A transport has stopped reading because this side is slow: silence is not the client's fault."""
        return bool(self._gate)

    def resume(self) -> None:
        """Let paused transports look again."""
        self._gate.wake()

    @contextmanager
    def hold_reading_open(self) -> Generator[None]:
        """Read on, however much waits: a handler waits for this client, or both would wait for ever."""
        self._held_open += 1
        self._gate.wake()
        try:
            yield
        finally:
            self._held_open -= 1
