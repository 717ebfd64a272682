"""BroadcastOperator: the clients that an event is sent to. ``self.to("room").except_("muted").volatile.emit("x")``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any

from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.base import Target
from asocketio.errors import AckTimeout, Disconnected, UsageError
from asocketio.protocol.packet import EVENT, Packet
from asocketio.runtime.awaitables import COMPLETED
from asocketio.session.acks import shared_number, unpack
from asocketio.session.interfaces import SessionServer
from asocketio.session.member import Member
from asocketio.session.threads import check_loop, run_in_loop

__all__ = ["BroadcastOperator", "names"]

CALL_TIMEOUT = 60.0
"""Seconds that ``call`` waits for an answer when it is given no ``timeout``."""


@dataclass(slots=True)  # never changed once made; frozen, each would cost 1 µs more
class BroadcastOperator:
    """Some of the clients of one namespace; each method makes a new one, `emit` and `call` use it.

    ``rooms`` is None for the whole namespace. An empty set, as of ``to(*[])``, is nobody: no adapter hears of that.
    ``sender`` is left out; ``member`` is set as long as it means just this one client.
    """

    server: SessionServer
    namespace: str
    rooms: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    sender: Member | None = None
    member: Member | None = None
    is_volatile: bool = False
    is_local: bool = False
    seconds: float | None = None

    def to(self, *rooms: str) -> BroadcastOperator:
        """Those in any of these rooms, besides those already meant. A sid is a room of one."""
        return replace(self._others(), rooms=(self.rooms or frozenset()) | names(rooms))

    def except_(self, *rooms: str) -> BroadcastOperator:
        """Without those in any of these rooms."""
        return replace(self._others(), excluded=self.excluded | names(rooms))

    @property
    def volatile(self) -> BroadcastOperator:
        """Without slow consumers: a client for whom something still waits to be sent does not get the event."""
        return replace(self, is_volatile=True)

    @property
    def local(self) -> BroadcastOperator:
        """Only clients of this process."""
        return replace(self._others(), is_local=True)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """The same clients; `call` waits ``seconds`` for their acks."""
        return replace(self, seconds=seconds)

    def emit(self, event: str, *args: Any, callback: Callable[..., Any] | None = None) -> Awaitable[None]:
        """Queue an event for all of them, now. Awaiting it never waits for the recipients.

        From another thread it is queued by the event loop, soon. ``callback`` goes only with a
        single client (``self.volatile``, ``self.timeout(5)``); to ask many, use `call`.

        Raises:
            UsageError: an argument has no JSON form, the name is reserved, or there is no server yet.
        """
        if self.member is not None:
            return self._emit_to_one(self.member, event, args, callback)
        if callback is not None:
            raise UsageError("emit to several clients takes no callback: answers = await ....timeout(5).call(event)")
        packet = Packet(EVENT, self.namespace, event, list(args))
        if self._is_nobody:
            self.server.check(packet)
            return COMPLETED
        if self.server.loop is not None and get_ident() != self.server.thread:
            self.server.check(packet)
            run_in_loop(self.server, self._broadcast, packet)
            return COMPLETED
        return self._broadcast(packet)

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Ask all of them; the list of their answers, one for each client, in the order in which they came.

        For a single client (``self.timeout(5).call(...)``) it is the answer itself.

        Raises:
            AckTimeout: not all answered in time; its ``answers`` are those of the others.
            UsageError: called outside of the server's event loop.
        """
        given = self.seconds if timeout is None else timeout
        seconds = CALL_TIMEOUT if given is None else given
        if self.server.loop is not None:  # else nobody is there to be asked
            check_loop(self.server, "call", "asyncio.run_coroutine_threadsafe(....call(...), loop).result()")
        if self.member is not None and self.member.rule.left:
            raise Disconnected(self.member.reason)
        if self.member is not None:
            return await self.member.instance.call(event, *args, timeout=seconds)
        return await self._ask(event, args, seconds)

    @property
    def target(self) -> Target:
        """The clients that it means, for an adapter."""
        excluded = self.excluded if self.sender is None else self.excluded | {self.sender.sid}
        return Target(self.namespace, self.rooms, excluded, self.is_local)

    @property
    def _is_nobody(self) -> bool:
        return self.rooms is not None and not self.rooms

    def _others(self) -> BroadcastOperator:
        return self if self.member is None else replace(self, sender=self.member, member=None)

    def _broadcast(self, packet: Packet) -> Awaitable[None]:
        return self.server.adapter.broadcast(packet, self.target, volatile=self.is_volatile)

    def _emit_to_one(
        self, member: Member, event: str, args: tuple[Any, ...], callback: Callable[..., Any] | None
    ) -> Awaitable[None]:
        if self.is_volatile and not member.writable:
            return COMPLETED
        if member.rule.left:
            return member.drained()
        trail = member.trail
        if trail is None or not self.is_volatile:
            return member.instance.emit(event, *args, callback=callback)
        trail.unkept = True
        try:
            return member.instance.emit(event, *args, callback=callback)
        finally:
            trail.unkept = False

    async def _ask(self, event: str, args: tuple[Any, ...], seconds: float) -> list[Any]:
        """Send one event under one number to all; their acks are collected by the adapter."""
        acks = AckCollector(shared_number())
        packet = Packet(EVENT, self.namespace, name=event, args=list(args), id=acks.number, ack="data")
        if self._is_nobody:
            self.server.check(packet)
            return []
        try:
            self.server.adapter.ask(packet, self.target, acks, volatile=self.is_volatile)
            acks.all_asked()
            timer = self.server.clock.call_later(seconds, acks.end)
            try:
                await acks.wait()
            finally:
                timer.cancel()
        finally:
            missing = acks.close()
        answers = [unpack(answer) for answer in acks.answers]
        if missing:
            raise AckTimeout(f"{missing} clients did not answer {event!r} within {seconds} s", answers)
        return answers


def names(rooms: tuple[str, ...]) -> frozenset[str]:
    """The rooms as a set.

    Raises:
        UsageError: a name is not text.
    """
    for room in rooms:
        if not isinstance(room, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"a room is named by text, not {type(room).__name__}: {room!r}; several are to('a', 'b')")
    return frozenset(rooms)
