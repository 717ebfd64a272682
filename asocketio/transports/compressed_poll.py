"""CompressingPoll: a poll whose answer is compressed where it is large and the client takes that."""

from __future__ import annotations

from asocketio.asgi.compression import VARY, accepts_gzip, gzipped
from asocketio.asgi.types import Headers, Receive, Scope, Send
from asocketio.protocol.base import Body, BodyFormat
from asocketio.transports.polling import Poll

__all__ = ["CompressingPoll"]


class CompressingPoll(Poll):
    """A GET of an open session, of an app with ``http_compression``; JSONP too, whose scripts are answers like any."""

    def __init__(
        self, body_format: BodyFormat, scope: Scope, receive: Receive, send: Send, headers: Headers, threshold: int
    ) -> None:
        super().__init__(body_format, receive, send, headers)
        self._scope = scope
        self._threshold = threshold

    async def answer(self, body: Body) -> None:
        if body.status == 200:
            self._headers = [*self._headers, VARY]
            if len(body.content) >= self._threshold and accepts_gzip(self._scope):
                content = await gzipped(body.content)
                if len(content) < len(body.content):
                    self._headers.append((b"content-encoding", b"gzip"))
                    body = body._replace(content=content)
        await super().answer(body)
