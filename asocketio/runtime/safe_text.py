"""Text that a client may have written, made safe for a log: on one line, without what steers a terminal, and short."""

from __future__ import annotations

from weakref import WeakKeyDictionary

__all__ = ["MOST_BYTES", "one_line", "safe_error", "shown"]

MOST_BYTES = 1900
"""Bytes of UTF-8 that one line takes at most; a traceback has more of them."""

MOST_OF_AN_ERROR = 500
"""Bytes of the text of one exception in a traceback."""

MOST_LINKS = 10
"""Exceptions in a row, each the cause of the next, that are shown."""


def one_line(text: str, most: int = MOST_BYTES) -> str:
    """``text`` with escapes for characters that are not printable, cut to ``most`` bytes and an ellipsis."""
    short = text[:most]
    if not short.isprintable():
        short = "".join(each if each.isprintable() else _escape(each) for each in short)
    data = short.encode()  # without lone surrogates: those are not printable
    if len(data) <= most and len(text) <= most:
        return short
    return data[:most].decode(errors="ignore") + "…"


def shown(text: str) -> str:
    """Text of a client as a field of a log record, or a part of a line."""
    return one_line(text, 100)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def safe_error(error: BaseException) -> BaseException:
    """``error`` where its traceback can be written as it is; else one that looks like it, with quoted and cut texts.

    A client's text gets into exceptions: ``int(text)`` puts it into its message. What caused ``error``, its notes and
    the exceptions of a group are looked at as well.
    """
    return error if _is_safe(error, MOST_LINKS) else _stand_in(error, MOST_LINKS)


def _is_safe(error: BaseException, links: int) -> bool:
    if not links or isinstance(error, SyntaxError):  # that one shows a line of what it read
        return False
    if any(one_line(text, MOST_OF_AN_ERROR) != text for text in (_text(error), *_notes(error))):
        return False
    return all(_is_safe(each, links - 1) for each in _linked(error))


def _linked(error: BaseException) -> list[BaseException]:
    """What a traceback shows besides ``error`` itself."""
    inner: tuple[BaseException, ...] = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    context = None if error.__suppress_context__ else error.__context__
    return [each for each in (error.__cause__, context, *inner) if each is not None]


def _stand_in(error: BaseException, links: int) -> BaseException:
    shown: BaseException
    if isinstance(error, BaseExceptionGroup) and links:
        inner: tuple[BaseException, ...] = error.exceptions
        message = one_line(str(error.message), MOST_OF_AN_ERROR)
        shown = BaseExceptionGroup(message, [_stand_in(each, links - 1) for each in inner])
    else:
        shown = _class_like(type(error))(one_line(_text(error), MOST_OF_AN_ERROR))
    for note in _notes(error)[:MOST_LINKS]:
        shown.add_note(one_line(note, MOST_OF_AN_ERROR))
    if links and error.__cause__ is not None:
        shown.__cause__ = _stand_in(error.__cause__, links - 1)
    elif links and error.__context__ is not None and not error.__suppress_context__:
        shown.__context__ = _stand_in(error.__context__, links - 1)
    return shown.with_traceback(error.__traceback__)


_classes: WeakKeyDictionary[type[BaseException], type[Exception]] = WeakKeyDictionary()


def _class_like(cls: type[BaseException]) -> type[Exception]:
    """A class that is called the same. Not a subclass: what those do when one is made is theirs."""
    found = _classes.get(cls)
    if found is None:
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
        found = _classes[cls] = type(cls.__name__, (Exception,), names)
    return found


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # the program's method
        return "(its text cannot be made)"


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", ())
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list | tuple) else []
