"""The guide to operators: its programs run, and its tables have all that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from asocketio import (
    BroadcastOperator,
    ConnectionRefused,
    Namespace,
    RemoteSocket,
    UsageError,
)
from asocketio.testing import TestClient
from tests.support.pages import programs
from tests.support.worlds import Way

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")

PROGRAMS = programs(GUIDE)


def test_each_program_has_its_test() -> None:
    assert list(PROGRAMS) == ["The verbs", "The namespace as a whole", "The app itself"]


def run(heading: str) -> dict[str, Any]:
    """What a block defines."""
    world: dict[str, Any] = {"__name__": "guide"}
    exec(compile(PROGRAMS[heading], f"operators.md: {heading}", "exec"), world)
    return world


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
