"""The form of npm @socket.io/redis-adapter 8.3.0, ``createAdapter``: channels, and what is published in them.

Pure: text and bytes to messages and back. A broadcast is the MessagePack of ``[uid, packet, opts]``; requests and their
answers are maps in JSON, or in MessagePack where there are binary values. What Node has no field for is told by one of
our own. No field that Node expects is ever left out: a request without ``opts`` ends a Node server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from asocketio.adapters.cluster.body_fields import body_fields, read_body
from asocketio.adapters.cluster.messages import (
    Ack,
    Broadcast,
    ClientCount,
    Disconnect,
    Fetch,
    Fetched,
    Gone,
    Join,
    Leave,
    Message,
    ServerAnswer,
    ServerEvent,
)
from asocketio.adapters.cluster.wire import DEPTH, read_fields, to_json
from asocketio.errors import MalformedMessage, UsageError
from asocketio.protocol.msgpack_writer import write

__all__ = ["Channels", "Form", "Request", "read_answer", "read_broadcast", "read_request", "write_message"]

MOST = 64_000_000
"""Bytes of one message, where no other bound is given."""
LONGEST_UID = 100
"""Characters."""
Form = str
"""What the answer to a `Fetch` has to be, see `Request`."""

Fields = dict[str, Any]


class Channels:
    """The channels of one namespace, for the server ``uid``. ``key`` is the prefix of all of them."""

    def __init__(self, key: str, namespace: str, uid: str) -> None:
        nsp = namespace or "/"
        self.broadcast = f"{key}#{nsp}#"
        """What follows is the room that a message is for, and a ``#``."""
        self.request = f"{key}-request#{nsp}#"
        self.response = f"{key}-response#{nsp}#"
        self.own_response = f"{key}-response#{nsp}#{uid}#"
        self.pattern = "".join(f"\\{each}" if each in "*?[]\\" else each for each in self.broadcast) + "*"

    def of(self, message: Message) -> str:
        """Where a message is published."""
        body = message.body
        if isinstance(body, Broadcast) and body.request_id is None:
            rooms = body.target.rooms
            return self.broadcast if rooms is None or len(rooms) != 1 else f"{self.broadcast}{next(iter(rooms))}#"
        if message.to is None:
            return self.request
        return f"{self.response}{message.to}#" if message.to else self.response

    def room_of(self, channel: str) -> str:
        """The room in the name of a channel of broadcasts; ``""``: none."""
        return channel[len(self.broadcast) : -1]


class Request(NamedTuple):
    """What another server wants."""

    messages: list[Message]
    request_id: str = ""
    form: Form = ""
    """What its answer is, where it is none of `Fetch`: ``"sids"``; ``"rooms"``, all of them; ``"done"``, that the
    client is here, and nothing where it is not."""


# ---- to the bus ------------------------------------------------------------------------------------------------------


def write_message(message: Message, form: Form = "") -> bytes:
    """What is published; with ``form`` an answer to a request of older servers. Empty: nothing is.

    Raises:
        UsageError: something in it has no form.
    """
    body = message.body
    if isinstance(body, Fetched) and form:
        found = _answer_of(body, form)
        return b"" if found is None else _packed({"requestId": body.request_id, **found})
    _, data = body_fields(body)
    if type(body) not in _WRITERS or data is None:
        raise UsageError(f"a {type(body).__name__} has no form on this bus")
    if isinstance(body, Broadcast):
        data["packet"]["nsp"] = message.namespace or "/"
        if body.request_id is None:
            return write([message.uid, data["packet"], data["opts"]], DEPTH)
    elif "opts" in data:
        del data["opts"]["flags"]
    fields = _WRITERS[type(body)](data)
    if not isinstance(body, Ack | Broadcast | Gone):
        return _packed({"uid": message.uid, **fields})
    return write({"uid": message.uid, **fields}, DEPTH)


def _packed(fields: Fields) -> bytes:
    text = to_json(fields)
    return write(fields, DEPTH) if text is None else text.encode()


def _answer_of(body: Fetched, form: Form) -> Fields | None:
    sids = [info.sid for info in body.sockets]
    if form == "sids":
        return {"sockets": sids}
    if form == "rooms":
        return {"rooms": sorted({*sids, *(room for info in body.sockets for room in info.rooms)})}
    return {} if sids else None


def _server_event(data: Fields) -> Fields:
    event = data.pop("packet")
    return {"type": 6, "data": event, **data}


def _server_answer(data: Fields) -> Fields:
    return {"type": 6, "requestId": data["requestId"], "data": data["packet"]}


_WRITERS: dict[type, Callable[[Fields], Fields]] = {
    Join: lambda data: {"type": 2, **data},
    Leave: lambda data: {"type": 3, **data},
    Disconnect: lambda data: {"type": 4, **data},
    Fetch: lambda data: {"type": 5, **data},
    ServerEvent: _server_event,
    Broadcast: lambda data: {"type": 7, **data},
    ClientCount: lambda data: {"type": 8, **data},
    Ack: lambda data: {"type": 9, "packet": None, **data},
    Gone: lambda data: {"type": 9, "packet": None, **data},
    Fetched: lambda data: data,
    ServerAnswer: _server_answer,
}


# ---- from the bus ----------------------------------------------------------------------------------------------------


def read_broadcast(data: bytes, namespace: str, most: int = MOST) -> Message | None:
    """The message in a channel of broadcasts. None: it is for another namespace, whose channels look alike.

    Raises:
        MalformedMessage: it is none.
    """
    found = read_fields(data, most) if data[:1] != b"{" else None
    if type(found) is not list or len(found) < 3 or type(found[1]) is not dict or type(found[2]) is not dict:
        raise MalformedMessage(f"a broadcast {data[:40]!r}, expected [uid, packet, opts]")
    uid, packet, opts = found[:3]
    if packet.get("nsp", "/") != (namespace or "/"):  # old emitters leave it out
        return None
    opts.setdefault("rooms", [])
    return Message(_uid(uid), namespace, read_body(3, {"packet": packet, "opts": opts}, namespace))


def read_request(data: bytes, namespace: str, most: int = MOST) -> Request:
    """What has come in the channel of requests.

    Raises:
        MalformedMessage: it is none.
    """
    fields = _fields(data, most)
    number = fields.get("type")
    if type(number) is not int or number not in _REQUESTS:
        raise MalformedMessage(f"a request of type {number!r:.20}")
    uid, sid = _uid(fields.get("uid", "")), fields.get("sid")
    if number in _MOVES and "opts" not in fields and type(sid) is str:
        return _legacy(number, uid, sid, fields, namespace)
    if number == 7 and fields.get("requestId") is None:
        raise MalformedMessage("a broadcast with acks that has no requestId")
    kind, changed, form = _REQUESTS[number](fields)
    body = read_body(kind, changed, namespace)
    return Request([Message(uid, namespace, body)], str(fields.get("requestId", "")), form)


def read_answer(data: bytes, namespace: str, most: int = MOST) -> Message | None:
    """What has come in a channel of answers: its ``uid`` is ``""``, for Node does not say it. None: of no use here.

    Raises:
        MalformedMessage: it is none.
    """
    fields = _fields(data, most)
    number, uid = fields.get("type"), _uid(fields.get("uid", ""))
    if number == 6:
        return Message(uid, namespace, read_body(10, {**fields, "packet": fields.get("data")}, namespace))
    if number in (8, 9):
        return Message(uid, namespace, read_body(11 if number == 8 else 12, fields, namespace))
    sockets = fields.get("sockets")
    if number is not None or type(sockets) is not list or not all(type(each) is dict for each in sockets):
        return None  # an answer to a question that this server does not ask
    return Message(uid, namespace, read_body(8, fields, namespace))


def _fields(data: bytes, most: int) -> Fields:
    fields = read_fields(data, most)
    if type(fields) is not dict:
        raise MalformedMessage(f"a message that is no map but {type(fields).__name__}")
    return fields


def _uid(uid: Any) -> str:
    if type(uid) is not str or len(uid) > LONGEST_UID:
        raise MalformedMessage(f"a message of {uid!r:.40}, expected the uid of a server")
    return uid


_MOVES = {2: 4, 3: 5, 4: 6}
"""Requests that move clients: the type that they have in `read_body`."""


def _legacy(number: int, uid: str, sid: str, fields: Fields, namespace: str) -> Request:
    """A request about one client: it is done, and answered by the server that has the client."""
    opts = {"rooms": [sid]}
    moved = {"opts": opts, "rooms": [fields.get("room")], "close": fields.get("close")}
    messages = [Message(uid, namespace, read_body(_MOVES[number], moved, namespace))]
    request_id = fields.get("requestId")
    if request_id is None:
        return Request(messages)
    question = read_body(7, {"opts": opts, "requestId": request_id, "onlySids": True}, namespace)
    return Request([Message(uid, namespace, question), *messages], request_id, "done")


Changed = tuple[int, Fields, Form]


def _sockets(fields: Fields) -> Changed:
    return 7, {**fields, "opts": {"rooms": fields.get("rooms") or []}, "onlySids": True}, "sids"


def _all_rooms(fields: Fields) -> Changed:
    return 7, {**fields, "opts": {"rooms": []}}, "rooms"


_REQUESTS: dict[int, Callable[[Fields], Changed]] = {
    0: _sockets,
    1: _all_rooms,
    2: lambda fields: (4, fields, ""),
    3: lambda fields: (5, fields, ""),
    4: lambda fields: (6, fields, ""),
    5: lambda fields: (7, fields, ""),
    6: lambda fields: (9, {**fields, "packet": fields.get("data")}, ""),
    7: lambda fields: (3, fields, ""),
}
