"""What everything that reads a peer's input promises, whatever that input is, as checks that raise `Broken`.

A `Target` is one reader. Its `Target.run` makes the calls of the package and nothing else, because that is
what is timed; its `Target.judge` looks at what came of them, and may be slow.
"""

from __future__ import annotations

import inspect
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

from asocketio.config import Config
from asocketio.errors import SocketIOError
from asocketio.protocol.json_codec import Json

__all__ = ["Broken", "Outcome", "Target", "as_utf16", "examine", "grown", "module_state", "same", "weight"]

SECONDS = 0.2
SECONDS_PER_BYTE = 5e-6
"""Linear code needs a fifth of this at worst; quadratic code is over it at some 100 kB to a megabyte."""
ATTEMPTS = 4
"""One measurement may meet a machine that is busy elsewhere, or a garbage collection; four do not."""
LONGEST_ERROR = 500
"""Errors go into log lines: what a peer sends must not make those long."""


class Broken(AssertionError):
    """An input for which a promise does not hold."""


@dataclass(slots=True)
class Outcome:
    """What came of one input: results in order, with the class's name in the place of each error."""

    results: list[Any] = field(default_factory=list)
    refused: str = ""
    """The class of the first error."""
    seconds: float = 0.0

    def refuse(self, error: SocketIOError) -> None:
        """The input was refused by ``error``, which the package may raise here."""
        self.note(error)
        self.refused = self.refused or type(error).__name__

    def note(self, error: SocketIOError) -> None:
        """Put an error among the results, by name: the object itself would keep all frames of its traceback."""
        name = type(error).__name__
        message = str(error)
        if len(message) > LONGEST_ERROR:
            raise Broken(f"{name} has a message of {len(message)} characters: {message[:60]!r}...")
        if not message.isascii():
            try:
                message.encode()
            except UnicodeEncodeError:
                raise Broken(f"{name} has a message that no log file can take: {message!r}") from None
        self.results.append(name)


class Target(ABC):
    """One reader of input. Inputs are plain values, so that ``repr`` shows them in a form that can be read back."""

    name: str

    @abstractmethod
    def run(self, given: Any) -> Outcome:
        """Call the package. Errors that it may raise here are noted; all others come out."""

    @abstractmethod
    def judge(self, given: Any, outcome: Outcome) -> None:
        """Raise `Broken` where what came of ``given`` is not what was promised."""

    @abstractmethod
    def size(self, given: Any) -> int:
        """How long the input is, in bytes or characters."""

    @abstractmethod
    def of_bytes(self, data: bytes) -> Any:
        """The input that ``data`` stands for: a coverage-guided fuzzer knows nothing but bytes."""

    @abstractmethod
    def to_bytes(self, given: Any) -> bytes:
        """What `of_bytes` would make ``given`` of, as nearly as it can."""


def examine(target: Target, given: Any, *, patience: float = 1.0) -> Outcome:
    """Check all promises for one input. ``patience`` stretches the time limit, for code that is instrumented.

    Raises:
        Broken: one of them does not hold.
    """
    allowed = patience * (SECONDS + SECONDS_PER_BYTE * target.size(given))
    attempt = 1
    while True:
        started = time.thread_time()
        try:
            outcome = target.run(given)
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"raised {type(error).__name__}: {str(error)[:200]}") from error
        outcome.seconds = time.thread_time() - started
        if outcome.seconds <= allowed:
            break
        if attempt == ATTEMPTS:
            raise Broken(f"took {outcome.seconds:.2f} s, allowed are {allowed:.2f} s")
        attempt += 1
    try:
        target.judge(given, outcome)
    except Broken:
        raise
    except Exception as error:  # of the package, on the way back
        raise Broken(f"what was read cannot be written: {type(error).__name__}: {str(error)[:200]}") from error
    return outcome


# ---- what is kept ----------------------------------------------------------------------------------------------


def weight(thing: object, *, deep: bool = False) -> int:
    """Characters, bytes and items that ``thing`` holds on to, through containers and objects of the package.

    ``deep``: also through functions, classes and what decoders share with each other.
    """
    total = 0
    seen: dict[int, Any] = {}  # and kept, so that no other object gets the id of one that was made for this
    stack: list[Any] = [thing]
    while stack:
        item = stack.pop()
        kind = _KINDS.get(type(item)) or _kind(type(item))
        if kind == "nothing" or id(item) in seen:
            continue
        seen[id(item)] = item
        if kind == "text":
            total += len(item)
        elif kind == "sequence":
            total += len(item)
            stack.extend(item)
        elif kind == "mapping":
            total += len(item)
            stack.extend(item.keys())
            stack.extend(item.values())
        elif kind == "object" or (deep and kind == "shared"):
            total += 1
            stack.append(getattr(item, "__dict__", None))
            for name in _SLOTS[type(item)]:
                stack.append(getattr(item, name, None))
        elif deep and kind == "function":
            stack += [item.__defaults__, item.__kwdefaults__, item.__dict__]
            stack += [cell.cell_contents for cell in item.__closure__ or () if _is_full(cell)]
        elif deep and kind == "cache":
            total += item.cache_info().currsize
        elif deep and kind == "class" and item.__module__.startswith("asocketio"):
            stack.append(vars(item))
    return total


_KINDS: dict[type, str] = {}
_SLOTS: dict[type, tuple[str, ...]] = {}


def _kind(kind: type) -> str:
    """What `weight` does with objects of a type."""
    found = "nothing"
    if issubclass(kind, Enum | ModuleType):
        pass
    elif issubclass(kind, str | bytes | bytearray):
        found = "text"
    elif issubclass(kind, list | tuple | set | frozenset | deque):
        found = "sequence"
    elif issubclass(kind, Mapping):
        found = "mapping"
    elif issubclass(kind, Json | Config):
        found = "shared"
    elif issubclass(kind, FunctionType):
        found = "function"
    elif hasattr(kind, "cache_info"):
        found = "cache"
    elif issubclass(kind, type):
        found = "class"
    elif kind.__module__.startswith("asocketio"):
        found = "object"
    _SLOTS[kind] = tuple(name for cls in inspect.getmro(kind) for name in vars(cls).get("__slots__", ()))
    _KINDS[kind] = found
    return found


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def module_state() -> dict[str, int]:
    """How much each module of the package holds: names, classes, constants, caches, defaults of functions."""
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "asocketio"}
    return {name: weight(vars(module) | {"__builtins__": None}, deep=True) for name, module in modules.items()}


def grown(before: dict[str, int]) -> dict[str, tuple[int, int]]:
    """The modules that hold something else than they did."""
    now = module_state()
    return {name: (held, now[name]) for name, held in before.items() if now[name] != held}


# ---- what is equal ---------------------------------------------------------------------------------------------


def as_utf16(value: Any) -> Any:
    """``value`` with two surrogates that happen to meet as one character: to JSON and JavaScript they are."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if isinstance(value, list):
        return [as_utf16(item) for item in value]
    if isinstance(value, dict):
        return {as_utf16(key): as_utf16(item) for key, item in value.items()}
    return value


def same(first: Any, second: Any, normal: Callable[[Any], Any] = as_utf16) -> bool:
    """Whether two values are equal to the type: ``1``, ``1.0`` and ``True`` differ."""
    return repr(first) == repr(second) or repr(normal(first)) == repr(normal(second))
