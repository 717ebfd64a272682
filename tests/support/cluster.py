"""Clusters within one process: engines that carry messages over a hub, each as a bus of some kind does it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import count

from asocketio.adapters.cluster.adapter import ClusterAdapter
from asocketio.adapters.cluster.engine import ClusterChange, Engine, EngineHost, Outgoing
from asocketio.adapters.cluster.messages import (
    Ack,
    Broadcast,
    ClientCount,
    Fetch,
    Fetched,
    Gone,
    Message,
    ServerAnswer,
    ServerEvent,
    is_droppable,
)
from asocketio.adapters.cluster.wire import decode, encode
from asocketio.errors import BusDown, MalformedMessage
from asocketio.runtime.awaitables import COMPLETED

_numbers = count(1)


class Hub:
    """What the engines of one cluster are connected to. Tests cut it off, and look at what it carries."""

    def __init__(self) -> None:
        self.engines: dict[str, MemoryEngine] = {}
        self.is_up = True
        self.carried: list[Message] = []
        self.deaf: set[str] = set()
        """The uids of servers to which nothing comes, and which others take for alive."""

    def down(self) -> None:
        """Cut off all engines."""
        self.is_up = False
        for engine in list(self.engines.values()):
            engine.host.changed(ClusterChange("down"))

    def up(self) -> None:
        """Let them come back."""
        self.is_up = True
        for engine in list(self.engines.values()):
            engine.host.changed(ClusterChange("up", 1.0))

    def carry(self, outgoing: Outgoing) -> None:
        """Hand a message to all engines that want it; to the sender, too, as a bus does."""
        to, namespace, data = outgoing.content
        self.carried.append(decode(data)._replace(to=to))
        for engine in list(self.engines.values()):
            if to in (None, engine.uid) and namespace in engine.entered and engine.uid not in self.deaf:
                engine.arrive(data)

    def say(self, data: bytes) -> None:
        """Let anything come to all engines."""
        for engine in list(self.engines.values()):
            engine.arrive(data)


class MemoryEngine(Engine):
    """Knows the others, and hands messages over in the next turn of the event loop."""

    membership = "known"
    host: EngineHost

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._uid = f"{next(_numbers):016x}"
        self.entered: dict[str, None] = {}
        self.inbox: deque[bytes] = deque()

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
        self.entered.clear()
        self.tell_gone()

    def die(self) -> None:
        """Let the process of this server be killed."""
        self.hub.engines.pop(self.uid)
        self.entered.clear()
        self.hub.engines[f"dead {self.uid}"] = self  # so that `stop` finds it
        self.tell_gone()

    def tell_gone(self) -> None:
        """The others notice that this one has gone."""
        for other in list(self.hub.engines.values()):
            if other is not self:
                other.host.member_gone(self.uid)

    def encode(self, message: Message) -> Outgoing:
        data = encode(message)
        return Outgoing((message.to, message.namespace, data), len(data), is_droppable(message.body))

    async def send(self, batch: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)
        if not self.hub.is_up:
            raise BusDown("the hub is down")
        for outgoing in batch:
            self.hub.carry(outgoing)

    def members(self, namespace: str) -> Collection[str]:
        return [uid for uid, engine in self.hub.engines.items() if engine is not self and namespace in engine.entered]

    def enter(self, namespace: str) -> Awaitable[None]:
        assert namespace not in self.entered
        self.entered[namespace] = None
        return COMPLETED

    def leave(self, namespace: str) -> None:
        del self.entered[namespace]

    def arrive(self, data: bytes) -> None:
        """A message for this engine has come."""
        if not self.inbox:
            self.later(self.hand_over)
        self.inbox.append(data)

    def later(self, function: Callable[[], None]) -> None:
        """Call it in a later turn of the event loop."""
        asyncio.get_running_loop().call_soon(function)

    def hand_over(self) -> None:
        """Tell the adapter of all that has come."""
        while self.inbox:
            self.read(self.inbox.popleft())

    def read(self, data: bytes) -> None:
        """Tell the adapter of one message, or of what is none."""
        try:
            self.host.receive(decode(data, self.host.config.max_publish_queue))
        except MalformedMessage as error:
            self.host.refuse(error)


class DelayingEngine(MemoryEngine):
    """Everything takes its time: what is sent, what comes, and a namespace that is entered."""

    async def send(self, batch: Sequence[Outgoing]) -> None:
        for outgoing in batch:  # one by one
            await super().send([outgoing])

    def later(self, function: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(loop.call_soon, function))

    def enter(self, namespace: str) -> Awaitable[None]:
        async def enter() -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.entered[namespace] = None

        return asyncio.ensure_future(enter())

    def leave(self, namespace: str) -> None:
        self.entered.pop(namespace, None)


class CountingEngine(MemoryEngine):
    """Knows how many others there are, and not who, as one over Redis."""

    membership = "counted"

    def members(self, namespace: str) -> Collection[str]:
        raise AssertionError("counted")

    async def count(self, namespace: str) -> int:
        await asyncio.sleep(0)
        if not self.hub.is_up:
            raise BusDown("the hub is down")
        return len(MemoryEngine.members(self, namespace))

    def tell_gone(self) -> None:
        """Nobody notices."""


class HeartbeatEngine(MemoryEngine):
    """Knows nothing of others: they tell each other."""

    membership = "heartbeats"

    def members(self, namespace: str) -> Collection[str]:
        raise AssertionError("the servers tell each other")

    def tell_gone(self) -> None:
        """Nobody notices, but by the silence."""


class DisorderlyEngine(MemoryEngine):
    """Does what an engine may do: brings questions and answers twice, and answers the newest first."""

    def hand_over(self) -> None:
        answers: list[bytes] = []
        while self.inbox:
            data = self.inbox.popleft()
            body = decode(data).body
            if isinstance(body, Ack | ClientCount | Fetched | Gone | ServerAnswer):
                answers += (data, data)
                continue
            self.read(data)
            if (
                isinstance(body, Fetch)
                or (isinstance(body, Broadcast) and body.request_id is not None)
                or (isinstance(body, ServerEvent) and body.request_id is not None)
            ):
                self.read(data)
        for data in reversed(answers):
            self.read(data)


ENGINES: dict[str, type[MemoryEngine]] = {
    "plain": MemoryEngine,
    "delaying": DelayingEngine,
    "counting": CountingEngine,
    "heartbeats": HeartbeatEngine,
    "disorderly": DisorderlyEngine,
}


def cluster_of(kind: type[MemoryEngine], servers: int = 2, hub: Hub | None = None) -> list[ClusterAdapter]:
    """The adapters of so many servers on one hub."""
    hub = hub or Hub()
    return [ClusterAdapter(kind(hub)) for _ in range(servers)]
