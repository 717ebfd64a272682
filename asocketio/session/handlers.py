"""Which methods of a namespace class handle what; read once, when the class is created."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar

from asocketio.errors import UsageError

__all__ = ["Handler", "Handlers", "event", "initialize"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__asocketio_events__"
_HOOK_OF = {
    "connect": "recv_connect(self, auth)",
    "connect_error": "recv_connect(self, auth)",
    "disconnect": "recv_disconnect(self, reason)",
    "disconnecting": "recv_disconnect(self, reason)",
}
_WAY = ("process_packet", "process_event", "call_method_with_acl", "call_method", "is_method_allowed")
_HOOKS = frozenset({"recv_connect", "recv_disconnect", "recv_message", "recv_json", "recv_error"})


def event(*names: str) -> Callable[[F], F]:
    """Make a method the handler of events by any name: ``@event("file:chunk")``.

    ``@event("*")`` catches what nothing else handles; it is called with the event's name first.
    """
    if not names or not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError('event takes the names of events: @event("file:chunk")')

    def mark(function: F) -> F:
        setattr(function, _MARK, (*getattr(function, _MARK, ()), *names))
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Handler:
    """How a method wants to be called."""

    name: str
    least: int
    most: int | None
    """None: any number."""
    wants_packet: bool
    """Its sole argument is named ``packet``: it gets the whole packet."""
    is_hook: bool
    """A ``recv_*`` method: it may leave arguments out that it has no use for."""

    def fit(self, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The arguments to call it with; None when they do not fit."""
        if self.is_hook and self.most is not None:
            args = args[: self.most]
        if len(args) < self.least or (self.most is not None and len(args) > self.most):
            return None
        return args

    @property
    def takes(self) -> str:
        """For error messages: ``"1 argument"``, ``"2 to 3 arguments"``."""
        if self.most is None:
            return f"at least {self.least} arguments"
        if self.least == self.most:
            return f"{self.least} argument{'' if self.least == 1 else 's'}"
        return f"{self.least} to {self.most} arguments"


class Handlers:
    """The handlers of one class: methods by name, and events that were given to methods by `event`."""

    __slots__ = ("by_event", "by_name", "catch_all", "decorated", "events", "message", "plain")

    def __init__(self, cls: type) -> None:
        self.by_name: dict[str, Handler] = {}
        self.by_event: dict[str, str] = {}
        self.decorated = hasattr(cls, "exception_handler_decorator")
        for name in dir(cls):
            function = inspect.getattr_static(cls, name)
            names = _events_of(cls, name)
            if names or name.startswith("on_") or name in _HOOKS:
                self._add(cls, name, function, names)
            elif name.startswith("recv_") and (meant := difflib.get_close_matches(name, _HOOKS, n=1, cutoff=0.8)):
                raise UsageError(f"{cls.__name__}.{name} would never be called: did you mean {meant[0]}?")
        if inspect.iscoroutinefunction(getattr(cls, "initialize", None)):
            raise UsageError(
                f"{cls.__name__}.initialize is a plain method: what it would await belongs into recv_connect"
            )
        self.catch_all = self.by_event.pop("*", None)
        self.message = self._message_handler(cls)
        self.plain = not self.decorated and all(
            getattr(getattr(cls, hook, None), "__module__", "") == "asocketio.namespace" for hook in _WAY
        )
        """No hook between a packet and its handler is overridden."""
        self.events = self._events()
        """Handlers by the names of events, as far as those can be told beforehand."""

    def find(self, name: str) -> str | None:
        """The method that handles an event, or None."""
        method = self.by_event.get(name)
        if method is not None:
            return method
        method = "on_" + name.replace(" ", "_")
        if method in self.by_name:
            return method
        return self.message if name == "message" else None

    def _events(self) -> dict[str, Handler]:
        found = {name.removeprefix("on_"): handler for name, handler in self.by_name.items() if name.startswith("on_")}
        found |= {name.replace("_", " "): handler for name, handler in found.items()}
        found |= {name: self.by_name[method] for name, method in self.by_event.items()}
        found.pop("", None)  # messages have no name either: `process_packet` tells them apart
        return found

    def _add(self, cls: type, name: str, function: Any, events: tuple[str, ...]) -> None:
        if isinstance(function, staticmethod | classmethod):
            raise UsageError(f"{cls.__name__}.{name} is a {type(function).__name__}: handlers are plain methods")
        if not callable(function):
            return  # a value that happens to be called on_...
        for each in (*([name.removeprefix("on_")] if name.startswith("on_") else []), *events):
            if each in _HOOK_OF:
                raise UsageError(
                    f"{cls.__name__}.{name} would never be called: {each!r} belongs to the client's own life; "
                    f"the hook is {_HOOK_OF[each]}"
                )
        handler = self.by_name[name] = _read(cls, name, function)
        if handler.is_hook and handler.least > 1:
            raise UsageError(f"{cls.__name__}.{name} takes {handler.takes}; it is called with one, or with none")
        for each in events:
            other = self.by_event.setdefault(each, name)
            if other != name:
                raise UsageError(f"{cls.__name__}: both {other} and {name} handle the event {each!r}")

    def _message_handler(self, cls: type) -> str | None:
        """``recv_message`` hears what clients ``send()``, unless it is the one that does nothing."""
        own = getattr(cls, "recv_message", None)
        return "recv_message" if own is not None and own.__module__ != "asocketio.namespace" else None


def _events_of(cls: type, name: str) -> tuple[str, ...]:
    """The events that a method was given, in its class or, where it overrides one, in that of the other."""
    for each in cls.__mro__:
        function = vars(each).get(name)
        names: tuple[str, ...] = getattr(function, _MARK, ()) or getattr(getattr(function, "__func__", None), _MARK, ())
        if names:
            return names
    return ()


def _read(cls: type, name: str, function: Any) -> Handler:
    parameters = list(inspect.signature(function).parameters.values())[1:]  # without self
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if required:
        raise UsageError(
            f"{cls.__name__}.{name} needs the keyword argument {required[0]!r}; a client can send only positional ones"
        )
    many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return Handler(
        name=name,
        least=sum(p.default is p.empty for p in positional),
        most=None if many else len(positional),
        wants_packet=len(parameters) == len(positional) == 1 and positional[0].name == "packet",
        is_hook=name in _HOOKS,
    )


def initialize(namespace: object) -> None:
    """Call ``initialize`` of every class that has its own, as gevent-socketio does: no super() needed."""
    for cls in type(namespace).__mro__:
        function = vars(cls).get("initialize")
        if isinstance(function, FunctionType):
            function(namespace)
