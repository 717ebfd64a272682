"""Which sessions are found, and for how long those that have ended."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.runtime.timers import Deadlines
from asocketio.session import session_table
from asocketio.session.session_table import LINGER_BYTES, MOST_LINGERING, SessionTable
from asocketio.session.states import SocketState
from asocketio.testing.clock import TestClock


class Client:
    """What the table looks at."""

    def __init__(self, sessid: str, transport_name: str = "polling", reason: str = "server shutting down") -> None:
        self.sessid = sessid
        self.transport_name = transport_name
        self.reason = reason
        self.state = SocketState.OPEN
        self.transport: object | None = None
        self.writer = self.outbox = self
        self.limits: list[int] = []

    def cut(self, size: int) -> None:
        self.limits.append(size)

    def clear(self) -> None:
        self.limits.append(0)


class Sessions:
    """A table with a clock."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.table = SessionTable()
        self.table.set_timers(self.clock, Deadlines(self.clock))

    def add(self, *args: Any) -> Any:
        client: Any = Client(*args)
        self.table.add(client)
        return client


GONE_SESSION_TTL = 30.0


@pytest.fixture
async def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    monkeypatch.setattr(session_table, "GONE_SESSION_TTL", GONE_SESSION_TTL)  # other tests' servers shorten it
    return Sessions()


async def test_a_session_is_found_once_its_handshake_is_answered(sessions: Sessions) -> None:
    client = sessions.add("a")
    client.state = SocketState.OPENING
    assert sessions.table.find("a") is None
    client.state = SocketState.OPEN
    assert (sessions.table.find("a"), sessions.table.find("b")) == (client, None)


@pytest.mark.parametrize(
    ("transport_name", "reason", "kept"),
    [
        ("polling", "server shutting down", True),
        ("polling", "server namespace disconnect", True),
        ("polling", "forced server close", True),
        ("polling", "transport close", False),
        ("polling", "ping timeout", False),
        ("websocket", "server shutting down", False),
    ],
)
async def test_a_polling_client_that_does_not_know_of_its_end_is_kept_for_a_while(
    sessions: Sessions, transport_name: str, reason: str, kept: bool
) -> None:
    client = sessions.add("a", transport_name, reason)
    sessions.table.close(client)
    assert (sessions.table.find("a") is client) == kept
    assert client.limits == [LINGER_BYTES if kept else 0]
    await sessions.clock.advance(GONE_SESSION_TTL - 0.1)
    assert (sessions.table.find("a") is client) == kept
    await sessions.clock.advance(0.2)
    assert sessions.table.sockets == {}


async def test_a_poll_that_waits_takes_all_that_was_queued(sessions: Sessions) -> None:
    client = sessions.add("a")
    client.transport = object()
    sessions.table.close(client)
    assert client.limits == []


async def test_one_that_has_been_told_is_forgotten(sessions: Sessions) -> None:
    client = sessions.add("a")
    sessions.table.close(client)
    sessions.table.forget(client)
    assert sessions.table.sockets == {}
    again = sessions.add("a")
    await sessions.clock.advance(2 * GONE_SESSION_TTL)
    assert sessions.table.find("a") is again


async def test_only_so_many_are_kept_the_newest(sessions: Sessions) -> None:
    for number in range(MOST_LINGERING + 3):
        sessions.table.close(sessions.add(str(number)))
    assert list(sessions.table.sockets) == [str(number) for number in range(3, MOST_LINGERING + 3)]
