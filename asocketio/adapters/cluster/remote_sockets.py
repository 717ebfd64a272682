"""What servers tell each other of a client, in the form of Node's ``RemoteSocket``."""

from __future__ import annotations

import time
from typing import Any

from asocketio.adapters.socket_info import SocketInfo
from asocketio.errors import MalformedMessage
from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.query import read_query

__all__ = ["read_socket", "socket_fields"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RESERVED = frozenset({"EIO", "transport", "t", "j", "b64", "sid"})
"""The fields of the query that are the protocol's, where a server does not say which."""
_PRIVATE = frozenset({"authorization", "cookie"})
_LATEST = 253_402_300_799.0
"""The end of the year 9999, in seconds since 1970."""


def socket_fields(info: SocketInfo, *, only_sid: bool = False) -> dict[str, Any]:
    """A client as other servers are told of it; nothing that is secret is in it."""
    if only_sid:
        return {"id": info.sid}
    shared = info.handshake.shared()
    handshake = {
        "headers": dict(shared.headers),
        "time": _date(shared.time),
        "address": shared.address,
        "xdomain": "origin" in shared.headers,
        "secure": shared.secure,
        "issued": int(shared.time * 1000),
        "url": shared.url,
        "query": read_query(shared.url.partition("?")[2]),
        "auth": {},
        "reserved": sorted(shared.reserved),  # Node has no such field, and does not mind
    }
    return {"id": info.sid, "handshake": handshake, "rooms": [info.sid, *sorted(info.rooms)], "data": info.data}


def read_socket(fields: Any) -> SocketInfo:
    """The client that another server tells of. What of it is missing, or of another type, is empty.

    Raises:
        MalformedMessage: it has no sid.
    """
    if type(fields) is not dict or type(fields.get("id")) is not str:
        raise MalformedMessage(f"a client without an id: {fields!r:.40}")
    sid, rooms, data = fields["id"], fields.get("rooms"), fields.get("data")
    names = [room for room in rooms if type(room) is str] if type(rooms) is list else []
    return SocketInfo(
        sid, frozenset(names) - {sid}, data if type(data) is dict else {}, _read_handshake(fields.get("handshake"))
    )


def _read_handshake(found: Any) -> HandshakeInfo:
    if type(found) is not dict:
        return HandshakeInfo()
    headers, issued, reserved = found.get("headers"), found.get("issued"), found.get("reserved")
    at = issued / 1000 if isinstance(issued, int | float) and 0 <= issued < 1000 * _LATEST else 0.0
    return HandshakeInfo(
        address=_text(found.get("address")),
        time=at,
        secure=found.get("secure") is True,
        url=_text(found.get("url")),
        fields=list(_fields(headers)) if type(headers) is dict else [],
        reserved=frozenset(map(_text, reserved)) if type(reserved) is list else _RESERVED,
    )


def _text(value: Any) -> str:
    return value if type(value) is str else ""


def _fields(headers: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for name, value in headers.items():
        values = value if type(value) is list else [value]  # Node has ``set-cookie`` as a list
        if name.lower() not in _PRIVATE:
            found += [(_bytes(name), _bytes(each)) for each in values if type(each) is str]
    return found


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _date(seconds: float) -> str:
    """A time as JavaScript's ``Date`` is written as text."""
    at = time.gmtime(seconds if 0 <= seconds < _LATEST else 0)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"{day} {month} {at.tm_mday:02} {at.tm_year:04} {clock} GMT+0000 (Coordinated Universal Time)"
