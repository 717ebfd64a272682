"""PollRequest: a poll of a session, read from the bytes of an HTTP request, where it is as plain as clients write it.

What is not as plain is None: uvicorn's parser reads it, or refuses it, and it goes over ASGI. So each byte that counts
is looked at here, and what is looked at less than uvicorn does is left to it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from asocketio.asgi.types import Headers
from asocketio.protocol.query import MAX_FIELDS

__all__ = ["PollHead", "PollRequest", "read_head", "read_poll"]

_LINE = re.compile(rb"(GET|POST) (/[!-~]*?)\?([!-~]+) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^\x00-\x1f\x7f]|\t)*)")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_END_OF_HEAD = b"\r\n\r\n"
_GENERATION_OF = {b"3": "3", b"4": "4"}
_OF_OTHERS = frozenset((b"j", b"b64"))
"""Fields of a query that ask for another form of the answer."""

_OF_ASGI = frozenset(
    (
        b"transfer-encoding",
        b"expect",
        b"upgrade",
        b"trailer",
        b"te",
        b"proxy-connection",
        b"keep-alive",
        b"http2-settings",
    )
)
"""Header fields of requests that are more than a plain exchange."""


class PollRequest(NamedTuple):
    """A request of a session by long-polling, as far as its first line tells."""

    method: str
    path: bytes
    query: bytes
    generation: str
    sid: str
    fields: bytes
    """The lines of the header fields, with their ends."""
    rest: bytes
    """What follows the head."""


class PollHead(NamedTuple):
    """The header fields of a poll."""

    headers: Headers
    content_length: int
    content_type: str


def read_poll(data: bytes) -> PollRequest | None:
    """The poll that ``data`` begins with, whose head is in there as a whole; None where it is not a plain one."""
    end_of_line = data.find(b"\r\n")
    end = data.find(_END_OF_HEAD, max(end_of_line, 0))
    if end < 0:
        return None
    line = _LINE.fullmatch(data[:end_of_line])
    if line is None:
        return None
    method, path, query = line.groups()
    if b"%" in query or b"+" in query or query.count(b"&") >= MAX_FIELDS:
        return None
    named: dict[bytes, bytes] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        named[name] = value
    generation = _GENERATION_OF.get(named.get(b"EIO", b""))
    sid = named.get(b"sid")
    if not sid or generation is None or named.get(b"transport") != b"polling" or not _OF_OTHERS.isdisjoint(named):
        return None
    fields = data[end_of_line + 2 : end + 2]
    return PollRequest(method.decode(), path, query, generation, sid.decode(), fields, data[end + 4 :])


def read_head(fields: bytes) -> PollHead | None:
    """The header fields of a poll; None where they ask for more than a plain exchange, or are not as they should be."""
    headers: Headers = []
    for line in fields.split(b"\r\n")[:-1]:
        found = _FIELD.fullmatch(line)
        if found is None:
            return None
        headers.append((found[1].lower(), found[2].rstrip(b" \t")))
    named = dict(headers)
    if b"host" not in named or not _OF_ASGI.isdisjoint(named):
        return None
    names = [name for name, _ in headers]
    if any(names.count(name) > 1 for name in (b"content-length", b"content-type", b"connection")):
        return None
    if named.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    length = named.get(b"content-length", b"0")
    if _LENGTH.fullmatch(length) is None:
        return None
    return PollHead(headers, int(length), named.get(b"content-type", b"").decode("latin-1"))
