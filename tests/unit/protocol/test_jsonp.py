"""JSONP: scripts as answers, forms as bodies, and the numbers of callbacks, in all generations that know it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from time import perf_counter
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asocketio.asgi.request import GENERATIONS, parse_request
from asocketio.config import Config
from asocketio.errors import BadRequest, MalformedPayload
from asocketio.protocol import jsonp
from asocketio.protocol.base import Body, BodyFormat, Frame, Protocol
from asocketio.protocol.packet import Packet, PacketType
from tests.support.properties import short

PROTOCOLS: dict[str, Protocol] = {name: cls() for name, cls in GENERATIONS.items()}
CONFIG = Config()
SCRIPT = b"text/javascript; charset=UTF-8"
SECONDS = 5.0
"""For 200 kB: a hundred times what linear code needs."""


def form(payload: str, generation: str) -> bytes:
    """The body in which a client of JSONP posts a payload."""
    if generation == "0.9":
        return urlencode({"d": json.dumps(payload, ensure_ascii=False)}).encode()
    # Both of the client's replacements, one after the other.
    return urlencode({"d": payload.replace("\\n", "\\\n").replace("\n", "\\n")}).encode()


def split(body: bytes, generation: str = "3") -> list[Frame]:
    return list(PROTOCOLS[generation].decoder(CONFIG).split(body, BodyFormat(jsonp_index=0)))


# ---- answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "content"),
    [
        ("", b'___eio[0]("");'),
        ("1:6", b'___eio[0]("1:6");'),
        ('"\\', b'___eio[0]("\\"\\\\");'),
        ("a\nb\r\t\x00\x7f", b'___eio[0]("a\\nb\\r\\t\\u0000\\u007f");'),
        ("é😀\ufffd", b'___eio[0]("\\u00e9\\ud83d\\ude00\\ufffd");'),
        ("\u2028\u2029", b'___eio[0]("\\u2028\\u2029");'),
        ("\ud800", b'___eio[0]("\\ud800");'),
    ],
)
def test_a_script_calls_the_callback_with_text_and_is_all_ascii(argument: str, content: bytes) -> None:
    assert jsonp.script("___eio[0]", argument) == Body(content, SCRIPT, 200)


@pytest.mark.parametrize(
    ("generation", "script", "frames", "content"),
    [
        ("0.9", 0, ["1::"], b'io.j[0]("1::");'),
        ("0.9", 2, ['6:::1+["\\u00e9\\n"]'], b'io.j[2]("6:::1+[\\"\\\\u00e9\\\\n\\"]");'),
        ("0.9", 1, ["8::", "3:::é"], b'io.j[1]("\\ufffd3\\ufffd8::\\ufffd5\\ufffd3:::\\u00e9");'),
        ("3", 0, ["40"], b'___eio[0]("2:40");'),
        ("3", 12, ['42["\\ud83d"]', b"\x04\x01\x02\xff"], b'___eio[12]("12:42[\\"\\\\ud83d\\"]6:b4AQL/");'),
        ("4", 999999999, ["2", b"\xff"], b'___eio[999999999]("2\\u001eb/w==");'),
    ],
)
def test_a_poll_is_answered_by_a_script(generation: str, script: int, frames: list[Frame], content: bytes) -> None:
    assert PROTOCOLS[generation].join(frames, BodyFormat(jsonp_index=script)) == Body(content, SCRIPT, 200)


# ---- bodies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"d=", ""),
        (b"d", ""),
        (b"d=1%3A2", "1:2"),
        (b"d=1:2", "1:2"),
        (b"d=a+b%2B%20c", "a b+ c"),
        (b"d=%C3%A9%F0%9F%98%80", "é😀"),
        ("d=é".encode(), "é"),
        (b"d=a=b", "a=b"),
        (b"d=%26%3D%0D%0A", "&=\r\n"),
        (b"d=%", "%"),
        (b"d=%zz", "%zz"),
        (b"d=first&d=last", "first"),
        (b"a=1&d=2&b=3", "2"),
        (b"a=1&b=2&c=3&e=4&f=5&g=6&h=7&i=8&j=9&d=10", "10"),
    ],
)
def test_the_field_d_of_a_form_is_the_payload(body: bytes, value: str) -> None:
    assert jsonp.field(body) == value


NOT_UTF8 = "not a form that can be read: 'utf-8' codec can't decode byte {:#x} in position 0: invalid {} byte"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "a form without the field d: b''"),
        (b"D=1", "a form without the field d: b'D=1'"),
        (b" d=1", "a form without the field d: b' d=1'"),
        (b"6:4hello", "a form without the field d: b'6:4hello'"),
        (b"x=" + b"a" * 1000, f"a form without the field d: {b'x=' + b'a' * 38!r}"),
        (b"d=\xff", "the body is not UTF-8 at byte 2"),
        (b"d=%FF", NOT_UTF8.format(0xFF, "start")),
        (b"d=%ED%A0%80", NOT_UTF8.format(0xED, "continuation")),
        (b"d=1" + b"&a=1" * 10, "not a form that can be read: Max number of fields exceeded"),
    ],
)
def test_a_body_that_is_no_such_form_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        jsonp.field(body)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("escaped", "meant"),
    [
        (r"", ""),
        (r"\n", "\n"),
        (r"\\n", r"\n"),
        (r"\\\n", r"\\n"),
        (r"\\\\n", r"\\\n"),
        (r"\n\n", "\n\n"),
        (r"\\n\n", "\\n\n"),
        (r"\n\\n", "\n\\n"),
        (r"n\\", r"n\\"),
        (r"\r\t\\", r"\r\t\\"),
        ("\r\n", "\r\n"),
    ],
)
def test_newlines_and_pairs_of_backslash_and_n_are_told_apart(escaped: str, meant: str) -> None:
    assert jsonp.unescape(escaped) == meant


# A backslash before a newline cannot be told from an escape; in JSON there is none.
@given(st.text(st.sampled_from("\\n\na\r"), max_size=20).filter(lambda text: "\\\n" not in text))
@example("\\\\n")
@settings(short)
def test_what_a_client_escapes_is_unescaped(text: str) -> None:
    assert jsonp.unescape(text.replace("\\n", "\\\n").replace("\n", "\\n")) == text


def test_a_body_of_2_x_as_it_was_captured() -> None:
    body = b"d=20%3A42%5B%22echo%22%2C%22%C3%A9%F0%9F%98%80%5C%5Cn%22%2C1%5D"
    frames = ['42["echo","é😀\\n",1]']
    assert (split(body), body) == (frames, form("20:" + frames[0], "3"))


def test_a_body_of_1_x_is_encoded_twice_here_too() -> None:
    packet = '42["echo","é😀\\n",1]'
    assert split(form("23:" + packet.encode().decode("latin-1"), "3")) == [packet]


@pytest.mark.parametrize(
    ("generation", "payload", "frames"),
    [
        ("0.9", '5:::{"name":"x","args":["\\n"]}', ['5:::{"name":"x","args":["\\n"]}']),
        ("0.9", "\ufffd5\ufffd3:::é\ufffd3\ufffd2::", ["3:::é", "2::"]),
        ("0.9", "", [""]),
        ("3", "3:4a\n1:2", ["4a\n", "2"]),
        ("3", "6:b4AQL/2:40", [b"\x04\x01\x02\xff", "40"]),
        ("3", "2:b4", [b"\x04"]),
        ("4", "4é\\n\n\x1ebAQL/", ["4é\\n\n", b"\x01\x02\xff"]),
    ],
)
def test_a_form_is_split_into_its_frames(generation: str, payload: str, frames: list[Frame]) -> None:
    assert split(form(payload, generation), generation) == frames


@pytest.mark.parametrize(
    "data",
    [
        *("", "5:::{}", "5", "null", "true", "[]", '["1::"]', '{"d":"1::"}', '"1::', "'1::'", '"1::" "2::"', '"\\x"'),
        *('"\n"', "NaN", "[" * 100_000, "1" * 100_000, '"\ufffd9\ufffd1::"'),
    ],
)  # fmt: skip
def test_in_09_the_field_is_a_payload_as_a_json_string(data: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        split(urlencode({"d": data}).encode(), "0.9")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
def test_half_a_surrogate_pair_in_09_becomes_something_that_can_be_sent_back(half: str) -> None:
    (frame,) = split(urlencode({"d": f'"1::/{half}"'}).encode(), "0.9")
    assert (frame, PROTOCOLS["0.9"].decoder(CONFIG).feed(frame)) == (
        "1::/\ufffd",
        Packet(PacketType.CONNECT, "/\ufffd", data={}),
    )


@pytest.mark.parametrize("payload", ["7:4hello", "5:4hello", "3:4é😀", "6", "abc", "3:b4A", "6:b4--_!"])
def test_in_3_a_bad_payload_is_refused_in_a_form_too(payload: str) -> None:
    with pytest.raises(MalformedPayload):
        split(form(payload, "3"))


# ---- round trips -----------------------------------------------------------------------------------------------

# Half a surrogate pair has no UTF-8, so that it cannot be in a form.
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\n\n"&=+%\ufffd'), max_size=8)
values = st.recursive(texts | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3), max_leaves=4)
arguments = st.lists(values, max_size=3)
binary = st.lists(values | st.binary(max_size=4), max_size=3)


def events(args: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Packet]]:
    return st.lists(st.builds(Packet, st.just(PacketType.EVENT), name=st.just("x"), args=args), min_size=1, max_size=3)


@given(
    st.sampled_from(["3", "4"]).flatmap(lambda name: st.tuples(st.just(name), events(binary)))
    | events(arguments).map(lambda packets: ("0.9", packets))
)
@settings(short, max_examples=150)
def test_what_goes_out_in_a_script_comes_in_by_a_form_as_it_was(given: tuple[str, list[Packet]]) -> None:
    generation, packets = given
    protocol = PROTOCOLS[generation]
    frames = [frame for packet in packets for frame in protocol.encode(packet).frames]
    called = re.fullmatch(
        rb'(?:___eio|io\.j)\[7\]\((".*")\);', protocol.join(frames, BodyFormat(jsonp_index=7)).content
    )
    assert called is not None
    payload = json.loads(called[1])
    assert payload == protocol.join(frames, BodyFormat(text_only=True)).content.decode()
    decoder = protocol.decoder(CONFIG)
    read = [decoder.feed(frame) for frame in decoder.split(form(payload, generation), BodyFormat(jsonp_index=7))]
    assert [packet for packet in read if packet is not None] == packets


@given(texts.map("4".__add__) | texts)
@settings(short)
def test_any_text_passes_a_form(text: str) -> None:
    assert split(form("\ufffd0\ufffd" + f"\ufffd{len(text.encode('utf-16-le')) // 2}\ufffd{text}", "0.9"), "0.9") == [
        "",
        text,
    ]


@given(st.binary(), st.sampled_from(["0.9", "3", "4"]))
@settings(short, max_examples=300)
def test_any_body_is_split_or_refused_as_the_peers_fault(body: bytes, generation: str) -> None:
    for each in (body, b"d=" + body, b'd="' + body + b'"'):
        with suppress(MalformedPayload):
            assert {type(frame) for frame in split(each, generation)} <= {str, bytes}


@pytest.mark.parametrize(
    "body", [b"&" * 200_000, b"d=" + b"%" * 200_000, b"d=" + b"\\" * 200_000, b"d=" + b"\\n" * 100_000]
)
@pytest.mark.parametrize("generation", ["0.9", "3", "4"])
def test_a_long_form_is_split_or_refused_in_linear_time(body: bytes, generation: str) -> None:
    started = perf_counter()
    with suppress(MalformedPayload):
        split(body, generation)
    assert perf_counter() - started < SECONDS


# ---- numbers of callbacks --------------------------------------------------------------------------------------

NO_NUMBERS = [
    *("", "x", "1x", "x1", "-1", "+1", "1.0", "1e1", "0x1", " 1", "1 ", "1\n", "\n1", "1_0", "٣", "³", "1;alert(1)"),
    *("1234567890", "1" * 5000, "1]", "true", "null", "\x00"),
]


def scope(query: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": query.encode()}


@pytest.mark.parametrize("index", NO_NUMBERS)
@pytest.mark.parametrize("eio", ["3", "4"])
def test_a_callback_that_is_no_number_is_refused(eio: str, index: str) -> None:
    with pytest.raises(BadRequest, match=r"expected the number of a JSONP callback$"):
        parse_request(scope(f"EIO={eio}&transport=polling&j={quote(index)}"), "/", CONFIG, PROTOCOLS)


@pytest.mark.parametrize("index", NO_NUMBERS)
@pytest.mark.parametrize(
    ("below", "field", "body_format"),
    [("/1/", "jsonp", BodyFormat()), ("/1/jsonp-polling/abc", "i", BodyFormat(jsonp_index=0))],
    ids=["handshake", "poll"],
)
def test_in_09_it_is_as_if_it_were_not_there(below: str, field: str, body_format: BodyFormat, index: str) -> None:
    assert parse_request(scope(f"{field}={quote(index)}"), below, CONFIG, PROTOCOLS).body_format == body_format


@pytest.mark.parametrize(("index", "number"), [("0", 0), ("7", 7), ("007", 7), ("999999999", 999999999)])
def test_a_callback_has_a_number_of_up_to_nine_digits(index: str, number: int) -> None:
    visits = [
        parse_request(scope(f"EIO=3&transport=polling&j={index}"), "/", CONFIG, PROTOCOLS),
        parse_request(scope(f"jsonp={index}"), "/1/", CONFIG, PROTOCOLS),
        parse_request(scope(f"i={index}"), "/1/jsonp-polling/abc", CONFIG, PROTOCOLS),
    ]
    assert [visit.body_format.jsonp_index for visit in visits] == [number] * 3
