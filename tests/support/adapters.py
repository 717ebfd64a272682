"""A second adapter: it counts, and knows clients by nothing but what `Recipient` says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import Any

from asocketio import Adapter, Packet, Target
from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.base import Recipient
from asocketio.adapters.memory_recovery import MemoryRecovery
from asocketio.adapters.recovery import RecoveryStore


class Handed:
    """What an adapter awaits when it has handed a broadcast on: here, a turn of the loop."""

    def __await__(self) -> Any:
        yield


class CountingAdapter(Adapter):
    """Counts what it is asked for, and hands it on to itself as another process would."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.running = False

    def start(self) -> None:
        super().start()
        self.running = True
        self.counts["start"] += 1

    async def stop(self) -> None:
        assert self.running
        self.running = False
        self.counts["stop"] += 1

    def make_recovery(self) -> RecoveryStore:
        return MemoryRecovery(self.host.config, self.host)

    def add(self, client: Recipient) -> None:
        assert self.running
        self.counts["add"] += 1
        super().add(client)

    def remove(self, client: Recipient) -> None:
        self.counts["remove"] += 1
        super().remove(client)

    def join(self, client: Recipient, room: str) -> None:
        super().join(client, room)
        self.counts["join"] += 1

    def leave(self, client: Recipient, room: str) -> None:
        super().leave(client, room)
        self.counts["leave"] += 1

    def broadcast(self, packet: Packet, target: Target, *, volatile: bool = False) -> Awaitable[None]:
        assert target.rooms is None or target.rooms
        self.counts["broadcast"] += 1
        self.deliver(packet, target, volatile=volatile)
        return Handed()

    def ask(self, packet: Packet, target: Target, acks: AckCollector, *, volatile: bool = False) -> None:
        assert target.rooms is None or target.rooms
        self.counts["ask"] += 1
        self.ask_here(packet, target, acks, volatile=volatile)
