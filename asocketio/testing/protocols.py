"""What a `TestClient` says differently in each generation, beyond the encoding of its `Protocol`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from asocketio.config import Config
from asocketio.errors import SocketIOError, UsageError
from asocketio.protocol.base import Frame, Protocol
from asocketio.protocol.engineio3 import EngineIO3
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.parser import Parser
from asocketio.protocol.parsers import ParserName, parser_of
from asocketio.protocol.socketio09 import SocketIO09

__all__ = ["CLIENT_PROTOCOLS", "PROTOCOLS", "ClientProtocol", "query_of"]

PROTOCOLS: dict[str, Callable[[], Protocol]] = {"0.9": SocketIO09, "3": EngineIO3, "4": EngineIO4}
"""The name of a generation -> what makes its protocol."""

TRANSPORTS = {"websocket": "websocket", "polling": "polling", "jsonp": "polling"}


class ClientProtocol:
    """Engine.IO 4: everything is in the query, the client asks for namespaces and answers pings."""

    pings_itself = False
    """The client pings, in the interval that the handshake names."""
    opens_by_http = False
    """The handshake is a plain request, whatever carries the session later."""

    def __init__(self, generation: str) -> None:
        self.generation = generation
        self.protocol = PROTOCOLS[generation]()

    def use_parser(self, parser: ParserName | Parser) -> None:
        """Encode packets by another parser.

        Raises:
            UsageError: clients of this generation have none but JSON, or there is no such parser.
        """
        if self.generation != "4":
            raise UsageError(f"parser={parser!r}: clients of generation {self.generation} speak JSON")
        self.protocol = EngineIO4(parser_of(parser))

    def address(self, transport: str, sid: str) -> tuple[str, dict[str, str]]:
        """What follows the path, and the query, of a request."""
        query = {"EIO": self.generation, "transport": TRANSPORTS[transport]}
        if transport == "jsonp":
            query["j"] = "0"
        return "", query | ({"sid": sid} if sid else {})

    def handshake(self, frame: Frame) -> dict[str, Any]:
        """What the server said when it opened the session."""
        packet = self.protocol.decoder(Config()).feed(frame)
        if packet is None or packet.type is not PacketType.OPEN:
            raise SocketIOError(f"not a handshake: {frame!r}")
        said: dict[str, Any] = json.loads(packet.data)
        return said

    def connect(self, endpoint: str, auth: Any) -> Packet | None:
        """What asks for a namespace; None where the server brings the client in by itself."""
        return Packet(PacketType.CONNECT, endpoint, data=auth)

    def socket_id(self, sessid: str, endpoint: str) -> str:
        """What a client calls ``socket.id`` that makes it up itself, of the session's id; from generation 4 on none."""
        return ""

    def answer(self, packet: Packet) -> Packet | None:
        """What a packet of the connection itself must be answered."""
        return Packet(PacketType.PONG, data=packet.data) if packet.type is PacketType.PING else None

    def leave_packet(self) -> Packet | None:
        """What a client posts that goes; None where it makes a request for it."""
        return Packet(PacketType.CLOSE)

    def is_last(self, frame: Frame) -> bool:
        """A poll answered with this is the last one."""
        return frame == "1"


class _Elder(ClientProtocol):
    """Before generation 4 the global namespace opens by itself, and auth travels as a query."""

    separator = "?"

    def connect(self, endpoint: str, auth: Any) -> Packet | None:
        if not endpoint:
            return None
        return Packet(PacketType.CONNECT, endpoint + (self.separator + query_of(auth) if auth else ""))

    def socket_id(self, sessid: str, endpoint: str) -> str:
        return sessid


class _EngineIO3(_Elder):
    pings_itself = True

    def answer(self, packet: Packet) -> Packet | None:
        return None

    def socket_id(self, sessid: str, endpoint: str) -> str:
        return f"{endpoint}#{sessid}" if endpoint else sessid


class _SocketIO09(_Elder):
    opens_by_http = True
    separator = ":?"

    def address(self, transport: str, sid: str) -> tuple[str, dict[str, str]]:
        if not sid:
            return "1/", {"jsonp": "0"} if transport == "jsonp" else {}
        if transport == "jsonp":
            return f"1/jsonp-polling/{sid}", {"i": "0"}
        return f"1/{'websocket' if transport == 'websocket' else 'xhr-polling'}/{sid}", {}

    def handshake(self, frame: Frame) -> dict[str, Any]:
        if not isinstance(frame, str) or frame.count(":") != 3:
            raise SocketIOError(f"not a handshake: {frame!r}")
        sid, heartbeat, close, transports = frame.split(":")
        return {"sid": sid, "heartbeat": float(heartbeat), "close": float(close), "transports": transports.split(",")}

    def answer(self, packet: Packet) -> Packet | None:
        return Packet(PacketType.HEARTBEAT) if packet.type is PacketType.HEARTBEAT else None

    def leave_packet(self) -> Packet | None:
        return None

    def is_last(self, frame: Frame) -> bool:
        return frame == "0::" or str(frame).startswith("7:::1")


def query_of(auth: Any) -> str:
    """``auth`` as a query, the way it travels before generation 4."""
    if not isinstance(auth, Mapping):
        raise UsageError(f"auth={auth!r}: before generation 4 it travels as a query, so it must be a dict of text")
    return urlencode(auth)


CLIENT_PROTOCOLS: dict[str, type[ClientProtocol]] = {"0.9": _SocketIO09, "3": _EngineIO3, "4": ClientProtocol}
