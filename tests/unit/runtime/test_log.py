"""The logger, and throttled_log that a client can cause."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import unquote

import pytest
from uvicorn.logging import AccessFormatter

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


SID = "_GUMEB99a9LsoDkuitpn"
HEXED = "".join(f"%{ord(each):02x}" for each in SID)


@pytest.mark.parametrize(
    "text",
    [
        f"/socket.io/?EIO=4&sid={SID}",
        f"/socket.io/?EIO=4&%73id={SID}&transport=polling",
        f"/socket.io/?EIO=4&s%69%64={SID}",
        f"/socket.io/?%73%69%64={HEXED}",
        f"/socket.io/?sid={HEXED.upper()}",
        f"/socket.io/?sid={HEXED[:3]}{SID[1:]}",
        f"/socket.io/?sid={SID[:-1]}{HEXED[-3:]}",
        f"/socket.io/1/{SID}",
        f"/socket.io/1/{SID}?disconnect",
        f"/socket.io/1/websocket/{SID}",
        f"/socket.io/%31/xhr-polling/{SID}/",
        f"/socket.io%2f1%2Fxhr-polling%2F{SID}/",
        f"'query_string': b'transport=websocket&sid={SID}'",
        f"'path': '/socket.io/1/websocket/{SID}', 'raw_path': b'/socket.io/%31/websocket/{HEXED}'",
        f'< TEXT \'0{{"sid":"{SID}","upgrades":[]}}\' [90 bytes]',
        f"< TEXT '{SID}:15:25:websocket,xhr-polling' and GET /socket.io/1/ HTTP/1.1",
        f"> Cookie: io={SID}; other=x",
        f"< set-cookie: io={SID}; Path=/",
    ],
)
@pytest.mark.parametrize("name", ["uvicorn.access", "uvicorn.error", "uvicorn.asgi", "websockets.server", "hypercorn"])
def test_a_session_id_is_hidden_however_it_is_spelled(text: str, name: str) -> None:
    arguments: list[tuple[str, Any]] = [
        (text, None), ("%s", (text,)), ('%s - "%s %s HTTP/%s" %d', ("1.2.3.4:5", "GET", text, "1.1", 200)),
        ("%s [%d] Started scope=%s", ("1.2.3.4:5 - ASGI", 7, {"type": "http", "asked": text, "text": [text.encode()]})),
        ("%(asked)s", ({"asked": text},)),
    ]  # fmt: skip
    for message, args in arguments:
        record = logging.LogRecord(name, logging.INFO, "", 0, message, args, None)
        HideSessions().filter(record)
        for id_ in (SID, HEXED, HEXED.upper()):
            assert id_ not in unquote(record.getMessage())
            assert id_ not in record.getMessage()


def test_a_long_line_of_a_server_is_cut_after_its_ids_are() -> None:
    for size in range(1850, 1950):
        record = logging.LogRecord("uvicorn.error", 20, "", 0, "GET %s", ("/" + size * "." + f"?sid={SID}",), None)
        HideSessions().filter(record)
        assert SID[:7] not in record.getMessage()
        assert len(record.getMessage().encode()) < 2000


def test_the_formatter_of_uvicorns_access_log_gets_what_it_wants() -> None:
    args = ("1.2.3.4:5", "GET", f"/socket.io/?sid={SID}&x=" + "y" * 60_000, "1.1", 200)
    record = logging.LogRecord("uvicorn.access", 20, "", 0, '%s - "%s %s HTTP/%s" %d', args, None)
    HideSessions().filter(record)
    line = AccessFormatter('%(client_addr)s - "%(request_line)s" %(status_code)s', use_colors=False).format(record)
    assert line.startswith('1.2.3.4:5 - "GET /socket.io/?sid=_GUMEB…&x=yyyy')
    assert line.endswith('y… HTTP/1.1" 200 OK')
    assert len(line) < 2000


@pytest.mark.parametrize(
    "text",
    [
        "/a-long-name-of-a-file-that-is-nobodys-secret.js",
        "Will watch for changes in these directories: ['/home/me/a-project-with-a-long-name']",
        "~_GUMEB99a9LsoDkuitpn /: an event of the public sid",
        "/socket.io/1/websocket/short",
        "/api/1/items?ordinary=words-of-a-url",
        "GET /page?token=of-another-application HTTP/1.1",
    ],
)
def test_what_is_no_session_id_is_left(text: str) -> None:
    record = logging.LogRecord("uvicorn.error", 20, "", 0, "%s", (text,), None)
    HideSessions().filter(record)
    assert record.getMessage() == text


TOKEN = "eyJ0.secret~sesame"
CUT = {
    f"/socket.io/?EIO=4&transport=polling&token={TOKEN}": "/socket.io/?EIO=4&transport=polling&…",
    f"/socket.io/?token={TOKEN}&EIO=4&transport=websocket": "/socket.io/?EIO=4&transport=websocket&…",
    f"/socket.io/?EIO=3&transport=polling&t=N&b64=1&j=0&{TOKEN}": "/socket.io/?EIO=3&transport=polling&t=N&b64=1&j=0&…",
    f"/socket.io/?%45IO=4&token={TOKEN}": "/socket.io/?…",
    f"/live/socket.io/?EIO=4&to%6ben={TOKEN}&sid={SID}": "/live/socket.io/?EIO=4&sid=_GUMEB…&…",
    f"/socket.io/?EIO=4&a=it's?{TOKEN}\"{TOKEN}": "/socket.io/?EIO=4&…",
    f"/socket.io/?EIO=4&a=\xa0{TOKEN}": "/socket.io/?EIO=4&…",
    f"/socket.io/1/?t=1&token={TOKEN}": "/socket.io/1/?t=1&…",
    f"/socket.io/1?token={TOKEN}": "/socket.io/1?…",
    f"/socket.io/1/websocket/{SID}?token={TOKEN}": "/socket.io/1/websocket/_GUMEB…?…",
    f"/socket.io/%31/xhr-polling/{SID}/?t=1&token={TOKEN}": "/socket.io/%31/xhr-polling/_GUMEB…/?t=1&…",
    f"/socket.io/1/jsonp-polling/{SID}?t=1&i=0&token={TOKEN}": "/socket.io/1/jsonp-polling/_GUMEB…?t=1&i=0&…",
}


@pytest.mark.parametrize("url", CUT)
@pytest.mark.parametrize("name", ["uvicorn.access", "uvicorn.error", "uvicorn.asgi", "websockets.server", "hypercorn"])
def test_a_programs_own_query_is_in_no_line_of_a_server(url: str, name: str) -> None:
    path, _, query = url.partition("?")
    lines: list[tuple[str, Any, str]] = [
        (
            '%s - "%s %s HTTP/%s" %d',
            ("1.2.3.4:5", "GET", url, "1.1", 200),
            f'1.2.3.4:5 - "GET {CUT[url]} HTTP/1.1" 200',
        ),
        ('%s - "WebSocket %s" [accepted]', ("1.2.3.4:5", url), f'1.2.3.4:5 - "WebSocket {CUT[url]}" [accepted]'),
        ("< GET %s HTTP/1.1", (url,), f"< GET {CUT[url]} HTTP/1.1"),
    ]
    for message, args, expected in lines:
        record = logging.LogRecord(name, logging.INFO, "", 0, message, args, None)
        HideSessions().filter(record)
        if '"' not in url:
            assert record.getMessage() == expected
        assert "secret" not in record.getMessage()
    scope = {"path": path, "query_string": query.encode("latin-1"), "headers": []}
    record = logging.LogRecord(
        name, logging.INFO, "", 0, "%s [%d] Started scope=%s", ("1.2.3.4 - ASGI", 7, scope), None
    )
    HideSessions().filter(record)
    assert "secret" not in record.getMessage()
    assert "'headers': []" in record.getMessage()


def test_the_exceptions_of_a_servers_line_are_quoted_too() -> None:
    try:
        raise ValueError("x\nERROR forged")
    except ValueError as error:
        record = logging.LogRecord("uvicorn.error", 40, "", 0, "Exception in ASGI application", None, (
            type(error), error, error.__traceback__,
        ))  # fmt: skip
    HideSessions().filter(record)
    assert "\nValueError: x\\nERROR forged" in logging.Formatter().format(record)


def test_each_kind_tells_its_own_hundred_apart(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    """A client that fills one kind hides nothing of another."""
    throttle = ThrottledLog()
    for number in range(200):
        throttle.warning("client", "about %d", number, about=str(number))
    caplog.clear()
    for number in range(3):
        throttle.warning("program", "about %d", number, about=str(number))
    assert lines(caplog) == [warning(f"about {number}") for number in range(3)]


def test_an_exception_is_written_a_few_times_for_each_place(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    throttle = ThrottledLog()

    def fail(depth: int, text: str) -> None:
        if depth:
            return fail(depth - 1, text)
        raise ValueError(text) if text else LookupError

    def tell(depth: int, text: str) -> None:
        try:
            fail(depth, text)
        except (ValueError, LookupError) as error:
            throttle.error("raised", "%r", error, error=error, fields={"sid": "x"})

    for number in range(10):
        tell(0, f"direct {number}")
        tell(number + 1, f"deep {number}")  # the same lines, more often
        tell(0, "")
    seen = [f"ValueError('{what} {number}')" for number in range(3) for what in ("direct", "deep")]
    assert sorted(caplog.messages) == sorted([*seen, *["LookupError()"] * 3])
    assert {(record.levelno, getattr(record, "sid", "")) for record in caplog.records} == {(logging.ERROR, "x")}
    assert all(record.exc_info for record in caplog.records)
    caplog.clear()
    time.now += 10
    tell(0, "")
    tell(0, "")
    throttle.error("returned", "without an exception")
    throttle.info("refused", "not seen at WARNING")
    assert caplog.messages == [
        "LookupError() (and 7 more like it in the last 10 s)", "LookupError()", "without an exception",
    ]  # fmt: skip
