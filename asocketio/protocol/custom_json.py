"""SharedProtocols: the protocols of sockets whose program brought its own JSON functions."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from asocketio.errors import UsageError
from asocketio.protocol.base import Protocol
from asocketio.protocol.json_codec import CustomJson
from asocketio.protocol.json_parser import check
from asocketio.protocol.packet import Packet

__all__ = ["SharedProtocols"]

Loads = Callable[[str], Any]
Dumps = Callable[[Any], str | bytes]
P = TypeVar("P", bound=Protocol)

REMEMBERED = 8
"""How many of the program's JSON functions `SharedProtocols.check` tries, the latest first."""


class SharedProtocols:
    """One protocol for all sockets of a generation with the same JSON functions: broadcasts encode once for them."""

    def __init__(self) -> None:
        # No function is a key: one that refers to a socket would keep that alive for ever.
        self._protocols: WeakValueDictionary[Hashable, Protocol] = WeakValueDictionary()
        self._writers: tuple[Protocol, ...] = ()
        self.others: tuple[Protocol, ...] = ()
        """Protocols of the server whose parser is not the JSON parser."""

    def get(self, protocol: P, loads: Loads | None, dumps: Dumps | None) -> P:
        """``protocol`` with another JSON codec, which reads with ``loads`` and writes with ``dumps``."""
        key = protocol, _identity(loads), _identity(dumps)
        shared = self._protocols.get(key)
        if not isinstance(shared, type(protocol)):
            shared = self._protocols[key] = protocol.with_json(CustomJson(loads, dumps))
        if dumps is not None:
            self._remember(shared)
        return shared

    def check(self, packet: Packet) -> None:
        """Check a packet that nobody receives, so that mistakes show before somebody does.

        Raises:
            UsageError: neither standard JSON, nor the latest functions of the program, nor another parser can write it.
        """
        try:
            check(packet)
        except UsageError:
            if not any(_encodes(protocol, packet) for protocol in (*self._writers, *self.others)):
                raise

    def _remember(self, protocol: Protocol) -> None:
        if protocol not in self._writers[:1]:
            self._writers = (protocol, *(other for other in self._writers if other is not protocol))[:REMEMBERED]


def _encodes(protocol: Protocol, packet: Packet) -> bool:
    try:
        protocol.encode(packet)
    except UsageError:
        return False
    return True


def _identity(function: Callable[..., Any] | None) -> Hashable:
    """What is the same for functions that do the same: a lambda in a view is another object in each call of the view.

    It holds ids, which are unique as long as the function lives.
    """
    if isinstance(function, FunctionType):
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        return id(function.__code__), id(function.__globals__), *map(id, function.__closure__ or ()), *map(id, defaults)
    if isinstance(function, MethodType):
        return id(function.__self__), id(function.__func__)
    if isinstance(function, BuiltinMethodType):
        return id(function.__self__), function.__name__
    return id(function)
