"""docs/emit-cheatsheet.md: each line of it reaches whom it says, among clients of two servers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import asocketio
from asocketio import BaseNamespace, BroadcastMixin, RoomsMixin, SocketIOApp
from asocketio.protocol.parser import RESERVED_EVENTS
from asocketio.session.member import Member
from asocketio.testing import ClientNamespace, TestClient, settle
from tests.support.adapters import Bus, LateAdapter
from tests.support.pages import python_blocks

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "emit-cheatsheet.md").read_text(encoding="utf-8")
BLOCKS = python_blocks(PAGE)
LINES = [tuple(map(str.strip, line.split("  # ", 1))) for block in BLOCKS for line in block.splitlines()]

ROOMS = {
    "me": ["red"],
    "red": ["red"],
    "blue": ["blue"],
    "both": ["red", "blue"],
    "muted": ["red", "muted"],
    "other": [],
    "slow": ["red"],
    "far": ["red"],
}
"""The clients in ``/`` -> their rooms. ``far`` is on another server."""
ELSEWHERE = {"me in /other", "other in /other"}
ALL = set(ROOMS)
IN_RED = {"red", "both", "muted", "slow", "far"}
WHO = {
    "this client": {"me"},
    "this client, as an event 'message'": {"me"},
    "this client, unless it is slow": {"me"},
    "the client with that sid": {"other"},
    "everybody in this namespace": ALL,
    "the others": ALL - {"me"},
    "the others in red": IN_RED,
    "everybody in red": IN_RED | {"me"},
    "the others in red or blue, each once": IN_RED | {"blue"},
    "the others in red who are not in muted": IN_RED - {"muted"},
    "the others who are not in muted": ALL - {"me", "muted"},
    "everybody who is not in red or muted": {"blue", "other"},
    "nobody": set(),
    "the others in red, without slow ones": IN_RED - {"slow"},
    "everybody in this namespace, without slow ones": ALL - {"slow"},
    "the others in red in this process": IN_RED - {"far"},
    "the others in this process": ALL - {"me", "far"},
    "everybody in this namespace in this process": ALL - {"far"},
    "everybody in /other": ELSEWHERE,
    "this client in /other": {"me in /other"},
    "the other servers": {"server"},
}
"""What the lines say, up to a semicolon -> who gets the event."""


class Request:
    """What a view of a framework is given."""

    def __init__(self, app: SocketIOApp) -> None:
        self.scope = {"asocketio": app}


class Sheet(BaseNamespace, RoomsMixin, BroadcastMixin):
    """Runs a line of the sheet."""

    async def on_join(self, *rooms: str) -> str:
        for room in rooms:
            await self.join(room)
        return self.sid

    async def on_run(self, line: str, sid: str) -> Any:
        world: dict[str, Any] = {"asocketio": asocketio, "asyncio": asyncio}
        source = f"async def run(self, app, sid, request):\n    {line}\n    return locals()"
        exec(source, world)
        app = self.environ["asocketio"]
        names = await world["run"](self, app, sid, Request(app))
        return {name: names[name] for name in ("answer", "answers", "replies") if name in names}

    def got(self, *args: Any) -> None:
        self.environ["asocketio"].got.append(args)


class World:
    """Two servers; the clients of both, and who has got the event."""

    def __init__(self) -> None:
        bus = Bus()
        self.got: list[str] = []
        self.apps = [SocketIOApp(namespaces={"/": Sheet, "/other": Sheet}, adapter=LateAdapter(bus)) for _ in range(2)]
        self.clients: dict[str, ClientNamespace] = {}
        self.sids: dict[str, str] = {}
        self.apps[0].got = []  # type: ignore[attr-defined]
        self.apps[1].of("/").on_server_event("x")(self.on_server_event)

    def on_server_event(self, number: int) -> list[Any]:
        self.got.append("server")
        return ["reply", number]

    async def open(self, stack: AsyncExitStack) -> None:
        for name, rooms in ROOMS.items():
            client = await stack.enter_async_context(TestClient(self.apps[name == "far"]))
            self.clients[name] = await self.join(client, "/", name)
            self.sids[name] = await self.clients[name].call("join", *rooms)
            if f"{name} in /other" in ELSEWHERE:
                await self.join(client, "/other", f"{name} in /other")

    async def join(self, client: TestClient, namespace: str, name: str) -> ClientNamespace:
        def heard(*args: Any) -> tuple[str, int]:
            self.got.append(name)
            return name, 1

        return await client.connect(namespace, on={"x": heard, "message": heard})


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    made = World()
    writable: Any = Member.writable
    monkeypatch.setattr(
        Member, "writable", property(lambda self: self.sid != made.sids["slow"] and writable.fget(self))
    )
    async with AsyncExitStack() as stack:
        await made.open(stack)
        yield made


@pytest.mark.parametrize(("line", "says"), LINES, ids=[line for line, _ in LINES])
async def test_each_line_reaches_whom_it_says(world: World, line: str, says: str) -> None:
    who, _, comes_back = says.replace('"', "'").partition("; ")
    result = await world.clients["me"].call("run", line, world.sids["other"])
    await settle()
    assert sorted(world.got) == sorted(WHO[who])
    expected: dict[str, Any] = {}
    if line.startswith("answer "):
        expected = {"answer": ["me", 1]}
    elif line.startswith("answers "):
        expected = {"answers": sorted(WHO[who])}
        result["answers"].sort()
    elif line.startswith("replies "):
        expected = {"replies": [["reply", 1]]}
    assert result == expected
    got: Any = world.apps[0]
    assert got.got == ([("me", 1)] if "callback" in line else [])
    assert bool(comes_back) is bool(expected or got.got)


def test_each_saying_is_in_the_sheet() -> None:
    assert len(LINES) > 40
    assert {says.replace('"', "'").partition("; ")[0] for _, says in LINES} == set(WHO)


def test_the_reserved_names_are_those() -> None:
    [line] = [line for line in PAGE.splitlines() if line.startswith("These names are reserved")]
    assert set(re.findall(r"`(\w+)`", line)) == RESERVED_EVENTS
