"""The messages between the servers of a cluster, as plain values. They are those of Node's ``ClusterAdapter``.

How a message is written is an engine's affair (``wire`` is Node's form). A `Message` that an engine hands over has been
checked: its values have the types that stand here. What they say is not to be trusted further than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from asocketio.adapters.base import Target
from asocketio.adapters.socket_info import SocketInfo
from asocketio.protocol.packet import Packet

__all__ = [
    "Ack",
    "Answer",
    "Body",
    "Broadcast",
    "ClientCount",
    "Close",
    "Disconnect",
    "Fetch",
    "Fetched",
    "Gone",
    "Heartbeat",
    "Join",
    "Leave",
    "Message",
    "ServerAnswer",
    "ServerEvent",
    "is_droppable",
]


class Broadcast(NamedTuple):
    """An event for clients. With a ``request_id`` their acks are wanted: a `ClientCount`, then an `Ack` for each."""

    packet: Packet
    """An event: ``name`` and ``args``. Its ``id`` means nothing to other servers."""
    target: Target
    volatile: bool = False
    request_id: str | None = None
    seconds: float = 60.0
    """How long the acks are waited for."""
    hears_gone: bool = False
    """Who asks wants to know, by `Gone`, of clients that leave before they answer. Node does not."""


class Join(NamedTuple):
    """Put clients into rooms."""

    target: Target
    rooms: frozenset[str]


class Leave(NamedTuple):
    """Take clients out of rooms."""

    target: Target
    rooms: frozenset[str]


class Disconnect(NamedTuple):
    """Disconnect clients from the namespace; with ``close`` end their connections."""

    target: Target
    close: bool


class Fetch(NamedTuple):
    """Who the clients are. Answered by `Fetched`."""

    target: Target
    request_id: str
    only_sids: bool = False
    """Their sids are enough. Node answers with all the same."""


class ServerEvent(NamedTuple):
    """An event for the other servers. With a ``request_id`` each may send a `ServerAnswer`."""

    name: str
    args: list[Any]
    request_id: str | None = None


# Answers: they go to the one server that asked.


class ClientCount(NamedTuple):
    """So many clients of this server were asked by a `Broadcast`. 0 has to be said, too."""

    request_id: str
    clients: int


class Ack(NamedTuple):
    """The ack of one of them."""

    request_id: str
    args: list[Any]
    """Of a Node server only the first argument."""
    sid: str | None = None
    """The client. A Node server does not tell."""


class Gone(NamedTuple):
    """One of them has left, and will not answer."""

    request_id: str
    sid: str


class Fetched(NamedTuple):
    """The clients of this server that a `Fetch` means."""

    request_id: str
    sockets: Sequence[SocketInfo]
    only_sids: bool = False
    """The rest of each `SocketInfo` is empty."""


class ServerAnswer(NamedTuple):
    """What this server's function for a `ServerEvent` has returned."""

    request_id: str
    value: Any


# Membership, for engines that do not know it by themselves, see `asocketio.adapters.cluster.members`.


class Heartbeat(NamedTuple):
    """This server is there. The first one asks the others to say so, too, at once."""

    is_first: bool = False


class Close(NamedTuple):
    """This server leaves the namespace."""


Answer = ClientCount | Ack | Gone | Fetched | ServerAnswer
Body = Broadcast | Join | Leave | Disconnect | Fetch | ServerEvent | Answer | Heartbeat | Close


class Message(NamedTuple):
    """A message of the server ``uid``, about one namespace."""

    uid: str
    namespace: str
    """As in a `Packet`: that of the global namespace is ``""``."""
    body: Body
    to: str | None = None
    """The uid of the one server that it is for. None: all others that are in the namespace."""


def is_droppable(body: Body) -> bool:
    """Whether a message may be left out where the queue is full: a broadcast that nobody waits for an answer to."""
    return isinstance(body, Broadcast) and body.request_id is None
