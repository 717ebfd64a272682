"""socket.io-client 4.8.4 as it is, whose connections break while events come: written in ``recovery.js``."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.interop.test_clients import DEADLINE, HERE

CASES = re.findall(r"^  async (\w+)\(t\)", (HERE / "recovery.js").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("mode", ["polling", "websocket", "upgrade"])
@pytest.mark.parametrize("server", ["asocketio", "uvicorn-httptools-websockets-sansio"])
def test_who_comes_back_has_missed_nothing(
    start_server: StartServer, node: Path, node_modules: Path, server: str, mode: str
) -> None:
    started = start_server("tests.interop.recovery_app:app", server, args=("--no-access-log",))
    done = subprocess.run(
        [node, HERE / "recovery.js", "4.8.4", mode, str(started.port)],
        env={**os.environ, "NODE_MODULES": str(node_modules)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    started.stop()
    assert done.returncode == 0, f"recovery.js ended with {done.returncode}:\n{done.stderr}\n{started.log()}"
    assert json.loads(done.stdout) == dict.fromkeys(CASES), f"{done.stdout}\n{started.log()[-3000:]}"
