"""Socket: one client, whatever generation it speaks and whatever carries it.

Its parts have a module each: `Reader` takes frames in, `Writer` sends, `Acks` holds who waits for an answer,
`Dispatcher` takes packets to the namespaces. Transports carry it for a while each. It starts no task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar

from asocketio.config import Config
from asocketio.errors import ProtocolError
from asocketio.protocol.base import check_size
from asocketio.protocol.packet import EVENT, GLOBAL_NS, Packet, PacketType
from asocketio.protocol.server_protocol import ServerProtocol
from asocketio.protocol.websocket_frames import NORMAL_CLOSURE
from asocketio.runtime.awaitables import COMPLETED, Waiters
from asocketio.runtime.log import shown
from asocketio.runtime.states import moved
from asocketio.session.acks import Acks
from asocketio.session.carrier import Carrier, IncomingPost, UpgradeAttempt
from asocketio.session.close_reasons import (
    FORCED_CLOSE,
    SERVER_DISCONNECT,
    close_code_of_error,
    final_reason,
    reason_of_error,
)
from asocketio.session.handshake import Handshake, PendingHandshake
from asocketio.session.interfaces import Environ, NamespaceObject, SessionServer
from asocketio.session.member import Member
from asocketio.session.reader import Reader
from asocketio.session.states import CLOSED, OPEN, SOCKET_MOVES, SocketState
from asocketio.session.threads import check_loop, is_other_thread, run_in_loop
from asocketio.session.writer import Writer

if TYPE_CHECKING:
    from asocketio.session.dispatcher import Dispatcher
    from asocketio.session.heartbeat import Heartbeat

__all__ = ["ErrorHandler", "Socket", "default_error_handler"]

ErrorHandler = Callable[["Socket", str, str, str, int | None, bool], object]
"""``error_handler(socket, error_name, error_message, endpoint, msg_id, quiet)``."""


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
    it; ``self.sid`` of a namespace is the name for others to use. Clients before generation 4 call it ``socket.id``,
    or ``<namespace>#<sessid>`` (2.x, outside of the global namespace).
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_session",
        "acks",
        "dispatcher",
        "environ",
        "error_handler",
        "former_namespaces",
        "handshake",
        "heartbeat",
        "incoming_post",
        "members",
        "on_closed",
        "pending",
        "protocol",
        "reader",
        "reason",
        "request",
        "server",
        "sessid",
        "state",
        "transport",
        "transport_name",
        "upgrade",
        "writer",
    )

    GLOBAL_NS: ClassVar[str] = GLOBAL_NS
    dispatcher: Dispatcher

    def __init__(
        self, server: SessionServer, sessid: str, protocol: ServerProtocol, opening: Carrier, heartbeat: Heartbeat
    ) -> None:
        self.server = server
        self.sessid = sessid
        self.protocol = protocol
        self.heartbeat = heartbeat
        self.state = SocketState.OPENING
        self.reason = ""
        """Why it closed, in Node's words."""
        self.handshake = Handshake()
        self.pending: PendingHandshake | None = PendingHandshake(opening)
        """The handshake, until the socket is managed or refused."""
        self.transport: Carrier | None = None
        """What carries it now; None between two polls."""
        self.transport_name = opening.name
        self.upgrade: UpgradeAttempt | None = None
        """A websocket that is about to take over from polling."""
        self.incoming_post: IncomingPost | None = None
        """A polling body on its way in."""
        self.environ: Environ = {}
        self.request: Any = None
        self.error_handler: ErrorHandler = default_error_handler
        self.members: dict[str, Member] = {}
        self.former_namespaces: frozenset[str] = frozenset()  # shared while empty: a set is 216 bytes
        """Declared namespaces that the client was in, or was refused by, on this connection."""
        self.acks = Acks(server.config.max_pending_acks)
        self.reader = self.make_reader()
        self.writer = self.make_writer()
        self.on_closed: Callable[[Socket], None] | None = None
        """Called at the end, where nobody waits for it."""
        self._session: dict[str, Any] | None = None
        self._closed: Waiters | None = None

    def make_reader(self) -> Reader:
        """The reading side."""
        return Reader(self, self.protocol)

    def make_writer(self) -> Writer:
        """The writing side."""
        return Writer(self)

    def __repr__(self) -> str:
        return f"<Socket {self.sessid[:6]}… {self.state.value}, generation {self.protocol.generation}>"

    @property
    def config(self) -> Config:
        """The settings of its server."""
        return self.server.config

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
    def active_ns(self) -> dict[str, NamespaceObject]:
        """The namespaces that this client is in, by name."""
        return {name: member.instance for name, member in self.members.items() if member.rule.posts == "sent"}

    def __getitem__(self, ns_name: str) -> NamespaceObject:
        member = self.members.get("" if ns_name == "/" else ns_name)
        if member is None or member.rule.posts != "sent":
            raise KeyError(f"this client is not in the namespace {ns_name!r}; it is in {list(self.active_ns)}")
        return member.instance

    def __contains__(self, ns_name: object) -> bool:
        return ("" if ns_name == "/" else ns_name) in self.active_ns

    # For log lines and metrics.

    def sid_in(self, namespace: str) -> str:
        """A name for log lines: the sid in ``namespace``, or the beginning of the session's id."""
        member = self.members.get(namespace)
        return self.sessid[:6] + "…" if member is None else member.sid

    def fields(self, namespace: str = "", event: str = "") -> dict[str, str]:
        """For log records: ``sid``, ``namespace`` and ``event``."""
        return {"sid": self.sid_in(namespace), "namespace": shown(namespace) or "/", "event": shown(event)}

    def count_limit(self, setting: str) -> None:
        """Count that a limit was met, if one is named."""
        if setting:
            self.server.metrics.limited(setting)

    # What programs call, besides the namespaces' own verbs.

    def send_packet(self, packet: Packet | MutableMapping[str, Any]) -> None:
        """Queue a packet. A dict with the keys of `Packet` will do, as in gevent-socketio.

        Raises:
            UsageError: an argument has no wire form.
        """
        if not isinstance(packet, Packet):
            packet = Packet.of(packet)
        if is_other_thread(self.server):
            check_size(self.protocol.encode(packet), self.config.max_outbox)
            run_in_loop(self.server, self.send_packet, packet)
            return
        member = self.members.get(packet.endpoint)
        (self.writer if member is None else member).send(packet)

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

    def disconnect(self) -> Awaitable[None]:
        """Disconnect the whole client: it leaves every namespace, is told so, and will not reconnect by itself.

        Returns once it is queued; ``recv_disconnect`` runs after the handlers that are running.
        """
        if is_other_thread(self.server):
            run_in_loop(self.server, self.disconnect)
            return COMPLETED
        endpoints = [member.namespace for member in self.members.values() if member.rule.handles_events]
        if self.protocol.global_is_connection:
            endpoints = [GLOBAL_NS]
        elif self.protocol.opens_global and GLOBAL_NS not in self.members:
            endpoints.append(GLOBAL_NS)  # where the program has none, the client is in it all the same
        for endpoint in endpoints:
            self.writer.send(Packet(PacketType.DISCONNECT, endpoint))
        self.close(SERVER_DISCONNECT)
        return COMPLETED

    # Transports.

    def use_protocol(self, protocol: ServerProtocol) -> None:
        """Use another protocol of the same generation, with its own JSON, before anything was said."""
        self.protocol = protocol
        self.reader.use_protocol(protocol)

    def attach(self, transport: Carrier) -> None:
        """``transport`` carries this socket from now on."""
        self.transport = transport
        self.transport_name = transport.name
        self.heartbeat.on_transport_change(self)
        self.writer.schedule_flush()

    def detach(self, transport: Carrier) -> None:
        """``transport`` has stopped carrying."""
        if self.transport is transport:
            self.transport = None
            self.heartbeat.on_transport_change(self)

    # The end.

    def refuse(self, error: ProtocolError) -> None:
        """The client broke the rules: one log line, and the end of its connection where its generation says so."""
        self.count_limit(error.limit)
        nonfatal = isinstance(error, self.protocol.nonfatal_errors)
        what = "dropped what broke the protocol" if nonfatal else "closed, the client broke the protocol"
        self.server.throttled_log.warning(
            type(error).__name__, "%s: %s: %s", self.sid_in(""), what, error, fields=self.fields()
        )
        if not nonfatal:
            self.close(reason_of_error(error), close_code_of_error(error))

    def close_flooding(self) -> None:
        """More of its packets wait than ``max_backlog``: give it up."""
        if self.state is CLOSED:
            return
        self.count_limit("max_backlog")
        self.server.throttled_log.warning(
            "flooded", "%s: closed, it floods: over %d bytes or %d packets wait to be handled (max_backlog)",
            self.sid_in(""), self.config.max_backlog, self.config.max_backlog_packets, fields=self.fields(),
        )  # fmt: skip
        self.close(FORCED_CLOSE)

    def open(self) -> None:
        """The handshake is about to be answered: frames may come."""
        self.state = moved(SOCKET_MOVES, self.state, OPEN)

    def close(self, reason: str, close_code: int = NORMAL_CLOSURE) -> None:
        """The end of the connection. ``reason`` reaches every ``recv_disconnect``. Only the first call counts.

        ``close_code`` is that of its websocket.
        """
        if self.state is CLOSED:
            return
        self.state = moved(SOCKET_MOVES, self.state, CLOSED)
        self.reason = final_reason(reason, self.server.closing)
        self.server.closed(self)
        self.acks.close(self.reason)
        if self.transport is not None:
            self.transport.end(close_code)
        for part in (self.upgrade, self.incoming_post):
            if part is not None:
                part.end()
        self.writer.outbox.abandon()
        if self._closed is not None:
            self._closed.wake()
        self.reader.resume()
        if self.on_closed is not None:
            self.on_closed(self)

    async def wait_closed(self) -> None:
        """Wait for the end of the connection. Several may, and a job that does ends with it.

        Raises:
            UsageError: called outside of the server's event loop.
        """
        check_loop(self.server, "wait_closed", "asyncio.run_coroutine_threadsafe(socket.wait_closed(), loop)")
        while self.state is not CLOSED:
            if self._closed is None:
                self._closed = Waiters()
            await self._closed.wait()

    def break_cycles(self) -> None:
        """Its life is over: let go of what leads back to it, so that it is freed without the garbage collector."""
        self.environ.pop("socketio", None)
        self.pending = None  # a view that has refused it
        dispatcher = getattr(self, "dispatcher", None)  # none where a view refused it
        if dispatcher is not None:
            dispatcher.break_cycles()
        self.reader.break_cycles()
        self.writer.break_cycles()
