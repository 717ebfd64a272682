"""JSON both ways: what is legal, what is taken out, and how deep it may nest."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asocketio.errors import MalformedPacket, UsageError
from asocketio.protocol.fast_json import FastJson
from asocketio.protocol.json_codec import MAX_DEPTH, AsciiJson, CustomJson, Json, StdJson, restore
from tests.support.properties import short


def own_dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


STD = StdJson()
FAST = FastJson()
CUSTOM = CustomJson(json.loads, own_dumps)
HALF_LOADS = CustomJson(json.loads, None)
HALF_DUMPS = CustomJson(None, own_dumps)
EVERY = [
    pytest.param(STD, id="std"),
    pytest.param(FAST, id="fast"),
    pytest.param(CUSTOM, id="custom"),
    pytest.param(HALF_LOADS, id="custom loads"),
    pytest.param(HALF_DUMPS, id="custom dumps"),
]
STRICT = [pytest.param(STD, id="std"), pytest.param(FAST, id="fast"), pytest.param(HALF_DUMPS, id="custom dumps")]
every = pytest.mark.parametrize("codec", EVERY)

PLACEHOLDER_0 = '{"_placeholder":true,"num":0}'
PLACEHOLDER_1 = '{"_placeholder":true,"num":1}'


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


# ---- text -> value ---------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["é😀\\n",1,-1.5,true,false,null,{"a":[]}]', ["é😀\n", 1, -1.5, True, False, None, {"a": []}]),
        (" [ 1 ,\n2\t] ", [1, 2]),
        ("18446744073709552000", 18446744073709552000),
        ("1e2", 100.0),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\ud83d"', "\ud83d"),
        ('{"a":1,"a":2}', {"a": 2}),
        (PLACEHOLDER_0, {"_placeholder": True, "num": 0}),
    ],
)
def test_text_is_read_as_its_value(codec: Json, text: str, value: Any) -> None:
    assert codec.loads(text) == value


@pytest.mark.parametrize("codec", STRICT)
@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("NaN", "NaN is not JSON"),
        ("Infinity", "Infinity is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ("1e999", "1e999 is too large a number"),
        ("-1e999", "-1e999 is too large a number"),
        ("9" * 400 + ".0", "9" * 20 + " is too large a number"),
    ],
)
def test_numbers_that_are_none_are_refused(codec: Json, number: str, why: str) -> None:
    with pytest.raises(MalformedPacket, match=re.escape(f"({why})") if codec is STD else re.escape(why)):
        codec.loads(f"[{number}]")


@every
@pytest.mark.parametrize("text", ["", "[", "[1", '"a', "[1]]", "[1,]", "[01]", "{1:2}", "'a'", '"\n"', '"\\q"', "nul"])
def test_text_that_is_not_json_is_refused(codec: Json, text: str) -> None:
    with pytest.raises(MalformedPacket):
        codec.loads(text)


def test_the_error_shows_the_beginning_of_the_text() -> None:
    text = "[1 " + "?" * 1000
    with pytest.raises(MalformedPacket) as caught:
        STD.loads(text)
    assert str(caught.value) == f"not JSON (Expecting ',' delimiter: line 1 column 4 (char 3)): {text[:40]!r}"


def test_whatever_the_programs_json_loads_raises_is_the_peers_fault() -> None:
    failure = KeyError("no")

    def loads(text: str) -> Any:
        raise failure

    with pytest.raises(MalformedPacket, match=r"^json_loads failed \(KeyError\('no'\)\) on '\[1\]'$") as caught:
        CustomJson(loads, None).loads("[1]")
    assert caught.value.__cause__ is failure


@every
def test_an_integer_of_over_4300_digits_is_refused(codec: Json) -> None:
    assert codec.loads("9" * 4300) == int("9" * 4300)
    with pytest.raises(MalformedPacket):
        codec.loads("9" * 4301)


# ---- value -> text ---------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, -1.5, True, None, {"a": [{}]}, "x"], '[1,-1.5,true,null,{"a":[{}]},"x"]'),
        ((1, (2, 3)), "[1,[2,3]]"),
        ({1: 2, None: 3, False: 4, 1.5: 5}, '{"1":2,"null":3,"false":4,"1.5":5}'),
        (18446744073709552000, "18446744073709552000"),
        ("\x00\x1e\"\\", '"\\u0000\\u001e\\"\\\\"'),
        ([], "[]"),
    ],
)  # fmt: skip
def test_a_value_is_written_compactly(codec: Json, value: Any, text: str) -> None:
    assert codec.dumps(value) == (text, [])


def test_text_goes_out_as_it_is_unless_it_is_no_valid_unicode() -> None:
    assert (STD.dumps(["é😀"]), STD.dumps(["é", "\ud83d"])) == (('["é😀"]', []), ('["\\u00e9","\\ud83d"]', []))


@every
def test_binary_values_travel_beside_the_text(codec: Json) -> None:
    value = ["x", b"\x00", {"a": (bytearray(b"\x01"), [memoryview(b"-\x02-")[1:2]])}, b""]
    assert codec.dumps(value) == (
        '["x",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1},[{"_placeholder":true,"num":2}]]},'
        '{"_placeholder":true,"num":3}]',
        [b"\x00", b"\x01", b"\x02", b""],
    )


def test_attachments_are_numbered_once_though_the_text_is_written_twice() -> None:
    text = f'["\\ud83d",{PLACEHOLDER_0},{PLACEHOLDER_1}]'
    assert STD.dumps(["\ud83d", b"a", b"b"]) == (text, [b"a", b"b"])


@every
def test_attachments_are_copies_of_what_may_change(codec: Json) -> None:
    changing = bytearray(b"before")
    _, attachments = codec.dumps([changing])
    changing[:] = b"after!"
    assert attachments == [b"before"]


@every
def test_each_value_has_attachments_of_its_own(codec: Json) -> None:
    first, second, third = codec.dumps([b"1"]), codec.dumps(["none"]), codec.dumps([b"3"])
    assert (first[1], second[1], third[1]) == ([b"1"], [], [b"3"])


def test_a_failure_leaves_nothing_behind() -> None:
    with pytest.raises(UsageError):
        STD.dumps([b"lost", object()])
    assert STD.dumps([b"found"]) == (f"[{PLACEHOLDER_0}]", [b"found"])


@every
@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), {float("nan"): 1}, {1, 2}, object(), 1j, {b"key": 1}, 10**5000],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_say_is_the_programs_mistake(codec: Json, value: Any) -> None:
    with pytest.raises(UsageError):
        codec.dumps(["x", {"a": value}])


@every
def test_a_value_within_itself_is_the_programs_mistake(codec: Json) -> None:
    value: list[Any] = []
    value.append({"a": value})
    with pytest.raises(UsageError):
        codec.dumps(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {1},
            "cannot be sent as JSON: set is no str, number, bool, None, bytes, list or dict; convert it first",
        ),
        (float("nan"), "cannot be sent as JSON: Out of range float values are not JSON compliant"),
        (nested(101), "cannot be sent as JSON: nested deeper than 100"),
    ],
)
def test_the_error_says_what_cannot_be_sent(value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        STD.dumps(value)
    assert str(caught.value).startswith(message)


def test_whatever_the_programs_json_dumps_raises_is_its_mistake() -> None:
    failure = KeyError("no")

    def dumps(value: Any) -> str:
        raise failure

    with pytest.raises(UsageError, match=r"^json_dumps failed: KeyError\('no'\)$") as caught:
        CustomJson(None, dumps).dumps(1)
    assert caught.value.__cause__ is failure


def test_the_programs_json_dumps_may_return_bytes() -> None:
    assert CustomJson(None, lambda value: json.dumps(value, ensure_ascii=False).encode()).dumps(["é"]) == ('["é"]', [])


def test_the_programs_json_dumps_gets_values_that_are_its_own_business() -> None:
    codec = CustomJson(None, lambda value: json.dumps(value, default=sorted))
    assert codec.dumps([{2, 1}, b"x"]) == ('[[1, 2], {"_placeholder": true, "num": 0}]', [b"x"])


# ---- what a program's own functions may do to us -----------------------------------------------------------------


def test_a_lone_surrogate_goes_out_escaped_beside_a_custom_loads() -> None:
    text, _ = HALF_LOADS.dumps(["\ud83d"])
    assert text.encode() == b'["\\ud83d"]'


def test_bytes_of_json_dumps_that_are_not_utf8_are_the_programs_mistake() -> None:
    with pytest.raises(UsageError):
        CustomJson(None, lambda value: b"\xff").dumps(1)


def test_text_of_json_dumps_that_no_frame_can_carry_is_the_programs_mistake() -> None:
    with pytest.raises(UsageError):
        CustomJson(None, lambda value: json.dumps(value, ensure_ascii=False)).dumps("\ud83d")


@pytest.mark.parametrize("returned", [None, 1, ["text"]])
def test_anything_but_text_from_json_dumps_is_the_programs_mistake(returned: Any) -> None:
    with pytest.raises(UsageError, match=r"^json_dumps failed: AttributeError\("):
        CustomJson(None, lambda value: cast(str, returned)).dumps(1)


def test_text_of_json_dumps_that_nests_too_deep_is_the_programs_mistake() -> None:
    codec = CustomJson(None, lambda value: json.dumps(value, default=lambda _: nested(MAX_DEPTH)))
    with pytest.raises(UsageError, match=r"^cannot be sent as JSON: nested deeper than 100$"):
        codec.dumps([object()])


def test_without_functions_of_the_programs_own_it_is_the_standard_json() -> None:
    codec = CustomJson(None, None)
    assert (codec.loads('["é"]'), codec.dumps(["é", b"x", "\ud83d"])) == (
        ["é"],
        STD.dumps(["é", b"x", "\ud83d"]),
    )


# ---- depth -----------------------------------------------------------------------------------------------------


@every
def test_nesting_a_hundred_deep_is_legal_both_ways(codec: Json) -> None:
    value = nested(MAX_DEPTH)
    text, _ = codec.dumps(value)
    assert (text, codec.loads(text)) == ("[" * MAX_DEPTH + "]" * MAX_DEPTH, value)


@every
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 10_000, 1_000_000])
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":[1],"b":'])
def test_text_that_nests_deeper_is_refused_before_it_is_read(codec: Json, opening: str, depth: int) -> None:
    with pytest.raises(MalformedPacket, match=r"^JSON nested deeper than 100$"):
        codec.loads(opening * depth)


@every
@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 500, 100_000])
def test_values_that_nest_deeper_are_the_programs_mistake(codec: Json, depth: int) -> None:
    with pytest.raises(UsageError):
        codec.dumps(nested(depth))


@pytest.mark.parametrize(
    "codec",
    [
        pytest.param(STD, id="std"),
        pytest.param(CUSTOM, id="custom"),
    ],
)
def test_values_one_level_deeper_are_the_programs_mistake(codec: Json) -> None:
    with pytest.raises(UsageError, match=r"nested deeper than 100$"):
        codec.dumps(nested(MAX_DEPTH + 1))


@every
def test_brackets_side_by_side_or_in_text_are_not_depth(codec: Json) -> None:
    value: list[Any] = [[], {}] * 500 + ["[" * 500, '"[' * 500, "\\[" * 500, "]" * 500]
    assert codec.loads(codec.dumps(value)[0]) == value


@every
def test_a_long_text_of_nothing_but_lists_is_refused(codec: Json) -> None:
    """It would take 44 times its size."""
    lists = "[" * 90 + "]" * 90
    with pytest.raises(MalformedPacket, match=r"^JSON of \d+ characters that are nearly all brackets$"):
        codec.loads(f"[{','.join([lists] * 6)}]")
    for taken in (lists, f"[{','.join(['[[[]]]'] * 6000)}]", f'["{"[]" * 3000}"]', f'["{"[" * 3000}"]'):
        assert codec.loads(taken) == json.loads(taken)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


keys = st.sampled_from(["a", "[[", '"{', "\\", "]]]"])
wrappers = st.lists(st.none() | keys, min_size=MAX_DEPTH - 3, max_size=MAX_DEPTH + 3)


@given(wrappers, st.lists(keys, max_size=3))
@settings(short)
def test_depth_is_counted_as_it_is(wrappers: list[str | None], leaf: list[str]) -> None:
    value: Any = leaf
    for key in wrappers:
        value = [key, [], value, "]"] if key is None else {"": "[", key: value, "{": [{}]}
    text = json.dumps(value)
    if depth(value) > MAX_DEPTH:
        with pytest.raises(MalformedPacket):
            STD.loads(text)
    else:
        assert STD.loads(text) == value


# ---- placeholders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"[{PLACEHOLDER_0},{PLACEHOLDER_1}]", [b"0", b"1"]),
        (f"[[{PLACEHOLDER_0}],{PLACEHOLDER_1}]", [[b"0"], b"1"]),
        (f'{{"a":{{"b":{PLACEHOLDER_0}}},"c":{PLACEHOLDER_1}}}', {"a": {"b": b"0"}, "c": b"1"}),
        (PLACEHOLDER_0, b"0"),
        ('{"num":0,"_placeholder":true,"more":[]}', b"0"),
        ('[{"_placeholder":false,"num":0},{"_placeholder":1,"num":0},{"num":0}]', None),
        ('[1,"x",null,true,[],{}]', None),
    ],
)
def test_placeholders_become_the_attachments_they_number(text: str, value: Any) -> None:
    attachments = [b"0", b"1"][: text.count('"_placeholder":true')]
    assert restore(json.loads(text), attachments) == (json.loads(text) if value is None else value)


def refusal(text: str) -> str:
    with pytest.raises(MalformedPacket) as caught:
        restore(json.loads(text), [b"0", b"1"])
    return str(caught.value)


@pytest.mark.parametrize("number", ["2", "-1", "true", "0.0", '"0"', "null", "[]", "1e1", "18446744073709551616"])
def test_a_placeholder_without_its_attachment_is_refused(number: str) -> None:
    said = refusal(f'[{{"_placeholder":true,"num":{number}}}]')
    assert said == f"placeholder {json.loads(number)!r}, expected 0: each attachment has one, in their order"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"[{PLACEHOLDER_0},{PLACEHOLDER_0}]", "placeholder 0, expected 1"),
        (f"[{PLACEHOLDER_1},{PLACEHOLDER_0}]", "placeholder 1, expected 0"),
        (f'{{"a":[{PLACEHOLDER_0},{PLACEHOLDER_1}],"b":{PLACEHOLDER_1}}}', "placeholder 1, expected no more"),
        (f"[{PLACEHOLDER_0}]", "2 attachments, of which number 1 has no placeholder"),
        (f'{{"a":{PLACEHOLDER_0},"a":{PLACEHOLDER_1}}}', "placeholder 1, expected 0"),
        ("[]", "2 attachments, of which number 0 has no placeholder"),
        ('[{"_placeholder":true}]', "placeholder None, expected 0"),
    ],
)
def test_each_attachment_has_one_placeholder_in_their_order(text: str, said: str) -> None:
    assert refusal(text).startswith(said)


@pytest.mark.parametrize("codec", [STD, FAST, HALF_DUMPS, CUSTOM])
@pytest.mark.parametrize(
    "value",
    [
        [{"_placeholder": True, "num": 0}, b"1"],
        [b"1", {"a": [{"_placeholder": True, "num": 7}]}],
        {"x": b"1", "y": {"_placeholder": True}},
        [b"1", ({"_placeholder": True, "num": 0},)],
    ],
)
def test_what_looks_like_a_placeholder_is_not_sent_beside_binary(codec: Json, value: Any) -> None:
    with pytest.raises(UsageError, match=r"a dict with '_placeholder': True beside binary values"):
        codec.dumps(value)


@pytest.mark.parametrize("codec", [STD, FAST, HALF_DUMPS, CUSTOM])
@pytest.mark.parametrize(
    "value",
    [
        [{"_placeholder": True, "num": 0}],
        [b"1", '{"_placeholder":true,"num":0}'],
        {"a": b"1", "b": ['"_placeholder":true']},
        [b"1", {"_placeholder": False}, {"_placeholder": 1, "num": 0}],
    ],
)
def test_a_placeholder_that_nobody_takes_for_one_is_sent(codec: Json, value: Any) -> None:
    text, attachments = codec.dumps(value)
    assert restore(codec.loads(text), attachments) == value if attachments else codec.loads(text) == value


# ---- properties ------------------------------------------------------------------------------------------------


def as_utf16(text: str) -> str:
    """Two surrogates that happen to meet are one character, for JSON as for JavaScript."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


texts = st.text(st.characters()).map(as_utf16)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.binary(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(texts.filter(lambda key: key != "_placeholder"), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("codec", [STD, FAST, CUSTOM])
@given(value=values)
@settings(short)
def test_what_is_written_is_read_and_restored_as_it_was(codec: Json, value: Any) -> None:
    text, attachments = codec.dumps(value)
    assert restore(codec.loads(text), attachments) == value
    assert text.encode().decode() == text


@pytest.mark.parametrize("codec", [STD, FAST, HALF_DUMPS, CUSTOM])
@given(text=st.text(st.characters()) | st.text('[]{}":,\\0123456789.eE+- \n') | st.text('[{"\\]}', max_size=300))
@example(text="[" * 101)
@example(text="]" * 101 + "[" * 101)
@settings(short)
def test_any_text_is_read_or_refused(codec: Json, text: str) -> None:
    try:
        value = codec.loads(text)
    except MalformedPacket:
        return
    assert value == json.loads(text)


# ---- all ASCII, for old clients ---------------------------------------------------------------------------------

INDENTED = CustomJson(json.loads, lambda value: json.dumps(value, ensure_ascii=False, indent="\t", allow_nan=False))
RAW = CustomJson(json.loads, lambda value: json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
PIECES = [
    "a",
    "é",
    "\x80",
    "\xff",
    "世",
    "\u2028",
    "😀",
    '"',
    "\\",
    "\\u00e9",
    "\\\\",
    "\n",
    "\t",
    "\x00",
    "\x1f",
    "\x7f",
    "/",
]
ascii_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.lists(st.sampled_from([*PIECES, "\ud800"])).map("".join),
    lambda inner: st.lists(inner) | st.dictionaries(st.lists(st.sampled_from(PIECES)).map("".join), inner),
    max_leaves=10,
)


@short
@given(value=ascii_values)
@example(value=['é\\u00e9\\\\u00e9"é\\', "\x7fé", {'é"': ['\\"é\\\\']}])
@example(value="\ud83d\ude00é")
def test_ascii_json_is_the_same_value_in_every_form(value: Any) -> None:
    texts = [AsciiJson(codec).dumps(value)[0] for codec in (STD, FAST)]
    assert texts[0] == texts[1]
    for codec in (STD, FAST, CUSTOM, HALF_LOADS):
        text, attachments = AsciiJson(codec).dumps(value)
        assert text.isascii()
        assert (json.loads(text), attachments) == (json.loads(codec.dumps(value)[0]), [])
        assert "\x7f" not in codec.dumps(value)[0] or "\x7f" in text  # that one is ASCII already
    for codec in (INDENTED, RAW):
        try:
            plain = codec.dumps(value)[0]
        except UsageError:  # a lone surrogate has no UTF-8
            continue
        text = AsciiJson(codec).dumps(value)[0]
        assert text.isascii()
        assert json.loads(text) == json.loads(plain)
        assert text.count("\n\t") == plain.count("\n\t")


@pytest.mark.parametrize("piece", ["éa", "é", "世a", "😀a", 'é"', "é\\", "\u2028a", "\né", "\x7fé"])
@pytest.mark.parametrize(
    "codec", [STD, FAST, CUSTOM, HALF_LOADS, INDENTED, RAW], ids=lambda codec: type(codec).__name__
)
def test_a_long_text_becomes_ascii_in_a_few_passes(piece: str, codec: Json) -> None:
    """In C: a call for each run of characters would be half a million calls for a megabyte."""
    value = {"key": piece * 200_000}
    calls = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        text, _ = AsciiJson(codec).dumps(value)
    finally:
        sys.setprofile(None)
    assert json.loads(text) == value
    assert calls < 500


def test_binary_is_taken_out_of_what_becomes_ascii() -> None:
    for codec in (STD, FAST, CUSTOM, HALF_LOADS):
        assert AsciiJson(codec).dumps(["é", b"1", {"ü": b"2"}]) == (
            '["\\u00e9",' + PLACEHOLDER_0 + ',{"\\u00fc":' + PLACEHOLDER_1 + "}]", [b"1", b"2"],
        )  # fmt: skip
