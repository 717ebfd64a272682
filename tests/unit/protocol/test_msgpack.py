"""MessagePack: what JavaScript clients write is read, what is no value of JSON is refused, and memory is bounded."""

from __future__ import annotations

import enum
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asocketio.config import Config
from asocketio.errors import MalformedPacket, PayloadTooLarge, UsageError
from asocketio.protocol import msgpack_parser
from asocketio.protocol.json_codec import MAX_DEPTH
from asocketio.protocol.msgpack_parser import MsgpackParser
from asocketio.protocol.msgpack_reader import read
from asocketio.protocol.packet import ACK, EVENT, Packet, PacketType


def decoded(data: bytes, **settings: Any) -> Packet | None:
    return MsgpackParser().decoder(Config(**settings)).binary(data)


def encoded(packet: Packet) -> Any:
    (frame,) = MsgpackParser().encode(packet, "4")
    assert isinstance(frame, bytes)
    return frame


def an_event(*args: Any, id: int | None = None, name: str = "x") -> Packet:
    return Packet(EVENT, "", name, list(args), None, id, None if id is None else "data")


# What socket.io-msgpack-parser 3.0.2 writes in Node 22 for the packets of socket.io-client 4.8.4.
WRITTEN = {
    "83a47479706500a464617461d40000a36e7370a12f": Packet(PacketType.CONNECT, data={}),
    "83a47479706500a46461746181a5746f6b656ea2c3a9a36e7370a52f63686174": Packet(
        PacketType.CONNECT, "/chat", data={"token": "é"}
    ),
    "85a47479706502a46461746199a17801ffcb3ff8000000000000a6c3a9f09f9880c0c39080a76f7074696f6e7381a8636f6d7072657373c3"
    "a2696407a36e7370a12f": an_event(1, -1, 1.5, "é😀", None, True, [], {}, id=7),
    # A Buffer, ArrayBuffers of one and of eight bytes, undefined and a Date: all but the first are ext type 0.
    "83a47479706502a46461746196a162c4020102c7010000c708000000000000000000d40000d7000000018df229287b"
    "a36e7370a12f": an_event(b"\1\2", b"\0", bytes(8), None, "2024-02-29T00:00:00.123Z", name="b"),
    "84a47479706503a2696400a4646174619181a161d40000a36e7370a12f": Packet(ACK, args=[{"a": None}], id=0),
    "82a47479706501a36e7370a12f": Packet(PacketType.DISCONNECT),
    "83a47479706502a46461746195a3626967cf0020000000000000d3ffe0000000000000cf0000000100000000d3ffffff0000000000"
    "a36e7370a12f": an_event(2**53, -(2**53), 2**32, -(2**40), name="big"),
}


@pytest.mark.parametrize(("written", "packet"), WRITTEN.items(), ids=range(len(WRITTEN)))
def test_what_the_javascript_client_writes_is_read(written: str, packet: Packet) -> None:
    assert decoded(bytes.fromhex(written)) == packet


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
        (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
        (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
    ],
)
def test_a_date_is_the_text_that_it_is_in_json(milliseconds: int, text: str) -> None:
    assert read(b"\xd7\0" + milliseconds.to_bytes(8, signed=True)) == text


# ---- refused -------------------------------------------------------------------------------------------------------

OF_TYPE = {"type": 2, "data": ["x"], "nsp": "/"}
PACKETS: dict[str, Any] = {
    "no map": [2, ["x"], "/"],
    "text for a type": {**OF_TYPE, "type": "2"},
    "a type that is none": {**OF_TYPE, "type": 5},
    "a negative type": {**OF_TYPE, "type": -1},
    "a bool for a type": {**OF_TYPE, "type": True},
    "a float for a type": {**OF_TYPE, "type": 2.0},
    "no type": {"data": ["x"], "nsp": "/"},
    "a list for a type": {**OF_TYPE, "type": [2]},
    "no namespace": {"type": 2, "data": ["x"]},
    "bytes for a namespace": {**OF_TYPE, "nsp": b"/"},
    "a number for a namespace": {**OF_TYPE, "nsp": 1},
    "a namespace without a slash": {**OF_TYPE, "nsp": "chat"},
    "an empty namespace": {**OF_TYPE, "nsp": ""},
    "a namespace that JSON could not name": {**OF_TYPE, "nsp": "/a,b"},
    "text for an id": {**OF_TYPE, "id": "1"},
    "a negative id": {**OF_TYPE, "id": -1},
    "a bool for an id": {**OF_TYPE, "id": True},
    "a float for an id": {**OF_TYPE, "id": 1.0},
    "an id that JavaScript cannot count": {**OF_TYPE, "id": 10**16},
    "a map for data": {**OF_TYPE, "data": {"x": 1}},
    "no data": {"type": 2, "nsp": "/"},
    "an event without a name": {**OF_TYPE, "data": []},
    "an event named by bytes": {**OF_TYPE, "data": [b"x"]},
    "a reserved event": {**OF_TYPE, "data": ["disconnect"]},
    "an ack without an id": {**OF_TYPE, "type": 3},
    "an auth that is a list": {**OF_TYPE, "type": 0},
    "a disconnect with a payload": {**OF_TYPE, "type": 1},
    "an error that is a number": {**OF_TYPE, "type": 4, "data": 1},
}
_NUMBER = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
VALUES: dict[str, bytes] = {
    "nothing": b"",
    "cut off in a text": b"\xa5abc",
    "cut off in a length": b"\xda\0",
    "cut off in a map": b"\x82\xa1a\x01",
    "cut off in a float": b"\xcb\0\0",
    "cut off in an ext": b"\xd7\0\0",
    "cut off in a date": b"\xd7\0" + bytes(7),
    "cut off after its first byte": b"\xc4",
    "a list that lies": b"\xdd\xff\xff\xff\xff\x01",
    "a map that lies": b"\xdf\xff\xff\xff\xff\xa1a\x01",
    "a text that lies": b"\xdb\xff\xff\xff\xffabc",
    "binary that lies": b"\xc6\xff\xff\xff\xffabc",
    "an ext that lies": b"\xc9\xff\xff\xff\xff\0abc",
    "bytes behind its end": b"\x01\x02",
    "text that is no UTF-8": b"\xa2\xff\xfe",
    "half a surrogate pair": b"\xa3\xed\xa0\x80",
    "too deep": b"\x91" * (MAX_DEPTH + 1) + b"\xc0",
    "maps too deep": b"\x81\xa1a" * (MAX_DEPTH + 1) + b"\xc0",
    "too deep, and never closed": b"\x91" * 1_000_000,
    "a number for a key": b"\x81\x01\x01",
    "bytes for a key": b"\x81\xc4\x01a\x01",
    "None for a key": b"\x81\xc0\x01",
    "a list for a key": b"\x81\x90\x01",
    "a map for a key": b"\x81\x80\x01",
    "a key that is no text behind one that is": b"\x82\xa1a\x01\x02\x03",
    "the byte that begins nothing": b"\xc1",
    "a timestamp of 32 bits": msgpack.packb(msgpack.Timestamp(1, 0)),
    "a timestamp of 64 bits": msgpack.packb(msgpack.Timestamp(1, 1)),
    "a timestamp of 96 bits": msgpack.packb(msgpack.Timestamp(2**40, 1)),
    "a date that JavaScript does not have": b"\xd7\0" + (8_640_000_000_000_001).to_bytes(8),
    **{f"an ext of {size} bytes": msgpack.packb(msgpack.ExtType(5, bytes(size))) for size in (1, 2, 4, 8, 16, 20)},
    **{f"a long ext of {size} bytes": msgpack.packb(msgpack.ExtType(5, bytes(size))) for size in (300, 70_000)},
    **{name: msgpack.packb(number) for name, number in _NUMBER.items()},
    **{f"{name} in four bytes": msgpack.packb(number, use_single_float=True) for name, number in _NUMBER.items()},
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_what_is_no_packet_is_refused(packet: Any) -> None:
    with pytest.raises(MalformedPacket):
        decoded(msgpack.packb(packet))


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_no_value_of_json_or_binary_is_refused(value: bytes) -> None:
    for data in (value, b"\x91" + value):
        with pytest.raises(MalformedPacket) as caught:
            read(data)
        assert len(str(caught.value)) < 300


def test_text_is_no_message() -> None:
    with pytest.raises(MalformedPacket, match="speaks MessagePack"):
        MsgpackParser().decoder(Config()).text('42["x"]', 1)


def test_as_deep_as_json_may_be() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert read(msgpack.packb(value)) == value


def test_binary_values_are_counted_as_attachments_are() -> None:
    data = encoded(an_event(b"ab", {"c": b"cd"}, [b"ef"]))
    packet = decoded(data, max_attachments=3, max_attachment_bytes=6)
    assert packet is not None
    assert packet.args == [b"ab", {"c": b"cd"}, [b"ef"]]
    with pytest.raises(MalformedPacket, match="max_attachments") as caught:
        decoded(data, max_attachments=2)
    assert caught.value.limit == "max_attachments"
    with pytest.raises(PayloadTooLarge, match="max_attachment_bytes"):
        decoded(data, max_attachment_bytes=5)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\x00\xff\xff\xff" * MAX_DEPTH,
        b"\xdf\x00\xff\xff\xff\xa1a" * MAX_DEPTH,
        b"\xdc\xff\xff" * MAX_DEPTH + b"\x01" * 100,
        b"\xc6\x7f\xff\xff\xff",
        b"\xdb\x7f\xff\xff\xff",
    ],
)
def test_a_length_that_lies_makes_no_room(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedPacket):
            read(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_a_message_becomes_at_most_72_times_its_bytes() -> None:
    pieces = (
        b"\x80",
        b"\x90",
        b"\x91\x90",
        b"\x91\x01",
        b"\x81\xa0\xc0",
        b"\x81\xa1a\x90",
        b"\xa2\xc3\xa9",
        b"\xcd\xff\xff",
    )
    for piece in pieces:
        count = 60_000 // len(piece)
        tracemalloc.start()
        try:
            value = read(b"\xdd" + count.to_bytes(4) + piece * count)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(value) == count
        assert peak < 72 * len(piece) * count * 1.2, piece


def test_keys_of_clients_are_not_kept() -> None:
    """The C reader interns them; from Python 3.12 on what is interned may live as long as the process."""
    (key,) = read(b"\x81\xb4only in this one tes\x01")
    assert key is not sys.intern("only in this one " + "tes"[:3])


# ---- what is sent --------------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | text | st.binary(max_size=300)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20)


@given(st.lists(values, max_size=4), st.none() | st.integers(0, 10**16 - 1), st.sampled_from(["", "/chat", "/é"]))
def test_an_event_comes_back_as_it_was(args: list[Any], number: int | None, namespace: str) -> None:
    packet = Packet(EVENT, namespace, "name", args, None, number, None if number is None else "data")
    data = encoded(packet)
    assert repr(decoded(data, max_attachments=1000)) == repr(packet)
    said = {"type": 2, "data": ["name", *args], "nsp": namespace or "/", **({} if number is None else {"id": number})}
    assert msgpack.unpackb(data) == said


@given(values)
def test_what_the_package_reads_is_read_alike(value: Any) -> None:
    assert repr(read(msgpack.packb(value))) == repr(value)


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (Packet(PacketType.CONNECT, data={"sid": "x"}), {"type": 0, "data": {"sid": "x"}, "nsp": "/"}),
        (Packet(PacketType.DISCONNECT, "/chat"), {"type": 1, "nsp": "/chat"}),
        (Packet(ACK, args=[None, b"x"], id=0), {"type": 3, "data": [None, b"x"], "nsp": "/", "id": 0}),
        (Packet(PacketType.ERROR, data={"message": "no"}), {"type": 4, "data": {"message": "no"}, "nsp": "/"}),
        (Packet(PacketType.MESSAGE, data="hi"), {"type": 2, "data": ["message", "hi"], "nsp": "/"}),
    ],
)
def test_packets_are_written_as_by_npm(packet: Packet, said: dict[str, Any]) -> None:
    assert msgpack.unpackb(encoded(packet)) == said


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ({2: 2, None: 3, True: 4, 1.5: 5}, {"2": 2, "null": 3, "true": 4, "1.5": 5}),
        ({1: "one", "1": "text"}, {"1": "text"}),
        (msgpack.ExtType(5, b"x"), [5, b"x"]),
        ({7: {8: b"x"}}, {"7": {"8": b"x"}}),
        ((1, (2, 3)), [1, [2, 3]]),
        ("\ud800x", "\ufffdx"),
        ({"\udc00": 1}, {"\ufffd": 1}),
        ("\ud83d\ude00", "😀"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (Level.HIGH, 3),
    ],
)
def test_what_json_turns_into_text_is_text_here(given: Any, read_as: Any) -> None:
    packet = decoded(encoded(an_event(given)))
    assert packet is not None
    assert packet.args == [read_as]


def nested() -> Any:
    value: Any = []
    for _ in range(MAX_DEPTH):
        value = [value]
    return value


class Odd:
    """Of no type that is sent."""

    def __await__(self) -> Any: ...


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (lambda: {1, 2}, "set is no str, number, bool, None, bytes, list or dict; convert it first"),
        (Odd, "Odd: an await is missing"),
        (lambda: 2**64, "an int of over 64 bits"),
        (lambda: -(2**63) - 1, "an int of over 64 bits"),
        (lambda: float("nan"), "nan is no number of JSON"),
        (lambda: [float("inf")], "inf is no number of JSON"),
        (lambda: {float("nan"): 1}, "a key of a dict is nan"),
        (lambda: {b"x": 1}, "a key of a dict is b'x'"),
        (lambda: {(1, 2): 1}, r"a key of a dict is \(1, 2\)"),
        (nested, "nested deeper than 100"),
        (lambda: msgpack.Timestamp(1), "Timestamp is no str"),
    ],
)
def test_what_has_no_form_is_a_mistake_of_the_program(value: Callable[[], Any], why: str) -> None:
    with pytest.raises(UsageError, match=f"^cannot be sent as MessagePack: .*{why}"):
        encoded(an_event(value()))


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (an_event(name="disconnect"), "reserved"),
        (Packet(ACK, args=[]), "number"),
        (Packet(PacketType.PING), "cannot be sent"),
    ],
)
def test_packets_that_are_none_are_refused(packet: Packet, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        encoded(packet)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msgpack_parser, "msgpack", None)
    with pytest.raises(UsageError, match=r"pip install 'asocketio\[msgpack\]'"):
        MsgpackParser()
