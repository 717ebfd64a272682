"""The tables of states: what each allows, and that nothing moves past them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any, cast

import pytest

from asocketio.protocol.engineio4 import EngineIO4
from asocketio.runtime.states import IllegalTransition, moved
from asocketio.session.member import Member
from asocketio.session.socket import Socket
from asocketio.session.states import MEMBER_MOVES, MEMBER_RULES, SOCKET_MOVES, MemberState, SocketState

CONNECTING, CONNECTING_KICKED, CONNECTING_LEAVING, JOINED, PEER_LEAVING, KICKED, DISCONNECTING, LEFT = MemberState


@pytest.mark.parametrize(("states", "moves"), [(MemberState, MEMBER_MOVES), (SocketState, SOCKET_MOVES)])
def test_a_table_knows_every_state_and_refuses_every_other_move(states: Any, moves: Any) -> None:
    assert set(moves) == set(states)
    for old, new in product(states, states):
        if new in moves[old]:
            assert moved(moves, old, new) is new
        else:
            with pytest.raises(IllegalTransition, match=old.value):
                moved(moves, old, new)


def test_every_state_of_a_member_has_its_rule() -> None:
    assert set(MEMBER_RULES) == set(MemberState)


@pytest.mark.parametrize(
    ("state", "posts", "handles", "due"),
    [
        (CONNECTING, "held back", True, False),
        (CONNECTING_KICKED, "held back", False, False),
        (CONNECTING_LEAVING, "held back", True, False),
        (JOINED, "sent", True, True),
        (PEER_LEAVING, "sent", True, True),
        (KICKED, "dropped", False, True),
        (DISCONNECTING, "dropped", False, False),
        (LEFT, "dropped", False, False),
    ],
)
def test_what_a_state_allows(state: MemberState, posts: str, handles: bool, due: bool) -> None:
    rule = MEMBER_RULES[state]
    assert (rule.posts, rule.handles_events, rule.disconnect_due) == (posts, handles, due)


def a_member() -> tuple[Member, list[Any]]:
    """A member that is connecting, and what is sent to its client."""
    sent: list[Any] = []
    writer = SimpleNamespace(
        post=lambda encoded: sent.append(encoded.frames[0]),
        send=lambda packet: sent.append(EngineIO4().encode(packet).frames[0]),
    )
    client = SimpleNamespace(
        protocol=EngineIO4(),
        config=SimpleNamespace(max_outbox=1000),
        connected=True,
        writer=writer,
        acks=SimpleNamespace(fail=lambda reason, endpoint: None),
    )
    return Member(cast(Socket, client), "/chat", "a"), sent


ACTS: dict[str, Callable[[Member], object]] = {
    "accept": lambda member: member.accept(),
    "peer leaves": lambda member: member.on_peer_leaving(),
    "kick": lambda member: member.disconnect("server namespace disconnect", silent=False),
    "goodbye": lambda member: member.begin_disconnect("transport close"),
    "leave": lambda member: member.leave("transport close"),
}


@pytest.mark.parametrize(
    ("acts", "state", "reason"),
    [
        (["accept"], JOINED, ""),
        (["kick"], CONNECTING_KICKED, "server namespace disconnect"),
        (["kick", "accept"], KICKED, "server namespace disconnect"),
        (["kick", "peer leaves", "accept", "kick"], KICKED, "server namespace disconnect"),
        (["peer leaves", "accept", "kick"], PEER_LEAVING, ""),
        (["accept", "peer leaves", "peer leaves", "kick"], PEER_LEAVING, ""),
        (["accept", "kick", "peer leaves", "goodbye"], DISCONNECTING, "server namespace disconnect"),
        (["accept", "goodbye", "peer leaves", "kick", "leave"], LEFT, "transport close"),
        (["leave"], LEFT, "transport close"),
    ],
)
def test_a_life(acts: list[str], state: MemberState, reason: str) -> None:
    member, _ = a_member()
    for act in acts:
        ACTS[act](member)
    assert (member.state, member.reason) == (state, reason)


@pytest.mark.parametrize("acts", [["goodbye"], ["accept", "accept"], ["accept", "leave"], ["leave", "leave"]])
def test_what_cannot_be_is_a_mistake_of_ours(acts: list[str]) -> None:
    member, _ = a_member()
    *before, last = acts
    for act in before:
        ACTS[act](member)
    with pytest.raises((IllegalTransition, KeyError)):
        ACTS[last](member)
