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

    def join_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        self.join_here(target, rooms)
        return COMPLETED

    def leave_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        self.leave_here(target, rooms)
        return COMPLETED

    def disconnect_all(self, target: Target, *, close: bool) -> Awaitable[None]:
        self.disconnect_here(target, close=close)
        return COMPLETED

    def fetch(self, target: Target, answers: AckCollector) -> None:
        answers.add(self.fetch_here(target))

    def fetch_sids(self, target: Target, answers: AckCollector) -> None:
        answers.add(self.fetch_sids_here(target))

    def server_emit(self, packet: Packet) -> Awaitable[None]:
        return COMPLETED  # there are no others

    def server_call(self, packet: Packet, answers: AckCollector) -> None:
        """Nobody is asked: there are no others."""
