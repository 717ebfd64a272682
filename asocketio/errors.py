"""Every exception of the package.

::

    SocketIOError
    ├─ ProtocolError          the peer broke the rules: its connection ends
    │   ├─ MalformedPacket    a packet that cannot be read
    │   │   └─ UnknownPacket  its type is not known
    │   ├─ MalformedPayload   a polling body that cannot be read
    │   ├─ PayloadTooLarge    more bytes than ``max_payload``
    │   └─ UnexpectedPacket   readable, but not allowed now
    │       └─ StrayPacket    for a namespace that the client is not in
    ├─ HandshakeError         refused before there is a socket
    │   ├─ UnknownTransport · UnknownSession · BadMethod · BadRequest
    │   └─ Forbidden · Refused · UnsupportedVersion · Unavailable
    ├─ ConnectionRefused      raise it in ``recv_connect``
    ├─ EventRefused           an event that has no handler, or may not have it
    ├─ Disconnected           what sending, or awaiting an ack, meets after the end
    ├─ AckTimeout             also a ``TimeoutError``
    ├─ Overflow               a client that floods, or does not keep up
    ├─ MalformedMessage       what comes on a cluster's bus and is no message of another server
    ├─ BusDown                the bus of a cluster cannot be reached
    └─ UsageError             a mistake of the program that uses this package
        └─ CannotCarry        a value that this client's generation knows no form of
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AckTimeout",
    "BadMethod",
    "BadRequest",
    "BusDown",
    "CannotCarry",
    "ConnectionRefused",
    "Disconnected",
    "EventRefused",
    "Forbidden",
    "HandshakeError",
    "HeadTooLarge",
    "MalformedMessage",
    "MalformedPacket",
    "MalformedPayload",
    "Overflow",
    "PayloadTooLarge",
    "ProtocolError",
    "Refused",
    "SocketIOError",
    "StrayPacket",
    "Unavailable",
    "UnexpectedPacket",
    "UnknownPacket",
    "UnknownSession",
    "UnknownTransport",
    "UnsupportedVersion",
    "UsageError",
]


class SocketIOError(Exception):
    """The root of all exceptions of this package."""


class ProtocolError(SocketIOError):
    """The peer broke the rules of the protocol; its connection ends, nobody else's.

    ``status`` is the HTTP status of the answer when it happened in a request; ``limit`` is the setting that was
    exceeded, if one was.
    """

    status: ClassVar[int] = 400

    def __init__(self, message: str = "", limit: str = "") -> None:
        super().__init__(message)
        self.limit = limit


class MalformedPacket(ProtocolError):
    """A packet that cannot be read."""


class UnknownPacket(MalformedPacket):
    """A packet of a type that the protocol does not have."""


class MalformedPayload(ProtocolError):
    """A polling body that cannot be split into packets."""


class PayloadTooLarge(ProtocolError):
    """More bytes than ``max_payload`` in one request or message."""

    status: ClassVar[int] = 413
    rest = True
    """More of it may still come."""


class UnexpectedPacket(ProtocolError):
    """A readable packet at a moment when the protocol does not allow it."""


class StrayPacket(UnexpectedPacket):
    """A packet for a namespace that the client is not in."""


class HandshakeError(SocketIOError):
    """A request refused before it reached a socket.

    ``status``, ``code`` and ``message`` are what Engine.IO clients know
    (Engine.IO protocol, "Handshake"); ``str(error)`` is for the log.
    """

    status: ClassVar[int] = 400
    code: ClassVar[int] = 3
    message: ClassVar[str] = "Bad request"
    retry_after: ClassVar[int | None] = None
    """Seconds after which it may be tried again: the header ``Retry-After``."""
    refused: str = ""
    """What a program's own refusal says, where the client can be told."""


class UnknownTransport(HandshakeError):
    """``transport=`` is missing, unknown or switched off."""

    code = 0
    message = "Transport unknown"


class UnknownSession(HandshakeError):
    """No living session has this sid, or it belongs to another generation."""

    code = 1
    message = "Session ID unknown"


class BadMethod(HandshakeError):
    """A handshake that is not a GET."""

    code = 2
    message = "Bad handshake method"


class BadRequest(HandshakeError):
    """The request does not fit the session or the transport."""


class HeadTooLarge(HandshakeError):
    """A request whose URL and header fields are more than ``max_head``."""

    status = 431
    message = "Request header fields too large"


class Forbidden(HandshakeError):
    """The origin of the page is not allowed."""

    status = 403
    code = 4
    message = "Forbidden"


class UnsupportedVersion(HandshakeError):
    """``EIO=`` is missing, unknown or switched off."""

    code = 5
    message = "Unsupported protocol version"


class Refused(HandshakeError):
    """The global namespace refused a client to whom that is the connection (0.9)."""

    status = 403
    code = 4
    message = "handshake unauthorized"

    def __init__(self, refused: str) -> None:
        super().__init__(refused)
        self.refused = refused


class Unavailable(HandshakeError):
    """The server takes no new sockets: it is closing, it has enough, or its view did not decide in time."""

    status = 503
    retry_after = 5
    code = 4
    message = "Service unavailable"


class ConnectionRefused(SocketIOError):
    """Raise it in ``recv_connect`` to refuse the client.

    ``message`` and ``data`` (any JSON value, left out when ``None``) reach the client's
    ``connect_error`` handler as ``error.message`` and ``error.data``.
    """

    def __init__(self, message: str = "Connection refused", data: Any = None) -> None:
        super().__init__(message, data)
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return self.message


class EventRefused(SocketIOError):
    """An event is not handled. ``call_next`` of middleware raises it; a handler, or middleware, may raise its own.

    ``name`` is ``no_such_method``, ``invalid_arguments``, ``method_access_denied``, or the program's own; ``details``
    is any JSON value, or None. The ack is ``{"error": {"name": ..., "message": ..., "details": ...}}``, without
    ``details`` where there are none. Raised at a connect, it refuses the client with ``name`` and ``details``.
    """

    def __init__(self, name: str, details: Any = None, *, message: str = "The event was refused") -> None:
        super().__init__(name, details)
        self.name = name
        self.details = details
        self.message = message

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


class Disconnected(SocketIOError):
    """The client is gone: nothing can be sent to it, no answer will come from it.

    ``reason`` is the one that ``recv_disconnect`` receives.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the client is disconnected: {reason}")
        self.reason = reason


class AckTimeout(SocketIOError, TimeoutError):
    """The client did not acknowledge in time.

    Where several were asked, ``answers`` holds what had come until then, ``missing`` is the number of clients that had
    not answered, and ``servers_missing`` that of other servers: nobody knows how many clients these have.
    """

    def __init__(
        self, message: str, answers: list[Any] | None = None, *, missing: int = 0, servers_missing: int = 0
    ) -> None:
        super().__init__(message)
        self.answers = [] if answers is None else answers
        self.missing = missing
        self.servers_missing = servers_missing


class Overflow(SocketIOError):
    """A bound was reached: ``side`` is ``"in"`` (the client floods) or ``"out"`` (it does not keep up)."""

    def __init__(self, message: str, side: str) -> None:
        super().__init__(message)
        self.side = side


class MalformedMessage(SocketIOError):
    """What came on the bus of a cluster is no message of another server."""


class BusDown(SocketIOError):
    """The bus of a cluster cannot be reached. Of the messages that were to be sent it has, or may have, ``sent``."""

    def __init__(self, message: str, sent: int = 0) -> None:
        super().__init__(message)
        self.sent = sent


class UsageError(SocketIOError):
    """A mistake of the program that uses this package; the message says what to write instead."""


class CannotCarry(UsageError):
    """A value that the client's generation has no form for, such as binary for a client of 0.9.

    Broadcasts leave such a client out and say so in the log; a packet for it alone raises this at the call.
    """
