"""How a websocket takes over a session that another request has opened: what is allowed, and what to answer.

Pure: no I/O, no clock, no asyncio. Both carriers of websockets follow it, the ASGI one and the server's own.
Sources: Engine.IO protocol, "Upgrade"; for 0.9, whose sessions switch transports without a word, `switch_step` alone.
"""

from __future__ import annotations

from enum import Enum

from asocketio.protocol.packet import Packet, PacketType
from asocketio.runtime.states import moved
from asocketio.session.socket import Socket
from asocketio.session.states import SocketState

__all__ = ["Answer", "SwitchStep", "Upgrade", "UpgradeState", "may_upgrade", "switch_step"]


class UpgradeState(Enum):
    """Where an upgrade is."""

    ACCEPTED = "accepted"  # nothing was said yet
    PROBED = "probed"  # the client knows that this websocket works
    CHOSEN = "chosen"  # the client has stopped polling
    DONE = "done"
    FAILED = "failed"  # polling goes on


_ALLOWED: dict[UpgradeState, frozenset[UpgradeState]] = {
    UpgradeState.ACCEPTED: frozenset({UpgradeState.PROBED, UpgradeState.CHOSEN, UpgradeState.FAILED}),
    UpgradeState.PROBED: frozenset({UpgradeState.CHOSEN, UpgradeState.FAILED}),
    UpgradeState.CHOSEN: frozenset({UpgradeState.DONE, UpgradeState.FAILED}),
    UpgradeState.DONE: frozenset(),
    UpgradeState.FAILED: frozenset(),
}


class Answer(Enum):
    """What the websocket does next."""

    PONG = "answer the probe"
    SWITCH = "read no further, and take over when `switch_step` says so"
    CLOSE = "close; polling goes on"


class Upgrade:
    """One attempt of a websocket to take over from polling."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = UpgradeState.ACCEPTED

    @property
    def probed(self) -> bool:
        """The probe was answered."""
        return self.state in (UpgradeState.PROBED, UpgradeState.CHOSEN)

    @property
    def over(self) -> bool:
        """It has succeeded or failed."""
        return not _ALLOWED[self.state]

    def feed(self, packet: Packet | None) -> Answer:
        """The answer to a packet. None stands for a frame that cannot be read, and for the end of the websocket.

        Raises:
            IllegalTransition: it is over, or the client has asked for the upgrade already.
        """
        if packet is not None and packet.type is PacketType.UPGRADE:
            self._move(UpgradeState.CHOSEN)
            return Answer.SWITCH
        probes = packet is not None and packet.type is PacketType.PING and packet.data == "probe"
        if probes and self.state is UpgradeState.ACCEPTED:
            self._move(UpgradeState.PROBED)
            return Answer.PONG
        self._move(UpgradeState.FAILED)
        return Answer.CLOSE

    def fail(self) -> None:
        """Too late, or one of the two ends is gone."""
        self._move(UpgradeState.FAILED)

    def finish(self) -> None:
        """The websocket has taken over."""
        self._move(UpgradeState.DONE)

    def _move(self, state: UpgradeState) -> None:
        self.state = moved(_ALLOWED, self.state, state)


class SwitchStep(Enum):
    """What a websocket does that is to carry the session from now on."""

    WAIT = "what came by polling comes first"
    TAKE_OVER = "carry it"
    CLOSE = "the session is over"


def switch_step(socket: Socket) -> SwitchStep:
    """The next step. After a wait for ``socket.incoming_post`` it is asked again."""
    if socket.state is not SocketState.OPEN:
        return SwitchStep.CLOSE
    return SwitchStep.TAKE_OVER if socket.incoming_post is None else SwitchStep.WAIT


def may_upgrade(socket: Socket) -> bool:
    """Whether a websocket may take over from polling now; only one at a time tries."""
    return socket.state is not SocketState.CLOSED and socket.upgrade is None and socket.transport_name == "polling"
