"""A second resolver of namespaces: it finds names, too, by regular expressions, the first that matches."""

from __future__ import annotations

import re

from asocketio.manage import NamespaceClasses, NamespaceTable
from asocketio.session.namespaces import Served

Table = NamespaceTable  # the tests put this module's class in its place


class PatternNamespaces:
    """As `NamespaceTable`."""

    def __init__(self, namespaces: NamespaceClasses) -> None:
        self._table = Table(namespaces)
        self.names, self.declared = self._table.names, self._table.declared
        self._patterns = [(re.compile(re.escape(name)), self._table.resolve(name)) for name in self.names]

    def resolve(self, name: str) -> Served | None:
        for pattern, served in self._patterns:
            if pattern.fullmatch(name) is not None:
                return served
        return self._table.resolve(name)
