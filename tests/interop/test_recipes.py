"""The scripts of docs/recipes.md, with socket.io-client 4.8.4, beside the programs of that page."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.interop.test_clients import DEADLINE, HERE
from tests.support.recipes import PROGRAMS, SCRIPTS

MORE = {
    "Log out everywhere": "",
    "A token that ends": """
TOKENS["sesame"] = ("ada", time() + WARNING + 2)
TOKENS["new"] = ("ada", time() + 3600)
Desk.on_seconds_left = lambda self: self.end - time()
""",
    "What a client sends arrives": """
calls = []
order = Shop.on_order

async def on_order(self, key, item):
    number = await order(self, key, item)
    calls.append(key)
    if calls.count(key) == 1:
        self.socket.close("transport close")
    return number

Shop.on_order = on_order
Shop.on_all = lambda self: {"orders": [item for item, in db.execute("SELECT item FROM orders")], "calls": len(calls)}
""",
    "What you send arrives": """
Inbox.on_send = lambda self, text: send("ada", text)
Inbox.on_left = lambda self: db.execute("SELECT count(*) FROM messages").fetchone()[0]
""",
}
"""What the test adds to a program, to see what came of it and to break what must be mended."""


def test_each_script_is_run() -> None:
    cases = re.findall(r'^  async "(.*?)"\(', (HERE / "recipes.js").read_text(encoding="utf-8"), re.MULTILINE)
    assert list(SCRIPTS) == list(MORE) == cases


@pytest.mark.parametrize("heading", SCRIPTS)
def test_a_script_does_what_the_page_says(
    heading: str, start_server: StartServer, node: Path, node_modules: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.py").write_text(PROGRAMS[heading] + MORE[heading], encoding="utf-8")
    server = start_server("recipe:app", "asocketio", cwd=tmp_path)
    done = subprocess.run(
        [node, HERE / "recipes.js", heading, str(server.port)],
        env={**os.environ, "NODE_MODULES": str(node_modules), "SCRIPT": SCRIPTS[heading]},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    server.stop()
    assert done.returncode == 0, f"recipes.js ended with {done.returncode}:\n{done.stderr}\n{server.log()}"
    assert json.loads(done.stdout) is None, f"{done.stdout}\n{server.log()[-3000:]}"
