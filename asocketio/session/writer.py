"""Writer: the writing side of one client. It queues packets, has them flushed, and gives slow consumers up."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from asocketio.errors import Disconnected, Overflow
from asocketio.protocol.base import PACKET_OVERHEAD, Encoded, check_size
from asocketio.protocol.packet import Packet
from asocketio.runtime.awaitables import COMPLETED
from asocketio.session.close_reasons import TRANSPORT_ERROR
from asocketio.session.outbox import Outbox
from asocketio.session.states import CLOSED, OPEN
from asocketio.session.threads import check_loop
from asocketio.session.waiters import ClosedWaiter, DrainWaiter

if TYPE_CHECKING:
    from asocketio.session.socket import Socket

__all__ = ["Writer"]


class Writer:
    """Takes what is sent to a client.

    ``outbox`` holds it until the transport takes it. ``flush_scheduled``: what is queued now goes out in this turn of
    the event loop; ``flush_waits``: what was queued in former turns has not gone out yet. See `FlushQueue`.
    """

    __slots__ = ("_socket", "flush_scheduled", "flush_waits", "outbox")

    def __init__(self, socket: Socket) -> None:
        self.outbox = Outbox(socket.server.config.max_outbox)
        self._socket = socket
        self.flush_scheduled = False
        self.flush_waits = False

    def send(self, packet: Packet) -> None:
        """Encode a packet in the client's generation and queue it.

        Raises:
            UsageError: an argument has no wire form.
        """
        self.post(self._socket.protocol.encode(packet))

    def post(self, encoded: Encoded) -> None:
        """Queue an encoded packet; what a broadcast calls for each recipient.

        Raises:
            Overflow: this one packet is over ``max_outbox``: its sender's fault, not that of a slow client.
        """
        socket = self._socket
        if socket.state is not OPEN:
            return
        outbox = self.outbox
        outbox.queue.append(encoded)
        outbox.size += encoded.size + PACKET_OVERHEAD  # as `Outbox.put`: in place, 0.1 of 0.4 µs
        if outbox.size > outbox.limit and not self._catches_up(encoded):
            self.close_slow_consumer()
        elif not self.flush_scheduled:
            self.flush_scheduled = True
            socket.server.flush_soon(socket)

    def _catches_up(self, last: Encoded) -> bool:
        """Whether a flush takes the outbox below its limit: it may have had no turn yet since all this was queued.

        A client whose transport is writable may have twice as much for that turn.
        """
        try:
            check_size(last, self._socket.server.config.max_outbox)
        except Overflow:
            self.outbox.drop_last()
            raise
        transport = self._socket.transport
        most = self.outbox.limit * (2 if transport is not None and transport.writable else 1)
        self.flush()
        return self.outbox.size <= most

    def schedule_flush(self) -> None:
        """Flush at the end of this turn of the event loop, if there is something to send."""
        if self.outbox and not self.flush_scheduled:
            self.flush_scheduled = True
            self._socket.server.flush_soon(self._socket)

    def flush(self) -> None:
        """Let the transport send what is queued."""
        self.flush_scheduled = False
        transport = self._socket.transport
        if transport is not None and self.outbox.size:
            transport.flush()

    @property
    def writable(self) -> bool:
        """Nothing waits for this client that its transport could not take. Volatile packets ask."""
        transport = self._socket.transport
        return not self.outbox or (transport is not None and transport.writable)

    def drained(self) -> Awaitable[None]:
        """What a sending verb returns: awaiting it waits for room in the outbox."""
        state = self._socket.state
        if state is OPEN:
            return COMPLETED if self.outbox.size <= self.outbox.high_water else DrainWaiter(self._socket)
        return ClosedWaiter(self._socket.reason) if state is CLOSED else COMPLETED

    async def drain(self) -> None:
        """Wait for room in the outbox, at most ``send_timeout``; a client that takes longer is closed.

        Raises:
            Disconnected: the client is gone.
            UsageError: awaited outside of the server's event loop.
        """
        check_loop(self._socket.server, "await emit(...)", "emit(...) without await")
        if self._socket.state is OPEN:
            await self._drain_in_time()
        if self._socket.state is CLOSED:
            raise Disconnected(self._socket.reason)

    async def _drain_in_time(self) -> None:
        server = self._socket.server
        seconds = server.config.send_timeout
        with self._socket.reader.hold_reading_open(), server.clock.deadline(seconds) as scope:
            await self.outbox.drain()
        if scope.cancelled_caught:
            self.close_slow_consumer(f"it took nothing for {seconds} s (send_timeout)", "send_timeout")

    def close_slow_consumer(self, how: str = "", setting: str = "max_outbox") -> None:
        """The client does not keep up, by ``max_outbox`` unless ``how`` says otherwise: give it up."""
        socket = self._socket
        if socket.state is CLOSED:
            return  # the transport has found out, when it was asked to send
        socket.count_limit(setting)
        how = how or f"over {socket.server.config.max_outbox} bytes wait for it (max_outbox)"
        socket.server.throttled_log.warning(
            "too slow", "%s: closed, it does not keep up: %s", socket.sid_in(""), how, fields=socket.fields()
        )
        self.outbox.clear()
        socket.close(TRANSPORT_ERROR)

    def break_cycles(self) -> None:
        """See `Socket.break_cycles`."""
        self._socket = weakref.proxy(self._socket)
