"""The sids that the server gives to clients in namespaces, and their form, by which a room's name is told from one.

They are public, in every generation: no part of them is in the id of a session, which is a secret. Before generation 4
clients make a ``socket.id`` of their own from that id; the server uses it nowhere.
"""

from __future__ import annotations

import re
import secrets

__all__ = ["is_sid", "new_sid"]

_SID = re.compile(r"~[A-Za-z0-9_-]{20}")
"""Rooms named by words, numbers, paths, UUIDs or tokens do not look like this by accident."""


def new_sid() -> str:
    """An unguessable sid: ``~`` and 120 random bits in base64url."""
    return "~" + secrets.token_urlsafe(15)


def is_sid(name: str) -> bool:
    """Whether ``name`` has the form of `new_sid`, of a client of whatever process, still there or not."""
    return name.startswith("~") and _SID.fullmatch(name) is not None
