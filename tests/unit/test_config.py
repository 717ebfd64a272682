"""Settings: their defaults, and the sentence that a wrong one is answered with."""

from __future__ import annotations

import ast
import re
from dataclasses import FrozenInstanceError, asdict, fields
from typing import Any

import pytest

from asocketio.config import Config
from asocketio.errors import UsageError

DURATIONS = [
    *("ping_interval", "ping_timeout", "heartbeat_interval", "heartbeat_timeout", "close_timeout", "polling_duration"),
    *("connect_timeout", "upgrade_timeout", "send_timeout", "close_grace"),
]
COUNTS = [
    *(
        "max_payload",
        "max_head",
        "max_attachments",
        "max_backlog",
        "max_backlog_packets",
        "max_outbox",
        "max_pending_acks",
        "recovery_events",
        "recovery_bytes",
        "max_publish_queue",
    ),
    "concurrency",
]


def test_defaults_are_those_of_node_where_it_has_them() -> None:
    assert asdict(Config()) == {
        "ping_interval": 25.0,
        "ping_timeout": 20.0,
        "heartbeat_interval": 25.0,
        "heartbeat_timeout": 60.0,
        "close_timeout": 60.0,
        "polling_duration": 20.0,
        "connect_timeout": 45.0,
        "upgrade_timeout": 10.0,
        "max_payload": 1_000_000,
        "max_head": 20_000,
        "max_attachments": 10,
        "max_attachment_bytes": 3_000_000,
        "max_backlog": 1_000_000,
        "max_backlog_packets": 1000,
        "max_outbox": 4_000_000,
        "max_pending_acks": 1000,
        "max_rooms": 10_000,
        "max_room_bytes": 6_000_000,
        "max_namespaces": 100,
        "max_sessions": 100_000,
        "recovery": None,
        "recovery_events": 10_000,
        "recovery_bytes": 16_000_000,
        "max_publish_queue": 16_000_000,
        "max_sessions_per_address": None,
        "rate_limits": None,
        "send_timeout": 30.0,
        "close_grace": 5.0,
        "close_window": 1.0,
        "transports": ("polling", "websocket"),
        "generations": ("0.9", 3, 4),
        "concurrency": 1,
        "cors_allowed_origins": None,
        "cors_allowed_headers": None,
        "http_compression": None,
        "polls": "server",
        "subprotocols": None,
        "cookie": None,
        "pin": None,
        "on_exception": None,
        "on_cluster_change": None,
        "middleware": (),
        "metrics": None,
        "workers": None,
        "worker": None,
    }


def test_settings_are_taken_by_name() -> None:
    settings: dict[str, Any] = {
        "ping_interval": 1,
        "ping_timeout": 0.5,
        "max_payload": 7,
        "transports": ["websocket"],
        "cors_allowed_origins": ["https://example.com", "http://localhost:5173", "null"],
        "cors_allowed_headers": ["x-token"],
        "cookie": "io",
    }
    assert asdict(Config.of(settings)) == {**asdict(Config()), **settings}


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().ping_interval = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [0, -1, -0.5, float("inf"), float("nan"), True, "25", None, 1j])
def test_a_duration_is_a_number_of_seconds_above_0(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({name: value})
    example = 60.0 if name == "close_timeout" else 25.0  # more than heartbeat_interval and polling_duration
    assert str(caught.value) == f"{name}={value!r}: expected a number of seconds above 0, for example {name}={example}"


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, float("inf"), True, "1000", None])
def test_a_limit_is_a_whole_number_above_0(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({name: value})
    assert str(caught.value) == f"{name}={value!r}: expected a whole number above 0, for example {name}=1000"


@pytest.mark.parametrize("name", [*DURATIONS, *COUNTS])
def test_the_smallest_whole_number_is_enough_for_each(name: str) -> None:
    shorter = {} if name in COUNTS else {"heartbeat_interval": 0.5, "polling_duration": 0.5}
    assert getattr(Config.of({**shorter, name: 1}), name) == 1


@pytest.mark.parametrize("value", [("polling",), ["websocket", "polling"], {"websocket"}])
def test_transports_are_one_or_both(value: Any) -> None:
    assert Config.of({"transports": value}).transports == value


@pytest.mark.parametrize(
    "value",
    [
        "polling", (), [], ["flashsocket"], ("polling", "webtransport"), None, [1],
        5,
        [[]],
    ],
)  # fmt: skip
def test_other_transports_are_refused(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"transports": value})
    assert str(caught.value) == (
        f"transports={value!r}: expected one or both of ('polling', 'websocket'), for example transports=('websocket',)"
    )


@pytest.mark.parametrize("value", [("0.9", 3, 4), [4], {3, "0.9"}])
def test_generations_are_some_of_three(value: Any) -> None:
    assert Config.of({"generations": value}).generations == value


@pytest.mark.parametrize("value", [(), 4, "0.9", None, [5], [0.9], [3.0], ["3"], [True], [[]]])
def test_other_generations_are_refused(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"generations": value})
    assert str(caught.value) == (f"generations={value!r}: expected some of ('0.9', 3, 4), for example generations=(4,)")


@pytest.mark.parametrize("name", ["heartbeat_interval", "polling_duration"])
def test_clients_of_09_hear_something_before_they_give_up(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({name: 30, "close_timeout": 30})
    assert str(caught.value) == (
        f"{name}=30: 0.9 clients leave when they hear nothing for close_timeout=30, so it must be less than that"
    )


@pytest.mark.parametrize(
    "value", [None, "*", ["*"], ["null"], [], ("https://a.example", "http://[::1]:5173"), {"app://localhost"}]
)
def test_origins_are_a_list_or_all(value: Any) -> None:
    assert Config.of({"cors_allowed_origins": value}).cors_allowed_origins == value


@pytest.mark.parametrize("value", ["", 7, b"shop"])
def test_workers_have_a_name_in_common(value: Any) -> None:
    with pytest.raises(UsageError, match="expected a name that the processes of one server share"):
        Config.of({"workers": value})


@pytest.mark.parametrize("value", ["", "wk0", "wk000", "wk/0", "wké0", 7, b"wk00"])
def test_a_worker_has_a_name_of_four_characters(value: Any) -> None:
    with pytest.raises(UsageError, match="expected four letters, digits"):
        Config.of({"worker": value})


EXAMPLE = "for example ['https://example.com'], or '*' for all"


@pytest.mark.parametrize("value", ["https://example.com", "", b"https://example.com", 5, True])
def test_origins_that_are_no_list_are_refused(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"cors_allowed_origins": value})
    assert str(caught.value) == f"cors_allowed_origins={value!r}: expected a list, {EXAMPLE}"


@pytest.mark.parametrize(
    "origin",
    ["", " ", "**", "*.example.com", "https://*.*.example.com", "https://*.example.com/chat", "https://a:80*", "*://a",
     5, b"https://example.com"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(origin: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"cors_allowed_origins": ["https://a.example", origin]})
    assert str(caught.value) == (
        f"cors_allowed_origins has {origin!r}: an origin is scheme://host[:port] without a path, {EXAMPLE}"
    )


CLIENTS_SEND = [
    "file://", "https://example.com/", "https://example.com:443", "HTTPS://Example.COM", "null", "app://.",
    "example.com", "chrome-extension://abcdefghijklmnop", "capacitor://localhost", "wss://example.com", "https://example.com/chat",
    "http://[::1]:5173", "localhost:3000", "https://", "an application",
]  # fmt: skip


@pytest.mark.parametrize("origin", CLIENTS_SEND)
def test_whatever_a_client_sends_is_an_origin(origin: str) -> None:
    assert Config.of({"cors_allowed_origins": [origin]}).cors_allowed_origins == [origin]


@pytest.mark.parametrize(
    "pattern",
    ["https://*.example.com", "HTTPS://*.Example.com/", "http://localhost:*", "https://*.example.com:8443", "https://*",
     "https://pr-*.example.com", "https://app-*-team.example.com", "chrome-extension://*", "http://*.localhost:*"],
)  # fmt: skip
def test_origins_may_be_patterns(pattern: str) -> None:
    assert Config.of({"cors_allowed_origins": [pattern]}).cors_allowed_origins == [pattern]


@pytest.mark.parametrize(
    "pattern",
    ["https://*example.com", "https://example.*", "https://*-example.com", "https://pr-*.com", "https://a*", "https://*."],
)  # fmt: skip
def test_a_pattern_that_matches_domains_of_others_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"cors_allowed_origins": [pattern]})
    assert str(caught.value) == (
        f"cors_allowed_origins has {pattern!r}, which matches domains of others: the * stands for the labels before "
        "a domain, for example 'https://*.example.com'"
    )


def test_a_plain_function_may_decide_on_origins() -> None:
    def allowed(origin: str, scope: Any) -> bool:
        return True

    class Allowed:
        def __call__(self, origin: str, scope: Any) -> bool:
            return True

    for each in (allowed, Allowed(), lambda origin, scope: True):
        assert Config.of({"cors_allowed_origins": each}).cors_allowed_origins is each


def test_a_coroutine_function_decides_on_no_origins() -> None:
    async def allowed(origin: str, scope: Any) -> bool:
        return True

    class Allowed:
        async def __call__(self, origin: str, scope: Any) -> bool:
            return True

    for each in (allowed, Allowed()):
        with pytest.raises(UsageError) as caught:
            Config.of({"cors_allowed_origins": each})
        assert str(caught.value) == (
            f"cors_allowed_origins={each!r}: expected a plain function (origin, scope) -> bool"
        )


@pytest.mark.parametrize("origin", ["https://example.com:80", "http://example.com:443", "http://example.com:8080"])
def test_an_origin_may_have_an_unusual_port(origin: str) -> None:
    assert Config.of({"cors_allowed_origins": [origin]}).cors_allowed_origins == [origin]


@pytest.mark.parametrize(
    "value",
    [
        "x-token",
        "",
        b"x-token",
        5,
        [5],
    ],
)
def test_allowed_headers_are_a_list(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"cors_allowed_headers": value})
    assert str(caught.value) == f"cors_allowed_headers={value!r}: expected a list, for example ['x-token']"


@pytest.mark.parametrize("value", ["chat", b"chat", 5, [5], ["a b"], [""], ["a,b"], ["é"]])
def test_subprotocols_are_a_list_of_names(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"subprotocols": value})
    assert str(caught.value) == (
        f"subprotocols={value!r}: expected a list of plain names, for example ['chat.v2', 'chat.v1']"
    )
    Config.of({"subprotocols": ("chat.v2", "chat.v1")})


def test_a_coroutine_function_chooses_no_subprotocol() -> None:
    async def choose(offered: Any, scope: Any) -> None: ...

    with pytest.raises(UsageError, match="expected a plain function"):
        Config.of({"subprotocols": choose})
    Config.of({"subprotocols": lambda offered, scope: offered[0]})


@pytest.mark.parametrize("value", ["", "a b", "a;b", "a=b", "io\n", 5, True])
def test_a_cookie_has_a_plain_name(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"cookie": value})
    assert str(caught.value) == f"cookie={value!r}: expected a plain name such as 'io', or None"


def test_a_misspelled_setting_gets_a_hint() -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"ping_intervall": 1})
    assert str(caught.value) == "SocketIOApp has no setting 'ping_intervall': did you mean ping_interval?"


@pytest.mark.parametrize(("theirs", "ours"), [("resource", "path"), ("max_http_buffer_size", "max_payload")])
def test_a_setting_of_another_server_is_recognised(theirs: str, ours: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({theirs: 1})
    assert str(caught.value) == f"SocketIOApp has no setting {theirs!r}: did you mean {ours}?"


def test_a_setting_like_no_other_gets_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"zzz": 1})
    names = ", ".join(["namespaces", "path", "parsers", "parser", *asdict(Config())])
    assert str(caught.value) == f"SocketIOApp has no setting 'zzz': there are {names}"


EXAMPLES = re.compile(
    r"(?:for example |expected |, or )(?:(\w+)=(.+)|(\{.*?\}|\[.*?\]|'[^']*'|[0-9][0-9.]*|None)(?:,|$| for| with))"
)


@pytest.mark.parametrize("name", [field.name for field in fields(Config)])
def test_what_the_error_of_a_setting_proposes_is_taken(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({name: object()})
    found = EXAMPLES.findall(str(caught.value))
    assert found or name in (
        "metrics",
        "middleware",
        "on_exception",
        "on_cluster_change",
    )  # which are objects of the program
    for setting, named, value in found:
        assert setting in ("", name)
        more = {"cookie": "io"} if name == "pin" else {}
        Config.of({name: ast.literal_eval(named or value), **more})
