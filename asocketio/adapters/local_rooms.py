"""LocalRooms: the clients of one process by namespace and by room."""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection
from typing import Generic, NamedTuple, TypeVar

from asocketio.config import Config
from asocketio.errors import UsageError
from asocketio.protocol.sids import is_sid

__all__ = ["LocalRooms", "PassedLimit", "RoomListener", "RoomNames", "passed_limit", "size_of"]


class RoomNames(set[str]):
    """The rooms of a client, and the bytes of memory that they take. `LocalRooms` keeps the two in step."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        super().__init__()
        self.size = 0


ROOM_OVERHEAD = 450
"""Bytes that a room takes besides the characters of its name: the places of one client in the tables."""


def size_of(name: str) -> int:
    """The bytes that a room counts: about what it takes in memory, and the same whenever it is asked for.

    Not what `sys.getsizeof` says, which changes: a text may keep its UTF-8.
    """
    return ROOM_OVERHEAD + (len(name) if name.isascii() else 4 * len(name))


class PassedLimit(NamedTuple):
    """What one room more would be too much for."""

    setting: str
    message: str


def passed_limit(config: Config, namespace: str, rooms: RoomNames | None, taken: int, room: str) -> PassedLimit | None:
    """What keeps a client in ``rooms`` out of one more; ``taken`` are the bytes of all its rooms. None: nothing."""
    where = f"of a client in {namespace[:100] or '/'!r}"
    if rooms is not None and len(rooms) >= config.max_rooms:
        return PassedLimit("max_rooms", f"one room more than the {config.max_rooms} {where} (max_rooms)")
    if taken + size_of(room) > config.max_room_bytes:
        most = config.max_room_bytes
        return PassedLimit("max_room_bytes", f"the rooms {where} would take over {most} bytes (max_room_bytes)")
    return None


class Occupant(typing.Protocol):
    """What a table of rooms must know of a client."""

    namespace: str
    """The namespace that the client is in."""
    sid: str
    """The name of its private room."""
    rooms: RoomNames | None
    """The rooms that it is in, without its private one."""

    def __hash__(self) -> int: ...


T = TypeVar("T", bound=Occupant)

RoomListener = Callable[[str, str, str], None]
"""Called with what happened (``created``, ``joined``, ``left``, ``deleted``), the room, and the sid of the client."""


class LocalRooms(Generic[T]):
    """Tables of clients. An empty room is no room, and a namespace that nobody is in is not kept."""

    __slots__ = ("listeners", "namespaces", "rooms")

    def __init__(self) -> None:
        self.listeners: dict[str, list[RoomListener]] = {}
        """By namespace: who is told of what happens to rooms."""
        self.namespaces: dict[str, dict[str, T]] = {}
        """Clients by namespace and sid."""
        self.rooms: dict[tuple[str, str], dict[T, None]] = {}
        """Clients by namespace and room, in the order of joining."""

    def clear(self) -> None:
        """Forget everybody. Listeners stay, and hear nothing of it."""
        self.namespaces.clear()
        self.rooms.clear()

    def add(self, client: T) -> None:
        """The client has entered its namespace."""
        self.namespaces.setdefault(client.namespace, {})[client.sid] = client

    def remove(self, client: T) -> None:
        """The client has left its namespace, and all its rooms."""
        for room in list(client.rooms or ()):
            self.leave(client, room)
        members = self.namespaces.get(client.namespace, {})
        members.pop(client.sid, None)
        if not members:
            self.namespaces.pop(client.namespace, None)

    def join(self, client: T, room: str) -> None:
        """Put the client into ``room``.

        Raises:
            UsageError: ``room`` is another client's private room.
        """
        self.check(client, room)
        if room == client.sid:
            return
        if client.rooms is None:
            client.rooms = RoomNames()
        if room in client.rooms:
            return
        client.rooms.add(room)
        client.rooms.size += size_of(room)
        key = client.namespace, room
        clients = self.rooms.get(key)
        if clients is None:
            self.rooms[key] = {client: None}
        else:
            clients[client] = None
        if client.namespace in self.listeners:
            self._tell(client, room, *(("created", "joined") if clients is None else ("joined",)))

    def check(self, client: T, room: str) -> None:
        """Raise `UsageError` where ``room`` is another client's private room."""
        if room != client.sid:
            self.check_public(client.namespace, room)

    def check_public(self, namespace: str, room: str) -> None:
        """Raise `UsageError` where ``room`` is a private room."""
        if is_sid(room) or room in self.namespaces.get(namespace, ()):
            raise UsageError(
                "this room's name is another client's sid, or has the form of one: private rooms are for their client"
            )

    def leave(self, client: T, room: str) -> None:
        """Take the client out of ``room``; not an error where it was not in it."""
        if not client.rooms or room not in client.rooms:
            return
        client.rooms.discard(room)
        client.rooms.size -= size_of(room)
        key = client.namespace, room
        clients = self.rooms[key]
        del clients[client]
        if not clients:
            del self.rooms[key]
        if client.namespace in self.listeners:
            self._tell(client, room, *(("left",) if clients else ("left", "deleted")))

    def _tell(self, client: T, room: str, *what: str) -> None:
        for each in what:
            for listener in self.listeners[client.namespace]:
                listener(each, room, client.sid)

    def find(self, namespace: str, rooms: frozenset[str] | None, excluded: frozenset[str]) -> Collection[T]:
        """The clients in any of ``rooms`` (None: in the namespace), without those in any of ``excluded``, each once.

        It is a copy, which outlasts changes.
        """
        if rooms is None:
            found: Collection[T] = self.namespaces.get(namespace, {}).values()
        else:
            found = self._in_any(namespace, rooms)
        if not excluded:
            return list(found)
        without = self._in_any(namespace, excluded)
        return [client for client in found if client not in without]

    def has_any(self, namespace: str, rooms: frozenset[str] | None) -> bool:
        """Whether `find` has somebody to look at: in any of ``rooms`` (None: in the namespace)."""
        if rooms is None:
            return namespace in self.namespaces
        return any(self._in(namespace, room) for room in rooms)

    def _in_any(self, namespace: str, rooms: frozenset[str]) -> Collection[T]:
        if len(rooms) == 1:
            [room] = rooms
            return self._in(namespace, room)
        return {client: None for room in rooms for client in self._in(namespace, room)}

    def _in(self, namespace: str, room: str) -> Collection[T]:
        members = self.namespaces.get(namespace)
        alone = None if members is None else members.get(room)  # a sid is a room of one
        return (alone,) if alone is not None else self.rooms.get((namespace, room), ())
