"""Frames between two workers."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from asocketio.testing import settle
from asocketio.workers import link as links
from asocketio.workers.link import Frame, Link, LinkLost, connect
from tests.support.worlds import until


class Ends:
    """A listening worker, and what connected to it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.made: list[Link] = []

    async def pair(self) -> tuple[Link, Link]:
        known = len(self.made)
        here = await connect(self.path)
        await until(lambda: len(self.made) > known)
        return here, self.made[-1]

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Link]:
        known = len(self.made)
        reader, writer = await asyncio.open_unix_connection(self.path)
        await until(lambda: len(self.made) > known)
        return reader, writer, self.made[-1]


@pytest.fixture
async def ends(short_path: Path) -> AsyncIterator[Ends]:
    found = Ends(str(short_path / "s"))
    server = await asyncio.get_running_loop().create_unix_server(lambda: Link(found.made.append), found.path)
    yield found
    server.close()
    for link in found.made:
        link.abort()
    await settle()


async def test_frames_arrive_whole_and_in_order(ends: Ends) -> None:
    here, there = await ends.pair()
    frames = [Frame(1, b""), Frame(2, b"x" * 300_000), Frame(255, b"\0\1"), Frame(3, b"y" * 70_000)]

    async def write() -> None:
        for frame in frames:
            here.write(*frame)
            await here.drain()
        here.close()

    writing = asyncio.create_task(write())
    assert [await there.read() for _ in frames] == frames
    assert await there.read() is None
    await writing


async def test_frames_that_come_byte_by_byte(ends: Ends) -> None:
    _, writer, there = await ends.raw()
    for byte in struct.pack(">IB", 3, 7) + b"abc" + struct.pack(">IB", 0, 8):
        writer.write(bytes([byte]))
        await settle()
    assert [await there.read(), await there.read()] == [Frame(7, b"abc"), Frame(8, b"")]
    writer.close()


async def test_a_frame_that_is_cut_off_is_the_end(ends: Ends) -> None:
    _, writer, there = await ends.raw()
    writer.write(struct.pack(">IB", 30, 7) + b"abc")
    writer.close()
    assert await there.read() is None


async def test_a_frame_too_large_cuts_the_link(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    _, writer, there = await ends.raw()
    writer.write(struct.pack(">IB", links.MAX_FRAME + 1, 7))
    assert await there.read() is None
    assert "announced a frame of" in caplog.text
    writer.close()


async def test_too_large_a_frame_is_not_sent(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = await ends.pair()
    monkeypatch.setattr(links, "MAX_FRAME", 10)
    with pytest.raises(LinkLost, match="11 bytes"):
        here.write(1, b"x" * 11)
    assert await there.read() is None


async def test_who_does_not_read_stops_the_other(ends: Ends) -> None:
    here, there = await ends.pair()
    sent = 0
    while here._writable.is_set():
        here.write(1, b"x" * 10_000)
        sent += 1
        await settle()
    waiting = asyncio.create_task(here.drain())
    await settle()
    assert not waiting.done()
    assert there._held < 3 * links.HIGH_WATER + 262_144  # one read of the event loop more
    for _ in range(sent):
        assert await there.read() == Frame(1, b"x" * 10_000)
    await asyncio.wait_for(waiting, 5)
    here.close()


async def test_whoever_waits_hears_of_the_end(ends: Ends) -> None:
    here, there = await ends.pair()
    while here._writable.is_set():
        here.write(1, b"x" * 10_000)
        await settle()
    waiting, reading = asyncio.create_task(here.drain()), asyncio.create_task(here.read())
    await settle()
    there.abort()
    with pytest.raises(LinkLost):
        await asyncio.wait_for(waiting, 5)
    assert await asyncio.wait_for(reading, 5) is None
    with pytest.raises(LinkLost):
        here.write(1, b"")


async def test_a_cancelled_read_takes_nothing(ends: Ends) -> None:
    here, there = await ends.pair()
    reading = asyncio.create_task(there.read())
    await settle()
    reading.cancel()
    here.write(1, b"x")
    with suppress(asyncio.CancelledError):
        await reading
    assert await there.read() == Frame(1, b"x")
    here.close()


async def test_a_process_of_another_user_is_cut(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    reader, writer = await asyncio.open_unix_connection(ends.path)
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    assert ends.made == []
    assert "user" in caplog.text
    writer.close()


async def test_where_the_system_does_not_tell_the_user_the_folder_guards_it(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED")
    here, there = await ends.pair()
    here.write(1, b"x")
    assert await there.read() == Frame(1, b"x")
    here.close()


async def test_nobody_listens(short_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await connect(str(short_path / "none"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short_path / "dead"))
    with pytest.raises(ConnectionRefusedError):
        await connect(str(short_path / "dead"))


async def test_a_full_backlog_is_waited_for(short_path: Path) -> None:
    path = str(short_path / "busy")
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(path)
        busy.listen(0)
        first = socket.socket(socket.AF_UNIX)
        first.connect(path)
        with pytest.raises(TimeoutError):
            await connect(path, timeout=0)
        coming = asyncio.create_task(connect(path))
        await settle()
        assert not coming.done()
        accepted = [busy.accept()[0]]
        link = await asyncio.wait_for(coming, 5)
        accepted.append(busy.accept()[0])
        link.close()
        for each in (first, *accepted):
            each.close()
    await settle()
