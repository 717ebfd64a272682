"""HandlerCall: one packet that is being handled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from asocketio.protocol.packet import Packet
from asocketio.runtime.log import log

if TYPE_CHECKING:
    from asocketio.session.dispatcher import Dispatcher

__all__ = ["HandlerCall"]


class HandlerCall:
    """One packet that is being handled. Calling it tells that it is done (`eager_runner.Finished`)."""

    __slots__ = ("cancelled", "dispatcher", "packet", "slots", "task")

    def __init__(self, dispatcher: Dispatcher, packet: Packet, slots: int = 1) -> None:
        self.dispatcher = dispatcher
        self.packet = packet
        self.slots = slots
        """How many of the ``concurrency`` it takes."""
        self.cancelled = False
        """By us: it went on after the end of its client."""
        self.task: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        """For log lines: who, and the event as the client named it."""
        packet = self.packet
        found = self.dispatcher.namespaces.resolve(packet.endpoint)
        of = "" if found is None else f" in {found[0].__name__}"
        endpoint = "/" if not packet.endpoint else packet.endpoint if found else repr(packet.endpoint[:100])
        where = f"{self.dispatcher.socket.sid_in(packet.endpoint)} {endpoint}"
        return f"{where}: the handler of {packet.type.value} {packet.name[:100]!r}{of}"

    @property
    def fields(self) -> dict[str, str]:
        """For log records."""
        return self.dispatcher.socket.fields(self.packet.endpoint, self.packet.name)

    def warn_slow(self) -> None:
        """It has been running for long."""
        log.warning(
            "%s is still running; this client's other events wait, unless SocketIOApp(concurrency=...) lets them",
            str(self),
            extra=self.fields,
        )

    def __call__(self, result: Any, error: BaseException | None) -> None:
        self.dispatcher.finished(self, result, error)
