"""Who asks for gzip, and that what is compressed comes back without holding the event loop."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from asocketio.asgi.compression import SLICE, accepts_gzip, gzipped
from asocketio.asgi.types import Scope


def asking(*values: str) -> Scope:
    return {"type": "http", "headers": [(b"accept-encoding", value.encode("latin-1")) for value in values]}


@pytest.mark.parametrize(
    "value",
    [
        *("gzip", "GZIP", "x-gzip", "*", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip;q=0.001"),
        *(" gzip ", "gzip ; q=0.5", "gzip;Q=1", "gzip;q=1.000", "gzip;q=1.", "identity, gzip", "deflate,gzip"),
        *("*;q=0.5", "identity;q=0.5, *", "identity;q=0.5, gzip;q=0.5", ",gzip,", "gzip;q=0.5, *;q=0"),
    ],
)
def test_gzip_is_asked_for(value: str) -> None:
    assert accepts_gzip(asking(value))


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", ",", "identity", "deflate", "br", "gzip;q=0", "gzip;q=0.0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *"),
        *("identity;q=1, gzip;q=0.5", "identity, *;q=0.5", "gzipped", "ungzip", "gzip;q=", "gzip;q=2", "gzip;q=-1"),
        *("gzip;q=x", "gzip;q=0.5;q=1", "gzip;level=1", "gzip;q=0.0001", "g zip", "gzip=1", "\xff", "é;q=1"),
    ],
)
def test_gzip_is_not_asked_for(value: str) -> None:
    assert not accepts_gzip(asking(value))


def test_several_lines_are_one_list() -> None:
    assert accepts_gzip(asking("br", "gzip"))
    assert not accepts_gzip(asking("gzip;q=0", "*"))
    assert not accepts_gzip({"type": "http", "headers": []})


@pytest.mark.parametrize("size", [0, 1, 1024, SLICE, SLICE + 1, 3 * SLICE, 4_000_000])
async def test_what_is_compressed_comes_back(size: int) -> None:
    content = b"0123456789 and so on " * (size // 20 + 1)
    assert gzip.decompress(await gzipped(content[:size])) == content[:size]


async def test_others_have_their_turns_after_each_slice() -> None:
    turns = 0
    done = False

    async def others() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    await gzipped(bytes(10 * SLICE))
    done = True
    await other
    assert turns >= 10
