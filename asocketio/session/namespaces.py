"""SEAM. Namespaces: which class serves the namespace that a client asks for."""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from asocketio.session.interfaces import NamespaceObject

__all__ = ["NO_PARAMS", "Namespaces", "Served"]

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class Served(NamedTuple):
    """A namespace that there is."""

    cls: type[NamespaceObject]
    """The class of its objects."""
    declared: str
    """How the program declared it: its name, or its pattern."""
    params: Mapping[str, Any] = NO_PARAMS
    """What the pattern found in its name."""


class Namespaces(typing.Protocol):
    """The namespaces that a program serves. Names are those used inside: the global one is ``""``."""

    def resolve(self, name: str) -> Served | None:
        """The namespace ``name``, any text that a client sends; None where there is no such namespace.

        It takes time in proportion to the length of ``name``, at most.
        """
        ...

    @property
    def names(self) -> Collection[str]:
        """The names that are declared as they are: of these alone a socket remembers that it was there."""
        ...

    @property
    def declared(self) -> Collection[str]:
        """What the program declared, names and patterns, for log lines and errors."""
        ...
