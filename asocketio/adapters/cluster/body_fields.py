"""The fields of each kind of message, as Node's ``ClusterAdapter`` names them, and the checks of what comes in.

What Node has no field for is told by one of our own, which Node does not look at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asocketio.adapters.base import Target
from asocketio.adapters.cluster.messages import (
    Ack,
    Body,
    Broadcast,
    ClientCount,
    Close,
    Disconnect,
    Fetch,
    Fetched,
    Gone,
    Heartbeat,
    Join,
    Leave,
    ServerAnswer,
    ServerEvent,
)
from asocketio.adapters.cluster.remote_sockets import read_socket, socket_fields
from asocketio.errors import MalformedMessage
from asocketio.protocol.packet import EVENT, Packet
from asocketio.protocol.parser import RESERVED_EVENTS

__all__ = ["body_fields", "read_body", "read_event", "read_rooms"]

MOST_CLIENTS = 10_000_000
"""Clients of one server, as a message may say."""
LONGEST_ID = 100
"""Characters of the name of a question, or of a client."""

Fields = dict[str, Any]


# ---- to the bus ------------------------------------------------------------------------------------------------------


def body_fields(body: Body) -> tuple[int, Fields | None]:
    """The type of a message, and its ``data``; None where Node has none."""
    if isinstance(body, Heartbeat):
        return 1 if body.is_first else 2, None
    number, write = _WRITERS[type(body)]
    return number, write(body)


def _opts(target: Target, flags: Fields | None = None) -> Fields:
    return {"rooms": sorted(target.rooms or ()), "except": sorted(target.excluded), "flags": flags or {}}


def _broadcast(body: Broadcast) -> Fields:
    flags: Fields = {"volatile": True} if body.volatile else {}
    fields: Fields = {"packet": {"type": 2, "data": [body.packet.name, *body.packet.args]}}
    if body.request_id is not None:
        flags["timeout"] = round(body.seconds * 1000)
        fields["requestId"] = body.request_id
    fields["opts"] = _opts(body.target, flags)
    if body.hears_gone:
        fields["hearsGone"] = True
    return fields


def _move(body: Join | Leave) -> Fields:
    return {"opts": _opts(body.target), "rooms": sorted(body.rooms)}


def _disconnect(body: Disconnect) -> Fields:
    return {"opts": _opts(body.target), "close": body.close}


def _fetch(body: Fetch) -> Fields:
    fields: Fields = {"opts": _opts(body.target), "requestId": body.request_id}
    return {**fields, "onlySids": True} if body.only_sids else fields


def _server_event(body: ServerEvent) -> Fields:
    fields: Fields = {} if body.request_id is None else {"requestId": body.request_id}
    return {**fields, "packet": [body.name, *body.args]}


def _count(body: ClientCount) -> Fields:
    return {"requestId": body.request_id, "clientCount": body.clients}


def _ack(body: Ack) -> Fields:
    fields: Fields = {"requestId": body.request_id, "packet": body.args[0] if body.args else None}
    if body.sid is not None:
        fields["sid"] = body.sid
    return {**fields, "args": body.args} if len(body.args) > 1 else fields


def _gone(body: Gone) -> Fields:
    return {"requestId": body.request_id, "sid": body.sid, "gone": True}


def _fetched(body: Fetched) -> Fields:
    sockets = [socket_fields(info, only_sid=body.only_sids) for info in body.sockets]
    return {"requestId": body.request_id, "sockets": sockets}


def _server_answer(body: ServerAnswer) -> Fields:
    return {"requestId": body.request_id, "packet": body.value}


def _nothing(body: Body) -> None:
    return None


_WRITERS: dict[type, tuple[int, Callable[[Any], Fields | None]]] = {
    Broadcast: (3, _broadcast),
    Join: (4, _move),
    Leave: (5, _move),
    Disconnect: (6, _disconnect),
    Fetch: (7, _fetch),
    Fetched: (8, _fetched),
    ServerEvent: (9, _server_event),
    ServerAnswer: (10, _server_answer),
    ClientCount: (11, _count),
    Ack: (12, _ack),
    Gone: (12, _gone),
    Close: (13, _nothing),
}


# ---- from the bus ----------------------------------------------------------------------------------------------------


def read_body(number: Any, data: Any, namespace: str) -> Body:
    """What a message says.

    Raises:
        MalformedMessage: its type is not known, or its ``data`` does not fit that.
    """
    if type(number) is not int or not 1 <= number <= 13:
        raise MalformedMessage(f"a message of type {number!r:.20}")
    if number in _PLAIN:
        return _PLAIN[number]
    if type(data) is not dict:
        raise MalformedMessage(f"a message of type {number} whose data is no map: {data!r:.40}")
    return _READERS[number](data, namespace)


def _read_broadcast(data: Fields, namespace: str) -> Body:
    packet = data.get("packet")
    if type(packet) is not dict or packet.get("type") not in (2, 5):  # old emitters write 5 where there is binary
        raise MalformedMessage(f"a broadcast of the packet {packet!r:.40}")
    name, args = read_event(packet.get("data"))
    opts = data.get("opts")
    flags = opts.get("flags") if type(opts) is dict else None
    flags = flags if type(flags) is dict else {}
    timeout = flags.get("timeout")
    seconds = timeout / 1000 if isinstance(timeout, int | float) and 0 <= timeout < 1e12 else 60.0
    request_id = None if data.get("requestId") is None else _request_id(data)
    event = Packet(EVENT, namespace, name, args)
    target = _target(opts, namespace)
    return Broadcast(event, target, flags.get("volatile") is True, request_id, seconds, data.get("hearsGone") is True)


def read_event(data: Any) -> tuple[str, list[Any]]:
    """The name of an event and its arguments.

    Raises:
        MalformedMessage: it is no event, or has a name that clients have for themselves.
    """
    if type(data) is not list or not data or type(data[0]) is not str or data[0] in RESERVED_EVENTS:
        raise MalformedMessage(f"an event {data!r:.40}")
    return data[0], data[1:]


def _target(opts: Any, namespace: str) -> Target:
    if type(opts) is not dict or type(opts.get("rooms")) is not list:  # whoever means all says so
        raise MalformedMessage(f"opts {opts!r:.40}, expected rooms and except")
    rooms = read_rooms(opts["rooms"])
    return Target(namespace, rooms or None, read_rooms(opts.get("except")))


def read_rooms(found: Any) -> frozenset[str]:
    """Rooms of a list; Node has numbers, too.

    Raises:
        MalformedMessage: it is no list, or something in it is neither.
    """
    if found is None:
        return frozenset()
    if type(found) is not list or not all(type(room) in (str, int) for room in found):
        raise MalformedMessage(f"rooms {found!r:.40}")
    try:
        return frozenset(map(str, found))
    except ValueError:  # an int of thousands of digits
        raise MalformedMessage("a room that is a number of thousands of digits") from None


def _request_id(data: Fields) -> str:
    return _id(data, "requestId")


def _id(data: Fields, key: str) -> str:
    found = data.get(key)
    if type(found) is not str or not 0 < len(found) <= LONGEST_ID:
        raise MalformedMessage(f"{key} {found!r:.40}")
    return found


def _read_join(data: Fields, namespace: str) -> Body:
    return Join(_target(data.get("opts"), namespace), read_rooms(data.get("rooms")))


def _read_leave(data: Fields, namespace: str) -> Body:
    return Leave(_target(data.get("opts"), namespace), read_rooms(data.get("rooms")))


def _read_disconnect(data: Fields, namespace: str) -> Body:
    return Disconnect(_target(data.get("opts"), namespace), data.get("close") is True)


def _read_fetch(data: Fields, namespace: str) -> Body:
    return Fetch(_target(data.get("opts"), namespace), _request_id(data), data.get("onlySids") is True)


def _read_fetched(data: Fields, namespace: str) -> Body:
    sockets = data.get("sockets")
    if type(sockets) is not list:
        raise MalformedMessage(f"sockets {sockets!r:.40}, expected a list")
    return Fetched(_request_id(data), [read_socket(each) for each in sockets])


def _read_server_event(data: Fields, namespace: str) -> Body:
    found = data.get("packet")
    if type(found) is not list or not found or type(found[0]) is not str:
        raise MalformedMessage(f"an event of a server {found!r:.40}")
    request_id = None if data.get("requestId") is None else _request_id(data)
    return ServerEvent(found[0], found[1:], request_id)


def _read_server_answer(data: Fields, namespace: str) -> Body:
    return ServerAnswer(_request_id(data), data.get("packet"))


def _read_count(data: Fields, namespace: str) -> Body:
    count = data.get("clientCount")
    if type(count) is not int or not 0 <= count <= MOST_CLIENTS:
        raise MalformedMessage(f"clientCount {count!r:.40}")
    return ClientCount(_request_id(data), count)


def _read_ack(data: Fields, namespace: str) -> Body:
    request_id = _request_id(data)
    sid = None if data.get("sid") is None else _id(data, "sid")
    if data.get("gone") is True and sid is not None:
        return Gone(request_id, sid)
    args = data.get("args")
    if type(args) is not list:
        args = [data["packet"]] if data.get("packet") is not None else []
    return Ack(request_id, args, sid)


_PLAIN: dict[int, Body] = {1: Heartbeat(is_first=True), 2: Heartbeat(), 13: Close()}
_READERS: dict[int, Callable[[Fields, str], Body]] = {
    3: _read_broadcast,
    4: _read_join,
    5: _read_leave,
    6: _read_disconnect,
    7: _read_fetch,
    8: _read_fetched,
    9: _read_server_event,
    10: _read_server_answer,
    11: _read_count,
    12: _read_ack,
}
