"""Other adapters: one counts, and knows clients by nothing but what `Recipient` says; one spans several apps."""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asocketio import Adapter, Packet, Target
from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.base import Recipient
from asocketio.adapters.memory_recovery import MemoryRecovery
from asocketio.adapters.recovery import RecoveryStore
from asocketio.adapters.socket_info import SocketInfo


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

    def join_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        return self._act("join_all", target, self.join_here, target, rooms)

    def leave_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        return self._act("leave_all", target, self.leave_here, target, rooms)

    def disconnect_all(self, target: Target, *, close: bool) -> Awaitable[None]:
        return self._act("disconnect_all", target, partial(self.disconnect_here, close=close), target)

    def _act(self, verb: str, target: Target, act: Callable[..., None], *args: Any) -> Awaitable[None]:
        assert target.rooms is None or target.rooms
        self.counts[verb] += 1
        act(*args)
        return Handed()

    def fetch(self, target: Target, answers: AckCollector) -> None:
        self.counts["fetch"] += 1
        answers.add([SocketInfo.of_json(json.loads(json.dumps(info.to_json()))) for info in self.fetch_here(target)])

    def fetch_sids(self, target: Target, answers: AckCollector) -> None:
        self.counts["fetch_sids"] += 1
        answers.add(self.fetch_sids_here(target))

    def server_emit(self, packet: Packet) -> Awaitable[None]:
        self.counts["server_emit"] += 1
        return Handed()

    def server_call(self, packet: Packet, answers: AckCollector) -> None:
        self.counts["server_call"] += 1


class Bus:
    """Carries messages between `LateAdapter`s: as JSON and bytes, in order, each some turns of the loop later."""

    def __init__(self) -> None:
        self.adapters: list[LateAdapter] = []
        self.deaf: set[LateAdapter] = set()
        """Those who hear nothing, and count as there."""

    def others(self, adapter: LateAdapter) -> list[LateAdapter]:
        return [other for other in self.adapters if other is not adapter]

    def later(self, deliver: Callable[..., None], *args: Any) -> Handed:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(loop.call_soon, deliver, *args))
        return Handed()


class Forwarding(AckCollector):
    """Collects nothing: passes on what the clients of one server say to the server that asked."""

    def __init__(self, acks: AckCollector, server: LateAdapter) -> None:
        super().__init__(acks.number)
        self.acks = acks
        self.server = server
        self.expected: dict[str, Callable[[], None]] = {}

    def expect(self, client: Any, forget: Callable[[], None]) -> None:
        self.expected[client.sid] = forget

    def answer(self, client: Any, args: list[Any]) -> None:
        self.server.bus.later(self.acks.answer, (self.server, client.sid), args)

    def give_up(self, client: Any) -> None:
        self.server.bus.later(self.acks.give_up, (self.server, client.sid))


class LateAdapter(Adapter):
    """Several of them on one bus are a cluster: the clients and the answers of the others come late."""

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self.bus = bus

    def start(self) -> None:
        super().start()
        self.bus.adapters.append(self)

    async def stop(self) -> None:
        self.bus.adapters.remove(self)

    def _publish(self, verb: str, target: Target | None, *args: Any, **how: Any) -> Awaitable[None]:
        """Tell the others, unless only this process is meant."""
        if target is not None and target.local:
            return Handed()
        for other in self.bus.others(self):
            if other not in self.bus.deaf:
                self.bus.later(partial(getattr(other, verb), *copy.deepcopy(args), **how))
        return Handed()

    def broadcast(self, packet: Packet, target: Target, *, volatile: bool = False) -> Awaitable[None]:
        self.deliver(packet, target, volatile=volatile)
        return self._publish("deliver", target, packet, target, volatile=volatile)

    def join_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        self.join_here(target, rooms)
        return self._publish("join_here", target, target, rooms)

    def leave_all(self, target: Target, rooms: frozenset[str]) -> Awaitable[None]:
        self.leave_here(target, rooms)
        return self._publish("leave_here", target, target, rooms)

    def disconnect_all(self, target: Target, *, close: bool) -> Awaitable[None]:
        self.disconnect_here(target, close=close)
        return self._publish("disconnect_here", target, target, close=close)

    def server_emit(self, packet: Packet) -> Awaitable[None]:
        return self._publish("server_event_here", None, packet)

    # Questions.

    def _query(self, target: Target | None, answers: AckCollector, ask: Callable[[LateAdapter], None]) -> None:
        if target is not None and target.local:
            return
        for other in self.bus.others(self):
            answers.expect_server(other)
            if other not in self.bus.deaf:
                self.bus.later(ask, other)

    def ask(self, packet: Packet, target: Target, acks: AckCollector, *, volatile: bool = False) -> None:
        self.ask_here(packet, target, acks, volatile=volatile)

        def ask(other: LateAdapter) -> None:
            theirs = Forwarding(acks, other)
            other.ask_here(copy.deepcopy(packet), target, theirs, volatile=volatile)
            self.bus.later(self._named, other, acks, theirs.expected)

        self._query(target, acks, ask)

    def _named(self, other: LateAdapter, acks: AckCollector, expected: dict[str, Callable[[], None]]) -> None:
        for sid, forget in expected.items():
            acks.expect((other, sid), forget)
        acks.server_answered(other)

    def fetch(self, target: Target, answers: AckCollector) -> None:
        answers.add(self.fetch_here(target))

        def ask(other: LateAdapter) -> None:
            text = json.dumps([info.to_json() for info in other.fetch_here(target)])
            self.bus.later(answers.server_answered, other, [SocketInfo.of_json(each) for each in json.loads(text)])

        self._query(target, answers, ask)

    def fetch_sids(self, target: Target, answers: AckCollector) -> None:
        answers.add(self.fetch_sids_here(target))

        def ask(other: LateAdapter) -> None:
            self.bus.later(answers.server_answered, other, other.fetch_sids_here(target))

        self._query(target, answers, ask)

    def server_call(self, packet: Packet, answers: AckCollector) -> None:
        def ask(other: LateAdapter) -> None:
            other.server_event_here(packet, lambda reply: self.bus.later(answers.server_answered, other, reply))

        self._query(None, answers, ask)
