"""Heartbeats: how each generation shows that its client lives, and what happens when it does not.

One object serves all sockets of a generation; its deadlines are lines of the server's one timer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from asocketio.config import Config
from asocketio.errors import UnexpectedPacket
from asocketio.protocol.packet import Packet, PacketType
from asocketio.runtime.clock import Clock
from asocketio.runtime.loop_lag import LoopLagMonitor
from asocketio.runtime.timers import Deadlines, TimerQueue
from asocketio.session.socket import Socket

__all__ = ["ClientPings", "Heartbeat", "ServerPings", "TransportPings", "heartbeats"]

CHECKS = 8
"""A client that pings late but sends other things is looked at this often while it could fall silent."""


class Heartbeat(ABC):
    """Ends sockets whose client is silent, with the reason ``"ping timeout"``."""

    def __init__(self, clock: Clock, lag: LoopLagMonitor) -> None:
        self._clock = clock
        self._lag = lag

    @abstractmethod
    def opened(self, socket: Socket) -> None:
        """The session is open."""

    def on_transport_change(self, socket: Socket) -> None:  # noqa: B027  (most do not care)
        """Another transport carries the socket now, or none."""

    @abstractmethod
    def on_heartbeat(self, socket: Socket, packet: Packet) -> None:
        """A ping, a pong or a heartbeat has come.

        Raises:
            UnexpectedPacket: not from this side.
        """

    @abstractmethod
    def closed(self, socket: Socket) -> None:
        """The socket has ended."""


class ServerPings(Heartbeat):
    """The server asks, the client answers (Engine.IO 4; 0.9 on a websocket)."""

    def __init__(
        self, clock: Clock, deadlines: Deadlines, lag: LoopLagMonitor, interval: float, timeout: float
    ) -> None:
        super().__init__(clock, lag)
        self._timeout = timeout
        self._pings: TimerQueue[Socket] = deadlines.line(interval, self._ask)
        self._pongs: TimerQueue[Socket] = deadlines.line(timeout, self._missing)

    def opened(self, socket: Socket) -> None:
        self._pings.set(socket, self._clock.now())

    def on_heartbeat(self, socket: Socket, packet: Packet) -> None:
        if packet.type is PacketType.PING:
            raise UnexpectedPacket("a ping; in this generation the server pings")
        if self._pongs.drop(socket):
            self._pings.set(socket, self._clock.now())

    def closed(self, socket: Socket) -> None:
        self._pings.drop(socket)
        self._pongs.drop(socket)

    def _ask(self, socket: Socket, due: float) -> None:
        self._pongs.set(socket, self._clock.now())  # first: posting may end the socket, which drops this
        socket.writer.post(socket.protocol.encode(Packet(PacketType.PING)))

    def _missing(self, socket: Socket, due: float) -> None:
        if socket.reader.paused:
            self._pongs.set(socket, due)  # we have stopped reading: its clock stands still
        elif self._lag.stalled_since(due - self._timeout):
            self._pongs.set(socket, self._clock.now())  # its pong may be here, unread
        else:
            socket.close("ping timeout")


class ClientPings(Heartbeat):
    """The client pings, the server answers (Engine.IO 3). Whatever it sends shows that it lives."""

    def __init__(
        self, clock: Clock, deadlines: Deadlines, lag: LoopLagMonitor, interval: float, timeout: float
    ) -> None:
        super().__init__(clock, lag)
        self._seconds = interval + timeout
        self._silent: TimerQueue[Socket] = deadlines.line(self._seconds, self._over)
        self._checks: TimerQueue[Socket] = deadlines.line(self._seconds / CHECKS, self._checked)

    def opened(self, socket: Socket) -> None:
        self._silent.set(socket, self._clock.now())

    def on_heartbeat(self, socket: Socket, packet: Packet) -> None:
        if packet.type is PacketType.PONG:
            raise UnexpectedPacket("a pong; in this generation the client pings")
        self._checks.drop(socket)
        self._silent.set(socket, self._clock.now())
        if not socket.writer.outbox.above_high_water:  # a flood of pings by a client that does not read
            socket.writer.post(socket.protocol.encode(Packet(PacketType.PONG, data=packet.data)))

    def closed(self, socket: Socket) -> None:
        self._silent.drop(socket)
        self._checks.drop(socket)

    def _over(self, socket: Socket, due: float) -> None:
        self._look(socket, due - self._seconds)

    def _checked(self, socket: Socket, due: float) -> None:
        self._look(socket, due - self._seconds / CHECKS)

    def _look(self, socket: Socket, since: float) -> None:
        now = self._clock.now()
        if socket.reader.paused or self._lag.stalled_since(since) or now - socket.reader.last_received < self._seconds:
            self._checks.set(socket, now)
        else:
            socket.close("ping timeout")


class TransportPings(Heartbeat):
    """0.9: a websocket is asked, a poll is answered in time, and between polls the client must come back."""

    def __init__(self, clock: Clock, deadlines: Deadlines, lag: LoopLagMonitor, config: Config) -> None:
        super().__init__(clock, lag)
        self._close_timeout = config.close_timeout
        self._websockets = ServerPings(clock, deadlines, lag, config.heartbeat_interval, config.heartbeat_timeout)
        self._polls: TimerQueue[Socket] = deadlines.line(config.polling_duration, self._release)
        self._gaps: TimerQueue[Socket] = deadlines.line(config.close_timeout, self._missing)

    def opened(self, socket: Socket) -> None:
        self._gaps.set(socket, self._clock.now())

    def on_transport_change(self, socket: Socket) -> None:
        self.closed(socket)
        if not socket.connected:
            return
        if socket.transport is None:
            self._gaps.set(socket, self._clock.now())
        elif socket.transport_name == "polling":
            self._polls.set(socket, self._clock.now())
        else:
            self._websockets.opened(socket)

    def on_heartbeat(self, socket: Socket, packet: Packet) -> None:
        self._websockets.on_heartbeat(socket, packet)

    def closed(self, socket: Socket) -> None:
        self._websockets.closed(socket)
        self._polls.drop(socket)
        self._gaps.drop(socket)

    def _release(self, socket: Socket, due: float) -> None:
        if socket.transport is not None:
            socket.transport.flush()

    def _missing(self, socket: Socket, due: float) -> None:
        if socket.reader.paused or self._lag.stalled_since(due - self._close_timeout):
            self._gaps.set(socket, self._clock.now())
        else:
            socket.close("ping timeout")


def heartbeats(clock: Clock, deadlines: Deadlines, config: Config, lag: LoopLagMonitor) -> dict[str, Heartbeat]:
    """The ones of a server, by what `Protocol.pings` says."""
    interval, timeout = config.ping_interval, config.ping_timeout
    return {
        "server": ServerPings(clock, deadlines, lag, interval, timeout),
        "client": ClientPings(clock, deadlines, lag, interval, timeout),
        "transport": TransportPings(clock, deadlines, lag, config),
    }
