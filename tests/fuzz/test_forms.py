"""Every long test runs on both forms of the package, and a run that claims a form runs on it."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.support import forms
from tests.support.forms import announce, served, unlike
from tests.support.servers import ROOT

LONG = ("fuzz", "fuzz_wire", "flood", "soak", "chaos", "fuzz_coverage")


def test_every_long_session_runs_on_both_forms() -> None:
    module = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    for name in LONG:
        assert "both" in map(ast.unparse, sessions[name].decorator_list), name
        assert '"--form", form' in ast.unparse(sessions[name]).replace("'", '"'), name


def test_the_first_line_names_the_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert announce("fast") == announce(None) == "fast"
    assert capsys.readouterr().out.startswith("form: fast (httptools ")


def test_another_form_than_the_claimed_one_ends_the_run() -> None:
    with pytest.raises(SystemExit, match=r"^this is not the form plain: install 'asocketio' or 'asocketio\[fast\]'$"):
        announce("plain")


@pytest.mark.parametrize("missing", forms.ACCELERATORS)
def test_some_accelerators_are_neither_form(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for claimed in (None, "plain", "fast"):
        with pytest.raises(SystemExit, match="this is not the form"):
            announce(claimed)


def test_a_codec_that_is_not_that_of_the_form_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asocketio.protocol.fast_json.orjson", None)
    with pytest.raises(SystemExit, match="StdJson reads JSON here"):
        announce("fast")


def test_hidden_accelerators_are_not_found() -> None:
    command = [sys.executable, "-m", "tests.support.forms", "tests.fuzz.run", "--form"]
    inputs = ["--inputs", "10", "--target", "utf16", "--replay", "('a', 0, 1)"]
    done = subprocess.run([*command, "plain", *inputs], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "form: plain (no accelerators)"), done.stderr
    done = subprocess.run([*command, "fast", *inputs], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1][:25]) == (1, "this is not the form fast")


async def test_a_server_is_asked_on_what_it_runs() -> None:
    found = served()
    assert found == {"json": "FastJson", "loop": "asyncio"}
    assert unlike(found, "fast", "uvicorn-h11-websockets") == unlike(found, "fast", "hypercorn") == ""
    assert unlike(found, "fast", "asocketio") == (
        "asocketio does not run in the form fast: {'loop': ('asyncio', 'uvloop')} (found, expected)"
    )
    assert "('FastJson', 'StdJson')" in unlike(found, "plain", "asocketio")
