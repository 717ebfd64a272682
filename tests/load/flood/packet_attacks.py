"""Attacks by packets that are small, or allowed one by one, and hurt by their number or their order."""

from __future__ import annotations

import asyncio
import zlib

from tests.clients.frames import BINARY, masked
from tests.clients.http import OPENING, request, upgrade_request
from tests.clients.protocols import CLIENT_PROTOCOLS
from tests.clients.tcp import Connection
from tests.load.flood.runner import MB, Outcome, Scenario, Target
from tests.load.flood.volume_attacks import LASTS, OF_ONE_CLIENT, ONE_CLIENT, messages_that_are_allowed

__all__ = ["PACKET_ATTACKS"]

MILLION = 1_000_000
LEAST = 50_000
"""Packets of a short run: below that the server has no time to suffer."""
PAYLOAD = 999_000
"""Bytes of a body or message, just allowed."""
V3, V4 = (f"/socket.io/?EIO={generation}&transport=websocket" for generation in (3, 4))
ATTACHMENTS = 10
"""max_attachments."""


async def _tiny(target: Target, frames: bytes, number: int, *, path: str = V4, most: int = MILLION) -> Outcome:
    """``frames``, ``number`` at a time, from a client that reads nothing; then an event that must be heard."""
    wanted = target.count(most, LEAST)
    burst = frames * max(1000 // number, 1)
    each = number * max(1000 // number, 1)
    async with asyncio.timeout(LASTS * 4):
        with await Connection.websocket(target.port, path, "40" if path is V4 else "") as attacker:
            sent = await attacker.flood(burst, wanted // each, LASTS)
            await attacker.send(masked('427["echo","still here"]'), LASTS)
            try:
                await attacker.until(b'437["still here"]')
                ended = "heard to the end"
            except ConnectionError:
                ended = await attacker.ended(1)
    return Outcome(f"{sent * each} of {wanted}", ended)


async def _expected(outcome: Outcome, *allowed: str) -> Outcome:
    outcome.expect(outcome.ended, *allowed)
    return outcome


HEARD = "heard to the end"


async def pongs(target: Target) -> Outcome:
    """Pongs that nobody asked for."""
    return await _expected(await _tiny(target, masked("3") * 100, 100), HEARD)


async def noops(target: Target) -> Outcome:
    """Packets that mean nothing."""
    return await _expected(await _tiny(target, masked("6") * 100, 100), HEARD)


async def empty_fragments(target: Target) -> Outcome:
    """One message in a million empty fragments."""
    first, empty, last = b"\x01\x80\0\0\0\0", b"\x00\x80\0\0\0\0", b"\x80\x81\0\0\0\0" + b"6"
    return await _expected(await _tiny(target, first + empty * 998 + last, 1000), HEARD)


async def stray_acks(target: Target) -> Outcome:
    """Answers to questions that were never put."""
    return await _expected(await _tiny(target, masked("4399[]") * 100, 100), HEARD)


async def in_and_out(target: Target) -> Outcome:
    """Namespaces joined and left in a loop, one of them shut."""
    frames = b"".join(map(masked, ("40/one,", "41/one,", "40/two,", "41/two,", "40/closed,")))
    return await _expected(await _tiny(target, frames, 5, most=200_000), HEARD, "close 1000")


async def endless_rooms(target: Target) -> Outcome:
    """A program that lets clients name rooms lets them have many; they must all be gone with the client."""
    rooms = target.count(200_000, 20_000)
    joins = [masked(f'42["join","room {number}"]') for number in range(rooms)]
    with await Connection.websocket(target.port) as attacker:
        for at in range(0, rooms, 1000):
            await attacker.send(b"".join(joins[at : at + 1000]), LASTS)
        await attacker.send(masked('427["echo","all in"]'))
        await attacker.until(b'437["all in"]')
    await asyncio.sleep(1)  # that they all end at once is part of it
    return Outcome(f"{rooms} rooms", "leaves by itself")


async def attachments_missing(target: Target) -> Outcome:
    """An event announces attachments; all but the last come, then another event."""
    places = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(ATTACHMENTS))
    with await Connection.websocket(target.port) as attacker:
        await attacker.send(masked(f'45{ATTACHMENTS}-["echo",{places}]'))
        for _ in range(ATTACHMENTS - 1):
            await attacker.send(masked(b"x" * PAYLOAD, BINARY))
        await asyncio.sleep(1)
        await attacker.send(masked('42["echo","impatient"]'))
        ended = await attacker.ended(5)
    outcome = Outcome(f"{ATTACHMENTS - 1} of {ATTACHMENTS} attachments of 1 MB, then an event", ended)
    outcome.expect(ended, "close 1009")
    return outcome


async def swollen_json(target: Target) -> Outcome:
    """JSON that is much larger in memory than on the wire."""
    text = '42["slow"' + ",[]" * (PAYLOAD // 3 - 10) + "]"
    return await messages_that_are_allowed(target, text, target.count(50), "333 000 empty lists")


async def deep_json(target: Target) -> Outcome:
    """Brackets without end."""
    with await Connection.websocket(target.port) as attacker:
        await attacker.send(masked('42["echo",' + "[" * PAYLOAD))
        ended = await attacker.ended(5)
    outcome = Outcome("a megabyte of brackets", ended)
    outcome.expect(ended, "close 1000")
    return outcome


async def _bodies(target: Target, attacker: Connection, path: str, body: bytes, packets: int) -> Outcome:
    """The same polling body some times over, until it is refused."""
    status, sent, count = 200, 0, target.count(10)
    while status == 200 and sent < count:
        await attacker.send(request("POST", path, body))
        status = (await attacker.response()).status
        sent += 1
    outcome = Outcome(f"{sent} bodies of {packets} packets", f"HTTP {status}")
    outcome.expect(outcome.ended, "HTTP 200", "HTTP 400")  # taken in turn, or refused as too many
    return outcome


async def tiny_body_3(target: Target) -> Outcome:
    """The length of each packet stands before it."""
    with await Connection.tcp(target.port) as attacker:
        path = CLIENT_PROTOCOLS["3"].path("polling", await attacker.open_session("3"), {})
        number = PAYLOAD // 3
        outcome = await _bodies(target, attacker, path, b"1:6" * number, number)
    await Connection.once(target.port, request("POST", path, "1:1"))
    return outcome


async def tiny_body_4(target: Target) -> Outcome:
    """A character stands between packets."""
    attacker, path = await Connection.poller(target.port)
    with attacker:
        number = PAYLOAD // 2
        outcome = await _bodies(target, attacker, path, b"\x1e".join([b"6"] * number), number)
    await Connection.once(target.port, request("POST", path, "1"))
    return outcome


async def tiny_body_09(target: Target) -> Outcome:
    """The length of each packet stands before it, between two marks."""
    with await Connection.tcp(target.port) as attacker:
        path = CLIENT_PROTOCOLS["0.9"].path("polling", await attacker.open_session("0.9"), {})
        packet = "\ufffd3\ufffd8::".encode()
        number = PAYLOAD // len(packet)
        outcome = await _bodies(target, attacker, path, packet * number, number)
    await Connection.once(target.port, request("GET", path + "&disconnect=1"))
    return outcome


async def deflate_bomb(target: Target) -> Outcome:
    """Compression is asked for, must not be granted, and is used all the same."""
    squeezed = zlib.compressobj(9, wbits=-15)
    bomb = squeezed.compress(b"x" * target.count(100 * MB)) + squeezed.flush(zlib.Z_SYNC_FLUSH)
    with await Connection.tcp(target.port) as attacker:
        await attacker.send(upgrade_request(OPENING, ("sec-websocket-extensions", "permessage-deflate")))
        head = await attacker.until(b"\r\n\r\n")
        frame = masked(bomb)
        await attacker.send(bytes((frame[0] | 0x40,)) + frame[1:])
        ended = await attacker.ended(5)
    outcome = Outcome(f"{len(bomb)} B that are {target.count(100 * MB) / MB:.0f} MB", ended)
    outcome.expect(ended, "close 1002", "ConnectionResetError")
    if b"deflate" in head.lower():
        outcome.faults.append(f"compression was granted: {head!r}")
    return outcome


ONE = (lambda _: ONE_CLIENT, OF_ONE_CLIENT)
_ALL = (
    ("pongs", pongs),
    ("empty-fragments", empty_fragments),
    ("stray-acks", stray_acks),
    ("in-and-out", in_and_out),
    ("attachments-missing", attachments_missing),
    ("deep-json", deep_json),
    ("deflate-bomb", deflate_bomb),
)
PACKET_ATTACKS = [
    Scenario("noops", noops, *ONE, long=True),
    *(Scenario(name, attack, *ONE) for name, attack in _ALL),
    Scenario(
        "endless-rooms",
        endless_rooms,
        lambda scale: ONE_CLIENT + max(200_000 * scale, 20_000) * 600,
        "600 B for a room, its name and its table",
        errors=True,  # where rooms have a limit: the program's handler does not catch what that raises
    ),
    Scenario(
        "swollen-json",
        swollen_json,
        lambda _: ONE_CLIENT + 3 * 40 * MB,
        "a list of nothing is 80 B in memory and 3 on the wire: one handled, one waiting, one being read",
    ),
    *(
        Scenario(name, attack, lambda _: ONE_CLIENT + 30 * MB, "a packet in a list is up to 60 B, and 2 or 3 in a body")
        for name, attack in (("tiny-body-4", tiny_body_4), ("tiny-body-3", tiny_body_3), ("tiny-body-09", tiny_body_09))
    ),
]
