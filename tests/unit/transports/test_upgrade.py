"""The upgrade as a state machine: every packet in every state, without a network and without time."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from asocketio.protocol.packet import Packet, PacketType
from asocketio.runtime.states import IllegalTransition
from asocketio.session.socket import SocketState
from asocketio.transports.upgrade import Answer, SwitchStep, Upgrade, UpgradeState, may_upgrade, switch_step

PROBE = Packet(PacketType.PING, data="probe")
UPGRADE = Packet(PacketType.UPGRADE)
OTHERS = [
    None,
    Packet(PacketType.PING),
    Packet(PacketType.PONG, data="probe"),
    Packet(PacketType.EVENT, name="x"),
    Packet(PacketType.CLOSE),
    Packet(PacketType.NOOP),
]


def fed(*packets: Packet | None) -> tuple[Upgrade, list[Answer]]:
    upgrade = Upgrade()
    return upgrade, [upgrade.feed(packet) for packet in packets]


@pytest.mark.parametrize(
    ("packets", "answers", "state"),
    [
        ([PROBE], [Answer.PONG], UpgradeState.PROBED),
        ([PROBE, UPGRADE], [Answer.PONG, Answer.SWITCH], UpgradeState.CHOSEN),
        ([UPGRADE], [Answer.SWITCH], UpgradeState.CHOSEN),
        ([PROBE, PROBE], [Answer.PONG, Answer.CLOSE], UpgradeState.FAILED),
        *(([other], [Answer.CLOSE], UpgradeState.FAILED) for other in OTHERS),
        *(([PROBE, other], [Answer.PONG, Answer.CLOSE], UpgradeState.FAILED) for other in OTHERS),
    ],
)
def test_packets_have_their_answers(packets: list[Any], answers: list[Answer], state: UpgradeState) -> None:
    upgrade, given = fed(*packets)
    assert (given, upgrade.state) == (answers, state)
    assert upgrade.over is (state is UpgradeState.FAILED)


@pytest.mark.parametrize("packet", [PROBE, UPGRADE, None])
@pytest.mark.parametrize("end", [Upgrade.finish, Upgrade.fail])
def test_nothing_is_answered_when_it_is_over(packet: Packet | None, end: Callable[[Upgrade], None]) -> None:
    upgrade, _ = fed(PROBE, UPGRADE)
    end(upgrade)
    with pytest.raises(IllegalTransition):
        upgrade.feed(packet)


def test_the_client_chooses_once() -> None:
    upgrade, _ = fed(UPGRADE)
    with pytest.raises(IllegalTransition):
        upgrade.feed(UPGRADE)


def test_a_websocket_that_ends_after_the_choice_has_failed() -> None:
    assert fed(PROBE, UPGRADE, None)[1][-1] is Answer.CLOSE


def test_it_finishes_only_when_chosen() -> None:
    for packets in ([], [PROBE], [None]):
        with pytest.raises(IllegalTransition):
            fed(*packets)[0].finish()
    upgrade, _ = fed(UPGRADE)
    upgrade.finish()
    assert upgrade.over


@pytest.mark.parametrize(
    ("state", "post", "step"),
    [
        (SocketState.OPEN, None, SwitchStep.TAKE_OVER),
        (SocketState.OPEN, object(), SwitchStep.WAIT),
        (SocketState.CLOSED, None, SwitchStep.CLOSE),
        (SocketState.CLOSED, object(), SwitchStep.CLOSE),
    ],
)
def test_a_websocket_takes_over_when_polling_is_done(state: SocketState, post: Any, step: SwitchStep) -> None:
    socket: Any = SimpleNamespace(state=state, incoming_post=post)
    assert switch_step(socket) is step


@pytest.mark.parametrize(
    ("state", "upgrade", "name", "may"),
    [
        (SocketState.OPEN, None, "polling", True),
        (SocketState.OPEN, object(), "polling", False),
        (SocketState.OPEN, None, "websocket", False),
        (SocketState.CLOSED, None, "polling", False),
    ],
)
def test_one_websocket_at_a_time_may_try(state: SocketState, upgrade: Any, name: str, may: bool) -> None:
    socket: Any = SimpleNamespace(state=state, upgrade=upgrade, transport_name=name)
    assert may_upgrade(socket) is may
