"""The parser seam: Socket.IO packets as the messages that Engine.IO carries, and back.

Engine.IO knows how messages are framed, joined and split; a parser knows what stands in them. The parser of all
clients by default is `asocketio.protocol.json_parser`; another one (msgpack) is another class here, not another
generation. May import ``base``, ``packet`` and ``json_codec``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

from asocketio.config import Config
from asocketio.errors import UsageError
from asocketio.protocol.base import Frame
from asocketio.protocol.json_codec import Json
from asocketio.protocol.packet import ACK, Packet

__all__ = ["RESERVED_EVENTS", "PacketDecoder", "Parser", "check_ack", "check_name"]

RESERVED_EVENTS = frozenset({"connect", "connect_error", "disconnect", "disconnecting"})
"""Event names that clients use for their own life cycle; a packet with one is refused, as in Node's parser."""


class PacketDecoder(ABC):
    """The packets in the messages of one peer. Between messages it keeps only a packet whose attachments are due."""

    __slots__ = ()

    @abstractmethod
    def text(self, frame: str, start: int) -> Packet | None:
        """The packet of a text message; None while its attachments are due.

        The message is ``frame`` from ``start`` on: what stands before is Engine.IO's, and is not cut off, because a
        frame may be long.

        Raises:
            MalformedPacket: the message is no packet; `UnknownPacket` where only its type is not known (revision 4).
            UnexpectedPacket: attachments are due.
        """

    @abstractmethod
    def binary(self, data: bytes) -> Packet | None:
        """The packet of a binary message, or the packet that ``data`` completes as its last attachment, or None.

        Raises:
            MalformedPacket: the message is no packet.
            UnexpectedPacket: no attachment is due, and this parser has no binary packets.
            PayloadTooLarge: the attachments of one packet are over ``config.max_attachment_bytes``.
        """


class Parser(ABC):
    """Encodes Socket.IO packets as Engine.IO messages, and makes their decoders. An instance serves many peers."""

    @abstractmethod
    def encode(self, packet: Packet, prefix: str) -> tuple[Frame, ...]:
        """The messages of ``packet``, at least one; ``prefix`` is put before those that are text.

        Raises:
            UsageError: the packet has no wire form: a value cannot be encoded, or the event's name is reserved.
        """

    def encode_ack(self, namespace: str, number: int | None, args: list[Any], prefix: str) -> tuple[Frame, ...]:
        """As `encode`, for an ack. To be overridden where that is possible without a `Packet` in between."""
        return self.encode(Packet(ACK, namespace, args=args, id=number), prefix)

    @abstractmethod
    def decoder(self, config: Config) -> PacketDecoder:
        """A new decoder for the messages of one peer."""

    def for_revision(self, revision: Literal[4, 5]) -> Parser:
        """The parser for a revision of the Socket.IO protocol: 4 for clients 1.x and 2.x, 5 for later ones."""
        return self

    def with_json(self, json: Json) -> Parser:
        """The same parser with another JSON codec.

        Raises:
            UsageError: this parser uses no JSON.
        """
        raise UsageError(f"{type(self).__name__} uses no JSON: json_loads= and json_dumps= are not supported with it")


def check_name(name: str) -> None:
    """Raise `UsageError` where ``name`` cannot be the name of an event."""
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"an event is named by text, not {type(name).__name__}: {name!r:.100}")
    if name in RESERVED_EVENTS:
        raise UsageError(f"{name!r} is reserved for the client's own life: choose another event name")


def check_ack(number: int | None) -> None:
    """Raise `UsageError` where an ack does not say what it answers."""
    if number is None:
        raise UsageError("an ack without the number (id) of what it answers")
