"""Messages between servers in Node's form: what real Node servers have sent, and what nobody should."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asocketio import HandshakeInfo, Packet, PacketType, Target, UsageError
from asocketio.adapters.cluster.messages import (
    Ack,
    Body,
    Broadcast,
    ClientCount,
    Close,
    Disconnect,
    Fetch,
    Fetched,
    Gone,
    Heartbeat,
    Join,
    Leave,
    Message,
    ServerAnswer,
    ServerEvent,
)
from asocketio.adapters.cluster.wire import decode, decode_body, encode, encode_body
from asocketio.adapters.socket_info import SocketInfo
from asocketio.errors import MalformedMessage
from asocketio.protocol.msgpack_reader import read_of_server
from asocketio.protocol.msgpack_writer import write

UID = "f29aa8c2d78ebae6"


def event(name: str, *args: Any, namespace: str = "") -> Packet:
    return Packet(PacketType.EVENT, namespace, name, list(args))


def to(*rooms: str, without: tuple[str, ...] = ()) -> Target:
    return Target("", frozenset(rooms) or None, frozenset(without))


# ---- as Node writes them: captured between @socket.io/redis-adapter 8.3.0 (sharded) and streams 0.3.1 ----------------

TEXTS: dict[str, Body] = {
    '{"type":3,"data":{"packet":{"type":2,"data":["hi",1,"x"]},"opts":{"rooms":[],"except":[],"flags":{}}}': Broadcast(
        event("hi", 1, "x"), to()
    ),
    '{"type":3,"data":{"packet":{"type":2,"data":["hi",{"a":1}]},"opts":{"rooms":["r1"],"except":[],"flags":{}}}': (
        Broadcast(event("hi", {"a": 1}), to("r1"))
    ),
    '{"type":4,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"rooms":["r9"]}': Join(
        to("r1"), frozenset({"r9"})
    ),
    '{"type":5,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"rooms":["r9"]}': Leave(
        to("r1"), frozenset({"r9"})
    ),
    '{"type":6,"data":{"opts":{"rooms":["nobody"],"except":[],"flags":{}},"close":true}': Disconnect(
        to("nobody"), close=True
    ),
    '{"type":7,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"requestId":"2e8ba5c86e546194"}': Fetch(
        to("r1"), "2e8ba5c86e546194"
    ),
    '{"type":9,"data":{"requestId":"8c36589e026aecad","packet":["sse","q"]}': ServerEvent(
        "sse", ["q"], "8c36589e026aecad"
    ),
    '{"type":10,"data":{"requestId":"8c36589e026aecad","packet":"B-reply"}': ServerAnswer(
        "8c36589e026aecad", "B-reply"
    ),
    '{"type":3,"data":{"packet":{"type":2,"data":["ask",1]},"requestId":"5efb6720cee01543",'
    '"opts":{"rooms":[],"except":[],"flags":{"timeout":1500}}}': Broadcast(
        event("ask", 1), to(), request_id="5efb6720cee01543", seconds=1.5
    ),
    '{"type":11,"data":{"requestId":"5efb6720cee01543","clientCount":1}': ClientCount("5efb6720cee01543", 1),
    '{"type":12,"data":{"requestId":"5efb6720cee01543","packet":"ack-from-c2"}': Ack(
        "5efb6720cee01543", ["ack-from-c2"]
    ),
    '{"type":1': Heartbeat(is_first=True),
    '{"type":2': Heartbeat(),
    '{"type":13': Close(),
}

BINARY = (
    "84a47479706503a46461746182a67061636b657482a47479706502a46461746192a362696ec403010203a46f70747383a5726f6f6d7391a27231"
    "a665786365707490a5666c61677380a3756964b066323961613863326437386562616536a36e7370a12f"
)
FETCH = (
    "84a47479706507a46461746182a46f70747383a5726f6f6d7391a27231a665786365707490a5666c61677380a9726571756573744964b0333162"
    "65646464303837313733623637a3756964b065653738616461393964646331646134a36e7370a12f"
)
SERVER_EVENT = (
    "84a47479706509a46461746181a67061636b657492a373736581a16b01a3756964b065653738616461393964646331646134a36e7370a12f"
)
COUNT = (
    "84a4747970650ba46461746182a9726571756573744964b064346532333731396432643564663336ab636c69656e74436f756e7401a3756964b0"
    "35643065393863376239333733343732a36e7370a12f"
)
PACKED: dict[str, Message] = {
    BINARY: Message(UID, "", Broadcast(event("bin", b"\1\2\3"), to("r1"))),
    FETCH: Message("ee78ada99ddc1da4", "", Fetch(to("r1"), "31beddd087173b67")),
    SERVER_EVENT: Message("ee78ada99ddc1da4", "", ServerEvent("sse", [{"k": 1}])),
    COUNT: Message("5d0e98c7b9373472", "", ClientCount("d4e23719d2d5df36", 1)),
}


@pytest.mark.parametrize(("text", "body"), TEXTS.items())
def test_text_of_node_is_read_and_written_the_same(text: str, body: Body) -> None:
    whole = f'{text},"uid":"{UID}","nsp":"/"}}'
    assert decode(whole.encode()) == Message(UID, "", body)
    assert encode(Message(UID, "", body)).decode() == whole


@pytest.mark.parametrize(("data", "message"), PACKED.items())
def test_messagepack_of_node_is_read_and_written_the_same(data: str, message: Message) -> None:
    assert decode(bytes.fromhex(data)) == message
    assert encode(message, packed=True).hex() == data


def test_binary_makes_it_messagepack_by_itself() -> None:
    assert encode(PACKED[BINARY]).hex() == BINARY


def test_streams_carry_the_data_alone() -> None:
    body = Broadcast(event("hi", 1, "x"), to())
    text = b'{"packet":{"type":2,"data":["hi",1,"x"]},"opts":{"rooms":[],"except":[],"flags":{}}}'
    assert encode_body(body) == (3, text)
    assert decode_body(3, text, "") == body
    packed = encode_body(body._replace(packet=event("hi", b"1")))[1]
    assert decode_body(3, packed, "") == body._replace(packet=event("hi", b"1"))


def test_old_emitters_write_type_5_and_leave_things_out() -> None:
    data = '{"packet":{"type":5,"data":["x"],"nsp":"/"},"opts":{"rooms":[42]}}'
    text = f'{{"type":3,"data":{data},"uid":"emitter","nsp":"/a"}}'
    assert decode(text.encode()) == Message(
        "emitter", "/a", Broadcast(event("x", namespace="/a"), Target("/a", frozenset({"42"})))
    )


# ---- our own fields --------------------------------------------------------------------------------------------------

OWN: list[Body] = [
    Broadcast(event("x"), to(without=("a", "b")), volatile=True),
    Broadcast(event("x"), to(), request_id="1", seconds=0.5, hears_gone=True),
    Fetch(to(), "1", only_sids=True),
    Ack("1", [1, b"2", None], "~sid"),
    Ack("1", [], "~sid"),
    Gone("1", "~sid"),
    ServerAnswer("1", None),
    ServerAnswer("1", {"a": [b"1"]}),
]


@pytest.mark.parametrize("body", OWN, ids=lambda body: type(body).__name__)
@pytest.mark.parametrize("packed", [False, True])
def test_what_node_does_not_know_comes_back(body: Body, packed: bool) -> None:
    assert decode(encode(Message(UID, "", body), packed=packed)) == Message(UID, "", body)


def test_of_a_client_goes_what_is_no_secret() -> None:
    fields = [(b"host", b"a"), (b"cookie", b"secret"), (b"authorization", b"secret"), (b"x", b"1"), (b"x", b"\xe9")]
    url = "/socket.io/?EIO=4&transport=polling&user=ada"
    handshake = HandshakeInfo(
        "10.0.0.1", 1795366869.991, True, url, {"token": "secret"}, fields, frozenset({"EIO", "transport"})
    )
    info = SocketInfo("~sid", frozenset({"red"}), {"user": 1}, handshake)
    data = encode(Message(UID, "", Fetched("1", [info])))
    assert b"secret" not in data
    sent = json.loads(data)["data"]["sockets"][0]
    assert (sent["id"], sent["rooms"], sent["data"]) == ("~sid", ["~sid", "red"], {"user": 1})
    assert sent["handshake"] == {
        "headers": {"host": "a", "x": "1, é"},
        "time": "Sun Nov 22 2026 17:01:09 GMT+0000 (Coordinated Universal Time)",
        "address": "10.0.0.1", "xdomain": False, "secure": True, "issued": 1795366869991, "url": url,
        "query": {"EIO": "4", "transport": "polling", "user": "ada"}, "auth": {}, "reserved": ["EIO", "transport"],
    }  # fmt: skip
    body = decode(data).body
    assert isinstance(body, Fetched)
    [read] = body.sockets
    assert read[:3] == info[:3]
    assert (read.handshake.query, dict(read.handshake.headers)) == ({"user": "ada"}, {"host": "a", "x": "1, é"})
    sids = encode(Message(UID, "", Fetched("1", [info], only_sids=True)))
    assert json.loads(sids)["data"]["sockets"] == [{"id": "~sid"}]


def test_a_client_of_node_is_read_without_its_secrets() -> None:
    client = {
        "id": "1CumcjBkVR3Mol7QAAAA",
        "handshake": {
            "headers": {"host": "127.0.0.1:4101", "cookie": "secret", "Authorization": "secret", "x": ["a", "b"]},
            "time": "Sun Nov 22 2026 17:01:09 GMT+0000 (Coordinated Universal Time)", "address": "::ffff:127.0.0.1",
            "xdomain": False, "secure": False, "issued": 1795366869991, "auth": {"token": "secret"},
            "url": "/socket.io/?user=c2&EIO=4&transport=websocket",
            "query": {"user": "c2", "EIO": "4", "transport": "websocket"},
        },
        "rooms": ["1CumcjBkVR3Mol7QAAAA", "r1"], "data": {"user": "c2"},
    }  # fmt: skip
    body = decode_body(8, json.dumps({"requestId": "1", "sockets": [client]}).encode(), "")
    assert isinstance(body, Fetched)
    [info] = body.sockets
    assert (info.sid, info.rooms, info.data) == ("1CumcjBkVR3Mol7QAAAA", {"r1"}, {"user": "c2"})
    handshake = info.handshake
    assert (handshake.query, handshake.auth, handshake.time) == ({"user": "c2"}, {}, 1795366869.991)
    assert dict(handshake.headers) == {"host": "127.0.0.1:4101", "x": "a, b"}
    hostile = {
        "id": "x",
        "rooms": 7,
        "data": [],
        "handshake": {"headers": 1, "issued": "now", "url": None, "secure": 1},
    }
    body = decode_body(8, json.dumps({"requestId": "1", "sockets": [hostile, {"id": "y"}]}).encode(), "")
    assert isinstance(body, Fetched)
    assert [(each.sid, each.rooms, each.data, each.handshake.url) for each in body.sockets] == [
        ("x", set(), {}, ""), ("y", set(), {}, ""),
    ]  # fmt: skip


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (float("nan"), None),
        ([float("inf"), {"a": -float("inf")}], [None, {"a": None}]),
        ("\ud800", "�"),
        ("a\ud83d\ude00", "a😀"),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        ((1, 2), [1, 2]),
        (bytearray(b"x"), b"x"),
        ({1: 2, None: 3, False: 4, 1.5: 5}, {"1": 2, "null": 3, "false": 4, "1.5": 5}),
        (1e300, 1e300),
        (["x"] * 70_000, ["x"] * 70_000),
        ({str(n): n for n in range(20)}, {str(n): n for n in range(20)}),
        ("x" * 300, "x" * 300),
        (b"x" * 70_000, b"x" * 70_000),
    ],
)
def test_values_that_json_has_in_messagepack(value: Any, read: Any) -> None:
    assert read_of_server(write(value, 10), 10) == read
    body = decode(encode(Message(UID, "", ServerAnswer("1", [value, b""])))).body
    assert body == ServerAnswer("1", [read, b""])


def test_text_has_nan_as_null_and_ints_of_any_size() -> None:
    data = encode(Message(UID, "", ServerAnswer("1", [float("nan"), {"a": float("inf")}, 2**70])))
    assert data.startswith(b"{")
    assert decode(data).body == ServerAnswer("1", [None, {"a": None}, 2**70])


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, object(), {(1, 2): 3}, {b"x": 1}, {1, 2}])
def test_what_has_no_form_is_a_usage_error(value: Any) -> None:
    with pytest.raises(UsageError, match="cannot be sent as MessagePack"):
        encode(Message(UID, "", ServerAnswer("1", value)), packed=True)


@pytest.mark.parametrize("packed", [False, True])
def test_a_value_as_deep_as_clients_may_have_it_is_carried(packed: bool) -> None:
    deep: Any = 1
    for _ in range(99):
        deep = [deep]
    message = Message(UID, "", Broadcast(event("x", deep), to()))
    assert decode(encode(message, packed=packed)) == message
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(UsageError):
        encode(Message(UID, "", ServerAnswer("1", circle)), packed=packed)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("d6ff00000000", "1970-01-01T00:00:00.000Z"),
        ("d6ff6957d0c5", "2026-01-02T14:05:57.000Z"),
        ("d7ff a178e1c0 6957d0c5", "2026-01-02T14:05:57.677Z"),
        ("c70cff 28655940 000000006957d0c5", "2026-01-02T14:05:57.677Z"),
        ("c70cff 00000000 ffffffffffffffff", "1969-12-31T23:59:59.000Z"),
        ("d70000000000000003e8", "1970-01-01T00:00:01.000Z"),
        ("d40000", None),
        ("c7020001ff", b"\1\xff"),
    ],
)
def test_dates_of_node_are_text(data: str, text: Any) -> None:
    assert read_of_server(bytes.fromhex(data.replace(" ", "")), 10) == text


# ---- bad input -------------------------------------------------------------------------------------------------------

GOOD = [
    *(f'{text},"uid":"{UID}","nsp":"/"}}'.encode() for text in TEXTS),
    *map(bytes.fromhex, PACKED),
    *(encode(Message(UID, "/a", body), packed=packed) for body in OWN for packed in (False, True)),
]


def read_or_refuse(data: bytes) -> None:
    try:
        message = decode(data, 100_000)
    except MalformedMessage:
        return
    assert isinstance(message, Message)
    encode(message)


@pytest.mark.parametrize("data", GOOD)
def test_a_message_that_is_cut_off_is_refused(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(MalformedMessage):
            decode(data[:end])


def put(fields: Any, path: list[Any], value: Any) -> Any:
    if not path:
        return value
    copy = dict(fields) if isinstance(fields, dict) else list(fields)
    copy[path[0]] = put(copy[path[0]], path[1:], value)
    return copy


def paths(fields: Any) -> list[list[Any]]:
    found: list[list[Any]] = [[]]
    items = fields.items() if isinstance(fields, dict) else enumerate(fields) if isinstance(fields, list) else ()
    for key, value in items:
        found += [[key, *path] for path in paths(value)]
    return found


HOSTILE = [None, True, -1, 0, 2**63, 1e308, "", "x" * 200, [], [[]], [None], {}, {"a": {}}, "\ud800", 10**400, b"\0"]


@pytest.mark.parametrize("data", GOOD)
def test_values_of_other_types_anywhere_are_read_or_refused(data: bytes) -> None:
    fields = json.loads(data) if data.startswith(b"{") else read_of_server(data, 100)
    for path in paths(fields):
        for value in HOSTILE:
            changed = put(fields, path, value)
            if not isinstance(value, bytes) and data[:1] == b"{":
                read_or_refuse(json.dumps(changed).encode())
            elif value != 10**400:
                read_or_refuse(write(changed, 200))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"{}", b"[]", b"null", b"\x80", b"\x90", b"\xc0", b"\xc1", b"\xff", b"{\xff}",
        b"{" * 200, b'{"a":' * 200, b'{"a":' + b"[" * 200_000, b"\x91" * 300, b"\x91" * 300_000,
        b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\x81\x01\x02",
        b'{"type":3,"uid":"a","nsp":"/"}', b'{"type":99,"uid":"a","nsp":"/","data":{}}',
        b'{"type":6,"uid":"a","nsp":"/","data":{"close":true}}',
        b'{"type":6,"uid":"a","nsp":"/","data":{"opts":{},"close":true}}',
        b'{"type":3,"uid":"a","nsp":"/","data":{"packet":{"type":2,"data":["disconnect"]},"opts":{"rooms":[]}}}',
        b'{"type":11,"uid":"a","nsp":"/","data":{"requestId":"1","clientCount":99999999999}}',
        b'{"type":2,"uid":"a","nsp":"chat"}', b'{"type":2,"uid":"","nsp":"/"}',
        b'{"type":' + b"1" * 5000 + b',"uid":"a","nsp":"/"}',
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(data)


def test_a_message_of_33_mb_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedMessage, match="33000000 bytes, at most 16000000"):
        decode(b"{" + b"x" * 32_999_999, 16_000_000)


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    read_or_refuse(data)


@given(st.sampled_from(GOOD), st.integers(0, 300), st.binary(min_size=1, max_size=4))
def test_messages_with_other_bytes_in_them_are_read_or_refused(data: bytes, at: int, noise: bytes) -> None:
    read_or_refuse(data[:at] + noise + data[at + len(noise) :])
