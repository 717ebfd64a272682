"""A second resolver of namespaces: by regular expressions, the first that matches."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from asocketio import BaseNamespace
from asocketio.manage import NamespaceTable


class PatternNamespaces:
    """Serves names by patterns; the named groups of a match are the namespace's ``params``."""

    def __init__(self, patterns: Mapping[str, type[BaseNamespace]]) -> None:
        self._patterns = [(re.compile(pattern), cls) for pattern, cls in patterns.items()]
        self.names: Collection[str] = list(patterns)
        self.asked: list[str] = []

    @classmethod
    def of(cls, namespaces: Mapping[str, type[BaseNamespace]]) -> PatternNamespaces:
        """Those of a dict of plain names, which is checked as ever."""
        table = NamespaceTable(namespaces)
        found = cls({re.escape(name): served[0] for name in table.names if (served := table.resolve(name))})
        found.names = table.names
        return found

    def resolve(self, name: str) -> tuple[type[BaseNamespace], Mapping[str, Any]] | None:
        self.asked.append(name)
        for pattern, cls in self._patterns:
            match = pattern.fullmatch(name)
            if match is not None:
                return cls, match.groupdict()
        return None
