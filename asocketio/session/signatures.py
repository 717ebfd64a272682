"""What a handler accepts: how many arguments, and whether it asks for the packet. Read from the code that is called.

A decorator replaces the function that it decorates. So the outer function tells how many arguments fit, not the one
that ``functools.wraps`` says is inside. Only where the outer one takes any number does the inner one have a say:
whether its sole argument is the packet, and how many arguments of a hook it has no use for.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType
from typing import Any

from asocketio.errors import UsageError

__all__ = ["Accepted", "accepted", "method_of"]

_VALUES = (property, functools.cached_property, MemberDescriptorType, GetSetDescriptorType)
"""Descriptors whose value only an object knows."""
_MOST_WRAPPERS = 100
"""Functions inside of each other that are looked at: a chain may be a circle."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a callable accepts."""

    least: int
    most: int | None
    """None: any number."""
    declared: int | None
    """As ``most``, for one that takes any number: as many as the function inside of it declares."""
    wants_packet: bool
    """Its sole argument is named ``packet``."""


class _StandIn:
    """What descriptors are bound to while a class is read: there is no object of it yet."""


def method_of(cls: type, name: str, attribute: Any) -> Any:
    """What ``name`` of an object of ``cls`` is, for the ``attribute`` of its class; None where only the object knows.

    Raises:
        UsageError: it can be no method, or would be called without the object.
    """
    where = f"{cls.__name__}.{name}"
    if isinstance(attribute, staticmethod | classmethod):
        raise UsageError(f"{where} is a {type(attribute).__name__}: handlers are plain methods")
    if isinstance(attribute, _VALUES):
        return None
    bind = getattr(type(attribute), "__get__", None)
    if bind is None:
        _check_unbound(cls, where, attribute)
        return attribute
    if isinstance(attribute, functools.singledispatchmethod):
        return attribute
    try:
        return bind(attribute, _StandIn(), cls)
    except Exception as error:
        raise UsageError(
            f"{where}: {type(attribute).__name__} does not say how it is called ({error!r}); write a method"
        ) from error


def _check_unbound(cls: type, where: str, attribute: Any) -> None:
    """Raise `UsageError` for a method of the class inside of an object that does not pass ``self`` on to it."""
    inside = (
        [attribute.func] if isinstance(attribute, functools.partial) else [*getattr(attribute, "__dict__", {}).values()]
    )
    bodies = {(each.__module__, each.__qualname__) for each in cls.__mro__}
    for function in inside:
        if isinstance(function, FunctionType) and (
            (function.__module__, function.__qualname__.rpartition(".")[0]) in bodies
        ):
            kind = type(attribute).__name__
            better = (
                "functools.partialmethod" if kind == "partial" else "a function as the decorator, or give it __get__"
            )
            raise UsageError(f"{where}: {kind} calls {function.__name__} without self; use {better}")


def accepted(where: str, method: Any) -> Accepted:
    """What ``method`` accepts, called as an attribute of its object.

    Raises:
        UsageError: it cannot be called with what a client sends; ``where`` is its name, for the message.
    """
    if isinstance(method, functools.singledispatchmethod):
        return _accepted_by_any(where, method)
    function = _code_of(method)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(f"{where} is a generator: nobody would run it; emit what it yields, or return a list")
    parameters = _parameters(where, method)
    required = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if required:
        raise UsageError(f"{where} needs the keyword argument {required[0]!r}; a client can send only positional ones")
    positional = _positional(parameters)
    least = sum(p.default is p.empty for p in positional)
    if not _is_variadic(parameters):
        return Accepted(least, len(positional), len(positional), _is_packet(parameters))
    inner = next((each for each in _inside(method) if not _is_variadic(each)), None)
    if inner is None:
        return Accepted(least, None, None, False)
    return Accepted(least, None, max(least, len(_positional(inner))), not positional and _is_packet(inner))


def _accepted_by_any(where: str, method: functools.singledispatchmethod[Any]) -> Accepted:
    """The first argument decides which of its functions is called: what any of them accepts."""
    shapes = [
        accepted(where, function.__get__(_StandIn(), _StandIn))
        for function in method.dispatcher.registry.values()
        if hasattr(function, "__get__")
    ]
    most = [shape.most for shape in shapes if shape.most is not None]
    widest = max(most) if len(most) == len(shapes) else None
    least = max(1, min(shape.least for shape in shapes))
    return Accepted(least, widest, widest, all(shape.wants_packet for shape in shapes))


def _parameters(where: str, method: Any) -> list[inspect.Parameter]:
    """The parameters that a caller of ``method`` meets, as its code has them: no declaration counts."""
    if isinstance(method, MethodType):
        parameters = _parameters(where, method.__func__)
        if not _positional(parameters) and not _is_variadic(parameters):
            raise UsageError(f"{where} takes no self: write it as a method")
        return _without_self(parameters)
    return _signature(_undeclared(method))


def _signature(method: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(method, follow_wrapped=False).parameters.values())
    except (ValueError, TypeError):  # it does not say: any number
        return [inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)]


def _undeclared(function: Any) -> Any:
    """``function`` without its ``__signature__``: that is what it declares, too."""
    if isinstance(function, functools.partial):
        return functools.partial(_undeclared(function.func), *function.args, **function.keywords)
    if isinstance(function, FunctionType) and hasattr(function, "__signature__"):
        bare = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        bare.__kwdefaults__ = function.__kwdefaults__
        return bare
    return function


def _inside(method: Any) -> Iterator[list[inspect.Parameter]]:
    """The parameters that ``method`` declares, then those of the functions that it wraps, from the outside."""
    own = _without_self if isinstance(method, MethodType) else list[inspect.Parameter]
    function = method.__func__ if isinstance(method, MethodType) else method
    for _ in range(_MOST_WRAPPERS):
        if getattr(function, "__signature__", None) is not None:
            yield own(_signature(function))
        function = getattr(function, "__wrapped__", None)
        if not callable(function):
            return
        yield own(_signature(_undeclared(function)))


def _code_of(method: Any) -> Any:
    """The function that runs when ``method`` is called, as far as that can be told."""
    while isinstance(method, functools.partial | MethodType):
        method = method.func if isinstance(method, functools.partial) else method.__func__
    if not isinstance(method, FunctionType | type):
        return type(method).__call__ if callable(method) else method
    return method


def _positional(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _without_self(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    return parameters[1:] if parameters and parameters[0] in _positional(parameters) else parameters


def _is_variadic(parameters: list[inspect.Parameter]) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _is_packet(parameters: list[inspect.Parameter]) -> bool:
    return len(parameters) == 1 and bool(_positional(parameters)) and parameters[0].name == "packet"
