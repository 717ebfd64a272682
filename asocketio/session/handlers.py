"""Which methods of a namespace class handle what: read when the class is created, and again where it was changed."""

from __future__ import annotations

import copy
import difflib
import functools
import gc
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from operator import is_
from types import FunctionType, MethodType
from typing import Any, TypeVar

from asocketio.config import check_middleware
from asocketio.errors import UsageError
from asocketio.protocol.packet import Packet
from asocketio.runtime.log import log
from asocketio.session.signatures import accepted, method_of

__all__ = [
    "HOOKS",
    "Handler",
    "Handlers",
    "call_decorated_connect",
    "event",
    "events_of",
    "initialize",
    "read_handler",
]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__asocketio_events__"
_HOOK_OF = {
    "connect": "recv_connect(self, auth)",
    "connect_error": "recv_connect(self, auth)",
    "disconnect": "recv_disconnect(self, reason)",
    "disconnecting": "recv_disconnect(self, reason)",
}
_WAY = ("process_packet", "process_event", "call_method_with_acl", "call_method", "is_method_allowed")
HOOKS = frozenset({"recv_connect", "recv_disconnect", "recv_message", "recv_json", "recv_error"})
"""Methods that a program writes and this package calls, besides those of events."""
_OURS = ("asocketio.namespace", "builtins")
"""Modules of bases that nobody sets handlers on."""
_DECORATOR = "exception_handler_decorator"
_OVERRIDES = frozenset({*_WAY, _DECORATOR})
_MOST_VARIANTS = 100
"""Sets of handlers that are kept for objects with functions of their own. A program makes few, or new ones for each."""

_marked: weakref.WeakSet[FunctionType] = weakref.WeakSet()
"""Functions that `event` marked, and whose class was not created yet."""


def event(*names: str) -> Callable[[F], F]:
    """Make a method the handler of events by any name: ``@event("file:chunk")``.

    ``@event("*")`` catches what nothing else handles; it is called with the event's name first.
    """
    if not names or not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError('event takes the names of events: @event("file:chunk")')

    def mark(function: F) -> F:
        try:
            setattr(function, _MARK, (*getattr(function, _MARK, ()), *names))
        except AttributeError:
            raise UsageError(f"event{names!r} marks methods, not {function!r}: write a method that calls it") from None
        marked: object = function
        if isinstance(marked, FunctionType):
            _marked.add(marked)
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

    def arguments(self, packet: Packet, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """As `fit`; or the packet, if that is what it wants."""
        return (packet,) if self.wants_packet else self.fit(args)

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

    __slots__ = (
        "_fingerprint",
        "_seen",
        "_variants",
        "by_event",
        "by_name",
        "catch_all",
        "cls",
        "decorated",
        "events",
        "message",
        "middleware",
        "plain",
    )

    def __init__(self, cls: type) -> None:
        self._variants: dict[frozenset[_Own], Handlers] = {}
        self._fingerprint = _fingerprint(cls)
        self._seen = _methods(cls)
        self.cls = cls
        self.by_name: dict[str, Handler] = {}
        self.by_event: dict[str, str] = {}
        self.decorated = hasattr(cls, _DECORATOR)
        for name in dir(cls):
            names = events_of(cls, name)
            if names or name.startswith("on_") or name in HOOKS:
                self._add(name, inspect.getattr_static(cls, name), names)
            elif name.startswith("recv_") and (meant := difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.8)):
                raise UsageError(f"{cls.__name__}.{name} would never be called: did you mean {meant[0]}?")
        if inspect.iscoroutinefunction(getattr(cls, "initialize", None)):
            raise UsageError(_ASYNC_INITIALIZE.format(cls.__name__))
        self.catch_all = self.by_event.pop("*", None)
        self.message = "recv_message" if hasattr(cls, "recv_message") and not _is_ours(cls, "recv_message") else None
        """The method for what clients ``send()``, unless it is the one that does nothing."""
        self.plain = not self.decorated and all(_is_ours(cls, hook) for hook in _WAY)
        """No hook between a packet and its handler is overridden."""
        self.middleware = check_middleware(f"{cls.__name__}.middleware", getattr(cls, "middleware", ()))
        """What goes round each of them, from the outside."""
        self.events = self._events()
        """Handlers by the names of events, as far as those can be told beforehand."""

    @classmethod
    def of_new(cls, namespace: type) -> Handlers:
        """Those of a class that was just written.

        Raises:
            UsageError: what looks like a handler cannot be one; the message says why.
        """
        bodies = {(each.__module__, each.__qualname__) for each in namespace.__mro__}
        marked = [each for each in _marked if (each.__module__, each.__qualname__.rpartition(".")[0]) in bodies]
        _marked.difference_update(marked)
        handlers = cls(namespace)
        for function in marked:
            if any(name != "*" and name not in handlers.by_event for name in getattr(function, _MARK)):
                raise UsageError(
                    f"{namespace.__name__}.{function.__name__}: a decorator above @event returns a function without "
                    "its mark; write @event above that decorator, or functools.wraps in it"
                )
        for name, value in vars(namespace).items():
            if value is None and name.startswith("on_") and not _is_declared(namespace, name):
                raise UsageError(f"{namespace.__name__}.{name} is None: does its decorator return a function?")
            handler = handlers.by_name.get(name)
            if handler is not None and handler.wants_packet and not handler.is_hook:
                log.info(
                    "%s.%s has one parameter, packet, and gets the whole packet: packet['args'] are the client's "
                    "arguments; to get those themselves, name it otherwise", namespace.__name__, name,
                )  # fmt: skip
        return handlers

    # What changes after the class was created.

    def current(self, cls: type) -> Handlers:
        """The handlers of ``cls`` as it is now: these, unless they are of its base, or methods were set on it since.

        Raises:
            UsageError: what was set cannot be called.
        """
        if self.cls is not cls:
            return Handlers(cls)
        fingerprint = _fingerprint(cls)
        if fingerprint == self._fingerprint:
            return self
        if not _are_same(self._seen, _methods(cls)):
            return Handlers(cls)
        self._fingerprint = fingerprint  # a value changed: a counter, say
        return self

    def with_own(self, namespace: object) -> Handlers:
        """These, and the functions that were set on one object: ``self.on_join = function``.

        Raises:
            UsageError: one of them cannot be called.
        """
        if not _may_have_own(namespace):
            return self
        own = frozenset(self._own(name, value) for name, value in vars(namespace).items() if _is_own(name, value))
        if not own:
            return self
        variant = self._variants.get(own)
        if variant is None:
            if len(self._variants) >= _MOST_VARIANTS:
                self._variants.clear()
            variant = self._variants[own] = self._variant(own)
        return variant

    def _own(self, name: str, value: Any) -> _Own:
        if name in _OVERRIDES:
            return _Own(name, None)
        if not callable(value):  # self.on_x = None takes a handler away
            return _Own(name, None)
        events = _mark_of(value)
        self._check_events(name, events)
        return _Own(name, read_handler(self.cls, name, value), events)

    def _variant(self, own: frozenset[_Own]) -> Handlers:
        variant = copy.copy(self)
        variant.by_name = dict(self.by_name)
        variant.by_event = {event: name for event, name in self.by_event.items() if _Own(name, None) not in own}
        for each in own:
            variant.decorated |= each.name == _DECORATOR
            variant.plain &= each.name not in _OVERRIDES
            if each.handler is None:
                variant.by_name.pop(each.name, None)
                continue
            variant.by_name[each.name] = each.handler
            variant.by_event |= dict.fromkeys(each.events, each.name)
            if each.name == "recv_message":
                variant.message = each.name
        variant.catch_all = variant.by_event.pop("*", self.catch_all)
        variant.events = variant._events()
        return variant

    # Events.

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

    def _add(self, name: str, attribute: Any, events: tuple[str, ...]) -> None:
        cls = self.cls
        method = method_of(cls, name, attribute)
        if not callable(method) and not isinstance(method, functools.singledispatchmethod):
            if events or name in HOOKS:
                raise UsageError(
                    f"{cls.__name__}.{name} is no method, but {type(attribute).__name__}: it is never called"
                )
            return  # a value that happens to be called on_...
        self._check_events(name, events)
        self.by_name[name] = read_handler(cls, name, method)
        for each in events:
            other = self.by_event.setdefault(each, name)
            if other != name:
                raise UsageError(f"{cls.__name__}: both {other} and {name} handle the event {each!r}")

    def _check_events(self, name: str, events: tuple[str, ...]) -> None:
        for each in (*([name.removeprefix("on_")] if name.startswith("on_") else []), *events):
            if each in _HOOK_OF:
                raise UsageError(
                    f"{self.cls.__name__}.{name} would never be called: {each!r} belongs to the client's own life; "
                    f"the hook is {_HOOK_OF[each]}"
                )


def _is_declared(cls: type, name: str) -> bool:
    """Whether None is meant: for a name with an annotation, or one that takes away the method of a base."""
    return name in inspect.get_annotations(cls) or any(name in vars(base) for base in cls.__mro__[1:])


@dataclass(frozen=True, slots=True)
class _Own:
    """A function that was set on one object; no ``handler``: it is no handler, or takes one away."""

    name: str
    handler: Handler | None
    events: tuple[str, ...] = ()


def _may_have_own(namespace: object) -> bool:
    """Whether an attribute of the object itself can be called.

    Its ``__dict__`` is not asked unless it is there already: asked for, it is made, 64 bytes for each client.
    """
    cls = type(namespace)
    held: list[Any] = gc.get_referents(namespace)
    return any((type(each) is dict and "ns_name" in each) or (callable(each) and each is not cls) for each in held)


def _is_own(name: str, value: Any) -> bool:
    return name.startswith("on_") or name in HOOKS or name in _OVERRIDES or bool(_mark_of(value))


def _mark_of(value: Any) -> tuple[str, ...]:
    """The events that `event` gave to a function."""
    return getattr(value, _MARK, ()) if isinstance(value, FunctionType | MethodType) else ()


def _fingerprint(cls: type) -> tuple[Any, ...]:
    """Changes with any attribute of the class and its bases; in a tenth of the time that `_methods` takes.

    An ``id`` may be used again, but not that of a method: `_methods` holds on to those.
    """
    return tuple((*vars(each), *map(id, vars(each).values())) for each in cls.__mro__ if each.__module__ not in _OURS)


def _methods(cls: type) -> tuple[list[str], list[Any]]:
    """What of ``cls`` and its bases may be a handler: names, and values."""
    names: list[str] = []
    values: list[Any] = []
    for each in cls.__mro__:
        if each.__module__ not in _OURS:
            for name, value in vars(each).items():
                if name.startswith(("on_", "recv_")) or name == "middleware" or type(value) is FunctionType:
                    names.append(name)
                    values.append(value)
    return names, values


def _are_same(old: tuple[list[str], list[Any]], new: tuple[list[str], list[Any]]) -> bool:
    """The very same: values of a program may compare in their own way."""
    return old[0] == new[0] and all(map(is_, old[1], new[1]))


def _is_ours(cls: type, name: str) -> bool:
    """Whether ``name`` is as `BaseNamespace` has it. What wraps that calls itself the same, but is other code."""
    function = inspect.getattr_static(cls, name, None)
    return (
        isinstance(function, FunctionType)
        and function.__module__ == "asocketio.namespace"
        and function.__code__.co_qualname == f"BaseNamespace.{name}"
    )


def events_of(cls: type, name: str) -> tuple[str, ...]:
    """The events that a method was given, in its class or, where it overrides one, in that of the other."""
    for each in cls.__mro__:
        attribute = vars(each).get(name)
        inside = attribute.func if isinstance(attribute, functools.singledispatchmethod) else None
        for function in (attribute, getattr(attribute, "__func__", None), inside):
            names: tuple[str, ...] = getattr(function, _MARK, ())
            if names:
                return names
    return ()


def read_handler(cls: type, name: str, method: Any) -> Handler:
    """How ``method``, an attribute of an object of ``cls``, wants to be called."""
    shape = accepted(f"{cls.__name__}.{name}", method)
    is_hook = name in HOOKS
    most = shape.declared if is_hook else shape.most
    handler = Handler(name, shape.least, most, shape.wants_packet, is_hook)
    if is_hook and handler.least > 1:
        raise UsageError(f"{cls.__name__}.{name} takes {handler.takes}; it is called with one, or with none")
    return handler


_ASYNC_INITIALIZE = "{}.initialize is a plain method: what it would await belongs into recv_connect"


def initialize(namespace: object) -> None:
    """Call ``initialize`` of every class that has its own, as gevent-socketio does: no super() needed.

    Raises:
        UsageError: it is a coroutine function, which nobody would await.
    """
    for cls in type(namespace).__mro__:
        function = vars(cls).get("initialize")
        if function is None:
            continue
        bind = getattr(type(function), "__get__", None)
        result = (function if bind is None else bind(function, namespace, type(namespace)))()
        if inspect.iscoroutine(result):
            result.close()
            raise UsageError(_ASYNC_INITIALIZE.format(cls.__name__))


async def call_decorated_connect(
    method: Callable[..., Any], decorate: Callable[..., Any], args: tuple[Any, ...]
) -> Any:
    """Call a decorated ``recv_connect``; a decorator that swallows what it raises must not let the client in."""
    raised: list[Exception] = []

    @functools.wraps(method)
    async def remembering(*args: Any) -> Any:
        try:
            result = method(*args)
            return await result if hasattr(result, "__await__") else result
        except Exception as error:
            raised.append(error)
            raise

    result = decorate(remembering)(*args)
    if hasattr(result, "__await__"):
        result = await result
    if raised:
        raise raised[0]
    return result
