"""What the pages of the documentation hold."""

from __future__ import annotations

import re

__all__ = ["programs", "python_blocks"]


def python_blocks(text: str) -> list[str]:
    """The Python blocks, in their order."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def programs(page: str) -> dict[str, str]:
    """The Python block under each heading; at most one under each."""
    found = {}
    for section in page.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        blocks = python_blocks(text)
        assert len(blocks) <= 1
        if blocks:
            found[heading] = blocks[0]
    return found
