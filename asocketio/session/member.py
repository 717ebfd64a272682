"""Member: one client's place in one namespace. Adapters keep members in rooms; broadcasts are posted to them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Generator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from asocketio.adapters.base import Post
from asocketio.errors import Disconnected
from asocketio.protocol.base import Encoded
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.sids import is_sid
from asocketio.runtime.log import log
from asocketio.session.acks import Answer
from asocketio.session.outbox import PACKET_OVERHEAD

if TYPE_CHECKING:
    from asocketio.namespace import BaseNamespace
    from asocketio.session.socket import Socket

__all__ = ["CONNECTING", "JOINED", "LEFT", "ClosedWaiter", "DrainWaiter", "Member", "MemberState"]


class MemberState(Enum):
    """Where a member is in its life."""

    CONNECTING = "connecting"  # recv_connect runs; what is sent to it is held back
    JOINED = "joined"
    LEFT = "left"


CONNECTING = MemberState.CONNECTING
JOINED = MemberState.JOINED
LEFT = MemberState.LEFT
"""For the hot path: looking a member up in its enum takes 75 ns on Python 3.11."""


NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class Member:
    """Made when a client asks for a namespace; gone when it has left it.

    ``sid`` is what that client calls ``socket.id``; ``rooms`` belongs to the adapter.
    """

    __slots__ = (
        "_held",
        "_held_size",
        "connector",
        "departing",
        "ended",
        "endpoint",
        "handle",
        "jobs",
        "leaving",
        "namespace",
        "params",
        "post",
        "protocol",
        "reason",
        "rooms",
        "sid",
        "socket",
        "state",
    )

    namespace: BaseNamespace
    handle: Callable[[Packet], Any]
    """Takes an event to its handler."""

    def __init__(self, socket: Socket, endpoint: str, sid: str, params: Mapping[str, Any] = NO_PARAMS) -> None:
        self.socket = socket
        self.protocol = socket.protocol
        self.post: Post = self._hold_back
        """Queues a packet for the client; while it is connecting, holds it back; when it has left, drops it.

        An attribute, not a method: a broadcast calls `Socket.post` of each recipient with nothing in between.
        """
        self.endpoint = endpoint
        self.sid = sid
        self.params = params
        """What the name of the namespace says, see `Namespaces.resolve`."""
        self.state = CONNECTING
        self.reason = ""
        """Why it left."""
        self.leaving = False
        """``disconnect`` was called: what the client still sends is dropped."""
        self.departing = False
        """The client has said that it leaves; what it sent before is still being handled."""
        self.ended = False
        """``recv_disconnect`` has been started."""
        self.rooms: set[str] | None = None
        self.jobs: set[asyncio.Task[None]] | None = None
        self.connector: asyncio.Task[None] | None = None
        """The task in which ``recv_connect`` runs."""
        self._held: list[Encoded] = []
        self._held_size = 0

    def __str__(self) -> str:
        """For log lines: who, and where."""
        return f"{self.shown_sid} {self.endpoint or '/'}"

    @property
    def shown_sid(self) -> str:
        """The sid for log lines: before generation 4 the session's secret id is in it, so that is cut down."""
        sessid = self.socket.sessid
        return self.sid.replace(sessid, sessid[:6] + "…")

    def names_another(self, room: str) -> bool:
        """Whether ``room`` is the name of the private room of another client, here or in another process.

        Before generation 4 a sid has the id of its session in it: ``<id>`` or ``/namespace#<id>``.
        """
        other = self.socket.server.sockets.get(room.rpartition("#")[2])
        return is_sid(room) or (other is not None and other is not self.socket)

    @property
    def writable(self) -> bool:
        """Nothing waits for the client that its transport could not take."""
        return self.socket.writable

    def expect_ack(self, number: int, answered: Answer) -> None:
        """Call ``answered`` with the client's ack of event ``number``, see `Acks.expect`."""
        self.socket.expect_number(number, self.endpoint, answered)

    def forget_ack(self, number: int) -> None:
        """The ack of event ``number`` is awaited no longer."""
        self.socket.forget(number)

    def _hold_back(self, encoded: Encoded) -> None:
        if not self.socket.connected:
            return
        self._held.append(encoded)
        self._held_size += encoded.size + PACKET_OVERHEAD
        if self._held_size > self.socket.config.max_outbox:
            self._held = []
            limit = self.socket.config.max_outbox
            self.socket.close_slow_consumer(
                f"recv_connect emits over {limit} bytes before it lets the client in (max_outbox)"
            )

    def send(self, packet: Packet) -> None:
        """Encode a packet in the client's generation and post it."""
        self.post(self.protocol.encode(packet))

    def accept(self) -> None:
        """The client is in: tell it, then send what was held back."""
        self.state = JOINED
        self.connector = None
        answer = Packet(PacketType.CONNECT, self.endpoint, data={"sid": self.sid})
        self.socket.post(self.socket.protocol.encode(answer))
        held, self._held = self._held, []
        for encoded in held:
            self.socket.post(encoded)
        self.post = self.socket.post
        if self.leaving:
            self._set_left()

    def disconnect(self, reason: str, *, silent: bool) -> bool:
        """Tell the client that it is out; after that nothing more goes to it from here. False if it is out already."""
        if self.leaving or self.departing or self.state is LEFT:
            return False
        self.leaving = True
        self.reason = reason
        if not silent:
            self.send(Packet(PacketType.DISCONNECT, self.endpoint))
        self.socket.fail_acks(self.endpoint, reason)
        if self.state is JOINED:
            self._set_left()
        return True

    @property
    def gone(self) -> bool:
        """Nothing can be sent to it any more, for whatever reason."""
        return self.leaving or self.departing or self.state is LEFT or not self.socket.connected

    def leave(self, reason: str) -> None:
        """The client is out, or was refused: nothing more goes to it from here."""
        self._set_left()
        self.reason = self.reason or reason
        self._held = []

    def _set_left(self) -> None:
        self.state = LEFT
        self.post = _drop

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
                log.error(
                    "%s: job %s swallows its cancellation; the process cannot end while it runs", self, job.get_name()
                )

    def release(self) -> None:
        """It is out: only the program may hold on to the namespace object, which holds on to this."""
        namespace = getattr(self, "namespace", None)  # its making may have failed
        if namespace is not None:
            self.namespace = cast("BaseNamespace", weakref.proxy(namespace))
            self.handle = _nowhere

    def drained(self) -> Awaitable[None]:
        """What a sending verb returns, see `Socket.drained`."""
        if self.state is LEFT:
            return ClosedWaiter(self.reason)
        return self.socket.drained()


def _drop(encoded: Encoded) -> None:
    """Where packets go for a client that has left."""


def _nowhere(packet: Packet) -> None:
    """Where events go that come too late."""


class ClosedWaiter:
    """Awaiting it raises `Disconnected`; ignoring it is fine."""

    __slots__ = ("_reason",)

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __await__(self) -> Generator[Any, Any, None]:
        raise Disconnected(self._reason)
        yield


class DrainWaiter:
    """Awaiting it waits for room; ignoring it is fine."""

    __slots__ = ("_socket",)

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def __await__(self) -> Generator[Any, Any, None]:
        return self._socket.drain().__await__()
