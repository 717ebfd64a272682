"""What is fuzzed: the three generations' frames and bodies, and the readers of text, JSON and URLs below them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

from asocketio.asgi.request import EngineRequest, Responder, guess_responder, is_ours, parse_request, path_below
from asocketio.config import Config
from asocketio.errors import HandshakeError, MalformedPacket, MalformedPayload, UnexpectedPacket
from asocketio.protocol import jsonp, utf16
from asocketio.protocol.base import Body, BodyFormat, Decoder, Frame, Protocol
from asocketio.protocol.engineio3 import EngineIO3
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.fast_json import best_json
from asocketio.protocol.json_codec import MAX_DEPTH, AsciiJson, Json, StdJson, restore
from asocketio.protocol.json_parser import JSONParser
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerEngineIO4, ServerProtocol, ServerSocketIO09
from asocketio.protocol.socketio09 import SocketIO09
from asocketio.session.handshake import Handshake
from tests.fuzz.messages import Messages
from tests.fuzz.promises import Broken, Outcome, Target, as_utf16, same, weight

__all__ = ["TARGETS", "Bodies", "Frames", "Posted", "Request", "Units", "form_of_eio", "targets", "unescaped"]

CONFIG = Config()
ROOMY = Config(max_attachments=1_000_000)
"""What is written may hold one attachment in several places, and then each of them counts."""
MOST_JOINED = 2000
MOST_REWRITTEN = 50
"""Of a long input so many are looked at, so that it does not take as long as thousands of short ones."""


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ---- packets, there and back -----------------------------------------------------------------------------------


class Speech:
    """How one generation's server writes what its decoder reads."""

    namespaces = frozenset(
        {
            *(PacketType.CONNECT, PacketType.DISCONNECT, PacketType.EVENT, PacketType.MESSAGE),
            *(PacketType.JSON, PacketType.ACK, PacketType.ERROR),
        }
    )
    """The packets that an attachment may belong to; the others may come in between."""
    ascii_json = False
    """Elder clients read JSON as it was meant only where it is ASCII."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.standard = protocol.with_json(StdJson())

    def decoder(self) -> Decoder:
        """What reads what the server writes."""
        return self.protocol.decoder(ROOMY)

    def comes_back(self, packet: Packet) -> Packet | None:
        """What ``packet`` is when a server has written it and it was read again; None where no server writes it."""
        if packet.type in (PacketType.CONNECT, PacketType.DISCONNECT, PacketType.ERROR):
            return replace(packet, id=None, ack=None)  # only events and acks are numbered
        return packet

    def is_plain(self, frames: Sequence[Frame], body_format: BodyFormat) -> bool:
        """Whether a body may hold these frames: the server has others in its websockets only."""
        raise NotImplementedError

    def posted(self, text: str) -> str:
        """The field of the form by which a JSONP client posts ``text``."""
        return form_of_eio(text)


def form_of_eio(text: str) -> str:
    r"""What Engine.IO clients do to text before a form is sent: first the pair ``\n``, then newlines."""
    return text.replace("\\n", "\\\n").replace("\n", "\\n")


class Speech4(Speech):
    def is_plain(self, frames: Sequence[Frame], body_format: BodyFormat) -> bool:
        return not any(isinstance(frame, str) and ("\x1e" in frame or frame.startswith("b")) for frame in frames)


class Speech3(Speech):
    ascii_json = True

    def decoder(self) -> Decoder:
        decoder = super().decoder()
        decoder.feed("2\u20ac")  # the server encodes text once: nothing has to be guessed
        return decoder

    def comes_back(self, packet: Packet) -> Packet | None:
        if packet.type is PacketType.CONNECT:
            return Packet(PacketType.CONNECT, packet.endpoint, data={})
        if packet.type is PacketType.PONG:
            return packet if packet.data == "probe" else Packet(PacketType.PONG, data="")
        if packet.type is PacketType.ERROR:
            data = packet.data
            if isinstance(data, dict) and "message" in data:
                data = data.get("data", data["message"])
            if isinstance(data, int | float) and not isinstance(data, bool):
                data = str(data)  # clients would take it for the number of an ack
            return Packet(PacketType.ERROR, packet.endpoint, data=data)
        return super().comes_back(packet)

    def is_plain(self, frames: Sequence[Frame], body_format: BodyFormat) -> bool:
        binary = body_format == BodyFormat() and not all(isinstance(frame, str) for frame in frames)
        return binary or all(self._is_plain(frame) for frame in frames)

    def _is_plain(self, frame: Frame) -> bool:
        """Text that cannot be taken for binary, nor for text that was encoded twice."""
        if isinstance(frame, bytes):
            return frame.startswith(b"\x04")
        if frame.isascii():
            return not frame.startswith("b")
        try:
            frame.encode("latin-1").decode()
        except UnicodeError:
            return not frame.startswith("b")
        return False


_REASONS = ("transport not supported", "client not handshaken", "unauthorized")


class Speech09(Speech):
    ascii_json = True

    def comes_back(self, packet: Packet) -> Packet | None:
        kind, endpoint = packet.type, packet.endpoint
        if kind is PacketType.CONNECT:
            return Packet(kind, endpoint, data={})
        if kind is PacketType.DISCONNECT:
            return Packet(kind, endpoint)
        if kind in (PacketType.HEARTBEAT, PacketType.NOOP):
            return Packet(kind)
        if kind is PacketType.MESSAGE:
            text = packet.data.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            return replace(packet, data=text)
        if kind is PacketType.ERROR:
            reason = packet.data["message"]
            data = {**packet.data, "message": reason if reason in _REASONS else "unauthorized"}
            return Packet(kind, endpoint, data=data)
        return packet

    def is_plain(self, frames: Sequence[Frame], body_format: BodyFormat) -> bool:
        if len(frames) == 1 and frames[0][:1] == "\ufffd":
            return False
        return all(isinstance(frame, str) and as_utf16(frame) == frame for frame in frames)

    def posted(self, text: str) -> str:
        return json.dumps(text)


_SCRIPT = re.compile(rb"[a-z_.]+\[[0-9]+\]\((.*)\);", re.DOTALL)
_FORMS = (BodyFormat(), BodyFormat(text_only=True), BodyFormat(jsonp_index=0))


def judge_packet(speech: Speech, packet: Packet) -> None:
    """A packet means the same when it was written and read again, by websocket and by any form of polling."""
    wanted = speech.comes_back(packet)
    if wanted is None:
        return
    frames = speech.protocol.encode(packet).frames
    if frames != speech.standard.encode(packet).frames:
        raise Broken(f"{packet!r:.300} is written {frames!r:.300}, not as by the standard library")
    if not same(_read(speech, frames), wanted, _normal):
        raise Broken(f"{packet!r:.300} is written {frames!r:.300}, which is read {_read(speech, frames)!r:.300}")
    text = frames[0]
    ascii_only = speech.ascii_json and packet.endpoint.isascii()
    if ascii_only and packet.type in speech.namespaces - {PacketType.MESSAGE} and not text.isascii():
        raise Broken(f"{packet!r:.300} is written {text!r:.300}, which is not ASCII")
    judge_join(speech, frames)


def _read(speech: Speech, frames: Sequence[Frame]) -> Packet | None:
    decoder = speech.decoder()
    *first, last = frames
    for frame in first:
        if decoder.feed(frame) is not None:
            raise Broken(f"{frames!r:.300}: complete before its end")
    return decoder.feed(last)


def _normal(packet: Packet) -> Packet:
    return replace(packet, name=as_utf16(packet.name), args=as_utf16(packet.args), data=as_utf16(packet.data))


def judge_join(speech: Speech, frames: Sequence[Frame]) -> None:
    """What is joined is split into the same frames; through a script, by the way that clients post it back."""
    for body_format in _FORMS:
        if not frames or not speech.is_plain(frames, body_format):
            continue
        body = speech.protocol.join(frames, body_format)
        decoder = speech.protocol.decoder(ROOMY)
        if body_format.jsonp_index is None:
            again = list(decoder.split(body.content, BodyFormat(), binary=body.kind == b"application/octet-stream"))
        else:
            called = _SCRIPT.fullmatch(body.content)
            text = None if called is None else json.loads(called[1])
            if not isinstance(text, str) or not body.content.isascii():
                raise Broken(f"{body!r:.300} is no script that says text")
            if "\\\n" in text:
                continue  # the client itself takes it for another
            again = list(decoder.split(urlencode({"d": speech.posted(text)}).encode(), body_format))
        if again != list(frames):
            raise Broken(f"{frames!r:.300} are joined to {body!r:.300}, which is split into {again!r:.300}")


def judge_fields(packet: Packet) -> None:
    """What `Packet` says of its fields is so."""
    number = packet.id
    if not (
        type(packet) is Packet
        and type(packet.endpoint) is str
        and packet.endpoint != "/"
        and type(packet.name) is str
        and type(packet.args) is list
        and (number is None or (type(number) is int and 0 <= number < 10**16))
        and (packet.ack is None or (number is not None and packet.ack in (True, "data")))
    ):
        raise Broken(f"{packet!r:.300} is no packet")


# ---- frames ----------------------------------------------------------------------------------------------------


class Frames(Target):
    """Frames of one client, in the order in which its decoder gets them. A list of text and binary."""

    def __init__(self, speech: Speech) -> None:
        self.speech = speech
        self.protocol = speech.protocol
        self.name = _names[self.protocol.generation]

    def run(self, given: Sequence[Frame]) -> Outcome:
        outcome = Outcome()
        feed_all(self.protocol, given, outcome)
        return outcome

    def judge(self, given: Sequence[Frame], outcome: Outcome) -> None:
        self._judge_keeping(given, outcome)
        # No websocket carries half a surrogate pair; it may come here, but need not find a way out.
        if all(isinstance(frame, bytes) or is_unicode(frame) for frame in given):
            for packet in _packets(outcome)[:MOST_REWRITTEN]:
                judge_packet(self.speech, packet)

    def _judge_keeping(self, given: Sequence[Frame], outcome: Outcome) -> None:
        """Feed all again, frame by frame: it comes to the same, and nothing is kept that is not due."""
        decoder = self.protocol.decoder(CONFIG)
        fresh = weight(decoder)
        due = False
        room = swallowed = 0
        for frame, result in zip(given, outcome.results, strict=True):
            again = Outcome()
            try:
                packet = decoder.feed(frame)
            except (MalformedPacket, UnexpectedPacket) as error:
                again.refuse(error)
                packet = None
            if repr(again.results[0] if again.refused else packet) != repr(result):
                raise Broken(f"{frame!r:.300} is {result!r:.200}, and then {packet!r:.200} {again.refused}")
            held = weight(decoder)
            if packet is not None:
                judge_fields(packet)
            attachment = isinstance(frame, bytes) or frame.startswith("b")  # which is base64
            if not attachment and packet is None and not again.refused:
                if due:
                    raise Broken(f"{frame!r:.200} was taken while attachments are due")
                due, room, swallowed = True, 100 + len(frame), 0
            elif due and attachment:
                due = packet is None and held != fresh
                room += len(frame)
                swallowed += not again.refused
            elif due and packet is not None and packet.type in self.speech.namespaces:
                raise Broken(f"{packet!r:.200} came while attachments are due")
            if held > (fresh + room if due else fresh) or swallowed > CONFIG.max_attachments:
                raise Broken(
                    f"the decoder holds {held} after {frame!r:.200} ({fresh} when new), {swallowed} attachments"
                )

    def size(self, given: Sequence[Frame]) -> int:
        return sum(map(len, given)) + len(given)

    def of_bytes(self, data: bytes) -> list[Frame]:
        parts = data.split(b"\xff")
        return [part[1:] if part[:1] == b"\xfe" else part.decode(errors="replace") for part in parts]

    def to_bytes(self, given: Sequence[Frame]) -> bytes:
        return b"\xff".join(b"\xfe" + f if isinstance(f, bytes) else f.encode(errors="replace") for f in given)


_names = {"4": "engineio4", "3": "engineio3", "0.9": "socketio09"}


def feed_all(protocol: Protocol, frames: Sequence[Frame], outcome: Outcome) -> None:
    decoder = protocol.decoder(CONFIG)
    for frame in frames:
        try:
            outcome.results.append(decoder.feed(frame))
        except (MalformedPacket, UnexpectedPacket) as error:
            outcome.refuse(error)


def _packets(outcome: Outcome) -> list[Packet]:
    return [result for result in outcome.results if isinstance(result, Packet)]


# ---- bodies ----------------------------------------------------------------------------------------------------


class Posted(NamedTuple):
    """The body of a POST, and what its request says of it."""

    body: bytes
    script: bool = False
    binary: bool = False

    @property
    def body_format(self) -> BodyFormat:
        return BodyFormat(jsonp_index=0 if self.script else None)


class Bodies(Target):
    """Bodies of polling requests, and the frames that are in them."""

    def __init__(self, speech: Speech) -> None:
        self.speech = speech
        self.protocol = speech.protocol
        self.name = _names[self.protocol.generation] + "-body"

    def run(self, given: Sequence[Any]) -> Outcome:
        given = Posted(*given)
        outcome = Outcome()
        try:
            frames = list(self.protocol.decoder(CONFIG).split(given.body, given.body_format, binary=given.binary))
        except MalformedPayload as error:
            outcome.refuse(error)
            return outcome
        outcome.results.append(frames)
        feed_all(self.protocol, frames, outcome)
        return outcome

    def judge(self, given: Sequence[Any], outcome: Outcome) -> None:
        given = Posted(*given)
        frames = outcome.results[0]
        if not isinstance(frames, list):
            return
        if len(frames) > len(given.body) + 1 or sum(map(len, frames)) > len(given.body):
            raise Broken(f"{len(frames)} frames came of {len(given.body)} bytes")
        decoder = self.protocol.decoder(CONFIG)
        fresh = weight(decoder)
        again = list(decoder.split(given.body, given.body_format, binary=given.binary))
        if again != frames or weight(decoder) != fresh:
            raise Broken(f"{frames!r:.300}, and then {again!r:.300}")
        if {type(frame) for frame in frames} - {str, bytes}:
            raise Broken(f"{frames!r:.300} are no frames")
        if all(isinstance(frame, bytes) or is_unicode(frame) for frame in frames):
            judge_join(self.speech, frames[:MOST_JOINED])
        for packet in _packets(outcome)[:MOST_REWRITTEN]:
            judge_fields(packet)
            judge_packet(self.speech, packet)

    def size(self, given: Sequence[Any]) -> int:
        return len(given[0])

    def of_bytes(self, data: bytes) -> Posted:
        flags = data[0] if data else 0
        return Posted(data[1:], bool(flags & 1), bool(flags & 2))

    def to_bytes(self, given: Sequence[Any]) -> bytes:
        posted = Posted(*given)
        return bytes((posted.script + 2 * posted.binary,)) + posted.body


# ---- what they are made of --------------------------------------------------------------------------------------


class Forms(Target):
    """What reads and writes JSONP. A body, and text."""

    name = "jsonp"

    def run(self, given: tuple[bytes, str]) -> Outcome:
        outcome = Outcome()
        body, text = given
        for read in (jsonp.text, jsonp.field):
            try:
                outcome.results.append((read.__name__, read(body)))
            except MalformedPayload as error:
                outcome.refuse(error)
        outcome.results.append(("unescape", jsonp.unescape(text)))
        outcome.results.append(("script", jsonp.script("___eio[0]", text)))
        return outcome

    def judge(self, given: tuple[bytes, str], outcome: Outcome) -> None:
        body, text = given
        results: dict[str, Any] = dict(result for result in outcome.results if isinstance(result, tuple))
        decodes = body.decode(errors="ignore").encode() == body
        if decodes != ("text" in results) or (decodes and results["text"] != body.decode()):
            raise Broken(f"the text of {body!r:.300} is {results.get('text')!r:.300}")
        if "field" in results:
            value = results["field"]
            if jsonp.field(urlencode({"x": text[:9].encode(errors="replace"), "d": value}).encode()) != value:
                raise Broken(f"the field {value!r:.300} comes back as another")
        if results["unescape"] != unescaped(text):
            raise Broken(f"{text!r:.300} is unescaped to {results['unescape']!r:.300}")
        if "\\\n" not in text and jsonp.unescape(form_of_eio(text)) != text:
            raise Broken(f"{text!r:.300} is escaped to {form_of_eio(text)!r:.300}, and comes back as another")
        script: Body = results["script"]
        called = _SCRIPT.fullmatch(script.content)
        if called is None or not script.content.isascii() or json.loads(called[1]) != as_utf16(text):
            raise Broken(f"{text!r:.300} is said by {script!r:.300}")

    def size(self, given: tuple[bytes, str]) -> int:
        return len(given[0]) + len(given[1])

    def of_bytes(self, data: bytes) -> tuple[bytes, str]:
        text, _, body = data.partition(b"\xff")
        return body, text.decode(errors="replace")

    def to_bytes(self, given: tuple[bytes, str]) -> bytes:
        return given[1].encode(errors="replace") + b"\xff" + given[0]


def unescaped(text: str) -> str:
    r"""`jsonp.unescape`, sign by sign: ``\n`` is a newline, unless another backslash stands before it."""
    out: list[str] = []
    at = 0
    while at < len(text):
        if text.startswith("\\\\n", at):
            out.append("\\n")
            at += 3
        elif text.startswith("\\n", at):
            out.append("\n")
            at += 2
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


_ENDS = (":", "\ufffd")
"""Of lengths, in the payloads of this and that generation."""


class Units(Target):
    """Text by UTF-16 units. Text, where to start, how much."""

    name = "utf16"

    def run(self, given: tuple[str, int, int]) -> Outcome:
        outcome = Outcome()
        text, start, count = given
        outcome.results.append(utf16.count_units(text))
        try:
            outcome.results.append(utf16.take_units(text, start, count))
        except MalformedPayload as error:
            outcome.refuse(error)
        for end in _ENDS:
            try:
                outcome.results.append(utf16.read_length(text, start, end))
            except MalformedPayload as error:
                outcome.note(error)
        return outcome

    def judge(self, given: tuple[str, int, int], outcome: Outcome) -> None:
        text, start, count = given
        units, piece, *lengths = outcome.results
        if units != len(text.encode("utf-16-le", "surrogatepass")) // 2:
            raise Broken(f"{text!r:.300} has {units} units")
        if as_utf16(text) == text and piece != _cut(text, start, count):
            raise Broken(f"{count} units of {text!r:.300} from {start} are {piece!r:.300}")
        for length, end in zip(lengths, _ENDS, strict=True):
            found = re.compile(f"([0-9]{{1,9}}){end}").match(text, start)
            if length != (MalformedPayload.__name__ if found is None else (int(found[1]), found.end())):
                raise Broken(f"the length in {text!r:.300} at {start} is {length!r}")

    def size(self, given: tuple[str, int, int]) -> int:
        return 4 * len(given[0])

    def of_bytes(self, data: bytes) -> tuple[str, int, int]:
        start, count = (*data[:2], 0, 0)[:2]
        return data[2:].decode(errors="surrogateescape"), start, count

    def to_bytes(self, given: tuple[str, int, int]) -> bytes:
        text, start, count = given
        return bytes((min(start, 255), min(count, 255))) + text.encode(errors="replace")


def _cut(text: str, start: int, count: int) -> str:
    """`utf16.cut`, sign by sign; the name of the error where it has to raise."""
    at = start
    while count > 0 and at < len(text):
        count -= 2 if text[at] > "\uffff" else 1
        at += 1
    return MalformedPayload.__name__ if count else text[start:at]


class Values(Target):
    """JSON text, read by the one library and by the other as by the standard one, and written as by it."""

    name = "codec"
    std = StdJson()

    def __init__(self, json: Json) -> None:
        self.json = json
        self.ascii = AsciiJson(json)

    def run(self, given: str) -> Outcome:
        outcome = Outcome()
        try:
            outcome.results.append([self.json.loads(given)])
        except MalformedPacket as error:
            outcome.refuse(error)
        return outcome

    def judge(self, given: str, outcome: Outcome) -> None:
        expected = _loads(given)
        read = outcome.results[0]
        if (expected is None) != bool(outcome.refused) or (expected is not None and repr(expected) != repr(read)):
            raise Broken(f"{given!r:.300} is read {read!r:.300}, expected {expected!r:.300}")
        if expected is None:
            return
        if self.json.dumps(read[0]) != self.std.dumps(read[0]):
            raise Broken(f"{read!r:.300} is written {self.json.dumps(read[0])!r:.300}, not as by the standard library")
        for codec in (self.json, self.ascii):
            text, attachments = codec.dumps(read[0])
            again = codec.loads(text)
            if attachments or not same(again, read[0]) or not is_unicode(text):
                raise Broken(f"{read!r:.300} is written {text!r:.300}, which is read {again!r:.300}")
            if codec is self.ascii and not text.isascii():
                raise Broken(f"{text!r:.300} is not ASCII")
        try:
            restore(read[0], [b"0", b"1"])
        except MalformedPacket as error:
            Outcome().refuse(error)

    def size(self, given: str) -> int:
        return len(given)

    def of_bytes(self, data: bytes) -> str:
        return data.decode(errors="surrogateescape")

    def to_bytes(self, given: str) -> bytes:
        return given.encode(errors="replace")


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else _refuse(text)


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_DEPTH = {"[": 1, "{": 1, "]": -1, "}": -1}


def _loads(text: str) -> list[Any] | None:
    """What `Json.loads` has to make of ``text``, in a list; None where it has to refuse it."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    if _STRING.sub("", text).count("[") > 0.44 * max(len(text), 1000):
        return None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        depth = deepest = 0
        for sign in _STRING.sub("", text):
            depth += _DEPTH.get(sign, 0)
            deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            return None
    return [value]


# ---- URLs ------------------------------------------------------------------------------------------------------


class Request(NamedTuple):
    """What of a request decides to whom it goes."""

    kind: str
    method: str
    root: str
    path: str
    query: bytes

    @property
    def scope(self) -> dict[str, Any]:
        """Its ASGI scope."""
        scope: dict[str, Any] = {"type": self.kind, "root_path": self.root, "path": self.path, "headers": []}
        scope["query_string"] = self.query
        return scope if self.kind == "websocket" else scope | {"method": self.method}


_KINDS = (("http", "GET"), ("http", "POST"), ("websocket", "GET"), ("http", "OPTIONS"))
_ROOTS = ("", "/socket.io", "/app", "/a/b/socket.io/")


class Visits(Target):
    """URLs of requests, and how the refusal of them is answered."""

    name = "visit"
    protocols: ClassVar[dict[str, ServerProtocol]] = {
        "0.9": ServerSocketIO09(),
        "3": ServerEngineIO3(),
        "4": ServerEngineIO4(),
    }
    some: ClassVar[dict[str, ServerProtocol]] = {"4": protocols["4"]}
    narrow = Config(transports=("websocket",))

    def run(self, given: Sequence[Any]) -> Outcome:
        scope = Request(*given).scope
        outcome = Outcome()
        below = path_below(scope, "/socket.io")
        if below is None or not is_ours(below):
            outcome.refused = "not ours"
            return outcome
        outcome.results += [below, guess_responder(scope, below)]
        for config, protocols in ((CONFIG, self.protocols), (self.narrow, self.protocols), (CONFIG, self.some)):
            try:
                outcome.results.append(parse_request(scope, below, config, protocols))
            except HandshakeError as error:
                outcome.note(error)
                outcome.results[-1] = type(error)(str(error))
                if protocols is self.protocols and config is CONFIG:
                    outcome.refused = type(error).__name__
        return outcome

    def judge(self, given: Sequence[Any], outcome: Outcome) -> None:
        given = Request(*given)
        if outcome.refused == "not ours":
            return
        below, who, *results = outcome.results
        self._judge_speaker(who)
        for result in results:
            if isinstance(result, HandshakeError):
                body = who.protocol.refusal(result, who.body_format, given.method)
                if type(body) is not Body or not body.content or not 200 <= body.status < 600:
                    raise Broken(f"{result!r} is answered by {body!r}")
            elif isinstance(result, EngineRequest):
                self._judge_visit(given, below, who, result)

    def _judge_speaker(self, who: Responder) -> None:
        script = who.body_format.jsonp_index
        if type(who) is not Responder or not (script is None or 0 <= script < 10**9) or who.body_format.text_only:
            raise Broken(f"{who!r} is no guess_responder")

    def _judge_visit(self, given: Request, below: str, who: Responder, visit: EngineRequest) -> None:
        """The visit says it again by a URL of its own, which is read as the same."""
        if visit.protocol.generation != who.protocol.generation:
            raise Broken(f"{who!r} asks for {visit!r:.300}")
        script = visit.body_format.jsonp_index
        if not (script is None or 0 <= script < 10**9):
            raise Broken(f"{visit!r:.300} has no callback that could be")
        handshake = Handshake(query_string=given.query, reserved_fields=visit.reserved_fields)
        query = {} if visit.sid else dict(handshake.query)
        if visit.protocol.generation == "0.9":
            name = "jsonp-polling" if visit.sid and script is not None else {"polling": "xhr-polling"}.get(
                visit.transport, visit.transport
            )  # fmt: skip
            path = f"/1/{name}/{visit.sid}/" if visit.sid else "/1/"
            if script is not None and not (visit.sid and script == 0):
                query["i" if visit.sid else "jsonp"] = str(script)
            if visit.closes_session:
                query["disconnect"] = "1"
        else:
            path = "/"
            query |= {"EIO": visit.protocol.generation, "transport": visit.transport}
            query |= {"sid": visit.sid} if visit.sid else {}
            query |= {} if script is None else {"j": str(script)}
            query |= {"b64": "1"} if visit.body_format.text_only else {}
        scope = given._replace(root="", path="/socket.io" + path, query=urlencode(query).encode()).scope
        again = parse_request(scope, path_below(scope, "/socket.io") or "", CONFIG, self.protocols)
        if again != visit._replace(protocol=self.protocols[visit.protocol.generation]):
            raise Broken(f"{visit!r:.300} is asked for again by {scope!r:.300}, which is {again!r:.300}")

    def size(self, given: Sequence[Any]) -> int:
        return len(given[3]) + len(given[4])

    def of_bytes(self, data: bytes) -> Request:
        flags = data[0] if data else 0
        path, _, query = data[1:].partition(b"\xff")
        kind, method = _KINDS[flags & 3]
        return Request(kind, method, _ROOTS[flags >> 2 & 3], path.decode(errors="replace"), query)

    def to_bytes(self, given: Sequence[Any]) -> bytes:
        request = Request(*given)
        who = (request.kind, request.method)
        flags = _KINDS.index(who) if who in _KINDS else 0
        flags += _ROOTS.index(request.root) << 2 if request.root in _ROOTS else 0
        return bytes((flags,)) + request.path.encode(errors="replace") + b"\xff" + request.query


def targets(json: Json) -> dict[str, Target]:
    """All of them by the names that the command line knows, where ``json`` reads and writes JSON."""
    parser = JSONParser(json)
    speeches = (Speech4(EngineIO4(parser)), Speech3(EngineIO3(parser)), Speech09(SocketIO09(json)))
    every = (*map(Frames, speeches), *map(Bodies, speeches), Forms(), Units(), Values(json), Visits(), Messages())
    return {target.name: target for target in every}


TARGETS = targets(best_json())
"""Those of the form that is installed."""
