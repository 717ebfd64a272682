"""Engine.IO and Socket.IO packets as clients of each generation encode them: 0.9, 3 and 4.

Written from the texts of the protocols, not from the code of the server.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

__all__ = ["CLIENT_PROTOCOLS", "ClientProtocol", "Frame", "Packet"]

Frame = str | bytes

_MESSAGE = re.compile(r"4([0-6])(?:(\d+)-)?(?:(/[^,]*),)?(\d+)?(.*)", re.DOTALL)
_KINDS = ("connect", "disconnect", "event", "ack", "error", "event", "ack")
_ENGINE = {"0": "open", "1": "close", "2": "ping", "3": "pong", "6": "noop"}
_PACKET_09 = re.compile(r"([0-8]):(\d*)(\+?):([^:]*):?(.*)", re.DOTALL)
_KINDS_09 = ("disconnect", "connect", "ping", "message", "json", "event", "ack", "error", "noop")


@dataclass(slots=True)
class Packet:
    """What a server says."""

    kind: str
    namespace: str = "/"
    number: int | None = None
    args: list[Any] = field(default_factory=list)
    due: int = 0
    """Attachments still to come."""
    got: list[bytes] = field(default_factory=list)


class ClientProtocol:
    """Engine.IO 4."""

    name = "4"
    pings = False
    """The client asks for signs of life."""
    opens = False
    """``/`` is joined unasked."""
    allows_transport_switch = False
    carries_bytes = True
    modes: tuple[str, ...] = ("websocket", "polling", "upgrade")
    separator = "\x1e"

    def path(self, transport: str, sid: str, fields: dict[str, str]) -> str:
        """The URL of a request."""
        query = {"EIO": self.name, "transport": transport, **fields, **({"sid": sid} if sid else {})}
        return "/socket.io/?" + urlencode(query)

    def polling_path(self, sid: str, fields: dict[str, str], *, jsonp: bool) -> str:
        """The URL of a poll or a POST, or of the handshake that begins them."""
        return self.path("polling", sid, {**fields, "j": "0"} if jsonp else fields)

    def handshake(self, text: str) -> tuple[str, float]:
        """The session's id, and seconds between two pings."""
        found = json.loads(text[1:])
        return found["sid"], found["pingInterval"] / 1000

    def connect(self, namespace: str, auth: dict[str, str]) -> str:
        return f"40{_at(namespace)}{json.dumps(auth)}"

    def disconnect(self, namespace: str) -> str:
        return f"41{_at(namespace)}"

    def event(self, namespace: str, name: str, args: list[Any], number: int | None = None) -> list[Frame]:
        """Its frames: bytes among ``args`` are attachments."""
        attachments = [arg for arg in args if isinstance(arg, bytes)]
        places = iter(range(len(attachments)))
        plain = [
            {"_placeholder": True, "num": next(places)} if isinstance(arg, bytes) else arg for arg in (name, *args)
        ]
        head = f"45{len(attachments)}-" if attachments else "42"
        number_text = "" if number is None else str(number)
        text = f"{head}{_at(namespace)}{number_text}{json.dumps(plain, ensure_ascii=self.name == '3')}"
        return [text, *map(self.attachment, attachments)]

    def attachment(self, data: bytes) -> bytes:
        return data

    def ack(self, namespace: str, number: int, args: list[Any]) -> str:
        return f"43{_at(namespace)}{number}{json.dumps(args)}"

    def pong(self) -> str:
        return "3"

    def close(self) -> str:
        """The end of the connection, by the client."""
        return "1"

    def read(self, frame: Frame) -> Packet:
        """One frame; bytes are a packet of the kind ``bytes``."""
        if isinstance(frame, bytes):
            return Packet("bytes", got=[self.unattached(frame)])
        if not frame.startswith("4"):
            return Packet(_ENGINE.get(frame[:1], "?" + frame[:20]))
        found = _MESSAGE.fullmatch(frame)
        if found is None:
            return Packet("?" + frame[:40])
        kind, due, namespace, number, data = found.groups()
        value = json.loads(data) if data else None
        args = value if isinstance(value, list) else [value]
        return Packet(
            _KINDS[int(kind)], namespace or "/", None if number is None else int(number), args, due=int(due or 0)
        )

    def unattached(self, frame: bytes) -> bytes:
        return frame

    def body(self, frames: list[Frame], jsonp: bool) -> bytes:
        """Of a POST."""
        return _body(self.separator.join(map(self.as_text, frames)), jsonp)

    def as_text(self, frame: Frame) -> str:
        return frame if isinstance(frame, str) else "b" + base64.b64encode(frame).decode()

    def split(self, body: bytes, jsonp: bool) -> list[Frame]:
        """Of an answer to a poll."""
        return [self._from_text(part) for part in _unscripted(body, jsonp).split(self.separator)]

    def _from_text(self, part: str) -> Frame:
        return base64.b64decode(part[1:]) if part.startswith("b") else part


class EngineIO3(ClientProtocol):
    """Engine.IO 3; polling bodies are text (``b64=1``)."""

    name = "3"
    pings = True
    opens = True
    modes = ("websocket", "polling", "upgrade", "jsonp")

    def path(self, transport: str, sid: str, fields: dict[str, str]) -> str:
        return super().path(transport, sid, fields if transport == "websocket" else {"b64": "1", **fields})

    def connect(self, namespace: str, auth: dict[str, str]) -> str:
        return f"40{namespace}?{urlencode(auth)},"

    def attachment(self, data: bytes) -> bytes:
        return b"\x04" + data

    def unattached(self, frame: bytes) -> bytes:
        return frame[1:]

    def body(self, frames: list[Frame], jsonp: bool) -> bytes:
        text = "".join(f"{len(part)}:{part}" for part in map(self.as_text, frames))
        return _body(text, jsonp)

    def as_text(self, frame: Frame) -> str:
        return frame if isinstance(frame, str) else "b4" + base64.b64encode(frame[1:]).decode()

    def split(self, body: bytes, jsonp: bool) -> list[Frame]:
        text = _unscripted(body, jsonp)
        frames: list[Frame] = []
        while text:
            size, _, text = text.partition(":")
            part, text = text[: int(size)], text[int(size) :]
            frames.append(b"\x04" + base64.b64decode(part[2:]) if part.startswith("b4") else part)
        return frames


class SocketIO09(ClientProtocol):
    """Socket.IO 0.9."""

    name = "0.9"
    opens = True
    allows_transport_switch = True
    carries_bytes = False
    modes = ("websocket", "polling", "jsonp", "roam")

    def path(self, transport: str, sid: str, fields: dict[str, str]) -> str:
        if not sid:
            return "/socket.io/1/?" + urlencode({"t": "1", **fields})
        name = {"polling": "xhr-polling", "jsonp": "jsonp-polling"}.get(transport, transport)
        return f"/socket.io/1/{name}/{sid}?{urlencode({'t': '1', **fields})}"

    def polling_path(self, sid: str, fields: dict[str, str], *, jsonp: bool) -> str:
        if not jsonp:
            return self.path("polling", sid, fields)
        return self.path("jsonp", sid, {**fields, "i" if sid else "jsonp": "0"})

    def handshake(self, text: str) -> tuple[str, float]:
        return text.split(":")[0], 0.0

    def connect(self, namespace: str, auth: dict[str, str]) -> str:
        return f"1::{namespace}:?{urlencode(auth)}"

    def disconnect(self, namespace: str) -> str:
        return f"0::{_at_09(namespace)}"

    def event(self, namespace: str, name: str, args: list[Any], number: int | None = None) -> list[Frame]:
        number_text = "" if number is None else f"{number}+"
        return [f"5:{number_text}:{_at_09(namespace)}:{json.dumps({'name': name, 'args': args})}"]

    def ack(self, namespace: str, number: int, args: list[Any]) -> str:
        return f"6::{_at_09(namespace)}:{number}+{json.dumps(args)}"

    def pong(self) -> str:
        return "2::"

    def close(self) -> str:
        return "0::"

    def read(self, frame: Frame) -> Packet:
        found = _PACKET_09.fullmatch(frame) if isinstance(frame, str) else None
        if found is None:
            return Packet("?" + repr(frame)[:40])
        digit, number, _, namespace, data = found.groups()
        packet = Packet(_KINDS_09[int(digit)], namespace or "/", int(number) if number else None)
        if packet.kind == "event":
            event = json.loads(data)
            packet.args = [event["name"], *event.get("args", [])]
        elif packet.kind == "ack":
            told, _, args = data.partition("+")
            packet.number, packet.args = int(told), json.loads(args) if args else []
        else:
            packet.args = [data]
        return packet

    def body(self, frames: list[Frame], jsonp: bool) -> bytes:
        parts = [frame for frame in frames if isinstance(frame, str)]
        text = parts[0] if len(parts) == 1 else "".join(f"\ufffd{len(part)}\ufffd{part}" for part in parts)
        return _form(json.dumps(text)) if jsonp else text.encode()

    def split(self, body: bytes, jsonp: bool) -> list[Frame]:
        text = _unscripted(body, jsonp)
        if not text.startswith("\ufffd"):
            return [text]
        frames: list[Frame] = []
        while text:
            _, size, text = text.split("\ufffd", 2)
            frames.append(text[: int(size)])
            text = text[int(size) :]
        return frames


def _at(namespace: str) -> str:
    return "" if namespace == "/" else namespace + ","


def _at_09(namespace: str) -> str:
    return "" if namespace == "/" else namespace


def _body(text: str, jsonp: bool) -> bytes:
    return _form(text.replace("\\n", "\\\\n")) if jsonp else text.encode()  # forms change newlines


def _form(text: str) -> bytes:
    return f"d={quote(text)}".encode()


def _unscripted(body: bytes, jsonp: bool) -> str:
    """The text of an answer; a script calls a function with it."""
    text = body.decode()
    if jsonp and text.startswith(("___eio[", "io.j[")):
        unscripted: str = json.loads(text[text.index("(") + 1 : text.rindex(")")])
        return unscripted
    return text


CLIENT_PROTOCOLS: dict[str, ClientProtocol] = {
    protocol.name: protocol for protocol in (ClientProtocol(), EngineIO3(), SocketIO09())
}
