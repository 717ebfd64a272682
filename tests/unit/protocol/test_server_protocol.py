"""What only a server says: handshakes, refusals, the last packet of a poll; and what it forgives its clients."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.config import Config
from asocketio.errors import (
    BadRequest,
    Forbidden,
    HandshakeError,
    MalformedPacket,
    MalformedPayload,
    PayloadTooLarge,
    ProtocolError,
    Refused,
    StrayPacket,
    Unavailable,
    UnexpectedPacket,
    UnknownPacket,
    UnknownSession,
    UnsupportedVersion,
)
from asocketio.protocol.base import Body, BodyFormat
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerEngineIO4, ServerProtocol, ServerSocketIO09

ENGINE4 = ServerEngineIO4()
ENGINE3 = ServerEngineIO3()
SOCKET09 = ServerSocketIO09()
PLAIN = BodyFormat()
TEXT = b"text/plain; charset=UTF-8"
SCRIPT = b"text/javascript; charset=UTF-8"


# ---- what a server of each generation does otherwise -----------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (ServerEngineIO4, (False, False, False, False, False, Body(b"ok", b"text/html"))),
        (ServerEngineIO3, (False, False, False, False, True, Body(b"ok", b"text/html"))),
        (ServerSocketIO09, (True, True, True, True, True, Body(b"1", TEXT))),
    ],
)
def test_what_a_server_allows_and_answers(cls: type[ServerProtocol], expected: tuple[Any, ...]) -> None:
    assert (
        cls.refuses_via_jsonp, cls.allows_transport_switch, cls.answers_posts_first, cls.acks_duplicate_connect,
        cls.clients_send_errors, cls.post_answer,
    ) == expected  # fmt: skip


def test_generation_4_forgives_nothing() -> None:
    assert ServerEngineIO4.nonfatal_errors == ()


@pytest.mark.parametrize("protocol", [ENGINE4, ENGINE3], ids=["4", "3"])
@pytest.mark.parametrize("body_format", [PLAIN, BodyFormat(jsonp_index=3)], ids=["plain", "jsonp"])
def test_a_request_of_engineio_that_reaches_no_socket_is_answered_in_json(
    protocol: ServerProtocol, body_format: BodyFormat
) -> None:
    body = protocol.refusal(UnknownSession("x"), body_format, "GET")
    assert body == Body(b'{"code":1,"message":"Session ID unknown"}', b"application/json", 400)


# ---- generation 4 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upgrades", "config", "frame"),
    [
        (
            ["websocket"],
            Config(),
            '0{"sid":"c010ZfL3sZgvs7FSAA-p","upgrades":["websocket"],'
            '"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}',
        ),
        (
            (),
            Config(ping_interval=0.3, ping_timeout=0.2004, max_payload=7),
            '0{"sid":"c010ZfL3sZgvs7FSAA-p","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":7}',
        ),
    ],
)
def test_the_handshake_has_five_keys_and_whole_milliseconds(upgrades: list[str], config: Config, frame: str) -> None:
    assert ENGINE4.handshake("c010ZfL3sZgvs7FSAA-p", config, upgrades) == frame


# ---- generation 3 ----------------------------------------------------------------------------------------------


def test_the_handshake_of_generation_3_has_whole_milliseconds() -> None:
    assert ENGINE3.handshake("QhucT1EfBJRs9q5xAAVy", Config(ping_interval=1, ping_timeout=2.0004), ["websocket"]) == (
        '0{"sid":"QhucT1EfBJRs9q5xAAVy","upgrades":["websocket"],'
        '"pingInterval":1000,"pingTimeout":2000,"maxPayload":1000000}'
    )


def test_clients_may_be_wrong_about_namespaces_and_types_and_nothing_else() -> None:
    forgiven = [
        error
        for error in (StrayPacket, UnknownPacket, MalformedPacket, MalformedPayload, UnexpectedPacket)
        if issubclass(error, ServerEngineIO3.nonfatal_errors)
    ]
    assert forgiven == [StrayPacket, UnknownPacket]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("transport close", PacketType.NOOP),  # the client closes and ends its own poll
        ("ping timeout", PacketType.CLOSE),
        ("server namespace disconnect", PacketType.CLOSE),
    ],
)
def test_a_poll_is_told_how_it_ended(reason: str, kind: PacketType) -> None:
    assert ENGINE3.close_packet(reason) == Packet(kind)


# ---- generation 0.9 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "v3QKlUCfd0AZs5-LSFTE:60:60:websocket,xhr-polling,jsonp-polling"),
        ({"transports": ("websocket",)}, "v3QKlUCfd0AZs5-LSFTE:60:60:websocket"),
        ({"transports": ["polling"]}, "v3QKlUCfd0AZs5-LSFTE:60:60:xhr-polling,jsonp-polling"),
        (
            {"heartbeat_timeout": 0.5, "close_timeout": 86400},
            "v3QKlUCfd0AZs5-LSFTE:0.5:86400:websocket,xhr-polling,jsonp-polling",
        ),
    ],
)
def test_the_handshake_of_09_is_a_line_of_seconds_and_transports(settings: dict[str, Any], line: str) -> None:
    assert SOCKET09.handshake("v3QKlUCfd0AZs5-LSFTE", Config.of(settings), ["websocket"]) == line


def test_the_handshake_of_09_names_its_time_outs_exactly() -> None:
    line = SOCKET09.handshake("sid", Config(heartbeat_timeout=1234567, close_timeout=100.25), [])
    assert line.split(":")[1:3] == ["1234567", "100.25"]


def test_garbage_costs_a_client_the_packet_and_only_too_much_of_it_the_connection() -> None:
    given: list[type[ProtocolError]] = [
        *(MalformedPacket, UnknownPacket, MalformedPayload, UnexpectedPacket, StrayPacket, PayloadTooLarge)
    ]
    assert [error for error in given if not issubclass(error, ServerSocketIO09.nonfatal_errors)] == [PayloadTooLarge]


@pytest.mark.parametrize(
    ("reason", "frame"),
    [
        ("server namespace disconnect", "0::"),
        ("client namespace disconnect", "0::"),
        ("transport close", "0::"),
        ("ping timeout", "7:::1+0"),
        ("server shutting down", "7:::1+0"),
        ("forced close", "7:::1+0"),
    ],
)
def test_a_poll_of_09_is_told_to_stay_away_or_to_come_back(reason: str, frame: str) -> None:
    assert SOCKET09.encode(SOCKET09.close_packet(reason)).frames == (frame,)


@pytest.mark.parametrize(
    ("error", "method", "body", "script"),
    [
        (UnknownSession("x"), "GET", Body(b"7:::1+0", TEXT), Body(b'io.j[3]("7:::1+0");', SCRIPT)),
        (UnknownSession("x"), "POST", Body(b"1", TEXT), Body(b"1", TEXT)),
        (
            Forbidden("x"),
            "GET",
            Body(b"handshake bad origin", TEXT, 403),
            Body(b'io.j[3](new Error("handshake bad origin"));', SCRIPT),
        ),
        (
            Refused("who are \u2028you?"),
            "GET",
            Body("who are \u2028you?".encode(), TEXT, 403),
            Body(b'io.j[3](new Error("who are \\u2028you?"));', SCRIPT),
        ),
        (
            Refused(""),
            "GET",
            Body(b"handshake unauthorized", TEXT, 403),
            Body(b'io.j[3](new Error("handshake unauthorized"));', SCRIPT),
        ),
        (
            Refused('</script>"\\\n'),
            "GET",
            Body(b'</script>"\\\n', TEXT, 403),
            Body(b'io.j[3](new Error("</script>\\"\\\\\\n"));', SCRIPT),
        ),
        (
            UnsupportedVersion("x"),
            "GET",
            Body(b"Protocol version not supported.", TEXT, 500),
            Body(b'io.j[3](new Error("Protocol version not supported."));', SCRIPT),
        ),
        (
            BadRequest("x"),
            "GET",
            Body(b"Bad request", TEXT, 400),
            Body(b'io.j[3](new Error("Bad request"));', SCRIPT),
        ),
    ],
)
def test_a_request_of_09_that_reaches_no_socket_is_answered_in_words_or_by_a_script(
    error: HandshakeError, method: str, body: Body, script: Body
) -> None:
    assert (SOCKET09.refusal(error, PLAIN, method), SOCKET09.refusal(error, BodyFormat(jsonp_index=3), method)) == (
        body,
        script,
    )


def test_a_server_that_takes_no_one_says_so() -> None:
    body = SOCKET09.refusal(Unavailable("x"), PLAIN, "GET")
    assert (body.content, body.kind, body.status >= 500) == (b"handshake error", TEXT, True)
