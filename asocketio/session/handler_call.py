"""HandlerCall: one packet that is being handled, and what its client is told of the outcome."""

from __future__ import annotations

import asyncio
import typing
from typing import Any

from asocketio.errors import Overflow, ProtocolError, UsageError
from asocketio.protocol.packet import Packet
from asocketio.runtime.log import log
from asocketio.session.namespaces import Namespaces
from asocketio.session.reporting import is_late, raised, tell_failure
from asocketio.session.socket import Socket

__all__ = ["CallOwner", "HandlerCall", "acknowledge"]


class CallOwner(typing.Protocol):
    """What started a handler: a `Dispatcher`."""

    socket: Socket

    @property
    def namespaces(self) -> Namespaces:
        """The namespaces that the client may ask for."""
        ...

    def on_handler_done(self, call: HandlerCall, result: Any, error: BaseException | None) -> None:
        """The handler has ended."""


class HandlerCall:
    """One packet that is being handled. Calling it tells that it is done (`eager_runner.Finished`).

    Most handlers end at once; it is made only for those that suspend or fail.
    """

    __slots__ = ("cancelled", "owner", "packet", "slots", "task")

    def __init__(self, owner: CallOwner, packet: Packet, slots: int = 1) -> None:
        self.owner = owner
        self.packet = packet
        self.slots = slots
        """How many of the ``concurrency`` it takes."""
        self.cancelled = False
        """By us: it went on after the end of its client."""
        self.task: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        """For log lines: the client, and the event as the client named it."""
        packet = self.packet
        found = self.owner.namespaces.resolve(packet.endpoint)
        of = "" if found is None else f" in {found[0].__name__}"
        namespace = "/" if not packet.endpoint else packet.endpoint if found else repr(packet.endpoint[:100])
        where = f"{self.owner.socket.sid_in(packet.endpoint)} {namespace}"
        return f"{where}: the handler of {packet.type.value} {packet.name[:100]!r}{of}"

    @property
    def fields(self) -> dict[str, str]:
        """For log records."""
        return self.owner.socket.fields(self.packet.endpoint, self.packet.name)

    def warn_slow(self) -> None:
        """Log that it has been running for long."""
        log.warning(
            "%s is still running; this client's other events wait, unless SocketIOApp(concurrency=...) lets them",
            str(self),
            extra=self.fields,
        )

    def cancel(self) -> None:
        """Cancel it, because its client is gone."""
        log.warning("%s was still running after close_grace: cancelled", str(self))
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()

    def __call__(self, result: Any, error: BaseException | None) -> None:
        self.owner.on_handler_done(self, result, error)

    def on_error(self, error: BaseException) -> None:
        """The handler raised: log it, tell the client something it can act on, and go on."""
        packet, socket = self.packet, self.owner.socket
        if isinstance(error, ProtocolError):
            socket.refuse(error)
            return
        if self.cancelled or is_late(socket, error, packet.endpoint):
            log.debug("%s ended with its client: %r", str(self), error)
            return
        if isinstance(error, Overflow):
            socket.server.throttled_log.warning("overflow", "%s: %s", str(self), error, fields=self.fields)
        else:
            raised(error, str(self), socket, packet.endpoint, packet.name or packet.type.value)
        tell_failure(socket, packet)


def acknowledge(owner: CallOwner, packet: Packet, result: Any) -> None:
    """Answer the ack of ``packet`` with what its handler returned."""
    socket, namespace = owner.socket, packet.endpoint
    member = socket.members.get(namespace)
    if member is None:
        return
    args = list(result) if type(result) is tuple else [] if result is None else [result]
    try:
        member.post(socket.protocol.encode_ack(namespace, packet.id, args))
    except UsageError as error:
        log.error("%s returned what %s", str(HandlerCall(owner, packet)), error)
        tell_failure(socket, packet)
    except Exception as error:  # the value is the user's: its own methods may raise
        HandlerCall(owner, packet).on_error(error)
