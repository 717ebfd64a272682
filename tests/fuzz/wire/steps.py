"""Steps: what an input of the wire fuzzer is made of, and its form in a file.

An input says all it needs: it can be run again, and made smaller, without the generator that made it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

__all__ = ["Input", "Step", "load", "marker", "save"]


def marker(name: str) -> bytes:
    """What stands for the id of the session called ``name``, until the server has given it one."""
    return f"<<{name}>>".encode()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do on the connection called ``on``.

    ``send`` writes ``data``, cut at ``cuts``, and waits for so many ``answers`` more; ``await`` waits until the
    connection has had so many in all; ``hear`` lets the server speak for a moment; ``deaf`` stops reading;
    ``end`` ends the connection: by ``eof``, ``abort``, or by waiting (``wait``) until the server does.
    """

    do: str
    on: str = "a"
    data: bytes = b""
    answers: int = 0
    firm: bool = False
    """The connection must not be closed instead of an answer."""
    catch: str = ""
    """The answer holds the id of a new session: this is its name."""
    cuts: tuple[int, ...] = ()
    how: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """Steps that are run one after the other, on connections of their own."""

    kind: str
    number: int
    steps: tuple[Step, ...]

    def without(self, index: int) -> Input:
        """Without one step."""
        return replace(self, steps=self.steps[:index] + self.steps[index + 1 :])

    def changed(self, index: int, step: Step) -> Input:
        """With another step in the place of one."""
        return replace(self, steps=(*self.steps[:index], step, *self.steps[index + 1 :]))


def save(path: Path, inputs: Sequence[Input], about: str) -> None:
    """Write inputs to a file that ``--replay`` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"about": about, "inputs": [_plain(each) for each in inputs]}, indent=1))


def load(path: Path) -> list[Input]:
    """The inputs of a file."""
    return [_revived(each) for each in json.loads(path.read_text())["inputs"]]


def _plain(given: Input) -> dict[str, Any]:
    defaults = {field.name: field.default for field in fields(Step)}
    steps: list[dict[str, Any]] = []
    for step in given.steps:
        row = {name: value for name, value in asdict(step).items() if name == "do" or value != defaults[name]}
        if step.data:
            row["data"] = step.data.decode("latin-1")
        steps.append(row)
    return {"kind": given.kind, "number": given.number, "steps": steps}


def _revived(row: dict[str, Any]) -> Input:
    steps: list[Step] = []
    for each in row["steps"]:
        each["data"] = each.get("data", "").encode("latin-1")
        each["cuts"] = tuple(each.get("cuts", ()))
        steps.append(Step(**each))
    return Input(row["kind"], row["number"], tuple(steps))
