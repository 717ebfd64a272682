"""What a namespace knows of its client: the request that opened the session, and what the program keeps of it."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any

import pytest

from asocketio import BaseNamespace, ConnectionRefused, HandshakeInfo, SocketIOApp, UsageError
from asocketio.adapters.socket_info import SocketInfo
from asocketio.testing import TestClient, settle
from tests.support.worlds import Recorder, Way, serve

HEADERS = {"User-Agent": "tests", "Cookie": 'a=1; b=%20x; c="q"; a=2; junk', "X-More": "é"}


class Known(Recorder):
    """Its client is known to the tests."""

    seen: Any = None

    async def recv_connect(self, auth: Any) -> None:
        self.seen = auth

    async def on_set(self, data: Any) -> None:
        self.data = data


async def test_the_handshake_is_what_opened_the_session(way: Way) -> None:
    before = time.time()
    app = SocketIOApp(namespaces={"/": Known})
    async with TestClient(app, **way, headers=HEADERS, query={"page": "1 2"}) as client:
        await client.connect()
        handshake = Known.last.handshake
        assert handshake.headers["user-agent"] == handshake.headers["User-Agent"] == "tests"
        assert handshake.headers.get("X-None") is None
        assert {name.lower() for name in HEADERS} | {"host"} <= set(handshake.headers)
        assert "q" not in repr(handshake.headers)
        assert handshake.query == {"page": "1 2"}
        assert handshake.cookies == {"a": "2", "b": " x", "c": "q"}
        assert (handshake.address, handshake.secure) == ("testclient", False)
        assert before <= handshake.time <= time.time()
        path = "/socket.io/1/" if way["generation"] == "0.9" else "/socket.io/"
        assert handshake.url.startswith(f"{path}?")
        assert "page=1+2" in handshake.url
        assert client.handshake["sid"] not in handshake.url
        await client.disconnect()
        assert handshake.query == Known.last.handshake.query  # still there


async def test_auth_is_what_recv_connect_got(way: Way) -> None:
    async with serve(Known, **way, also={"/two": Known}) as client:
        await client.connect("/", auth={"name": "ada"})
        assert Known.last.handshake.auth == Known.last.seen == {"name": "ada"}
        await client.connect("/two", auth={"token": "x"})
        assert Known.last.handshake.auth == Known.last.seen
        assert Known.last.handshake.auth["token"] == "x"


async def test_without_auth_it_is_empty(way: Way) -> None:
    async with serve(Known, **way) as client:
        await client.connect()
        assert Known.last.handshake.auth == Known.last.seen == {}
        assert Known.last._member.auth is None


async def test_what_clients_give_is_bounded_and_the_same_is_kept_once() -> None:
    also: dict[str, type[BaseNamespace]] = {f"/{number}": Known for number in range(30)}
    async with serve(Known, also=also) as client:
        token = "x" * 3000
        for name in also:
            await client.connect(name, auth={"token": token})
        kept = {id(member.auth) for member in Known.last.socket.members.values()}
        assert len(kept) == 1
        await client.connect("/", auth={"token": "y" * 15_000})
    async with serve(Known, also=also) as client:
        refused = 0
        for number, name in enumerate(also):
            try:
                await client.connect(name, auth={"token": str(number) * 3000})
            except ConnectionRefused:
                refused += 1
        assert 20 < refused < 30
        assert len(Known.last.socket.members) == 30 - refused


async def test_an_auth_of_many_small_values_counts_what_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Known) as client:
        with pytest.raises(ConnectionRefused, match="Auth too large"):
            await client.connect("/", auth={"values": [[]] * 1000})  # 3 kB of text
        await client.connect("/", auth={"values": [[]] * 10})
    assert "the auth of its namespaces takes over 20000 bytes (max_head)" in caplog.text


def test_fields_of_one_name_are_joined_and_any_bytes_are_text() -> None:
    fields = [(b"X-A", b"1"), (b"cookie", b"a=1"), (b"x-a", b"\xff"), (b"Cookie", b"b=2;;=;c")]
    handshake = HandshakeInfo(fields=fields)
    assert handshake.headers["x-a"] == "1, \xff"
    assert handshake.cookies == {"a": "1", "b": "2", "": ""}
    assert (len(handshake.headers), handshake.query) == (2, {})


def test_what_leaves_the_process_has_no_secrets_and_comes_back_as_it_was() -> None:
    fields = [(b"Authorization", b"x"), (b"cookie", b"a=1"), (b"x-a", b"\xff")]
    handshake = HandshakeInfo("1.2.3.4", 5.5, True, "/socket.io/?EIO=4&a=1", {"token": "x"}, fields, frozenset(["EIO"]))
    info = SocketInfo("~sid", frozenset(["b", "a"]), {"n": 1}, handshake)
    text = json.dumps(info.to_json())
    assert "token" not in text
    back = SocketInfo.of_json(json.loads(text))
    assert back == info._replace(handshake=handshake.shared())
    assert (back.handshake.query, dict(back.handshake.headers), dict(back.handshake.auth)) == (
        {"a": "1"}, {"x-a": "\xff"}, {},
    )  # fmt: skip


# ---- data ---------------------------------------------------------------------------------------------------------


async def test_data_is_one_dict_for_each_client_and_namespace(way: Way) -> None:
    app = SocketIOApp(namespaces={"/": Known, "/two": Known})
    async with TestClient(app, **way) as client:
        await client.connect()
        one = Known.last
        await client.connect("/two")
        two = Known.last
        assert one._member.data is None  # made when it is first asked for
        one.data["name"] = "ada"
        one.session["name"] = "of all"
        assert (one.data, two.data, two.session) == ({"name": "ada"}, {}, {"name": "of all"})
        one.data = {"other": 1}
        assert one.data == {"other": 1}
        [peer] = await app.of("/").sockets()
        peer.data["other"] = 2
        assert one.data == {"other": 1}  # a copy


@pytest.mark.parametrize("value", [None, [], "x", 1, [("a", 1)]])
async def test_data_is_a_dict(value: Any) -> None:
    async with serve(Known) as client:
        await client.connect()
        with pytest.raises(UsageError, match=r"self\.data is a dict"):
            Known.last.data = value
        assert Known.last.data == {}


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [object(), b"raw", [bytearray(b"raw")], math.nan, -math.inf, {1, 2}, {"a": object()}, deep(200), circle()],
    ids=lambda value: type(value).__name__,
)
async def test_what_is_no_json_stays_behind_with_one_line(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Known) as client:
        await client.connect()
        Known.last.data |= {"good": [1, {"a": None}], "bad": value, "é": "\ud800"}
        for _ in range(2):
            [peer] = await client.app.of("/").sockets()
            assert peer.data == {"good": [1, {"a": None}], "é": "\ud800"}
        lines = [record for record in caplog.records if "stays behind" in record.message]
        assert len(lines) == 1
        assert f"{Known.last.sid} /: self.data['bad'] stays behind for others" in lines[0].message


@pytest.mark.parametrize("key", [1, None, (1, 2), b"x"])
async def test_a_key_that_is_no_text_stays_behind(key: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Known) as client:
        await client.connect()
        Known.last.data[key] = 1
        Known.last.data["good"] = 1
        [peer] = await client.app.of("/").sockets()
        assert peer.data == {"good": 1}
    assert "stays behind" in caplog.text


async def test_in_tests_what_is_no_json_shows_before_others_ask(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Known) as client:
        await client.connect()
        Known.last.data["bad"] = object()
        await settle()
        assert "self.data['bad'] stays behind for others" in caplog.text
        caplog.clear()
        Known.last.data = {"worse": object()}
        await settle()
        assert "self.data['worse'] stays behind for others" in caplog.text


@pytest.mark.parametrize("debug", [False, True])
async def test_so_it_does_in_debug_mode(
    debug: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(Known) as client:
        await client.connect()
        monkeypatch.setattr(type(client.clock), "for_tests", False)
        monkeypatch.setattr(asyncio.get_running_loop(), "get_debug", lambda: debug)
        Known.last.data["bad"] = object()
        await settle()
        assert ("stays behind" in caplog.text) is debug
