"""HandlerCall: one packet that is being handled, and what its client is told of the outcome."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Callable
from typing import Any

from asocketio.errors import EventRefused, Overflow, ProtocolError, UsageError
from asocketio.protocol.packet import Packet
from asocketio.runtime.log import log
from asocketio.session.namespaces import Namespaces
from asocketio.session.reporting import answer_error, is_late, raised, report, tell_failure, tell_refusal
from asocketio.session.socket import Socket

__all__ = ["CallOwner", "HandlerCall", "UnfitAnswer", "acknowledge", "call_back"]


class UnfitAnswer(Exception):
    """The arguments of a client's ack do not fit the callback that waits for them: its mistake, or the program's."""


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
        of = "" if found is None else f" in {found.cls.__name__}"
        namespace = "/" if not packet.endpoint else packet.endpoint if found else repr(packet.endpoint[:100])
        where = f"{self.owner.socket.sid_in(packet.endpoint)} {namespace}"
        return f"{where}: the handler of {packet.type.value} {packet.name[:100]!r}{of}"

    @property
    def event(self) -> str:
        """The namespace, and what came: complaints about the same event of other clients are the same."""
        return f"{self.packet.endpoint} {self.packet.type.value} {self.packet.name}"

    @property
    def fields(self) -> dict[str, str]:
        """For log records."""
        return self.owner.socket.fields(self.packet.endpoint, self.packet.name)

    def warn_slow(self) -> None:
        """Log that it has been running for long."""
        self.owner.socket.server.throttled_log.warning(
            "slow",
            "%s is still running; this client's other events wait, unless SocketIOApp(concurrency=...) lets them",
            str(self), about=self.event, fields=self.fields,
        )  # fmt: skip

    def cancel(self) -> None:
        """Cancel it, because its client is gone."""
        self.owner.socket.server.throttled_log.warning(
            "cancelled", "%s was still running after close_grace: cancelled", str(self), about=self.event
        )
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
        if isinstance(error, EventRefused):
            self._refuse(error)
            return
        if isinstance(error, UnfitAnswer):
            report(socket, packet.endpoint, "invalid_arguments", str(error), None, quiet=True)
            return
        if isinstance(error, Overflow):
            socket.server.throttled_log.warning(
                "overflow", "%s: %s", str(self), error, about=self.event, fields=self.fields
            )
        else:
            raised(error, str(self), socket, packet.endpoint, packet.name or packet.type.value)
        tell_failure(socket, packet)

    def _refuse(self, error: EventRefused) -> None:
        try:
            tell_refusal(self.owner.socket, self.packet, error)
        except (UsageError, Overflow) as unsendable:
            self.owner.socket.server.throttled_log.error(
                "refusal", "%s: the details of a refusal %s", str(self), unsendable, about=self.event
            )
            answer_error(self.owner.socket, self.packet, error.name, error.message[:1000])


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
        call = HandlerCall(owner, packet)
        socket.server.throttled_log.error("returned", "%s returned what %s", str(call), error, about=call.event)
        tell_failure(socket, packet)
    except Exception as error:  # the value is the user's: its own methods may raise
        HandlerCall(owner, packet).on_error(error)


def call_back(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a callback of the program with the arguments of an ack.

    Raises:
        UnfitAnswer: it does not take as many.
    """
    try:
        return function(*args)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None or _fits(function, args):
            raise  # from within
    raise UnfitAnswer(f"The {name} does not take {len(args)} argument{'' if len(args) == 1 else 's'}")


def _fits(function: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        return False
    except ValueError:
        return True  # it does not say what it takes
    return True
