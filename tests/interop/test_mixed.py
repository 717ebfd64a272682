"""One JavaScript client of each generation in one room: what each of them says, each of them hears.

Written in ``mixed.js``. One Node process holds all clients, for every pair of carriers: that of the speaker, that of
those who listen.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.interop.test_clients import DEADLINE, HERE, SETTINGS

VERSIONS = ("0.9.17", "1.7.4", "2.5.0", "3.1.3", "4.8.4", "4.8.4-msgpack")
CLIENT_TRANSPORTS = ("polling", "jsonp", "websocket")
PAIRS = [f"{speaker}-{listener}" for speaker, listener in product(CLIENT_TRANSPORTS, repeat=2)]


@dataclass(frozen=True, slots=True)
class Met:
    """What came of it: for each pair and speaker what went wrong, or None."""

    results: dict[str, dict[str, str | None]]
    log: str


@pytest.fixture(scope="module")
def met(start_module_server: StartServer, node: Path, node_modules: Path) -> Met:
    server = start_module_server(
        "tests.interop.app:app", args=("--no-access-log",), env={**SETTINGS, "PARSERS": "json,msgpack"}
    )
    done = subprocess.run(
        [node, HERE / "mixed.js", str(server.port)],
        env={**os.environ, "NODE_MODULES": str(node_modules), **SETTINGS},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    server.stop()
    assert done.returncode == 0, f"mixed.js ended with {done.returncode}:\n{done.stderr}\n{server.log()}"
    return Met(json.loads(done.stdout), server.log())


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("version", VERSIONS)
def test_all_generations_hear(met: Met, version: str, pair: str) -> None:
    error = met.results[pair][version]
    assert error is None, f"{error}\n--- end of the server's log ---\n{met.log[-3000:]}"


def test_the_log_says_who_cannot_be_sent_binary(met: Met) -> None:
    lines = [line for line in met.log.splitlines() if "did not go to the clients of generation 0.9" in line]
    # For all the nine rooms, which are the same kind of event: one in ten seconds, and a slow machine takes longer.
    assert 1 <= len(lines) < 9, met.log
