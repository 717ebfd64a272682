"""The logger, and throttled_log that a client can cause."""

from __future__ import annotations

import logging

import pytest

from asocketio.runtime import log as module
from asocketio.runtime.log import HideSessions, ThrottledLog, log


class Time:
    now = 1000.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(module, "monotonic", lambda: time.now)
    return time


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    found = caplog.record_tuples.copy()
    caplog.clear()
    return found


def warning(message: str) -> tuple[str, int, str]:
    return "asocketio", logging.WARNING, message


def test_there_is_one_logger() -> None:
    assert log is logging.getLogger("asocketio")


def test_the_first_line_of_a_kind_is_written_at_once(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    ThrottledLog().warning("origin", "%s: refused %r", "sid", "evil\n")
    assert lines(caplog) == [warning("sid: refused 'evil\\n'")]


def test_more_of_a_kind_are_counted_and_told_with_the_next_line(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    throttle = ThrottledLog()
    for number in range(100):
        throttle.warning("origin", "number %d", number)
        time.now += 0.05
    assert lines(caplog) == [warning("number 0")]
    time.now = 1012.4
    throttle.warning("origin", "number %d", 100)
    assert lines(caplog) == [warning("number 100 (and 99 more like it in the last 12 s)")]


def test_a_line_after_a_quiet_window_is_written_plainly(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    throttle = ThrottledLog()
    throttle.warning("origin", "first")
    time.now += 9.99
    throttle.warning("origin", "second")
    time.now += 0.01
    throttle.warning("origin", "third")
    time.now += 10
    throttle.warning("origin", "fourth")
    assert lines(caplog) == [
        warning("first"),
        warning("third (and 1 more like it in the last 10 s)"),
        warning("fourth"),
    ]


def test_kinds_do_not_silence_each_other(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    throttle = ThrottledLog()
    for kind in ("origin", "path", "origin", "path"):
        throttle.warning(kind, kind)
    assert lines(caplog) == [warning("origin"), warning("path")]


def test_throttles_do_not_silence_each_other(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    ThrottledLog().warning("origin", "one")
    ThrottledLog().warning("origin", "other")
    assert lines(caplog) == [warning("one"), warning("other")]


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_session_ids_are_hidden_in_the_lines_of_a_server(level: int) -> None:
    url = "/socket.io/?EIO=4&sid=_GUMEB99a9LsoDkuitpn&transport=polling"
    access = logging.LogRecord(
        "uvicorn.access", level, "", 0, '%s - "%s %s HTTP/%s" %d', ("1.2.3.4", "GET", url, "1.1", 200), None
    )
    plain = logging.LogRecord("uvicorn.error", level, "", 0, f'"WebSocket {url}" [accepted]', None, None)
    assert HideSessions().filter(access)
    assert HideSessions().filter(plain)
    assert access.getMessage() == '1.2.3.4 - "GET /socket.io/?EIO=4&sid=_GUMEB…&transport=polling HTTP/1.1" 200'
    assert plain.getMessage() == '"WebSocket /socket.io/?EIO=4&sid=_GUMEB…&transport=polling" [accepted]'


def test_other_lines_are_left_alone() -> None:
    record = logging.LogRecord("uvicorn.error", logging.INFO, "", 0, "EagerCall server process [%d]", (7,), None)
    HideSessions().filter(record)
    assert record.getMessage() == "EagerCall server process [7]"


def test_lines_about_different_things_are_told_apart_but_not_without_end(
    time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    throttle = ThrottledLog()
    for number in range(1000):
        throttle.warning("error", "about %d", number, about=str(number))
        throttle.warning("error", "again %d", number, about=str(number))
    assert lines(caplog) == [warning(f"about {number}") for number in (*range(module.MOST), module.MOST)]
    time.now += 10
    throttle.warning("error", "about %d", 2000, about="2000")
    assert lines(caplog) == [warning("about 2000")]
