"""Runs the test suite of the official client, socket.io-client, against a server of ours, and prints the counts.

    python -m tests.conformance.client_suite.run [SOCKET.IO] [--server NAME] [--transports all] [--repeat N]

``SUITE`` says where the suite comes from. ``server.py`` is the server that it expects. The client that it tests is the
one that npm has, 4.8.4, with the tools of its repository (``package.json``). The suite is run three times: as it is,
and with polling and the websocket alone for the cases that name no transports.

Three things are changed, in a copy:

- the address, ``localhost:3210``, becomes that of the server started here;
- the two cases of "reconnect timeout" connect to that server. They name no address, and outside of a browser this is
  port 80, where nothing listens. When the refusal is quicker than the clock that the case pretends, the case fails,
  its clock stays, and every later case times out. With Node's server in a process of its own it is so, too;
- the case of "retry" that counts what it receives within 100 ms does not count the noop of an upgrade. It comes after
  100 ms, as Node's does, if a poll still waits then; where timers are slower the case sees it.

Each timer of the client's process lasts five times as long as the suite says (``preload.js``): an answer within 10 or
50 ms, the start of a connection included, is more than a busy machine gives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.conformance.suites import Report, Suite, run_mocha, substitute
from tests.support.node import installed_modules
from tests.support.servers import ASOCKETIO, UVICORN, Server

HERE = Path(__file__).resolve().parent
APP = "tests.conformance.client_suite.server:app"
SUITE = Suite(
    "socket.io",
    "https://github.com/socketio/socket.io.git",
    "socket.io-client@4.8.3",  # main has the same tests
    "packages/socket.io-client/test",
)
ADDRESS = "http://localhost:3210"
SLOWER = 5
OPTIONS = ("--import=tsx", "--require", "./preload.js", "--timeout", "20000", "test/index.ts")
DEADLINE = 300.0  # seconds for one run of the suite
TRANSPORTS = ("all", "polling", "websocket")

EXPECTED: dict[str, str] = {}
"""Cases that fail, and why. One that passes is a failure of the run: take it out."""


def adapted_copy(checkout: Path, folder: Path, url: str) -> None:
    """The client's built package in ``folder``, with a copy of the suite in it that talks to ``url``."""
    modules = installed_modules(HERE / "package.json")
    client = modules / "socket.io-client"
    (folder / "node_modules").symlink_to(modules)
    (folder / "build").symlink_to(client / "build")
    shutil.copy(client / "package.json", folder)
    shutil.copy(HERE / "preload.js", folder)
    tests = shutil.copytree(checkout / SUITE.folder, folder / "test")
    for name in ("support/util", "fixtures/unref", "fixtures/unref-polling-only", "fixtures/unref-websocket-only"):
        substitute(tests / f"{name}.ts", ADDRESS, url)
    substitute(tests / "connection.ts", "new Manager(options)", "new Manager(BASE_URL, options)")
    substitute(tests / "retry.ts", "received.push(data)", "data !== undefined && received.push(data)")


def complaints(report: Report, expected: Mapping[str, str] = EXPECTED) -> list[str]:
    """What is not as expected, a line each."""
    lines = [f"FAILED {title}: {error}" for title, error in report.failed.items() if title not in expected]
    for title, reason in expected.items():
        if title in report.passed:
            lines.append(f"PASSED, and is listed as failing ({reason}): {title}")
        elif title not in report.failed:
            lines.append(f"NOT RUN, and is listed as failing ({reason}): {title}")
    if not report.passed:
        lines.append("FAILED: no case passed")
    return lines


def run(checkout: Path, server: str, transports: str) -> bool:
    """Runs the suite against a fresh server; prints what is not as expected and the counts; True if all is."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with Server(APP, server, folder / "server.log", args=("--no-access-log",)) as running:
            adapted_copy(checkout, folder, running.url)
            env = {**os.environ, "SLOWER": str(SLOWER), "TRANSPORTS": "" if transports == "all" else transports}
            report = run_mocha(folder, *OPTIONS, env=env, within=DEADLINE)
            log = running.log()
    lines = complaints(report)
    if lines:
        print(log[-2000:])
    for line in lines:
        print(f"  {line}")
    print(f"socket.io-client by {transports} on {server}: {report}")
    return not lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.client_suite.run", description=__doc__.partition("\n")[0]
    )
    place = SUITE.usual_place
    parser.add_argument(
        "checkout", nargs="?", type=Path, default=place, help=f"a checkout of {SUITE.url}, {SUITE.branch} [{place}]"
    )
    parser.add_argument("--server", choices=(*UVICORN, *ASOCKETIO), default="uvicorn-httptools-websockets-sansio")
    parser.add_argument("--transports", choices=TRANSPORTS, help="by these transports only")
    parser.add_argument("--repeat", type=int, default=1, help="how often")
    return parser.parse_args()


def main() -> int:
    """0 if all cases end as expected, 1 if one does not, 2 if there is no checkout."""
    given = arguments()
    if not SUITE.is_in(given.checkout):
        return 2
    transports = TRANSPORTS if given.transports is None else (given.transports,)
    expected = [run(given.checkout, given.server, each) for _ in range(given.repeat) for each in transports]
    return 0 if all(expected) else 1


if __name__ == "__main__":
    sys.exit(main())
