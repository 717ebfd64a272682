"""docs/middleware.md: its programs do what the page says, and its words are true."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import export

from asocketio import ConnectionRefused, EventRefused, Invocation
from asocketio.testing import TestClient
from tests.support.pages import python_blocks
from tests.support.worlds import Way

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "middleware.md").read_text(encoding="utf-8")
FIRST, TRACES = python_blocks(PAGE)


def run(program: str) -> dict[str, Any]:
    """What a block defines."""
    world: dict[str, Any] = {"__name__": "middleware"}
    exec(compile(program, "middleware.md", "exec"), world)
    return world


async def test_the_first_program(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chat")
    app = run(FIRST)["app"]
    async with TestClient(app, **way) as client, TestClient(app, **way) as stranger:
        await client.connect("/", {"name": "ada"})
        room = await client.connect("/room", {"name": "ada"})
        assert await room.call("say", "hello") == 5
        assert (await room.call("whisper"))["error"]["name"] == "no_such_method"
        other = await stranger.connect("/")
        assert (await other.call("say", "hello"))["error"] == {
            "name": "log_in_first", "message": "The event was refused", "details": {"event": "say"},
        }  # fmt: skip
    lines = [record.getMessage() for record in caplog.records if record.name == "chat"]
    assert len([line for line in lines if line.startswith("say took ")]) == 3  # twice for ada, once for the stranger
    assert "no_such_method: whisper" in lines


async def test_a_span_for_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(export, "ConsoleSpanExporter", partial(export.ConsoleSpanExporter, out=shown))
    world = run(TRACES)
    try:
        async with TestClient(world["app"]) as client:
            assert await (await client.connect()).call("say", "hello") == 5
    finally:
        await asyncio.to_thread(world["provider"].shutdown)
    assert re.findall(r'"name": "(socketio.*?)"', shown.getvalue()) == [
        "socketio connect", "socketio say", "socketio disconnect",
    ]  # fmt: skip


def test_the_table_has_all_that_an_invocation_has() -> None:
    assert re.findall(r"^\| `call\.(\w+)`", PAGE, re.MULTILINE) == ["client", "kind", "event", "args", "packet"]
    assert sorted(Invocation.__slots__) == ["args", "client", "event", "kind", "packet"]


def test_the_exception_is_as_the_text_has_it() -> None:
    refused = EventRefused("not_paid", {"price": 7}, message="Pay first")
    assert (refused.name, refused.details, str(refused)) == ("not_paid", {"price": 7}, "not_paid: Pay first")
    assert not isinstance(refused, ConnectionRefused)
