"""The programs and scripts of docs/recipes.md, by heading."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["PROGRAMS", "SCRIPTS", "run"]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def _blocks(language: str) -> dict[str, str]:
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        assert len(blocks) <= 1, heading
        if blocks:
            found[heading] = blocks[0]
    return found


PROGRAMS, SCRIPTS = _blocks("python"), _blocks("js")


def run(heading: str) -> dict[str, Any]:
    """What a program defines."""
    world: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(PROGRAMS[heading], f"recipes.md: {heading}", "exec"), world)
    return world
