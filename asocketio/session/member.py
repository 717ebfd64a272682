"""Member: one client's place in one namespace. Adapters keep members in rooms; broadcasts are posted to them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from asocketio.adapters.base import Post
from asocketio.adapters.local_rooms import RoomNames, passed_limit
from asocketio.adapters.socket_info import SocketInfo, copied
from asocketio.adapters.trails import Trail
from asocketio.errors import Overflow
from asocketio.protocol.base import PACKET_OVERHEAD, Encoded, check_size
from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.packet import Packet, PacketType
from asocketio.runtime.states import moved
from asocketio.session.acks import Answer
from asocketio.session.close_reasons import RECOVERABLE, SERVER_DISCONNECT
from asocketio.session.interfaces import NamespaceObject
from asocketio.session.namespaces import NO_PARAMS
from asocketio.session.states import JOINED, MEMBER_MOVES, MEMBER_RULES, OPEN, MemberRule, MemberState
from asocketio.session.threads import run_in_loop
from asocketio.session.waiters import ClosedWaiter

if TYPE_CHECKING:
    from asocketio.session.socket import Socket

__all__ = ["Member"]


class Member:
    """Made when a client asks for a namespace; gone when it has left it.

    ``sid`` is what others may know it by; ``rooms`` belongs to the adapter. What is allowed when is in
    `asocketio.session.states`.
    """

    __slots__ = (
        "_held",
        "_held_size",
        "auth",
        "connector",
        "data",
        "handle",
        "instance",
        "jobs",
        "namespace",
        "params",
        "post",
        "prepare",
        "protocol",
        "reason",
        "rooms",
        "sid",
        "socket",
        "state",
        "trail",
    )

    instance: NamespaceObject
    handle: Callable[[Packet], Any]
    """Takes an event to its handler."""

    def __init__(self, socket: Socket, namespace: str, sid: str, params: Mapping[str, Any] = NO_PARAMS) -> None:
        self.socket = socket
        self.protocol = socket.protocol
        self.namespace = namespace
        self.sid = sid
        self.params = params
        """What the name of the namespace says, see `Namespaces.resolve`."""
        self.state = MemberState.CONNECTING
        self.post: Post = self._hold_back
        """Queues a packet for the client, holds it back or drops it, as its state says.

        An attribute, not a method: a broadcast calls `Writer.post` of each recipient with nothing in between.
        """
        self.prepare: Callable[[Packet], Encoded] = self.protocol.encoder
        """Encodes what is sent to this client alone; and keeps it, if the client may come back for it."""
        self.trail: Trail | None = None
        """What is known of it so that it can come back; None: it cannot."""
        self.reason = ""
        """Why it left."""
        self.rooms: RoomNames | None = None
        self.jobs: set[asyncio.Task[None]] | None = None
        self.connector: asyncio.Task[None] | None = None
        """The task in which ``recv_connect`` runs."""
        self.auth: dict[str, Any] | None = None
        """What the client gave when it asked for the namespace; None where that was nothing. See `keep_auth`."""
        self.data: dict[str, Any] | None = None
        """What the program keeps of the client, for others to see. None until something is."""
        self._held: list[Encoded] | None = None  # an empty list is 56 bytes for each idle client
        self._held_size = 0

    def __str__(self) -> str:
        """For log lines: who, and where."""
        return f"{self.sid} {self.namespace or '/'}"

    # What others may know of it.

    @property
    def handshake(self) -> HandshakeInfo:
        """The request that opened the session, with what the client gave for this namespace. Made anew each time."""
        socket = self.socket
        auth = self.auth or {}
        if self.protocol.opens_global:
            auth = {**socket.handshake.query, **auth}
        return socket.handshake.describe(socket.environ, auth)

    def describe(self) -> SocketInfo:
        """What adapters tell others of it."""
        return SocketInfo(self.sid, frozenset(self.rooms or ()), _copied_data(self), self.handshake.shared())

    def watch_data(self) -> None:
        """Its data is about to change: in tests and in debug mode what is no JSON shows soon, not when others ask."""
        server = self.socket.server
        if server.clock.for_tests or (server.loop is not None and server.loop.get_debug()):
            run_in_loop(server, _copied_data, self)

    def check_room(self, room: str) -> None:
        """Raise `Overflow` where one room more would be too much."""
        taken = sum(each.rooms.size for each in self.socket.members.values() if each.rooms is not None)
        passed = passed_limit(self.socket.config, self.namespace, self.rooms, taken, room)
        if passed is not None:
            self.socket.count_limit(passed.setting)
            raise Overflow(passed.message, "in")

    # Where it is in its life.

    @property
    def rule(self) -> MemberRule:
        """What is allowed now."""
        return MEMBER_RULES[self.state]

    @property
    def gone(self) -> bool:
        """Nothing can be expected of it any more, for whatever reason."""
        return self.rule.leaving or not self.socket.connected

    @property
    def may_return(self) -> bool:
        """Its connection is over, its stay is not: it is about to be saved, for the time when it comes back."""
        socket, trail = self.socket, self.trail
        if trail is None or not trail.returns or socket.state is OPEN:
            return False
        return self.state is JOINED and socket.reason in RECOVERABLE

    def _move(self, state: MemberState) -> None:
        self.state = moved(MEMBER_MOVES, self.state, state)
        posts = MEMBER_RULES[state].posts
        self.post = self.socket.writer.post if posts == "sent" else self._hold_back if posts == "held back" else _drop

    def accept(self) -> None:
        """The client is admitted: send what it missed, tell it, then send what was held back."""
        self.connector = None
        writer = self.socket.writer
        told = {"sid": self.sid}
        if self.trail is not None:
            told["pid"] = self.trail.private_id
            restored, self.trail.restored = self.trail.restored, None
            for encoded in () if restored is None else restored.unsent():
                writer.post(encoded)
        writer.send(Packet(PacketType.CONNECT, self.namespace, data=told))
        held, self._held = self._held, None
        for encoded in held or ():
            writer.post(encoded)
        self._move(_ADMITTED[self.state])

    def on_peer_leaving(self) -> None:
        """The client has said that it leaves; what it sent before is still being handled."""
        state = _PEER_LEAVES.get(self.state)
        if state is not None:
            self._move(state)

    def disconnect(self, reason: str, *, silent: bool) -> bool:
        """Tell the client that it is out; after that nothing more goes to it from here. False if it is out already."""
        state = _KICKED.get(self.state)
        if state is None:
            return False
        self.reason = reason
        if not silent:
            self.send(Packet(PacketType.DISCONNECT, self.namespace))
        self._move(state)
        self.socket.acks.fail(reason, self.namespace)
        return True

    def expel(self, *, close: bool = False, silent: bool = False) -> None:
        """The server disconnects the client: from this namespace; with ``close`` from all, and its connection ends.

        ``recv_disconnect`` runs after the handlers that are running.
        """
        socket = self.socket
        if close or (socket.protocol.global_is_connection and not self.namespace):
            socket.disconnect()
        elif self.disconnect(SERVER_DISCONNECT, silent=silent):
            socket.dispatcher.enqueue_disconnect(self)

    def begin_disconnect(self, reason: str) -> None:
        """``recv_disconnect`` is about to run: nothing more goes to the client from here."""
        self.reason = self.reason or reason
        self._move(MemberState.DISCONNECTING)

    def leave(self, reason: str) -> None:
        """The client is out, or was refused."""
        self.reason = self.reason or reason
        self._held = None
        self._move(MemberState.LEFT)

    # Sending.

    @property
    def writable(self) -> bool:
        """Nothing waits for the client that its transport could not take."""
        return self.socket.writer.writable

    def send(self, packet: Packet) -> None:
        """Encode a packet in the client's generation and post it."""
        self.post(self.prepare(packet))

    def change_held(self, change: Callable[[Encoded], Encoded]) -> None:
        """Replace what is held back, packet by packet."""
        if self._held is not None:
            self._held = [change(encoded) for encoded in self._held]

    def _hold_back(self, encoded: Encoded) -> None:
        if not self.socket.connected:
            return
        limit = self.socket.config.max_outbox
        check_size(encoded, limit)
        if self._held is None:
            self._held = []
        self._held.append(encoded)
        self._held_size += encoded.size + PACKET_OVERHEAD
        if self._held_size > limit and len(self._held) > 1:
            self._held = None
            self.socket.writer.close_slow_consumer(
                f"recv_connect emits over {limit} bytes before it lets the client in (max_outbox)"
            )

    def drained(self) -> Awaitable[None]:
        """What a sending verb returns, see `Writer.drained`."""
        return ClosedWaiter(self.reason) if self.rule.left else self.socket.writer.drained()

    def expect_ack(self, number: int, answered: Answer) -> None:
        """Call ``answered`` with the client's ack of event ``number``, see `Acks.expect_number`."""
        self.socket.acks.expect_number(number, self.namespace, answered)

    def forget_ack(self, number: int) -> None:
        """The ack of event ``number`` is awaited no longer."""
        self.socket.acks.forget(number)

    # The end.

    async def stop_jobs(self) -> None:
        """Cancel its jobs and wait for their ends, within ``close_grace``."""
        jobs = {job for job in self.jobs or () if job is not asyncio.current_task()}
        for job in jobs:
            job.cancel()
        if jobs:
            with self.socket.server.clock.deadline(self.socket.config.close_grace, shield=True):
                await asyncio.wait(jobs)
        for job in jobs:
            if not job.done():
                self.socket.server.throttled_log.error(
                    "endless", "%s: job %s swallows its cancellation; the process cannot end while it runs",
                    self, job.get_name(), about=job.get_name(),
                )  # fmt: skip

    def break_cycles(self) -> None:
        """It is out: only the program may hold on to the namespace object, which holds on to this."""
        instance = getattr(self, "instance", None)  # its making may have failed
        if instance is not None:
            self.instance = cast("NamespaceObject", weakref.proxy(instance))
            self.handle = _nowhere


_ADMITTED = {
    MemberState.CONNECTING: MemberState.JOINED,
    MemberState.CONNECTING_KICKED: MemberState.KICKED,
    MemberState.CONNECTING_LEAVING: MemberState.PEER_LEAVING,
}
_PEER_LEAVES = {
    MemberState.CONNECTING: MemberState.CONNECTING_LEAVING,
    MemberState.JOINED: MemberState.PEER_LEAVING,
}
_KICKED = {
    MemberState.CONNECTING: MemberState.CONNECTING_KICKED,
    MemberState.JOINED: MemberState.KICKED,
}


def _copied_data(member: Member) -> dict[str, Any]:
    return copied(member.data, f"{member}: self.data", member.socket.server.throttled_log) if member.data else {}


def _drop(encoded: Encoded) -> None:
    """Where packets go for a client that has left."""


def _nowhere(packet: Packet) -> None:
    """Where events go that come too late."""
