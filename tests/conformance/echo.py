"""An Engine.IO server as the official suites want it: every message comes back as it was.

Engine.IO has no door of its own here, so this is a `Protocol` that spells messages without Socket.IO: whatever an
Engine.IO message holds is one event of the global namespace, and such an event is written as that message alone.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from asocketio import BaseNamespace, Config, Packet, PacketType, Socket, SocketIOApp
from asocketio.asgi.request import GENERATIONS
from asocketio.protocol.base import BodyFormat, Decoder, Encoded, Frame
from asocketio.protocol.engineio import EngineIO
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerEngineIO4

__all__ = ["echo_app"]

NOTHING = Encoded(())

_post = Socket.post


def _post_something(socket: Socket, encoded: Encoded) -> None:
    """Posts, unless there is nothing to post: an empty packet would still release a waiting poll."""
    if encoded is not NOTHING:
        _post(socket, encoded)


Socket.post = _post_something  # type: ignore[method-assign, assignment]  # in this test's server process only


class Raw(EngineIO):
    """Engine.IO with nothing above it."""

    opens_global = True

    def encode(self, packet: Packet) -> Encoded:
        if packet.type is PacketType.EVENT:
            return Encoded((packet.args[0],))
        if packet.type in (PacketType.CONNECT, PacketType.DISCONNECT):
            return NOTHING
        return super().encode(packet)

    def decoder(self, config: Config) -> Decoder:
        return _RawDecoder(super().decoder(config))


class RawEngineIO3(Raw, ServerEngineIO3):
    """For the suite of revision 3."""


class RawEngineIO4(Raw, ServerEngineIO4):
    """For the suite of revision 4."""


class _RawDecoder(Decoder):
    def __init__(self, engine: Decoder) -> None:
        self._engine = engine

    def feed(self, frame: Frame) -> Packet | None:
        if isinstance(frame, bytes) or frame.startswith("4"):
            return Packet(PacketType.EVENT, name="raw", args=[frame])
        return self._engine.feed(frame)

    def split(self, body: bytes, form: BodyFormat, *, binary: bool = False) -> list[Frame]:
        return self._engine.split(body, form, binary=binary)


class Echo(BaseNamespace):
    async def on_raw(self, frame: Frame) -> None:
        await self.emit("raw", frame)


def echo_app(**settings: Any) -> SocketIOApp:
    """Echoes at ``/engine.io/``."""
    with patch.dict(GENERATIONS, {"3": RawEngineIO3, "4": RawEngineIO4}):
        return SocketIOApp(namespaces={"/": Echo}, path="engine.io", **settings)
