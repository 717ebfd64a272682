"""Middleware: functions of the program round what happens to a client in a namespace. Composed once, at connect.

Where a program has none, nothing of this module runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from asocketio.errors import ConnectionRefused, UsageError
from asocketio.protocol.packet import EVENT, Packet, PacketType

__all__ = ["CallNext", "Invocation", "Middleware", "Passage", "PassedPacket", "admit", "through"]


class Invocation:
    """One connect, event or disconnect of a client, on its way through middleware to its handler.

    Middleware may change ``args`` and, of an event, ``event``: access, arguments and handler are those of the new ones.
    """

    __slots__ = ("args", "client", "event", "kind", "packet")

    def __init__(self, client: Any, packet: Packet) -> None:
        self.client = client
        """The namespace object."""
        self.packet = packet
        """As it came."""
        self.kind: Literal["connect", "event", "disconnect"] = _KINDS.get(packet.type, "event")
        self.event = packet.name or packet.type.value
        """The name of the event; ``message`` and ``json`` for such packets of 0.9; ``connect``; ``disconnect``."""
        self.args: list[Any] = packet.args if packet.type is EVENT else [packet.data]
        """The arguments of the event. Of a connect: auth. Of a disconnect: its reason."""

    def __repr__(self) -> str:
        return f"<Invocation {self.kind} {self.event[:100]!r} of {self.client!r}>"

    def passed(self) -> PassedPacket:
        """The packet for the handler."""
        packet, args = self.packet, list(self.args)
        renamed = self.kind == "event" and self.event != (packet.name or packet.type.value)
        if packet.type is EVENT or renamed:
            return PassedPacket(EVENT, packet.endpoint, self.event, args, None, packet.id, packet.ack)
        data = args[0] if args else None
        return PassedPacket(packet.type, packet.endpoint, packet.name, packet.args, data, packet.id, packet.ack)


_KINDS: dict[PacketType, Literal["connect", "disconnect"]] = {
    PacketType.CONNECT: "connect",
    PacketType.DISCONNECT: "disconnect",
}

CallNext = Callable[[Invocation], Awaitable[Any]]
Middleware = Callable[[Invocation, CallNext], Awaitable[Any]]


class PassedPacket(Packet):
    """A packet that middleware has passed on: what refuses it raises `EventRefused` to the middleware."""

    __slots__ = ()


class Passage:
    """The way of one `Invocation` through the middleware of its client, to ``handle``, and back."""

    __slots__ = ("_chain", "_handle", "closed", "ended_well", "error", "invocation", "reached")

    def __init__(self, chain: tuple[Middleware, ...], invocation: Invocation, handle: Callable[[Packet], Any]) -> None:
        self._chain = chain
        self._handle = handle
        self.invocation = invocation
        self.reached = False
        """``handle`` was called."""
        self.ended_well = False
        """``handle`` has ended, and raised nothing."""
        self.closed = False
        """``handle`` is not to be called any more."""
        self.error: BaseException | None = None
        """What came out of a ``call_next`` of a connect, whatever became of it then."""

    async def run(self, level: int = 0) -> Any:
        """Go through the middleware from ``level`` on. The result is the ack."""
        if level == len(self._chain):
            return await self._arrive()
        call_next = _CallNext(self, level + 1)
        try:
            return await self._chain[level](self.invocation, call_next)
        finally:
            call_next.over = True

    async def _arrive(self) -> Any:
        if self.closed:
            raise RuntimeError("call_next was called too late: recv_disconnect runs without it")
        self.reached = True
        result = self._handle(self.invocation.passed())
        if hasattr(result, "__await__"):
            result = await result
        self.ended_well = True
        return result


class _CallNext:
    """``call_next`` of one middleware: good for one call, while that runs."""

    __slots__ = ("_level", "_passage", "_used", "over")

    def __init__(self, passage: Passage, level: int) -> None:
        self._passage = passage
        self._level = level
        self._used = False
        self.over = False

    def __call__(self, call: Invocation) -> Awaitable[Any]:
        if call is not self._passage.invocation:
            raise UsageError(
                "call_next takes the invocation that the middleware was given: change its args or its event"
            )
        if self._used:
            raise RuntimeError("call_next was called twice")
        self._check()
        self._used = True
        return self._go()

    def _check(self) -> None:
        if self.over:
            raise RuntimeError("call_next was called after its middleware had ended")

    async def _go(self) -> Any:
        self._check()  # it may have waited in a task
        try:
            return await self._passage.run(self._level)
        except BaseException as error:
            if self._passage.invocation.kind == "connect":
                self._passage.error = error
            raise


def through(chain: tuple[Middleware, ...], client: Any, handle: Callable[[Packet], Any]) -> Callable[[Packet], Any]:
    """``handle``, with the middleware of ``chain`` round it. Errors that clients of 0.9 send pass none."""

    def start(packet: Packet) -> Any:
        if packet.type is PacketType.ERROR:
            return handle(packet)
        return Passage(chain, Invocation(client, packet), handle).run()

    return start


async def admit(
    chain: tuple[Middleware, ...], client: Any, packet: Packet, ask: Callable[[Packet], Awaitable[None]]
) -> None:
    """Let the middleware, and ``ask`` within it, decide on a client that connects.

    Raises:
        Exception: the client is refused: ``call_next`` was not called, or did not end well, whatever the middleware
            made of that; or the middleware has raised.
    """
    passage = Passage(chain, Invocation(client, packet), ask)
    try:
        await passage.run()
        if isinstance(passage.error, Exception):
            raise passage.error
        if passage.error is not None or not passage.ended_well:
            raise ConnectionRefused
    finally:
        passage.error = None  # it leads back here
