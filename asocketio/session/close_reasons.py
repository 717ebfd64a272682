"""Why a connection ended: one reason for one act, whatever carries the client. Node's words where Node has them.

The table for users is in docs/trust.md, "Reasons of a disconnect".
"""

from __future__ import annotations

from typing import Final

from asocketio.errors import MalformedPacket, MalformedPayload, PayloadTooLarge, ProtocolError
from asocketio.protocol.websocket_frames import NORMAL_CLOSURE, TOO_BIG

__all__ = [
    "CLIENT_DISCONNECT",
    "FORCED_CLOSE",
    "FORCED_SERVER_CLOSE",
    "PARSE_ERROR",
    "PING_TIMEOUT",
    "RECOVERABLE",
    "SERVER_DISCONNECT",
    "SHUTTING_DOWN",
    "TRANSPORT_CLOSE",
    "TRANSPORT_ERROR",
    "close_code_of_error",
    "final_reason",
    "reason_of_close_code",
    "reason_of_error",
]

TRANSPORT_CLOSE: Final = "transport close"
TRANSPORT_ERROR: Final = "transport error"
PING_TIMEOUT: Final = "ping timeout"
PARSE_ERROR: Final = "parse error"
FORCED_CLOSE: Final = "forced close"
FORCED_SERVER_CLOSE: Final = "forced server close"
CLIENT_DISCONNECT: Final = "client namespace disconnect"
SERVER_DISCONNECT: Final = "server namespace disconnect"
SHUTTING_DOWN: Final = "server shutting down"

RECOVERABLE = frozenset(
    {TRANSPORT_CLOSE, TRANSPORT_ERROR, PING_TIMEOUT, FORCED_CLOSE, FORCED_SERVER_CLOSE, SHUTTING_DOWN}
)
"""Reasons after which a client may come back: its connection ended, not its stay."""

_OF_ERRORS: dict[type[ProtocolError], str] = {
    MalformedPacket: PARSE_ERROR,
    MalformedPayload: PARSE_ERROR,
    PayloadTooLarge: TRANSPORT_ERROR,
}

# RFC 6455, 7.4.1, and its registry: a message was too large; the server ends and closes all websockets by itself.
_OF_CLOSE_CODES = {TOO_BIG: TRANSPORT_ERROR, 1012: SHUTTING_DOWN}

_LOST = frozenset({TRANSPORT_CLOSE, TRANSPORT_ERROR})


def reason_of_error(error: ProtocolError) -> str:
    """The reason for a client that broke the protocol."""
    return _OF_ERRORS.get(type(error), FORCED_CLOSE)


def close_code_of_error(error: ProtocolError) -> int:
    """The code with which the websocket of such a client closes."""
    return TOO_BIG if isinstance(error, PayloadTooLarge) else NORMAL_CLOSURE


def reason_of_close_code(code: int) -> str:
    """The reason for a websocket that closed with ``code``. Not every server tells which side said it."""
    return _OF_CLOSE_CODES.get(code, TRANSPORT_CLOSE)


def final_reason(reason: str, closing: bool) -> str:
    """The reason to give, where the server may be ``closing``.

    Some servers close their connections by themselves when they end, so a connection that ends then does not tell
    which side was first: it is the server's end.
    """
    return SHUTTING_DOWN if closing and reason in _LOST else reason
