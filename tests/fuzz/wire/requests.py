"""Requests as bytes: well-formed ones of every generation, odd but whole ones, and frames of websockets."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from asocketio.protocol.base import Frame
from tests.clients.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, encode_frame
from tests.fuzz.inputs import Maker
from tests.fuzz.wire.app import MAX_PAYLOAD

__all__ = ["BASES", "FIELDS", "HEADERS", "RAW_TOKENS", "SAME_SITE", "UPGRADE", "VALUES", "Writer"]

BASES = ("/socket.io/", "/socket.io/", "/live/socket.io/")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)
SAME_SITE = ("Sec-Fetch-Site", "same-origin")

FIELDS = ("EIO", "transport", "sid", "j", "b64", "t", "jsonp", "i", "disconnect", "refuse", "slow", "x", "", "EIO%00")
VALUES = (
    *("3", "4", "2", "5", "0", "-1", "٣", "4 ", "04", "", "0.9", "polling", "websocket", "POLLING", "flashsocket"),
    *("%", "%2", "%zz", "%00", "%ff", "%C3%A9", "%E2%82%AC", "%ED%A0%80", "%F0%9F%98%80", "%0d%0aX:%20y", "%1b[31m"),
    *("1", "true", "false", "9" * 9, "9" * 10, "9" * 400, "a" * 3000, "..", "../..", "'\"><script>", "%s%d%n", "{0}"),
    *("<<a>>", "<<b>>", "<<c>>", "<<a>>x", "+", "a+b", "=", "==", ";", "a;b", "[]", "%26sid=", "null", "undefined"),
)
HEADERS: tuple[tuple[str, str], ...] = (
    *(("Origin", value) for value in (
        "null", "", "http://friend.example", "https://other.example:8443", "http://evil.example", "http://127.0.0.1",
        "127.0.0.1", "://", "http://", "HTTP://FRIEND.EXAMPLE", "http://friend.example\xff", "http://é", "a" * 5000,
        "http://friend.example, http://evil.example", "http://[::1]:80", "file://", "chrome-extension://x",
    )),
    *(("Referer", value) for value in ("", "x", "http://127.0.0.1/", "http://", "///", "\xff\xfe", "a" * 5000)),
    *(("Sec-Fetch-Site", value) for value in ("same-origin", "cross-site", "none", "", "\xe9")),
    *(("Content-Type", value) for value in (
        "application/octet-stream", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "", ";", "a/b;c=d",
        "multipart/form-data; boundary=", "application/octet-stream ;x", "\xff", "text/plain; charset=utf-7",
    )),
    *(("Connection", value) for value in (
        "close", "keep-alive", "Upgrade", "keep-alive, Upgrade", "upgrade, close", "", ",", ",,Upgrade,", "x" * 999,
        "Upgrade, HTTP2-Settings", "TE", "Host", "close, keep-alive", "\xff", "upgrade upgrade", "content-length",
    )),
    *(("Upgrade", value) for value in (
        "h2c", "websocket", "WebSocket", "websocket, h2c", "h2c, websocket", "", "websocket/13", "TLS/1.0", "\xff",
    )),
    *(("Sec-WebSocket-Key", value) for value in (
        KEY, "", "x", KEY[:-1], KEY + "=", "====", "é" * 8, "A" * 24, "A" * 5000, KEY + ", " + KEY, "dGhl IHNh",
    )),
    *(("Sec-WebSocket-Version", value) for value in ("13", "12", "8", "0", "", "13, 8", "013", "13;", "255", "²")),
    *(("Sec-WebSocket-Protocol", value) for value in ("", ",", "a", "a, b", "a,,b", "\xff", "a" * 4000, '"', "a b")),
    *(("Sec-WebSocket-Extensions", value) for value in (
        "permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; x=1", ";", ",",
        "permessage-deflate; server_max_window_bits=99", '"', "x; y=\"", "permessage-deflate, permessage-deflate", "",
    )),
    *(("Access-Control-Request-Headers", value) for value in ("x-a, x-b", "", ",", "é", "a b", "x" * 3000, "\xff")),
    *(("Access-Control-Request-Method", value) for value in ("POST", "", "x y")),
    *(("Host", value) for value in ("", "x", "127.0.0.1:1", "[::1", "a b", "é", "a" * 3000, "friend.example")),
    *(("Cookie", value) for value in ("io=<<a>>", "=", ";", "a" * 4000, "\xff", "a=b; a=c")),
    ("Expect", "100-continue"), ("Expect", "x"), ("TE", "trailers"), ("Trailer", "Content-Length"),
    ("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "é"),
    ("X-Forwarded-Proto", "ws\xff"), ("Forwarded", "for=x"), ("X-Forwarded-For", ", ,"), ("X-Forwarded-Proto", ""),
    ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"), ("Accept-Encoding", "gzip"), ("Range", "bytes=0-0"),
    ("X-Long", "y" * 8000), ("Content-Encoding", "gzip"), ("Content-Encoding", "\xff"),
    ("X-HTTP-Method-Override", "PUT"),
)  # fmt: skip
RAW_TOKENS = [
    *("\r\n", "\n", "\r", "\r\n\r\n", "\x00", " ", "\t", ":", " :", "\r\n ", "\r\n\t", "\x0b", "\x7f", "\x80", "\xff"),
    *("Content-Length: 5\r\n", "Content-Length: -1\r\n", "Content-Length: 0\r\n", "Content-Length: 1e1\r\n"),
    *("Content-Length: +5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 99999999999999999999\r\n"),
    *("Content-Length: 0x5\r\n", "Content-Length: \xb2\r\n", "Content-Length:\r\n", "content-length: 30000\r\n"),
    *("Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: xchunked\r\n"),
    *("Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding : chunked\r\n"),
    *("Transfer-Encoding:\x0bchunked\r\n",),
    *("Expect: 100-continue\r\n", "Connection: close\r\n", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n"),
    *("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n", "Host: a\r\nHost: b\r\n"),
    *("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1", "HTTP/1.2", "http/1.1", "HTTP/11", "HTTP/1.1 x"),
    *("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "\x16\x03\x01"),
    *("%00", "%ff", "%", "%2", "?", "#", "&", "=", "//", "/../", "/1/", "*", "http://127.0.0.1/", "@", "\\", "&sid="),
    *("&EIO=", "&transport=websocket", "&j=0", "&t=", "\x81\x80\x00\x00\x00\x00", "\x88\x80\x00\x00\x00\x00"),
    *("A" * 999, "A" * 70_000),
    *("X: " + "y" * 70_000 + "\r\n", "X: y\r\n" * 300, "&a" * 300, "%41" * 500),
]  # fmt: skip
CODES = (0, 1, 999, *range(1000, 1011), *range(1012, 1017), 1100, 2999, 3000, 3999, 4000, 4999, 5000, 65_535)


class Writer(Maker):
    """Writes requests and frames."""

    def request(
        self,
        target: str,
        body: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
        method: str = "",
        host: bool = True,
    ) -> bytes:
        """A request, framed as it should be."""
        rows = [("Host", "127.0.0.1")] if host else []
        rows += headers
        if body is not None:
            rows.append(("Content-Length", str(len(body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in rows)
        method = method or ("GET" if body is None else "POST")
        return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1", "replace") + (body or b"")

    def chunked(self, target: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> bytes:
        """A POST whose body comes in chunks, as right as can be."""
        parts: list[bytes] = []
        while body:
            size = 1 + self.below(self.pick((1, 10, 5000)))
            piece, body = body[:size], body[size:]
            note = self.pick(("", "", ";a=b", ';x="y"'))
            parts.append(f"{len(piece):{self.pick(('x', 'X', '04x'))}}{note}\r\n".encode() + piece + b"\r\n")
        end = self.pick((b"0\r\n\r\n", b"0\r\n\r\n", b"000\r\n\r\n", b"0\r\nX: y\r\n\r\n"))
        head = self.request(target, None, [*headers, ("Transfer-Encoding", "chunked")], "POST")
        return head + b"".join(parts) + end

    def target(self, generation: str, transport: str, sid: str = "", more: str = "", base: str = "/socket.io/") -> str:
        """The URL of a well-formed request; ``sid`` may be a marker."""
        script = transport == "jsonp"
        if generation == "0.9":
            more = f"&{more}" if more else ""
            if not sid:
                return f"{base}1/?t=1{'&jsonp=0' if script else ''}{more}"
            name = {"polling": "xhr-polling", "jsonp": "jsonp-polling"}.get(transport, transport)
            return f"{base}1/{name}/{sid}?t=1{'&i=0' if script else ''}{more}"
        fields = [f"EIO={generation}", f"transport={'polling' if script else transport}", *filter(None, [more])]
        fields += ["j=0"] * script + [f"sid={sid}"] * bool(sid)
        return f"{base}?{'&'.join(fields)}"

    def upgrade(self, target: str, headers: Sequence[tuple[str, str]] = ()) -> bytes:
        """A request for a websocket."""
        return self.request(target, None, [*UPGRADE, *headers])

    def odd_query(self, query: str) -> str:
        """Fields left out, repeated, renamed, with odd values; still what a request line may hold."""
        fields = query.split("&")
        for _ in range(self.pick((1, 1, 2, 3))):
            at = self.below(len(fields) + 1)
            kind = self.below(7)
            name, _, _value = (fields[at] if at < len(fields) else self.pick(FIELDS)).partition("=")
            if kind == 0:
                del fields[at : at + 1]
            elif kind == 1:
                fields += fields[at : at + 1] * self.pick((1, 2, 250))
            elif kind == 2:
                fields.insert(at, f"{self.pick(FIELDS)}={self._value()}")
            elif kind == 3:
                self.rng.shuffle(fields)
            elif kind == 4:
                fields.insert(at, self.pick(("&" * 210, "=", "a", "&=&", "x=y;z=w", quote(self.pick(("é", "\x00"))))))
            else:
                fields[at : at + 1] = [f"{name}={self._value()}"]
        return "&".join(fields)

    def _value(self) -> str:
        value = self.pick(VALUES)
        return value if value.isascii() and " " not in value else quote(value)

    def odd_headers(self) -> list[tuple[str, str]]:
        """A few headers that are syntax, but hardly sense."""
        found = [self.pick(HEADERS) for _ in range(self.pick((1, 1, 2, 3)))]
        if self.often(0.1):
            found += [self.pick(found)] * self.pick((1, 3, 60))
        if self.often(0.1):
            found = [(self.pick((name.lower(), name.upper(), name + "-x")), value) for name, value in found]
        return found

    def raw(self, data: bytes) -> bytes:
        """``data`` after some accidents of bytes."""
        text = self.mutated(data.decode("latin-1"), RAW_TOKENS, "".join(map(chr, range(256))), self.pick(RAW_TOKENS))
        return text.encode("latin-1", "replace")

    def cuts(self, data: bytes, most: int = 6) -> tuple[int, ...]:
        """Where a write ends and the next begins."""
        if self.often(0.6) or len(data) < 2:
            return ()
        return tuple(sorted({1 + self.below(len(data) - 1) for _ in range(1 + self.below(most))}))

    # Frames.

    def frame(self, message: Frame) -> bytes:
        """One message, whole."""
        opcode = TEXT if isinstance(message, str) else BINARY
        payload = message.encode(errors="surrogatepass") if isinstance(message, str) else message
        return encode_frame(opcode, payload, key=self.rng.randbytes(4))

    def fragments(self, message: Frame) -> bytes:
        """One message in parts, with control frames in between."""
        opcode = TEXT if isinstance(message, str) else BINARY
        payload = message.encode(errors="surrogatepass") if isinstance(message, str) else message
        parts: list[bytes] = []
        count = 1 + self.below(5)
        for number in range(count):
            size = len(payload) if number == count - 1 else self.below(len(payload) + 1)
            piece, payload = payload[:size], payload[size:]
            parts.append(encode_frame(opcode if number == 0 else CONT, piece, fin=number == count - 1))
            if self.often(0.3):
                parts.append(encode_frame(self.pick((PING, PONG)), self.rng.randbytes(self.pick((0, 3, 125)))))
        return b"".join(parts)

    def odd_frame(self) -> bytes:
        """A frame that breaks a rule, or nearly."""
        payload = self.pick((b"", b"2", b"42[]", b"x" * 126, b"\xff\xfe", b"\xed\xa0\x80", b"4" * 70_000, b"\xf0\x9f"))
        kind = self.below(10)
        if kind == 0:
            return encode_frame(self.below(16), payload, fin=self.often(0.5), reserved=self.below(8))
        if kind == 1:
            return encode_frame(self.pick((TEXT, BINARY, PING, CLOSE)), payload, key=None)
        if kind == 2:
            claimed = self.pick((0, 1, 125, 65_535, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1))
            form = 127 if claimed > 65_535 else 126 if claimed > 125 else 0
            return encode_frame(self.pick((TEXT, BINARY, CONT, PING)), payload[:100], claimed=claimed, form=form)
        if kind == 3:
            reason = self.pick((b"", b"bye", b"\xff", b"x" * 123, b"x" * 124, "é".encode()))
            return encode_frame(CLOSE, close_payload(self.pick(CODES), reason), fin=self.often(0.9))
        if kind == 4:
            return encode_frame(CLOSE, self.pick((b"", b"\x03", b"\x03\xe8")))
        if kind == 5:
            return encode_frame(self.pick((PING, PONG)), b"x" * self.pick((0, 125, 126, 1000)), fin=self.often(0.8))
        if kind == 6:
            return encode_frame(CONT, payload, fin=self.often(0.5))
        if kind == 7:
            return encode_frame(TEXT, payload, fin=False) + encode_frame(TEXT, b"2")
        if kind == 8:
            return encode_frame(PING, b"x") * self.pick((1, 10, 300))
        return encode_frame(TEXT, payload, form=self.pick((126, 127)))
