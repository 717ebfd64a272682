"""What only a server says: handshakes, refusals, the last packet of a poll; and what it forgives its clients.

`ServerProtocol` is a `Protocol` with these; each generation has one here. A client needs only the plain protocols.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from asocketio.config import Config
from asocketio.errors import (
    Forbidden,
    HandshakeError,
    MalformedPacket,
    MalformedPayload,
    ProtocolError,
    StrayPacket,
    Unavailable,
    UnexpectedPacket,
    UnknownPacket,
    UnknownSession,
    UnsupportedVersion,
)
from asocketio.protocol import jsonp
from asocketio.protocol.base import Body, BodyFormat, Decoder, Protocol
from asocketio.protocol.engineio3 import EngineIO3, EngineIO3Twice
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.socketio09 import SocketIO09

__all__ = ["ServerEngineIO3", "ServerEngineIO4", "ServerProtocol", "ServerSocketIO09"]


class ServerProtocol(Protocol):
    """One generation, as its server speaks it."""

    refuses_via_jsonp: ClassVar[bool] = False
    """A refusal by JSONP is a script with status 200, because the client sees no other answer."""
    allows_transport_switch: ClassVar[bool] = False
    """Requests of one session may switch transports at any time; the newest wins, and a failed request does not end
    the session."""
    answers_posts_first: ClassVar[bool] = False
    """A POST is answered before its packets are handled."""
    acks_duplicate_connect: ClassVar[bool] = False
    """A connect to a namespace that the client is in is answered once more."""
    nonfatal_errors: ClassVar[tuple[type[ProtocolError], ...]] = ()
    """Protocol errors that cost the client the packet, not the connection."""
    clients_send_errors: ClassVar[bool] = False
    """Clients may send error packets."""
    reserved_fields: ClassVar[frozenset[str]] = frozenset({"EIO", "transport", "t", "j", "b64", "sid"})
    """Names of the fields that the protocol has in the URL of a handshake. See `EngineRequest.reserved_fields`."""
    post_answer: ClassVar[Body] = Body(b"ok", b"text/html")
    """The answer to a POST."""

    @property
    def encoding_twice(self) -> ServerProtocol:
        """The protocol for clients of this generation that encode text twice, in messages too."""
        return self

    def settled(self, decoder: Decoder) -> tuple[ServerProtocol, Decoder] | None:
        """What the client of ``decoder``, made by this protocol, turned out to speak; None where that was known."""
        return None

    @abstractmethod
    def handshake(self, sid: str, config: Config, upgrades: Sequence[str]) -> str:
        """The frame that opens a session."""

    @abstractmethod
    def close_packet(self, reason: str) -> Packet:
        """The last packet for a poll of a socket that was closed for ``reason``."""

    def refuses_last_poll(self, reason: str) -> bool:
        """The poll of a socket that was closed for ``reason`` is refused instead of answered with `close_packet`."""
        return False

    @abstractmethod
    def refusal(self, error: HandshakeError, body_format: BodyFormat, method: str) -> Body:
        """The answer to an HTTP request that reached no socket."""


class _ServerEngineIO(ServerProtocol):
    """What Engine.IO servers of both revisions say."""

    def handshake(self, sid: str, config: Config, upgrades: Sequence[str]) -> str:
        named = ",".join(f'"{name}"' for name in upgrades)
        interval, timeout = round(config.ping_interval * 1000), round(config.ping_timeout * 1000)
        # Names and numbers only: nothing in it needs an escape.
        return (
            f'0{{"sid":"{sid}","upgrades":[{named}],"pingInterval":{interval},"pingTimeout":{timeout},'
            f'"maxPayload":{config.max_payload}}}'
        )

    def close_packet(self, reason: str) -> Packet:
        # A client that closes also ends its own poll: it expects a noop (Engine.IO protocol, "Closing").
        return Packet(PacketType.NOOP if reason == "transport close" else PacketType.CLOSE)

    def refuses_last_poll(self, reason: str) -> bool:
        # To python-socketio's client a close packet is final, whatever the reason; a refusal brings all clients back.
        return reason in ("server shutting down", "ping timeout", "forced close")

    def refusal(self, error: HandshakeError, body_format: BodyFormat, method: str) -> Body:
        # JSONP too gets the status: a script that fails to load is an error to its client, one that throws is not.
        content = json.dumps({"code": error.code, "message": error.message}, separators=(",", ":")).encode()
        return Body(content, b"application/json", error.status)


class ServerEngineIO4(EngineIO4, _ServerEngineIO):
    """Generation 4, as a server speaks it."""


class ServerEngineIO3(EngineIO3, _ServerEngineIO):
    """Generation 3, as a server speaks it."""

    clients_send_errors = True
    nonfatal_errors = (StrayPacket, UnknownPacket)

    _twice: ServerEngineIO3 | None = None

    @property
    def encoding_twice(self) -> ServerEngineIO3:
        if self._twice is None:
            self._twice = ServerEngineIO3Twice(self.parser)
        return self._twice


class ServerEngineIO3Twice(EngineIO3Twice, ServerEngineIO3):
    """The same for clients of 1.0.x."""

    @property
    def encoding_twice(self) -> ServerEngineIO3:
        return self


_TRANSPORTS_09 = {"websocket": ("websocket",), "polling": ("xhr-polling", "jsonp-polling")}
_RECONNECT = Packet(PacketType.ERROR, data={"message": "client not handshaken", "advice": "reconnect"})
# What clients know, and show to the program.
_REFUSALS_09: dict[type[HandshakeError], tuple[int, str]] = {
    Forbidden: (403, "handshake bad origin"),
    Unavailable: (503, "handshake error"),
    UnsupportedVersion: (500, "Protocol version not supported."),
}


class ServerSocketIO09(SocketIO09, ServerProtocol):
    """Generation 0.9, as a server speaks it."""

    refuses_via_jsonp = True
    allows_transport_switch = True
    answers_posts_first = True
    acks_duplicate_connect = True
    nonfatal_errors = (MalformedPacket, MalformedPayload, UnexpectedPacket)
    clients_send_errors = True
    reserved_fields = frozenset({"t", "jsonp"})
    post_answer = Body(b"1")

    def handshake(self, sid: str, config: Config, upgrades: Sequence[str]) -> str:
        names = [name for transport in config.transports for name in _TRANSPORTS_09[transport]]
        names.sort(key=("websocket", "xhr-polling", "jsonp-polling").index)  # clients try them in this order
        return f"{sid}:{_seconds(config.heartbeat_timeout)}:{_seconds(config.close_timeout)}:{','.join(names)}"

    def close_packet(self, reason: str) -> Packet:
        if reason in ("server namespace disconnect", "client namespace disconnect", "transport close"):
            return Packet(PacketType.DISCONNECT)  # clients told so do not come back
        return _RECONNECT

    def refusal(self, error: HandshakeError, body_format: BodyFormat, method: str) -> Body:
        if isinstance(error, UnknownSession):
            reconnect = self.encode(_RECONNECT).frames
            return self.post_answer if method == "POST" else self.join(reconnect, body_format)
        status, words = _REFUSALS_09.get(type(error), (error.status, error.refused or error.message))
        if body_format.jsonp_index is None:
            return Body(words.encode(errors="replace"), status=status)
        return Body(f"io.j[{body_format.jsonp_index}](new Error({json.dumps(words)}));".encode(), jsonp.SCRIPT)


def _seconds(duration: float) -> str:
    return str(int(duration)) if duration == int(duration) else str(duration)
