"""docs/auth.md: both of its programs run, with the clients that it shows; and what it says of refusals holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from asocketio import ConnectionRefused
from asocketio.testing import ClientRefused, TestClient
from tests.support.pages import python_blocks
from tests.support.worlds import Way

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "auth.md").read_text()
VIEW, TOKEN = python_blocks(PAGE)


def run(program: str) -> Any:
    world: dict[str, Any] = {"__name__": "auth"}
    exec(compile(program, "auth.md", "exec"), world)
    return world["app"]


@pytest.mark.parametrize(
    "headers", [{"cookie": "theme=dark; session=sesame"}, {"authorization": "Bearer sesame"}], ids=["cookie", "header"]
)
async def test_a_view_knows_a_cookie_or_a_header(headers: dict[str, str], way: Way) -> None:
    async with TestClient(run(VIEW), **way, headers=headers) as client:
        assert await (await client.connect()).call("whoami") == "ada"


@pytest.mark.parametrize("headers", [{}, {"cookie": "session=x"}, {"authorization": "sesam"}])
async def test_a_view_refuses_strangers_before_there_is_a_socket(headers: dict[str, str], way: Way) -> None:
    app = run(VIEW)
    async with TestClient(app, **way, headers=headers) as client:
        with pytest.raises(ClientRefused, match=r"401|new Error"):
            await client.connect()
    assert app.server.active_sessions == 0


async def test_a_view_does_not_see_auth() -> None:
    async with TestClient(run(VIEW)) as client:
        with pytest.raises(ClientRefused, match="401"):
            await client.connect(auth={"token": "sesame"})


async def test_recv_connect_knows_a_token(way: Way) -> None:
    """Before generation 4 it is in the query."""
    async with TestClient(run(TOKEN), **way) as client:
        desk = await client.connect(auth={"token": "sesame"})
        assert await desk.call("whoami") == "ada"


@pytest.mark.parametrize("auth", [None, {}, {"token": "x"}, {"token": ["sesame"]}, {"token": None}])
async def test_recv_connect_refuses_strangers_in_words(auth: Any) -> None:
    async with TestClient(run(TOKEN)) as client:
        with pytest.raises(ConnectionRefused, match=r"who are you\?") as refused:
            await client.connect(auth=auth)
    assert refused.value.data == {"code": 401}


def test_links_lead_somewhere() -> None:
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)]+)\)", text)
    for target in links:
        name, _, anchor = target.partition("#")
        linked = (DOCS / name).read_text() if name else PAGE
        headings = re.findall(r"^#+ (.*)$", linked, re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target
    assert len(links) > 3
