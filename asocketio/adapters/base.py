"""SEAM. Adapter, Target: who is in which room, and how a broadcast reaches them.

What plugs in lives in ``adapters/``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from asocketio.errors import CannotCarry, UsageError
from asocketio.protocol.base import Encoded, Protocol
from asocketio.protocol.json_parser import check
from asocketio.protocol.packet import Packet
from asocketio.runtime.log import ThrottledLog
from asocketio.session.member import Member

__all__ = ["Adapter", "EncodedPerProtocol", "Target"]


class Target(NamedTuple):
    """Whom a broadcast reaches: members of any of ``rooms``, without those of any of ``excluded``.

    A member's ``sid`` counts as the name of a room with just this member in it.
    """

    endpoint: str
    rooms: frozenset[str] | None = None
    """None: everybody in the namespace."""
    excluded: frozenset[str] = frozenset()
    local: bool = False
    """Only clients of this process."""


class Adapter(ABC):
    """Keeps members in rooms and delivers broadcasts to them. No method waits; awaiting a broadcast may."""

    check: Callable[[Packet], None] = staticmethod(check)
    """Called with a packet that nobody receives, to show mistakes at once. The server sets its own, which knows
    the JSON functions of the program."""

    @abstractmethod
    def add(self, member: Member) -> None:
        """The member has entered its namespace."""

    @abstractmethod
    def remove(self, member: Member) -> None:
        """The member has left its namespace, and all its rooms."""

    @abstractmethod
    def clear(self) -> None:
        """Forget everybody: the event loop they lived in is gone."""

    @abstractmethod
    def join(self, member: Member, room: str) -> None:
        """Put the member into ``room``. Its private room, named by its sid, it is in from the start.

        Raises:
            UsageError: ``room`` is another client's private room.
        """

    @abstractmethod
    def leave(self, member: Member, room: str) -> None:
        """Take the member out of ``room``; not an error where it was not in it."""

    @abstractmethod
    def members(self, target: Target) -> Collection[Member]:
        """The members in this process that ``target`` means, each once."""

    @abstractmethod
    def broadcast(self, packet: Packet, target: Target, *, volatile: bool = False) -> Awaitable[None]:
        """Queue ``packet`` for all that ``target`` means, now and in this order.

        What it returns may be awaited; that never waits for recipients. With ``volatile`` those
        that do not keep up are left out.

        Raises:
            UsageError: the packet has no JSON form. Clients whose own JSON functions have one for it got it.
        """


class EncodedPerProtocol:
    """One packet for many clients: encoded once for each protocol among them."""

    __slots__ = ("_complaints", "_encoded", "_error", "_packet")

    def __init__(self, packet: Packet, throttled_log: ThrottledLog) -> None:
        self._packet = packet
        self._complaints = throttled_log
        self._encoded: dict[Protocol, Encoded | None] = {}
        self._error: UsageError | None = None

    def get(self, protocol: Protocol) -> Encoded | None:
        """The packet as ``protocol`` writes it. None where it cannot; a mistake of the program is kept for `check`."""
        try:
            return self._encoded[protocol]
        except KeyError:
            encoded = self._encoded[protocol] = self._encode(protocol)
            return encoded

    def _encode(self, protocol: Protocol) -> Encoded | None:
        try:
            return protocol.encode(self._packet)
        except CannotCarry as error:
            packet = self._packet
            self._complaints.warning(
                "cannot carry", "%s: %s %r did not go to the clients of generation %s: %s",
                packet.endpoint or "/", packet.type.value, packet.name, protocol.generation, error,
                about=f"{packet.endpoint} {packet.name}",
            )  # fmt: skip
        except UsageError as error:
            self._error = error
        return None

    def check(self) -> None:
        """Raise `UsageError` if a protocol found no JSON form: when the others have got theirs, or before."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # else it would lead back to itself, by this frame
