"""An Engine.IO server as the official suites want it: every message comes back as it was.

Engine.IO has no door of its own here, so this is a parser for messages without Socket.IO: whatever an Engine.IO message
holds is one event of the global namespace, and such an event is written as that message alone.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from asocketio import BaseNamespace, Config, Packet, PacketType, SocketIOApp
from asocketio.asgi.request import GENERATIONS
from asocketio.protocol.base import Encoded, Frame
from asocketio.protocol.parser import PacketDecoder, Parser
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerEngineIO4
from asocketio.session.writer import Writer

__all__ = ["echo_app"]

_post = Writer.post


def _post_something(writer: Writer, encoded: Encoded) -> None:
    """Posts, unless there is nothing to post: an empty packet would still end a waiting poll."""
    if encoded.frames:
        _post(writer, encoded)


Writer.post = _post_something  # type: ignore[method-assign, assignment]  # in this test's server process only


class RawParser(Parser):
    """Engine.IO with nothing above it."""

    def encode(self, packet: Packet, prefix: str) -> tuple[Frame, ...]:
        if packet.type is not PacketType.EVENT:
            return ()
        [message] = packet.args
        return (prefix + message if isinstance(message, str) else message,)

    def decoder(self, config: Config) -> PacketDecoder:
        return _RawDecoder()


class _RawDecoder(PacketDecoder):
    def text(self, frame: str, start: int) -> Packet:
        return Packet(PacketType.EVENT, name="raw", args=[frame[start:]])

    def binary(self, data: bytes) -> Packet:
        return Packet(PacketType.EVENT, name="raw", args=[data])


class RawEngineIO3(ServerEngineIO3):
    """For the suite of revision 3."""

    def __init__(self) -> None:
        super().__init__(RawParser())


class RawEngineIO4(ServerEngineIO4):
    """For the suite of revision 4. The global namespace opens by itself: nobody asks for it."""

    opens_global = True

    def __init__(self) -> None:
        super().__init__(RawParser())


class Echo(BaseNamespace):
    async def on_raw(self, message: str | bytes) -> None:
        await self.emit("raw", message)


def echo_app(**settings: Any) -> SocketIOApp:
    """Echoes at ``/engine.io/``."""
    with patch.dict(GENERATIONS, {"3": RawEngineIO3, "4": RawEngineIO4}):
        return SocketIOApp(namespaces={"/": Echo}, path="engine.io", **settings)
