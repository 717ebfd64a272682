"""Which servers are there, by heartbeats, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asocketio import Target
from asocketio.adapters.cluster import members
from asocketio.adapters.cluster.members import EMITTER, INTERVAL, Members
from asocketio.adapters.cluster.messages import Body, Close, Heartbeat, Join
from asocketio.runtime.clock import Clock, Timer


class HandClock(Clock):
    """One timer, and a time that jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.due: tuple[float, Callable[..., object]] | None = None

    def now(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        if delay == INTERVAL:  # else what waits for the first answers
            self.due = self.time + delay, callback
        return self

    def cancel(self) -> None:
        self.due = None

    def sleep(self, seconds: float) -> None:
        """The event loop does nothing for so long, and then what is due."""
        self.time += seconds
        if self.due is not None and self.due[0] <= self.time:
            self.due[1]()


class World:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.sent: list[tuple[str, Body]] = []
        self.changes: list[tuple[str, str, str]] = []
        self.members = Members(lambda: self.clock, self._send, lambda *change: self.changes.append(change))
        self.members.enter("")

    def _send(self, namespace: str, body: Body, to: str | None) -> None:
        self.sent.append((namespace, body))


async def test_who_is_silent_for_ten_seconds_has_gone() -> None:
    w = World()
    w.members.hear("a", "", Heartbeat())
    w.members.hear("b", "", Heartbeat())
    for _ in range(3):
        w.clock.sleep(4.9)
        w.members.hear("a", "", Join(Target(""), frozenset()))  # whatever it says
        w.clock.sleep(0.1)
    assert w.members.of("") == {"a"}
    assert w.changes == [("joined", "a", ""), ("joined", "b", ""), ("left", "b", "")]


async def test_a_loop_that_was_late_blames_nobody() -> None:
    w = World()
    w.members.hear("a", "", Heartbeat())
    w.clock.sleep(65)
    assert w.members.of("") == {"a"}
    w.clock.sleep(5)
    assert w.members.of("") == set()


async def test_the_first_heartbeat_is_answered_and_a_close_ends_it() -> None:
    w = World()
    w.members.hear("a", "", Heartbeat(is_first=True))
    assert w.sent == [("", Heartbeat(is_first=True)), ("", Heartbeat())]
    w.members.hear("a", "", Close())
    w.members.hear("a", "", Close())
    assert (w.members.of(""), w.changes) == (set(), [("joined", "a", ""), ("left", "a", "")])
    w.members.stop()
    assert (w.sent[-1], w.clock.due) == (("", Close()), None)


async def test_emitters_and_servers_of_other_namespaces_are_no_members() -> None:
    w = World()
    w.members.hear(EMITTER, "", Heartbeat())
    w.members.hear("a", "/chat", Heartbeat())
    assert (w.members.of(""), w.members.of("/chat"), w.changes) == (set(), set(), [])


async def test_made_up_names_have_a_bound(monkeypatch: Any) -> None:
    monkeypatch.setattr(members, "MOST", 10)
    w = World()
    for number in range(100):
        w.members.hear(f"{number}", "", Heartbeat())
    assert len(w.members.of("")) == 10
