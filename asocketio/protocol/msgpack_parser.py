"""MsgpackParser: a packet as one binary message, the map ``{type, data, nsp, id?}`` of MessagePack.

Source: npm socket.io-msgpack-parser 3.0.2. Binary values stand where they are, there are no attachments. The package
``msgpack`` writes; what comes in is read by `asocketio.protocol.msgpack_reader`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asocketio.config import Config
from asocketio.errors import MalformedPacket, UsageError
from asocketio.protocol.base import Frame
from asocketio.protocol.json_codec import MAX_DEPTH, Binary
from asocketio.protocol.msgpack_reader import read
from asocketio.protocol.packet import ACK, EVENT, GLOBAL_NS, Packet, PacketType
from asocketio.protocol.parser import RESERVED_EVENTS, PacketDecoder, Parser, check_ack, check_name
from asocketio.protocol.payloads import NOTHING, PAYLOAD_READERS

msgpack: Any
try:
    import msgpack  # type: ignore[import-untyped, no-redef]  # pyright: ignore[reportMissingTypeStubs]
except ImportError:  # pip install asocketio[msgpack]
    msgpack = None

__all__ = ["MsgpackParser"]

_TYPES = (PacketType.CONNECT, PacketType.DISCONNECT, EVENT, ACK, PacketType.ERROR)
_NUMBERS = {kind: bytes((number,)) for number, kind in enumerate(_TYPES)}
_MESSAGES = (PacketType.MESSAGE, PacketType.JSON)
_MOST = 10**16
"""Of an ack's number: 16 digits, what JavaScript counts exactly, as in JSON."""
_LEAST_INT, _MOST_INT = -(2**63), 2**64 - 1


class MsgpackParser(Parser):
    """Socket.IO's MessagePack parser.

    Raises:
        UsageError: the package ``msgpack`` is not installed.
    """

    def __init__(self) -> None:
        if msgpack is None:
            raise UsageError("MessagePack needs the package msgpack: pip install 'asocketio[msgpack]'")
        self._pack: Callable[[Any], bytes] = msgpack.packb

    def encode(self, packet: Packet, prefix: str) -> tuple[Frame, ...]:
        kind = packet.type
        if kind is EVENT:
            check_name(packet.name)
            value: Any = [packet.name, *packet.args]
        elif kind is ACK:
            check_ack(packet.id)
            value = packet.args
        elif kind in _MESSAGES:
            kind, value = EVENT, ["message", packet.data]
        elif kind in _NUMBERS:
            value = packet.data
            if value is None:  # a client takes no payload for null
                return (b"\x82\xa4type" + _NUMBERS[kind] + self._place(packet.endpoint),)
        else:
            raise UsageError(f"a packet of type {kind} cannot be sent to this client")
        start = (b"\x83\xa4type" if packet.id is None else b"\x84\xa4type") + _NUMBERS[kind] + b"\xa4data"
        end = b"" if packet.id is None else b"\xa2id" + self._pack(packet.id)
        return (b"".join((start, self._write(value), self._place(packet.endpoint), end)),)

    def decoder(self, config: Config) -> PacketDecoder:
        return _Decoder(config)

    def _place(self, namespace: str) -> bytes:
        return b"\xa3nsp" + self._pack(namespace) if namespace else b"\xa3nsp\xa1/"

    def _write(self, value: Any) -> bytes:
        try:
            packed = self._pack(value)
            read(packed)  # the package also writes what is refused here and has no form in JSON
            return packed
        except Exception:  # `_plain` words the refusal, and turns into text what JSON turns into text
            return self._pack(_plain(value))


def _plain(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON would have it, with its binary values.

    Raises:
        UsageError: something in it has no form.
    """
    if depth > MAX_DEPTH:
        raise _refusal(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        return _unicode(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not _LEAST_INT <= value <= _MOST_INT:
            raise _refusal("an int of over 64 bits; send it as text, or as a float")
        return int(value)
    if isinstance(value, float):
        if value - value:
            raise _refusal(f"{float(value)} is no number of JSON")
        return float(value)
    if isinstance(value, Binary):
        return bytes(value)
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    name = type(value).__qualname__
    if hasattr(value, "__await__"):
        raise _refusal(f"{name}: an await is missing")
    raise _refusal(f"{name} is no str, number, bool, None, bytes, list or dict; convert it first")


_WORDS: dict[Any, str] = {None: "null", True: "true", False: "false"}


def _key(key: Any) -> str:
    """The key of a dict as JSON has it: text."""
    if isinstance(key, str):
        return _unicode(key)
    if key is None or isinstance(key, bool):
        return _WORDS[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float) and not key - key:
        return float.__repr__(key)
    raise _refusal(f"a key of a dict is {key!r:.40}; it must be str, int, float, bool or None")


def _unicode(text: str) -> str:
    """``text`` with U+FFFD for half a surrogate pair, as JavaScript writes it: MessagePack has no escapes."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _refusal(why: str) -> UsageError:
    return UsageError(f"cannot be sent as MessagePack: {why}")


class _Decoder(PacketDecoder):
    __slots__ = ("_max_binaries", "_max_binary_bytes")

    def __init__(self, config: Config) -> None:
        self._max_binaries = config.max_attachments
        self._max_binary_bytes = config.max_attachment_bytes

    def text(self, frame: str, start: int) -> Packet | None:
        raise MalformedPacket(f"text {frame[start : start + 20]!r} of a client that speaks MessagePack")

    def binary(self, data: bytes) -> Packet:
        fields = read(data, self._max_binaries, self._max_binary_bytes)
        if type(fields) is not dict:
            raise MalformedPacket(f"a packet that is no map but {type(fields).__name__}")
        kind, payload, number = fields.get("type"), fields.get("data"), fields.get("id")
        if type(kind) is not int or not 0 <= kind < len(_TYPES):
            raise MalformedPacket(f"packet type {kind!r:.20}, expected a number from 0 to {len(_TYPES) - 1}")
        if number is not None and (type(number) is not int or not 0 <= number < _MOST):
            raise MalformedPacket(f"packet id {number!r:.20}, expected a number from 0 on")
        if kind == 2 and type(payload) is list and payload and type(payload[0]) is str:  # as most are
            name = payload.pop(0)
            if name not in RESERVED_EVENTS:
                ack: Any = None if number is None else "data"
                return Packet(EVENT, _namespace(fields.get("nsp")), name, payload, None, number, ack)
            payload.insert(0, name)
        packet = Packet(_TYPES[kind], _namespace(fields.get("nsp")), id=number)
        PAYLOAD_READERS[packet.type](packet, NOTHING if payload is None else payload)
        return packet


def _namespace(name: Any) -> str:
    if name == "/":
        return GLOBAL_NS
    if type(name) is not str or not name.startswith("/") or "," in name:
        raise MalformedPacket(f"namespace {name!r:.20}, expected text that begins with '/'")
    return name
