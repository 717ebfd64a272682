"""Who shares a protocol, and what a packet that nobody receives is checked by."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from asocketio.errors import UsageError
from asocketio.protocol import custom_json
from asocketio.protocol.custom_json import SharedProtocols
from asocketio.protocol.engineio3 import EngineIO3
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.packet import Packet, PacketType


def loads(text: str) -> Any:
    return json.loads(text)


def dumps(value: Any) -> str:
    return json.dumps(value, default=list)


class Codec:
    """JSON functions that are methods: another object each time they are looked up."""

    def dumps(self, value: Any) -> str:
        return dumps(value)


def in_a_view(word: str = "") -> Callable[[Any], str]:
    return lambda value: json.dumps(value) + word


def anywhere() -> Callable[[Any], str]:
    return lambda value: json.dumps(value)


CODEC, ENCODER = Codec(), json.JSONEncoder()
SHORT = in_a_view()
ENGINE3, ENGINE4 = EngineIO3(), EngineIO4()


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (lambda: (loads, dumps), lambda: (loads, dumps), True),
        (lambda: (None, dumps), lambda: (None, dumps), True),
        (lambda: (None, CODEC.dumps), lambda: (None, CODEC.dumps), True),
        (lambda: (None, ENCODER.encode), lambda: (None, ENCODER.encode), True),
        (lambda: (None, [].__str__), lambda: (None, [].__str__), False),
        (lambda: (None, anywhere()), lambda: (None, anywhere()), True),
        (lambda: (None, in_a_view("a")), lambda: (None, in_a_view("b")), False),
        (lambda: (None, SHORT), lambda: (None, SHORT), True),
        (lambda: (None, lambda value, more=CODEC: ""), lambda: (None, lambda value, more=CODEC: ""), False),
        (lambda: (loads, dumps), lambda: (None, dumps), False),
        (lambda: (loads, dumps), lambda: (loads, None), False),
        (lambda: (None, CODEC.dumps), lambda: (None, Codec().dumps), False),
        (lambda: (None, partial(dumps)), lambda: (None, partial(dumps)), False),
    ],
)
def test_sockets_with_the_same_functions_share_a_protocol(
    one: Callable[[], Any], other: Callable[[], Any], shared: bool
) -> None:
    protocols = SharedProtocols()
    first = protocols.get(ENGINE4, *one())
    assert (protocols.get(ENGINE4, *other()) is first) == shared
    assert protocols.get(ENGINE3, *one()).generation == "3"


def test_functions_made_by_one_line_are_told_apart_by_what_they_hold() -> None:
    protocols = SharedProtocols()
    made = [protocols.get(ENGINE4, None, in_a_view(word)) for word in "ab"]
    assert [each.encode(packet(1)).frames for each in made] == [('42["n", 1]a',), ('42["n", 1]b',)]
    defaults = [protocols.get(ENGINE4, None, lambda value, *, word=word: word) for word in ("c", "d")]
    assert [each.encode(packet(1)).frames for each in defaults] == [("42c",), ("42d",)]


def test_no_protocol_and_no_function_outlasts_its_sockets_for_ever() -> None:
    class Socket:
        """What a view's function may refer to, and what refers to the protocol."""

        protocol: Any

        def dumps(self, value: Any) -> str:
            return json.dumps(value)

    protocols, sockets = SharedProtocols(), []
    for _ in range(100):
        socket = Socket()
        socket.protocol = protocols.get(ENGINE4, socket.dumps, socket.dumps)
        sockets.append(weakref.ref(socket))
    del socket
    gc.collect()
    assert sum(ref() is not None for ref in sockets) == len(protocols._protocols) == custom_json.REMEMBERED


def packet(value: Any, name: str = "n") -> Packet:
    return Packet(PacketType.EVENT, name=name, args=[value])


def test_a_packet_that_nobody_receives_is_checked_by_standard_json_and_by_the_programs() -> None:
    protocols = SharedProtocols()
    protocols.check(packet("text"))
    with pytest.raises(UsageError, match="set is no str"):
        protocols.check(packet({1}))
    protocols.get(ENGINE4, loads, None)
    with pytest.raises(UsageError, match="set is no str"):
        protocols.check(packet({1}))
    protocols.get(ENGINE4, None, dumps)
    for number in range(custom_json.REMEMBERED - 1):
        protocols.get(ENGINE4, None, in_a_view(str(number)))
    protocols.check(packet({1}))
    for mistake in (packet(object()), packet(1, "connect")):
        with pytest.raises(UsageError, match=r"reserved|is no str"):
            protocols.check(mistake)
    protocols.get(ENGINE4, None, in_a_view("one more"))
    with pytest.raises(UsageError, match="set is no str"):
        protocols.check(packet({1}))


def test_functions_in_use_are_remembered_before_others() -> None:
    protocols = SharedProtocols()
    for number in range(3 * custom_json.REMEMBERED):
        protocols.get(ENGINE4, None, dumps)
        protocols.get(ENGINE4, None, in_a_view(str(number)))
    protocols.check(packet({1}))
