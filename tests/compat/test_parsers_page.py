"""docs/parsers.md: its programs run, with clients that speak as it says; and the table of what is the same holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asocketio.testing import TestClient
from tests.support.pages import python_blocks

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "parsers.md").read_text()
FILES, LINES = python_blocks(PAGE)


def run(program: str) -> dict[str, Any]:
    world: dict[str, Any] = {"__name__": "parsers"}
    exec(compile(program, "parsers.md", "exec"), world)
    return world


@pytest.mark.parametrize("parser", ["json", "msgpack"])
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_both_kinds_of_clients_store_files(parser: Any, transport: Any) -> None:
    async with TestClient(run(FILES)["app"], parser=parser, transport=transport) as client:
        assert await (await client.connect()).call("store", "a", [b"ab", b"c"]) == 3


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_parser_of_ones_own_is_spoken(transport: Any) -> None:
    world = run(LINES)
    async with TestClient(world["app"], parser=world["Lines"](), transport=transport) as client:
        chat = await client.connect()
        assert await chat.call("echo", "é", [1], None) == ("é", [1], None)
