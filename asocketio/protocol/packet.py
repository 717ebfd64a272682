"""Packet and PacketType: a Socket.IO packet, independent of its encoding in a generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal

from asocketio.errors import UsageError

__all__ = ["ACK", "EVENT", "GLOBAL_NS", "Packet", "PacketType"]

GLOBAL_NS = ""
"""The name of the global namespace. Clients and users may write ``"/"``; in this package it is ``""``."""


class PacketType(StrEnum):
    """The kinds of packets. The second group belongs to the connection itself."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    EVENT = "event"
    MESSAGE = "message"
    JSON = "json"
    ACK = "ack"
    ERROR = "error"

    HEARTBEAT = "heartbeat"
    PING = "ping"
    PONG = "pong"
    NOOP = "noop"
    OPEN = "open"
    CLOSE = "close"
    UPGRADE = "upgrade"


EVENT = PacketType.EVENT
ACK = PacketType.ACK
"""For the hot path: looking a member up in its enum takes 75 ns on Python 3.11."""


@dataclass(slots=True)
class Packet:
    """One Socket.IO packet of any generation.

    It also answers ``packet["type"]``, ``"ack" in packet`` and ``packet.get("id")``, as
    handlers written for gevent-socketio expect: a key is "in" a packet when it has a value.
    """

    type: PacketType
    endpoint: str = GLOBAL_NS
    name: str = ""
    """The event's name."""
    args: list[Any] = field(default_factory=list)
    """The arguments of an event or an ack."""
    data: Any = None
    """A message's text, a JSON value, the auth of a connect, the reason of an error or of a ping."""
    id: int | None = None
    """On an event, the number under which the sender wants an ack; on an ack, the number of the event."""
    ack: Literal[None, True, "data"] = None
    """What is acknowledged: ``"data"``, the event by its handler; ``True``, the receipt of the packet (0.9 only)."""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Packet:
        """The packet of a dict as in gevent-socketio; unknown keys are ignored."""
        known = {key: value for key, value in fields.items() if key in _KEYS}
        if "ackId" in fields:
            known["id"] = fields["ackId"]
        if "reason" in fields:
            known["data"] = {"message": fields["reason"], "advice": fields.get("advice")}
        if known.get("type") not in list(PacketType):
            raise UsageError(f"packet {dict(fields)!r}: 'type' is one of {', '.join(PacketType)}")
        known["type"] = PacketType(known["type"])
        known["args"] = list(known.get("args", ()))
        return cls(**known)

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(key)
        if key in _GEVENT:
            return _GEVENT[key](self)
        return self.args if key == "args" else getattr(self, key)

    def __contains__(self, key: object) -> bool:
        if key == "args":
            return self.type in (PacketType.EVENT, PacketType.ACK)
        if key in ("type", "endpoint"):
            return True
        if key == "data" and self.type in (PacketType.MESSAGE, PacketType.JSON):
            return True
        if key in _GEVENT:
            return _GEVENT[str(key)](self) is not None
        return key in _KEYS and getattr(self, str(key)) not in (None, "")

    def __iter__(self) -> Iterator[str]:
        return (key for key in _KEYS if key in self)

    def get(self, key: str, default: Any = None) -> Any:
        """The value under ``key``, or ``default`` where the packet has none."""
        return self[key] if key in self else default  # noqa: SIM401  (this is the get)

    def keys(self) -> list[str]:
        """The names of all values the packet has: ``dict(packet)`` works."""
        return list(self)


def _ack_id(packet: Packet) -> int | None:
    return packet.id if packet.type is PacketType.ACK else None


def _of_error(key: str) -> Callable[[Packet], Any]:
    def read(packet: Packet) -> Any:
        if packet.type is not PacketType.ERROR:
            return None
        return (packet.data.get(key) or "") if isinstance(packet.data, dict) else ""

    return read


# Keys that gevent-socketio's handlers read where a Packet has another field.
_GEVENT = {"ackId": _ack_id, "reason": _of_error("message"), "advice": _of_error("advice")}
_KEYS = tuple(f.name for f in fields(Packet))
