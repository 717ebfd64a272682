"""The backlog: order, size, and when there is too much of it."""

from __future__ import annotations

import pytest

from asocketio.config import Config
from asocketio.protocol.packet import EVENT, Packet
from asocketio.session.backlog import Backlog


def packet(name: str = "") -> Packet:
    return Packet(EVENT, name=name)


def backlog(size: int = 1600, packets: int = 160) -> Backlog:
    return Backlog(Config(max_backlog=size, max_backlog_packets=packets))


def test_packets_leave_in_the_order_they_came() -> None:
    waiting = backlog()
    packets = [packet(name) for name in "abc"]
    for each, size in zip(packets, (3, 0, 7), strict=True):
        assert waiting.put(each, size)
    assert (len(waiting), waiting.size, waiting.first) == (3, 10, packets[0])
    assert [waiting.take() for _ in packets] == packets
    assert (len(waiting), waiting.size) == (0, 0)


@pytest.mark.parametrize(("sizes", "taken"), [([1600, 1], [True, True]), ([1601, 0], [True, False])])
def test_one_packet_may_go_over_the_size_and_no_other_after_it(sizes: list[int], taken: list[bool]) -> None:
    waiting = backlog()
    assert [waiting.put(packet(), size) for size in sizes] == taken


def test_there_may_be_as_many_packets_as_the_setting_says() -> None:
    waiting = backlog(packets=3)
    assert [waiting.put(packet(), 0) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("sizes", "above"), [([], False), ([100], False), ([101], True), ([0] * 10, False), ([0] * 11, True)]
)
def test_reading_stops_above_a_sixteenth(sizes: list[int], above: bool) -> None:
    waiting = backlog()
    for size in sizes:
        waiting.put(packet(), size)
    assert waiting.above_high_water is above
