"""The exceptions: whose fault each says it is, and what clients get to see of it."""

from __future__ import annotations

import pickle

import pytest

from asocketio import errors
from asocketio.errors import (
    AckTimeout,
    BadMethod,
    BadRequest,
    ConnectionRefused,
    Disconnected,
    Forbidden,
    HandshakeError,
    MalformedPacket,
    MalformedPayload,
    Overflow,
    PayloadTooLarge,
    ProtocolError,
    SocketIOError,
    Unavailable,
    UnexpectedPacket,
    UnknownSession,
    UnknownTransport,
    UnsupportedVersion,
    UsageError,
)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_exception_is_a_socketio_error(name: str) -> None:
    assert issubclass(getattr(errors, name), SocketIOError)


def test_all_exceptions_are_public() -> None:
    defined = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert sorted(defined) == errors.__all__


@pytest.mark.parametrize("error", [ProtocolError, MalformedPacket, MalformedPayload, UnexpectedPacket, PayloadTooLarge])
def test_a_broken_rule_of_the_protocol_has_an_http_status(error: type[ProtocolError]) -> None:
    assert issubclass(error, ProtocolError)
    assert error.status == (413 if error is PayloadTooLarge else 400)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (HandshakeError, (400, 3, "Bad request")),
        (UnknownTransport, (400, 0, "Transport unknown")),
        (UnknownSession, (400, 1, "Session ID unknown")),
        (BadMethod, (400, 2, "Bad handshake method")),
        (BadRequest, (400, 3, "Bad request")),
        (Forbidden, (403, 4, "Forbidden")),
        (UnsupportedVersion, (400, 5, "Unsupported protocol version")),
        (Unavailable, (503, 4, "Service unavailable")),
    ],
)
def test_a_refused_request_is_answered_as_engineio_spells_it(
    error: type[HandshakeError], answer: tuple[int, int, str]
) -> None:
    assert issubclass(error, HandshakeError)
    assert (error.status, error.code, error.message) == answer
    assert (str(error("for the log")), error("for the log").message) == ("for the log", answer[2])


def test_a_refusal_carries_its_message_and_data() -> None:
    plain, full = ConnectionRefused(), ConnectionRefused("who are you?", {"code": 401})
    assert (str(plain), plain.message, plain.data) == ("Connection refused", "Connection refused", None)
    assert (str(full), full.message, full.data) == ("who are you?", "who are you?", {"code": 401})


def test_a_disconnect_tells_its_reason() -> None:
    error = Disconnected("ping timeout")
    assert (str(error), error.reason) == ("the client is disconnected: ping timeout", "ping timeout")


def test_an_ack_timeout_is_a_timeout_and_keeps_the_other_answers() -> None:
    alone, several = AckTimeout("no answer"), AckTimeout("no answer", [1, 2])
    assert isinstance(alone, TimeoutError)
    assert (str(alone), alone.answers, several.answers) == ("no answer", [], [1, 2])


def test_ack_timeouts_share_no_answers() -> None:
    first, second = AckTimeout("1"), AckTimeout("2")
    first.answers.append("late")
    assert second.answers == []


def test_an_overflow_tells_its_side() -> None:
    error = Overflow("too slow", "out")
    assert (str(error), error.side) == ("too slow", "out")


@pytest.mark.parametrize(
    "error",
    [
        MalformedPacket("x"),
        UsageError("x"),
        ConnectionRefused("x", {"a": 1}),
        AckTimeout("x", [1]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_survives_its_way_to_another_process(error: SocketIOError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
