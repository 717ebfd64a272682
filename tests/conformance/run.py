"""Runs the official Engine.IO and Socket.IO protocol suites against a server of ours, and prints the counts.

    python -m tests.conformance.run [ENGINE.IO-4 SOCKET.IO-5 ENGINE.IO-3] [--server NAME] [--repeat N]

``SUITES`` says where the suites come from. Two things are changed, in a copy:

- the address, ``localhost:3000``, becomes that of the server started here;
- a websocket tells one event per turn of the event loop. The suites wait for message after message by
  ``addEventListener``, and miss the second of two that arrive together: the ws package has told them in one go since
  8.16. (Its own remedy, ``allowSynchronousEvents: false``, also delays the first, which then comes too late to be
  missed where "ignores HTTP requests with same sid after upgrade" relies on missing it.) Nor does it offer
  compression, which Node's servers decline: the ws package compresses in another thread, and what was sent before a
  request would arrive after it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.conformance.suites import Suite, run_mocha, substitute
from tests.support.node import installed_modules
from tests.support.servers import SERVERS, Server

APP = "tests.conformance.apps:app"
SETTINGS = {"PING_INTERVAL": "0.3", "PING_TIMEOUT": "0.2", "MAX_PAYLOAD": "1000000", "CONNECT_TIMEOUT": "1"}
ADDRESS = "http://localhost:3000"
DEADLINE = 120.0  # seconds for one suite
PLAIN = "globalThis.WebSocket = WebSocket;"
CALM = """
const SPACED = new Set(["open", "message", "close"]);

globalThis.WebSocket = class extends WebSocket {
  #busy = false;
  #waiting = [];

  constructor(url) {
    super(url, { perMessageDeflate: false });
  }

  emit(name, ...args) {
    if (!SPACED.has(name)) return super.emit(name, ...args);
    if (this.#busy) return Boolean(this.#waiting.push([name, ...args]));
    this.#busy = true;
    setImmediate(() => this.#next());
    return super.emit(name, ...args);
  }

  #next() {
    this.#busy = false;
    if (this.#waiting.length) this.emit(...this.#waiting.shift());
  }
};"""


SUITES = {
    "engineio4": Suite("engine.io-4", "https://github.com/socketio/engine.io-protocol.git"),
    "socketio5": Suite("socket.io-5", "https://github.com/socketio/socket.io-protocol.git"),
    "engineio3": Suite("engine.io-3", "https://github.com/socketio/engine.io-protocol.git", "v3"),
}


def adapted_copy(checkout: Path, folder: Path, url: str) -> Path:
    """A copy of the suite in ``folder`` that talks to ``url``; the file to run."""
    source = checkout / "test-suite"
    for name in ("package.json", "test-suite.js", "node-imports.js"):
        shutil.copy(source / name, folder / name)
    (folder / "node_modules").symlink_to(installed_modules())
    substitute(folder / "test-suite.js", ADDRESS, url)
    substitute(folder / "node-imports.js", PLAIN, CALM)
    return folder / "test-suite.js"


def run(suite: Suite, checkout: Path, server: str) -> bool:
    """Runs a suite against a fresh server; prints failures and counts; True if nothing failed."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with Server(APP, server, folder / "server.log", env=SETTINGS) as running:
            file = adapted_copy(checkout, folder, running.url)
            report = run_mocha(folder, file.name, within=DEADLINE)
            log = running.log()
    for title, error in report.failed.items():
        print(f"  FAILED {title}: {error}")
    print(f"{suite.name} on {server}: {report}")
    if report.failed:
        print(log)
    return bool(report.passed) and not report.failed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.run", description=__doc__.partition("\n")[0])
    for key, suite in SUITES.items():
        place = suite.usual_place
        parser.add_argument(
            key, nargs="?", type=Path, default=place, help=f"a checkout of {suite.url}, branch {suite.branch} [{place}]"
        )
    parser.add_argument("--server", choices=SERVERS, default="uvicorn-httptools-websockets-sansio")
    parser.add_argument("--repeat", type=int, default=1, help="how often; the suites are full of short times")
    return parser.parse_args()


def main() -> int:
    """0 if all suites pass, 1 if a test fails, 2 if a checkout is missing."""
    given = arguments()
    checkouts = {key: getattr(given, key) for key in SUITES}
    missing = [key for key, checkout in checkouts.items() if not SUITES[key].is_in(checkout)]
    if missing:
        return 2
    passed = [
        run(SUITES[key], checkout, given.server) for _ in range(given.repeat) for key, checkout in checkouts.items()
    ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
