"""What reaches a client in a namespace: held back, sent, dropped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from asocketio.protocol.base import Encoded
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.packet import Packet
from asocketio.session.member import Member
from asocketio.session.socket import Socket


class Client:
    """What a member needs of a socket."""

    def __init__(self) -> None:
        self.protocol = EngineIO4()
        self.config = SimpleNamespace(max_outbox=1000)
        self.connected = self.writable = True
        self.sent: list[Any] = []
        self.writer = self.acks = self

    def send(self, packet: Packet) -> None:
        self.post(self.protocol.encode(packet))

    def post(self, encoded: Encoded) -> None:
        self.sent.append(encoded.frames)

    def fail(self, reason: str, endpoint: str) -> None: ...


NEWS = Encoded(("news",))


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def member(client: Client) -> Member:
    return Member(cast(Socket, client), "/chat", "a")


def test_what_is_sent_while_it_connects_follows_its_connect(member: Member, client: Client) -> None:
    member.post(NEWS)
    assert client.sent == []
    member.accept()
    member.post(NEWS)
    assert client.sent == [('40/chat,{"sid":"a"}',), ("news",), ("news",)]


def test_what_is_sent_after_it_was_disconnected_is_dropped(member: Member, client: Client) -> None:
    member.accept()
    member.disconnect("server namespace disconnect", silent=False)
    member.post(NEWS)
    assert client.sent == [('40/chat,{"sid":"a"}',), ("41/chat,",)]


def test_who_is_disconnected_while_it_connects_hears_all_of_it_at_once(member: Member, client: Client) -> None:
    member.post(NEWS)
    member.disconnect("server namespace disconnect", silent=False)
    member.post(NEWS)
    member.accept()
    member.post(NEWS)
    assert client.sent == [('40/chat,{"sid":"a"}',), ("news",), ("41/chat,",), ("news",)]


def test_who_is_refused_hears_nothing_of_what_was_held_back(member: Member, client: Client) -> None:
    member.post(NEWS)
    member.leave("refused")
    member.post(NEWS)
    assert client.sent == []
