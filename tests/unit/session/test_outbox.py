"""The outbox: order, size, and room to wait for."""

from __future__ import annotations

import asyncio

import pytest

from asocketio.protocol.base import Encoded
from asocketio.session import outbox as outboxes
from asocketio.session.outbox import Outbox


def packet(size: int) -> Encoded:
    return Encoded(("x" * size,))


@pytest.fixture(autouse=True)
def weightless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only content counts here, but where a test says otherwise."""
    monkeypatch.setattr(outboxes, "PACKET_OVERHEAD", 0)


async def settled() -> None:
    """Let every task take the steps it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_packets_leave_in_the_order_they_came() -> None:
    outbox = Outbox(1600)
    packets = [packet(size) for size in (3, 0, 7)]
    assert [outbox.put(each) for each in packets] == [True, True, True]
    assert (len(outbox), outbox.size) == (3, 10)
    assert [outbox.take() for _ in packets] == packets
    assert (len(outbox), outbox.size) == (0, 0)


def test_all_frames_of_a_packet_count() -> None:
    outbox = Outbox(1600)
    outbox.put(Encoded(("abc", b"12", b"3456")))
    assert (len(outbox), outbox.size) == (1, 9)


def test_tiny_packets_count_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "PACKET_OVERHEAD", 100)
    outbox = Outbox(1010)
    assert [outbox.put(packet(1)) for _ in range(11)] == [True] * 10 + [False]
    outbox.take()
    assert outbox.size == 1010


def test_taking_from_an_empty_outbox_is_an_error() -> None:
    with pytest.raises(IndexError):
        Outbox(1600).take()


def test_putting_says_false_above_the_limit() -> None:
    outbox = Outbox(10)
    assert [outbox.put(packet(5)) for _ in range(3)] == [True, True, False]
    assert (len(outbox), outbox.size) == (3, 15)
    outbox.take()
    assert outbox.put(packet(0))


@pytest.mark.parametrize(("limit", "high"), [(4_000_000, 250_000), (1600, 100), (31, 1), (1, 1)])
def test_it_is_full_above_a_sixteenth_of_its_limit(limit: int, high: int) -> None:
    outbox = Outbox(limit)
    outbox.put(packet(high))
    assert (outbox.limit, outbox.high_water, outbox.above_high_water) == (limit, high, False)
    outbox.put(packet(1))
    assert outbox.above_high_water


async def test_room_comes_when_half_of_the_high_mark_is_left() -> None:
    outbox = Outbox(1600)
    for size in (60, 1, 50):
        outbox.put(packet(size))
    waiters = [asyncio.create_task(outbox.drain()) for _ in range(2)]
    await settled()
    done = []
    for _ in range(2):
        outbox.take()
        await settled()
        done.append([waiter.done() for waiter in waiters])
    assert (done, outbox.size) == ([[False, False], [True, True]], 50)
    assert [waiter.result() for waiter in waiters] == [None, None]


async def test_a_small_outbox_has_room_when_it_is_empty() -> None:
    outbox = Outbox(1)
    for _ in range(2):
        outbox.put(packet(1))
    waiter = asyncio.create_task(outbox.drain())
    await settled()
    outbox.take()
    await settled()
    assert not waiter.done()
    outbox.take()
    await asyncio.wait_for(waiter, 5)


async def test_a_waiter_that_was_cancelled_is_in_nobodys_way() -> None:
    outbox = Outbox(1600)
    outbox.put(packet(101))
    cancelled, waiting = (asyncio.create_task(outbox.drain()) for _ in range(2))
    await settled()
    cancelled.cancel()
    await settled()
    outbox.take()
    await asyncio.wait_for(waiting, 5)
    assert cancelled.cancelled()


async def test_room_can_be_waited_for_again_and_again() -> None:
    outbox = Outbox(1600)
    for _ in range(3):
        outbox.put(packet(101))
        waiter = asyncio.create_task(outbox.drain())
        await settled()
        assert not waiter.done()
        outbox.take()
        await asyncio.wait_for(waiter, 5)


async def test_clearing_drops_everything_and_wakes_who_waits() -> None:
    outbox = Outbox(1600)
    outbox.put(packet(1000))
    waiter = asyncio.create_task(outbox.drain())
    await settled()
    outbox.clear()
    await asyncio.wait_for(waiter, 5)
    assert (len(outbox), outbox.size, outbox.above_high_water) == (0, 0, False)


def test_clearing_needs_nobody_who_waits() -> None:
    outbox = Outbox(1600)
    outbox.put(packet(1))
    outbox.clear()
    outbox.clear()
    assert (len(outbox), outbox.size) == (0, 0)


def test_what_has_gone_leaves_no_gap_for_long() -> None:
    outbox = Outbox(1_000_000)
    sent = [Encoded((str(number),)) for number in range(200)]
    for encoded in sent:
        outbox.put(encoded)
    taken, places = [], []
    for _ in sent:
        taken.append(outbox.take())
        places.append(len(outbox.queue))
    assert taken == sent
    assert all(place <= max(2 * left + 2, left + 32) for left, place in enumerate(reversed(places)))
    assert (len(outbox), outbox.size, places[-1]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("size", "parts"), [(24, [4]), (1000, [4]), (23, [4]), (15, [3, 1]), (8, [2, 2]), (1, [1, 1, 1, 1])]
)
def test_packets_may_be_taken_several_at_a_time(size: int, parts: list[int]) -> None:
    outbox = Outbox(1600)
    packets = [packet(each) for each in (3, 5, 7, 9)]
    for each in (packet(1), *packets):
        outbox.put(each)
    outbox.take()
    taken = [outbox.take_some(size) for _ in parts]
    assert [len(some) for some in taken] == parts
    assert [each for some in taken for each in some] == packets
    assert (len(outbox), outbox.size) == (0, 0)


async def test_room_comes_when_all_is_taken() -> None:
    outbox = Outbox(1600)
    outbox.put(packet(1000))
    waiting = asyncio.create_task(outbox.drain())
    await settled()
    assert not waiting.done()
    outbox.take_some(1000)
    await settled()
    assert waiting.done()
