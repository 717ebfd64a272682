"""The states of a socket and of a member, and what is allowed in each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

__all__ = [
    "CLOSED",
    "JOINED",
    "MEMBER_MOVES",
    "MEMBER_RULES",
    "OPEN",
    "SOCKET_MOVES",
    "MemberRule",
    "MemberState",
    "SocketState",
]


class SocketState(Enum):
    """Where a socket is in its life."""

    OPENING = "opening"  # the handshake is not answered yet
    OPEN = "open"
    CLOSED = "closed"


OPEN = SocketState.OPEN
CLOSED = SocketState.CLOSED
"""For the hot path: looking a member up in its enum takes 75 ns on Python 3.11."""

SOCKET_MOVES: dict[SocketState, frozenset[SocketState]] = {
    SocketState.OPENING: frozenset({SocketState.OPEN, SocketState.CLOSED}),
    SocketState.OPEN: frozenset({SocketState.CLOSED}),
    SocketState.CLOSED: frozenset(),
}


class MemberState(Enum):
    """Where a client is in its life in one namespace."""

    CONNECTING = "connecting"  # recv_connect runs
    CONNECTING_KICKED = "connecting, kicked"  # the server has disconnected it meanwhile
    CONNECTING_LEAVING = "connecting, peer leaving"  # the client has left meanwhile
    JOINED = "joined"
    PEER_LEAVING = "peer leaving"  # the client has left; what it sent before is still being handled
    KICKED = "kicked"  # the server has disconnected it; recv_disconnect comes after the running handlers
    DISCONNECTING = "disconnecting"  # recv_disconnect runs
    LEFT = "left"


JOINED = MemberState.JOINED


@dataclass(frozen=True, slots=True)
class MemberRule:
    """What is allowed in a state."""

    connecting: bool = False
    """The client is not admitted yet."""
    posts: Literal["held back", "sent", "dropped"] = "dropped"
    """What becomes of what is sent to the client."""
    handles_events: bool = False
    """Events of the client are handled; else they are dropped."""
    left: bool = False
    """To the program the client is out: sending verbs meet `Disconnected`."""
    disconnect_due: bool = False
    """``recv_disconnect`` is still to run."""
    leaving: bool = False
    """The client is out, or about to be: it answers nothing, and errors that it is gone are nobody's mistake."""


MEMBER_RULES: dict[MemberState, MemberRule] = {
    MemberState.CONNECTING: MemberRule(connecting=True, posts="held back", handles_events=True),
    MemberState.CONNECTING_KICKED: MemberRule(connecting=True, posts="held back", leaving=True),
    MemberState.CONNECTING_LEAVING: MemberRule(connecting=True, posts="held back", handles_events=True, leaving=True),
    MemberState.JOINED: MemberRule(posts="sent", handles_events=True, disconnect_due=True),
    MemberState.PEER_LEAVING: MemberRule(posts="sent", handles_events=True, disconnect_due=True, leaving=True),
    MemberState.KICKED: MemberRule(left=True, disconnect_due=True, leaving=True),
    MemberState.DISCONNECTING: MemberRule(left=True, leaving=True),
    MemberState.LEFT: MemberRule(left=True, leaving=True),
}

MEMBER_MOVES: dict[MemberState, frozenset[MemberState]] = {
    MemberState.CONNECTING: frozenset(
        {MemberState.CONNECTING_KICKED, MemberState.CONNECTING_LEAVING, MemberState.JOINED, MemberState.LEFT}
    ),
    MemberState.CONNECTING_KICKED: frozenset({MemberState.KICKED, MemberState.LEFT}),
    MemberState.CONNECTING_LEAVING: frozenset({MemberState.PEER_LEAVING, MemberState.LEFT}),
    MemberState.JOINED: frozenset({MemberState.PEER_LEAVING, MemberState.KICKED, MemberState.DISCONNECTING}),
    MemberState.PEER_LEAVING: frozenset({MemberState.DISCONNECTING}),
    MemberState.KICKED: frozenset({MemberState.DISCONNECTING}),
    MemberState.DISCONNECTING: frozenset({MemberState.LEFT}),
    MemberState.LEFT: frozenset(),
}
