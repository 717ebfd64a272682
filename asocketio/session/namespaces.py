"""SEAM. Namespaces: which class serves the namespace that a client asks for."""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping
from typing import Any

from asocketio.session.interfaces import NamespaceObject

__all__ = ["Namespaces"]


@typing.runtime_checkable
class Namespaces(typing.Protocol):
    """The namespaces that a program serves. Names are those used inside: the global one is ``""``."""

    def resolve(self, name: str) -> tuple[type[NamespaceObject], Mapping[str, Any]] | None:
        """The class of the namespace ``name`` and its ``params``; None where there is no such namespace.

        ``name`` is any text that a client sends, up to 200 characters, or longer if it is in `names`.
        """
        ...

    @property
    def names(self) -> Collection[str]:
        """What the program declared: names, and what log lines and errors show of others."""
        ...
