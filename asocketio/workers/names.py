"""Names of workers, and the ids of sessions, which begin with one.

A proxy and every worker can tell from a session's id alone which worker has the session: no table, no look-up.
"""

from __future__ import annotations

import re
import secrets

__all__ = ["NAME", "name_in", "new_name"]

LENGTH = 4
NAME = re.compile(rf"[A-Za-z0-9_-]{{{LENGTH}}}")
"""The form of a name, which is part of URLs and of file names."""

_NAMED_ID = re.compile(rf"({NAME.pattern})[A-Za-z0-9_-]{{20}}")
"""A name, and 120 random bits. Ids that name nobody have the 120 bits alone."""


def new_name() -> str:
    """A random name: one of 16 million."""
    return secrets.token_urlsafe(3)


def name_in(sid: str) -> str:
    """The name of the worker that opened the session ``sid``; ``""`` where the id names none."""
    found = _NAMED_ID.fullmatch(sid)
    return found[1] if found else ""
