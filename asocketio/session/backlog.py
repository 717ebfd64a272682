"""Backlog: the packets of one client that wait for their turn."""

from __future__ import annotations

from collections import deque

from asocketio.config import Config
from asocketio.protocol.packet import Packet

__all__ = ["Backlog"]


class Backlog:
    """A queue of packets that knows its size. It is made when something first has to wait.

    Above 1/16 of its limits (``max_backlog``, ``max_backlog_packets``) transports stop reading.
    """

    __slots__ = ("_config", "_packets", "size")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._packets: deque[tuple[Packet, int]] = deque()
        self.size = 0
        """Bytes of the frames that the waiting packets came in."""

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def first(self) -> Packet:
        """The packet whose turn is next."""
        return self._packets[0][0]

    def put(self, packet: Packet, size: int) -> bool:
        """Queue a packet that came in ``size`` bytes; False when the backlog was full before."""
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
