"""The package's logger, and lines that a client can cause: those come with a count, not one by one."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from time import monotonic

__all__ = ["HideSessions", "ThrottledLog", "log", "shown"]

log = logging.getLogger("asocketio")

WINDOW = 10.0
"""Seconds in which one kind of complaint is written once."""

MOST = 100
"""Complaints that are told apart within that time."""


_SESSION = re.compile(r"(\bsid=[^&\s\"]{0,6}|/1/[a-z-]*/[^/?\s\"]{0,6})[^&/?\s\"]*")


class HideSessions(logging.Filter):
    """Cuts session ids in the lines of a server down to their beginning: they are secrets, and part of every URL."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_hide(arg) if isinstance(arg, str) else arg for arg in record.args)
        record.msg = _hide(str(record.msg))
        return True


def _hide(text: str) -> str:
    return _SESSION.sub(r"\1…", text) if "sid=" in text or "/1/" in text else text


def shown(text: str) -> str:
    """Text of a client as a field of a log record: short, and unable to look like a line of its own."""
    text = text[:100]
    return text if text.isprintable() else repr(text)[1:-1]


class ThrottledLog:
    """Writes the first line of a kind at once, then at most one each `WINDOW` seconds, with the number left out.

    ``kind`` is one of the package's own words. ``about`` may come from a client: what is about
    something else has a line of its own, as long as there are no more than `MOST` of them.
    """

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def warning(
        self, kind: str, message: str, *args: object, about: str = "", fields: Mapping[str, str] | None = None
    ) -> None:
        """Log ``message % args``. Text that came from a client belongs in ``%r``, so that it cannot forge lines.

        ``fields`` become attributes of the record.
        """
        now = monotonic()
        key = self._key(kind, about[:100], now)
        since, left_out = self._kinds.get(key, (now - WINDOW, 0))
        if now - since < WINDOW:
            self._kinds[key] = since, left_out + 1
            return
        self._kinds[key] = now, 0
        if left_out:
            message += f" (and {left_out} more like it in the last {now - since:.0f} s)"
        log.warning(message, *args, extra=fields)

    def _key(self, kind: str, about: str, now: float) -> tuple[str, str]:
        if (kind, about) in self._kinds or len(self._kinds) < MOST:
            return kind, about
        self._kinds = {key: last for key, last in self._kinds.items() if now - last[0] < WINDOW}
        return (kind, about) if len(self._kinds) < MOST else (kind, "")
