"""What every Socket.IO parser shares: the names and numbers that are refused, and the plain forms of the rest."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asocketio.config import Config
from asocketio.errors import UsageError
from asocketio.protocol.base import Frame
from asocketio.protocol.json_codec import StdJson
from asocketio.protocol.packet import ACK, Packet
from asocketio.protocol.parser import RESERVED_EVENTS, PacketDecoder, Parser, check_ack, check_name


class Silent(Parser):
    """Remembers what it should encode."""

    def encode(self, packet: Packet, prefix: str) -> tuple[Frame, ...]:
        self.packet = packet
        return (prefix,)

    def decoder(self, config: Config) -> PacketDecoder:
        raise NotImplementedError


def test_an_ack_is_encoded_as_its_packet() -> None:
    parser = Silent()
    assert (parser.encode_ack("/chat", 7, ["x"], "4"), parser.packet) == (
        ("4",),
        Packet(ACK, "/chat", args=["x"], id=7),
    )


def test_a_parser_serves_both_revisions() -> None:
    parser = Silent()
    assert [parser.for_revision(revision) for revision in (4, 5)] == [parser, parser]


def test_a_parser_without_json_takes_no_codec() -> None:
    message = "^Silent uses no JSON: json_loads= and json_dumps= are not supported with it$"
    with pytest.raises(UsageError, match=message):
        Silent().with_json(StdJson())


def test_reserved_names_are_those_of_the_clients_own_life() -> None:
    assert frozenset({"connect", "connect_error", "disconnect", "disconnecting"}) == RESERVED_EVENTS


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
def test_a_reserved_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"^'{name}' is reserved for the client's own life: choose another"):
        check_name(name)


@pytest.mark.parametrize("name", [1, None, b"x"])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(UsageError, match=f"^an event is named by text, not {type(name).__name__}: "):
        check_name(cast(str, name))


def test_an_ack_says_what_it_answers() -> None:
    check_ack(0)
    with pytest.raises(UsageError, match=r"^an ack without the number \(id\) of what it answers$"):
        check_ack(None)
