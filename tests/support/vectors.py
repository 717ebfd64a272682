"""The wire as data: frames and the packets they mean, in ``tests/vectors``. Bytes are written ``{"$hex": "..."}``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

__all__ = ["rows"]

FOLDER = Path(__file__).resolve().parent.parent / "vectors"


def rows(file: str, *groups: str) -> list[Any]:
    """The rows of some groups of a file, each a parameter that bears its name."""
    vectors = json.loads((FOLDER / f"{file}.json").read_text(encoding="utf-8"), object_hook=_revive)
    return [pytest.param(row, id=row["name"]) for group in groups for row in vectors[group]]


def _revive(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value["$hex"]) if value.keys() == {"$hex"} else value
