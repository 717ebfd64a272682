"""The names that a namespace class may not use for its own attributes and events: those of `BaseNamespace` itself."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from asocketio.errors import UsageError
from asocketio.session.handlers import HOOKS, events_of

__all__ = ["check_names"]

SETTINGS = frozenset({"middleware"})
"""Attributes that a class is meant to set."""
OF_OBJECTS = frozenset({"allowed_methods", "environ", "ns_name", "request", "socket"})
"""Values that ``__init__`` sets on each object."""
_OURS = "asocketio.namespace"


def check_names(cls: type, base: type) -> None:
    """Check a class that was just written, and its bases that are no namespaces, for what they hide of ``base``.

    A method that overrides a method is meant so, and a property that overrides a value.

    Raises:
        UsageError: an attribute, or the method of an event, has the name of a method or a value of ``base``.
    """
    for each in cls.__mro__[: cls.__mro__.index(base)]:
        if each.__module__ == _OURS or (each is not cls and issubclass(each, base)):
            continue  # the mixins; and what was checked before
        for name, value in vars(each).items():
            if name in OF_OBJECTS or (name in vars(base) and not _is_of_python(name)):
                _check(cls, name, value, vars(base).get(name))


def _check(cls: type, name: str, value: Any, own: Any) -> None:
    where = f"{cls.__name__}.{name}"
    if name in HOOKS:
        return  # meant to be written; `Handlers` looks at them
    if events_of(cls, name):
        raise UsageError(
            f"{where} hides what BaseNamespace has by that name: name the method otherwise, "
            "the event is called as @event says"
        )
    if name in SETTINGS:
        return
    if name.startswith("_"):
        raise UsageError(f"{where} hides a part of BaseNamespace that is its own: name it otherwise")
    if isinstance(own, FunctionType):
        if not (callable(value) or hasattr(type(value), "__get__")):
            raise UsageError(f"{where} hides a method of BaseNamespace by {value!r:.100}: name it otherwise")
    elif not isinstance(value, property | functools.cached_property):
        raise UsageError(f"{where} hides a value that BaseNamespace has for each client: name it otherwise")


def _is_of_python(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
