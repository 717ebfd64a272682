"""The protocol seam: a `Protocol` encodes and decodes the packets of one generation of clients.

A *frame* is what one websocket message carries: text or binary. Text and bytes come in, `Packet` goes out, and back.
Both sides of a connection use it; what only a server says is in ``server_protocol``. May import ``packet`` and
``json_codec``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Self

from asocketio.config import Config
from asocketio.errors import Overflow
from asocketio.protocol.json_codec import Json
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.websocket_frames import frames_of, messages_of

__all__ = ["PACKET_OVERHEAD", "Body", "BodyFormat", "Decoder", "Encoded", "Frame", "Protocol", "check_size"]

Frame = str | bytes

PACKET_OVERHEAD = 100
"""Bytes that a queued packet counts besides its content: a million tiny ones are 185 MB, not 5."""


class BodyFormat(NamedTuple):
    """The format in which a client takes and sends the bodies of one polling request."""

    text_only: bool = False
    """The client cannot take binary bodies (``b64=1``)."""
    jsonp_index: int | None = None
    """JSONP: answers are scripts that call the callback of this number, and what is posted is an HTML form."""
    encoded_twice: bool = False
    """Text beyond ASCII is encoded twice in text bodies, and once in binary ones (1.x)."""


class Body(NamedTuple):
    """The body of an HTTP request or answer."""

    content: bytes
    kind: bytes = b"text/plain; charset=UTF-8"
    """Its Content-Type."""
    status: int = 200


class Encoded:
    """One packet as encoded for one generation, shared by all who receive it.

    ``size`` is about the bytes of memory that it takes; ``wire_bytes`` is what goes over a websocket for it, None until
    the first to send it calls `framed`.
    """

    __slots__ = ("_frames", "size", "wire_bytes")

    def __init__(self, frames: tuple[Frame, ...]) -> None:
        self._frames: tuple[Frame, ...] | None = frames
        self.size = _memory(frames[0]) if len(frames) == 1 else sum(map(_memory, frames))
        self.wire_bytes: tuple[bytes, ...] | None = None

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Its websocket messages, in order."""
        return messages_of(self.wire_bytes or ()) if self._frames is None else self._frames

    def framed(self) -> tuple[bytes, ...]:
        """Make ``wire_bytes``. They are kept in place of the messages: one of the two is what ``size`` counts."""
        framed = self.wire_bytes = frames_of(self.frames if self._frames is None else self._frames)
        if self.size > _TINY:
            self._frames = None
        return framed

    def __repr__(self) -> str:
        return f"Encoded{self.frames!r}"


_TINY = 100
"""Bytes of a packet that is kept in both forms: it is made again more often than it is large."""


def _memory(frame: Frame) -> int:
    """The bytes of a frame's content in memory: one emoji makes each character of its text take four."""
    return frame.__sizeof__() - _WIDE if type(frame) is str and not frame.isascii() else len(frame)


_WIDE = "\U0001f600".__sizeof__() - 4
"""Bytes of a text that is not ASCII, without its characters."""


def check_size(encoded: Encoded, most: int) -> None:
    """Raise `Overflow` where one packet is over ``most`` bytes (``max_outbox``)."""
    if encoded.size > most:
        raise Overflow(
            f"a packet of {encoded.size} bytes, at most {most} may be queued for a client (max_outbox)", "out"
        )


class Decoder(ABC):
    """The packets that one peer sends. Between frames it keeps only the packet whose attachments are due."""

    __slots__ = ()

    @property
    def encodes_twice(self) -> Literal["", "bodies", "messages"]:
        """Where the peer was found to encode text twice: in polling bodies (1.x), in websocket messages (1.0.x)."""
        return ""

    @abstractmethod
    def feed(self, frame: Frame) -> Packet | None:
        """The packet that ``frame`` completes; None while attachments are due.

        Raises:
            MalformedPacket: the frame cannot be decoded.
            UnexpectedPacket: text where an attachment is due, or binary where none is.
        """

    @abstractmethod
    def split(self, body: bytes, body_format: BodyFormat, *, binary: bool = False) -> Iterator[Frame]:
        """The frames of a polling body, in order, each found when it is asked for: a body may hold 300 000.

        ``body`` is at most ``config.max_payload`` bytes. ``binary`` says that its Content-Type is
        ``application/octet-stream``.

        Raises:
            MalformedPayload: the body cannot be split from here on. After that there are no more frames.
        """


class Protocol(ABC):
    """One generation of clients. It keeps no state: one instance serves all sockets that use the same JSON codec."""

    generation: ClassVar[str]
    """``"0.9"``, ``"3"`` or ``"4"``: its name in settings and log lines."""
    pings: ClassVar[Literal["server", "client", "transport"]]
    """Which side sends the pings; ``"transport"``: that depends on the transport (0.9)."""
    opens_global: ClassVar[bool]
    """The global namespace connects without a request; the auth of ``recv_connect`` is the query of the URL."""
    global_is_connection: ClassVar[bool] = False
    """The global namespace is the connection: its refusal refuses the handshake, leaving it ends the session."""

    @abstractmethod
    def with_json(self, json: Json) -> Self:
        """The same protocol with another JSON codec.

        Raises:
            UsageError: its parser uses no JSON.
        """

    @abstractmethod
    def encode(self, packet: Packet) -> Encoded:
        """The frames of ``packet``.

        Raises:
            UsageError: an argument has no wire form.
            CannotCarry: an argument has no wire form in this generation; it may have one in others.
        """

    @cached_property
    def encoder(self) -> Callable[[Packet], Encoded]:
        """`encode` as an object that all clients share: one of its own would be 64 bytes for each."""
        return self.encode

    def encode_ack(self, namespace: str, number: int | None, args: list[Any]) -> Encoded:
        """As `encode`, for the ack of an event."""
        return self.encode(Packet(PacketType.ACK, namespace, args=args, id=number))

    @abstractmethod
    def decoder(self, config: Config) -> Decoder:
        """A new decoder for one peer."""

    def as_text(self, frame: bytes) -> str:
        """A binary frame as text, for a client that takes no binary (``b64=1``). Not of generations without binary."""
        raise NotImplementedError

    @abstractmethod
    def join(self, frames: Iterable[Frame], body_format: BodyFormat) -> Body:
        """The polling body that carries ``frames``, at least one."""
