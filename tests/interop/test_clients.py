"""The JavaScript clients 3.1.3 and 4.8.4 against a real server.

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
MAX_PAYLOAD = 100_000
DEADLINE = 120.0  # seconds for all cases of one process
SERVERS = ("uvicorn-httptools-websockets-sansio", "asocketio")
VERSIONS = ("3", "4")
MODES = ("polling", "websocket", "upgrade")


@dataclass(frozen=True, slots=True)
class Run:
    """One Node process: which server it met, which client it is, how it is carried."""

    server: str
    version: str
    mode: str

    def __str__(self) -> str:
        return f"{self.server}-client{self.version}-{self.mode}"


def _cases() -> dict[str, tuple[str, ...]]:
    """The names that ``cases.js`` exports, each with the modes it runs in."""
    text = (HERE / "cases.js").read_text(encoding="utf-8")
    names = re.findall(r"^  (\w+),$", text.partition("module.exports = {")[2], re.MULTILINE)
    limited = dict(re.findall(r"^(\w+)\.modes = \[(.*)\];$", text, re.MULTILINE))
    return {name: tuple(re.findall(r"\w+", limited[name])) if name in limited else MODES for name in names}


RUNS = [Run(server, version, mode) for server in SERVERS for version in VERSIONS for mode in MODES]
TESTS = [
    pytest.param(run, case, id=f"{run}-{case}") for run in RUNS for case, modes in _cases().items() if run.mode in modes
]

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
        settings = {"PING_INTERVAL": "0.3", "PING_TIMEOUT": "5", "MAX_PAYLOAD": str(MAX_PAYLOAD)}
        server = self._start("tests.interop.app:app", run.server, args=("--no-access-log",), env=settings)
        done = subprocess.run(
            [self._node, HERE / "run.js", run.version, run.mode, str(server.port)],
            env={**os.environ, "NODE_MODULES": str(self._node_modules), **settings},
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


@pytest.mark.parametrize("mode", MODES)
def test_every_case_that_the_runner_knows_is_a_test(node: Path, node_modules: Path, mode: str) -> None:
    listed = subprocess.run(
        [node, HERE / "run.js", "list", mode],
        env={**os.environ, "NODE_MODULES": str(node_modules)},
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE,
    )
    assert json.loads(listed.stdout) == [case for case, modes in _cases().items() if mode in modes]
