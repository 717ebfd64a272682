"""JavaScript clients of all generations against a real server.

What is checked is written in ``cases.js``; each case is one test here. One Node process runs all cases of one client
version over one way to be carried, by the side of a server of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer

HERE = Path(__file__).resolve().parent
DEADLINE = 120.0  # seconds for all cases of one process
SETTINGS = {
    "PING_INTERVAL": "0.3",
    "PING_TIMEOUT": "5",
    "HEARTBEAT_INTERVAL": "0.3",
    "HEARTBEAT_TIMEOUT": "5",
    "CLOSE_TIMEOUT": "5",
    "POLLING_DURATION": "0.3",
    "MAX_PAYLOAD": "150000",  # 1000 small events of 0.9 by JSONP are one body of 102 kB
}

# xhr2 is polling as in browsers, whose XHR takes binary: the build for browsers, which matters before 3.0.
# 1.0.6 without JSONP: when it closes that it calls itself without end. 4.x has none any more, and 0.9 no upgrade.
CLIENTS: dict[str, tuple[str, ...]] = {
    "0.9.17": ("polling", "jsonp", "websocket"),
    "1.0.6": ("polling", "websocket", "upgrade"),
    "1.7.4": ("polling", "xhr2", "jsonp", "websocket", "upgrade"),
    "2.0.4": ("polling", "jsonp", "websocket", "upgrade"),
    "2.5.0": ("polling", "xhr2", "jsonp", "websocket", "upgrade"),
    "3.1.3": ("polling", "jsonp", "websocket", "upgrade"),
    "4.8.4": ("polling", "websocket", "upgrade"),
    "4.8.4-msgpack": ("polling", "websocket", "upgrade"),
}
# Both have the same code above the carriers, so one client of each generation is enough for the second.
SERVERS: dict[str, tuple[str, ...]] = {
    "uvicorn-httptools-websockets-sansio": tuple(CLIENTS),
    "asocketio": ("0.9.17", "2.5.0", "3.1.3", "4.8.4", "4.8.4-msgpack"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One Node process: which server it met, which client it is, how it is carried."""

    server: str
    version: str
    mode: str

    def __str__(self) -> str:
        return f"{self.server}-client{self.version}-{self.mode}"


def _cases(version: str, mode: str) -> list[str]:
    """The names that ``cases.js`` exports for this client, carried this way."""
    text = (HERE / "cases.js").read_text(encoding="utf-8")
    names = re.findall(r"^  (\w+),$", text.partition("module.exports = {")[2], re.MULTILINE)
    limits = {(name, limit): re.findall(r'"(.+?)"', words) for name, limit, words in _LIMIT.findall(text)}

    carrier = "websocket" if mode == "upgrade" else mode

    def is_this(clients: list[str]) -> bool:
        return any(
            f"{version}.".startswith(f"{start}.") and only in ("", carrier)
            for start, _, only in (client.partition(" ") for client in clients)
        )

    return [
        name
        for name in names
        if mode in limits.get((name, "modes"), [mode])
        and is_this(limits.get((name, "only"), [version.partition(".")[0]]))
        and not is_this(limits.get((name, "without"), []))
    ]


_LIMIT = re.compile(r"^(\w+)\.(modes|only|without) = \[(.*)\];", re.MULTILINE)
RUNS = [
    Run(server, version, mode)
    for server, versions in SERVERS.items()
    for version in versions
    for mode in CLIENTS[version]
]
TESTS = [pytest.param(run, case, id=f"{run}-{case}") for run in RUNS for case in _cases(run.version, run.mode)]

Results = dict[str, dict[str, Any]]


class Runner:
    """Runs each Run once and remembers what came of it."""

    def __init__(self, start: StartServer, node: Path, node_modules: Path) -> None:
        self._start, self._node, self._node_modules = start, node, node_modules
        self._results: dict[Run, Results | str] = {}

    def results(self, run: Run) -> Results:
        if run not in self._results:
            self._results[run] = self._run(run)
        results = self._results[run]
        assert not isinstance(results, str), results
        return results

    def _run(self, run: Run) -> Results | str:
        env = {**SETTINGS, **({"PARSERS": "json,msgpack"} if run.version.endswith("-msgpack") else {})}
        server = self._start("tests.interop.app:app", run.server, args=("--no-access-log",), env=env)
        done = subprocess.run(
            [self._node, HERE / "run.js", run.version, run.mode, str(server.port)],
            env={**os.environ, "NODE_MODULES": str(self._node_modules), **SETTINGS},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        server.stop()
        if done.returncode or not done.stdout:
            return f"run.js ended with {done.returncode}:\n{done.stderr}\n{server.log()}"
        results: Results = json.loads(done.stdout)
        for result in results.values():
            result["log"] = server.log()
        return results


@pytest.fixture(scope="session")
def runner(start_session_server: StartServer, node: Path, node_modules: Path) -> Runner:
    return Runner(start_session_server, node, node_modules)


@pytest.mark.parametrize(("run", "case"), TESTS)
def test_client(runner: Runner, run: Run, case: str) -> None:
    result = runner.results(run)[case]
    assert result["ok"], f"{result['error']}\n--- end of the server's log ---\n{result['log'][-3000:]}"


@pytest.mark.parametrize("version", CLIENTS)
def test_every_case_that_the_runner_knows_is_a_test(node: Path, version: str) -> None:
    for mode in CLIENTS[version]:
        listed = subprocess.run(
            [node, HERE / "run.js", "list", version, mode], capture_output=True, text=True, check=True, timeout=DEADLINE
        )
        assert json.loads(listed.stdout) == _cases(version, mode)
