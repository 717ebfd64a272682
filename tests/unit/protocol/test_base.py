"""What protocols share: encoded packets, and acks by their plain form."""

from __future__ import annotations

import gc

import pytest

from asocketio.protocol.base import Encoded, Frame
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.socketio09 import SocketIO09

WIDE = "45\U0001f600"  # its characters take four bytes each in memory, behind a head


@pytest.mark.parametrize(
    ("frames", "size"),
    [(("2",), 1), (("45x", b"\x00\x01"), 5), ((b"\x00\x01",), 2), ((WIDE,), 12), ((), 0)],
)
def test_the_size_of_an_encoded_packet_is_that_of_its_frames_in_memory(frames: tuple[Frame, ...], size: int) -> None:
    encoded = Encoded(frames)
    assert (encoded.frames, encoded.size, encoded.wire_bytes) == (frames, size, None)


@pytest.mark.parametrize(
    "frames",
    [
        (f"42{WIDE * 100}",),
        ("x" * 20_000, b"", b"\x00" * 200, b"\xff" * 100_000, b"end"),
        ("é" * 125, b"\x00" * 125, b"\x00" * 126, b"\x00" * 65_535, b"\x00" * 65_536),
        (b"\x04" + bytes(200), b"\x04"),
    ],
)
def test_a_packet_is_kept_framed_in_place_of_its_messages(frames: tuple[Frame, ...]) -> None:
    encoded = Encoded(frames)
    framed = encoded.framed()
    held = gc.get_referents(encoded)
    assert held.count(framed) == 1
    assert frames not in held
    assert (encoded.frames, encoded.wire_bytes, encoded.framed()) == (frames, framed, framed)


def test_an_encoded_packet_shows_its_frames() -> None:
    assert repr(Encoded(("45", b"\x00"))) == r"Encoded('45', b'\x00')"


def test_an_ack_is_encoded_as_its_packet() -> None:
    protocol = SocketIO09()
    assert protocol.encode_ack("/chat", 7, ["x"]).frames == ('6::/chat:7+["x"]',)
    assert protocol.encode(Packet(PacketType.ACK, "/chat", args=["x"], id=7)).frames == ('6::/chat:7+["x"]',)
