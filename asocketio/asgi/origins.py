"""Origins: which pages may connect (``cors_allowed_origins``), and how what clients send as one is compared.

Source: RFC 6454, 6.2 (the serialisation) and 7 (the header field).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from asocketio.asgi.types import Scope
from asocketio.config import Origins, origin_pattern
from asocketio.errors import UsageError

__all__ = ["allows_all", "is_allowed", "is_list", "proposal", "serialised"]

SHOWN = 200
"""Characters of an origin in a log line."""

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
_PATH = re.compile(r"[/?#]")
_WITH_PORT = re.compile(r"([^:\[\]]*|\[[^\]]*\]):([0-9]*)")
_BETWEEN = re.compile(r"[,\s]+")
_LABELS = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_PART_OF_LABEL = r"[a-z0-9_-]*"


def serialised(origin: str) -> str:
    """``origin`` as RFC 6454 writes it: in lower case, without the scheme's own port, and without a path.

    What is no URL (``null``, a host alone) stays as it is, in lower case.
    """
    scheme, separator, rest = origin.strip().lower().partition("://")
    if not separator:
        return scheme
    host = _PATH.split(rest, maxsplit=1)[0]
    found = _WITH_PORT.fullmatch(host)
    if found is not None and found[2] in ("", _DEFAULT_PORTS.get(scheme)):
        host = found[1]
    return f"{scheme}://{host}".rstrip()


def is_list(origin: str) -> bool:
    """It holds several origins: of pages that led to each other, or of header fields that were joined."""
    parts = _BETWEEN.split(origin.strip())
    return len(parts) > 1 and all("://" in part or part == "null" for part in parts)


def allows_all(allowed: Origins) -> bool:
    """Every page may connect."""
    return allowed is not None and not callable(allowed) and "*" in allowed


def is_allowed(origin: str, scope: Scope, allowed: Origins) -> bool:
    """Whether a page of ``origin``, which is `serialised`, may connect. One that tells no origin may where all may.

    Raises:
        UsageError: the program's function is not a plain one.
    """
    if callable(allowed):
        return bool(origin) and _ask(allowed, origin, scope)
    if allowed is None or allows_all(allowed):
        return allowed is not None
    known = _known(tuple(allowed))
    return origin in known.exact or (known.patterns is not None and known.patterns.fullmatch(origin) is not None)


def _ask(allowed: Callable[[str, Scope], object], origin: str, scope: Scope) -> bool:
    answer = allowed(origin, scope)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise UsageError("cors_allowed_origins returned an awaitable, expected True or False: it is a plain function")
    return bool(answer)


def proposal(origin: str) -> str:
    """A sentence that says what to write to allow ``origin``, which is `serialised`."""
    if "*" in origin or len(origin) > SHOWN:
        return "No list can allow it; cors_allowed_origins may be a function (origin, scope)"
    return f"To allow it write SocketIOApp(..., cors_allowed_origins=[{origin!r}])"


class _Known(NamedTuple):
    exact: frozenset[str]
    patterns: re.Pattern[str] | None


@lru_cache(maxsize=64)
def _known(allowed: Sequence[str]) -> _Known:
    patterns = [_compiled(origin) for origin in allowed if "*" in origin]
    exact = frozenset(serialised(origin) for origin in allowed if "*" not in origin)
    return _Known(exact, re.compile("|".join(patterns)) if patterns else None)


def _compiled(pattern: str) -> str:
    """The regular expression of a pattern such as ``https://*.example.com``."""
    found = origin_pattern(pattern)
    assert found is not None  # `Config` has looked at it
    host = re.escape(found.before) + re.escape(found.after)
    if found.star:
        middle = _LABELS if found.whole else _PART_OF_LABEL
        host = re.escape(found.before) + middle + re.escape(found.after) if found.after else r"[^:/?#\s]+|\[[^\]]*\]"
    port = "" if found.port in ("", _DEFAULT_PORTS.get(found.scheme)) else f":{found.port}"
    if found.port == "*":
        port = "(?::[0-9]+)?"
    return f"{re.escape(found.scheme)}://(?:{host}){port}"
