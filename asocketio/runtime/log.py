"""The package's logger, and lines that a client can cause: those come with a count, not one by one."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Mapping
from time import monotonic
from urllib.parse import unquote

from asocketio.runtime.safe_text import one_line, safe_error, shown

__all__ = ["HideSessions", "ThrottledLog", "hide_queries", "hide_sessions", "log", "place_of", "shown"]

WINDOW = 10.0
"""Seconds in which one kind of complaint is written once."""

TRACEBACKS = 3
"""How often, within that time, an exception of one place is written."""

MOST = 100
"""Complaints of one kind that are told apart within that time."""


class _OneLine(logging.Filter):
    """Quotes and cuts what is about to be logged: whatever got into it, it is one line, and no long one.

    The exception of a record is replaced by one that looks like it, where its text is not fit for a log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        _tidy(record, one_line)
        return True


log = logging.getLogger("asocketio")
log.addFilter(_OneLine())


def _tidy(record: logging.LogRecord, clean: Callable[[str], str]) -> None:
    try:
        message = record.getMessage()
    except Exception as failure:  # a repr of the program's, or a message that does not fit its arguments
        message = f"{record.msg!r}, whose arguments cannot be shown: {type(failure).__name__}"
        record.msg, record.args = message, None
    cleaned = clean(message)
    if cleaned != message:
        record.msg, record.args = cleaned, None
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        kind, error, _ = record.exc_info
        safe = safe_error(error)
        if safe is not error:
            record.exc_info = kind, safe, safe.__traceback__
            record.exc_text = None


_ID = re.compile(r"(?<!~)(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9_-]){20,}")
"""What may be the id of a session: 20 characters of base64url, some of them spelled as URLs may spell them."""
_SIGNS = ("sid", "eio=", "/1/", "cookie")
"""What is in a text with such an id: a query, a message, the path of 0.9, a header. In lower case."""


def hide_sessions(text: str) -> str:
    """``text`` of a server with the ids of sessions cut down to their beginning: they are secrets.

    However they are spelled in a URL. A public sid (``~...``) is left alone.
    """
    plain = (unquote(text) if "%" in text else text).lower()
    if not any(sign in plain for sign in _SIGNS):
        return text
    return _ID.sub(lambda found: found[0][:6] + "…", text)


_QUERY = re.compile(r"([^ \n]*?)\?([^ \n]*?)([\"',)\]}]*)(?=[ \n]|$)")
"""A URL: its path, its query, and what a line has around it."""
_SCOPE_QUERY = re.compile(r"('query_string': b)(['\"].*?)(['\"][,}])")
"""The query in an ASGI scope that is logged."""
_PATH_09 = re.compile(r"/1(/((websocket|xhr-polling|jsonp-polling|htmlfile|flashsocket)(/[^/]*)?)?)?/?$")
_KEPT = frozenset({"EIO", "transport", "sid", "t", "j", "b64", "jsonp", "i", "disconnect"})
"""The fields that are the protocol's."""


def hide_queries(text: str) -> str:
    """``text`` of a server with the queries of Socket.IO requests cut down to the fields of the protocol.

    The others are the program's: a token, as likely as not. A request of generation 3 or 4 is known by its field
    ``EIO``, one of 0.9 by its path.
    """
    if "?" in text:
        text = _QUERY.sub(_without_own_fields, text)
    if "'query_string': b" in text and any(sign in unquote(text) for sign in ("EIO", "/1/", "/1'")):
        text = _SCOPE_QUERY.sub(lambda found: found[1] + found[2][0] + _protocol_fields(found[2][1:]) + found[3], text)
    return text


def _without_own_fields(found: re.Match[str]) -> str:
    path, query, around = found.groups()
    names = [unquote(field.partition("=")[0]) for field in query.split("&")]
    if "EIO" not in names and not _PATH_09.search(unquote(path)):
        return found[0]
    return f"{path}?{_protocol_fields(query)}{around}"


def _protocol_fields(query: str) -> str:
    fields = query.split("&")
    kept = [field for field in fields if field.partition("=")[0] in _KEPT]
    return "&".join(kept if len(kept) == len(fields) else [*kept, "…"])


class HideSessions(logging.Filter):
    """For the lines of a server: cuts ids of sessions, which are part of every URL, the program's own fields of the
    query, and long lines, and quotes."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == log.name:
            return True  # has been seen to
        if record.name == "uvicorn.access" and isinstance(record.args, tuple):  # its formatter wants all five
            record.args = tuple(arg if isinstance(arg, int) else _hidden(str(arg)) for arg in record.args)
        else:
            _tidy(record, _hidden)
        return True


def _hidden(text: str) -> str:
    return one_line(hide_sessions(hide_queries(text)))  # in this order: of an id at the end not all is cut off


def place_of(error: BaseException) -> str:
    """What tells an exception from others, but is the same each time that it is raised there."""
    frames = traceback.walk_tb(error.__traceback__)
    places = dict.fromkeys((frame.f_code.co_filename, line) for frame, line in frames)
    return f"{type(error).__qualname__} {hash(tuple(places))}"


class ThrottledLog:
    """Writes the first line of a kind, then one each `WINDOW` seconds at most, with the number of those left out.

    ``kind`` is one of the package's own words. ``about`` may come from a client: what is about
    something else has a line of its own, as long as there are no more than `MOST` of them.

    Each line is ``message % args``. Text that came from a client belongs in ``%r``, cut, so that it can be told from
    ours. ``fields`` become attributes of the record.
    """

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, tuple[float, int]]] = {}

    def info(
        self, kind: str, message: str, *args: object, about: str = "", fields: Mapping[str, str] | None = None
    ) -> None:
        """A line about what clients do, and may do."""
        self._write(logging.INFO, kind, about, fields, None, message, args)

    def warning(
        self, kind: str, message: str, *args: object, about: str = "", fields: Mapping[str, str] | None = None
    ) -> None:
        """A line about what should not be."""
        self._write(logging.WARNING, kind, about, fields, None, message, args)

    def error(
        self,
        kind: str,
        message: str,
        *args: object,
        error: BaseException | None = None,
        about: str = "",
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """A line about a mistake of the program; with ``error`` its traceback, `TRACEBACKS` times for each place."""
        if error is not None:
            about = place_of(error)
        self._write(logging.ERROR, kind, about, fields, error, message, args)

    def _write(
        self,
        level: int,
        kind: str,
        about: str,
        fields: Mapping[str, str] | None,
        error: BaseException | None,
        message: str,
        args: tuple[object, ...],
    ) -> None:
        if not log.isEnabledFor(level):
            return
        now = monotonic()
        lines = self._kinds.setdefault(kind, {})
        key = _key(lines, about[:100], now)
        most = 1 if error is None else TRACEBACKS
        since, count = lines.get(key, (now - WINDOW, 0))
        within = now - since < WINDOW
        lines[key] = (since, count + 1) if within else (now, 1)
        if within and count >= most:
            return
        left_out = 0 if within else count - most
        if left_out > 0:
            message += f" (and {left_out} more like it in the last {now - since:.0f} s)"
        log.log(level, message, *args, extra=fields, exc_info=error)


def _key(lines: dict[str, tuple[float, int]], about: str, now: float) -> str:
    if about in lines or len(lines) < MOST:
        return about
    for key in [key for key, (since, _) in lines.items() if now - since >= WINDOW]:
        del lines[key]
    return about if len(lines) < MOST else ""
