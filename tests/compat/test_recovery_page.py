"""docs/recovery.md: its program does what the page says, in each way of a client that it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asocketio.testing import TestClient, settle
from tests.support.pages import python_blocks

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recovery.md").read_text()
(PROGRAM,) = python_blocks(PAGE)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_who_comes_back_has_missed_nothing(transport: Any) -> None:
    world: dict[str, Any] = {"__name__": "recovery"}
    exec(compile(PROGRAM, "recovery.md", "exec"), world)
    app = world["app"]
    async with TestClient(app) as one, TestClient(app, transport=transport) as other, TestClient(app) as again:
        ada = await one.connect(auth={"name": "ada"})
        bob = await other.connect(auth={"name": "bob"})
        await other.lose()
        await settle()
        if one.namespaces[""].reason is not None:  # by polling a minute has passed
            ada = await (await again.__aenter__()).connect(auth={"name": "ada"})
        await ada.emit("say", "hello")
        await settle()
        async with TestClient(app, transport=transport) as third:
            back = await third.connect(recover=bob)
            assert (back.recovered, back.sid) == (True, bob.sid)
            assert await back.receive() == ("said", "ada", "hello")
            await back.emit("say", "I am back")
            assert await ada.receive() == ("said", "bob", "I am back")
