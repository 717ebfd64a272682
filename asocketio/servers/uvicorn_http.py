"""What our HTTP class adds to uvicorn's, with either parser: a response is one write, and requests come one at a time.

A client may send requests before it has the answers to others. uvicorn parses what has come at once, and keeps it as
objects, 4 kB for a request of 20 bytes; each request that it answers reads on, though the client takes no answer. Here
what follows a request waits as bytes until the request is answered, and from `PIPELINE` of them on nothing is read.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from asocketio.servers.direct_polls import DirectPolls, PollTable
from asocketio.servers.losses import Losses
from asocketio.servers.release import release_error, release_transport
from asocketio.servers.write_coalescer import WriteCoalescer

__all__ = ["PIPELINE", "http_protocol"]

PIPELINE = 65_536
"""Bytes that a client may send while a request of its own is answered; then the connection is not read."""

HEAD = 65_536
"""Bytes of a request's head, unless ``--h11-max-incomplete-event-size`` says so. httptools has no limit, h11 16 kB."""

PIECE = 2048
"""Bytes of a body that the parser is given at a time, where another request may begin in them."""

_END_OF_HEAD = b"\r\n\r\n"
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 31\r\nconnection: close\r\n\r\nRequest header fields too large"
)


def http_protocol(base: Any) -> Any:
    """``base``, one of uvicorn's HTTP classes, with what this module adds."""
    return type("HTTPProtocol", (_Added, base), {"__doc__": __doc__})


def _elements(value: bytes) -> list[bytes]:
    """The elements of a list, in lower case."""
    return [element.strip() for element in value.lower().split(b",")]


class _Flow(FlowControl):
    """uvicorn's, which each request may ask to read on."""

    full = False
    """`PIPELINE` has been reached."""

    def resume_reading(self) -> None:
        if not self.full:
            super().resume_reading()


class _Added:
    # What the classes have in common; `pipeline`, the requests that were parsed too early, is that of one of them.
    transport: Any
    loop: asyncio.AbstractEventLoop
    config: Any
    flow: Any
    cycle: Any
    parser: Any
    timeout_keep_alive_task: asyncio.TimerHandle | None
    headers: list[tuple[bytes, bytes]]
    pipeline: Any = ()
    app: Any
    server_state: Any
    client: Any
    scheme: str | None
    access_log: bool
    access_logger: Any
    timeout_keep_alive: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._polls: DirectPolls | None = None
        self._table: PollTable | None = None
        if self.config.limit_concurrency is None:  # uvicorn counts ASGI calls for that
            self._table = PollTable.of(self.config)
            self.app = self._table.introduced(self.app)
        self._answered_at = 0.0
        """When the last poll was answered that was served directly."""
        self._waiting = bytearray()
        """What has come behind a request that is not answered yet."""
        self._head = 0
        """Bytes of a head whose end has not come yet."""
        self._most_of_head: int = self.config.h11_max_incomplete_event_size or HEAD
        self._lost_by: Exception | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        writes = WriteCoalescer(transport, self.loop)
        super().connection_made(writes)  # type: ignore[misc]
        self.flow = _Flow(writes)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_by = exc
        Losses.of(self.loop).add(self)

    def end(self) -> None:
        """The connection is lost."""
        super().connection_lost(self._lost_by)  # type: ignore[misc]
        self._lost_by = None
        if self._polls is not None:
            self._polls.lost()
            self._polls = None  # it leads to this object
        if self.timeout_keep_alive_task is not None:  # uvicorn leaves that of a connection that was reset
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self._waiting.clear()
        if self.pipeline:
            self.pipeline.clear()
        release_transport(self.transport.direct)

    def eof_received(self) -> bool:
        """The transport closes itself behind this: what is held goes out before."""
        self.transport.flush()
        super().eof_received()  # type: ignore[misc]
        return Losses.of(self.loop).close_later(self.transport.direct)

    # Polls that need no application.

    def _serve_directly(self, table: PollTable, data: bytes) -> bool:
        """See `DirectPolls.serve`. It has to be one request, and the whole of it."""
        cycle = self.cycle
        if (cycle is not None and cycle.more_body) or self.flow.write_paused or self.transport.is_closing():
            return False
        if data.find(_END_OF_HEAD) >= self._most_of_head:
            return False
        if self._polls is None:
            self._polls = DirectPolls(self, table)
        return self._polls.serve(data)

    def direct_done(self, *, keep: bool) -> None:
        """See `HTTPConnection`."""
        self.server_state.total_requests += 1
        if not keep:
            self.transport.close()
            return
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._await_next(self.timeout_keep_alive)
        if self._waiting:
            self._work_off()

    def _await_next(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """The next request is overdue, if none was served directly meanwhile: one timer stands for many of those."""
        self.timeout_keep_alive_task = None
        if self._polls is not None and self._polls.busy:
            return
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._await_next(left)
        else:
            super().timeout_keep_alive_handler()  # type: ignore[misc]

    def shutdown(self) -> None:
        """The server ends."""
        if self._polls is not None and self._polls.busy:
            self._polls.shutdown()
        else:
            super().shutdown()  # type: ignore[misc]

    # One request at a time.

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        if (
            (cycle is None or cycle.response_complete)
            and not (self._waiting or self.pipeline or self._head)
            and (self._polls is None or not self._polls.busy)
        ):
            if self._table is not None and self._table.finders and self._serve_directly(self._table, data):
                return
            if 0 < data.find(_END_OF_HEAD) == len(data) - len(_END_OF_HEAD) < self._most_of_head:
                super().data_received(data)  # type: ignore[misc]  # as nearly always: one request without a body
                return
        if self._waiting or self._busy() or self._length(data) != len(data):
            self._waiting += data
            self._work_off()
        else:
            self._parse(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()  # type: ignore[misc]
        self._head = 0
        if self._waiting:
            self._work_off()

    def _busy(self) -> bool:
        """Whether a request that has come as a whole waits for its answer."""
        cycle = self.cycle
        return (
            bool(self.pipeline)
            or (cycle is not None and not cycle.more_body and not cycle.response_complete)
            or (self._polls is not None and self._polls.busy)
        )

    def _length(self, data: bytes | bytearray) -> int:
        """How much of ``data`` the parser may have at once, so that it finds no more than one request."""
        cycle = self.cycle
        if cycle is None or not cycle.more_body:
            end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            if end == len(data) or end < len(_END_OF_HEAD):
                return len(data)
            # A small body, as most are, goes with its head.
            return len(data) if len(data) - end <= PIECE and data.find(_END_OF_HEAD, end) < 0 else end
        # In a body: that of a file is long, and is not searched through.
        return len(data) if len(data) <= PIECE or data.find(b"\r", PIECE) < 0 else PIECE

    def _work_off(self) -> None:
        """Parse what has come, up to a request that is to be answered first."""
        waiting = self._waiting
        while waiting and not self._busy():
            if self.transport.is_closing():
                waiting.clear()
                return
            length = self._length(waiting)
            part = bytes(waiting[:length])
            del waiting[:length]
            self._parse(part)
        full = len(waiting) >= PIPELINE
        if full != self.flow.full:
            self.flow.full = full
            if full:
                self.flow.pause_reading()
            else:
                self.flow.resume_reading()

    def _parse(self, part: bytes) -> None:
        if self.cycle is None or not self.cycle.more_body:
            self._head += len(part)
            if self._head > self._most_of_head:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
            if part.endswith(_END_OF_HEAD):
                self._head = 0
        super().data_received(part)  # type: ignore[misc]

    def _get_upgrade(self) -> bytes | None:
        """What the client asks to go on with. Several lines of a field are one list; uvicorn takes the last line."""
        connection = upgrade = b""
        for name, value in self.headers:
            if name == b"connection":
                connection += b"," + value
            elif name == b"upgrade":
                upgrade += b"," + value
        if not upgrade or b"upgrade" not in _elements(connection):
            return None
        wanted = _elements(upgrade)
        return b"websocket" if b"websocket" in wanted else b", ".join(wanted)

    def handle_websocket_upgrade(self, *request: Any) -> None:
        """A websocket class takes over: it writes in its own way."""
        if self.pipeline or (self.cycle is not None and not self.cycle.response_complete):
            self.transport.close()  # an answer that is still due would be written into the websocket
            return
        self._waiting.clear()
        self._polls = None  # it leads to this object
        self.transport.flush()
        self.transport = self.transport.direct
        super().handle_websocket_upgrade(*request)  # type: ignore[misc]
        self.parser = None  # it leads to this object, which has no `connection_lost` to come

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        release_error(sys.exception())
        super().send_400_response(msg)  # type: ignore[misc]
