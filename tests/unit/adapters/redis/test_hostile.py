"""Whatever comes on the bus is a message, or the one error that says that it is none."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from asocketio.adapters.redis.classic import read_answer, read_broadcast, read_request
from asocketio.adapters.redis.streams_engine import read_entry
from asocketio.errors import MalformedMessage

names = st.sampled_from(
    ["uid", "type", "requestId", "opts", "rooms", "except", "flags", "packet", "data", "nsp", "sid", "room", "close",
     "sockets", "id", "handshake", "headers", "clientCount", "args", "gone", "timeout", "onlySids", "hearsGone"],
)  # fmt: skip
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 14), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=5)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6), max_leaves=25
)
requests = st.fixed_dictionaries(
    {"type": st.integers(-1, 10)},
    optional={
        "uid": leaves, "requestId": leaves, "opts": values, "rooms": values, "packet": values, "data": values,
        "sid": leaves, "room": leaves, "close": leaves, "sockets": values, "clientCount": leaves,
    },
)  # fmt: skip


def read_all(data: bytes) -> None:
    for read in (read_request, read_answer, read_broadcast):
        with contextlib.suppress(MalformedMessage):
            read(data, "")
    for number in (b"3", b"4", b"6", b"7", b"9"):
        with contextlib.suppress(MalformedMessage):
            read_entry({b"uid": b"u", b"nsp": b"/", b"type": number, b"data": data}, 10_000)


@given(requests)
def test_maps_with_wrong_values(fields: Any) -> None:
    read_all(json.dumps(fields).encode())
    with contextlib.suppress(UnicodeEncodeError):
        read_all(msgpack.packb(fields))


@given(values, values, values)
def test_broadcasts_with_wrong_values(uid: Any, packet: Any, opts: Any) -> None:
    with contextlib.suppress(UnicodeEncodeError):
        read_all(msgpack.packb([uid, packet, opts]))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    read_all(data)
