"""Inputs made from a seed: sequences of steps of every kind, for every generation.

Each depends on nothing but the seed and its number, so that any of them can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from urllib.parse import quote

from asocketio.protocol.base import Frame
from tests.fuzz.inputs import TOKENS, binary_3, body_09, body_3, body_4
from tests.fuzz.wire.app import MAX_PAYLOAD
from tests.fuzz.wire.requests import BASES, SAME_SITE, UPGRADE, Writer
from tests.fuzz.wire.steps import Input, Step

__all__ = ["KINDS", "Making"]

GENERATIONS = ("0.9", "3", "4")
# Not CONNECT: a 2xx to it has no body, which neither h11 nor httptools lets an ASGI application know.
METHODS = ("GET", "POST", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "PROPFIND", "X", "get", "M-SEARCH")
PATHS = (
    *("/", "//", "/socket.io", "/socket.io/", "/socket.io//", "/socket.io/1", "/socket.io/1/", "/socket.io/1//"),
    *("/socket.io/1/websocket", "/socket.io/1/websocket/", "/socket.io/1/xhr-polling/<<a>>", "/socket.io/1/x/<<a>>"),
    *("/socket.io/1/jsonp-polling/<<a>>/", "/socket.io/1/websocket/<<a>>/x", "/socket.io/1/xhr-polling/%00", "/%2e%2e"),
    *("/socket.io/1/xhr-polling/%E2%82%AC", "/socket%2eio/", "/socket.io%2f", "/socket.io/%31/", "/SOCKET.IO/", "*"),
    *("/socket.io/2/", "/live/socket.io/", "/live/socket.io/1/", "/live", "/live/socket.io/x", "/socket.io/1/%ff/%ff"),
    *("http://127.0.0.1/socket.io/", "http://[::1", "//127.0.0.1/socket.io/", "/socket.io/;x", "/" + "a" * 5000, "/?"),
    *("/socket.io/1/htmlfile/<<a>>", "/socket.io/1/xhr-polling/" + "a" * 3000, "/socket.io/1/flashsocket/<<a>>"),
)
EVENTS = ("echo", "slow", "join", "leave", "say", "all", "flood", "ask", "later", "binary", "quit", "kick", "what")
PROBES = ("2probe", "5", "2probe", "5", "3probe", "2", "6", "1", "0", "4", "40", "2probex", "", '42["echo",1]', "b")
HOWS = ("eof", "eof", "abort")


class Making(Writer):
    """Makes inputs; `make` makes any of them."""

    def __init__(self, seed: int) -> None:
        super().__init__(Random())
        self._seed = seed

    def make(self, number: int, kind: str = "") -> Input:
        """The input with this number."""
        self.rng.seed(self._seed << 64 | number)
        kind = kind or self.pick(_WEIGHTED)
        return Input(kind, number, tuple(KINDS[kind][1](self)))

    # Pieces.

    def opening(self, name: str, generation: str, transport: str = "polling", on: str = "a", base: str = "") -> Step:
        """A well-formed handshake: it must bring a session."""
        base = base or "/socket.io/"
        more = self.pick(("", "", "slow=1", "b64=1", "token=a%20b", "t=x")) if transport != "jsonp" else ""
        target = self.target(generation, transport, "", more, base)
        if transport == "websocket" and generation != "0.9":
            return Step("send", on, self.upgrade(target), 1, firm=True, catch=name)
        headers = [SAME_SITE] if transport == "jsonp" else []
        return Step("send", on, self.request(target, headers=headers), 1, firm=True, catch=name)

    def packets(self, generation: str) -> list[Frame]:
        """What a client may say: the events that this server knows, and anything else."""
        frames: list[Frame] = []
        if generation == "4" and self.often(0.8):
            frames.append(self.pick(("40", "40", "40/chat,", '40{"refuse":true}', '40{"a":1}')))
        for _ in range(self.pick((1, 1, 2, 3, 8))):
            if self.often(0.4):
                frames += self.frames(generation)
            elif generation == "0.9":
                number = self.pick(("", "1", "1+", "12345678901+"))
                args = self.json([self.value(2) for _ in range(self.below(3))])
                frames.append(f'5:{number}::{{"name":"{self.pick(EVENTS)}","args":{args}}}')
            else:
                args = self.json([self.pick(EVENTS), *(self.value(2) for _ in range(self.below(3)))])
                frames.append(f"42{self.pick(('', '/chat,'))}{self.number()}{args}")
        return frames

    def odd_packets(self, generation: str) -> list[Frame]:
        """`packets` after some accidents."""
        frames = self.packets(generation)
        for _ in range(self.below(3)):
            at = self.below(len(frames))
            frame = frames[at]
            if isinstance(frame, bytes):
                frames[at] = self.pick((frame[1:], frame + b"\xff", frame.decode("latin-1"), b""))
            elif self.often(0.1):
                frames[at] = self.long(frame or "4")[: self.pick((3000, 19_000, 25_000))]
            else:
                frames[at] = self.text(frame, self.pick(TOKENS))
        if self.often(0.1):
            frames *= self.pick((2, 30, 100))
        if self.often(0.1):
            self.rng.shuffle(frames)
        return frames

    def body(self, generation: str, transport: str, frames: Sequence[Frame]) -> tuple[bytes, str]:
        """A polling body, and its content type."""
        if generation == "3" and transport != "jsonp" and self.often(0.3):
            return binary_3(frames), "application/octet-stream"
        text = (
            body_09(frames)
            if generation == "0.9"
            else body_4(frames)
            if generation == "4"
            else body_3(frames, twice=self.often(0.3))
        )
        if transport == "jsonp":
            text = self.json(text) if generation == "0.9" else text.replace("\\n", "\\\\n")
            return b"d=" + quote(text.encode(errors="surrogatepass")).encode(), "application/x-www-form-urlencoded"
        return text.encode(errors="surrogatepass"), "text/plain;charset=UTF-8"

    def posting(self, name: str, generation: str, transport: str, base: str, *, odd: bool) -> bytes:
        """A POST of a session, whole as a request."""
        frames = self.odd_packets(generation) if odd else self.packets(generation)
        body, kind = self.body(generation, transport, frames)
        if odd and self.often(0.4):
            body = self.bytes(body, self.rng.randbytes(20))
        headers = [("Content-Type", kind if self.often(0.9) else self.pick(("application/octet-stream", "", "x")))]
        headers += [SAME_SITE] if transport == "jsonp" else []
        target = self.target(generation, transport, f"<<{name}>>", "", base)
        return self.chunked(target, body, headers) if self.often(0.2) else self.request(target, body, headers)

    def polling(self, name: str, generation: str, transport: str, base: str) -> bytes:
        """A poll of a session."""
        headers = [SAME_SITE] if transport == "jsonp" else []
        more = self.pick(("", "", "b64=1"))
        return self.request(self.target(generation, transport, f"<<{name}>>", more, base), headers=headers)

    def joining(self, generation: str, base: str, on: str = "w") -> list[Step]:
        """A websocket with a session."""
        if generation != "0.9":
            return [self.opening("a", generation, "websocket", on, base)]
        target = self.target("0.9", "websocket", "<<a>>", "", base)
        return [self.opening("a", "0.9", "polling", "h", base), Step("send", on, self.upgrade(target), 1, firm=True)]

    def ending(self, on: str) -> Step:
        """The end of a connection."""
        return Step("end", on, how=self.pick(HOWS))

    def sent(self, on: str, data: bytes, answers: int = 0, *, firm: bool = False) -> Step:
        """Bytes on their way, in some writes."""
        firm = firm and len(data) < MAX_PAYLOAD  # the answer to a body that nobody reads may be lost with it
        return Step("send", on, data, answers, firm=firm, cuts=self.cuts(data))

    def way(self) -> tuple[str, str, str]:
        """Generation, transport of polling, base."""
        return self.pick(GENERATIONS), self.pick(("polling", "polling", "jsonp")), self.pick(BASES)


def _query(make: Making) -> list[Step]:
    """Odd queries, many on one connection: that is cheap."""
    steps: list[Step] = []
    for _ in range(make.pick((1, 4, 8))):
        generation, transport, base = make.way()
        sid = make.pick(("", "", "<<none>>"))
        path, _, query = make.target(generation, transport, sid, "", base).partition("?")
        target = f"{path}?{make.odd_query(query)}"
        headers = [SAME_SITE] if make.often(0.5) else []
        body = b"x" if make.often(0.2) else None
        steps.append(Step("send", "a", make.request(target, body, headers), 1, firm=True))
    return [*steps, make.ending("a")]


def _header(make: Making) -> list[Step]:
    generation, transport, base = make.way()
    target = make.target(generation, make.pick((transport, "websocket")), make.pick(("", "<<none>>")), "", base)
    headers = make.odd_headers()
    body = make.pick((None, None, None, b"", b"1"))
    if body is None and make.often(0.6):
        headers += [header for header in UPGRADE if make.often(0.9)]
    data = make.request(target, body, headers, host=make.often(0.9))
    # uvicorn with httptools never answers a request that asks for a websocket and has a body.
    known = body is not None and any(name == "Upgrade" for name, _ in headers)
    return [make.sent("a", data, 0 if known else 1), make.ending("a")]


def _method(make: Making) -> list[Step]:
    steps: list[Step] = []
    for _ in range(make.pick((1, 3, 6))):
        target = make.pick(PATHS)
        if make.often(0.6):
            target += "?" + make.target("4", "polling").partition("?")[2]
        body = make.pick((None, None, b"", b"40"))
        steps.append(Step("send", "a", make.request(target, body, (), make.pick(METHODS)), 1))
    return [*steps, make.ending("a")]


def _raw(make: Making) -> list[Step]:
    """Requests with accidents of bytes; whole or not is for the server to say."""
    generation, transport, base = make.way()
    steps: list[Step] = []
    sid = ""
    if make.often(0.3):
        steps.append(make.opening("a", generation, transport, "h", base))
        sid = "<<a>>"
    target = make.target(generation, transport, sid, "", base)
    data = make.pick(
        (
            lambda: make.request(target),
            lambda: make.request(target, b"2::", [("Content-Type", "text/plain")]),
            lambda: make.upgrade(make.target(generation, "websocket", sid, "", base)),
            lambda: make.chunked(target, b"40" * 20),
            lambda: make.request(target) * 3,
        )
    )()
    return [*steps, make.sent("a", make.raw(data)), Step("hear"), make.ending("a")]


def _body(make: Making) -> list[Step]:
    """A polling session, what it posts, and what its polls bring."""
    generation, transport, base = make.way()
    steps = [make.opening("a", generation, transport, "p", base)]
    odd = make.often(0.7)
    for number in range(make.pick((1, 2, 4))):
        poll = make.often(0.6)
        if poll:
            steps.append(Step("send", "g", make.polling("a", generation, transport, base)))
        steps.append(make.sent("p", make.posting("a", generation, transport, base, odd=odd), 1, firm=True))
        if poll and make.often(0.7):
            steps.append(Step("await", "g", answers=1 + sum(s.on == "g" and s.do == "send" for s in steps[:-2])))
        if make.often(0.1):
            steps.append(make.ending(make.pick("pg")))
            break
        if number and make.often(0.1):
            steps.append(Step("send", "x", make.polling("a", generation, transport, base)))
    return steps


def _pipeline(make: Making) -> list[Step]:
    """Several requests in one write, of sessions that live or not."""
    generation, transport, base = make.way()
    steps = [make.opening("a", generation, transport, "h", base)]
    parts: list[bytes] = []
    for _ in range(2 + make.below(8)):
        which = make.below(6)
        if which == 0:
            parts.append(make.polling("a", generation, transport, base))
        elif which < 3:
            parts.append(make.posting("a", generation, transport, base, odd=make.often(0.3)))
        elif which == 3:
            parts.append(make.request(make.target(generation, transport, "", "", base), headers=[SAME_SITE]))
        elif which == 4:
            parts.append(make.request(make.pick(("/health", "/nowhere", "/socket.io/?" + make.odd_query("EIO=4")))))
        else:
            parts.append(make.request(make.target(make.pick(GENERATIONS), transport, "<<a>>", "", base)))
    data = b"".join(parts)
    if make.often(0.2):
        return [*steps, make.sent("a", make.raw(data)), Step("hear"), make.ending("a")]
    if make.often(0.3):
        return [*steps, make.sent("a", data), make.ending("a")]
    return [*steps, make.sent("a", data, len(parts)), make.ending("a")]


def _sid(make: Making) -> list[Step]:
    """Ids of sessions where they do not belong."""
    steps: list[Step] = []
    for name in "abc"[: 1 + make.below(3)]:
        generation, transport, base = make.way()
        way = make.pick((transport, "websocket")) if generation != "0.9" else transport
        steps.append(make.opening(name, generation, way, f"h{name}", base))
    for _ in range(1 + make.below(4)):
        generation, transport, base = make.way()
        name, on = make.pick("abcd"), make.pick("xyz")
        if make.often(0.3):
            target = make.target(generation, "websocket", f"<<{name}>>", "", base)
            on += str(len(steps))
            steps += [make.sent(on, make.upgrade(target), 1), make.sent(on, make.frame(make.pick(PROBES)))]
        elif make.often(0.5):
            steps.append(make.sent(on, make.posting(name, generation, transport, base, odd=False), 1))
        else:
            target = make.target(generation, make.pick((transport, "websocket")), f"<<{name}>>", "", base)
            more = make.pick(("", "", "&disconnect=1", "&j=0", "&i=x"))
            method = make.pick(("GET", "GET", "POST", "PUT", "OPTIONS"))
            steps.append(make.sent(on, make.request(target + more, None, [SAME_SITE], method), 1))
    return steps


def _frames(make: Making) -> list[Step]:
    """A websocket, what it says, and how it ends."""
    generation, base = make.pick(GENERATIONS), make.pick(BASES)
    steps = make.joining(generation, base)
    data = b""
    for _ in range(1 + make.below(4)):
        for frame in make.odd_packets(generation) if make.often(0.5) else make.packets(generation):
            data += make.frame(frame) if make.often(0.8) else make.fragments(frame)
        if make.often(0.4):
            data += make.odd_frame()
    if make.often(0.2):
        data = make.bytes(data[:3000], make.rng.randbytes(20))
    if make.often(0.1):
        data = data[: make.below(len(data) + 1)]
    if make.often(0.1):
        steps.append(Step("deaf", "w"))
    steps.append(make.sent("w", data))
    if make.often(0.5):
        steps.append(Step("hear", "w"))
    if make.often(0.3):
        steps.append(make.sent("w", make.odd_frame()))
    # Left alone, it must be ended by the server.
    return [*steps, Step("end", "w", how="wait") if make.often(0.005) else make.ending("w")]


def _early(make: Making) -> list[Step]:
    """A handshake by websocket, with frames that do not wait for its answer."""
    generation, base = make.pick(GENERATIONS), make.pick(BASES)
    steps = [make.opening("a", "0.9", "polling", "h", base)] if generation == "0.9" else []
    sid = "<<a>>" if generation == "0.9" else ""
    more = make.pick(("", "slow=1", "slow=1", "refuse=1"))
    data = make.upgrade(make.target(generation, "websocket", sid, more, base))
    split = len(data)
    for frame in make.packets(generation) * make.pick((1, 1, 60)):
        data += make.frame(frame)
    data += make.odd_frame() if make.often(0.3) else b""
    cuts = make.cuts(data) if make.often(0.3) else (split,)
    step = Step("send", "w", data, 0 if make.often(0.3) else 1, cuts=cuts)
    return [*steps, step, make.ending("w")]


def _upgrade(make: Making) -> list[Step]:
    """A polling session and the websocket that is to take it over, in any order of things."""
    generation, base = make.pick(("3", "4", "4", "0.9")), make.pick(BASES)
    steps = [make.opening("a", generation, "polling", "p", base)]
    upgrade = make.upgrade(make.target(generation, "websocket", "<<a>>", "", base))
    polls = 0
    for _ in range(2 + make.below(7)):
        which = make.below(8)
        on = make.pick(("w", "w", "w", "v"))
        known = any(step.on == on for step in steps)
        if which < 4 and known:
            frames = make.pick((("2probe",), ("2probe", "5"), ("5",), (make.pick(PROBES),), ("2probe", "5", "40")))
            data = b"".join(make.frame(frame) for frame in frames)
            steps.append(make.sent(on, data + (make.odd_frame() if make.often(0.1) else b"")))
        elif which < 5 and not known:
            steps.append(make.sent(on, upgrade, 1, firm=True))
        elif which == 5:
            polls += 1
            steps.append(Step("send", f"g{polls}", make.polling("a", generation, "polling", base)))
        elif which == 6:
            steps.append(make.sent("p", make.posting("a", generation, "polling", base, odd=make.often(0.2)), 1))
        else:
            steps.append(make.pick((Step("hear", "p"), make.ending(on)) if known else (Step("hear", "p"),)))
    return [*steps, *(Step("await", f"g{number + 1}", answers=1) for number in range(polls) if make.often(0.7))]


def _roam(make: Making) -> list[Step]:
    """A session of 0.9, carried now by this and now by that."""
    base = make.pick(BASES)
    steps = [make.opening("a", "0.9", make.pick(("polling", "jsonp")), "h", base)]
    for number in range(2 + make.below(6)):
        transport, on = make.pick(("polling", "jsonp")), f"c{number}"
        which = make.below(6)
        if which < 2:
            steps.append(Step("send", on, make.polling("a", "0.9", transport, base)))
        elif which < 4:
            target = make.target("0.9", "websocket", "<<a>>", "", base)
            frames = b"".join(make.frame(frame) for frame in make.packets("0.9")) if make.often(0.5) else b""
            steps += [make.sent(on, make.upgrade(target), 1, firm=True), make.sent(on, frames)]
        elif which == 4:
            steps.append(make.sent(on, make.posting("a", "0.9", transport, base, odd=make.often(0.3)), 1, firm=True))
        else:
            target = make.target("0.9", "polling", "<<a>>", "disconnect=1", base)
            steps.append(make.sent(on, make.request(target), 1, firm=True) if make.often(0.3) else make.ending(on))
    return steps


def _cut(make: Making) -> list[Step]:
    """Any other input, broken off in the middle of a write."""
    steps = list(KINDS[make.pick(("body", "pipeline", "frames", "upgrade", "roam", "early", "raw"))][1](make))
    at = make.below(len(steps))
    step = steps[at]
    if step.do != "send" or step.catch:
        return [*steps[: at + 1], make.ending(step.on)]
    data = step.data[: make.below(len(step.data) + 1)]
    return [*steps[:at], Step("send", step.on, data), make.ending(step.on), *steps[at + 1 : at + 1 + make.below(2)]]


Kind = tuple[int, Callable[[Making], Sequence[Step]]]
KINDS: dict[str, Kind] = {
    "query": (20, _query),
    "header": (12, _header),
    "method": (8, _method),
    "raw": (14, _raw),
    "body": (14, _body),
    "pipeline": (6, _pipeline),
    "sid": (6, _sid),
    "frames": (16, _frames),
    "early": (5, _early),
    "upgrade": (8, _upgrade),
    "roam": (6, _roam),
    "cut": (6, _cut),
}
"""The kinds of inputs, and how many of a hundred or so are of that kind."""
_WEIGHTED: Any = [kind for kind, (weight, _) in KINDS.items() for _ in range(weight)]
