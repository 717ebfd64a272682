"""Attacks by volume: events to a slow handler faster than it takes them, and bytes without end."""

from __future__ import annotations

import asyncio

from tests.clients.frames import masked
from tests.clients.http import request
from tests.clients.tcp import Connection
from tests.load.flood.runner import MB, Outcome, Scenario, Target

__all__ = ["VOLUME_ATTACKS"]

EVENTS = 200_000
EVENT = '42["slow","' + "x" * 1000 + '"]'
BURST = 100
"""Events in one write, or in one POST."""
LASTS = 15.0
"""Seconds of an attack at full size that the server has brought to a standstill."""

ONE_CLIENT = 24 * MB
"""What one client may cost: a chunk, a frame and a message of max_payload (1 MB) each on their way in, max_backlog
(1 MB) waiting, max_outbox (4 MB) going out and as much in the transport; twice, for what the allocator keeps."""
OF_ONE_CLIENT = "the limits of one client, twice"


def _lasts(target: Target) -> float:
    return max(LASTS * target.scale, 2.0)


async def events_by_websocket(target: Target) -> Outcome:
    """The reader must stop: what does not fit into the backlog waits in the network."""
    wanted = target.count(EVENTS)
    with await Connection.websocket(target.port) as attacker:
        bursts = await attacker.flood(masked(EVENT) * BURST, wanted // BURST, _lasts(target))
        ended = await attacker.ended(0.1)
    outcome = Outcome(f"{bursts * BURST} of {wanted} events, {attacker.sent / MB:.1f} MB", ended)
    outcome.expect(ended, "open")  # it is made to wait, and may live
    return outcome


async def events_by_polling(target: Target) -> Outcome:
    """The answer to a POST waits until its events fit into the backlog; an impatient second POST ends the session."""
    wanted = target.count(EVENTS)
    attacker, path = await Connection.poller(target.port)
    with attacker:
        post = request("POST", path, "\x1e".join([EVENT] * BURST))
        until = asyncio.get_running_loop().time() + _lasts(target)
        posts = 0
        while posts * BURST < wanted and asyncio.get_running_loop().time() < until:
            await attacker.ask(post)
            posts += 1
        polite = posts
        with await Connection.tcp(target.port) as other:
            await attacker.send(post * 50)  # pipelined, not waiting for any answer
            await other.send(post * 50)
            ended = await other.ended(5)
    outcome = Outcome(f"{polite * BURST} of {wanted} events in turn, then 100 POSTs at once", ended)
    outcome.expect(ended, "HTTP 400")
    return outcome


async def messages_that_are_allowed(target: Target, text: str, wanted: int, what: str) -> Outcome:
    """One message, over and over: it is read slowly, and the connection stays."""
    with await Connection.websocket(target.port) as attacker:
        sent = await attacker.flood(masked(text), wanted, LASTS)
        ended = await attacker.ended(0.1)
    outcome = Outcome(f"{sent} of {wanted} messages of {what}", ended)
    outcome.expect(ended, "open")
    return outcome


async def large_messages(target: Target) -> Outcome:
    """100 MB in messages that are just allowed."""
    return await messages_that_are_allowed(target, '42["slow","' + "x" * 999_900 + '"]', target.count(100), "1 MB")


async def giant_frame(target: Target) -> Outcome:
    """One frame over the limit is refused by its header."""
    size = target.count(100 * MB)
    head = b"\x81\xff" + size.to_bytes(8, "big") + b"\x12\x34\x56\x78"
    with await Connection.websocket(target.port) as attacker:
        await attacker.send(head + b"x" * 1000)
        taken = await attacker.flood(b"x" * MB, size // MB, LASTS)
        ended = await attacker.ended(10)
    outcome = Outcome(f"a frame of {size / MB:.0f} MB, {taken} MB went out", ended)
    # What the attacker still sends may reset the connection before it has read the goodbye.
    outcome.expect(ended, "close 1009", "ConnectionResetError", "eof")
    return outcome


async def endless_message(target: Target) -> Outcome:
    """A message in fragments that has no end."""
    first = b"\x01\xfe" + (60_000).to_bytes(2, "big") + b"\0\0\0\0" + b"x" * 60_000
    more = b"\x00" + first[1:]
    with await Connection.websocket(target.port) as attacker:
        await attacker.send(first)
        sent = await attacker.flood(more, target.count(100 * MB) // 60_000, LASTS)
        ended = await attacker.ended(10)
    outcome = Outcome(f"{sent} fragments of 60 kB", ended)
    outcome.expect(ended, "close 1009", "ConnectionResetError", "eof")
    return outcome


async def endless_post(target: Target) -> Outcome:
    """A chunked body without end is refused once it is over the limit."""
    attacker, path = await Connection.poller(target.port)
    chunk = f"{65_536:x}\r\n".encode() + b"x" * 65_536 + b"\r\n"
    with attacker:
        head = request("POST", path).replace(b"content-length: 0", b"transfer-encoding: chunked")
        await attacker.send(head)
        sent = await attacker.flood(chunk, target.count(100 * MB) // 65_536, LASTS)
        ended = await attacker.ended(2)
    outcome = Outcome(f"{sent} chunks of 64 kB in a POST", ended)
    outcome.expect(ended, "HTTP 413", "ConnectionResetError")
    await _gone(target, path, outcome)
    return outcome


async def lying_length(target: Target) -> Outcome:
    """More announced than sent: the session ends by send_timeout. More announced than allowed: refused at once."""
    attacker, path = await Connection.poller(target.port)
    with attacker, await Connection.tcp(target.port) as other:
        await attacker.send(request("POST", path).replace(b"length: 0", b"length: 100000000"))
        refused = await attacker.ended(2)
        await other.send(request("POST", path).replace(b"length: 0", b"length: 900000") + b"4" * 1000)
        ended = await other.ended(10)
    outcome = Outcome("a POST of 100 MB by its header; a POST of 0.9 MB that stops after 1 kB", f"{refused}, {ended}")
    outcome.expect(refused, "HTTP 413")
    outcome.expect(ended, "HTTP 400", "eof", "ConnectionResetError")
    return outcome


async def _gone(target: Target, path: str, outcome: Outcome) -> None:
    """The session may live after a body was refused; it is left in an orderly way here."""
    status = await Connection.once(target.port, request("POST", path, "1"))
    outcome.ended += f", then {status} for a goodbye"


VOLUME_ATTACKS = [
    Scenario("events-websocket", events_by_websocket, lambda _: ONE_CLIENT, OF_ONE_CLIENT),
    Scenario("events-polling", events_by_polling, lambda _: ONE_CLIENT, OF_ONE_CLIENT),
    Scenario("large-messages", large_messages, lambda _: ONE_CLIENT, OF_ONE_CLIENT),
    Scenario("giant-frame", giant_frame, lambda _: ONE_CLIENT, OF_ONE_CLIENT),
    Scenario("endless-message", endless_message, lambda _: ONE_CLIENT, OF_ONE_CLIENT),
    Scenario("endless-post", endless_post, lambda _: ONE_CLIENT, OF_ONE_CLIENT),
    Scenario("lying-length", lying_length, lambda _: ONE_CLIENT, OF_ONE_CLIENT, {"send_timeout": 2.0}),
]
