"""The target of MessagePack: one message of a client of npm socket.io-msgpack-parser."""

from __future__ import annotations

from dataclasses import replace

import msgpack

from asocketio.config import Config
from asocketio.errors import MalformedPacket, PayloadTooLarge
from asocketio.protocol.msgpack_parser import MsgpackParser
from asocketio.protocol.packet import Packet, PacketType
from tests.fuzz.promises import Broken, Outcome, Target, same

__all__ = ["Messages"]

_ROOMY = Config(max_attachments=1_000_000)
_EXT = frozenset((*range(0xC7, 0xCA), *range(0xD4, 0xD9)))


class Messages(Target):
    """Bytes, read as a packet or refused: what is read is written and comes back, and is what the package reads."""

    name = "msgpack"

    def __init__(self) -> None:
        self._parser = MsgpackParser()

    def run(self, given: bytes) -> Outcome:
        outcome = Outcome()
        try:
            outcome.results.append(self._parser.decoder(Config()).binary(given))
        except (MalformedPacket, PayloadTooLarge) as error:
            outcome.refuse(error)
        return outcome

    def judge(self, given: bytes, outcome: Outcome) -> None:
        packet = outcome.results[0]
        if not isinstance(packet, Packet):
            return
        (frame,) = self._parser.encode(packet, "4")
        assert isinstance(frame, bytes)
        again = self._parser.decoder(_ROOMY).binary(frame)
        wanted = packet if packet.type is not PacketType.DISCONNECT else replace(packet, id=None)
        if again is None or not same(replace(again, id=wanted.id), wanted):
            raise Broken(f"{packet!r:.300} is written {frame!r:.300}, which is read {again!r:.300}")
        if not _EXT & set(given):  # which the package reads otherwise
            fields = msgpack.unpackb(given)
            data = fields.get("data")
            read = [packet.name, *packet.args] if packet.type is PacketType.EVENT else packet.args or packet.data
            if data and type(data) is list and type(data[0]) is not str:
                return  # a number as a name, which is text here
            if data and not same(read, data):
                raise Broken(f"{given!r:.300} is read {read!r:.300}, and {data!r:.300} by the package")

    def size(self, given: bytes) -> int:
        return len(given)

    def of_bytes(self, data: bytes) -> bytes:
        return data

    def to_bytes(self, given: bytes) -> bytes:
        return given
