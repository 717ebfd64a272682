"""What runs the suite of socket.io-client, without the suite: reports, the table of failures, the server it expects."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.client_suite import run
from tests.conformance.suites import Report, Suite, run_mocha, substitute
from tests.conftest import StartServer

DEADLINE = 60.0

CASES = """
describe("group", () => {
  it("passes", () => {});
  it("fails", () => { throw new Error("as it should"); });
  it.skip("is skipped", () => {});
});
"""

TRANSPORTS = """
const assert = require("assert");
const { Manager } = require("./build/cjs/index.js");
const opened = (opts) => {
  const manager = new Manager("http://127.0.0.1:1", { autoConnect: false, reconnection: false, ...opts });
  manager.open(() => {});
  return manager.engine.transports;
};
it("takes those of the variable", () => assert.deepEqual(opened({}), ["polling"]));
it("leaves those that a case names", () => assert.deepEqual(opened({ transports: ["websocket"] }), ["websocket"]));
it("has slower timers", (done) => {
  const began = performance.now();
  setTimeout(() => { assert(performance.now() - began > 50); done(); }, 1);
});
"""

TALK = """
const { io } = require(process.argv[1]);
const options = { forceNew: true, auth: { token: 1 }, query: { "&a": "&=?a" } };
const connect = (namespace) => io(process.argv[2] + namespace, options);
const once = (socket, name) => new Promise((resolve) => socket.once(name, (...args) => resolve(args)));
const heard_of = async (name, socket) => (await once(socket, name)).slice(0, -1);  // without the offset

(async () => {
  const heard = {}, main = connect("/"), foo = connect("/foo"), abc = connect("/abc"), no = connect("/no");
  const greeted = once(abc, "handshake");
  heard.refused = (await once(no, "connect_error"))[0].message;
  heard.unknown = (await once(connect("/bar"), "connect_error"))[0].message;
  [heard.handshake] = await greeted;
  heard.own_id = (await foo.emitWithAck("getId")) === foo.id;
  heard.unanswered = true;
  main.emit("nobody handles this", () => (heard.unanswered = false));
  main.emit("ack", () => (heard.unanswered = false));
  const [fn] = await once(main, "ack");
  fn(5, { test: true });
  heard.called_back = await heard_of("got it", main);
  heard.echo = await new Promise((resolve) => main.emit("echo", null, (...args) => resolve(args)));
  heard.date = new Date(await main.emitWithAck("getAckDate", {})).getTime() > 0;
  main.emit("abuff1", new Uint8Array([1]));
  main.emit("abuff2", "second");
  heard.in_order = await heard_of("abuff2-ack", main);
  main.emit("doge");
  heard.binary = (await once(main, "doge"))[0].toString();
  console.log(JSON.stringify(heard));
  process.exit();
})();
"""


def outcome(*, passed: tuple[str, ...] = (), failed: tuple[str, ...] = ()) -> Report:
    return Report(passed, dict.fromkeys(failed, "no answer"), ())


# ---- reports


def test_mocha_is_run_and_its_report_read(node_modules: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules)
    (tmp_path / "cases.js").write_text(CASES)
    report = run_mocha(tmp_path, "cases.js", within=DEADLINE)
    assert report == Report(("group passes",), {"group fails": "as it should"}, ("group is skipped",))
    assert str(report) == "1 passed, 1 failed, 1 pending"


def test_a_suite_that_cannot_be_loaded_is_said(node_modules: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules)
    (tmp_path / "cases.js").write_text("throw new Error('no such helper');")
    with pytest.raises(SystemExit, match="no such helper"):
        run_mocha(tmp_path, "cases.js", within=DEADLINE)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (outcome(passed=("a",), failed=("known",)), []),
        (outcome(passed=("a",), failed=("known", "b")), ["FAILED b: no answer"]),
        (outcome(passed=("a", "known")), ["PASSED, and is listed as failing (why): known"]),
        (outcome(passed=("a",)), ["NOT RUN, and is listed as failing (why): known"]),
        (outcome(failed=("known",)), ["FAILED: no case passed"]),
    ],
    ids=["as expected", "a failure", "a listed case that passes", "a listed case that is gone", "nothing passed"],
)
def test_what_is_not_as_expected(report: Report, said: list[str]) -> None:
    assert run.complaints(report, {"known": "why"}) == said


# ---- the copy of the suite


def checkout_of(folder: Path) -> Path:
    """A checkout with as much of the suite as is changed."""
    tests = folder / run.SUITE.folder
    for name in ("support/util", "fixtures/unref", "fixtures/unref-polling-only", "fixtures/unref-websocket-only"):
        file = tests / f"{name}.ts"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('io("http://localhost:3210")')
    (tests / "connection.ts").write_text("new Manager(options); new Manager(options)")
    (tests / "retry.ts").write_text("received.push(data)")
    return folder


def test_the_copy_talks_to_our_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "modules" / "socket.io-client"
    client.mkdir(parents=True)
    (client / "package.json").write_text("{}")
    monkeypatch.setattr(run, "installed_modules", lambda packages: tmp_path / "modules")
    copy = tmp_path / "copy"
    copy.mkdir()
    run.adapted_copy(checkout_of(tmp_path / "checkout"), copy, "http://127.0.0.1:1")
    texts = {file.read_text() for file in (copy / "test").rglob("*.ts")}
    assert texts == {
        'io("http://127.0.0.1:1")',
        "new Manager(BASE_URL, options); new Manager(BASE_URL, options)",
        "data !== undefined && received.push(data)",
    }


def test_a_suite_that_has_changed_is_said(tmp_path: Path) -> None:
    (tmp_path / "util.ts").write_text("io()")
    with pytest.raises(SystemExit, match=r"util\.ts of the suite has no 'http' any more"):
        substitute(tmp_path / "util.ts", "http", "https")


def test_a_checkout_that_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = Suite("some", "https://suites.example/some.git", "v1", "test")
    assert not suite.is_in(tmp_path)
    assert f"git clone --depth 1 --branch v1 https://suites.example/some.git {tmp_path}\n" in capsys.readouterr().out
    (tmp_path / "test").mkdir()
    assert suite.is_in(tmp_path)


def test_the_suite_has_the_transports_and_the_timers_of_the_run(node_modules: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules)
    (tmp_path / "build").symlink_to(node_modules / "socket.io-client-4" / "build")
    (tmp_path / "preload.js").write_bytes((run.HERE / "preload.js").read_bytes())
    (tmp_path / "cases.js").write_text(TRANSPORTS)
    env = {**os.environ, "SLOWER": "100", "TRANSPORTS": "polling"}
    report = run_mocha(tmp_path, "--require", "./preload.js", "cases.js", env=env, within=DEADLINE)
    assert (len(report.passed), report.failed) == (3, {})


# ---- the server


def test_the_server_answers_as_the_suite_expects(start_server: StartServer, node: Path, node_modules: Path) -> None:
    server = start_server(run.APP)
    command: list[str | Path] = [node, "-e", TALK, node_modules / "socket.io-client-4", server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    heard: dict[str, Any] = json.loads(done.stdout)
    handshake = heard.pop("handshake")
    assert (handshake["query"]["&a"], handshake["auth"]) == ("&=?a", {"token": 1})
    assert heard == {
        "refused": "Auth failed (custom namespace)",
        "unknown": "Invalid namespace",
        "own_id": True,
        "unanswered": True,
        "called_back": [],
        "echo": [None],
        "date": True,
        "in_order": [],
        "binary": "asdfasdf",
    }
