"""SEAM. Protocol, Decoder, Encoded: one generation's spelling of packets.

What plugs in lives in ``protocols/``. Text and bytes come in, `Packet` goes out, and back: no
I/O, no clock, no asyncio. A *frame* is what one websocket message carries: text or binary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from asocketio.config import Config
from asocketio.errors import HandshakeError, ProtocolError
from asocketio.protocol.fast_json import best_json
from asocketio.protocol.json_codec import Json
from asocketio.protocol.packet import Packet, PacketType

__all__ = ["Body", "BodyFormat", "Decoder", "Encoded", "Frame", "Protocol"]

Frame = str | bytes


class BodyFormat(NamedTuple):
    """How a client wants the bodies of one polling request."""

    text_only: bool = False
    """It cannot take binary bodies (``b64=1``)."""
    jsonp_index: int | None = None
    """JSONP: answers are scripts that call the callback of this number, what it posts is an HTML form."""


class Body(NamedTuple):
    """What a polling request is answered."""

    content: bytes
    kind: bytes = b"text/plain; charset=UTF-8"
    """Its Content-Type."""
    status: int = 200


class Encoded:
    """One packet in one generation's spelling, shared by all who receive it.

    ``frames`` are its websocket messages in order; ``size`` is their sum in characters and
    bytes; ``wire_bytes`` is what goes over the wire for them, kept by the first to make it.
    """

    __slots__ = ("frames", "size", "wire_bytes")

    def __init__(self, frames: tuple[Frame, ...]) -> None:
        self.frames = frames
        self.size = len(frames[0]) if len(frames) == 1 else sum(map(len, frames))
        self.wire_bytes: tuple[bytes, ...] | None = None

    def __repr__(self) -> str:
        return f"Encoded{self.frames!r}"


class Decoder(ABC):
    """Reads what one client sends; between frames it holds only the packet whose attachments are due."""

    @abstractmethod
    def feed(self, frame: Frame) -> Packet | None:
        """The packet that ``frame`` completes, or None while attachments are due.

        Raises:
            MalformedPacket: the frame cannot be read.
            UnexpectedPacket: text where an attachment is due, or binary where none is.
        """

    @abstractmethod
    def split(self, body: bytes, form: BodyFormat, *, binary: bool = False) -> Iterator[Frame]:
        """The frames of a polling body, in order, each found when it is asked for: a body may hold 300 000.

        ``body`` is at most ``config.max_payload`` bytes. ``binary`` says that its Content-Type is
        ``application/octet-stream``.

        Raises:
            MalformedPayload: it cannot be split from here on. After that there are no more.
        """


class Protocol(ABC):
    """One generation. It keeps no state: an instance serves all sockets that use the same JSON."""

    generation: ClassVar[str]
    """``"0.9"``, ``"3"`` or ``"4"``: the name of it in settings and log lines."""
    pings: ClassVar[Literal["server", "client", "transport"]]
    """Who shows that the other side lives: the server asks, the client asks, or it depends on the transport (0.9)."""
    opens_global: ClassVar[bool]
    """The global namespace connects by itself, unasked; what ``recv_connect`` gets is the query of the URL."""
    global_is_connection: ClassVar[bool] = False
    """The global namespace is the connection: refused there, the handshake is; left, everything is."""
    refuses_via_jsonp: ClassVar[bool] = False
    """By JSONP a refusal is a script, whatever its status: clients would hear nothing of another."""
    allows_transport_switch: ClassVar[bool] = False
    """Any request with the session's id carries it on, the newest first, and a broken one is only a gap."""
    answers_posts_first: ClassVar[bool] = False
    """A POST is answered before its packets are handled."""
    acks_duplicate_connect: ClassVar[bool] = False
    """A connect to a namespace that the client is in is answered once more."""
    nonfatal_errors: ClassVar[tuple[type[ProtocolError], ...]] = ()
    """Errors of a client that cost it the packet, not the connection."""
    clients_send_errors: ClassVar[bool] = False
    """Clients may send error packets."""
    post_answer: ClassVar[Body] = Body(b"ok", b"text/html")
    """What a POST is answered."""

    def __init__(self, json: Json | None = None) -> None:
        self.json = best_json() if json is None else json

    @abstractmethod
    def handshake(self, sid: str, config: Config, upgrades: Sequence[str]) -> str:
        """The frame that opens a session."""

    @abstractmethod
    def encode(self, packet: Packet) -> Encoded:
        """The spelling of ``packet``.

        Raises:
            UsageError: an argument has no wire form.
            CannotCarry: this generation has none for it; others may.
        """

    def encode_ack(self, endpoint: str, number: int | None, args: list[Any]) -> Encoded:
        """As `encode`, for the answer to an event."""
        return self.encode(Packet(PacketType.ACK, endpoint, args=args, id=number))

    @abstractmethod
    def decoder(self, config: Config) -> Decoder:
        """A new reader for one client."""

    @abstractmethod
    def join(self, frames: Iterable[Frame], form: BodyFormat) -> Body:
        """The answer to a poll that carries ``frames``, at least one."""

    @abstractmethod
    def close_packet(self, reason: str) -> Packet:
        """What a poll is told when the socket has ended for ``reason``."""

    @abstractmethod
    def refusal(self, error: HandshakeError, form: BodyFormat, method: str) -> Body:
        """The answer to an HTTP request that reached no socket."""

    @abstractmethod
    def namespace_sid(self, sessid: str, endpoint: str) -> str:
        """What the client will call ``socket.id`` in the namespace ``endpoint``."""
