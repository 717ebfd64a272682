"""An HTTP connection in memory to our HTTP class, by either parser of uvicorn's: bytes in, bytes out."""

from __future__ import annotations

import re
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from asocketio.servers.uvicorn import WebSocketProtocol
from asocketio.servers.uvicorn_http import http_protocol
from asocketio.testing import settle
from tests.clients.memory_connection import MemoryTransport

__all__ = ["HTTPConnection", "chunked", "get", "post"]


class HTTPConnection:
    """One connection in memory, whose client reads when it is told to.

    ``base`` is one of uvicorn's classes. Connections to the same server share ``server``, another one of them.
    """

    def __init__(self, base: Any, app: Any, server: HTTPConnection | None = None, **settings: Any) -> None:
        self.app = app
        if server is None:
            settings = {"ws": WebSocketProtocol, "proxy_headers": False, "log_level": "critical", **settings}
            self.config = Config(app, log_config=None, lifespan="off", **settings)
            self.config.load()
            self.state = ServerState()
        else:
            self.config, self.state = server.config, server.state
        self.http: Any = http_protocol(base)(config=self.config, server_state=self.state, app_state={})
        self.transport = MemoryTransport()
        self.transport.protocol = self.http
        self.http.connection_made(self.transport)

    def comes(self, data: bytes) -> None:
        self.transport.protocol.data_received(data)

    @property
    def written(self) -> bytes:
        return b"".join(self.transport.writes)

    async def ask(self, data: bytes) -> bytes:
        """The answer to one request."""
        before = len(self.written)
        self.comes(data)
        await settle()
        return self.written[before:]

    async def session(self) -> str:
        """The id of a session that polls."""
        answer = await self.ask(get("/socket.io/?EIO=4&transport=polling"))
        found = re.search(rb'"sid":"([^"]+)', answer)
        assert found is not None
        return found[1].decode()

    @property
    def parsed_early(self) -> int:
        """Requests that are objects already."""
        return len(self.http.pipeline)


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def post(target: str, body: bytes) -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(target: str, *parts: bytes) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))
