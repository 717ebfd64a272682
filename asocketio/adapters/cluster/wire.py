"""Node's ``ClusterAdapter`` form of a `Message`: JSON text, or MessagePack where there are binary values.

``{uid, nsp, type, data}``; what stands in ``data`` depends on ``type``. Source: npm socket.io-adapter 2.5.8,
``cluster-adapter``; @socket.io/redis-adapter 8.3.0, ``sharded-adapter``; @socket.io/redis-streams-adapter 0.3.1.
Whatever comes in is read in full, or is a `MalformedMessage`; fields that are not known are not looked at.
"""

from __future__ import annotations

from typing import Any

from asocketio.adapters.cluster.body_fields import body_fields, read_body
from asocketio.adapters.cluster.messages import Body, Broadcast, Message
from asocketio.errors import MalformedMessage, MalformedPacket, UsageError
from asocketio.protocol.fast_json import best_json
from asocketio.protocol.json_codec import MAX_DEPTH, StdJson, refuse_depth
from asocketio.protocol.msgpack_reader import read_of_server
from asocketio.protocol.msgpack_writer import write
from asocketio.protocol.packet import GLOBAL_NS

__all__ = ["decode", "decode_body", "encode", "encode_body"]

DEPTH = MAX_DEPTH + 10
"""Of a message: the values of programs stand some levels deep in it."""
MOST = 64_000_000
"""Bytes of one message, where no other bound is given."""

_json = best_json()
_std = StdJson()


def encode(message: Message, *, packed: bool = False) -> bytes:
    """A message of this server. With ``packed`` it is MessagePack in any case.

    Raises:
        UsageError: something in it has no form.
    """
    number, text = (0, None) if packed else _json_body(message.body)
    nsp = message.namespace or "/"
    sender = {"uid": message.uid, "nsp": nsp}
    if text is not None:
        data = f'"data":{text},' if text else ""
        return f'{{"type":{number},{data}{_json.dumps(sender)[0][1:]}'.encode()
    number, fields = body_fields(message.body)
    return write({"type": number, **({} if fields is None else {"data": fields}), **sender}, DEPTH)


def encode_body(body: Body, *, packed: bool = False) -> tuple[int, bytes]:
    """The type of a message, and its ``data`` alone.

    Raises:
        UsageError: something in it has no form.
    """
    number, text = (0, None) if packed else _json_body(body)
    if text is not None:
        return number, text.encode()
    number, data = body_fields(body)
    return number, write(data, DEPTH)


def decode(data: bytes, most: int = MOST) -> Message:
    """The message of another server, of at most so many bytes.

    Raises:
        MalformedMessage: it is none.
    """
    fields = _read(data, most)
    if type(fields) is not dict:
        raise MalformedMessage(f"a message that is no map but {type(fields).__name__}")
    uid, nsp = fields.get("uid"), fields.get("nsp")
    if type(uid) is not str or not 0 < len(uid) <= 100:
        raise MalformedMessage(f"a message of {uid!r:.40}, expected the uid of a server")
    namespace = read_namespace(nsp)
    return Message(uid, namespace, read_body(fields.get("type"), fields.get("data"), namespace))


def decode_body(number: Any, data: bytes, namespace: str, most: int = MOST) -> Body:
    """What stands in a message whose type and namespace are known.

    Raises:
        MalformedMessage: it is none.
    """
    return read_body(number, _read(data, most), namespace)


def read_namespace(nsp: Any) -> str:
    """The namespace by the name that it has on the bus.

    Raises:
        MalformedMessage: it is none.
    """
    if type(nsp) is not str or not nsp.startswith("/"):
        raise MalformedMessage(f"a message for the namespace {nsp!r:.40}")
    return GLOBAL_NS if nsp == "/" else nsp


def _json_body(body: Body) -> tuple[int, str | None]:
    """The number of a body, and its fields as JSON, ``""`` for none; None where there are binary values among them.

    The values of programs are written for themselves, so that they may be as deep as they may be for clients.
    """
    number, data = body_fields(body)
    if data is None:
        return number, ""
    parts: list[str] = []
    for key, value in data.items():
        if key == "packet" and isinstance(body, Broadcast):
            text = _dumps(value["data"])
            text = None if text is None else f'{{"type":2,"data":{text}}}'
        else:
            text = _dumps(value)
        if text is None:
            return number, None
        parts.append(f'"{key}":{text}')
    return number, "{" + ",".join(parts) + "}"


def _dumps(value: Any) -> str | None:
    """``value`` as JSON; None where it is to be MessagePack."""
    try:
        text, attachments = _json.dumps(value)
    except UsageError:
        plain = _finite(value, DEPTH)
        if plain is None:
            raise
        text, attachments = _json.dumps(plain[0])
    return None if attachments else text


def _finite(value: Any, depth: int) -> tuple[Any] | None:
    """``value`` with None for NaN and Infinity, which clients of Node get for them; None where it is too deep."""
    if isinstance(value, float):
        return (None if value - value else value,)
    if not isinstance(value, list | tuple | dict):
        return (value,)
    if not depth:
        return None
    items = value.values() if isinstance(value, dict) else value
    found = [_finite(item, depth - 1) for item in items]
    plain = [item[0] for item in found if item is not None]
    if len(plain) < len(found):
        return None
    return (dict(zip(value, plain, strict=True)) if isinstance(value, dict) else plain,)


def _read(data: bytes, most: int) -> Any:
    if len(data) > most:
        raise MalformedMessage(f"a message of {len(data)} bytes, at most {most} are read")
    try:
        if not data.startswith(b"{"):
            return read_of_server(data, DEPTH)
        text = data.decode()
        try:
            return _json.loads(text)
        except MalformedPacket:  # deeper than what clients send: the values of a program stand some levels deep
            refuse_depth(text, DEPTH)
            return _std.scan(text)
    except MalformedPacket as error:
        raise MalformedMessage(str(error)) from None
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"text that is not UTF-8 ({error.reason}): {data[:40]!r}") from None
