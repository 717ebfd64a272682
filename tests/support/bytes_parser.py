"""BytesParser: a second Socket.IO parser, as unlike the first as msgpack is. A packet is one binary message.

A message is parts, each behind its length in four bytes: what the packet is, its values as JSON, and the binary ones
among them. `use` puts it into the generations that have parsers, at the server and at `TestClient`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest

from asocketio.asgi.request import GENERATIONS
from asocketio.config import Config
from asocketio.errors import MalformedPacket, PayloadTooLarge, ProtocolError, UnknownPacket, UsageError
from asocketio.protocol.base import Frame, Protocol
from asocketio.protocol.engineio import EngineIO
from asocketio.protocol.engineio3 import EngineIO3
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.fast_json import best_json
from asocketio.protocol.json_codec import Json, restore
from asocketio.protocol.packet import ACK, EVENT, Packet, PacketType
from asocketio.protocol.parser import RESERVED_EVENTS, PacketDecoder, Parser, check_ack, check_name
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerEngineIO4
from asocketio.testing import TestClient
from asocketio.testing.protocols import PROTOCOLS

__all__ = ["BytesParser", "use"]

_MESSAGES = (PacketType.MESSAGE, PacketType.JSON)
_SENT = (EVENT, ACK, PacketType.CONNECT, PacketType.DISCONNECT, PacketType.ERROR)


class BytesParser(Parser):
    """Encodes what the JSON parser encodes, and refuses what it refuses."""

    def __init__(self, json: Json | None = None, revision: Literal[4, 5] = 5) -> None:
        self.json = best_json() if json is None else json
        self.revision: Literal[4, 5] = revision

    def encode(self, packet: Packet, prefix: str) -> tuple[Frame, ...]:
        if packet.type in _MESSAGES:
            packet = replace(packet, type=EVENT, name="message", args=[packet.data], data=None)
        if packet.type not in _SENT:
            raise UsageError(f"a packet of type {packet.type} cannot be sent to this client")
        if packet.type is EVENT:
            check_name(packet.name)
        elif packet.type is ACK:
            check_ack(packet.id)
        value = (
            [packet.name, *packet.args] if packet.type is EVENT else packet.args if packet.type is ACK else packet.data
        )
        text, attachments = self.json.dumps(value)
        if attachments and packet.type not in (EVENT, ACK):
            raise UsageError(f"a packet of type {packet.type} cannot carry binary data")
        head, _ = best_json().dumps([packet.type.value, packet.endpoint, packet.id])
        return (b"".join(len(part).to_bytes(4) + part for part in (head.encode(), text.encode(), *attachments)),)

    def decoder(self, config: Config) -> PacketDecoder:
        return _BytesDecoder(self.json, config, UnknownPacket if self.revision == 4 else MalformedPacket)

    def for_revision(self, revision: Literal[4, 5]) -> Parser:
        return BytesParser(self.json, revision)

    def with_json(self, json: Json) -> Parser:
        return BytesParser(json, self.revision)


class _BytesDecoder(PacketDecoder):
    def __init__(self, json: Json, config: Config, unknown_type: type[MalformedPacket]) -> None:
        self._json = json
        self._config = config
        self._unknown_type = unknown_type

    def text(self, frame: str, start: int) -> Packet | None:
        error = self._unknown_type if frame[start : start + 1] > "6" else MalformedPacket
        raise error(f"text {frame[start : start + 20]!r}, expected bytes")

    def binary(self, data: bytes) -> Packet | None:
        head, text, *attachments = _parts(data)
        if len(attachments) > self._config.max_attachments:
            most = self._config.max_attachments
            raise MalformedPacket(
                f"{len(attachments)} attachments, at most {most} are allowed (max_attachments)", "max_attachments"
            )
        if sum(map(len, attachments)) > (most := self._config.max_attachment_bytes):
            raise PayloadTooLarge(f"over {most} bytes in one packet (max_attachment_bytes)", "max_attachment_bytes")
        kind, endpoint, number = best_json().loads(head.decode())
        value = restore(self._json.loads(text.decode()), attachments)
        packet = Packet(PacketType(kind), endpoint, id=number)
        if packet.type in (EVENT, ACK):
            packet.args = _checked(packet, value)
        else:
            packet.data = {} if value is None and packet.type is PacketType.CONNECT else value
        return packet


def _checked(packet: Packet, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedPacket(f"{packet.type} with {value!r:.20}, expected a list")
    if packet.type is ACK:
        return value
    packet.name, *args = value
    if not isinstance(packet.name, str) or packet.name in RESERVED_EVENTS:
        raise MalformedPacket(f"an event {packet.name!r:.20}")
    packet.ack = None if packet.id is None else "data"
    return args


def _parts(data: bytes) -> list[bytes]:
    parts: list[bytes] = []
    while data:
        size = 4 + int.from_bytes(data[:4])
        if len(data) < size:
            raise MalformedPacket(f"{data[:8]!r}, expected a length and as many bytes")
        parts.append(data[4:size])
        data = data[size:]
    if len(parts) < 2:
        raise MalformedPacket("a packet without its JSON")
    return parts


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all that is made from now on speak by it, in the generations that have a parser."""
    monkeypatch.setitem(GENERATIONS, "3", lambda: ServerEngineIO3(BytesParser()))
    monkeypatch.setitem(GENERATIONS, "4", lambda: ServerEngineIO4(BytesParser()))
    monkeypatch.setitem(PROTOCOLS, "3", lambda: EngineIO3(BytesParser()))
    monkeypatch.setitem(PROTOCOLS, "4", lambda: EngineIO4(BytesParser()))
    monkeypatch.setattr(TestClient, "post_frames", _post_translated)


_post_frames = TestClient.post_frames


async def _post_translated(client: TestClient, *frames: Frame) -> None:
    await _post_frames(client, *translated(client.protocol, frames))


def translated(protocol: Protocol, frames: Iterable[Frame]) -> Iterator[Frame]:
    """Frames of the JSON parser, which tests write by hand, as those of ``protocol``; others as they are."""
    if not isinstance(protocol, EngineIO):
        yield from frames
        return
    decoder = (EngineIO3() if protocol.generation == "3" else EngineIO4()).decoder(Config())
    is_due = False
    for frame in frames:
        if not is_due and (isinstance(frame, bytes) or not frame.startswith("4")):
            yield frame
            continue
        try:
            packet = decoder.feed(frame)
        except ProtocolError:
            yield frame
            continue
        is_due = packet is None
        if packet is not None:
            yield from protocol.encode(packet).frames
