"""Visit: what a request to a Socket.IO URL wants: which generation, transport and session.

The table of generations and the one of transports are here; a new one is a line in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import parse_qsl

from asocketio.config import Config
from asocketio.errors import BadMethod, BadRequest, UnknownTransport, UnsupportedVersion
from asocketio.protocol import Protocol
from asocketio.protocols.engineio4 import EngineIO4
from asocketio.transport import Scope

__all__ = ["GENERATIONS", "Visit", "path_below", "read_visit"]

_CLIENTS = {
    "": "no EIO in the URL, so it is no Socket.IO client (a browser's tab, curl, a health check?) or one of 0.9",
    "2": "EIO=2 is socket.io-client 1.0",
    "3": "EIO=3 is socket.io-client 1.x or 2.x",
}
MAX_FIELDS = 200
"""Fields in a URL's query; it is the client's, so it is bounded."""

GENERATIONS: dict[str, type[Protocol]] = {"4": EngineIO4}
"""The value of ``EIO=`` -> the protocol it means."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A well-formed request of a client. ``sid`` is empty when it asks for a new session."""

    protocol: Protocol
    transport: Literal["polling", "websocket"]
    sid: str


def path_below(scope: Scope, path: str) -> str | None:
    """What follows ours in the URL's path: ``"/"``, or None where the request is not for us.

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


def read_visit(scope: Scope, config: Config, protocols: dict[str, Protocol]) -> Visit:
    """What the request asks for.

    Raises:
        HandshakeError: it is not one that any client of ours makes.
    """
    try:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=MAX_FIELDS))
    except ValueError:
        raise BadRequest(f"a query of over {MAX_FIELDS} fields") from None
    version = query.get("EIO", "")
    sid = query.get("sid", "")
    transport = query.get("transport", "")
    protocol = protocols.get(version)
    if protocol is None:
        met = _CLIENTS.get(version, f"EIO={version[:20]!r}")
        raise UnsupportedVersion(f"{met}; served are EIO={', '.join(protocols)}: socket.io-client 3.x and 4.x")
    if transport not in config.transports:
        raise UnknownTransport(f"transport={transport[:20]!r}, expected one of {', '.join(config.transports)}")
    if scope["type"] == "websocket":
        if transport != "websocket":
            raise BadRequest(f"a websocket with transport={transport!r}")
    elif transport == "websocket":
        raise BadRequest("transport=websocket without an upgrade to websocket; a proxy may have dropped the header")
    elif not sid and scope["method"] != "GET":
        raise BadMethod(f"a handshake by {scope['method']!r}, expected GET")
    return Visit(protocol, cast("Literal['polling', 'websocket']", transport), sid)
