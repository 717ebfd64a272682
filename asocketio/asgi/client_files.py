"""ClientFiles: the scripts of the client, served beside Socket.IO as Node does: ``/socket.io/socket.io.js``."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from asocketio.asgi.cors import check_origin, cors_headers
from asocketio.asgi.responses import respond, try_send
from asocketio.asgi.types import Headers, Scope, Send, header
from asocketio.config import Config
from asocketio.errors import HandshakeError, UsageError

__all__ = ["ClientFiles"]

_NAME = re.compile(r"/(socket\.io(?:\.[a-z]+)*\.js(?:\.map)?)")


class ClientFiles:
    """The files of a folder that are named as the client's scripts are (``client-dist`` of npm's package socket.io).

    Raises:
        UsageError: the folder has no ``socket.io.js``.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            self._folder = Path(folder)
        except TypeError:
            raise UsageError(f"client_files={folder!r}: expected the path of a folder") from None
        if not (self._folder / "socket.io.js").is_file():
            raise UsageError(
                f"client_files={str(folder)!r}: there is no socket.io.js in {str(self._folder.absolute())!r}; "
                "npm's package socket.io has it in client-dist"
            )

    def has(self, below: str, scope: Scope) -> bool:
        """Whether a request asks for one of the files. ``below`` is what follows our path in its URL."""
        name = _NAME.fullmatch(below)
        return scope["type"] == "http" and name is not None and (self._folder / name[1]).is_file()

    async def serve(self, below: str, scope: Scope, send: Send, config: Config) -> None:
        """Answer with the file, or that the browser has it already."""
        if scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, b"Method Not Allowed", [(b"allow", b"GET, HEAD")])
            return
        path = self._folder / below[1:]
        found = path.stat()
        tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        headers = [(b"cache-control", b"public, max-age=0"), (b"etag", tag.encode()), *_cors(scope, config)]
        if tag in header(scope, b"if-none-match"):
            await try_send(send, {"type": "http.response.start", "status": 304, "headers": headers})
            await try_send(send, {"type": "http.response.body", "body": b""})
            return
        kind = b"application/json" if below.endswith(".map") else b"text/javascript"
        headers += [(b"content-type", kind + b"; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
        content = await asyncio.to_thread(path.read_bytes)  # a server leaves the body of an answer to HEAD out
        await respond(send, 200, content, headers)


def _cors(scope: Scope, config: Config) -> Headers:
    """For a page of another origin that loads it as a module. A plain ``<script>`` needs none."""
    try:
        return cors_headers(check_origin(scope, config), config)
    except HandshakeError:
        return []
