"""SEAM. Engine: carries the messages of one server of a cluster to the others, and theirs to it.

It knows nothing of clients, rooms' members or questions: those are the `ClusterAdapter`'s. A new engine has to pass
``tests/behaviour/cluster``.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from asocketio.adapters.cluster.messages import Message
from asocketio.config import Config
from asocketio.errors import MalformedMessage
from asocketio.runtime.awaitables import COMPLETED
from asocketio.runtime.clock import Clock
from asocketio.runtime.log import ThrottledLog

__all__ = ["ClusterChange", "Engine", "EngineHost", "Membership", "Outgoing"]

Membership = Literal["known", "counted", "heartbeats"]


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """What has happened to the connection with the other servers."""

    what: Literal["down", "up", "lost", "joined", "left"]
    """``down``, ``up``: the engine has lost its bus, and has it again. ``lost``: broadcasts were dropped, for the queue
    was full. ``joined``, ``left``: a server."""
    seconds: float = 0.0
    """``up``: how long it was down. What the others sent meanwhile may be missing."""
    lost: int | None = None
    """Messages of this server that did not go out, in all of this outage; None where nobody knows."""
    member: str = ""
    """``joined``, ``left``: the uid of the server."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as an engine sends it."""

    content: Any
    """What `Engine.encode` made: an engine's own affair."""
    size: int
    """Bytes that it takes in the queue."""
    droppable: bool = False
    """It may be left out where the queue is full, see `asocketio.adapters.cluster.messages.is_droppable`."""


class EngineHost(typing.Protocol):
    """What an engine may use of the adapter that it serves. All of it is called in the event loop, and never raises."""

    @property
    def config(self) -> Config:
        """The settings of the server."""
        ...

    @property
    def clock(self) -> Clock:
        """The time of its event loop; a test may stand still."""
        ...

    @property
    def throttled_log(self) -> ThrottledLog:
        """For lines that others can cause."""
        ...

    def receive(self, message: Message) -> None:
        """A message of another server has come. Own ones and those ``to`` others are ignored."""

    def refuse(self, error: MalformedMessage) -> None:
        """Something has come that is no message: it is counted, and said in a throttled line."""

    def member_gone(self, uid: str) -> None:
        """A server has gone: nobody waits for its answers any more. For engines that notice."""

    def changed(self, change: ClusterChange) -> None:
        """The bus is down, or up again."""


class Engine(ABC):
    """What carries messages between servers. One belongs to one `ClusterAdapter`.

    It promises: a message arrives once at most, and those of one server arrive at another one in the order in which
    they were sent. Answers (messages with ``to``) and questions (with a ``request_id``) may come twice, and in another
    order: the adapter sees to that. Messages may be lost while the bus is down, which is said by
    `EngineHost.changed`, and in no other case.

    It owns its tasks: none is left when `stop` returns.
    """

    membership: ClassVar[Membership] = "heartbeats"
    """Who is there. ``known``: the engine knows, see `members`. ``counted``: it can count, see `count`.
    ``heartbeats``: neither; the servers tell each other."""
    follows_rooms: ClassVar[bool] = False
    """`enter_room` and `leave_room` do something."""

    @property
    @abstractmethod
    def uid(self) -> str:
        """The name of this server among the others. The same from `start` to `stop`."""

    @abstractmethod
    def start(self, host: EngineHost) -> None:
        """Connect, in the running event loop, and from then on hand messages to ``host``.

        It may be called again without `stop` in another loop, when the former one is gone (tests).
        """

    @abstractmethod
    async def stop(self) -> None:
        """Disconnect. It may start again."""

    @abstractmethod
    def encode(self, message: Message) -> Outgoing:
        """The message as `send` takes it. Later changes to what is in it must not matter.

        Raises:
            UsageError: something in it has no form on this bus.
        """

    @abstractmethod
    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Give messages to the bus, in order. Called by one task, and not again before it has returned.

        Raises:
            BusDown: the bus is down. ``sent`` says how many of them it has, or may have. The others come again.
        """

    # Who is there. One of the two, see ``membership``.

    def members(self, namespace: str) -> Collection[str]:
        """The uids of the other servers that are in the namespace, and will answer."""
        raise NotImplementedError

    async def count(self, namespace: str) -> int:
        """How many other servers are in the namespace, and will answer.

        Raises:
            BusDown: the bus is down.
        """
        raise NotImplementedError

    # What this server wants to hear of. Called before what needs it, and not twice.

    def enter(self, namespace: str) -> Awaitable[None]:
        """This server is in the namespace now. What it returns may be awaited until messages arrive, more than once."""
        return COMPLETED

    def leave(self, namespace: str) -> None:  # noqa: B027
        """This server is in the namespace no longer."""

    def enter_room(self, namespace: str, room: str) -> Awaitable[None]:
        """A client of this server is in the room, the first one; a sid is a room of one."""
        return COMPLETED

    def leave_room(self, namespace: str, room: str) -> None:  # noqa: B027
        """The last client of this server has left the room."""
