"""docs/namespaces.md: its program does what the page says, and its table is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from asocketio import BaseNamespace, ConnectionRefused, SocketIOApp, UsageError
from asocketio.session.name_templates import compile_template
from asocketio.testing import TestClient
from tests.support.pages import python_blocks
from tests.support.worlds import Way

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "namespaces.md").read_text(encoding="utf-8")
(PROGRAM,) = python_blocks(PAGE)
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `{")]


def world() -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "namespaces"}
    exec(compile(PROGRAM, "namespaces.md", "exec"), found)
    return found


async def test_one_class_serves_many_names(way: Way) -> None:
    async with TestClient(world()["app"], **way) as client:
        home = await client.connect()
        seven, eight = await client.connect("/orders/7"), await client.connect("/orders/8")
        assert await seven.call("watch") == ("/orders/7", 7)
        assert await (await client.connect("/tenant-ada")).call("who") == ("ada", 1)
        await home.call("pay", 7)
        assert await seven.receive() == ("paid",)
        await eight.nothing()
        with pytest.raises(ConnectionRefused):
            await client.connect("/orders/1001")


def test_the_table_names_what_is_no_name() -> None:
    assert [kind for row in ROWS for kind in re.findall(r":(\w+)\}", row[0])] == ["str", "int", "float", "uuid", "path"]
    for row in ROWS:
        for template in re.findall(r"`(.*?)`", row[0]):
            for name in re.findall(r"`(.*?)`", row[3] if len(row) > 3 else ""):
                assert compile_template(f"/{template}").match(f"/{name}") is None


@pytest.mark.parametrize("template", re.findall(r"`(/\{.*?)`", PAGE))
def test_the_text_tells_clear_templates_from_others(template: str) -> None:
    if template == "/{x}-{y}":
        with pytest.raises(UsageError, match="nobody can tell"):
            compile_template(template)
    else:
        compile_template(template)


async def test_the_statements_that_programs_begin_with() -> None:
    """As a program writes them, each statement by itself."""

    class Home(BaseNamespace):
        pass

    class Orders(BaseNamespace):
        def on_params(self) -> Any:
            return self.params["order_id"]

    class Tenant(BaseNamespace):
        def on_params(self) -> Any:
            return dict(self.params)

    app = SocketIOApp(
        namespaces={"/": Home, "/orders/{order_id:int}": Orders, re.compile(r"/tenant-(?P<name>\w{1,20})"): Tenant}
    )
    async with TestClient(app) as client:
        order, tenant = await client.connect("/orders/7"), await client.connect("/tenant-ada")
        assert await order.call("params") == 7
        assert await tenant.call("params") == {"name": "ada"}
        app.of("/orders/7").emit("paid")
        assert await order.receive() == ("paid",)
