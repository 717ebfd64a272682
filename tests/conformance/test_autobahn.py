"""The cases of the Autobahn test suite (sections 1 to 7 and 9) that need no network, by its numbers.

The suite's peer echoes messages. Here `Frames` says what it has read: what it would echo. Its cases on compression (12
and 13) have no place where none is offered; it calls some ends informational (7.13), which are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.clients.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, encode_frame
from tests.unit.servers.oracle import cut, heard

BIG = 16 * 1024 * 1024


def echoed(*chunks: bytes, limit: int = BIG) -> list[str | bytes]:
    """The messages; nothing was refused."""
    said, code = heard(*chunks, limit=limit)
    assert code is None
    return [payload for opcode, payload in said if opcode in (TEXT, BINARY)]


def failed(*chunks: bytes, after: Sequence[str | bytes] = ()) -> int | None:
    """The close code, after these messages."""
    said, code = heard(*chunks)
    assert [payload for opcode, payload in said if opcode in (TEXT, BINARY)] == list(after)
    return code


def pieces(opcode: int, parts: Sequence[bytes], between: bytes = b"") -> bytes:
    """One message in these fragments."""
    last = len(parts) - 1
    frames = [encode_frame(CONT if number else opcode, part, fin=number == last) for number, part in enumerate(parts)]
    return between.join(frames)


# ---- 1 framing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chop", [0, 997], ids=["whole", "chopped"])
@pytest.mark.parametrize("length", [0, 125, 126, 127, 128, 65_535, 65_536])
def test_1_1_and_1_2_lengths(length: int, chop: int) -> None:
    for opcode, message in ((TEXT, "*" * length), (BINARY, b"\xfe" * length)):
        data = encode_frame(opcode, message)
        assert echoed(*(cut(data, chop) if chop else [data])) == [message]


# ---- 2 pings and pongs (their answers: test_connection) --------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125])
@pytest.mark.parametrize("opcode", [PING, PONG])
@pytest.mark.parametrize("chop", [1, 1000])
def test_2_1_to_2_4_and_2_6_to_2_11_pings_and_pongs(opcode: int, payload: bytes, chop: int) -> None:
    assert heard(*cut(encode_frame(opcode, payload) * 10, chop)) == ([(opcode, payload)] * 10, None)


def test_2_5_a_ping_that_is_too_long() -> None:
    assert failed(encode_frame(PING, b"\xfe" * 126)) == 1002


# ---- 3 reserved bits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reserved", "chop"), [(1, 999), (2, 999), (3, 999), (4, 1), (5, 999), (6, 999), (7, 999)])
def test_3_1_to_3_7_reserved_bits(reserved: int, chop: int) -> None:
    opcode = {5: BINARY, 6: PING, 7: CLOSE}.get(reserved, TEXT)
    hello = encode_frame(TEXT, "Hello, world!")
    data = hello + encode_frame(opcode, b"*" * 13, reserved=reserved) + encode_frame(PING)
    assert failed(*cut(data, chop), after=["Hello, world!"]) == 1002


# ---- 4 opcodes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chop", [1, 999])
@pytest.mark.parametrize("payload", [b"", b"reserved opcode"])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_4_1_and_4_2_reserved_opcodes(opcode: int, payload: bytes, chop: int) -> None:
    hello = encode_frame(TEXT, "Hello, world!")
    assert failed(*cut(encode_frame(opcode, payload) + encode_frame(PING), chop)) == 1002
    assert (
        failed(*cut(hello + encode_frame(opcode, payload) + encode_frame(PING), chop), after=["Hello, world!"]) == 1002
    )


# ---- 5 fragmentation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_5_1_and_5_2_control_frames_in_two_fragments(opcode: int) -> None:
    assert failed(encode_frame(opcode, b"fragment1", fin=False) + encode_frame(CONT, b"fragment2")) == 1002


@pytest.mark.parametrize("chop", [1, 5, 999])
@pytest.mark.parametrize("between", [b"", encode_frame(PING, b"ping payload")], ids=["", "ping"])
def test_5_3_to_5_8_and_5_19_text_in_fragments(between: bytes, chop: int) -> None:
    data = pieces(TEXT, [b"fragment1", b"fragment2"], between)
    assert echoed(*cut(data, chop)) == ["fragment1fragment2"]
    data = pieces(TEXT, [b"fragment1", b"fragment2", b"fragment3", b"fragment4", b"fragment5"], between)
    assert echoed(*cut(data, chop)) == ["fragment1fragment2fragment3fragment4fragment5"]


@pytest.mark.parametrize("chop", [1, 999])
@pytest.mark.parametrize("fin", [True, False])
def test_5_9_to_5_14_a_continuation_of_nothing(fin: bool, chop: int) -> None:
    data = encode_frame(CONT, b"non-continuation payload", fin=fin) + encode_frame(TEXT, "Hello, world!")
    assert failed(*cut(data, chop)) == 1002
    assert failed(*cut(encode_frame(TEXT, "first") + data, chop), after=["first"]) == 1002


def test_5_15_a_fragment_after_a_message_that_has_ended() -> None:
    data = (
        pieces(TEXT, [b"fragment1", b"fragment2"])
        + encode_frame(CONT, b"fragment3", fin=False)
        + encode_frame(TEXT, "fragment4")
    )
    assert failed(data, after=["fragment1fragment2"]) == 1002


@pytest.mark.parametrize("fin", [False, True])
def test_5_16_and_5_17_continuations_before_texts(fin: bool) -> None:
    assert failed((encode_frame(CONT, b"fragment1", fin=fin) + encode_frame(TEXT, "fragment2")) * 2) == 1002


def test_5_18_two_texts_that_have_not_ended() -> None:
    assert failed(encode_frame(TEXT, "fragment1", fin=False) + encode_frame(TEXT, "fragment2")) == 1002


def test_5_20_pings_between_fragments_are_heard_at_once() -> None:
    said, code = heard(
        encode_frame(TEXT, "fragment1", fin=False), encode_frame(CONT, b"fragment2", fin=False),
        encode_frame(PING, b"pongme 1!"),
        encode_frame(CONT, b"fragment3", fin=False), encode_frame(CONT, b"fragment4", fin=False),
        encode_frame(PING, b"pongme 2!"),
        encode_frame(CONT, b"fragment5"),
    )  # fmt: skip
    whole = "fragment1fragment2fragment3fragment4fragment5"
    assert (said, code) == ([(PING, b"pongme 1!"), (PING, b"pongme 2!"), (TEXT, whole)], None)


# ---- 6 UTF-8 ---------------------------------------------------------------------------------------------------

KOSME = "κόσμε"
VALID: dict[str, list[bytes]] = {
    "6.2": [b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"],
    "6.5": [KOSME.encode()],
    "6.7": [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    "6.9": [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    "6.11": [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"],
    "6.22": [chr(plane << 16 | last).encode() for plane in range(17) for last in (0xFFFE, 0xFFFF)],
    "6.23": [chr(code).encode() for code in range(0xFFF9, 0x10000)],
}
BROKEN: dict[str, list[bytes]] = {
    "6.3": [b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"],
    "6.8": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.10": [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    "6.11.5": [b"\xf4\x90\x80\x80"],
    "6.12": [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:n] for n in range(2, 7)), bytes(range(0x80, 0xC0))],
    "6.13": [
        b"".join(bytes((first, 0x20)) for first in firsts)
        for firsts in (range(0xC0, 0xE0), range(0xE0, 0xF0), range(0xF0, 0xF8), range(0xF8, 0xFC), range(0xFC, 0xFE))
    ],
    "6.14": [
        b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
        b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf",
    ],
    "6.16": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17": [
        b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf",
    ],
    "6.18": [
        b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf",
    ],
    "6.19": [
        b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80",
    ],
    "6.20": [chr(code).encode(errors="surrogatepass") for code in (
        0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF,
    )],
    "6.21": [
        (chr(high) + chr(low)).encode(errors="surrogatepass")
        for high in (0xD800, 0xDB7F, 0xDB80, 0xDBFF) for low in (0xDC00, 0xDFFF)
    ],
}  # fmt: skip
BROKEN["6.15"] = [b"".join(BROKEN["6.14"])]


def texts(table: dict[str, list[bytes]]) -> list[object]:
    return [
        pytest.param(payload, id=f"{name}.{number}")
        for name, payloads in table.items()
        for number, payload in enumerate(payloads, 1)
    ]


@pytest.mark.parametrize("parts", [[b""], [b"", b"", b""], [b"", b"middle frame payload", b""]])
def test_6_1_empty_texts(parts: list[bytes]) -> None:
    assert echoed(pieces(TEXT, parts)) == [b"".join(parts).decode()]


@pytest.mark.parametrize("payload", texts(VALID))
def test_6_2_to_6_23_valid_texts(payload: bytes) -> None:
    data = encode_frame(TEXT, payload)
    assert echoed(data) == echoed(*cut(data, 1)) == [payload.decode()]
    assert echoed(pieces(TEXT, cut(payload, 1))) == [payload.decode()]  # a fragment for each octet


@pytest.mark.parametrize("payload", texts(BROKEN))
def test_6_3_to_6_21_invalid_texts(payload: bytes) -> None:
    data = encode_frame(TEXT, payload)
    assert failed(data) == failed(*cut(data, 1)) == 1007
    assert failed(pieces(TEXT, cut(payload, 1))) == 1007
    assert failed(encode_frame(TEXT, "first") + data, after=["first"]) == 1007


@pytest.mark.parametrize("number", range(1, len(KOSME.encode()) + 1))
def test_6_6_all_prefixes(number: int) -> None:
    payload = KOSME.encode()[:number]
    if payload.decode(errors="ignore").encode() == payload:
        assert echoed(encode_frame(TEXT, payload)) == [payload.decode()]
    else:
        assert failed(encode_frame(TEXT, payload)) == 1007


@pytest.mark.parametrize("bad", [b"\xf4\x90\x80\x80", b"\xf4\x90"])
@pytest.mark.parametrize("chop", [1, 999])
def test_6_4_a_text_that_is_invalid_in_its_middle(bad: bytes, chop: int) -> None:
    """The suite asks for no more than the end; that it comes before the last fragment is "strict", not required."""
    parts = [KOSME.encode(), bad, b"edited"]
    assert failed(*cut(pieces(TEXT, parts), chop)) == 1007
    assert failed(*cut(encode_frame(TEXT, b"".join(parts)), chop)) == 1007


# ---- 7 closes (their echoes: test_connection) ------------------------------------------------------------------


def test_7_1_3_to_7_1_5_nothing_is_heard_after_a_close() -> None:
    for late in (encode_frame(PING), encode_frame(TEXT, "late"), encode_frame(CONT, b"fragment2"), encode_frame(CLOSE)):
        assert heard(encode_frame(CLOSE) + late) == ([(CLOSE, b"")], None)


def test_7_1_6_a_large_message_before_the_close() -> None:
    message = "a" * 256 * 1024
    said, code = heard(
        encode_frame(TEXT, message) + encode_frame(TEXT, "Hello World!") + encode_frame(CLOSE) + encode_frame(PING)
    )
    assert (said, code) == ([(TEXT, message), (TEXT, "Hello World!"), (CLOSE, b"")], None)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        pytest.param(b"", None, id="7.3.1"),
        pytest.param(b"a", 1002, id="7.3.2"),
        pytest.param(close_payload(1000), None, id="7.3.3"),
        pytest.param(close_payload(1000, "Hello World!"), None, id="7.3.4"),
        pytest.param(close_payload(1000, "*" * 123), None, id="7.3.5"),
        pytest.param(close_payload(1000, "*" * 124), 1002, id="7.3.6"),
        pytest.param(close_payload(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited"), 1007, id="7.5.1"),
    ],
)
def test_7_3_and_7_5_what_a_close_carries(payload: bytes, code: int | None) -> None:
    assert heard(encode_frame(CLOSE, payload)) == ([(CLOSE, payload)] if code is None else [], code)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_7_7_valid_close_codes(code: int) -> None:
    assert heard(encode_frame(CLOSE, close_payload(code))) == ([(CLOSE, close_payload(code))], None)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535])
def test_7_9_invalid_close_codes(code: int) -> None:
    assert failed(encode_frame(CLOSE, close_payload(code))) == 1002


# ---- 9 limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [65_536, 262_144, 1 << 20, 4 << 20, BIG])
def test_9_1_and_9_2_large_messages(size: int) -> None:
    (text,) = echoed(encode_frame(TEXT, b"*" * size))
    assert text == "*" * size
    (binary,) = echoed(*cut(encode_frame(BINARY, b"\xfe" * size), 1 << 18))
    assert binary == b"\xfe" * size


@pytest.mark.parametrize("size", [256, 1024, 4096, 65_536, 1 << 20])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_9_3_and_9_4_large_messages_in_fragments(opcode: int, size: int) -> None:
    (message,) = echoed(*cut(pieces(opcode, cut(b"*" * (1 << 21), size)), 1 << 16))
    assert message == ("*" * (1 << 21) if opcode == TEXT else b"*" * (1 << 21))


@pytest.mark.parametrize("chop", [64, 128, 256, 512, 1024, 2048])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_9_5_and_9_6_large_messages_in_chops(opcode: int, chop: int) -> None:
    (message,) = echoed(*cut(encode_frame(opcode, b"*" * (1 << 20)), chop))
    assert len(message) == 1 << 20


@pytest.mark.parametrize("size", [0, 16, 64, 256, 1024, 4096])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_9_7_and_9_8_a_thousand_messages(opcode: int, size: int) -> None:
    assert len(echoed(*cut(encode_frame(opcode, b"*" * size) * 1000, 65_536))) == 1000
