"""HTTP/1.1 messages as bytes: requests of a client, also for a websocket, and the responses of a server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ACCEPT", "KEY", "OPENING", "Response", "request", "take_response", "upgrade_request"]

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # and its answer: RFC 6455, 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OPENING = "/socket.io/?EIO=4&transport=websocket"
HEAD_END = b"\r\n\r\n"
WITHOUT_BODY = (204, 304)

Header = tuple[str, str]

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


def request(
    method: str, target: str, body: bytes | str = b"", headers: Sequence[Header] = (), host: str = "127.0.0.1"
) -> bytes:
    """A request whose length is right."""
    content = body.encode() if isinstance(body, str) else body
    rows = [("host", host), *headers]
    if content or method == "POST":
        rows.append(("content-length", str(len(content))))
    head = "".join(f"{name}: {value}\r\n" for name, value in rows)
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + content


def upgrade_request(target: str = OPENING, *more: Header, leave: str = "", host: str = "testserver") -> bytes:
    """A request for a websocket, with ``more`` headers and without the one to ``leave`` out."""
    own = [
        ("host", host),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", KEY.decode()),
        ("sec-websocket-version", "13"),
    ]
    headers = [*(header for header in own if header[0] != leave), *more]
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    return f"GET {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole one. ``head`` ends with the line end of its last header."""

    status: int
    """0: these bytes are no response."""
    head: bytes
    body: bytes
    until_end: bool = False
    """Its body ends with the connection."""

    @property
    def closes(self) -> bool:
        """The server says that it closes the connection."""
        return b"\r\nconnection: close\r\n" in self.head.lower()


def take_response(data: bytes) -> tuple[Response | None, bytes]:
    """The first response in ``data``, and what is left. None: it is not whole."""
    found = data.find(HEAD_END)
    if found < 0:
        return None, data
    head, start = data[: found + 2], found + len(HEAD_END)
    match = _STATUS.match(head)
    status = int(match[1]) if match else 0
    length = _LENGTH.search(head)
    if status in WITHOUT_BODY or 0 < status < 200:
        return Response(status, head, b""), data[start:]
    if length is None and b"transfer-encoding: chunked" in head.lower():
        try:
            whole = _chunked(data, start)
        except ValueError:
            return Response(0, head, data[start:]), b""
        return (None, data) if whole is None else (Response(status, head, whole[0]), data[whole[1] :])
    if length is None:
        return Response(status, head, data[start:], until_end=True), b""
    end = start + int(length[1])
    if end > len(data):
        return None, data
    return Response(status, head, data[start:end]), data[end:]


def _chunked(data: bytes, at: int) -> tuple[bytes, int] | None:
    """The body that begins there, and where it ends. None: it is not whole.

    Raises:
        ValueError: the size of a chunk is no number.
    """
    parts: list[bytes] = []
    while (line := data.find(b"\r\n", at)) >= 0:
        size, start = int(data[at:line], 16), line + 2
        if len(data) < start + size + 2:
            break
        if not size:
            return b"".join(parts), start + 2
        parts.append(data[start : start + size])
        at = start + size + 2
    return None
