"""A call's scope and messages as frames."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.workers.events import (
    BODY,
    EVENT,
    LAST_BODY,
    OPEN,
    TEXT,
    Forwarded,
    MalformedFrame,
    decode,
    decode_opening,
    encode,
    encode_opening,
)  # fmt: skip
from asocketio.workers.link import Frame

SCOPE = {
    "type": "http", "method": "GET", "path": "/größe/socket.io/", "root_path": "/größe", "scheme": "https",
    "http_version": "1.1", "query_string": b"sid=a&x=\xff", "headers": [(b"host", b"x"), (b"cookie", b"a=\xe9")],
    "client": ("192.0.2.1", 5), "server": None, "extensions": {"websocket.http.response": {}, "private": object()},
    "state": object(), "asocketio": object(),
}  # fmt: skip


def test_plain_fields_of_a_scope_pass_and_nothing_else() -> None:
    answer = [(b"vary", b"Origin")]
    there = decode_opening(encode_opening(Forwarded("abcd", SCOPE, "/", answer)))
    plain = {field: value for field, value in SCOPE.items() if field not in ("state", "asocketio", "extensions")}
    expected = {**plain, "client": ["192.0.2.1", 5], "extensions": {"websocket.http.response": {}}}
    assert there == Forwarded("abcd", expected, "/", answer)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send", "text": "é😀\ud800"},
        {"type": "websocket.send", "bytes": b"\0\xff"},
        {"type": "http.response.start", "status": 200, "headers": [(b"x", b"\xff")]},
        {"type": "http.response.body", "body": b"\xff", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": False},
        {"type": "websocket.accept", "headers": [], "subprotocol": "chat"},
        {"type": "websocket.close", "code": 1000, "reason": "é"},
        {"type": "websocket.disconnect", "code": 1006},
        {"type": "http.disconnect"},
        {"type": "websocket.http.response.start", "status": 400, "headers": [(b"a", b"b")]},
        {"type": "websocket.http.response.body", "body": b"\xff", "more_body": False},
    ],
)
def test_messages_come_out_as_they_went_in(message: Any) -> None:
    assert decode(encode(message), "websocket.send", "http.response.body") == message


def test_what_a_server_leaves_out() -> None:
    assert encode({"type": "websocket.receive", "text": None, "bytes": b"x"}).payload == b"x"
    assert encode({"type": "http.request"}) == Frame(LAST_BODY, b"")
    assert decode(Frame(BODY, b"x"), "", "http.request") == {"type": "http.request", "body": b"x", "more_body": True}


@pytest.mark.parametrize(
    "frame",
    [
        Frame(OPEN, b""), Frame(OPEN, b"[]"), Frame(OPEN, b"{}"), Frame(OPEN, b"[" * 100_000), Frame(OPEN, b"\xff"),
        Frame(EVENT, b"{}"),
        Frame(OPEN, b'{"sid":"","below":"","answer":[],"query_string":7,"headers":[],"extensions":[],"type":"http"}'),
        Frame(OPEN, b'{"sid":"","below":"","answer":[[1]],"query_string":"","headers":[],"extensions":[]}'),
        Frame(
            OPEN,
            b'{"sid":"","below":"","answer":[],"query_string":"","headers":[],"extensions":[],"type":"x","path":""}',
        ),
    ],
)  # fmt: skip
def test_a_request_that_is_none(frame: Frame) -> None:
    with pytest.raises(MalformedFrame):
        decode_opening(frame)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(0, b""), Frame(99, b""), Frame(TEXT, b"\xff"), Frame(EVENT, b""), Frame(EVENT, b"7"), Frame(EVENT, b"{}"),
        Frame(EVENT, b'{"type":"x","headers":7}'), Frame(EVENT, b'{"type":"x","headers":[["\\u0100",""]]}'),
        Frame(EVENT, b'{"type":"x","body":7}'),
    ],
)  # fmt: skip
def test_a_message_that_is_none(frame: Frame) -> None:
    with pytest.raises(MalformedFrame):
        decode(frame, "websocket.send", "http.response.body")
