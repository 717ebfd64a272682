"""Backlog: the packets of one client that wait for their turn."""

from __future__ import annotations

import gc
import sys
from collections import deque
from typing import Any

from asocketio.config import Config
from asocketio.protocol.packet import Packet

__all__ = ["Backlog", "weight"]

_LEAST = sys.getsizeof(None)
"""Bytes of the smallest value."""


class Backlog:
    """A queue of packets that knows its size. It is made when something first has to wait.

    Above 1/16 of its limits (``max_backlog``, ``max_backlog_packets``) transports stop reading.
    """

    __slots__ = ("_config", "_packets", "size")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._packets: deque[tuple[Packet, int]] = deque()
        self.size = 0
        """Bytes of memory that the waiting packets take: JSON of many small values becomes thirty times its text."""

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def first(self) -> Packet:
        """The packet whose turn is next."""
        return self._packets[0][0]

    def put(self, packet: Packet) -> bool:
        """Queue a packet; False when the backlog was full before."""
        size = weight([packet.endpoint, packet.name, packet.args, packet.data], self._config.max_backlog)
        full = self.size > self._config.max_backlog or len(self._packets) >= self._config.max_backlog_packets
        self._packets.append((packet, size))
        self.size += size
        return not full

    def take(self) -> Packet:
        """The packet whose turn is next, taken out."""
        packet, size = self._packets.popleft()
        self.size -= size
        return packet

    @property
    def above_high_water(self) -> bool:
        """Over 1/16 of what may wait is waiting."""
        config = self._config
        return self.size > config.max_backlog // 16 or len(self._packets) > config.max_backlog_packets // 16


def weight(value: Any, enough: int) -> int:
    """The bytes of memory that a value of JSON and binary takes, counted up to a little more than ``enough``."""
    size = 0
    level = [value]
    while level:
        if size + len(level) * _LEAST > enough:
            return size + len(level) * _LEAST
        size += sum(map(sys.getsizeof, level))
        level = gc.get_referents(*[item for item in level if type(item) in _CONTAINERS])
    return size


_CONTAINERS = frozenset({list, dict})
