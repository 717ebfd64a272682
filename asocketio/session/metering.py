"""What `asocketio.metrics` is told: by a socket that counts, and handlers that are timed, where that is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from time import perf_counter
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from asocketio.errors import Disconnected
from asocketio.metrics import Gauges, Metrics
from asocketio.protocol.base import Encoded, Frame
from asocketio.protocol.packet import Packet
from asocketio.session.handlers import Handlers
from asocketio.session.socket import Socket

if TYPE_CHECKING:
    from asocketio.server import Server

__all__ = ["MeteredSocket", "gauges", "timed"]

OTHER = "*"
"""The name of events that no handler names: clients could make up any number of them."""


class MeteredSocket(Socket):
    """A socket that tells what comes and goes."""

    __slots__ = ()

    def receive(self, frame: Frame) -> bool:
        self.server.metrics.received(self.protocol.generation, self.transport_name, len(frame))
        return super().receive(frame)

    def post(self, encoded: Encoded) -> None:
        if self.connected:
            self.server.metrics.sent(self.protocol.generation, self.transport_name, sum(map(len, encoded.frames)))
        super().post(encoded)


def timed(
    handle: Callable[[Packet], Any], endpoint: str, handlers: Handlers, metrics: Metrics
) -> Callable[[Packet], Any]:
    """``handle``, with each of its ends told to ``metrics``."""

    def start(packet: Packet) -> Any:
        name = packet.name or "message"
        event = name if name in handlers.events or name == "message" else OTHER
        began = perf_counter()

        def ended(failed: bool) -> None:
            metrics.handled(endpoint or "/", event, perf_counter() - began, failed)

        try:
            result = handle(packet)
        except BaseException as error:
            ended(_fails(error))
            raise
        if type(result) is CoroutineType or hasattr(result, "__await__"):
            return _until_done(result, ended)
        ended(False)
        return result

    return start


async def _until_done(result: Awaitable[Any], ended: Callable[[bool], None]) -> Any:
    try:
        value = await result
    except BaseException as error:
        ended(_fails(error))
        raise
    ended(False)
    return value


def _fails(error: BaseException) -> bool:
    """Whether it is the handler that failed: that its client has gone in the meantime is the way of clients."""
    return not isinstance(error, Disconnected)


def gauges(server: Server) -> Gauges:
    """How things stand in ``server``. Takes time in proportion to its sockets."""
    sockets = [socket for socket in list(server.sockets.values()) if socket.connected]
    dispatchers = [socket.dispatcher for socket in sockets]
    return Gauges(
        sockets=dict(Counter((socket.protocol.generation, socket.transport_name) for socket in sockets)),
        active_sessions=server.active_sessions,
        members=sum(len(socket.members) for socket in sockets),
        queued_bytes=sum(socket.outbox.size for socket in sockets),
        waiting_packets=sum(dispatcher.waiting for dispatcher in dispatchers),
        handlers=sum(dispatcher.running for dispatcher in dispatchers),
    )
