"""Link: frames both ways between two workers, over a Unix socket.

A frame is four bytes of length, one of kind, and the payload. Who is at the other end is known by the folder of the
socket, which is this user's alone, and by what the system says of the peer. What comes is bounded, and never pickled.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from asocketio.runtime.log import log

__all__ = ["MAX_FRAME", "Frame", "Link", "LinkLost", "connect"]

MAX_FRAME = 64 * 1024 * 1024
"""Bytes of a payload. A longer one is a fault: the link is cut."""
HIGH_WATER = 65_536
"""Bytes that wait to be read; beyond, nothing more is taken from the sibling until half of them are read."""
CONNECT_TIMEOUT = 5.0
"""Seconds for which a sibling that is too busy to take connections is tried again."""
PAUSE = 0.01
"""Seconds between two tries."""

_HEAD = struct.Struct(">IB")
_CREDENTIALS = struct.Struct("3i")  # process, user, group: unix(7), SO_PEERCRED


class LinkLost(ConnectionError):
    """The sibling has gone, or has ended the link."""


class Frame(NamedTuple):
    """One message. ``kind`` is a number from 0 to 255, whose meaning is the user's of the link."""

    kind: int
    payload: bytes


class Link(asyncio.Protocol):
    """One connection. ``on_made`` is called when it stands."""

    def __init__(self, on_made: Callable[[Link], object] | None = None) -> None:
        self._on_made = on_made
        self._transport: asyncio.Transport
        self._rest = bytearray()
        """The beginning of a frame that is not whole yet."""
        self._frames: deque[Frame] = deque()
        self._held = 0
        """Bytes of the frames that were not read."""
        self._reading_paused = False
        self._reader: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.lost = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # those of uvloop are no subclass
        user = _user_of(transport.get_extra_info("socket"))
        if user is not None and user != os.geteuid():
            log.error("a process of user %d connected to the socket of a worker: cut", user)
            self.abort()
        elif self._on_made is not None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            self._rest += data
            used = self._split(self._rest)
            del self._rest[:used]
        else:
            used = self._split(data)
            if used < len(data):
                self._rest += memoryview(data)[used:]
        if self._frames:
            self._wake()
            if self._held > HIGH_WATER and not self._reading_paused and not self._transport.is_closing():
                self._reading_paused = True
                self._transport.pause_reading()

    def _split(self, data: bytes | bytearray) -> int:
        """Take the whole frames from ``data``; how many bytes they were."""
        start = 0
        with memoryview(data) as view:
            while len(view) - start >= _HEAD.size:
                size, kind = _HEAD.unpack_from(view, start)
                if size > MAX_FRAME:
                    log.error("a sibling announced a frame of %d bytes, at most %d are taken: cut", size, MAX_FRAME)
                    self.abort()
                    return len(view)
                end = start + _HEAD.size + size
                if len(view) < end:
                    break
                self._frames.append(Frame(kind, bytes(view[start + _HEAD.size : end])))
                self._held += size
                start = end
        return start

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._rest.clear()
        self._writable.set()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # What its user calls.

    async def read(self) -> Frame | None:
        """The next frame; None at the end. One task may read at a time. Cancelled, it has taken nothing."""
        while not self._frames:
            if self.lost:
                return None
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        frame = self._frames.popleft()
        self._held -= len(frame.payload)
        if self._reading_paused and self._held <= HIGH_WATER // 2 and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()
        return frame

    def write(self, kind: int, payload: bytes | bytearray | memoryview) -> None:
        """Send a frame; `drain` waits until there is room for more.

        Raises:
            LinkLost: there is nobody at the other end.
        """
        if len(payload) > MAX_FRAME:
            self.abort()
            raise LinkLost(f"a frame of {len(payload)} bytes, at most {MAX_FRAME} go to a sibling")
        if self.lost or self._transport.is_closing():
            raise LinkLost("the sibling has gone")
        self._transport.write(_HEAD.pack(len(payload), kind) + payload)

    async def drain(self) -> None:
        """Wait until the sibling has taken enough of what was sent.

        Raises:
            LinkLost: it has gone.
        """
        if not self._writable.is_set():
            await self._writable.wait()
            if self.lost:
                raise LinkLost("the sibling has gone")

    def close(self) -> None:
        """End the link when what was sent is out."""
        self._transport.close()

    def abort(self) -> None:
        """End the link now."""
        self._transport.abort()


async def connect(path: str, timeout: float = CONNECT_TIMEOUT) -> Link:
    """A link to the worker that listens at ``path``.

    Raises:
        OSError: nobody does.
    """
    trial = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        trial.setblocking(False)
        async with asyncio.timeout(timeout):
            # The event loop would take a full backlog (EAGAIN) for a connection that stands.
            while not _try_connect(trial, path):  # noqa: ASYNC110  (another process makes room)
                await asyncio.sleep(PAUSE)
        _, link = await asyncio.get_running_loop().create_unix_connection(Link, sock=trial)
    except BaseException:
        trial.close()
        raise
    return link


def _try_connect(trial: socket.socket, path: str) -> bool:
    try:
        trial.connect(path)
    except BlockingIOError:
        return False
    return True


def _user_of(peer: Any) -> int | None:
    """The user whose process is at the other end; None where the system does not tell: there the folder guards it."""
    option: int | None = getattr(socket, "SO_PEERCRED", None)
    if option is None or peer is None:
        return None
    _, user, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return int(user)
