"""Presence: the namespaces and rooms that this server has clients in: of these its engine brings messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asocketio.adapters.base import Recipient
from asocketio.adapters.cluster.engine import Engine
from asocketio.adapters.cluster.members import Members
from asocketio.adapters.local_rooms import LocalRooms

__all__ = ["Presence"]


class Presence:
    """Tells the engine of the first client of a namespace or room, and of the last one's leave.

    A server also is in the global namespace, in those for which it handles events of servers, and in those in which it
    waits for an answer.
    """

    def __init__(
        self, engine: Engine, local: LocalRooms[Recipient], members: Members | None, is_needed: Callable[[str], bool]
    ) -> None:
        self._engine = engine
        self._local = local
        self._members = members
        self._is_needed = is_needed
        """Whether this server has to stay in a namespace without clients."""
        self._entered: dict[str, Awaitable[None]] = {}

    def enter(self, namespace: str) -> Awaitable[None]:
        """Be in a namespace. What it returns may be awaited until messages arrive."""
        entered = self._entered.get(namespace)
        if entered is None:
            entered = self._entered[namespace] = self._engine.enter(namespace)
            if self._members is not None:
                self._members.enter(namespace)
        return entered

    def leave_if_idle(self, namespace: str) -> None:
        """Leave a namespace in which there is nobody, and nothing is awaited."""
        if namespace not in self._entered or namespace in self._local.namespaces or self._is_needed(namespace):
            return
        del self._entered[namespace]
        if self._members is not None:
            self._members.leave(namespace)
        self._engine.leave(namespace)

    def added(self, client: Recipient) -> None:
        """A client has entered its namespace."""
        self.enter(client.namespace)
        if self._engine.follows_rooms:
            self._engine.enter_room(client.namespace, client.sid)

    def removed(self, client: Recipient, rooms: list[str]) -> None:
        """A client has left its namespace, and these rooms."""
        for room in (*rooms, client.sid):
            self.left(client.namespace, room)
        self.leave_if_idle(client.namespace)

    def is_in(self, namespace: str, room: str) -> bool:
        """Whether a client of this server is in a room."""
        return self._local.has_any(namespace, frozenset((room,)))

    def left(self, namespace: str, room: str) -> None:
        """A client has left a room that it was in."""
        if self._engine.follows_rooms and not self.is_in(namespace, room):
            self._engine.leave_room(namespace, room)
