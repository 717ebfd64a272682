"""The guide to operators: each line of its cheat sheet reaches whom it says, and its programs run."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import asocketio
from asocketio import (
    BaseNamespace,
    BroadcastOperator,
    ConnectionRefused,
    Namespace,
    RemoteSocket,
    SocketIOApp,
    UsageError,
)
from asocketio.protocol.parser import RESERVED_EVENTS
from asocketio.testing import ClientNamespace, TestClient, settle
from tests.support.worlds import Way

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")


def programs() -> dict[str, str]:
    """The Python block under each heading."""
    found = {}
    for section in GUIDE.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        assert len(blocks) <= 1
        if blocks:
            found[heading] = blocks[0]
    return found


PROGRAMS = programs()
LINES = [tuple(map(str.strip, line.split("  # ", 1))) for line in PROGRAMS["Emit cheat sheet"].splitlines()]


def test_each_program_has_its_test() -> None:
    assert list(PROGRAMS) == ["Emit cheat sheet", "The verbs", "The namespace as a whole", "The app itself"]


def run(heading: str) -> dict[str, Any]:
    """What a block defines."""
    world: dict[str, Any] = {"__name__": "guide"}
    exec(compile(PROGRAMS[heading], f"operators.md: {heading}", "exec"), world)
    return world


# ---- the cheat sheet ----------------------------------------------------------------------------------------------


WHO = {
    "this client": {"me"},
    "the others in red": {"red", "both", "muted"},
    "the others in red or blue": {"red", "blue", "both", "muted"},
    "the others in red who are not in muted": {"red", "both"},
    "the others who are not in muted": {"red", "blue", "both", "other"},
    "the client with that sid": {"other"},
    "everybody in this namespace": {"me", "red", "blue", "both", "muted", "other"},
    "everybody in red": {"me", "red", "both", "muted"},
    "the others": {"red", "blue", "both", "muted", "other"},
    "this client, unless it is slow": {"me"},
    "the others in red, without slow ones": {"red", "both", "muted"},
    "the others in red in this process": {"red", "both", "muted"},
    "nobody": set(),
    "this client; its ack: None, the value, or a tuple": {"me"},
    "the others in red; the first argument of each ack": {"red", "both", "muted"},
}
"""What the lines say -> the clients."""
ROOMS = {
    "me": ["red"],
    "red": ["red"],
    "blue": ["blue"],
    "both": ["red", "blue"],
    "muted": ["red", "muted"],
    "other": [],
}


class Request:
    """What a view of a framework is given."""

    def __init__(self, app: SocketIOApp) -> None:
        self.scope = {"asocketio": app}


class Sheet(BaseNamespace):
    """Runs a line of the sheet."""

    async def on_join(self, *rooms: str) -> str:
        for room in rooms:
            await self.join(room)
        return self.sid

    async def on_run(self, line: str, sid: str) -> Any:
        world: dict[str, Any] = {"asocketio": asocketio}
        end = "return locals().get('answer', locals().get('answers'))"
        exec(f"async def run(self, app, sid, request):\n    {line}\n    {end}", world)
        app = self.environ["asocketio"]
        return await world["run"](self, app, sid, Request(app))


@pytest.mark.parametrize(("line", "says"), LINES, ids=[line for line, _ in LINES])
async def test_each_line_reaches_whom_it_says(line: str, says: str) -> None:
    app = SocketIOApp(namespaces={"/": Sheet})
    got: set[str] = set()
    async with AsyncExitStack() as stack:
        clients: dict[str, ClientNamespace] = {}
        sids: dict[str, str] = {}
        for name, rooms in ROOMS.items():

            def heard(*args: Any, name: str = name) -> tuple[str, int]:
                got.add(name)
                return name, 1

            client = await stack.enter_async_context(TestClient(app))
            clients[name] = await client.connect("/", on={"x": heard})
            sids[name] = await clients[name].call("join", *rooms)
        answer = await clients["me"].call("run", line, sids["other"])
        await settle()
    assert got == WHO[says]
    if line.startswith("answer "):
        assert answer == ("me", 1)
    elif line.startswith("answers "):
        assert sorted(answer) == sorted(got)
    else:
        assert answer is None


def test_each_saying_is_in_the_sheet() -> None:
    assert {says for _, says in LINES} == set(WHO)


def test_the_reserved_names_are_those() -> None:
    [line] = [line for line in GUIDE.splitlines() if line.startswith("These names are reserved")]
    assert set(re.findall(r"`(\w+)`", line)) == RESERVED_EVENTS


# ---- the tables ---------------------------------------------------------------------------------------------------


def cells(heading: str) -> list[list[str]]:
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| `")]


def test_the_table_has_every_verb_and_no_other() -> None:
    named = {name for row in cells("The verbs") for name in re.findall(r"`(\w+)", row[0])}
    public = {name for name in dir(BroadcastOperator) if not name.startswith("_")}
    fields = {"server", "namespace", "rooms", "excluded", "sender", "member", "is_volatile", "is_local", "seconds"}
    assert named == public - fields - {"target", "ask"}


def test_what_the_text_names_is_there() -> None:
    remote = GUIDE.split("\n## One client: RemoteSocket\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", remote.split(". ")[0]))
    assert {name for name in dir(RemoteSocket) if not name.startswith("_")} == named - {"RemoteSocket"}
    program = PROGRAMS["The namespace as a whole"]
    own = {name for name in vars(Namespace) if not name.startswith("_")}
    assert {name for name in own if f".{name}(" in program} == own


# ---- the programs -------------------------------------------------------------------------------------------------


async def test_the_verbs(way: Way) -> None:
    app = run("The verbs")["app"]
    async with TestClient(app, **way) as one, TestClient(app, **way) as two, TestClient(app, **way) as three:
        ada = await one.connect("/", {"name": "ada"}, on={"vote": lambda: "a"})
        bob = await two.connect("/", {"name": "bob"}, on={"vote": lambda: ("b", 1)})
        eve = await three.connect("/", {"name": "eve"}, on={"vote": lambda: "e"})
        assert sorted(await ada.call("who")) == ["bob", "eve"]
        assert await ada.call("count") == 3
        assert sorted(await ada.call("vote")) == ["b", "e"]
        await ada.emit("kick", "eve")
        assert await eve.receive() == ("kicked",)
        await eve.disconnected()
        assert await ada.call("close lobby") == 1
        assert await bob.call("who") == ["ada"]
        assert await ada.call("who") == []


async def test_the_namespace_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    world = run("The namespace as a whole")
    async with TestClient(world["app"]) as client:
        player = await client.connect("/game")
        await player.call("right")
        await world["tick"]()
        assert await player.receive() == ("moved", 1)
        assert (world["position"](player.sid), world["position"]("nobody")) == (1, None)
        assert await world["all_players"]() == 1
        assert await world["stats"]() == {"players": 1}
        assert capsys.readouterr().out == f"there is playing\n{player.sid} is in playing\n"


async def test_the_app_itself() -> None:
    async with TestClient(run("The app itself")["app"]) as client:
        prices = await client.connect()
        assert await prices.receive() == ("price", 2)


async def test_what_the_text_says_of_auth() -> None:
    async with TestClient(run("The verbs")["app"]) as client:
        with pytest.raises(ConnectionRefused, match="Auth too large"):
            await client.connect("/", {"name": "x" * 20_001})


async def test_what_the_text_says_of_private_rooms() -> None:
    app = run("The verbs")["app"]
    async with TestClient(app) as client:
        ada = await client.connect("/", {"name": "ada"})
        with pytest.raises(UsageError, match="private rooms"):
            app.of("/").join(ada.sid)
