"""Clients that do not read what is sent to them: what waits for them is bounded, and they are closed as too slow."""

from __future__ import annotations

import asyncio

from tests.benchmarks.clients import WebSocket
from tests.clients.frames import masked
from tests.clients.http import request
from tests.clients.tcp import Connection
from tests.load.flood.runner import KB, MB, Outcome, Scenario, Target, stats
from tests.load.flood.volume_attacks import LASTS, OF_ONE_CLIENT, ONE_CLIENT

__all__ = ["SLOW_READERS"]

MEMBERS = 1000
LARGE, SMALL = 20_000, 1000
OUTBOX = 200_000
"""max_outbox of the rooms: reached before a thousand members make too much of it for two cores."""
PATIENCE = 60.0
"""Seconds for a member to get what it is due."""
TINY_BUFFER = 4096

PROBES_LAST = 6.0
"""Seconds of probing: more than the upgrade_timeout of that server."""
V3 = "/socket.io/?EIO=3&transport=websocket"
SHORT_OUTBOX = 500_000
SHORT_ALLOWANCE = 6 * MB
"""That outbox with what its packets weigh besides their text, a body, and what the allocator keeps."""


class _Room:
    """Members who read, and one who speaks, again when the server has taken the last."""

    def __init__(self, members: list[WebSocket], speaker: WebSocket) -> None:
        self.members = members
        self.speaker = speaker
        self.spoken = 0
        self._taken = 0
        self._all_taken = asyncio.Event()
        speaker.got = self._on_taken
        for member in members:
            member.got = _count

    def _on_taken(self, _client: WebSocket, count: int) -> None:
        self._taken += count
        if self._taken == self.spoken:
            self._all_taken.set()

    async def speak(self, size: int, times: int) -> None:
        """So many messages to the room; until the server has taken them."""
        self._all_taken.clear()
        self.spoken += times
        self.speaker.write(masked(f'420["spam","lobby",{size}]') * times)
        await asyncio.wait_for(self._all_taken.wait(), PATIENCE)

    async def heard(self) -> int:
        """How many have heard all that was said, when they have had time to."""
        until = asyncio.get_running_loop().time() + PATIENCE
        while True:
            complete = sum(member.count == self.spoken for member in self.members)
            lost = any(member.ended for member in self.members)
            if lost or complete == len(self.members) or asyncio.get_running_loop().time() > until:
                return complete
            await asyncio.sleep(0.05)

    def close(self) -> None:
        for client in (*self.members, self.speaker):
            client.close()


def _count(client: WebSocket, count: int) -> None:
    client.count += count


async def _room(target: Target) -> _Room:
    members = [await WebSocket.open(target.port) for _ in range(target.count(MEMBERS, 100))]
    for member in members:
        member.write(masked('42["join","lobby"]'))
    return _Room(members, await WebSocket.open(target.port))


async def _deaf(target: Target) -> tuple[Connection, Connection, str]:
    """A websocket and a poller that join the room and read no more."""
    websocket = await Connection.websocket(target.port, receive_buffer=TINY_BUFFER)
    await websocket.send(masked('42["join","lobby"]'))
    poller, path = await Connection.poller(target.port)
    await poller.ask(request("POST", path, '42["join","lobby"]'))
    return websocket, poller, path


async def _spammed(target: Target, size: int, most: int) -> Outcome:
    """Speak until both deaf ones are gone, at most ``most`` times."""
    room = await _room(target)
    websocket, poller, path = await _deaf(target)
    present = (await stats(target.port))["sockets"]
    with websocket, poller:
        gone = 0
        while room.spoken < most and gone < 2:
            await room.speak(size, max(OUTBOX // 4 // size, 1))
            gone = present - (await stats(target.port))["sockets"]
        complete = await room.heard()
        polled = await Connection.once(target.port, request("GET", path))
        ended = f"HTTP {polled}, {await websocket.ended(10)}"
        said = (await stats(target.port))["said"]
    words = f"{room.spoken} × {size} B to {len(room.members)} members, of whom {complete} heard all"
    outcome = Outcome(words, ended)
    room.close()
    if complete != len(room.members):
        outcome.faults.append(words)
    if gone != 2:
        outcome.faults.append(f"{gone} of 2 deaf clients were closed")
    outcome.expect(ended.partition(",")[0], "HTTP 400")
    if not any("does not keep up" in text for text in said):
        outcome.faults.append(f"the log does not say that they are too slow: {said}")
    return outcome


async def large_to_a_room(target: Target) -> Outcome:
    """Large messages to a room in which two do not read."""
    return await _spammed(target, LARGE, 1000)


async def small_to_a_room(target: Target) -> Outcome:
    """Small messages to the same."""
    return await _spammed(target, SMALL, 20_000)


async def _unread(target: Target, frame: str, most: int) -> Outcome:
    """Send what is answered, never read the answers, and see whether the server ends that."""
    frames = masked(frame) * 1000
    with await Connection.websocket(target.port, receive_buffer=TINY_BUFFER) as attacker:
        before = (await stats(target.port))["sockets"]
        sent, now = 0, before
        until = asyncio.get_running_loop().time() + LASTS
        while now == before and asyncio.get_running_loop().time() < until:
            await attacker.flood(frames, min(50, (most - sent) // 1000), 1)
            sent = attacker.sent // len(frames) * 1000
            now = (await stats(target.port))["sockets"]
            await asyncio.sleep(0.01)
        ended = "closed" if now < before else "open"
    return Outcome(f"{sent} × {frame!r}", ended)


async def unread_acks(target: Target) -> Outcome:
    """Events that want an ack: it is the smallest answer there is."""
    outcome = await _unread(target, '420["nothing"]', 2_000_000)
    outcome.expect(outcome.ended, "closed")
    return outcome


async def unread_refusals(target: Target) -> Outcome:
    """Connects to a namespace that does not exist."""
    outcome = await _unread(target, "40/x,", 400_000)
    outcome.expect(outcome.ended, "closed")
    return outcome


async def unpolled_acks(target: Target) -> Outcome:
    """The same acks, for a client that posts and never polls: nothing of them is in the network."""
    attacker, path = await Connection.poller(target.port)
    with attacker:
        body = "\x1e".join(['420["nothing"]'] * 1000)
        status, posts = 200, 0
        while status == 200 and posts < 1000:
            status = await Connection.once(target.port, request("POST", path, body))
            posts += 1
    outcome = Outcome(f"{posts} POSTs of 1000 events", f"HTTP {status}")
    outcome.expect(outcome.ended, "HTTP 400")
    return outcome


async def unread_pongs(target: Target) -> Outcome:
    """Pings of a 2.x client: past a full outbox they are not answered."""
    wanted = target.count(1000, 200)
    with await Connection.websocket(target.port, V3, "", TINY_BUFFER) as attacker:
        sent = await attacker.flood(masked("2") * 1000, wanted, LASTS)
        ended = await attacker.ended(0.1)
    outcome = Outcome(f"{sent * 1000} pings", ended)
    outcome.expect(ended, "open")
    return outcome


async def unread_websocket_pongs(target: Target) -> Outcome:
    """PING frames: who does not read gets no more to read."""
    ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
    with await Connection.websocket(target.port, receive_buffer=TINY_BUFFER) as attacker:
        sent = await attacker.flood(ping * 1000, target.count(1000, 100), LASTS)
        ended = await attacker.ended(0.5)
    return Outcome(f"{sent * 1000} PING frames of 125 B", ended)


async def unread_probes(target: Target) -> Outcome:
    """Probes of an upgrade that never comes: each is answered until upgrade_timeout."""
    poller, path = await Connection.poller(target.port)
    with poller:
        path = path.replace("transport=polling", "transport=websocket")
        wanted = target.count(2000, 500)
        with await Connection.websocket(target.port, path, "", TINY_BUFFER) as attacker:
            sent = await attacker.flood(masked("2probe") * 1000, wanted, PROBES_LAST)
            ended = await attacker.ended(0.5)
        leave = request("POST", path.replace("transport=websocket", "transport=polling"), "1")
        status = await Connection.once(target.port, leave)
    return Outcome(f"{sent * 1000} probes", f"{ended}, then {status} for a goodbye")


async def answers_at_once(target: Target) -> Outcome:
    """One who reads, and asks for more at once than max_outbox holds: his room gets all of it, and nobody is closed."""
    members = [await WebSocket.open(target.port) for _ in range(5)]
    speaker = await WebSocket.open(target.port)
    room = _Room(members, speaker)
    for member in members:
        member.write(masked('42["join","lobby"]'))
    await asyncio.sleep(0.2)
    await room.speak(70_000, 64)  # 4.5 MB for each, asked for in one write of 3 kB
    complete = await room.heard()
    ends = [member.ended for member in members if member.ended]
    room.close()
    outcome = Outcome(f"64 × 70 kB to {len(members)} members who read", f"{complete} heard all")
    if complete != len(members):
        outcome.faults.append(f"members who read were closed: {ends}")
    return outcome


SLOW_READERS = [
    Scenario(
        "room-large",
        large_to_a_room,
        lambda scale: ONE_CLIENT + max(MEMBERS * scale, 100) * (50 * KB + 2 * LARGE),
        "50 kB and two messages for each member",
        {"max_outbox": OUTBOX},
    ),
    Scenario(
        "room-small",
        small_to_a_room,
        lambda scale: ONE_CLIENT + max(MEMBERS * scale, 100) * 50 * KB,
        "50 kB for each member",
        {"max_outbox": OUTBOX},
    ),
    Scenario("unread-acks", unread_acks, lambda _: ONE_CLIENT, OF_ONE_CLIENT, long=True),
    Scenario("unread-refusals", unread_refusals, lambda _: ONE_CLIENT, OF_ONE_CLIENT, long=True),
    Scenario(
        "unpolled-acks",
        unpolled_acks,
        lambda _: SHORT_ALLOWANCE,
        "a small outbox, and as much again",
        {"max_outbox": SHORT_OUTBOX},
    ),
    Scenario("answers-at-once", answers_at_once, lambda _: 6 * ONE_CLIENT, OF_ONE_CLIENT + ", for six"),
    Scenario("unread-pongs", unread_pongs, lambda _: ONE_CLIENT, OF_ONE_CLIENT),
    Scenario("unread-websocket-pongs", unread_websocket_pongs, lambda _: ONE_CLIENT, OF_ONE_CLIENT),
    Scenario("unread-probes", unread_probes, lambda _: ONE_CLIENT, OF_ONE_CLIENT, {"upgrade_timeout": 5.0}),
]
