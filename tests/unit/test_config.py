"""Settings: their defaults, and the sentence that a wrong one is answered with."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
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
        "cookie": None,
        "pin": None,
        "on_exception": None,
        "metrics": None,
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
    assert str(caught.value) == f"{name}={value!r}: expected a number of seconds above 0, for example {name}=25.0"


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


EXAMPLE = "for example ['https://example.com'], or '*' for all"


@pytest.mark.parametrize("value", ["https://example.com", "", b"https://example.com", 5, True])
def test_origins_that_are_no_list_are_refused(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"cors_allowed_origins": value})
    assert str(caught.value) == f"cors_allowed_origins={value!r}: expected a list, {EXAMPLE}"


@pytest.mark.parametrize(
    "origin",
    [
        "example.com", "https://", "://example.com", "https://example.com/", "https://example.com/chat", "", "**", 5,
        b"https://example.com",
    ],
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused(origin: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"cors_allowed_origins": ["https://a.example", origin]})
    assert str(caught.value) == (
        f"cors_allowed_origins has {origin!r}: an origin is scheme://host[:port] without a path, {EXAMPLE}"
    )


@pytest.mark.parametrize(
    "origin",
    ["https://Example.com", "HTTPS://example.com", "https://example.com:443", "http://example.com:80"],
)
def test_an_origin_that_browsers_spell_otherwise_is_refused(origin: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.of({"cors_allowed_origins": [origin]})
    assert str(caught.value) == (
        f"cors_allowed_origins has {origin!r}: browsers send origins in lower case and without the usual port"
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
    names = ", ".join(["namespaces", "path", *asdict(Config())])
    assert str(caught.value) == f"SocketIOApp has no setting 'zzz': there are {names}"
