"""JavaScript clients and the verbs of operators: ``operators.js`` has the cases, ``operators_app.py`` the server."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.interop.test_clients import DEADLINE, HERE
from tests.support.servers import Server

CASES = HERE / "operators.js"
NAMES = re.findall(r"^  (\w+),$", CASES.read_text(encoding="utf-8").partition("module.exports")[2], re.MULTILINE)


@pytest.fixture(scope="module", params=["asocketio", "uvicorn-httptools-websockets-sansio"])
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("tests.interop.operators_app:app", request.param, args=("--no-access-log",))


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("version", ["0.9.17", "2.5.0", "4.8.4"])
def test_each_verb_does_what_it_says(
    server: Server, node: Path, node_modules: Path, version: str, transport: str
) -> None:
    done = subprocess.run(
        [node, HERE / "run.js", version, transport, str(server.port)],
        env={**os.environ, "NODE_MODULES": str(node_modules), "CASES": str(CASES)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, f"run.js ended with {done.returncode}:\n{done.stderr}\n{server.log()}"
    results = json.loads(done.stdout)
    wrong = {name: result["error"] for name, result in results.items() if not result["ok"]}
    assert (sorted(results), wrong) == (sorted(NAMES), {}), server.log()[-3000:]
