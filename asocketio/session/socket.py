"""Socket: one client, whatever generation it speaks and whatever carries it.

Transports hand it frames (`Socket.receive`) and take what is in its outbox. It knows which
packets concern the connection itself; all others go to its dispatcher. It starts no task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from asocketio.config import Config
from asocketio.errors import (
    Disconnected,
    PayloadTooLarge,
    ProtocolError,
    StrayPacket,
    UnexpectedPacket,
)
from asocketio.protocol.base import BodyFormat, Encoded, Frame
from asocketio.protocol.packet import ACK, EVENT, GLOBAL_NS, Packet, PacketType
from asocketio.protocol.server_protocol import ServerProtocol
from asocketio.runtime.awaitables import COMPLETED, Waiters
from asocketio.runtime.log import shown
from asocketio.session.acks import Acks, Answer
from asocketio.session.carrier import Carrier, IncomingPost, PendingView, UpgradeAttempt
from asocketio.session.close_reasons import final_reason, reason_of_error
from asocketio.session.member import JOINED, LEFT, ClosedWaiter, DrainWaiter, Member
from asocketio.session.outbox import PACKET_OVERHEAD, Outbox
from asocketio.session.rate_limit import Rates
from asocketio.session.read_gate import ReadGate

if TYPE_CHECKING:
    from asocketio.namespace import BaseNamespace
    from asocketio.server import Server
    from asocketio.session.dispatcher import Dispatcher
    from asocketio.session.heartbeat import Heartbeat

__all__ = ["CLOSED", "OPEN", "ErrorHandler", "Socket", "SocketState", "default_error_handler"]

ErrorHandler = Callable[["Socket", str, str, str, int | None, bool], object]
"""``error_handler(socket, error_name, error_message, endpoint, msg_id, quiet)``."""


class SocketState(Enum):
    """Where a socket is in its life."""

    OPENING = "opening"  # the handshake is not answered yet
    OPEN = "open"
    CLOSED = "closed"


OPEN = SocketState.OPEN
CLOSED = SocketState.CLOSED
"""For the hot path: looking a member up in its enum takes 75 ns on Python 3.11."""


def default_error_handler(
    socket: Socket, error_name: str, error_message: str, endpoint: str, msg_id: int | None, quiet: bool
) -> None:
    """Log the error, and tell the client by an event ``error`` (name, message) unless ``quiet``."""
    if error_name != "handler_error":  # that one is in the log already, with its traceback
        socket.server.throttled_log.warning(
            "error", "%s %s: %s: %s", socket.sid_in(endpoint), endpoint or "/", error_name, error_message,
            about=f"{endpoint} {error_name} {error_message}", fields=socket.fields(endpoint),
        )  # fmt: skip
    if not quiet:
        socket.send_packet(Packet(EVENT, endpoint, name="error", args=[error_name, error_message]))


class Socket:
    """One client. ``socket["/chat"]`` is its namespace object; ``session`` is a dict for the program's use.

    ``sessid`` is a bearer secret: whoever knows it can speak for this client. Never log or show
    it; ``self.sid`` of a namespace is the name for others to use.
    """

    __slots__ = (
        "__weakref__",
        "_acks",
        "_client_pings",
        "_closed",
        "_decoder",
        "_large",
        "_rates",
        "_readers",
        "_session",
        "_size",
        "_waiting",
        "address",
        "config",
        "dispatcher",
        "environ",
        "error_handler",
        "flush_scheduled",
        "former_namespaces",
        "heartbeat",
        "incoming_post",
        "last_received",
        "members",
        "on_closed",
        "opening",
        "outbox",
        "pin",
        "protocol",
        "query",
        "reason",
        "request",
        "server",
        "sessid",
        "state",
        "text_only",
        "transport",
        "transport_name",
        "upgrade",
        "view",
    )

    GLOBAL_NS: ClassVar[str] = GLOBAL_NS
    dispatcher: Dispatcher

    def __init__(
        self, server: Server, sessid: str, protocol: ServerProtocol, opening: Carrier, heartbeat: Heartbeat
    ) -> None:
        self.server = server
        self.config: Config = server.config
        self.sessid = sessid
        self.protocol = protocol
        self.heartbeat = heartbeat
        self.last_received = 0.0
        """When a frame came; kept where the client's silence is what counts."""
        self.address = ""
        """The client's, as the server tells it."""
        self.pin: str | None = None
        """What its requests have to show, see `asocketio.asgi.admission`."""
        self.query: Mapping[str, str] = {}
        """The fields of the handshake's URL that are the program's own."""
        self.text_only = False
        """The client cannot take binary polling bodies."""
        self.opening: Carrier | None = opening
        self.view: PendingView | None = None
        """The view's call, until it has decided."""
        self.transport: Carrier | None = None
        """What carries it now; None between two polls."""
        self.transport_name = opening.name
        self.on_closed: Callable[[Socket], None] | None = None
        """Whom to tell of the end, where nobody waits for it."""
        self.upgrade: UpgradeAttempt | None = None
        """A websocket that is about to take over from polling."""
        self.incoming_post: IncomingPost | None = None
        """A polling body on its way in."""
        self.state = SocketState.OPENING
        self.reason = ""
        """Why it closed, in Node's words."""
        self.environ: MutableMapping[str, Any] = {}
        self.request: Any = None
        self.error_handler: ErrorHandler = default_error_handler
        self.members: dict[str, Member] = {}
        self.former_namespaces: set[str] = set()
        """Namespaces that the client was in, or was refused by, on this connection."""
        self.outbox = Outbox(self.config.max_outbox)
        self.flush_scheduled = False
        """A flush is on its way."""
        self._decoder = protocol.decoder(self.config)
        self._session: dict[str, Any] | None = None
        self._acks: Acks | None = None
        self._closed: Waiters | None = None
        self._readers = ReadGate()
        self._large = self.config.max_payload // 4  # a character is up to 4 bytes
        self._client_pings = protocol.pings == "client"
        self._size = 0  # of the frames of the packet that is coming in
        self._waiting = 0
        self._rates = None if self.config.rate_limits is None else Rates(self.config.rate_limits)

    def __repr__(self) -> str:
        return f"<Socket {self.sessid[:6]}… {self.state.value}, generation {self.protocol.generation}>"

    @property
    def session(self) -> dict[str, Any]:
        """A dict for the program's own use, shared by all namespaces of this client."""
        if self._session is None:
            self._session = {}
        return self._session

    @property
    def connected(self) -> bool:
        """The client is there."""
        return self.state is OPEN

    @property
    def active_ns(self) -> dict[str, BaseNamespace]:
        """The namespaces that this client is in, by name."""
        return {name: m.namespace for name, m in self.members.items() if m.state is JOINED}

    def __getitem__(self, ns_name: str) -> BaseNamespace:
        member = self.members.get("" if ns_name == "/" else ns_name)
        if member is None or member.state is not JOINED:
            raise KeyError(f"this client is not in the namespace {ns_name!r}; it is in {list(self.active_ns)}")
        return member.namespace

    def __contains__(self, ns_name: object) -> bool:
        return ("" if ns_name == "/" else ns_name) in self.active_ns

    def sid_in(self, endpoint: str) -> str:
        """A name for log lines: the sid in ``endpoint``, or the beginning of the session's id."""
        member = self.members.get(endpoint)
        return self.sessid[:6] + "…" if member is None else member.shown_sid

    def fields(self, endpoint: str = "", event: str = "") -> dict[str, str]:
        """For log records: ``sid``, ``namespace`` and ``event``."""
        return {"sid": self.sid_in(endpoint), "namespace": shown(endpoint) or "/", "event": shown(event)}

    def use_protocol(self, protocol: ServerProtocol) -> None:
        """Use another instance of the same generation, with its own JSON, before anything was said."""
        self.protocol = protocol
        self._decoder = protocol.decoder(self.config)

    # In: called by transports.

    def receive(self, frame: Frame) -> bool:
        """Take a frame in. False: enough for now; await `wait_readable` before the next one.

        Errors of the client end this socket; none is raised.
        """
        if self.state is not OPEN:
            return True
        if self._client_pings:
            self.last_received = self.server.clock.now()
        try:
            if len(frame) > self._large:
                self._refuse_large(frame)
            size = self._size + len(frame)
            packet = self._decoder.feed(frame)  # what it refuses is not kept, so it does not count
            if packet is None:
                self._size = size
            else:
                self._size = 0
                if packet.type is EVENT and self._rates is None and packet.ack is not True:
                    self.dispatcher.submit(packet, size)  # `_handle`, for what most packets are
                else:
                    self._handle(packet, size)
        except ProtocolError as error:
            self.refuse(error)
        return not self.dispatcher.backlog or self._waiting > 0 or not self.dispatcher.full

    def split(self, body: bytes, body_format: BodyFormat, *, binary: bool) -> Iterator[Frame]:
        """The frames of a polling body, see `Decoder.split`."""
        return self._decoder.split(body, body_format, binary=binary)

    def _refuse_large(self, frame: Frame) -> None:
        size = len(frame) if isinstance(frame, bytes) or frame.isascii() else len(frame.encode(errors="surrogatepass"))
        if size > self.config.max_payload:
            raise PayloadTooLarge(
                f"a message of {size} bytes, at most {self.config.max_payload} are taken (max_payload)", "max_payload"
            )

    def _handle(self, packet: Packet, size: int) -> None:
        kind = packet.type
        if kind is EVENT or kind is PacketType.CONNECT:
            if packet.ack is True:
                self._confirm(packet)
            if self._may(packet, packet.name if kind is EVENT else "connect"):
                self.dispatcher.submit(packet, size)
        elif kind is ACK:
            self._answered(packet)
        elif kind is PacketType.PONG or kind is PacketType.PING or kind is PacketType.HEARTBEAT:
            self.heartbeat.on_heartbeat(self, packet)
        elif kind is PacketType.CLOSE:
            self.close("transport close")
        elif kind is PacketType.DISCONNECT and self.protocol.global_is_connection and not packet.endpoint:
            self.close("client namespace disconnect")
        elif kind is PacketType.DISCONNECT:
            self.fail_acks(packet.endpoint, "client namespace disconnect")
            if packet.endpoint in self.members:
                self.members[packet.endpoint].departing = True
            self.dispatcher.submit(packet, size)
        elif kind is PacketType.ERROR and not self.protocol.clients_send_errors:
            raise UnexpectedPacket("an error packet; only servers send them")
        elif kind not in (PacketType.NOOP, PacketType.UPGRADE, PacketType.OPEN):
            if packet.ack is True:
                self._confirm(packet)
            if self._may(packet, "message"):
                self.dispatcher.submit(packet, size)

    def _may(self, packet: Packet, event: str) -> bool:
        """Whether they are not too many (``rate_limits``). What is for no namespace of ours is refused elsewhere."""
        if self._rates is None or not self.dispatcher.serves(packet.endpoint):
            return True
        if self._rates.allow(event, self.server.clock.now()):
            return True
        self.count_limit("rate_limits")
        self.dispatcher.drop(packet, "rate_limited", f"The event {event[:100]!r} comes too often")
        return False

    def count_limit(self, setting: str) -> None:
        """A limit was met, if one is named: count it."""
        if setting:
            self.server.metrics.limited(setting)

    def _confirm(self, packet: Packet) -> None:
        """Acknowledge the receipt, at once; the handler has no say in that (0.9, an id without ``+``)."""
        if packet.endpoint in self.members:
            self.post(self.protocol.encode(Packet(ACK, packet.endpoint, id=packet.id)))

    def _answered(self, packet: Packet) -> None:
        member = self.members.get(packet.endpoint)
        if member is None and packet.endpoint not in self.former_namespaces:
            raise StrayPacket(f"an ack for the namespace {packet.endpoint[:100]!r}, which was never joined")
        if self._acks is not None:
            self._acks.resolve(packet.id, packet.endpoint, packet.args)

    def refuse(self, error: ProtocolError) -> None:
        """The client broke the rules: one log line, and the end of its connection where its generation says so."""
        self.count_limit(error.limit)
        forgiven = isinstance(error, self.protocol.nonfatal_errors)
        what = "dropped what broke the protocol" if forgiven else "closed, the client broke the protocol"
        self.server.throttled_log.warning(
            type(error).__name__, "%s: %s: %s", self.sid_in(""), what, error, fields=self.fields()
        )
        if forgiven:
            return
        self.close(reason_of_error(error))

    def close_flooding(self) -> None:
        """More of its packets wait than ``max_backlog``: give it up."""
        if self.state is CLOSED:
            return
        self.count_limit("max_backlog")
        self.server.throttled_log.warning(
            "flooded", "%s: closed, it floods: over %d bytes or %d packets wait to be handled (max_backlog)",
            self.sid_in(""), self.config.max_backlog, self.config.max_backlog_packets, fields=self.fields(),
        )  # fmt: skip
        self.close("forced close")

    async def wait_readable(self) -> None:
        """Wait until frames may come again."""
        await self._readers.wait(self._is_full)

    def add_readable_callback(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once frames may come again, or never will: `wait_readable` for those who cannot wait."""
        self._readers.call(self._is_full, callback)

    def _is_full(self) -> bool:
        return self.state is OPEN and not self._waiting and self.dispatcher.full

    @property
    def paused(self) -> bool:
        """A transport has stopped reading because this side is slow: silence is not the client's fault."""
        return bool(self._readers)

    def resume(self) -> None:
        """Let paused transports look again."""
        self._readers.wake()

    def begin_waiting(self) -> None:
        """A handler waits for this client: reading must go on, or both would wait for ever."""
        self._waiting += 1
        self.resume()

    def end_waiting(self) -> None:
        """The handler has what it waited for."""
        self._waiting -= 1

    # Out.

    def send_packet(self, packet: Packet | MutableMapping[str, Any]) -> None:
        """Queue a packet. A dict with the keys of `Packet` will do, as in gevent-socketio.

        Raises:
            UsageError: an argument has no wire form.
        """
        if not isinstance(packet, Packet):
            packet = Packet.of(packet)
        member = self.members.get(packet.endpoint)
        (self if member is None else member).post(self.protocol.encode(packet))

    def post(self, encoded: Encoded) -> None:
        """Queue an encoded packet; what a broadcast calls for each recipient."""
        if self.state is not OPEN:
            return
        outbox = self.outbox
        outbox.queue.append(encoded)
        outbox.size += encoded.size + PACKET_OVERHEAD  # as `Outbox.put`: in place, 0.1 of 0.4 µs
        if outbox.size > outbox.limit and not self._catches_up():
            self.close_slow_consumer()
        elif not self.flush_scheduled:
            self.flush_scheduled = True
            self.server.flush_soon(self)

    def _catches_up(self) -> bool:
        """It may have had no turn yet since all this was queued. Who keeps up may have twice as much for that turn."""
        most = self.outbox.limit * (2 if self.transport is not None and self.transport.writable else 1)
        self.flush()
        return self.outbox.size <= most

    def close_slow_consumer(self, how: str = "", setting: str = "max_outbox") -> None:
        """The client does not keep up, by ``max_outbox`` unless ``how`` says otherwise: give it up."""
        if self.state is CLOSED:
            return  # the transport has found out, when it was asked to send
        self.count_limit(setting)
        how = how or f"over {self.config.max_outbox} bytes wait for it (max_outbox)"
        self.server.throttled_log.warning(
            "too slow", "%s: closed, it does not keep up: %s", self.sid_in(""), how, fields=self.fields()
        )
        self.outbox.clear()
        self.close("transport error")

    @property
    def writable(self) -> bool:
        """Nothing waits for this client that its transport could not take. Volatile packets ask."""
        return not self.outbox or (self.transport is not None and self.transport.writable)

    def drained(self) -> Awaitable[None]:
        """What a sending verb returns: awaiting it waits for room in the outbox."""
        if self.state is OPEN:
            return COMPLETED if self.outbox.size <= self.outbox.high_water else DrainWaiter(self)
        return ClosedWaiter(self.reason) if self.state is CLOSED else COMPLETED

    async def drain(self) -> None:
        """Wait for room in the outbox, at most ``send_timeout``; a client that takes longer is closed.

        Raises:
            Disconnected: the client is gone.
        """
        if self.state is OPEN:
            await self._drain_in_time()
        if self.state is CLOSED:
            raise Disconnected(self.reason)

    async def _drain_in_time(self) -> None:
        self.begin_waiting()
        try:
            with self.server.clock.deadline(self.config.send_timeout) as scope:
                await self.outbox.drain()
        finally:
            self.end_waiting()
        if scope.cancelled_caught:
            self.close_slow_consumer(f"it took nothing for {self.config.send_timeout} s (send_timeout)", "send_timeout")

    def expect(self, endpoint: str, answer: Answer) -> int:
        """A number for an ack of the client; ``answer`` is called with it, or with what came instead.

        Raises:
            Disconnected: the client is gone.
            Overflow: it owes too many answers already.
        """
        if self.state is CLOSED:
            raise Disconnected(self.reason)
        number = self.server.next_ack()
        self.expect_number(number, endpoint, answer)
        return number

    def expect_number(self, number: int, endpoint: str, answer: Answer) -> None:
        """As `expect`, under a number that several sockets share: one packet asks them all."""
        if self._acks is None:
            self._acks = Acks(self.config.max_pending_acks)
        self._acks.expect(number, endpoint, answer)

    def forget(self, number: int) -> None:
        """The answer to ``number`` is no longer awaited."""
        if self._acks is not None:
            self._acks.forget(number)

    def fail_acks(self, endpoint: str, reason: str) -> None:
        """Who awaits an answer from ``endpoint`` gets `Disconnected`."""
        if self._acks is not None:
            self._acks.fail(reason, endpoint)

    def error(
        self,
        error_name: str,
        error_message: str,
        endpoint: str = GLOBAL_NS,
        msg_id: int | None = None,
        quiet: bool = False,
    ) -> object:
        """Tell the error handler of this socket."""
        return self.error_handler(self, error_name, error_message, endpoint, msg_id, quiet)

    # Transports and the end.

    def attach(self, transport: Carrier) -> None:
        """``transport`` carries this socket from now on."""
        self.transport = transport
        self.transport_name = transport.name
        self.heartbeat.on_transport_change(self)
        if self.outbox and not self.flush_scheduled:
            self.flush_scheduled = True
            self.server.flush_soon(self)

    def detach(self, transport: Carrier) -> None:
        """``transport`` has stopped carrying."""
        if self.transport is transport:
            self.transport = None
            self.heartbeat.on_transport_change(self)

    def flush(self) -> None:
        """Let the transport send what is queued."""
        self.flush_scheduled = False
        if self.transport is not None and self.outbox.size:
            self.transport.flush()

    def disconnect(self) -> Awaitable[None]:
        """Throw the whole client out: it leaves every namespace, is told so, and will not reconnect by itself.

        Returns once it is queued; ``recv_disconnect`` runs after the handlers that are running.
        """
        endpoints = [m.endpoint for m in self.members.values() if not m.leaving and m.state is not LEFT]
        if self.protocol.global_is_connection:
            endpoints = [GLOBAL_NS]
        elif self.protocol.opens_global and GLOBAL_NS not in self.members:
            endpoints.append(GLOBAL_NS)  # where the program has none, the client is in it all the same
        for endpoint in endpoints:
            self.post(self.protocol.encode(Packet(PacketType.DISCONNECT, endpoint)))
        self.close("server namespace disconnect")
        return COMPLETED

    def close(self, reason: str) -> None:
        """The end of the connection. ``reason`` reaches every ``recv_disconnect``. Only the first call counts."""
        if self.state is CLOSED:
            return
        self.state = CLOSED
        self.reason = final_reason(reason, self.server.closing)
        self.server.closed(self)
        if self._acks is not None:
            self._acks.fail(self.reason)
        if self.transport is not None:
            self.transport.end()
        if self.upgrade is not None:
            self.upgrade.end()
        if self.incoming_post is not None:
            self.incoming_post.end()
        self.outbox.abandon()
        if self._closed is not None:
            self._closed.wake()
        self.resume()
        if self.on_closed is not None:
            self.on_closed(self)

    def release(self) -> None:
        """Its life is over: let go of what leads back to it, so that it is freed without the garbage collector."""
        self.environ.pop("socketio", None)
        dispatcher = getattr(self, "dispatcher", None)  # none where a view refused it
        if dispatcher is not None:
            dispatcher.release()

    async def wait_closed(self) -> None:
        """Wait for the end of the connection. Several may, and a job that does ends with it."""
        while self.state is not CLOSED:
            if self._closed is None:
                self._closed = Waiters()
            await self._closed.wait()
