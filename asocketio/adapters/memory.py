"""MemoryAdapter: the rooms of one process."""

from __future__ import annotations

from collections.abc import Awaitable

from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.base import Adapter, Target
from asocketio.adapters.memory_recovery import MemoryRecovery
from asocketio.adapters.recovery import RecoveryStore
from asocketio.protocol.packet import Packet
from asocketio.runtime.awaitables import COMPLETED

__all__ = ["MemoryAdapter"]


class MemoryAdapter(Adapter):
    """Everybody is in this process: broadcasts go to its clients and nowhere else."""

    def make_recovery(self) -> RecoveryStore:
        return MemoryRecovery(self.host.config, self.host)

    def broadcast(self, packet: Packet, target: Target, *, volatile: bool = False) -> Awaitable[None]:
        self.deliver(packet, target, volatile=volatile)
        return COMPLETED

    def ask(self, packet: Packet, target: Target, acks: AckCollector, *, volatile: bool = False) -> None:
        self.ask_here(packet, target, acks, volatile=volatile)
