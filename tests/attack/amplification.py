"""What becomes of what a client sends: bytes held, and bytes sent to others, for each byte received.

``python -m tests.attack.amplification``: every shape in every generation over every transport.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

from asocketio import BaseNamespace, BroadcastMixin, SocketIOApp
from asocketio.protocol.base import Frame
from asocketio.testing import settle
from tests.attack.shapes import ATTACHED, Shape, shapes
from tests.attack.ways import TAKEN_OVER, WAYS, Counting, Way, client_of

__all__ = ["MOST_HELD", "Found", "held", "main", "most_sent", "sent", "stop_reading"]

MOST_HELD = 40.0
SIZE = 40_000


class Found(NamedTuple):
    """One measurement. ``most`` is what it may be."""

    ratio: float
    most: float
    what: str

    def __str__(self) -> str:
        return f"{self.ratio:6.2f} of {self.most:5.2f}  {self.what}"


class Target(BaseNamespace, BroadcastMixin):
    """Keeps, or passes on, what it gets."""

    gate: asyncio.Event

    async def on_wait(self, *args: Any) -> None:
        await self.gate.wait()

    async def on_later(self, *args: Any) -> None:
        pass

    async def recv_message(self, message: Any) -> None:
        pass

    async def on_echo(self, *args: Any) -> Any:
        await self.emit("echoed", *args)

    async def on_spread(self, *args: Any) -> None:
        await self.broadcast_event_not_me("spread", *args)


def wire(frames: list[Frame]) -> int:
    """Bytes of frames as they travel."""
    return sum(len(frame.encode()) if isinstance(frame, str) else len(frame) for frame in frames)


# ---- held --------------------------------------------------------------------------------------------------------


async def held(way: Way, shape: Shape, event: str) -> Found:
    """What is held for a client whose handler waits (``wait``, ``later``), or that reads nothing (``echo``)."""
    Target.gate = asyncio.Event()
    app = SocketIOApp(namespaces={"/": Target})
    frames = shape.frames(event, way.generation)
    async with client_of(app, way) as client:
        namespace = await client.connect()
        if event == "later":
            await namespace.emit("wait")
            await settle()
        reading_again = stop_reading(client) if event == "echo" else asyncio.Event()
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            sending = asyncio.ensure_future(client.post_frames(*frames))
            await settle()
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        Target.gate.set()
        reading_again.set()
        sending.cancel()
        await asyncio.wait([sending])
    return Found((after - before) / wire(frames), MOST_HELD, f"held, {way}, {event}: {shape}")


def stop_reading(client: Any) -> asyncio.Event:
    """Let the client take nothing until the event is set."""
    again = asyncio.Event()

    async def wait(frame: Frame) -> None:
        await again.wait()

    client._transport.take = wait
    return again


# ---- sent --------------------------------------------------------------------------------------------------------


async def sent(way: Way, heard_by: Way, shape: Shape) -> Found | None:
    """What one neighbour is sent for each byte of the attacker's; None where it gets nothing."""
    app = Counting(SocketIOApp(namespaces={"/": Target}))
    async with client_of(app, heard_by, "neighbour") as neighbour, client_of(app, way) as client:
        await neighbour.connect()
        await client.connect()
        await settle()
        app.received.clear()
        app.sent.clear()
        await client.post_frames(*shape.frames("spread", way.generation))
        await settle()
        received, given = app.received.get("attacker", 0), app.sent.get("neighbour", 0)
    if not given or not received:
        return None
    return Found(given / received, most_sent(way, heard_by, shape), f"sent, {way} to {heard_by}: {shape}")


def most_sent(way: Way, heard_by: Way, shape: Shape) -> float:
    """1.1, but for what has a longer form by protocol, each named in docs/trust.md."""
    longer = 1.1
    if "exponents" in shape.name:
        longer *= 3.8  # 1e15 is written 1000000000000000.0
    if heard_by.generation != 4 and shape.name in NOT_ASCII:
        longer *= 3  # as escapes
    if heard_by.carrier == "jsonp":
        longer *= 2.4  # JSON within a script: each quote and each backslash is escaped once more
    if shape.name in ATTACHED and heard_by.carrier in ("polling", "jsonp"):
        longer *= 4 / 3  # base64
    if shape.kind == "many events":
        longer *= 1.5  # each has an envelope, which is longest in 0.9
    return longer


NOT_ASCII = frozenset(
    {
        *("accents", "short texts of accents", "emojis", "wide short texts", "escaped emojis", "wide text"),
        *("long text of accents", "long text of emojis", "long text of escapes", "long text of line separators"),
    }
)


# ---- all ---------------------------------------------------------------------------------------------------------


async def measure(size: int, told: Callable[[Found], None], step: int = 1) -> None:
    """Measure everything, or every ``step``-th of it."""
    number = 0
    for way in WAYS:
        for shape in shapes(way.generation, size):
            for event in ("wait", "later", "echo"):
                if event == "echo" and way.carrier == TAKEN_OVER:
                    continue  # its client is memory, which always takes
                number += 1
                if number % step == 0:
                    told(await held(way, shape, event))
    for heard_by in WAYS:
        if heard_by.carrier == TAKEN_OVER:
            continue
        for way in WAYS:
            if way.carrier == TAKEN_OVER:
                continue
            for shape in shapes(way.generation, size):
                if shape.kind not in ("arguments", "many events"):
                    continue  # what goes out is the same
                number += 1
                if number % step == 0 and (found := await sent(way, heard_by, shape)):
                    told(found)


def main(arguments: list[str] | None = None) -> int:
    """Print the worst, and what is over its bound. The exit status says whether there is any."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack.amplification", description=__doc__)
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of each shape")
    parser.add_argument("--step", type=int, default=1, help="measure only each so-manieth")
    parser.add_argument("--worst", type=int, default=15, help="how many to print")
    options = parser.parse_args(arguments)
    found: list[Found] = []
    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(measure(options.size, found.append, options.step))
    finally:
        logging.disable(logging.NOTSET)
    over = [each for each in found if each.ratio > each.most]
    for kind in ("held", "sent"):
        worst = sorted((each for each in found if each.what.startswith(kind)), reverse=True)
        print(f"{kind}: {len(worst)} measured")
        print("\n".join(f"  {each}" for each in worst[: options.worst]))
    print(f"over: {len(over)}")
    print("\n".join(f"  {each}" for each in sorted(over, reverse=True)[:50]))
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
