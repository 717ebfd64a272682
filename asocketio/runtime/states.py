"""State tables: states are an enum, what is allowed is data, one function moves."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

__all__ = ["IllegalTransition", "moved"]

S = TypeVar("S", bound=Enum)


class IllegalTransition(RuntimeError):
    """A move that the table does not have: a mistake of this package."""


def moved(allowed: Mapping[S, frozenset[S]], old: S, new: S) -> S:
    """``new``, where the table allows it to follow ``old``.

    Raises:
        IllegalTransition: it does not.
    """
    if new not in allowed[old]:
        raise IllegalTransition(f"{type(old).__name__}: from {old.value!r} to {new.value!r}")
    return new
