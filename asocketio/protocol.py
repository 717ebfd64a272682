"""SEAM. Protocol, Decoder, Encoded: one generation's spelling of packets.

What plugs in lives in ``protocols/``. Text and bytes come in, `Packet` goes out, and back: no
I/O, no clock, no asyncio. A *frame* is what one websocket message carries: text or binary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from asocketio.codec import Json, StdJson
from asocketio.config import Config
from asocketio.packet import Packet

__all__ = ["Decoder", "Encoded", "Frame", "Protocol"]

Frame = str | bytes


class Encoded:
    """One packet in one generation's spelling, shared by all who receive it.

    ``frames`` are its websocket messages in order; ``size`` is their sum in characters and
    bytes; ``framed`` keeps ready-made forms of it by transport, filled by the first sender.
    """

    __slots__ = ("framed", "frames", "size")

    def __init__(self, frames: tuple[Frame, ...]) -> None:
        self.frames = frames
        self.size = len(frames[0]) if len(frames) == 1 else sum(map(len, frames))
        self.framed: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Encoded{self.frames!r}"


class Decoder(ABC):
    """Reads the frames of one client; between frames it holds only the packet whose attachments are due."""

    @abstractmethod
    def feed(self, frame: Frame) -> Packet | None:
        """The packet that ``frame`` completes, or None while attachments are due.

        Raises:
            MalformedPacket: the frame cannot be read.
            UnexpectedPacket: text where an attachment is due, or binary where none is.
        """


class Protocol(ABC):
    """One generation. It keeps no state: an instance serves all sockets that use the same JSON."""

    generation: ClassVar[str]
    """``"0.9"``, ``"3"`` or ``"4"``: the name of it in URLs, settings and log lines."""
    server_pings: ClassVar[bool]
    """Who sends the pings: the server, or the client."""
    opens_global: ClassVar[bool]
    """The global namespace connects by itself, unasked."""
    clients_send_errors: ClassVar[bool] = False
    """Clients may send error packets."""
    post_answer: ClassVar[bytes] = b"ok"
    """What a POST is answered."""

    def __init__(self, json: Json | None = None) -> None:
        self.json = StdJson() if json is None else json

    @abstractmethod
    def handshake(self, sid: str, config: Config, upgrades: Sequence[str]) -> str:
        """The frame that opens a session."""

    @abstractmethod
    def encode(self, packet: Packet) -> Encoded:
        """The spelling of ``packet``.

        Raises:
            UsageError: an argument has no wire form.
        """

    @abstractmethod
    def decoder(self, config: Config) -> Decoder:
        """A new reader for one client."""

    @abstractmethod
    def join(self, frames: Iterable[Frame]) -> bytes:
        """A polling body of ``frames``."""

    @abstractmethod
    def split(self, body: bytes) -> list[Frame]:
        """The frames of a polling body, in order. ``body`` is at most ``config.max_payload`` bytes.

        Raises:
            MalformedPayload: it cannot be split.
        """

    @abstractmethod
    def namespace_sid(self, sessid: str, endpoint: str) -> str:
        """What the client will call ``socket.id`` in the namespace ``endpoint``."""
