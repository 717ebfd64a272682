"""Text of clients in a log: quoted, on one line, and short."""

from __future__ import annotations

import gc
import logging
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from asocketio.runtime.log import log
from asocketio.runtime.safe_text import MOST_BYTES, one_line, safe_error, shown

FORGED = "x\r\nERROR forged\x1b[31m\u2028\x85\u202e\ud800"
QUOTED = r"x\r\nERROR forged\x1b[31m\u2028\x85\u202e\ud800"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("plain é 世 😀 'quoted' \\ %s", "plain é 世 😀 'quoted' \\ %s"),
        (FORGED, QUOTED),
        ("\t\x00\x7f\xa0", r"\t\x00\x7f\xa0"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 100 + "…"),
        ("世" * 34, "世" * 33 + "…"),
        ("\n" * 60, r"\n" * 50 + "…"),
        ("x" * 300_000, "x" * 100 + "…"),
    ],
)
def test_text_of_a_client_is_one_short_line(text: str, line: str) -> None:
    assert shown(text) == line
    assert shown(line) == line
    assert one_line(text, 100) == line


def raised(make: Callable[[], BaseException]) -> BaseException:
    """The exception, raised and caught."""
    try:
        raise make()
    except BaseException as error:
        return error


def caused(cause: BaseException) -> BaseException:
    error = LookupError("plain")
    error.__cause__ = cause
    return error


def met(context: BaseException) -> BaseException:
    error = LookupError("plain")
    error.__context__ = context
    return error


def noted(note: str) -> BaseException:
    error = LookupError("plain")
    error.add_note(note)
    return error


def read(text: str) -> BaseException:
    try:
        compile(text.replace("\ud800", ""), "<client>", "eval")
    except SyntaxError as error:
        return error
    raise AssertionError


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Listed(Exception):
    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


HOSTILE: dict[str, Callable[[str], BaseException]] = {
    "text": ValueError,
    "two texts": lambda text: ValueError(text, text),
    "a class of the program": lambda text: Listed(text, text),
    "cause": lambda text: caused(ValueError(text)),
    "context": lambda text: met(ValueError(text)),
    "cause of a cause": lambda text: caused(caused(met(ValueError(text)))),
    "note": noted,
    "group": lambda text: BaseExceptionGroup("several", [ValueError("one"), KeyError(text)]),
    "name of a group": lambda text: BaseExceptionGroup(text, [ValueError("one")]),
    "group in a group": lambda text: BaseExceptionGroup("a", [BaseExceptionGroup("b", [caused(ValueError(text))])]),
    "what was read": lambda text: read("f(" + text[:1000]),
    "a file": lambda text: OSError(2, "no such file", text),
    "an import": lambda text: ImportError(text, name=text, path=text),
    "a name": lambda text: AttributeError(text, name=text, obj=None),
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("text", [FORGED, "\r", "y" * 300_000, FORGED * 30_000], ids=["forged", "cr", "long", "both"])
def test_the_text_of_an_exception_is_quoted_and_cut_in_its_traceback(hostile: str, text: str) -> None:
    error = raised(lambda: HOSTILE[hostile](text))
    lines = "".join(traceback.format_exception(safe_error(error)))
    assert len(lines) < 6000
    assert all(line.isprintable() for line in lines.split("\n"))
    assert [line for line in lines.split("\n") if line.startswith("ERROR")] == []
    assert "make()" in lines  # where it was raised
    assert type(error).__name__ in lines
    assert str(error) == str(HOSTILE[hostile](text))  # it is as it was


def test_a_plain_exception_is_shown_itself() -> None:
    for error in (ValueError("plain"), caused(met(ValueError("é"))), noted("more"), ExceptionGroup("a", [KeyError(1)])):
        assert safe_error(error) is error


def test_an_exception_that_cannot_be_read_is_shown_all_the_same() -> None:
    error = Unreadable()
    assert safe_error(error) is error  # a traceback says so itself
    error.__cause__ = ValueError("\n")
    assert "Unreadable: (its text cannot be made)" in "".join(traceback.format_exception(safe_error(error)))


def test_a_long_row_of_causes_is_cut() -> None:
    error: BaseException = ValueError("the first")
    for _ in range(1000):
        error = caused(error)
    lines = "".join(traceback.format_exception(safe_error(error)))
    assert lines.count("LookupError: plain") == 11


def test_exceptions_that_cause_each_other_are_shown() -> None:
    one, other = caused(ValueError("one")), caused(ValueError("other"))
    one.__cause__, other.__cause__ = other, one
    assert "LookupError: plain" in "".join(traceback.format_exception(safe_error(one)))


def test_the_class_of_an_exception_is_not_kept() -> None:
    class Passing(Exception):
        pass

    found = weakref.ref(Passing)
    assert safe_error(Passing("\n")).args == ("\\n",)
    del Passing
    gc.collect()
    assert found() is None


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR])
def test_every_line_of_the_package_is_one_line(level: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asocketio")
    error = raised(lambda: ValueError(FORGED))
    log.log(level, "client: %s, %d", FORGED * 1000, 5, exc_info=error)
    (record,) = caplog.records
    line = record.getMessage()
    assert line.isprintable()
    assert line.startswith("client: " + QUOTED)
    assert len(line.encode()) <= MOST_BYTES + 3
    assert record.exc_info is not None
    assert (record.exc_info[0], str(record.exc_info[1])) == (ValueError, QUOTED)
    assert [line for line in caplog.text.split("\n") if line.startswith("ERROR forged")] == []


def test_a_line_that_cannot_be_made_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    arguments: Any = (Broken(),)
    log.error("client: %r", *arguments)
    assert caplog.messages == ["'client: %r', whose arguments cannot be shown: RuntimeError"]
