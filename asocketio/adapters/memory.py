"""MemoryAdapter: the rooms of one process."""

from __future__ import annotations

from collections.abc import Awaitable, Collection

from asocketio.adapters.base import Adapter, EncodedPerProtocol, Target
from asocketio.errors import UsageError
from asocketio.protocol.base import Encoded, Protocol
from asocketio.protocol.packet import Packet
from asocketio.runtime.awaitables import COMPLETED
from asocketio.session.member import JOINED, Member

__all__ = ["MemoryAdapter"]

_NOBODY: dict[str, Member] = {}
Members = dict[Member, None]  # a set that remembers the order of joining


class MemoryAdapter(Adapter):
    """Rooms are tables of members; an empty room is no room."""

    def __init__(self) -> None:
        self._namespaces: dict[str, dict[str, Member]] = {}
        self._rooms: dict[tuple[str, str], Members] = {}

    def add(self, member: Member) -> None:
        self._namespaces.setdefault(member.endpoint, {})[member.sid] = member

    def remove(self, member: Member) -> None:
        for room in list(member.rooms or ()):
            self.leave(member, room)
        namespace = self._namespaces.get(member.endpoint, {})
        namespace.pop(member.sid, None)
        if not namespace:
            self._namespaces.pop(member.endpoint, None)

    def clear(self) -> None:
        self._namespaces.clear()
        self._rooms.clear()

    def join(self, member: Member, room: str) -> None:
        if room == member.sid:
            return
        if member.names_another(room) or room in self._namespaces.get(member.endpoint, _NOBODY):
            raise UsageError(
                "this room's name is another client's sid, or has the form of one: private rooms are for their client"
            )
        if member.rooms is None:
            member.rooms = set()
        member.rooms.add(room)
        self._rooms.setdefault((member.endpoint, room), {})[member] = None

    def leave(self, member: Member, room: str) -> None:
        if not member.rooms or room not in member.rooms:
            return
        member.rooms.discard(room)
        key = member.endpoint, room
        members = self._rooms[key]
        del members[member]
        if not members:
            del self._rooms[key]

    def members(self, target: Target) -> Collection[Member]:
        if target.rooms is None:
            found: Collection[Member] = self._namespaces.get(target.endpoint, {}).values()
        elif len(target.rooms) == 1:
            found = self._room(target.endpoint, *target.rooms)
        else:
            found = {member: None for room in target.rooms for member in self._room(target.endpoint, room)}
        if not target.excluded:
            return list(found)
        if len(target.excluded) == 1:
            [room] = target.excluded
            excluded = self._room(target.endpoint, room)
        else:
            excluded = {member for room in target.excluded for member in self._room(target.endpoint, room)}
        return [member for member in found if member not in excluded]

    def broadcast(self, packet: Packet, target: Target, *, volatile: bool = False) -> Awaitable[None]:
        spellings: EncodedPerProtocol | None = None
        protocol: Protocol | None = None
        encoded: Encoded | None = None
        for member in self.members(target):
            socket = member.socket
            if volatile and not socket.writable:
                continue
            if socket.protocol is not protocol:  # most speak the same as the one before
                spellings = spellings or EncodedPerProtocol(packet, socket.server.throttled_log)
                protocol = socket.protocol
                encoded = spellings.get(protocol)
            if encoded is None:
                continue
            if member.state is JOINED:
                socket.post(encoded)
            else:
                member.post(encoded)
        if spellings is None:
            self.check(packet)
        else:
            spellings.check()
        return COMPLETED

    def _room(self, endpoint: str, room: str) -> Collection[Member]:
        alone = self._namespaces.get(endpoint, _NOBODY).get(room)  # a sid is a room of one
        return (alone,) if alone is not None else self._rooms.get((endpoint, room), ())
