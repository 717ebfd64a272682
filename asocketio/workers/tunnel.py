"""Tunnel: a request of a sibling's session, passed on to the sibling as ASGI events.

It is passed on once, and never again: the sibling may have acted upon what it has heard of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asocketio.asgi.responses import try_send
from asocketio.asgi.types import Message, Receive, Send
from asocketio.errors import UnknownSession
from asocketio.runtime.log import log
from asocketio.workers.events import (
    END,
    LAST_BODY,
    OPEN,
    RELEASE,
    Forwarded,
    MalformedFrame,
    decode,
    decode_opening,
    encode,
    encode_opening,
)
from asocketio.workers.link import Frame, Link, LinkLost

__all__ = ["Arrival", "Tunnel"]

GOING_AWAY = 1001
SERVICE_RESTART = 1012
_CLOSES = ("websocket.close", "websocket.disconnect", "http.disconnect")


class Tunnel:
    """The end of it in the worker that met the request."""

    def __init__(self, link: Link, forwarded: Forwarded, receive: Receive, send: Send) -> None:
        self._link = link
        self._forwarded = forwarded
        self._receive = receive
        self._send = send
        self._websocket = forwarded.scope["type"] == "websocket"
        self._answered = False
        self._client_gone = False

    async def run(self) -> None:
        """Pass everything on, both ways, until the answer is complete or the websocket has ended.

        Raises:
            UnknownSession: the sibling died, and nothing was answered yet.
        """
        upward: asyncio.Task[None] | None = None
        try:
            self._link.write(*encode_opening(self._forwarded))
            upward = asyncio.get_running_loop().create_task(self._pass_upward())
            await self._pass_downward()
        except (LinkLost, MalformedFrame) as error:
            await self._break_off(error)
        finally:
            self._link.close()
            if upward is not None:
                upward.cancel()
                await asyncio.wait([upward])

    def release(self) -> None:
        """This worker is closing: a poll that waits is answered, a websocket ends."""
        try:
            if self._websocket:
                self._link.write(*encode({"type": "websocket.disconnect", "code": GOING_AWAY}))
            else:
                self._link.write(RELEASE, b"")
        except LinkLost:
            pass  # it ends anyway

    def cut(self) -> None:
        """End it now."""
        self._link.abort()

    async def _pass_upward(self) -> None:
        """What the client says, to the sibling."""
        try:
            while True:
                message = await self._receive()
                self._client_gone = message["type"] in _CLOSES
                self._link.write(*encode(message))
                if self._client_gone:
                    return
                await self._link.drain()
        except LinkLost:
            pass  # the other direction says so
        except Exception as error:  # servers raise exceptions of any type when the peer has gone
            log.debug("a forwarded request was lost: %r", error)
            self._client_gone = True
            self._link.close()

    async def _pass_downward(self) -> None:
        """What the sibling says, to the client."""
        content, body = "websocket.send", "http.response.body"
        while (frame := await self._link.read()) is not None and frame.kind != END:
            message = decode(frame, content, body)
            self._answered = True
            if not await try_send(self._send, message):
                return
            if frame.kind == LAST_BODY or _is_last(message):
                return
        raise LinkLost("the worker that has the session has gone")

    async def _break_off(self, error: Exception) -> None:
        """Nothing more will come from the sibling."""
        if self._client_gone:
            return
        if not self._answered:
            raise UnknownSession(f"forwarded to its worker, which has ended before it answered: {error}")
        if self._websocket:
            await try_send(self._send, {"type": "websocket.close", "code": SERVICE_RESTART})
        # The server cuts the connection of a response that is not complete.


def _is_last(message: Message) -> bool:
    kind = message["type"]
    return kind == "websocket.close" or (kind == "websocket.http.response.body" and not message.get("more_body"))


class Arrival:
    """The end of it in the worker that has the session: ``receive`` and ``send`` of a call.

    ``release`` is called with the id of the session when the other worker is closing.
    """

    def __init__(self, link: Link, release: Callable[[str], object]) -> None:
        self._link = link
        self._release = release
        self._gone: Message
        self.forwarded: Forwarded

    def open(self, frame: Frame) -> None:
        """Take the first frame, which is the request.

        Raises:
            MalformedFrame: it is none.
        """
        if frame.kind != OPEN:
            raise MalformedFrame(f"a frame of kind {frame.kind} before a request")
        self.forwarded = decode_opening(frame)
        websocket = self.forwarded.scope["type"] == "websocket"
        self._gone = {"type": "websocket.disconnect", "code": 1006} if websocket else {"type": "http.disconnect"}

    async def receive(self) -> Message:
        """The next message of the client; that it has gone, where the other worker has."""
        while (frame := await self._link.read()) is not None:
            if frame.kind != RELEASE:
                return decode(frame, "websocket.receive", "http.request")
            self._release(self.forwarded.sid)
        return self._gone

    async def send(self, message: Message) -> None:
        """Answer the client.

        Raises:
            LinkLost: the other worker has gone, and with it the client.
        """
        self._link.write(*encode(message))
        await self._link.drain()

    async def end(self) -> None:
        """The call is over. Returns when the other worker has ended the link.

        Closed here it would be reset, and the answer with it, where the other worker writes before it has read that.
        """
        self._link.write(END, b"")
        while await self._link.read() is not None:
            pass
