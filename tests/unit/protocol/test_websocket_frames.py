"""Frames against its oracle: the same bytes, in chunks of any size, give the same messages and the same close code."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asocketio.protocol.websocket_frames import LARGE, Frames, frame, frames_of, head
from tests.clients.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, encode_frame
from tests.support.properties import short
from tests.unit.servers.compare import Tally, case_of, compare, main
from tests.unit.servers.oracle import Ours, cut, heard

LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes and where they are cut."""

    data: bytes
    cuts: list[int]

    @property
    def chunks(self) -> list[bytes]:
        bounds = sorted(at % (len(self.data) + 1) for at in self.cuts)
        return [self.data[a:b] for a, b in zip([0, *bounds], [*bounds, len(self.data)], strict=True)]


CODES = st.sampled_from([999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 2999, 3000, 4999, 5000, 65_535])
TEXTS = st.text(max_size=40).map(str.encode)
BROKEN_TEXTS = st.tuples(TEXTS, st.sampled_from([b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xf4\x90\x80\x80"])).map(b"".join)
REASONS = st.one_of(TEXTS, BROKEN_TEXTS)
CLOSES = st.one_of(st.binary(max_size=2), st.builds(close_payload, CODES, REASONS))
LENGTHS = st.sampled_from([0, 1, 124, 125, 126, 127, 128, LIMIT - 1, LIMIT, LIMIT + 1])
PAYLOADS = st.one_of(TEXTS, BROKEN_TEXTS, st.binary(max_size=20), LENGTHS.map(bytes))
KEYS = st.one_of(st.binary(min_size=4, max_size=4), st.just(bytes(4)))
FORMS = st.sampled_from([0, 0, 126, 127])
LIES = st.sampled_from([LIMIT + 1, 65_535, 65_536, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 63) + 5, (1 << 64) - 1])

WHOLE = st.builds(encode_frame, st.sampled_from([TEXT, BINARY]), PAYLOADS, key=KEYS, form=FORMS)
CONTROLS = st.one_of(
    st.builds(encode_frame, st.sampled_from([PING, PONG]), st.binary(max_size=125), key=KEYS, form=FORMS),
    st.builds(encode_frame, st.just(CLOSE), CLOSES, key=KEYS, form=FORMS),
)
ANYTHING = st.builds(
    encode_frame,
    st.integers(0, 15),
    PAYLOADS,
    fin=st.booleans(),
    reserved=st.sampled_from([0, 0, 0, 1, 2, 4, 7]),
    key=st.one_of(KEYS, st.none()),
    form=FORMS,
    claimed=st.one_of(st.none(), st.none(), LIES),
)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """A message in fragments, cut anywhere, control frames between them, sometimes never ended."""
    payload = draw(PAYLOADS)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    data = b""
    for number, part in enumerate(parts):
        opcode = CONT if number else draw(st.sampled_from([TEXT, BINARY]))
        fin = number == len(parts) - 1 and draw(st.integers(0, 9)) > 0
        data += encode_frame(opcode, part, fin=fin, key=draw(KEYS), form=draw(FORMS))
        if draw(st.integers(0, 3)) == 0:
            data += draw(CONTROLS)
    return data


STREAMS = st.builds(
    Wire,
    st.lists(st.one_of(WHOLE, fragmented(), CONTROLS, ANYTHING, st.binary(max_size=12)), max_size=6).map(b"".join),
    st.lists(st.integers(0, 1 << 16), max_size=6),
)


@given(STREAMS)
@example(Wire(encode_frame(TEXT, "é") * 3, [7, 13]))
@example(
    Wire(
        encode_frame(TEXT, b"\xf0\x9f", fin=False) + encode_frame(PING, b"p") + encode_frame(CONT, b"\x98\x80"), [9, 17]
    )
)
@short
def test_all_chunkings_are_read_as_the_oracle_reads_them(wire: Wire) -> None:
    assert heard(wire.data, limit=LIMIT) == heard(*wire.chunks, limit=LIMIT)


@given(st.lists(st.one_of(WHOLE, fragmented(), CONTROLS, ANYTHING), max_size=4).map(b"".join), st.integers(1, 130))
@short
def test_bytes_that_come_one_by_one(data: bytes, limit: int) -> None:
    assert heard(data, limit=limit) == heard(*cut(data[:600], 1), data[600:], limit=limit)


@given(st.lists(st.one_of(TEXTS.map(bytes.decode), st.binary(max_size=200)), min_size=1, max_size=5), st.data())
@short
def test_what_is_sent_well_arrives_as_it_was(messages: list[str | bytes], data: st.DataObject) -> None:
    wire = b"".join(encode_frame(TEXT if isinstance(m, str) else BINARY, m, key=data.draw(KEYS)) for m in messages)
    assert heard(*Wire(wire, data.draw(st.lists(st.integers(0, 999), max_size=4))).chunks) == (
        [(TEXT if isinstance(m, str) else BINARY, m) for m in messages],
        None,
    )


def test_a_few_thousand_mutations() -> None:
    tally = Tally()
    for number in range(2000):
        assert compare(case_of(7, number), tally) == ""
    assert tally.messages > 1000
    assert set(tally.refused) == {1002, 1007, 1009}
    assert tally.closes > 20


def test_the_runner(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cases", "50", "--seed", "3"]) == 0
    assert capsys.readouterr().out.startswith("50 cases, ")
    assert case_of(3, 17) == case_of(3, 17) != case_of(4, 17)


def test_the_runner_tells_a_difference(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asocketio.protocol.websocket_frames._CLOSE_CODES", frozenset({999}))
    assert main(["--cases", "2000"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("DIFFERENCE: seed 1, case ")
    assert "Case(limit=" in out


# ---- one rule at a time ----------------------------------------------------------------------------------------


def refused(*chunks: bytes, limit: int = LIMIT) -> int | None:
    said, code = heard(*chunks, limit=limit)
    assert said == []
    return code


@pytest.mark.parametrize("key", [b"\0\0\0\0", b"\x37\xfa\x21\x3d", b"\xff\xff\xff\xff"])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("form", [0, 126, 127])
def test_each_length_in_each_form(length: int, form: int, key: bytes) -> None:
    if form == 126 and length > 65_535:
        return
    data = encode_frame(TEXT, b"a" * length, form=form, key=key) + encode_frame(
        BINARY, b"b" * length, form=form, key=key
    )
    assert heard(data) == ([(TEXT, "a" * length), (BINARY, b"b" * length)], None)


@pytest.mark.parametrize("limit", [1, 125, 126, 1000, 65_535, 65_536])
def test_the_limit_is_the_largest_message(limit: int) -> None:
    assert heard(encode_frame(BINARY, bytes(limit)), limit=limit)[0] == [(BINARY, bytes(limit))]
    assert refused(encode_frame(BINARY, bytes(limit + 1)), limit=limit) == 1009


@pytest.mark.parametrize("claimed", [LIMIT + 1, 65_536, 1 << 62, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING])
def test_what_is_too_large_is_refused_at_its_header(opcode: int, claimed: int) -> None:
    header = encode_frame(opcode, b"", key=None, claimed=claimed)
    header = header[:1] + bytes((header[1] | 0x80,)) + header[2:]
    assert refused(*cut(header, 1)) == 1009
    said, code = heard(*cut(header, 1)[:-1], limit=LIMIT)
    assert (said, code) == ([], None)


def test_fragments_count_together() -> None:
    half = encode_frame(BINARY, bytes(600), fin=False)
    assert heard(half, encode_frame(CONT, bytes(400)), limit=LIMIT) == ([(BINARY, bytes(1000))], None)
    assert refused(half, encode_frame(CONT, bytes(401))) == 1009
    assert refused(half, encode_frame(CONT, bytes(401))[:4]) == 1009  # its header is enough


def test_after_a_message_the_limit_is_whole_again() -> None:
    message = encode_frame(BINARY, bytes(600), fin=False) + encode_frame(CONT, bytes(400))
    assert heard(message * 3, limit=LIMIT) == ([(BINARY, bytes(1000))] * 3, None)


@pytest.mark.parametrize("reserved", range(1, 8))
@pytest.mark.parametrize("opcode", [CONT, TEXT, BINARY, CLOSE, PING, PONG])
def test_reserved_bits_are_refused(opcode: int, reserved: int) -> None:
    assert refused(encode_frame(opcode, reserved=reserved)) == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_unknown_opcodes_are_refused_at_once(opcode: int) -> None:
    assert refused(encode_frame(opcode)[:2]) == 1002


@pytest.mark.parametrize("opcode", [CONT, TEXT, BINARY, CLOSE, PING, PONG])
def test_unmasked_frames_are_refused_at_once(opcode: int) -> None:
    assert refused(encode_frame(opcode, b"x" * 8, key=None)[:2]) == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_whole_and_short(opcode: int) -> None:
    assert refused(encode_frame(opcode, fin=False)) == 1002
    assert refused(encode_frame(opcode, close_payload(1000, b"x" * 124))) == 1002
    assert heard(encode_frame(opcode, close_payload(1000, b"x" * 123)))[1] is None


@pytest.mark.parametrize("fin", [False, True])
def test_a_continuation_of_nothing_is_refused(fin: bool) -> None:
    assert refused(encode_frame(CONT, b"x", fin=fin)) == 1002
    assert heard(encode_frame(TEXT, "whole") + encode_frame(CONT, b"x", fin=fin)) == ([(TEXT, "whole")], 1002)


@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_another_message_within_a_message_is_refused(opcode: int, fin: bool) -> None:
    assert refused(encode_frame(TEXT, "a", fin=False) + encode_frame(opcode, b"b", fin=fin)) == 1002
    assert (
        refused(encode_frame(TEXT, "a", fin=False) + encode_frame(opcode, b"\xff", fin=fin)) == 1002
    )  # whatever it holds


def test_a_close_within_a_message_is_refused() -> None:
    assert refused(encode_frame(TEXT, "a", fin=False) + encode_frame(CLOSE)) == 1002


@pytest.mark.parametrize(
    "whole", [b"\xff", b"\xc3", b"ab\xed\xa0\x80c", b"\xf4\x90\x80\x80", b"\xe2\x82\xac" * 9 + b"\xe2"]
)
def test_invalid_text_is_refused_however_it_is_cut(whole: bytes) -> None:
    assert refused(encode_frame(TEXT, whole)) == 1007
    for at in range(len(whole) + 1):
        assert refused(encode_frame(TEXT, whole[:at], fin=False) + encode_frame(CONT, whole[at:])) == 1007
    assert heard(encode_frame(BINARY, whole)) == ([(BINARY, whole)], None)


def test_a_character_may_be_cut_by_fragments() -> None:
    data = "a😀é".encode()
    for size in range(1, len(data)):
        parts = cut(data, size)
        wire = b"".join(
            encode_frame(CONT if number else TEXT, part, fin=number == len(parts) - 1)
            for number, part in enumerate(parts)
        )
        assert heard(wire) == ([(TEXT, "a😀é")], None)


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", close_payload(4999, "bye é")])
def test_nothing_follows_a_close(payload: bytes) -> None:
    assert heard(encode_frame(CLOSE, payload) + encode_frame(TEXT, "late") + b"\xff" * 9) == ([(CLOSE, payload)], None)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        (close_payload(1005), 1002),
        (close_payload(0), 1002),
        (close_payload(65_535), 1002),
        (close_payload(1000, b"\xff"), 1007),
        (close_payload(1005, b"\xff"), 1007),
        (close_payload(1000, b"\xf0\x9f"), 1007),
    ],
)
def test_malformed_closes_are_refused(payload: bytes, code: int) -> None:
    assert refused(encode_frame(CLOSE, payload)) == code


@pytest.mark.parametrize("code", [*range(990, 1030), 2999, 3000, 4999, 5000])
def test_each_close_code(code: int) -> None:
    heard(encode_frame(CLOSE, close_payload(code)))


# ---- time and memory -------------------------------------------------------------------------------------------


def test_a_million_empty_fragments_take_linear_time() -> None:
    took: list[float] = []
    for count in (50_000, 1_000_000):
        reader = Ours(LIMIT)
        begun = time.process_time()
        reader.feed(encode_frame(TEXT, "a", fin=False))
        for chunk in cut(encode_frame(CONT, fin=False) * count, 65_536):
            reader.feed(chunk)
        reader.feed(encode_frame(CONT, "b"))
        took.append(time.process_time() - begun)
        assert (reader.said, reader.code) == ([(TEXT, "ab")], None)
    assert took[1] < 60 * took[0]


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_fragments_take_no_memory_but_their_bytes(payload: bytes) -> None:
    reader = Ours(1_000_000)
    chunks = cut(encode_frame(BINARY, fin=False) + encode_frame(CONT, payload, fin=False) * 20_000, 4096)
    tracemalloc.start()
    try:
        for chunk in chunks:
            reader.feed(chunk)
        assert tracemalloc.get_traced_memory()[1] < 4 * 20_000 * len(payload) + 50_000
    finally:
        tracemalloc.stop()
    assert (reader.said, reader.code) == ([], None)


def test_a_large_message_in_small_chunks_takes_linear_time() -> None:
    took: list[float] = []
    for size in (100_000, 2_000_000):
        reader = Ours(4_000_000)
        chunks = cut(encode_frame(BINARY, bytes(size)), 16)
        begun = time.process_time()
        for chunk in chunks:
            reader.feed(chunk)
        took.append(time.process_time() - begun)
        assert reader.said == [(BINARY, bytes(size))]
    assert took[1] < 60 * took[0]


def test_a_length_that_is_claimed_takes_no_memory() -> None:
    frames = Frames(1 << 40)
    header = encode_frame(BINARY, b"", claimed=1 << 39)
    tracemalloc.start()
    try:
        frames.push(header)
        assert frames.next() is None
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


def test_a_reader_that_pauses_loses_nothing() -> None:
    frames = Frames(LIMIT)
    found = []
    for number in range(100):
        frames.push(encode_frame(TEXT, str(2 * number)) + encode_frame(TEXT, str(2 * number + 1))[:4])
        found.append(frames.next())  # one of those that are there
        frames.push(encode_frame(TEXT, str(2 * number + 1))[4:])
    while (last := frames.next()) is not None:
        found.append(last)
    assert found == [(TEXT, str(number)) for number in range(200)]


# ---- out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_heads_are_the_shortest(opcode: int, length: int) -> None:
    assert head(opcode, length) == encode_frame(opcode, bytes(length), key=None)[: -length or None]
    assert frame(opcode, bytes(length)) == encode_frame(opcode, bytes(length), key=None)


@given(st.lists(st.one_of(st.text(max_size=9), st.binary(max_size=9), st.just("x" * LARGE), st.just(bytes(LARGE)))))
@short
def test_messages_are_framed_one_after_the_other(messages: list[str | bytes]) -> None:
    wire = [encode_frame(TEXT if isinstance(m, str) else BINARY, m, key=None) for m in messages]
    parts = frames_of(tuple(messages))
    assert b"".join(parts) == b"".join(wire)
    assert all(parts)


def test_a_large_payload_is_not_copied() -> None:
    payload = bytes(LARGE)
    assert any(part is payload for part in frames_of(("before", payload, "after")))
    assert len(frames_of(("a", b"b", "c"))) == 1
