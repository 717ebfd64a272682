"""What docs/trust.md promises of order and of goodbyes; and that everything it names is there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import pytest

from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    Config,
    ConnectionRefused,
    Disconnected,
    Packet,
    PacketType,
    RoomsMixin,
)
from asocketio.testing import ClientNamespace, TestClient, settle
from tests.clients.asgi import client_of
from tests.support.worlds import Way, binary, serve, until

TESTS = Path(__file__).resolve().parent.parent
TRUST = (TESTS.parent / "docs" / "trust.md").read_text(encoding="utf-8")

# ---- the document -------------------------------------------------------------------------------------------------

# Settings that choose something instead of limiting it.
CHOICES = {
    "transports", "generations", "cors_allowed_origins", "cors_allowed_headers", "subprotocols", "cookie", "pin",
    "on_exception", "metrics", "middleware", "http_compression", "polls",
    "workers", "worker", "on_cluster_change",
}  # fmt: skip


def section(heading: str) -> str:
    return TRUST.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_cells(heading: str) -> set[str]:
    """What is in backticks in the first column of a section's table."""
    rows = [line.split("|")[1] for line in section(heading).splitlines() if line.startswith("| ")]
    return set(re.findall(r"`([^`]+)`", "".join(rows)))


def test_every_test_that_is_named_here_exists() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    there = set(re.findall(r"^(?:async )?def (test_\w+)", sources, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", TRUST))
    assert named
    assert named - there == set()


def test_every_limit_of_the_settings_is_in_the_table() -> None:
    limits = {field.name for field in fields(Config)} - CHOICES
    assert limits - first_cells("Limits") == set()


def test_the_defaults_in_the_table_are_those_of_the_config() -> None:
    config = Config()
    for line in section("Limits").splitlines():
        names = re.findall(r"`([^`]+)`", line.split("|")[1]) if line.startswith("| ") else []
        written = re.findall(r"None|[0-9][0-9 ]*", line.split("|")[2]) if names else []
        given = [getattr(config, name) for name in names]
        assert [None if text == "None" else float(text.replace(" ", "")) for text in written] == given, line


def test_every_reason_in_the_sources_is_in_the_table() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (TESTS.parent / "asocketio").rglob("*.py"))
    given = set(re.findall(r'(?:\.close|\.disconnect|Disconnected)\(\s*"([a-z ]+)"', sources))
    given |= set(re.findall(r'"((?:transport|parse|forced|ping|client|server) [a-z]+(?: disconnect)?)"', sources))
    known = first_cells("Reasons of a disconnect")
    assert "ping timeout" in given
    assert given & {"transport error", "forced server close", "server shutting down"}
    elsewhere = {"transport not supported", "client not handshaken", "the connection has ended"}  # refusals of 0.9
    assert given - elsewhere - known == set()


# ---- order --------------------------------------------------------------------------------------------------------


class Ordered(BaseNamespace, RoomsMixin, BroadcastMixin):
    """Notes what it hears; some handlers take several turns of the loop."""

    heard: ClassVar[list[Any]]
    __test__ = False

    async def on_plain(self, number: int) -> None:
        for _ in range(number % 3):
            await asyncio.sleep(0)
        self.heard.append(number)

    def on_quick(self, number: int) -> None:
        self.heard.append(number)

    async def on_binary(self, number: int, data: Any) -> None:
        await asyncio.sleep(0)
        self.heard.append(number)

    async def on_ask(self, number: int) -> int:
        await asyncio.sleep(0)
        self.heard.append(number)
        return number

    async def on_count(self, most: int) -> None:
        """Says 0, 1, ... in all the ways there are."""
        self.join("room")
        for number in range(most):
            if number % 4 == 0:
                await self.emit("say", number)
            elif number % 4 == 1:
                self.emit("say", number)
            elif number % 4 == 2:
                self.broadcast_event("say", number)
            else:
                await asyncio.sleep(0)
                self.socket.send_packet({"type": "event", "name": "say", "args": [number], "endpoint": self.ns_name})


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Ordered.heard = []
    Witness.log = []
    Witness.gate = asyncio.Event()


def spelled(namespace: ClientNamespace, way: Way, number: int) -> list[Any]:
    """The frames of an event; of another kind each time."""
    name = ("plain", "quick", "binary", "plain", "quick")[number % 5]
    args = [number, binary(way)] if name == "binary" else [number]
    frames = namespace.client.protocol.encode(Packet(PacketType.EVENT, namespace.endpoint, name=name, args=args)).frames
    return list(frames)


async def test_many_events_are_handled_in_the_order_sent(way: Way) -> None:
    async with serve(Ordered, **way) as client:
        namespace = await client.connect()
        frames = [frame for number in range(400) for frame in spelled(namespace, way, number)]
        await client.post_frames(*frames)  # one body, where it is by polling
        for number in range(400, 420):
            await client.post_frames(*spelled(namespace, way, number))
        assert await namespace.call("ask", 420) == 420
    assert Ordered.heard == list(range(421))


async def test_emits_arrive_in_the_order_made(way: Way) -> None:
    async with serve(Ordered, **way) as client:
        namespace = await client.connect()
        await namespace.call("count", 200)
        assert [await namespace.receive() for _ in range(200)] == [("say", number) for number in range(200)]


@pytest.mark.json_wire
@pytest.mark.parametrize("by_poll", [False, True])
async def test_order_holds_across_an_upgrade_under_load(by_poll: bool) -> None:
    """Both ways: events sent by POST, then by the websocket; emits queued before, while and after it takes over."""
    peer = client_of(Ordered, max_backlog_packets=160)
    await peer.open()
    poll = await peer.get() if by_poll else None
    emitted = 0

    async def emit_some() -> None:
        nonlocal emitted
        (socket,) = peer.app.server.sockets.values()
        for _ in range(50):
            socket[""].emit("say", emitted)
            emitted += 1

    await emit_some()
    body = "\x1e".join(f'42["plain",{number}]' for number in range(150))
    incoming_post = asyncio.ensure_future(peer.post(body.encode()))
    await asyncio.sleep(0)
    await emit_some()
    websocket = await peer.websocket("2probe")
    await emit_some()
    await peer.clock.advance(0.2)
    body_of_poll = "" if poll is None else poll.body
    await websocket.says("5")
    await emit_some()
    for number in range(150, 200):
        await websocket.says(f'42["quick",{number}]')
    await until(lambda: len(Ordered.heard) == 200)
    await incoming_post
    assert Ordered.heard == list(range(200))
    said = re.findall(r'42\["say",(\d+)\]', body_of_poll + "".join(websocket.frames))
    assert said == [str(number) for number in range(emitted)]
    await peer.end()


# ---- goodbyes -----------------------------------------------------------------------------------------------------


class Witness(BaseNamespace):
    """Notes its life."""

    log: ClassVar[list[tuple[Any, ...]]]
    gate: ClassVar[asyncio.Event]
    last: ClassVar[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        type(self).last = self

    async def recv_connect(self) -> None:
        await asyncio.sleep(0)
        self.log.append(("in", self.ns_name))

    def on_echo(self, *args: Any) -> Any:
        return args

    def on_fail(self) -> None:
        raise ValueError("no")

    async def on_out(self) -> None:
        await self.disconnect()

    async def on_thrown(self) -> None:
        await self.socket.disconnect()

    async def on_all_at_once(self) -> None:
        await self.disconnect()
        await self.socket.disconnect()
        self.socket.close("transport error")
        await self.disconnect()
        raise ValueError("and this")

    async def recv_disconnect(self, reason: str) -> None:
        await asyncio.sleep(0)
        self.log.append(("gone", self.ns_name, reason))


class Slow(Witness):
    """Lets clients in when the test says so."""

    async def recv_connect(self) -> None:
        self.log.append(("asked", self.ns_name))
        await self.gate.wait()
        self.log.append(("in", self.ns_name))


class Refusing(Witness):
    async def recv_connect(self) -> None:
        raise ConnectionRefused("no")


End = Callable[[TestClient, ClientNamespace], Awaitable[Any]]


async def _garbage(client: TestClient, namespace: ClientNamespace) -> None:
    with suppress(Disconnected):
        await client.post_frames("4")


async def _stray(client: TestClient, namespace: ClientNamespace) -> None:
    with suppress(Disconnected):
        await client.post_frames('42/never,["x"]')


ENDS: dict[str, tuple[End, str]] = {
    "the page closes": (lambda client, namespace: client.disconnect(), "transport close"),
    "the client leaves": (lambda client, namespace: namespace.disconnect(), "client namespace disconnect"),
    "the connection breaks": (lambda client, namespace: client.lose(), "lost"),
    "the handler lets it go": (lambda client, namespace: namespace.emit("out"), "server namespace disconnect"),
    "the handler throws it out": (lambda client, namespace: namespace.emit("thrown"), "server namespace disconnect"),
    "garbage": (_garbage, "parse error"),
    "a stray packet": (_stray, "forced close"),
    "the server ends": (lambda client, namespace: client.app.close(), "server shutting down"),  # type: ignore[attr-defined]
}


FORGIVING: dict[str, tuple[Any, ...]] = {"garbage": ("0.9",), "a stray packet": ("0.9", 3)}


def expected(end: str, way: Way) -> str:
    """The reason, where it depends on the way."""
    reason = ENDS[end][1]
    polls = way["transport"] != "websocket"
    if reason == "lost":
        if not polls:
            return "transport close"
        return "ping timeout" if way["generation"] == "0.9" else "transport error"
    return reason


@pytest.mark.parametrize("end", ENDS)
async def test_each_end_is_told_once_and_by_its_reason(end: str, way: Way) -> None:
    async with serve(Witness, **way) as client:
        namespace = await client.connect()
        await namespace.emit("fail")  # a handler that raises ends nothing
        assert await namespace.call("echo", 1) == 1
        await ENDS[end][0](client, namespace)
        if way["generation"] in FORGIVING.get(end, ()):  # it costs the packet only
            assert await namespace.call("echo", 2) == 2
            assert Witness.log == [("in", "")]
            return
        await until(lambda: len(Witness.log) > 1)
    assert Witness.log == [("in", ""), ("gone", "", expected(end, way))]


async def test_ends_that_come_together_are_one_end(way: Way) -> None:
    """The handler, the client and the server end it, all in the same moment."""
    async with serve(Witness, also={"/b": Witness}, **way) as client:
        namespace = await client.connect()
        other = await client.connect("/b")
        await namespace.emit("all_at_once")
        with suppress(Disconnected):
            await other.disconnect()
        closing = asyncio.ensure_future(client.app.close())  # type: ignore[attr-defined]
        await client.lose()
        await closing
    assert sorted(entry[:2] for entry in Witness.log) == [("gone", ""), ("gone", "/b"), ("in", ""), ("in", "/b")]
    for entered in ("", "/b"):
        own = [entry[0] for entry in Witness.log if entry[1] == entered]
        assert own == ["in", "gone"]


@pytest.mark.parametrize("how", ["leave", "lose", "close"])
async def test_a_client_that_leaves_while_recv_connect_runs_is_told_of_after_it(how: str, way: Way) -> None:
    async with serve(Witness, also={"/slow": Slow}, **way) as client:
        await client.connect()
        joining = asyncio.ensure_future(client.connect("/slow"))
        await until(lambda: ("asked", "/slow") in Witness.log)
        if how == "leave":
            await client.post(Packet(PacketType.DISCONNECT, "/slow"))
        elif how == "close":
            ending = asyncio.ensure_future(client.app.close())  # type: ignore[attr-defined]
        await settle()
        losing = asyncio.ensure_future(client.lose()) if how == "lose" else None
        await settle()
        assert [entry for entry in Witness.log if entry[0] == "gone"] == []
        Witness.gate.set()
        await until(lambda: any(entry[:2] == ("gone", "/slow") for entry in Witness.log))
        if losing is not None:
            await losing
        if how == "close":
            await ending
        joining.cancel()
        with suppress(asyncio.CancelledError, Disconnected):
            await joining
    of_slow = [entry[0] for entry in Witness.log if entry[1] == "/slow"]
    assert of_slow == ["asked", "in", "gone"]


async def test_who_was_not_let_in_has_no_goodbye(way: Way) -> None:
    async with serve(Witness, also={"/no": Refusing}, **way) as client:
        namespace = await client.connect()
        with pytest.raises(ConnectionRefused):
            await client.connect("/no")
        assert await namespace.call("echo", 1) == 1
    assert {entry[1] for entry in Witness.log} == {""}


async def test_a_namespace_that_was_left_has_had_its_goodbye(way: Way) -> None:
    async with serve(Witness, also={"/b": Witness}, **way) as client:
        namespace = await client.connect()
        other = await client.connect("/b")
        await other.emit("out")
        await other.disconnected()
        await until(lambda: ("gone", "/b", "server namespace disconnect") in Witness.log)
        assert await namespace.call("echo", 1) == 1
    assert [entry for entry in Witness.log if entry[1] == "/b"] == [
        ("in", "/b"), ("gone", "/b", "server namespace disconnect"),
    ]  # fmt: skip
