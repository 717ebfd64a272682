"""What `asocketio.metrics` is told: by a socket that counts, and handlers that are timed, where that is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from types import CoroutineType
from typing import Any

from asocketio.errors import Disconnected, EventRefused
from asocketio.metrics import Metrics
from asocketio.protocol.base import Encoded, Frame
from asocketio.protocol.packet import Packet
from asocketio.session.handlers import Handlers
from asocketio.session.reader import Reader
from asocketio.session.socket import Socket
from asocketio.session.writer import Writer

__all__ = ["MeteredSocket", "event_label", "timed"]

OTHER = "*"
"""The name of events that no handler names: clients could make up any number of them."""


class MeteredSocket(Socket):
    """A socket that tells what comes and goes."""

    __slots__ = ()

    def make_reader(self) -> Reader:
        return _MeteredReader(self, self.protocol)

    def make_writer(self) -> Writer:
        return _MeteredWriter(self)


class _MeteredReader(Reader):
    __slots__ = ()

    def receive(self, frame: Frame) -> bool:
        socket = self._socket
        socket.server.metrics.received(socket.protocol.generation, socket.transport_name, len(frame))
        return super().receive(frame)


class _MeteredWriter(Writer):
    __slots__ = ()

    def post(self, encoded: Encoded) -> None:
        socket = self._socket
        if socket.connected:
            size = sum(map(len, encoded.frames))
            socket.server.metrics.sent(socket.protocol.generation, socket.transport_name, size)
        super().post(encoded)


def event_label(name: str, handlers: Handlers) -> str:
    """An event as a handler of the program names it, or `OTHER`."""
    return name if name in handlers.events or name == "message" else OTHER


def timed(
    handle: Callable[[Packet], Any], namespace: str, handlers: Handlers, metrics: Metrics
) -> Callable[[Packet], Any]:
    """``handle``, with each of its ends told to ``metrics``."""

    def start(packet: Packet) -> Any:
        name = packet.name or "message"
        event = name if name in handlers.events or name == "message" else OTHER  # `event_label` in place
        began = perf_counter()

        def ended(failed: bool) -> None:
            metrics.handled(namespace or "/", event, perf_counter() - began, failed)

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
    """Whether it is the handler that failed: that its client has gone, or was refused, is the way of clients."""
    return not isinstance(error, Disconnected | EventRefused)
