"""RoomsMixin and BroadcastMixin: gevent-socketio's ways to talk to others."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from asocketio.errors import Disconnected, Overflow, UsageError
from asocketio.namespace import BaseNamespace
from asocketio.operators import BroadcastOperator, names

__all__ = ["BroadcastMixin", "RoomsMixin"]


class RoomsMixin:
    """Rooms of a namespace: ``class Chat(BaseNamespace, RoomsMixin)``."""

    def join(self, room: str) -> None:
        """Enter a room; it comes into being with its first member.

        Raises:
            Disconnected: the client has left the namespace.
            Overflow: it is in ``max_rooms`` already.
            UsageError: ``room`` is another client's sid, here or (from generation 4 on) in any process.
        """
        if not isinstance(room, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"a room is named by text, not {type(room).__name__}: {room!r}")
        member = _of(self)._member  # pyright: ignore[reportPrivateUsage]
        if member.rule.left:
            raise Disconnected(member.reason)
        most = member.socket.config.max_rooms
        if member.rooms is not None and len(member.rooms) >= most and room not in member.rooms and room != member.sid:
            member.socket.count_limit("max_rooms")
            raise Overflow(f"a client is in {most} rooms of {member.endpoint or '/'!r} already (max_rooms)", "in")
        member.socket.server.adapter.join(member, room)

    def leave(self, room: str) -> None:
        """Leave a room; not an error where the client was not in it."""
        member = _of(self)._member  # pyright: ignore[reportPrivateUsage]
        member.socket.server.adapter.leave(member, room)

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that this client is in, in this namespace."""
        return frozenset(_of(self)._member.rooms or ())  # pyright: ignore[reportPrivateUsage]

    def emit_to_room(self, room: str, event: str, *args: Any) -> Awaitable[None]:
        """Send an event to the others in a room."""
        me = _of(self)
        member = me._member  # pyright: ignore[reportPrivateUsage]
        return BroadcastOperator(member.socket.server, me.ns_name, names((room,)), sender=member).emit(event, *args)


class BroadcastMixin:
    """Broadcasts to a namespace: ``class Chat(BaseNamespace, BroadcastMixin)``."""

    def broadcast_event(self, event: str, *args: Any) -> Awaitable[None]:
        """Send an event to everybody in this namespace, this client included."""
        me = _of(self)
        return BroadcastOperator(me.socket.server, me.ns_name).emit(event, *args)

    def broadcast_event_not_me(self, event: str, *args: Any) -> Awaitable[None]:
        """Send an event to everybody else in this namespace."""
        me = _of(self)
        return me.except_().emit(event, *args)


def _of(mixin: object) -> BaseNamespace:
    """The namespace that a mixin is part of."""
    if not isinstance(mixin, BaseNamespace):
        raise UsageError(
            f"{type(mixin).__name__} is no namespace: write class {type(mixin).__name__}(BaseNamespace, ...)"
        )
    return mixin
