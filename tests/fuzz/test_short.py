"""The short run of the fuzzing: what each target promises, for inputs of Hypothesis' making; and that it can fail.

What reads JSON is run with the standard library and with the accelerators: in both forms of ``tests.support.forms``.

The long run is ``python -m tests.fuzz.run``, the coverage-guided one ``python -m tests.fuzz.atheris_targets``.
"""

from __future__ import annotations

import functools
import json
import operator
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from asocketio.asgi import request as visit
from asocketio.errors import MalformedPacket
from asocketio.protocol import engineio3, fast_json, jsonp, socketio09, utf16
from asocketio.protocol import json_codec as codec
from asocketio.protocol.base import Body, Frame
from asocketio.protocol.fast_json import FastJson
from asocketio.protocol.json_codec import StdJson
from asocketio.protocol.json_parser import JSONPacketDecoder, JSONParser
from asocketio.protocol.packet import Packet, PacketType
from tests.fuzz import promises, run
from tests.fuzz.atheris_targets import dictionary
from tests.fuzz.inputs import TOKENS, Inputs, binary_3, body_09, body_3, body_4, examples
from tests.fuzz.promises import Broken, Target, examine, weight
from tests.fuzz.run import Found, Watch, main, run_chunk, shrunk
from tests.fuzz.targets import TARGETS, Posted, Request, form_of_eio, targets
from tests.support.properties import short

# ---- inputs ----------------------------------------------------------------------------------------------------

tokens = st.sampled_from(TOKENS)
characters = st.text(st.characters(), max_size=6)
soup = st.lists(tokens | characters, max_size=8).map("".join)
nothing = st.just("")


@st.composite
def damaged(draw: st.DrawFn, texts: SearchStrategy[str]) -> str:
    """Text with a few accidents: something is cut out, put in, or there twice."""
    text = draw(texts)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, len(text)))
        text = text[:at] + draw(tokens | nothing | st.just(text[at:end] * 2)) + text[end:]
    return text


@st.composite
def broken_bytes(draw: st.DrawFn, bodies: SearchStrategy[bytes]) -> bytes:
    """Bytes with an accident, in the middle of a character as likely as not."""
    body = draw(bodies)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(body)))
        end = draw(st.integers(at, min(at + 3, len(body))))
        body = body[:at] + draw(st.binary(max_size=3) | soup.map(utf8)) + body[end:]
    return body


def utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def placeholder(number: int) -> dict[str, Any]:
    return {"_placeholder": True, "num": number}


def dumps(value: Any, separators: tuple[str, str]) -> str:
    return json.dumps(value, separators=separators)


placeholders: SearchStrategy[Any] = st.integers(-1, 3).map(placeholder)
values: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | characters | placeholders,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(characters, inner, max_size=3),
    max_leaves=8,
)
arrays = st.lists(values, max_size=4)
spaces = st.sampled_from([(",", ":"), (", ", " : ")])
json_text = st.builds(dumps, values | arrays, spaces)
json_text |= st.integers(90, 110).map(lambda depth: "[" * depth + "]" * depth)
endpoints = st.sampled_from(["", "/", "/chat", "/é😀", "/a?b=c&d", "/chat?" + "&" * 201]) | characters.map("/".__add__)
numbers = st.sampled_from(["", "0", "70", "9" * 16, "9" * 17])


@st.composite
def engine_frames(draw: st.DrawFn, mark: bytes) -> list[Frame]:
    """A packet of Engine.IO and its attachments, nearly as a client would send it."""
    if draw(st.integers(0, 5)) == 0:
        return [draw(st.sampled_from("0123567")) + draw(st.sampled_from(["", "probe", "é"]) | soup)]
    kind = draw(st.sampled_from("0123456"))
    count = draw(st.sampled_from([0, 1, 1, 2, 10, 11])) if kind in "56" else 0
    head = f"{count}-" if kind in "56" else ""
    endpoint = draw(endpoints)
    where = endpoint and endpoint + draw(st.sampled_from([",", ",", ""]))
    number = draw(numbers) if kind in "2356" else ""
    holders: list[Any] = [{"_placeholder": True, "num": index} for index in range(count)]
    args = [*holders, *draw(arrays)]
    payloads = {"0": nothing | json_text, "1": nothing, "4": json_text}
    payload = draw(payloads[kind]) if kind in payloads else json.dumps(["x", *args] if kind in "25" else args)
    text = draw(damaged(st.just(f"4{kind}{head}{where}{number}{payload}")))
    return [text, *draw(st.lists(st.binary(max_size=4).map(mark.__add__), min_size=count, max_size=count))]


@st.composite
def frames_09(draw: st.DrawFn) -> list[Frame]:
    """A packet of 0.9, nearly as a client would send it."""
    kind = draw(st.sampled_from("012345678"))
    number = draw(st.sampled_from(["", "", "1", "1+", "+", "9" * 17]))
    endpoint = draw(st.sampled_from(["", "", "/", "/chat", "/é😀", "chat"]))
    args = draw(arrays)
    datas = {
        "1": st.sampled_from(["", "?a=b", "?a=%ff&&"]),
        "3": characters | soup,
        "4": json_text,
        "5": st.sampled_from([json.dumps({"name": "x", "args": args}), '{"name":"x"}', '{"name":1}', "[]"]),
        "6": st.sampled_from(["1", "1+" + json.dumps(args), "1+{}", "9" * 17, ""]),
        "7": st.sampled_from(["1+0", "2", "why", "9+0"]),
    }
    data = ":" + draw(datas[kind]) if kind in datas else ""
    return [draw(damaged(st.just(f"{kind}:{number}:{endpoint}{data}")))]


def joined(parts: list[list[Frame]]) -> list[Frame]:
    return [frame for part in parts for frame in part]


def some(frames: SearchStrategy[list[Frame]]) -> SearchStrategy[list[Frame]]:
    """Several packets, whole or not, with frames among them that have nothing to do there."""
    odd: SearchStrategy[list[Frame]] = st.lists(soup | st.binary(max_size=4), max_size=2)
    known = examples()[0] or [["2"]]
    return st.lists(frames | odd | st.sampled_from(known), max_size=3).map(joined)


four, three, old = some(engine_frames(b"")), some(engine_frames(b"\x04")), some(frames_09())


def posted(text: SearchStrategy[str], of_form: Callable[[str], str]) -> SearchStrategy[Posted]:
    """A body, as it is or as a form; the accident comes before or behind the encoding."""
    plain = broken_bytes(text.map(utf8)).map(Posted)
    forms = text.map(lambda data: Posted(urlencode({"d": utf8(of_form(data))}).encode(), script=True))
    wrong = st.builds(Posted, st.binary(max_size=40) | soup.map(utf8), st.booleans(), st.booleans())
    return plain | forms | wrong


three_text = three.map(body_3) | three.map(functools.partial(body_3, twice=True))
FIELDS = (
    *("EIO=4", "EIO=3", "EIO=2", "EIO=5", "transport=polling", "transport=websocket", "sid=a", "j=0", "b64=1", "i=7"),
    *("jsonp=1", "disconnect=1", "t=1", "a=b", "=", "", "%", "%ff", "j=٣", "i=" + "9" * 10, "&" * 200, "sid=%ED%A0%80"),
)


def request(kind: str, method: str, root: str, path: str, query: list[str]) -> Request:
    return Request(kind, method, root, path, quote("&".join(query), safe="=&%").encode())


paths = st.builds(
    "".join,
    st.lists(
        st.sampled_from(["/socket.io", "/1", "/", "websocket", "xhr-polling", "/jsonp-polling/", "sid", "/app", "é"]),
        max_size=6,
    ),
)
requests = st.builds(
    request,
    st.sampled_from(["http", "http", "websocket"]),
    st.sampled_from(["GET", "POST", "OPTIONS"]),
    st.sampled_from(["", "", "/socket.io", "/app", "/a/b/"]),
    paths | paths.map("/socket.io/1/".__add__) | st.just("/socket.io/"),
    st.lists(st.sampled_from(FIELDS), max_size=8),
)

packable: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
messages = st.fixed_dictionaries(
    {
        "type": st.integers(0, 5),
        "data": st.lists(packable, max_size=4) | packable,
        "nsp": st.sampled_from(["/", "/a", ""]),
    },
    optional={"id": st.integers(-1, 10**16)},
).map(msgpack.packb)

INPUTS: dict[str, SearchStrategy[Any]] = {
    "engineio4": four,
    "engineio3": three,
    "socketio09": old,
    "engineio4-body": posted(four.map(body_4), form_of_eio),
    "engineio3-body": posted(damaged(three_text) | three_text, form_of_eio)
    | broken_bytes(three.map(binary_3)).map(lambda body: Posted(body, binary=True)),
    "socketio09-body": posted(damaged(old.map(body_09)) | old.map(body_09), json.dumps),
    "jsonp": st.tuples(broken_bytes(soup.map(lambda text: urlencode({"d": utf8(text)}).encode())), soup),
    "utf16": st.tuples(soup, st.integers(0, 12), st.integers(0, 20) | st.just(999_999_999)),
    "codec": damaged(json_text) | soup,
    "msgpack": broken_bytes(messages) | st.binary(max_size=40),
    "visit": requests
    | broken_bytes(st.just(b"EIO=4&transport=polling")).map(lambda q: Request("http", "GET", "", "/socket.io/", q)),
}

every = pytest.mark.parametrize("name", list(TARGETS))
FORMS: dict[str, dict[str, Target]] = {"plain": targets(StdJson()), "fast": targets(FastJson())}
WITHOUT_JSON = ("jsonp", "utf16", "visit", "msgpack")
both = pytest.mark.parametrize(
    ("name", "form"),
    [(name, form) for form in FORMS for name in TARGETS if form == "plain" or name not in WITHOUT_JSON],
)


@both
@given(data=st.data())
@settings(short, max_examples=100)
def test_every_input_is_read_or_refused_and_nothing_is_kept(name: str, form: str, data: st.DataObject) -> None:
    examine(FORMS[form][name], data.draw(INPUTS[name]))


@both
def test_the_long_run_holds_for_its_first_inputs(name: str, form: str) -> None:
    tally = run_chunk(Inputs(name, seed=0), FORMS[form][name], range(250))
    assert tally.inputs == tally.accepted + tally.refused.total() == 250


# ---- inputs are what they are meant to be -----------------------------------------------------------------------


@every
def test_an_input_depends_on_its_seed_and_number_only(name: str) -> None:
    first, again, other = Inputs(name, 1), Inputs(name, 1), Inputs(name, 2)
    made = [first.make(number) for number in range(50)]
    assert [again.make(number) for number in reversed(range(50))] == made[::-1]
    assert [other.make(number) for number in range(50)] != made


@every
def test_inputs_are_read_as_often_as_refused(name: str) -> None:
    inputs = Inputs(name, 3)
    outcomes = [TARGETS[name].run(inputs.make(number)) for number in range(400)]
    read = sum(not outcome.refused for outcome in outcomes)
    assert 60 < read < 380


@every
def test_inputs_survive_the_way_through_bytes(name: str) -> None:
    target = TARGETS[name]
    inputs = Inputs(name, 4)
    made = [inputs.make(number) for number in range(100)]
    again = [target.of_bytes(target.to_bytes(each)) for each in made]
    assert sum(map(operator.eq, made, again)) > 50


@every
@given(data=st.binary())
@settings(short, max_examples=20)
def test_any_bytes_are_an_input(name: str, data: bytes) -> None:
    examine(TARGETS[name], TARGETS[name].of_bytes(data))


def test_the_words_for_a_coverage_guided_fuzzer_are_ascii() -> None:
    assert dictionary(["é", "a" * 60, '"']) == '"\\x22"\n"\\xc3\\xa9"\n'


# ---- each promise can be broken ---------------------------------------------------------------------------------


def some_bug(*_: object) -> Any:
    raise KeyError("some bug")


def long_error(*_: object) -> Any:
    raise MalformedPacket("x" * 1000)


def takes_all(self: Any, data: bytes) -> Packet | None:
    self._attachments.append(data)
    return None


def keeps_text(self: Any, text: str, start: int) -> Packet | None:
    self._attachments.append(text)
    return Packet(PacketType.EVENT, name="x")


encode = JSONParser.encode


def forgets_the_number(self: JSONParser, packet: Packet, prefix: str) -> tuple[Frame, ...]:
    return encode(self, replace(packet, id=None), prefix)


def says_raw(callback: str, text: str) -> Body:
    return Body(f'{callback}("{text}");'.encode())


def a_billion(text: str) -> int:
    return 10**9


def uncut(text: str, start: int, count: int) -> str:
    return text


def unchanged(data: str) -> str:
    return data


def shallow(text: str, *depth: int) -> bool:
    return False


def body(data: str) -> tuple[bytes, bool, bool]:
    return data.encode(), False, False


READ = "what was read cannot be written: "
BUGS: dict[str, tuple[Any, str, Any, str, Any, str]] = {
    "feed raises": (JSONPacketDecoder, "text", some_bug, "engineio4", ["42[]"], "raised KeyError: 'some bug'"),
    "split raises": (jsonp, "text", some_bug, "socketio09-body", body("2::"), "raised KeyError"),
    "loads raises": (StdJson, "loads", some_bug, "codec", "[]", "raised KeyError"),
    "a URL raises": (visit, "_index", some_bug, "visit", ("http", "GET", "", "/socket.io/1/", b""), "raised KeyError"),
    "a long error": (StdJson, "loads", long_error, "codec", "[]", "MalformedPacket has a message of 1000 characters"),
    "takes attachments": (
        *(JSONPacketDecoder, "binary", takes_all, "engineio4", ['451-["x"]', *[b""] * 11]),
        "the decoder holds ",
    ),
    "keeps text": (JSONPacketDecoder, "text", keeps_text, "engineio3", ["42[]"], "the decoder holds "),
    "an ack's number": (JSONParser, "encode", forgets_the_number, "engineio4", ["431[]"], READ),
    "an event's number": (JSONParser, "encode", forgets_the_number, "engineio4", ['421["x"]'], "Packet(type="),
    "units in EIO 3": (engineio3, "count_units", len, "engineio3-body", body("4:4é😀2:4x"), READ),
    "units in 0.9": (
        *(socketio09, "count_units", len, "socketio09-body", body("\ufffd5\ufffd3::😀\ufffd3\ufffd2::"), READ),
    ),
    "units": (utf16, "count_units", len, "utf16", ("😀", 0, 0), "'😀' has 1 units"),
    "a cut": (utf16, "take_units", uncut, "utf16", ("ab", 0, 1), "1 units of 'ab' from 0 are 'ab'"),
    "escapes": (jsonp, "unescape", unchanged, "jsonp", (b"d=", "\\n"), "'\\\\n' is unescaped to '\\\\n'"),
    "a script": (jsonp, "script", says_raw, "jsonp", (b"d=", "é"), "'é' is said by Body("),
    "depth": (codec, "_too_deep", shallow, "codec", "[" * 101 + "]" * 101, "'[[[["),
    "a callback": (visit, "_index", a_billion, "visit", ("http", "GET", "", "/socket.io/1/", b""), "Responder("),
}  # fmt: skip
"""What is broken -> where, by what, the input that shows it, and what is said of that."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bug", BUGS)
def test_a_broken_promise_is_found(bug: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, replacement, name, given, message = BUGS[bug]
    target = FORMS[form][name]
    examine(target, given)
    monkeypatch.setattr(FastJson if owner is StdJson and form == "fast" else owner, attribute, replacement)
    with pytest.raises(Broken) as caught:
        examine(target, given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "given"), [("engineio3", ['44{"a":1e-7}']), ("engineio4", ['42["a",1e-7]']), ("codec", "[1e-7]")]
)
def test_a_number_that_each_library_writes_in_its_own_form_is_found(
    name: str, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine(FORMS["fast"][name], given)
    monkeypatch.setattr(fast_json, "_has_odd_number", shallow)
    examine(FORMS["plain"][name], given)
    with pytest.raises(Broken, match=r"1e-7.*, not as by the standard library$"):
        examine(FORMS["fast"][name], given)


LEFT: list[list[str]] = []


def leave_behind(text: str) -> None:
    LEFT.append([text])


def tap(monkeypatch: pytest.MonkeyPatch, function: Callable[[str], object]) -> None:
    """Call ``function`` with every text that is read as JSON."""

    def tapped(kind: type[StdJson]) -> Callable[[StdJson, str], Any]:
        loads = kind.loads

        def tap(self: StdJson, text: str) -> Any:
            function(text)
            return loads(self, text)

        return tap

    for kind in (StdJson, FastJson):
        monkeypatch.setattr(kind, "loads", tapped(kind))


def test_time_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "SECONDS", 0.0)
    monkeypatch.setattr(promises, "SECONDS_PER_BYTE", 0.0)
    with pytest.raises(Broken, match=r"^took 0\.00 s, allowed are 0\.00 s$"):
        examine(TARGETS["codec"], "[]")


def test_one_slow_run_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 9.0, 0.0, 0.1])
    monkeypatch.setattr(time, "thread_time", lambda: next(seconds))
    assert examine(TARGETS["codec"], "[]").seconds == 0.1


def test_what_a_module_keeps_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr(codec, "_kept", kept, raising=False)
    tap(monkeypatch, kept.append)
    with pytest.raises(
        Found, match=r"up to input 9: modules that hold more than before: \{'asocketio.protocol.json_codec'"
    ):
        run_chunk(Inputs("codec", 0), TARGETS["codec"], range(10))


def test_what_is_left_behind_elsewhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CHUNK", 4000)
    tap(monkeypatch, leave_behind)
    with pytest.raises(Found, match="more blocks of memory than explained"):
        run_chunk(Inputs("codec", 0), TARGETS["codec"], range(4000))


def test_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(text: str) -> bytes:
        return bytes(10_000_000)

    tap(monkeypatch, fill)
    with pytest.raises(Found, match=r"takes 1\d{7} bytes of memory for \d+ bytes of input"):
        run_chunk(Inputs("codec", 0), TARGETS["codec"], range(10))


def test_weight_counts_what_is_held() -> None:
    packet = Packet(PacketType.EVENT, "/a", "name", ["xyz", 1, {"k": b"12"}])
    assert (weight(packet), weight([packet, packet]), weight(None), weight(StdJson())) == (17, 19, 0, 0)


# ---- a failure can be met again ---------------------------------------------------------------------------------


def test_a_failure_shows_a_small_input_and_how_to_meet_it_again(monkeypatch: pytest.MonkeyPatch) -> None:

    def fail(text: str) -> None:
        if "é" in text:
            raise KeyError("é")

    tap(monkeypatch, fail)
    with pytest.raises(Found) as caught:
        run_chunk(Inputs("codec", 5), TARGETS["codec"], range(1000))
    failure = caught.value.failure
    assert failure.given == "'\\xe9'"
    assert str(failure).endswith(
        f"BROKEN: codec, seed 5, input {failure.number}: raised KeyError: 'é'\n"
        "input: '\\xe9'\n"
        """again: python -m tests.fuzz.run --target codec --replay ''"'"'\\xe9'"'"''\n"""
        f"as it was made: python -m tests.fuzz.run --target codec --seed 5 --first {failure.number} --inputs 1"
    )
    assert main(["--target", "codec", "--replay", failure.given]) == 1
    monkeypatch.undo()
    assert main(["--target", "codec", "--replay", failure.given]) == 0


def test_inputs_of_every_shape_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonp, "text", some_bug)
    monkeypatch.setattr(utf16, "count_units", some_bug)
    monkeypatch.setattr(visit, "_is_09", some_bug)
    raised = "raised KeyError: 'some bug'"
    assert shrunk(TARGETS["engineio4-body"], Posted(b"4a\x1e4b"), raised) == Posted(b"")
    assert shrunk(TARGETS["utf16"], ("text", 1, 2), raised) == ("", 1, 2)
    request = Request("http", "GET", "", "/socket.io/1/x", b"a=b")
    assert shrunk(TARGETS["visit"], request, raised)[1:] == ("", "", "/socket.io", b"")


def test_the_command_line_reports_each_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "utf16", "--target", "codec", "--inputs", "301", "--jobs", "1", "--seed", "7"]) == 0
    form, heading, first, second, last = capsys.readouterr().out.splitlines()
    assert form.startswith("form: fast (httptools ")
    assert heading.split()[:3] == ["target", "inputs", "accepted"]
    assert (first.split()[:2], second.split()[:2]) == (["utf16", "151"], ["codec", "150"])
    assert last.startswith("fast, seed 7: 301 inputs in ")


def test_a_process_that_gets_stuck_or_dies_is_told_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = [list(TARGETS).index("codec"), 8]
    alive = [True]
    watch = Watch(1, progress, [lambda: alive[0]])
    assert watch.look() is watch.look() is None
    monkeypatch.setattr(run, "STUCK", -1.0)
    failure = watch.look()
    assert failure is not None
    assert (failure.target, failure.number) == ("codec", 8)
    alive[0] = False
    assert [watch.look() is None for _ in range(5)] == [True, True, True, True, False]
