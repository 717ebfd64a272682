"""What an adapter does otherwise where clients may come back: it numbers what it delivers, and keeps it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext

from asocketio.adapters.base import CROWD, Adapter, EncodedPerProtocol, Recipient, Target
from asocketio.adapters.recovery import RecoveryStore, numbered
from asocketio.protocol.packet import Packet

__all__ = ["record"]


def record(adapter: Adapter) -> None:
    """Let an adapter keep what it delivers, in a store of its own making.

    `Adapter.deliver` is replaced on this one object: whoever does without pays nothing for it.

    Raises:
        UsageError: the adapter has no store.
    """
    adapter.recovery = adapter.make_recovery()
    adapter.deliver = RecordedDelivery(adapter, adapter.recovery).deliver  # type: ignore[method-assign]


class RecordedDelivery:
    """`Adapter.deliver` for an adapter with a store."""

    def __init__(self, adapter: Adapter, store: RecoveryStore) -> None:
        self._adapter = adapter
        self._store = store

    def deliver(self, packet: Packet, target: Target, *, volatile: bool = False) -> None:
        """Deliver an event, with its offset to those who may come back, and keep it for those who have missed it."""
        adapter = self._adapter
        clients = adapter.local.find(target.namespace, target.rooms, target.excluded)
        plain = EncodedPerProtocol(packet, adapter.host)
        with_offset = self._number(packet, target, clients, volatile)
        with adapter.host.behind_answers() if len(clients) > CROWD else nullcontext():
            for client in clients:
                if volatile and not client.writable:
                    continue
                encoded = (plain if client.trail is None or with_offset is None else with_offset).get(client.protocol)
                if encoded is not None:
                    client.post(encoded)
        if with_offset is not None:
            with_offset.check()
        if clients:
            plain.check()
        else:
            adapter.host.check(packet)

    def _number(
        self, packet: Packet, target: Target, clients: Collection[Recipient], volatile: bool
    ) -> EncodedPerProtocol | None:
        """The event with its offset, and kept unless it is volatile; None where nobody wants that."""
        store = self._store
        namespace, rooms = target.namespace, target.rooms
        if not store.is_awaited(namespace, rooms) and all(client.trail is None for client in clients):
            return None
        number, offset = store.next(namespace)
        packets = EncodedPerProtocol(numbered(packet, offset), self._adapter.host)
        if not volatile:
            encoded = {protocol: packets.get(protocol) for protocol in store.protocols(namespace)}
            kept = {protocol: each for protocol, each in encoded.items() if each is not None}
            if kept:
                store.keep(namespace, number, kept, rooms, target.excluded)
        return packets
