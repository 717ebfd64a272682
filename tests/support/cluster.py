"""MemoryEngine: servers of one process that are a cluster, by a hub that carries their messages."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Collection, Sequence
from itertools import count

from asocketio.adapters.cluster.engine import ClusterChange, Engine, EngineHost, Outgoing
from asocketio.adapters.cluster.messages import Message, is_droppable
from asocketio.errors import BusDown

_numbers = count()


class Hub:
    """What the engines of one cluster are connected to. ``is_up`` is switched by tests."""

    def __init__(self) -> None:
        self.engines: dict[str, MemoryEngine] = {}
        self.is_up = True

    def down(self) -> None:
        """Lose all engines."""
        self.is_up = False
        for engine in list(self.engines.values()):
            engine.host.changed(ClusterChange("down"))

    def up(self) -> None:
        """Let them come back."""
        self.is_up = True
        for engine in list(self.engines.values()):
            engine.host.changed(ClusterChange("up", 1.0))

    def carry(self, sender: MemoryEngine, outgoing: Outgoing) -> None:
        """Hand a message to all engines that want it; to the sender, too, as a bus does."""
        message: Message = outgoing.content
        for engine in list(self.engines.values()):
            if message.to in (None, engine.uid) and message.namespace in engine.entered:
                engine.arrive(message)


class MemoryEngine(Engine):
    """Knows the others, and hands messages over in the next turn of the event loop."""

    membership = "known"
    host: EngineHost

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._uid = f"{next(_numbers):016x}"
        self.entered: dict[str, None] = {}
        self.inbox: deque[Message] = deque()

    @property
    def uid(self) -> str:
        return self._uid

    def start(self, host: EngineHost) -> None:
        self.host = host
        self.entered.clear()
        self.inbox.clear()
        self.hub.engines[self.uid] = self

    async def stop(self) -> None:
        del self.hub.engines[self.uid]
        for other in list(self.hub.engines.values()):
            other.host.member_gone(self.uid)

    def encode(self, message: Message) -> Outgoing:
        return Outgoing(copy.deepcopy(message), len(repr(message.body)), is_droppable(message.body))

    async def send(self, batch: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)
        if not self.hub.is_up:
            raise BusDown("the hub is down")
        for outgoing in batch:
            self.hub.carry(self, outgoing)

    def members(self, namespace: str) -> Collection[str]:
        return [uid for uid, engine in self.hub.engines.items() if engine is not self and namespace in engine.entered]

    def enter(self, namespace: str) -> Awaitable[None]:
        self.entered[namespace] = None
        return super().enter(namespace)

    def leave(self, namespace: str) -> None:
        del self.entered[namespace]

    def arrive(self, message: Message) -> None:
        """A message for this engine has come."""
        if not self.inbox:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self.inbox.append(message)

    def _hand_over(self) -> None:
        while self.inbox:
            self.host.receive(self.inbox.popleft())
