"""gzip for the answers to polls (``http_compression``): whether the client takes it, and the compressing in slices."""

from __future__ import annotations

import asyncio
import re
import zlib

from asocketio.asgi.types import Scope

__all__ = ["SLICE", "VARY", "accepts_gzip", "gzipped"]

SLICE = 65_536
"""Bytes that are compressed before others have a turn: about a millisecond."""

VARY = (b"vary", b"accept-encoding")
"""What says to caches that there are two forms of an answer."""

_LEVEL = 1  # a body of JSON becomes a third by it, and a quarter by level 6, which takes three times as long
_WINDOW = 16 + 13  # in the format of gzip, a window of 8 kB: with the next it is 64 kB of memory instead of 256
_MEMORY = 6

_WEIGHT = re.compile(r"[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*", re.IGNORECASE)


def accepts_gzip(scope: Scope) -> bool:
    """Whether a request asks for gzip by its ``Accept-Encoding`` (RFC 9110, 12.5.3), and does not prefer to do without.

    A weight that is none counts as 0: what such a client takes is not known.
    """
    fields = [value for name, value in scope["headers"] if name == b"accept-encoding"]
    weights: dict[str, float] = {}
    for part in b",".join(fields).decode("latin-1").lower().split(","):
        name, _, parameter = part.partition(";")
        found = _WEIGHT.fullmatch(parameter) if parameter else None
        weights[name.strip()] = float(found[1]) if found is not None else 0.0 if parameter else 1.0
    any_other = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", any_other))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


async def gzipped(content: bytes) -> bytes:
    """``content`` in the format of gzip. Others have their turns after each `SLICE`."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    if len(content) <= SLICE:
        return compressor.compress(content) + compressor.flush()
    view = memoryview(content)
    parts: list[bytes] = []
    for at in range(0, len(content), SLICE):
        parts.append(compressor.compress(view[at : at + SLICE]))
        await asyncio.sleep(0)
    parts.append(compressor.flush())
    return b"".join(parts)
