"""Answers, bounded bodies, and whose pages may connect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from asocketio.asgi.cors import (
    check_fetch_metadata,
    check_jsonp_origin,
    check_origin,
    cors_headers,
    preflight_headers,
    replace_cors,
)
from asocketio.asgi.responses import connection_close_headers, read_body, respond
from asocketio.asgi.types import Headers, Message, Receive, Scope, header
from asocketio.config import Config
from asocketio.errors import BadRequest, Disconnected, Forbidden, PayloadTooLarge


def scope(*headers: tuple[str, str]) -> Scope:
    return {"type": "http", "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]}


def receiving(*messages: Message) -> Receive:
    waiting = list(messages)

    async def receive() -> Message:
        return waiting.pop(0)

    return receive


def chunk(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


# ---- headers and answers ---------------------------------------------------------------------------------------


def test_a_header_is_its_last_value_or_empty() -> None:
    seen = scope(("host", "first"), ("x-a", "é"), ("host", "last"))
    assert [header(seen, name) for name in (b"host", b"x-a", b"origin", b"HOST")] == ["last", "é", "", ""]


async def test_an_answer_is_a_whole_response() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await respond(send, 400, "é".encode(), [(b"content-type", b"text/plain; charset=UTF-8")])
    await respond(send, 204, b"")
    assert sent == [
        {
            "type": "http.response.start",
            "status": 400,
            "headers": [(b"content-type", b"text/plain; charset=UTF-8"), (b"content-length", b"2")],
        },
        {"type": "http.response.body", "body": b"\xc3\xa9"},
        {"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]},
        {"type": "http.response.body", "body": b""},
    ]


# ---- bodies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ([chunk(b"whole")], b"whole"),
        ([chunk(b"in ", True), chunk(b"", True), chunk(b"parts")], b"in parts"),
        ([chunk(b"a", True), {"type": "http.request"}], b"a"),
        ([{"type": "http.request"}], b""),
        ([chunk(b"x" * 10)], b"x" * 10),
    ],
)
async def test_a_body_is_all_of_its_parts(messages: list[Message], body: bytes) -> None:
    assert await read_body(scope(), receiving(*messages), 10) == body


@pytest.mark.parametrize("announced", ["10", "0", "", "x", "-1", "1e9", "²", "00000000000000000000000000009"])
async def test_an_announced_length_within_the_limit_or_unreadable_is_no_reason(announced: str) -> None:
    assert await read_body(scope(("content-length", announced)), receiving(chunk(b"body")), 10) == b"body"


@pytest.mark.parametrize("announced", ["11", "1000000", "9" * 5000])
async def test_a_body_announced_too_large_is_refused_unread(announced: str) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        await read_body(scope(("content-length", announced)), receiving(), 10)
    assert str(caught.value) == f"a body of {announced[:18]} bytes, at most 10 are taken (max_payload)"


async def test_a_body_that_grows_too_large_is_refused_while_it_arrives() -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        await read_body(scope(("content-length", "10")), receiving(chunk(b"x" * 10, True), chunk(b"x", True)), 10)
    assert str(caught.value) == "a body of over 10 bytes (max_payload)"


@pytest.mark.parametrize("before", [[], [chunk(b"half", True)]])
async def test_a_peer_that_leaves_in_the_middle_is_disconnected(before: list[Message]) -> None:
    with pytest.raises(Disconnected) as caught:
        await read_body(scope(), receiving(*before, {"type": "http.disconnect"}), 10)
    assert caught.value.reason == "transport error"


# ---- origins ---------------------------------------------------------------------------------------------------

ELSEWHERE = "https://elsewhere.example"


def asking(origin: str, host: str = "chat.example", *more: tuple[str, str]) -> Scope:
    return scope(("host", host), ("origin", origin), *more)


@pytest.mark.parametrize("allowed", [None, "*", [ELSEWHERE]])
@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://chat.example", "chat.example"),
        ("http://chat.example", "chat.example"),
        ("HTTPS://Chat.Example", "chat.example"),
        ("https://chat.example", "CHAT.example"),
        ("https://chat.example:443", "chat.example"),
        ("https://chat.example", "chat.example:443"),
        ("http://chat.example:80", "chat.example:80"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("ws://chat.example", "chat.example:80"),
        ("https://chat.example/", "chat.example"),  # React Native, SocketRocket
        ("wss://chat.example:443/socket.io/", "chat.example"),
        ("https://chat.example:", "chat.example"),
        ("", "chat.example"),
        ("127.0.0.1:8000", "127.0.0.1:8000"),  # websocket clients in Node, at the time of 0.9
    ],
)
def test_the_same_site_and_programs_may_always_connect(origin: str, host: str, allowed: Any) -> None:
    assert check_origin(asking(origin, host), Config(cors_allowed_origins=allowed)) is None


def test_programs_send_no_origin() -> None:
    assert check_origin(scope(("host", "chat.example")), Config()) is None


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("*", ELSEWHERE),
        ("*", "null"),
        (["*"], ELSEWHERE),
        ([ELSEWHERE], ELSEWHERE),
        (("https://a.example", ELSEWHERE), ELSEWHERE),
        (["null"], "null"),
    ],
)
def test_an_allowed_origin_may_connect(allowed: Any, origin: str) -> None:
    assert check_origin(asking(origin), Config(cors_allowed_origins=allowed)) == origin


@pytest.mark.parametrize(
    "origin",
    [
        *(ELSEWHERE, "null", "chat.example.evil", "https://", "://chat.example:80", "https://chat.example:8443"),
        *("http://chat.example:443", "https://chat.example.evil", "https://evil-chat.example"),
    ],
)
@pytest.mark.parametrize("allowed", [None, [], ["https://a.example", "http://elsewhere.example"]])
def test_any_other_origin_is_refused(allowed: Sequence[str] | None, origin: str) -> None:
    with pytest.raises(Forbidden) as caught:
        check_origin(asking(origin), Config(cors_allowed_origins=allowed))
    assert str(caught.value) == (
        f"refused a page of another origin: Origin is {origin!r}, Host is 'chat.example'. To allow it write "
        f"SocketIOApp(..., cors_allowed_origins=[{origin!r}]); if both are your own site, "
        "a proxy changes Host: let it pass the original one on"
    )


@pytest.mark.parametrize("host", ["null", "NULL", ""])
def test_null_is_another_site_whatever_host_says(host: str) -> None:
    with pytest.raises(Forbidden):
        check_origin(asking("null", host), Config())
    assert check_origin(asking("null", host), Config(cors_allowed_origins=["null"])) == "null"


def test_a_page_that_tells_nothing_is_not_the_same_site_where_there_is_no_host() -> None:
    with pytest.raises(Forbidden):
        check_jsonp_origin(scope(), Config())


@pytest.mark.parametrize("name", ["host", "origin", "referer", "sec-fetch-site"])
@pytest.mark.parametrize("second", ["https://chat.example", ELSEWHERE, ""])
def test_two_fields_of_which_there_can_be_one_are_refused(name: str, second: str) -> None:
    for pair in ((ELSEWHERE, second), (second, ELSEWHERE)):
        with pytest.raises(BadRequest):
            check_origin(scope(*((name, value) for value in pair)), Config(cors_allowed_origins="*"))


def test_other_fields_may_come_twice() -> None:
    assert check_origin(scope(("host", "a"), ("cookie", "b"), ("cookie", "c"), ("x", ""), ("x", "")), Config()) is None


def test_an_origin_cannot_forge_lines_of_the_log_nor_flood_it() -> None:
    with pytest.raises(Forbidden) as caught:
        check_origin(asking("https://a\n" + "b" * 10_000, "c" * 10_000), Config())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


# ---- CORS ------------------------------------------------------------------------------------------------------

OF_ELSEWHERE: Headers = [
    (b"access-control-allow-origin", b"https://elsewhere.example"),
    (b"access-control-allow-credentials", b"true"),
    (b"vary", b"Origin"),
]
OF_ALL: Headers = [(b"access-control-allow-origin", b"*")]
METHODS = (b"access-control-allow-methods", b"GET, POST, OPTIONS")


@pytest.mark.parametrize(
    ("allowed", "origin", "headers"),
    [
        (None, None, []),
        (None, ELSEWHERE, []),
        ("*", None, []),
        ([ELSEWHERE], None, []),
        ("*", ELSEWHERE, OF_ALL),
        (["https://a.example", "*"], ELSEWHERE, OF_ALL),
        ([ELSEWHERE], ELSEWHERE, OF_ELSEWHERE),
    ],
)
def test_an_allowed_page_may_read_the_answer(allowed: Any, origin: str | None, headers: Headers) -> None:
    assert cors_headers(origin, Config(cors_allowed_origins=allowed)) == headers


@pytest.mark.parametrize(
    ("asked", "allowed", "answered"),
    [
        ("", None, None),
        ("X-Token", None, b"X-Token"),
        ("content-type,x-token , X-B", None, b"content-type, x-token, X-B"),
        ("a b, x-good, é, x:y, (z), x-fine\r\n", None, b"x-good, x-fine"),
        ("a b,,", None, None),
        ("X-Token, x-other", ["x-token", "x-more"], b"X-Token"),
        ("x-token", ["X-TOKEN"], b"x-token"),
        ("x-other", ["x-token"], None),
        ("x-token", [], None),
    ],
)
def test_a_preflight_is_told_the_headers_it_may_send(
    asked: str, allowed: Sequence[str] | None, answered: bytes | None
) -> None:
    config = Config(cors_allowed_origins=[ELSEWHERE], cors_allowed_headers=allowed)
    request = asking(ELSEWHERE, "chat.example", ("access-control-request-headers", asked))
    told = [] if answered is None else [(b"access-control-allow-headers", answered)]
    assert preflight_headers(request, ELSEWHERE, config) == [*OF_ELSEWHERE, METHODS, *told]


def test_a_preflight_may_ask_in_several_lines() -> None:
    config = Config(cors_allowed_origins=[ELSEWHERE])
    lines = [("access-control-request-headers", "x-a, x-b"), ("access-control-request-headers", "x-c")]
    told = (b"access-control-allow-headers", b"x-a, x-b, x-c")
    assert preflight_headers(asking(ELSEWHERE, "chat.example", *lines), ELSEWHERE, config) == [
        *OF_ELSEWHERE, METHODS, told,
    ]  # fmt: skip


def test_a_preflight_of_the_same_site_is_told_nothing() -> None:
    request = asking("https://chat.example", "chat.example", ("access-control-request-headers", "x-token"))
    assert preflight_headers(request, None, Config(cors_allowed_origins="*")) == []


def test_cors_headers_of_a_framework_are_replaced_by_ours() -> None:
    theirs = [
        (b"content-type", b"text/html"),
        (b"Access-Control-Allow-Origin", b"https://theirs.example"),
        (b"access-control-max-age", b"600"),
        (b"vary", b"Cookie"),
    ]
    assert replace_cors(theirs, OF_ALL) == [(b"content-type", b"text/html"), (b"vary", b"Cookie"), *OF_ALL]
    assert replace_cors(theirs, []) == [(b"content-type", b"text/html"), (b"vary", b"Cookie")]


@pytest.mark.parametrize(
    ("site", "origins", "refused"),
    [
        ("cross-site", None, True),
        ("same-site", None, True),
        ("cross-site", ["https://other.example"], True),
        ("cross-site", "*", False),
        ("same-origin", None, False),
        ("none", None, False),
        ("", None, False),
    ],
)
def test_an_image_of_another_site_opens_no_session(site: str, origins: Any, refused: bool) -> None:
    config = Config(cors_allowed_origins=origins)
    if refused:
        with pytest.raises(Forbidden):
            check_fetch_metadata(scope(("host", "example.com"), ("sec-fetch-site", site)), config)
    else:
        check_fetch_metadata(scope(("host", "example.com"), ("sec-fetch-site", site)), config)
    check_fetch_metadata(scope(("origin", "https://seen.to"), ("sec-fetch-site", site)), config)


# ---- the last answer of a connection ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_last_answer_of_a_connection_says_so(version: str) -> None:
    assert connection_close_headers({"type": "http", "http_version": version}) == [(b"connection", b"close")]


@pytest.mark.parametrize(
    "seen", [{"type": "http", "http_version": "2"}, {"type": "http"}, {"type": "websocket", "http_version": "1.1"}]
)
def test_where_a_connection_is_not_an_answers_business_it_says_nothing(seen: Scope) -> None:
    assert connection_close_headers(seen) == []
