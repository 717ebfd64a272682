"""A POST of an open session: it brings frames. One at a time; who breaks that rule ends the session.

Source: Engine.IO protocol, "HTTP long-polling".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from itertools import islice

from asocketio.asgi.responses import NO_STORE, answer, read_body, refuse, try_send
from asocketio.asgi.types import Headers, Receive, Scope, Send, header
from asocketio.errors import Disconnected, PayloadTooLarge, ProtocolError
from asocketio.protocol.base import BodyFormat, Frame
from asocketio.runtime.eager_call import EagerCall
from asocketio.session.close_reasons import FORCED_CLOSE, PARSE_ERROR, TRANSPORT_ERROR
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState

__all__ = ["SLICE", "IncomingBody", "Post", "broke_in", "feed_now", "is_refused", "split"]

SLICE = 64
"""Frames of one client that are handled before others have a turn."""

BODY_DRAIN_TIMEOUT = 2.0
"""Seconds for which the rest of a body that is too large is read, to be thrown away."""


class Post:
    """A POST of an open session: brings frames."""

    def __init__(self, body_format: BodyFormat, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        self._body_format = body_format
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = headers

    async def carry(self, socket: Socket) -> None:
        """Take the body in, then answer.

        While the client's packets fill its backlog the answer waits, at most ``send_timeout``;
        what is left of the body then still goes in before the next POST is read.
        """
        if socket.incoming_post is not None and not await self._wait_for_former(socket):
            await refuse(self._send, 400, self._headers)
            return
        inlet = socket.incoming_post = IncomingBody()
        await self._carry(socket, inlet, self._take_in(socket, inlet))

    async def carry_rest(self, socket: Socket, inlet: IncomingBody, frames: Iterator[Frame]) -> None:
        """`carry`, where a part of the body is in already, and ``frames`` are what is left of it."""
        await self._carry(socket, inlet, self._hand_over(socket, inlet, frames, all_in=False))

    async def _carry(self, socket: Socket, inlet: IncomingBody, taking_in: Awaitable[None]) -> None:
        too_large: PayloadTooLarge | None = None
        try:
            await taking_in
        except PayloadTooLarge as error:
            too_large = error
        except ProtocolError as error:
            socket.refuse(error)
            if not inlet.answered:
                await refuse(self._send, error.status, self._headers)
        except Disconnected as error:
            if not socket.protocol.allows_transport_switch:  # there a request that breaks ends nothing
                socket.close(error.reason)
        finally:
            socket.incoming_post = None
            inlet.finish()
        if too_large is not None:
            await self._refuse_and_linger(socket, too_large)

    async def _refuse_and_linger(self, socket: Socket, error: PayloadTooLarge) -> None:
        """Answer, then read on for a while: the answer to who still sends is lost when the connection just closes.

        Not for ever, as the server would.
        """
        socket.count_limit(error.limit)
        socket.server.throttled_log.warning("payload", "%s: %s", socket.sid_in(""), error, fields=socket.fields())
        if self._body_format.jsonp_index is not None:  # a page cannot see the status of a form: the next poll tells it
            await refuse(self._send, error.status, self._headers)
            socket.close(TRANSPORT_ERROR)
            return
        headers = [NO_STORE, (b"connection", b"close"), (b"content-length", b"0"), *self._headers]
        await try_send(self._send, {"type": "http.response.start", "status": error.status, "headers": headers})
        left = 2 * socket.config.max_payload
        with socket.server.clock.deadline(BODY_DRAIN_TIMEOUT):
            rest = error.rest
            while rest and left > 0:
                message = await self._receive()
                left -= len(message.get("body", b""))
                rest = message.get("more_body", False)
        await try_send(self._send, {"type": "http.response.body", "body": b""})

    async def _wait_for_former(self, socket: Socket) -> bool:
        former = socket.incoming_post
        if former is None or former.awaited or not (former.answered or socket.protocol.allows_transport_switch):
            broke_in(socket, "POST")
            return False
        former.awaited = True
        with socket.server.clock.deadline(socket.config.send_timeout):
            await former.done.wait()
            return socket.incoming_post is None
        socket.close_flooding()
        return False

    async def _take_in(self, socket: Socket, inlet: IncomingBody) -> None:
        reading = inlet.reading = EagerCall(read_body(self._scope, self._receive, socket.config.max_payload))
        if not reading.done and not await reading.finish(socket.server.clock, socket.config.send_timeout):
            socket.close(TRANSPORT_ERROR)  # too slow, if it is not the end of the socket that we heard
            await refuse(self._send, 400, self._headers)
            return
        inlet.reading = None
        body = reading.value
        if socket.protocol.answers_posts_first:
            await self._accept(socket, inlet)
        frames = split(socket, body, self._body_format, header(self._scope, b"content-type"))
        all_in = not inlet.answered and feed_now(socket, frames)
        await self._hand_over(socket, inlet, frames, all_in=all_in)

    async def _hand_over(self, socket: Socket, inlet: IncomingBody, frames: Iterator[Frame], *, all_in: bool) -> None:
        """Hand over what is left of a body, unless that is ``all_in``, and answer where that has to wait for it."""
        if not inlet.answered:
            if not all_in:
                with socket.server.clock.deadline(socket.config.send_timeout):
                    all_in = await _feed(socket, frames)
            if is_refused(socket):
                await refuse(self._send, 400, self._headers)
                return
            await self._accept(socket, inlet)
        if not all_in:
            await _feed(socket, frames)

    async def _accept(self, socket: Socket, inlet: IncomingBody) -> None:
        inlet.answered = True
        await answer(self._send, socket.protocol.post_answer, self._headers)


class IncomingBody:
    """The body of a POST on its way in. ``answered``: the client may send the next."""

    def __init__(self) -> None:
        self.answered = False
        self.awaited = False
        """The next POST waits for the end of this one. Only one may."""
        self.reading: EagerCall[bytes] | None = None
        self.done = asyncio.Event()
        self._successor: asyncio.Future[bool] | None = None

    def succeed(self) -> asyncio.Future[bool]:
        """Wait for the end, to carry the socket then. The newest websocket does, as where none has to wait."""
        self._tell(False)
        self._successor = asyncio.get_running_loop().create_future()
        return self._successor

    def finish(self) -> None:
        """All of it is in, or will never be."""
        self.done.set()
        self._tell(True)

    def _tell(self, turn: bool) -> None:
        successor, self._successor = self._successor, None
        if successor is not None and not successor.done():
            successor.set_result(turn)

    def end(self) -> None:
        """The socket has closed: what is still to come is of no use."""
        if self.reading is not None:
            self.reading.cut()


def split(socket: Socket, body: bytes, body_format: BodyFormat, content_type: str) -> Iterator[Frame]:
    """The frames of a body. Raises what breaks the protocol, but what the generation takes for no more than a slip."""
    kind = content_type.partition(";")[0].strip()
    try:
        yield from socket.reader.split(body, body_format, binary=kind == "application/octet-stream")
    except socket.protocol.nonfatal_errors as error:
        socket.refuse(error)


def is_refused(socket: Socket) -> bool:
    """What a body has brought has ended the session: it is answered by 400."""
    return socket.reason in (PARSE_ERROR, FORCED_CLOSE, TRANSPORT_ERROR)


def feed_now(socket: Socket, frames: Iterator[Frame]) -> bool:
    """Hand over a few frames, as most bodies have; False when more may be left, or there is something to wait for."""
    count = 0
    for frame in islice(frames, SLICE):
        if socket.state is not SocketState.OPEN:
            return True
        if not socket.reader.receive(frame):
            return False
        count += 1
    return count < SLICE


async def _feed(socket: Socket, frames: Iterator[Frame]) -> bool:
    """Hand the frames over. Waits while the backlog is full; lets other clients have their turns. True at the end."""
    count = 0
    while True:
        await socket.reader.wait_readable()
        frame = next(frames, None) if socket.state is SocketState.OPEN else None
        if frame is None:
            return True
        count += 1
        if socket.reader.receive(frame) and count % SLICE == 0:
            await asyncio.sleep(0)


def broke_in(socket: Socket, method: str) -> None:
    """A second request of a kind of which there may be one at a time: the session is over."""
    socket.server.throttled_log.warning(
        method, "%s: closed, a second %s while one is served", socket.sid_in(""), method
    )
    socket.close(TRANSPORT_ERROR)
