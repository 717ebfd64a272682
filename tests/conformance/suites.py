"""The official suites: where they come from, how mocha runs a copy of one, and what its report says.

The suites are not part of this repository. A checkout is given, or lies in ``.cache/suites``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.node import node_binary
from tests.support.servers import ROOT

__all__ = ["Report", "Suite", "run_mocha", "substitute"]

CHECKOUTS = ROOT / ".cache" / "suites"


@dataclass(frozen=True, slots=True)
class Suite:
    """One official suite: its name and where to get it."""

    name: str
    url: str
    branch: str = "main"
    folder: str = "test-suite"
    """Where it is in a checkout."""

    @property
    def usual_place(self) -> Path:
        return CHECKOUTS / self.name

    def is_in(self, checkout: Path) -> bool:
        """Whether ``checkout`` has the suite; prints how to get it where it has not."""
        if (checkout / self.folder).is_dir():
            return True
        print(f"no suite in {checkout}; get it by\n  git clone --depth 1 --branch {self.branch} {self.url} {checkout}")
        return False


@dataclass(frozen=True, slots=True)
class Report:
    """What became of each case of a suite. A case is named by its full title: that of its groups and its own."""

    passed: tuple[str, ...]
    failed: Mapping[str, str]
    """The title, and the message of the error."""
    pending: tuple[str, ...]
    """Cases that the suite itself skips."""

    @classmethod
    def read(cls, report: Mapping[str, Any]) -> Self:
        """The report of mocha's JSON reporter."""
        return cls(
            passed=tuple(case["fullTitle"] for case in report["passes"]),
            failed={case["fullTitle"]: str(case["err"].get("message")) for case in report["failures"]},
            pending=tuple(case["fullTitle"] for case in report["pending"]),
        )

    def __str__(self) -> str:
        return f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.pending)} pending"


def run_mocha(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, within: float) -> Report:
    """Runs the mocha in ``node_modules`` of ``folder`` with these arguments, for at most ``within`` seconds.

    Raises:
        SystemExit: it wrote no report; the message is what it printed.
    """
    report = folder / "report.json"
    options = ("--exit", "--reporter", "json", "--reporter-option", f"output={report}")
    command: list[str | Path] = [node_binary(), folder / "node_modules" / ".bin" / "mocha", *options, *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=within)
    if not report.exists():
        raise SystemExit(f"mocha ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return Report.read(json.loads(report.read_text(encoding="utf-8")))


def substitute(file: Path, old: str, new: str) -> None:
    """Replaces ``old``, wherever it is in a file of a suite.

    Raises:
        SystemExit: the file has no ``old``.
    """
    text = file.read_text(encoding="utf-8")
    if old not in text:
        raise SystemExit(f"{file.name} of the suite has no {old!r} any more: adapt the program that runs it")
    file.write_text(text.replace(old, new), encoding="utf-8")
