"""What protocols share: encoded packets, and acks by their plain form."""

from __future__ import annotations

import pytest

from asocketio.protocol.base import Encoded, Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.socketio09 import SocketIO09

WIDE = "45\U0001f600"  # its characters take four bytes each in memory, behind a head


@pytest.mark.parametrize(
    ("frames", "size"),
    [(("2",), 1), (("45x", b"\x00\x01"), 5), ((b"\x00\x01",), 2), ((WIDE,), WIDE.__sizeof__()), ((), 0)],
)
def test_the_size_of_an_encoded_packet_is_that_of_its_frames_in_memory(frames: tuple[Frame, ...], size: int) -> None:
    encoded = Encoded(frames)
    assert (encoded.frames, encoded.size, encoded.wire_bytes) == (frames, size, None)


def test_an_encoded_packet_shows_its_frames() -> None:
    assert repr(Encoded(("45", b"\x00"))) == r"Encoded('45', b'\x00')"


def test_an_ack_is_encoded_as_its_packet() -> None:
    protocol = SocketIO09()
    assert protocol.encode_ack("/chat", 7, ["x"]).frames == ('6::/chat:7+["x"]',)
    assert protocol.encode(Packet(PacketType.ACK, "/chat", args=["x"], id=7)).frames == ('6::/chat:7+["x"]',)
