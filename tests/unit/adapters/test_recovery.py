"""What is kept for clients that may come back: within its bounds, and without a gap that nobody knows of."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

from asocketio.adapters import event_log, trails
from asocketio.adapters.event_log import EVENT_OVERHEAD, EventLog
from asocketio.adapters.memory_recovery import MemoryRecovery
from asocketio.adapters.trails import Entry, Saved, Trail
from asocketio.config import Config
from asocketio.protocol.base import Encoded
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.packet import EVENT, Packet
from asocketio.testing.clock import TestClock

PROTOCOL = EngineIO4()
MOST = 10**9


def unused(of: Trail, packet: Packet) -> Encoded:
    raise AssertionError


def entry(number: int, *rooms: str, excluded: tuple[str, ...] = ()) -> Entry:
    encoded = {PROTOCOL: Encoded((f"4{number}",))}
    return Entry(number, encoded, frozenset(rooms) or None, frozenset(excluded), EVENT_OVERHEAD)


def log_of(*entries: Entry, most_events: int = 1000, most_bytes: int = MOST) -> EventLog:
    log = EventLog(most_events, most_bytes)
    for each in entries:
        log.add("", each)
        log.trim(0, 0)
    return log


def trail(start: int = 0, **rooms: int) -> Trail:
    made = Trail("", "sid", "secret", PROTOCOL, start, unused)
    for room, since in rooms.items():
        made.join(room, since)
    return made


def numbers(log: EventLog, of: Trail, after: int) -> list[int] | None:
    found = log.missed(of, after, MOST)
    return None if found is None else [each.number for each in found]


def test_what_was_for_it_is_found_once_and_in_order() -> None:
    log = log_of(
        entry(1), entry(2, "red", "blue"), entry(3, "green"), entry(4, "sid"), entry(5, "red", excluded=("blue",)),
        entry(6, excluded=("sid",)), entry(7, "blue"),
    )  # fmt: skip
    assert numbers(log, trail(red=0, blue=0), 0) == [1, 2, 4, 7]
    assert numbers(log, trail(red=0, blue=0), 2) == [4, 7]
    assert numbers(log, trail(red=0), 0) == [1, 2, 4, 5]
    assert numbers(log, trail(blue=2), 0) == [1, 4, 7]
    assert numbers(log, trail(start=1), 1) == [4]


def test_of_a_room_that_was_left_what_was_said_before_is_found() -> None:
    log = log_of(*(entry(number, "red") for number in range(1, 8)))
    been = trail(red=1)
    been.leave("red", 3)
    been.join("red", 5)
    assert numbers(log, been, 0) == [2, 3, 6, 7]
    been.leave("red", 6)
    assert numbers(log, been, 2) == [3, 6]


def test_a_gap_in_a_room_is_known_to_those_who_were_there() -> None:
    log = log_of(entry(1, "red"), entry(2, "blue"), entry(3, "red"), entry(4), most_events=2)
    assert numbers(log, trail(red=0), 0) is None
    assert numbers(log, trail(red=1), 1) == [3, 4]
    assert numbers(log, trail(red=0, blue=0), 1) is None
    assert numbers(log, trail(green=0), 0) == [4]


def test_so_it_is_with_more_rooms_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MOST_LOST", 2)
    log = log_of(*(entry(number, f"room {number}") for number in range(1, 9)), most_events=3)
    assert numbers(log, trail(**{"room 1": 0}), 0) is None
    assert numbers(log, trail(start=2, quiet=2), 2) is None, "it cannot be known any more"
    assert numbers(log, trail(start=3, quiet=3), 3) == []


def test_so_it_is_with_more_stays_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "MOST_STAYS", 2)
    been = trail()
    log = EventLog(1000, MOST)
    for number in range(1, 5):
        been.join(f"room {number}", number - 1)
        log.add("", entry(number, f"room {number}"))
        been.leave(f"room {number}", number)
    assert numbers(log, been, 0) is None
    assert numbers(log, been, 1) is None
    assert numbers(log, been, 2) == [3, 4]


def test_a_copy_of_a_trail_goes_its_own_way() -> None:
    been = trail(red=0)
    copy = been.copy()
    copy.leave("red", 5)
    copy.join("blue", 5)
    assert (dict(been.rooms), dict(copy.rooms)) == ({"red": 0}, {"blue": 5})
    assert not been.was_in("blue", 6)
    assert copy.was_in("red", 5)


def test_another_protocol_than_it_was_kept_in_is_a_gap() -> None:
    been = Trail("", "sid", "secret", EngineIO4(), 0, unused)
    assert numbers(log_of(entry(1)), been, 0) is None


class Host:
    """What tells the time."""

    def __init__(self) -> None:
        self.clock: Any = TestClock()


def store(**settings: Any) -> MemoryRecovery:
    made = MemoryRecovery(Config(recovery=60.0, **settings), Host())
    made.start()
    return made


@pytest.mark.parametrize("kind", ["one each", "rooms", "all", "away", "away in rooms"])
def test_what_is_kept_takes_no_more_memory_than_it_counts(kind: str) -> None:
    kept = store(recovery_events=2000, recovery_bytes=100_000_000)
    clients = [kept.open("", f"~{number:020}", PROTOCOL) for number in range(1000)]
    tracemalloc.start()
    for number, client in enumerate(clients):
        if kind == "one each":
            client.prepare(Packet(EVENT, name="n", args=[number]))
        elif kind.startswith("away"):
            for room in range(10 if kind == "away in rooms" else 0):
                client.join(f"room {number} {room}", 0)
            kept.save(Saved(client, {"name": "x" * 100}, None, 1000 + 600))
        else:
            rooms = frozenset(f"{number} {room}" for room in range(5)) if kind == "rooms" else None
            each, _ = kept.next("")
            kept.keep("", each, {PROTOCOL: Encoded((f'42["n",{number}]' + "x" * 50,))}, rooms)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept.kept[0] > 900
    assert taken <= kept.kept[1]


async def test_a_store_that_starts_anew_has_forgotten_all() -> None:
    kept = store()
    client = kept.open("", "a", PROTOCOL)
    client.prepare(Packet(EVENT, name="n"))
    away = kept.open("", "b", PROTOCOL)
    kept.save(Saved(away, {}, None, 2000))
    assert kept.kept[0] == 2
    kept.start()
    assert kept.kept == (0, 0)
    assert kept.find(client.private_id) is None
    assert await kept.restore("", away.private_id, None, PROTOCOL, None) is None
    await asyncio.sleep(0)
