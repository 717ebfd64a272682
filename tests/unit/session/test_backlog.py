"""The backlog: order, size, and when there is too much of it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from asocketio.config import Config
from asocketio.protocol.fast_json import best_json
from asocketio.protocol.json_codec import Json, StdJson
from asocketio.protocol.packet import EVENT, Packet
from asocketio.session.backlog import Backlog, weight

EMPTY = weight(["", "", [], None], 10**9)
"""What a packet without content weighs."""


def packet(size: int = EMPTY) -> Packet:
    """A packet that weighs ``size``."""
    return Packet(EVENT) if size == EMPTY else Packet(EVENT, args=[bytes(size - EMPTY - SMALLEST)])


SMALLEST = weight(["", "", [b""], None], 10**9) - EMPTY


def backlog(size: int = 160_000, packets: int = 160) -> Backlog:
    return Backlog(Config(max_backlog=size, max_backlog_packets=packets))


def test_packets_leave_in_the_order_they_came() -> None:
    waiting = backlog()
    packets = [packet(size) for size in (1000, 2000, 3000)]
    assert [waiting.put(each) for each in packets] == [True] * 3
    assert (len(waiting), waiting.size, waiting.first) == (3, 6000, packets[0])
    assert [waiting.take() for _ in packets] == packets
    assert (len(waiting), waiting.size) == (0, 0)


@pytest.mark.parametrize(("sizes", "taken"), [([160_000, 1000], [True, True]), ([160_001, 1000], [True, False])])
def test_one_packet_may_go_over_the_size_and_no_other_after_it(sizes: list[int], taken: list[bool]) -> None:
    waiting = backlog()
    assert [waiting.put(packet(size)) for size in sizes] == taken


def test_there_may_be_as_many_packets_as_the_setting_says() -> None:
    waiting = backlog(packets=3)
    assert [waiting.put(packet()) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("sizes", "above"), [([], False), ([10_000], False), ([10_001], True), ([EMPTY] * 10, False), ([EMPTY] * 11, True)]
)
def test_reading_stops_above_a_sixteenth(sizes: list[int], above: bool) -> None:
    waiting = backlog()
    for size in sizes:
        waiting.put(packet(size))
    assert waiting.above_high_water is above


SHAPES = {
    "texts": '["ab","cd","ef"]', "wide texts": '["😀a","é€","ü"]', "numbers": "[300,1.5,-70000,1e9]",
    "empty lists": "[[],[],[]]", "empty objects": "[{},{},{}]", "objects": '[{"a":1},{"b":[2]}]',
    "deep": '{"":[[0]]}',
}  # fmt: skip


@pytest.mark.parametrize("json", [StdJson(), best_json()], ids=["std", "best"])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_weigh_about_what_they_take(shape: str, json: Json) -> None:
    """Small whole numbers and empty texts are counted, and take nothing."""
    text = f"[{','.join([SHAPES[shape]] * 2000)}]"
    tracemalloc.start()
    try:
        value = json.loads(text)
        taken, _ = tracemalloc.get_traced_memory()
        assert taken * 0.9 < weight(value, 10**9) < taken * 1.8
    finally:
        tracemalloc.stop()


def test_no_more_is_counted_than_is_needed() -> None:
    wide: list[Any] = [[] for _ in range(100_000)]
    assert 10_000 < weight([wide], 10_000) < 10_000_000
    assert weight([[wide]], 10**9) > 5_000_000
