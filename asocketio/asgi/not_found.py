"""What the log says of a request that a SocketIOApp without a wrapped application answers with 404."""

from __future__ import annotations

from asocketio.asgi.request import is_client, is_client_file
from asocketio.asgi.types import Scope
from asocketio.runtime.log import ThrottledLog, hide_sessions

__all__ = ["log_wrong_path"]


def log_wrong_path(scope: Scope, path: str, lines: ThrottledLog) -> None:
    """Say that a client asks for Socket.IO, or for the client's script, at a wrong path. Ours is ``path``."""
    if is_client_file(scope["path"]):
        lines.warning(
            "script", "404: %r: the script of the client is not served here; take it from the npm package "
            "socket.io-client, or from https://cdn.socket.io, or write client_files=",
            hide_sessions(scope["path"])[:200],
        )  # fmt: skip
    elif is_client(scope):
        root = scope.get("root_path", "").rstrip("/")
        served = f"{root}/" if root.endswith(path) else f"{root}{path}/"
        lines.warning(
            "path",
            "404: the path is %r, Socket.IO is at %r: write io(url, {path: %r}) there, or another path=%r here",
            hide_sessions(scope["path"])[:200], served, served, path.strip("/"),
        )  # fmt: skip
