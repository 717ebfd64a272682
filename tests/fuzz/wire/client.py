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

from tests.clients.frames import CLOSE, split
from tests.clients.http import take_response
from tests.fuzz.wire.steps import Input, Step

__all__ = ["PATIENCE", "Fault", "Player"]

PATIENCE = 20.0
"""Seconds for anything to be answered; generous, as the machine may be busy. What waits by right waits under 2 s."""
MOMENT = 0.01
"""Seconds for the server to say what it has to say."""
STEPS_APART = 0.0005

_FAILING = re.compile(rb"HTTP/1\.[01] 5")
_SESSION = re.compile(rb'\\?"sid\\?":\\?"([\w-]{10,})|(?:^|["\n])([\w-]{10,}):[0-9.]*:[0-9.]*:')
_MARKERS = re.compile(rb"<<(\w+)>>")
_GONE = b"unknown-session-id"
_FAILED = 1011


class Fault(Exception):
    """A promise was broken."""


class Wire(asyncio.Protocol):
    """One connection: counts answers and frames, and keeps the beginning of what it reads.

    No `tests.clients.tcp.Connection`, as it reads all the time and judges all that comes, whatever it has asked for.
    """

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
        while not self.switched and self._answer():
            pass
        if self.switched:
            self._read_frames()
        self._wake()

    def _answer(self) -> bool:
        """One answer is whole."""
        before = self._buffer
        response, self._buffer = take_response(before)
        if response is None:
            if _FAILING.match(before):
                self.failed = self.failed or before
            return False
        status = response.status
        self._counts[str(status)] += 1
        if status >= 500 or status == 0:
            self.failed = self.failed or before
        self._closed |= response.until_end
        self.switched = status == 101
        self.last = self.last or response.closes
        self.answers += status >= 200 or self.switched
        return True

    def _read_frames(self) -> None:
        found, self._buffer = split(self._buffer)
        for opcode, payload in found:
            if opcode != CLOSE:
                self._counts["frames"] += 1
                continue
            self._closed = True
            code = int.from_bytes(payload[:2]) if len(payload) > 1 else 0
            self._counts[f"close {code or ''}"] += 1
            if code == _FAILED:
                self.failed = self.failed or payload

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
