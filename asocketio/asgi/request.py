"""EngineRequest: what a request to a Socket.IO URL wants: which generation, transport and session.

The table of generations is here; a new one is a line in it. Clients of Engine.IO say all in the query
(``/socket.io/?EIO=4&transport=polling&sid=...``), those of 0.9 in the path (``/socket.io/1/websocket/<sid>``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl

from asocketio.asgi.types import Scope
from asocketio.config import Config
from asocketio.errors import BadMethod, BadRequest, HeadTooLarge, UnknownTransport, UnsupportedVersion
from asocketio.protocol.base import BodyFormat
from asocketio.protocol.custom_json import SharedProtocols
from asocketio.protocol.parser import Parser
from asocketio.protocol.parsers import ParserName, engine4_of
from asocketio.protocol.query import MAX_FIELDS
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerEngineIO4, ServerProtocol, ServerSocketIO09

__all__ = [
    "GENERATIONS",
    "EngineRequest",
    "Responder",
    "encodes_twice",
    "guess_responder",
    "is_client",
    "is_client_file",
    "is_ours",
    "parse_request",
    "path_below",
    "protocols_of",
]

GENERATIONS: dict[str, Callable[[], ServerProtocol]] = {
    "0.9": ServerSocketIO09,
    "3": ServerEngineIO3,
    "4": ServerEngineIO4,
}
"""The name of a generation -> what makes its protocol."""

_CLIENTS = {"0.9": "0.9", "3": "1.x and 2.x", "4": "3.x and 4.x"}
_GENERATION_OF = {"2": "3", "3": "3", "4": "4"}  # by EIO=; the browser build of 1.0 says 2
_FIELD = 100
"""What a header field costs, beside its bytes."""
_OBJECT = 60
"""What a short text costs."""
_TRANSPORTS_09: dict[str, Literal["polling", "websocket"]] = {
    "websocket": "websocket",
    "xhr-polling": "polling",
    "jsonp-polling": "polling",
}
SHOWN = 13
"""Characters of a field that are told of a request: all of any transport, and not those of a session's id."""

_PATH_09 = re.compile(r"/1/(?:websocket|flashsocket|htmlfile|xhr-polling|jsonp-polling)/")
_CLIENT_FILE = re.compile(r"/socket\.io(?:\.[a-z]+)*\.js(?:\.map)?\Z")
_OF_1_0 = re.compile(rb"(?:^|&)EIO=2(?:&|$)")
_INDEX = re.compile(r"[0-9]{1,9}")


def _reserved(names: frozenset[str], websocket: bool, jsonp: bool, text_only: bool) -> frozenset[str]:
    used = {"t": not websocket, "j": jsonp, "jsonp": jsonp, "b64": text_only}
    return frozenset(name for name in names if used.get(name, True))


_RESERVED = {
    (cls.generation, *of_request): _reserved(cls.reserved_fields, *of_request)
    for cls in (ServerSocketIO09, ServerEngineIO3, ServerEngineIO4)
    for of_request in product((False, True), repeat=3)
}
"""Each session keeps one of these: generation, by websocket, JSONP, text only -> names."""


class EngineRequest(NamedTuple):
    """A well-formed request of a client. ``sid`` is empty when it asks for a new session."""

    protocol: ServerProtocol
    transport: Literal["polling", "websocket"]
    sid: str
    body_format: BodyFormat
    closes_session: bool = False
    """The page is being closed (0.9, ``?disconnect=1``)."""

    @property
    def reserved_fields(self) -> frozenset[str]:
        """The fields of its query that are the protocol's. Others of these names are the program's."""
        jsonp, text_only = self.body_format.jsonp_index is not None, self.body_format.text_only
        return _RESERVED[self.protocol.generation, self.transport == "websocket", jsonp, text_only]


class Responder(NamedTuple):
    """Who seems to be asking, well-formed or not: how to answer it."""

    protocol: ServerProtocol
    body_format: BodyFormat


def protocols_of(
    config: Config, parsers: Sequence[ParserName], parser: Parser | None, shared: SharedProtocols
) -> dict[str, ServerProtocol]:
    """The protocols of the generations that are served, by their names.

    Raises:
        UsageError: ``parsers`` or ``parser`` is wrong.
    """
    served = [str(generation) for generation in config.generations]
    protocols = {name: make() for name, make in GENERATIONS.items() if name in served}
    engine4 = engine4_of(parsers, parser)
    if engine4 is not None and "4" in protocols:
        protocols["4"] = engine4
        shared.others = (engine4,)
    return protocols


def is_client(scope: Scope) -> bool:
    """Whether a request for whatever path is a Socket.IO client's, and not a page's, a crawler's or a health check's.

    From 1.0 on clients say ``EIO=``; 0.9 asks for ``/1/?t=...`` first. Or the path itself speaks of Socket.IO.
    """
    path, query = scope["path"], b"&" + scope.get("query_string", b"")
    if b"&EIO=" in query or "/socket.io/" in path + "/":
        return True
    return _PATH_09.search(path) is not None or (path.endswith("/1/") and b"&t=" in query)


def is_client_file(path: str) -> bool:
    """Whether a path is that of the client's own script, as Node serves it."""
    return _CLIENT_FILE.search(path) is not None


def path_below(scope: Scope, path: str) -> str | None:
    """What follows ours in the URL's path: ``"/"``, ``"/1/..."``, or None where the request is not for us.

    Ours is ``/<path>/``; or ``/`` where the app is mounted at a ``root_path`` that ends in ``/<path>``.
    """
    root = scope.get("root_path", "").rstrip("/")
    here = _without_root(scope["path"], root)
    if here == path or here.startswith(path + "/"):
        return here[len(path) :] or "/"
    if root.endswith(path):
        return here or "/"
    return None


def _without_root(path: str, root: str) -> str:
    """``path`` below ``root``.

    The ASGI specification has all of ``root_path`` in the path. uvicorn does that; hypercorn and
    granian leave their own part of it out, and mounts inside the application add theirs to both.
    """
    while root:
        if path == root or path.startswith(root + "/"):
            return path[len(root) :]
        cut = root.find("/", 1)
        root = root[cut:] if cut > 0 else ""
    return path


def is_ours(below: str) -> bool:
    """Whether what follows our path is for Socket.IO: nothing, or what clients of 0.9 add."""
    return below == "/" or _is_09(below)


def encodes_twice(scope: Scope) -> bool:
    """Whether the client is the browser build of 1.0.x, which encodes text twice by every transport.

    What it runs on in Node says the same as all later versions, and has to be found out.
    """
    return _OF_1_0.search(scope["query_string"]) is not None


def guess_responder(scope: Scope, below: str) -> Responder:
    """Whom to answer, in its own way. Raises nothing."""
    query = _fields(scope) or {}
    if _is_09(below):
        transport = below.removeprefix("/1").strip("/").partition("/")[0]
        field = {"": "jsonp", "jsonp-polling": "i"}.get(transport, "") if scope["type"] == "http" else ""
        return Responder(_RESPONDERS["0.9"], BodyFormat(jsonp_index=_index(query.get(field, ""))))
    return Responder(_RESPONDERS[_GENERATION_OF.get(query.get("EIO", ""), "4")], BodyFormat())


def parse_request(scope: Scope, below: str, config: Config, protocols: Mapping[str, ServerProtocol]) -> EngineRequest:
    """What the request asks for. ``protocols`` are the generations that are served.

    Raises:
        HandshakeError: it is not one that any client of ours makes.
    """
    if len(scope["query_string"]) > config.max_head:
        raise HeadTooLarge(f"a query of {len(scope['query_string'])} bytes (max_head)")
    query = _fields(scope)
    if query is None:
        raise BadRequest(f"a query of over {MAX_FIELDS} fields")
    websocket = scope["type"] == "websocket"
    request = _visit_09(query, below, protocols, websocket) if _is_09(below) else _visit(query, protocols, websocket)
    if request.transport not in config.transports and not request.closes_session:
        raise UnknownTransport(f"{request.transport} is switched off, served are {', '.join(config.transports)}")
    if websocket:
        if request.transport != "websocket":
            raise BadRequest(f"a websocket with transport={request.transport!r}")
    elif request.transport == "websocket" and not request.closes_session:
        raise BadRequest("transport=websocket without an upgrade to websocket; a proxy may have dropped the header")
    elif request.sid and scope["method"] not in ("GET", "POST"):
        raise BadRequest(f"{scope['method'][:SHOWN]!r} on a session, expected GET or POST")
    elif not request.sid and scope["method"] != "GET":
        raise BadMethod(f"a handshake by {scope['method'][:SHOWN]!r}, expected GET")
    if not request.sid or websocket:
        _check_head(scope, config)
    return request


def _check_head(scope: Scope, config: Config) -> None:
    """Refuse a request whose head is too large to be kept: the program sees it for as long as the session lives.

    What counts is what it becomes: a field is three objects, one of ``Sec-WebSocket-Protocol`` is one more.
    """
    size = len(scope["path"]) + len(scope["query_string"]) + _OBJECT * len(scope.get("subprotocols") or ())
    for name, value in scope["headers"]:
        size += len(name) + len(value) + _FIELD
    if size > config.max_head:
        raise HeadTooLarge(f"a URL and header fields that count {size} (max_head={config.max_head})")


def _visit(query: dict[str, str], protocols: Mapping[str, ServerProtocol], websocket: bool) -> EngineRequest:
    version = query.get("EIO", "")
    protocol = _served(_GENERATION_OF.get(version, ""), version, protocols)
    transport = query.get("transport", "")
    if transport not in ("polling", "websocket"):
        raise UnknownTransport(f"transport={transport[:SHOWN]!r}, expected polling or websocket")
    script = None if websocket else query.get("j")  # there it is the program's
    if script is not None and _index(script) is None:
        raise BadRequest(f"j={script[:SHOWN]!r}, expected the number of a JSONP callback")
    body_format = BodyFormat(query.get("b64") in ("1", "true"), None if script is None else _index(script))
    sid = query.get("sid", "")
    return EngineRequest(protocol, "websocket" if transport == "websocket" else "polling", sid, body_format)


def _visit_09(
    query: dict[str, str], below: str, protocols: Mapping[str, ServerProtocol], websocket: bool
) -> EngineRequest:
    """``/1/`` is a handshake, ``/1/<transport>/<sid>`` a request of a session."""
    protocol = _served("0.9", "", protocols)
    name, _, sid = below.removeprefix("/1").removeprefix("/").partition("/")
    sid = sid.removesuffix("/")
    if not name and not sid:
        # What will carry it is not known yet; the handshake itself is a plain request.
        return EngineRequest(protocol, "polling", "", BodyFormat(jsonp_index=_index(query.get("jsonp", ""))))
    closes_session = query.get("disconnect") == "1" and not websocket
    transport = _TRANSPORTS_09.get(name)
    if not sid or (transport is None and not closes_session):
        raise UnknownTransport(f"transport {name[:SHOWN]!r}, served are {', '.join(_TRANSPORTS_09)}")
    body_format = BodyFormat(jsonp_index=_index(query.get("i", "")) or 0) if name == "jsonp-polling" else BodyFormat()
    return EngineRequest(protocol, transport or "polling", sid, body_format, closes_session)


def _served(generation: str, version: str, protocols: Mapping[str, ServerProtocol]) -> ServerProtocol:
    protocol = protocols.get(generation)
    if protocol is not None:
        return protocol
    served = ", ".join(f"{name} (socket.io-client {_CLIENTS[name]})" for name in protocols)
    if generation:
        met = f"generation {generation}, socket.io-client {_CLIENTS[generation]}, is switched off (generations=...)"
    elif version:
        met = f"EIO={version[:SHOWN]!r}"
    else:
        met = "no EIO in the URL, so it is no Socket.IO client (a browser's tab, curl, a health check?)"
    raise UnsupportedVersion(f"{met}; served are {served}")


def _is_09(below: str) -> bool:
    return below == "/1" or below.startswith("/1/")


def _fields(scope: Scope) -> dict[str, str] | None:
    text = scope["query_string"].decode("latin-1")
    if "%" not in text and "+" not in text and text.count("&") < MAX_FIELDS:
        # What polls of real clients look like: 1 µs instead of 8.
        return dict([pair.partition("=")[::2] for pair in text.split("&") if pair])
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        return None


def _index(text: str) -> int | None:
    return int(text) if _INDEX.fullmatch(text) else None


_RESPONDERS: dict[str, ServerProtocol] = {name: make() for name, make in GENERATIONS.items()}
