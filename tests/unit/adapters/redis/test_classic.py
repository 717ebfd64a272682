"""The classic form, against bytes that were captured between servers of Node."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from asocketio import Packet
from asocketio.adapters.base import Target
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
from asocketio.adapters.redis.classic import Channels, read_answer, read_broadcast, read_request, write_message
from asocketio.adapters.redis.unnamed import Unnamed
from asocketio.adapters.socket_info import SocketInfo
from asocketio.errors import MalformedMessage, UsageError
from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.packet import EVENT

UID = "wKKG5E"
ALL = Target("")
R1 = Target("", frozenset({"r1"}))


def event(name: str, *args: Any, namespace: str = "") -> Packet:
    return Packet(EVENT, namespace, name, list(args))


def message(body: Body, to: str | None = None, namespace: str = "", uid: str = UID) -> Message:
    return Message(uid, namespace, body, to)


BROADCASTS = {
    "to all": (
        Broadcast(event("hi", 1, "x"), ALL),
        "socket.io#/#",
        "93a6774b4b47354583a47479706502a46461746193a2686901a178a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
    ),
    "to a room": (
        Broadcast(event("hi", {"a": 1}), R1),
        "socket.io#/#r1#",
        "93a6774b4b47354583a47479706502a46461746192a2686981a16101a36e7370a12f83a5726f6f6d7391a27231a665786365707490"
        "a5666c61677380",
    ),
    "to two rooms, without one": (
        Broadcast(event("hi", None, True, 1.5, -7, 70000, "é"), Target("", frozenset({"r1", "r2"}), frozenset({"r3"}))),
        "socket.io#/#",
        "93a6774b4b47354583a47479706502a46461746197a26869c0c3cb3ff8000000000000f9ce00011170a2c3a9a36e7370a12f83"
        "a5726f6f6d7392a27231a27232a665786365707491a27233a5666c61677380",
    ),
}


@pytest.mark.parametrize("name", BROADCASTS)
def test_broadcasts_are_written_as_node_writes_them_and_read_back(name: str) -> None:
    body, channel, captured = BROADCASTS[name]
    assert write_message(message(body)).hex() == captured
    assert Channels("socket.io", "", UID).of(message(body)) == channel
    assert read_broadcast(bytes.fromhex(captured), "") == message(body)


def test_binary_and_what_is_volatile() -> None:
    body = Broadcast(event("bin", b"\1\2\3"), R1, volatile=True)
    data = write_message(message(body))
    assert b"\xa3bin\xc4\x03\1\2\3" in data
    assert read_broadcast(data, "") == message(body)
    assert msgpack.unpackb(data)[2]["flags"] == {"volatile": True}


REQUESTS: dict[str, tuple[Body, str]] = {
    "join": (
        Join(R1, frozenset({"r9"})),
        '{"uid":"wKKG5E","type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r9"]}',
    ),
    "leave": (
        Leave(R1, frozenset({"r9"})),
        '{"uid":"wKKG5E","type":3,"opts":{"rooms":["r1"],"except":[]},"rooms":["r9"]}',
    ),
    "disconnect": (
        Disconnect(Target("", frozenset({"nobody"})), True),
        '{"uid":"wKKG5E","type":4,"opts":{"rooms":["nobody"],"except":[]},"close":true}',
    ),
    "fetch": (
        Fetch(R1, "zWXc6X"),
        '{"uid":"wKKG5E","requestId":"zWXc6X","type":5,"opts":{"rooms":["r1"],"except":[]}}',
    ),
    "server event": (ServerEvent("sse", [{"k": 1}]), '{"uid":"wKKG5E","type":6,"data":["sse",{"k":1}]}'),
    "server call": (
        ServerEvent("sse", ["q"], "5gHWN9"),
        '{"uid":"wKKG5E","requestId":"5gHWN9","type":6,"data":["sse","q"]}',
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_written_as_node_writes_them_and_read_back(name: str) -> None:
    body, captured = REQUESTS[name]
    written = write_message(message(body))
    assert json.loads(written) == json.loads(captured)
    assert read_request(captured.encode(), "").messages == [message(body)]
    assert read_request(written, "").messages == [message(body)]
    assert Channels("socket.io", "", UID).of(message(body)) == "socket.io-request#/#"


def test_a_broadcast_that_wants_acks() -> None:
    captured = bytes.fromhex(
        "85a3756964a6774b4b473545a9726571756573744964a6555f64765552a47479706507a67061636b657483a47479706502a4646174"
        "6192a361736b01a36e7370a12fa46f70747383a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd05dc"
    )
    body = Broadcast(event("ask", 1), ALL, request_id="U_dvUR", seconds=1.5)
    written = write_message(message(body))
    assert msgpack.unpackb(written) == msgpack.unpackb(captured)
    assert read_request(captured, "").messages == [message(body)]
    assert Channels("socket.io", "", UID).of(message(body)) == "socket.io-request#/#"
    more = message(body._replace(hears_gone=True, target=Target("", R1.rooms, frozenset({"x"}))))
    assert read_request(write_message(more), "").messages == [more]


INFO = SocketInfo("1CumcjBkVR3Mol7QAAAA", frozenset({"r1"}), {"user": "c2"}, HandshakeInfo())
ANSWERS: dict[str, tuple[Body, bytes]] = {
    "count": (ClientCount("U_dvUR", 1), b'{"type":8,"requestId":"U_dvUR","clientCount":1}'),
    "ack": (
        Ack("U_dvUR", ["ack-from-c2"]),
        bytes.fromhex("83a47479706509a9726571756573744964a6555f64765552a67061636b6574ab61636b2d66726f6d2d6332"),
    ),
    "server": (ServerAnswer("5gHWN9", "B-reply"), b'{"type":6,"requestId":"5gHWN9","data":"B-reply"}'),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_written_as_node_writes_them_and_read_back(name: str) -> None:
    body, captured = ANSWERS[name]
    written = write_message(message(body, to="other1"))
    fields = msgpack.unpackb(written) if name == "ack" else json.loads(written)
    assert fields.pop("uid") == UID  # Node does not say it, and does not mind
    assert fields == (msgpack.unpackb(captured) if name == "ack" else json.loads(captured))
    assert read_answer(captured, "") == message(body, uid="")
    assert read_answer(written, "") == message(body)


def test_clients_are_written_as_node_reads_them_and_read_back() -> None:
    captured = (
        b'{"requestId":"zWXc6X","sockets":[{"id":"1CumcjBkVR3Mol7QAAAA","handshake":{"headers":{"host":"127.0.0.1"},'
        b'"time":"Sun Nov 22 2026 17:01:09 GMT+0000 (Coordinated Universal Time)","address":"::ffff:127.0.0.1",'
        b'"xdomain":false,"secure":false,"issued":1795366869991,"url":"/socket.io/?user=c2&EIO=4","query":'
        b'{"user":"c2","EIO":"4"},"auth":{}},"rooms":["1CumcjBkVR3Mol7QAAAA","r1"],"data":{"user":"c2"}}]}'
    )
    found = read_answer(captured, "")
    assert found is not None
    assert isinstance(found.body, Fetched)
    [info] = found.body.sockets
    assert (info.sid, info.rooms, info.data) == (INFO.sid, INFO.rooms, INFO.data)
    assert (info.handshake.address, info.handshake.query) == ("::ffff:127.0.0.1", {"user": "c2"})
    [socket] = json.loads(write_message(message(found.body, to="")))["sockets"]
    [theirs] = json.loads(captured)["sockets"]
    assert socket["handshake"].pop("reserved")
    assert socket == theirs


def test_an_ack_has_all_its_arguments_and_its_client_for_servers_that_know_of_it() -> None:
    for body in (Ack("q", [1, 2], "sid"), Ack("q", [], None), Ack("q", [b"x"], "s"), Gone("q", "sid")):
        assert read_answer(write_message(message(body, to="x")), "") == message(body)


def test_what_is_binary_goes_as_messagepack() -> None:
    for body, read in (
        (ServerEvent("x", [b"1"], "q"), lambda data: read_request(data, "").messages[0]),
        (ServerAnswer("q", {"x": b"1"}), lambda data: read_answer(data, "")),
    ):
        data = write_message(message(body, to="x"))
        assert data[:1] != b"{"
        assert read(data) == message(body)


def test_the_channels_of_a_namespace() -> None:
    channels = Channels("k", "/a*[b]?\\", "me0000")
    assert channels.pattern == "k#/a\\*\\[b\\]\\?\\\\#*"
    assert channels.of(message(ClientCount("q", 1), to="other1")) == "k-response#/a*[b]?\\#other1#"
    assert channels.of(message(ClientCount("q", 1), to="")) == "k-response#/a*[b]?\\#"
    assert channels.own_response == "k-response#/a*[b]?\\#me0000#"
    assert channels.room_of("k#/a*[b]?\\#a#b#") == "a#b"
    assert channels.room_of("k#/a*[b]?\\#") == ""


# ---- emitters, and older servers ---------------------------------------------------------------------------------


def test_emitters_leave_out_much() -> None:
    captured = bytes.fromhex(
        "93a7656d697474657283a47479706502a46461746192a2686901a36e7370a12f83a5726f6f6d7390a5666c61677380a665786365707490"
    )
    assert read_broadcast(captured, "") == message(Broadcast(event("hi", 1), ALL), uid="emitter")
    for packet in ({"type": 5, "data": ["hi", b"x"]}, {"type": 2, "data": ["hi", b"x"], "nsp": "/"}):
        for opts in ({}, {"rooms": []}, {"flags": {}}, {"rooms": [], "except": None}):
            found = read_broadcast(msgpack.packb(["emitter", packet, opts]), "")
            assert found == message(Broadcast(event("hi", b"x"), ALL), uid="emitter")
    request = read_request(b'{"type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r9"]}', "")
    assert request.messages == [message(Join(R1, frozenset({"r9"})), uid="")]


def test_a_broadcast_for_a_namespace_whose_channels_look_alike_is_not_ours() -> None:
    data = write_message(message(Broadcast(event("x", namespace="/#a"), Target("/#a")), namespace="/#a"))
    assert read_broadcast(data, "") is None
    assert read_broadcast(data, "/#a") is not None


def test_rooms_may_be_numbers() -> None:
    data = msgpack.packb(["u", {"type": 2, "data": ["x"], "nsp": "/"}, {"rooms": [42], "except": [7], "flags": {}}])
    found = read_broadcast(data, "")
    assert found is not None
    assert isinstance(found.body, Broadcast)
    assert found.body.target == Target("", frozenset({"42"}), frozenset({"7"}))


def test_questions_of_older_servers_are_answered_in_their_form() -> None:
    infos = [INFO, INFO._replace(sid="s2", rooms=frozenset({"r2"}))]
    for text, form, answer in (
        ('{"uid":"u","requestId":"q","type":0,"rooms":["r1"]}', "sids", {"sockets": [INFO.sid, "s2"]}),
        ('{"uid":"u","requestId":"q","type":1}', "rooms", {"rooms": [INFO.sid, "r1", "r2", "s2"]}),
        ('{"requestId":"q","type":2,"sid":"s2","room":"r9"}', "done", {}),
    ):
        request = read_request(text.encode(), "")
        question = request.messages[0].body
        assert isinstance(question, Fetch)
        assert (request.form, request.request_id, question.request_id) == (form, "q", "q")
        found = write_message(message(Fetched("q", infos), to="u"), request.form)
        assert json.loads(found) == {"requestId": "q", **answer}
    assert write_message(message(Fetched("q", []), to="u"), "done") == b""


def test_the_old_forms_about_one_client() -> None:
    sid = Target("", frozenset({"s"}))
    for number, rest, body in (
        (2, {"room": "r"}, Join(sid, frozenset({"r"}))),
        (3, {"room": "r"}, Leave(sid, frozenset({"r"}))),
        (4, {"room": "r", "close": True}, Disconnect(sid, True)),
    ):
        fields = {"type": number, "sid": "s", **rest}
        assert read_request(json.dumps(fields).encode(), "").messages == [message(body, uid="")]
        found = read_request(json.dumps({**fields, "requestId": "q"}).encode(), "").messages
        assert found == [message(Fetch(sid, "q", only_sids=True), uid=""), message(body, uid="")]


def test_answers_to_questions_of_others_are_of_no_use() -> None:
    for text in ('{"requestId":"q"}', '{"requestId":"q","rooms":["a"]}', '{"requestId":"q","sockets":["a"]}'):
        assert read_answer(text.encode(), "") is None


# ---- what is wrong -----------------------------------------------------------------------------------------------

NO_BROADCASTS = [
    b"", b"{}", b'["u",{"type":2,"data":["x"]},{}]', b"\xc1", b"\x93", b"\x90", b"\x80", b"\xff" * 20,
    *map(msgpack.packb, [
        None, 1, [], ["u"], ["u", {}], ["u", {}, {}], [1, {"type": 2, "data": ["x"]}, {}],
        ["u" * 101, {"type": 2, "data": ["x"]}, {}], ["u", {"type": 3, "data": ["x"]}, {}],
        ["u", {"type": 2, "data": "x"}, {}], ["u", {"type": 2, "data": []}, {}],
        ["u", {"type": 2, "data": [1]}, {}], ["u", {"type": 2, "data": ["disconnect"]}, {}],
        ["u", {"type": 2, "data": ["x"]}, None], ["u", {"type": 2, "data": ["x"]}, {"rooms": "all"}],
        ["u", {"type": 2, "data": ["x"]}, {"rooms": [None]}], ["u", {"type": 2, "data": ["x"]}, {"rooms": [[]]}],
        ["u", {"type": 2, "data": ["x"]}, {"rooms": [], "except": "x"}],
    ]),
]  # fmt: skip
NO_REQUESTS: list[Any] = [
    None, [], 1, "x", {}, {"type": -1}, {"type": 8}, {"type": 9}, {"type": 2.5}, {"type": True}, {"type": "2"},
    {"type": 0}, {"type": 1}, {"type": 5}, {"type": 6}, {"type": 7}, {"type": 2}, {"type": 3}, {"type": 4},
    {"type": 5, "requestId": "q"}, {"type": 5, "opts": {"rooms": []}},
    {"type": 5, "requestId": 1, "opts": {"rooms": []}},
    {"type": 6, "data": "x"}, {"type": 6, "data": []}, {"type": 6, "data": [1]},
    {"type": 7, "requestId": "q", "packet": {"type": 2, "data": ["x"]}},
    {"type": 7, "requestId": "q", "opts": {"rooms": []}},
    {"type": 7, "packet": {"type": 2, "data": ["x"]}, "opts": {"rooms": []}},
    {"type": 2, "opts": {"rooms": []}, "rooms": "x"}, {"type": 2, "opts": {}, "rooms": ["x"]},
    {"type": 4, "opts": {}, "close": True}, {"type": 4, "opts": {"rooms": {"a": 1}}},
    {"type": 2, "sid": 1, "room": "x"},
    {"type": 2, "sid": "s", "room": None}, {"type": 2, "sid": "s", "room": ["x"]}, {"type": 1, "requestId": "q" * 101},
    {"uid": 1, "type": 1, "requestId": "q"}, {"type": 2, "sid": "s", "room": "r", "requestId": {}},
]  # fmt: skip
NO_ANSWERS: list[Any] = [
    None, [], {"type": 8}, {"type": 8, "requestId": "q"}, {"type": 8, "requestId": "q", "clientCount": -1},
    {"type": 8, "requestId": "q", "clientCount": 1e9}, {"type": 9}, {"type": 9, "requestId": []}, {"type": 6},
    {"sockets": [{}], "requestId": "q"}, {"sockets": [{"id": "s"}]}, {"type": 6, "requestId": "q", "uid": []},
]  # fmt: skip


@pytest.mark.parametrize("data", NO_BROADCASTS)
def test_what_is_no_broadcast_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_broadcast(data, "")


@pytest.mark.parametrize("fields", NO_REQUESTS)
def test_what_is_no_request_is_refused(fields: Any) -> None:
    for data in (json.dumps(fields).encode(), msgpack.packb(fields), json.dumps(fields).encode()[:-1]):
        with pytest.raises(MalformedMessage):
            read_request(data, "")


@pytest.mark.parametrize("fields", NO_ANSWERS)
def test_what_is_no_answer_is_refused(fields: Any) -> None:
    for data in (json.dumps(fields).encode(), msgpack.packb(fields)):
        with pytest.raises(MalformedMessage):
            read_answer(data, "")


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="at most 10 are read"):
        read_request(b'{"type":1,"requestId":"q"}', "", 10)
    with pytest.raises(MalformedMessage, match="at most 10 are read"):
        read_broadcast(bytes.fromhex(BROADCASTS["to all"][2]), "", 10)


@pytest.mark.parametrize("body", [Heartbeat(), Heartbeat(is_first=True), Close()])
def test_what_has_no_form_is_not_written(body: Body) -> None:
    with pytest.raises(UsageError, match="has no form on this bus"):
        write_message(message(body))


@pytest.mark.parametrize("body", [body for body, _ in (*REQUESTS.values(), *ANSWERS.values())])
def test_nothing_is_written_that_ends_a_server_of_node(body: Body) -> None:
    """A request of type 5 or 7 without opts, or one of type 6 whose data is no list, does."""
    data = write_message(message(body, to="x" if isinstance(body, Ack | ClientCount | ServerAnswer) else None))
    fields = json.loads(data) if data[:1] == b"{" else msgpack.unpackb(data)
    if fields["type"] in (2, 3, 4, 5, 7):
        assert {type(fields["opts"]["rooms"]), type(fields["opts"]["except"])} == {list}
    if fields["type"] == 6 and "uid" in fields and not isinstance(body, ServerAnswer):
        assert type(fields["data"]) is list


# ---- answers without the name of a server ------------------------------------------------------------------------


def test_each_answer_without_a_name_is_of_another_server() -> None:
    unnamed = Unnamed()
    assert list(unnamed.named(ClientCount("q", 1))) == []
    unnamed.ask("q")
    names = [name for _ in range(3) for name, _ in unnamed.named(Fetched("q", []))]
    assert len(set(names)) == 3


def test_acks_without_a_name_are_shared_out() -> None:
    unnamed = Unnamed()
    unnamed.ask("q")
    assert list(unnamed.named(Ack("q", ["early"]))) == []
    [(first, _), (early, ack)] = unnamed.named(ClientCount("q", 2))
    assert (early, ack) == (first, Ack("q", ["early"]))
    [(second, _)] = unnamed.named(ClientCount("q", 1))
    owners = [name for number in range(3) for name, _ in unnamed.named(Ack("q", [number]))]
    assert owners == [first, second]  # and the third is one too many
