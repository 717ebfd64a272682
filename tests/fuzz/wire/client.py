"""Runs inputs: raw connections, and as much understanding of what comes back as the promises need.

Every complete request is answered, or its connection closed, within `PATIENCE`; no answer is a 5xx; a connection that
the client has given up is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable
from typing import cast

from tests.fuzz.wire.steps import Input, Step

__all__ = ["PATIENCE", "Fault", "Player"]

PATIENCE = 20.0
"""Seconds for anything to be answered; generous, as the machine may be busy. What waits by right waits under 2 s."""
MOMENT = 0.01
"""Seconds for the server to say what it has to say."""
STEPS_APART = 0.0005

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_SESSION = re.compile(rb'\\?"sid\\?":\\?"([\w-]{10,})|(?:^|["\n])([\w-]{10,}):[0-9.]*:[0-9.]*:')
_MARKERS = re.compile(rb"<<(\w+)>>")
_GONE = b"unknown-session-id"
_CLOSE = 8
_FAILED = 1011


class Fault(Exception):
    """A promise was broken."""


class Wire(asyncio.Protocol):
    """One connection: counts answers and frames, and keeps the beginning of what it reads."""

    def __init__(self, counts: Counter[str]) -> None:
        self.answers = 0
        self.lost = False
        self.last = False
        """The server has said that it closes after this answer."""
        self.switched = False
        self.failed = b""
        """The head of an answer that says the server has failed."""
        self.read = b""
        self._counts = counts
        self._buffer = b""
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed and self._buffer:
            self._counts["a part of an answer"] += 1
        self.lost = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        if len(self.read) < 100_000:
            self.read += data
        self._buffer += data
        while self._frame() if self.switched else self._answer():
            pass
        self._wake()

    def _answer(self) -> bool:
        """One answer is whole."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._buffer[: end + 2]
        found = _STATUS.match(head)
        status = int(found[1]) if found else 0
        length = _LENGTH.search(head)
        size = int(length[1]) if length and status != 204 else 0
        if length is None and b"transfer-encoding: chunked" in head.lower():
            last = self._buffer.find(b"0\r\n\r\n", end + 4)
            if last < 0:
                return False
            size = last + 5 - end - 4
        elif length is None and status not in (101, 204, 304) and status >= 200:
            size = len(self._buffer) - end - 4  # it ends with the connection
            self._closed = True
        if len(self._buffer) < end + 4 + size:
            if status >= 500:
                self.failed = self.failed or self._buffer
            return False
        self._counts[str(status)] += 1
        if status >= 500 or status == 0:
            self.failed = self.failed or self._buffer[: end + 4 + size]
        self._buffer = self._buffer[end + 4 + size :]
        self.switched = status == 101
        self.last = self.last or b"\r\nconnection: close\r\n" in head.lower()
        self.answers += status >= 200 or self.switched
        return True

    def _frame(self) -> bool:
        """One frame is whole."""
        data = self._buffer
        if len(data) < 2:
            return False
        size, start = data[1] & 127, 2
        if size > 125:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return False
            size = int.from_bytes(data[2:start])
        if len(data) < start + size:
            return False
        if data[0] & 15 == _CLOSE:
            self._closed = True
            code = int.from_bytes(data[start : start + 2]) if size > 1 else 0
            self._counts[f"close {code or ''}"] += 1
            if code == _FAILED:
                self.failed = self.failed or data[: start + size]
        else:
            self._counts["frames"] += 1
        self._buffer = data[start + size :]
        return True

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether ``condition`` came true in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not condition():
            left = deadline - loop.time()
            if left <= 0:
                return False
            self._waiter = loop.create_future()
            handle = loop.call_later(left, self._wake)
            await self._waiter
            handle.cancel()
        return True


class Player:
    """Runs inputs against a server on a port of this machine; ``counts`` is what came back.

    ``half_closes``: the server ends a connection when its client says that it has no more to say. hypercorn does not.
    """

    def __init__(self, port: int, patience: float = PATIENCE, *, half_closes: bool = True) -> None:
        self.port = port
        self.half_closes = half_closes
        self.patience = patience
        self.counts: Counter[str] = Counter()

    async def play(self, given: Input, tell: Callable[[str], None] | None = None) -> None:
        """Run one input. ``tell`` hears of every step.

        Raises:
            Fault: the server broke a promise.
        """
        wires: dict[str, Wire] = {}
        sessions: dict[str, bytes] = {}
        try:
            for step in given.steps:
                wire = wires.get(step.on)
                if wire is None or ((wire.lost or wire.last) and step.do == "send"):
                    if wire is not None:
                        wire.transport.abort()
                    wire = wires[step.on] = await self._connected()
                await self._do(step, wire, sessions)
                if tell is not None:
                    tell(f"{step}\n    -> {wire.answers} answers, lost: {wire.lost}, {wire.read[-2000:]!r}")
                self._check(wire)
            for wire in wires.values():
                await self._end(wire, "eof")
                self._check(wire)
        finally:
            for wire in wires.values():
                wire.transport.abort()

    async def _connected(self) -> Wire:
        loop = asyncio.get_running_loop()
        counts = self.counts
        try:
            async with asyncio.timeout(self.patience):
                _, wire = await loop.create_connection(lambda: Wire(counts), "127.0.0.1", self.port)
        except (OSError, TimeoutError) as error:
            raise Fault(f"no connection to the server: {error!r}") from None
        return wire

    async def _do(self, step: Step, wire: Wire, sessions: dict[str, bytes]) -> None:
        if step.do == "send":
            await self._send(step, wire, sessions)
        elif step.do == "await":
            await self._answered(wire, step.answers, firm=step.firm)
        elif step.do == "hear":
            await wire.until(lambda: wire.lost, MOMENT)
        elif step.do == "deaf" and not wire.lost:
            wire.transport.pause_reading()
        elif step.do == "end":
            await self._end(wire, step.how)

    async def _send(self, step: Step, wire: Wire, sessions: dict[str, bytes]) -> None:
        data = _MARKERS.sub(lambda found: sessions.get(found[1].decode(), _GONE), step.data)
        before, seen = wire.answers, len(wire.read)
        at = 0
        for cut in (*step.cuts, len(data)):
            if at:
                await asyncio.sleep(STEPS_APART)
            if wire.lost:
                break
            wire.transport.write(data[at:cut])
            at = cut
        if step.answers:
            await self._answered(wire, before + step.answers, firm=step.firm)
        if step.catch:
            await self._catch(step.catch, wire, seen, sessions)

    async def _catch(self, name: str, wire: Wire, seen: int, sessions: dict[str, bytes]) -> None:
        """Remember the id of the new session."""
        await wire.until(lambda: wire.lost or _SESSION.search(wire.read[seen:]) is not None, self.patience)
        found = _SESSION.search(wire.read[seen:])
        if found is None:
            raise Fault(f"a handshake brought no session: {wire.read[seen:][:300]!r}")
        sessions[name] = found[1] or found[2]

    async def _answered(self, wire: Wire, answers: int, *, firm: bool) -> None:
        if not await wire.until(lambda: wire.lost or wire.answers >= answers, self.patience):
            raise Fault(f"{answers - wire.answers} requests unanswered after {self.patience} s; {_last(wire)}")
        if wire.answers < answers:
            self.counts["closed, unanswered"] += 1
            if firm and not wire.last:
                raise Fault(f"closed without an answer; {_last(wire)}")

    async def _end(self, wire: Wire, how: str) -> None:
        if wire.lost:
            return
        if how == "abort" or (how == "eof" and not self.half_closes):
            wire.transport.abort()
            return
        wire.transport.resume_reading()
        if how == "eof" and not wire.transport.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                wire.transport.write_eof()
        if not await wire.until(lambda: wire.lost, self.patience):
            raise Fault(f"{how}: the connection is open after {self.patience} s; {_last(wire)}")

    def _check(self, wire: Wire) -> None:
        if wire.failed:
            raise Fault(f"an answer of the server's failure: {wire.failed[:500]!r}")


def _last(wire: Wire) -> str:
    return f"it had {wire.answers} answers, the last bytes are {wire.read[-300:]!r}"
