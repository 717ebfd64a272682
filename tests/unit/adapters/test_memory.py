"""Rooms of one process: who is in them, whom a broadcast reaches, and that nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from asocketio.adapters.base import CROWD, Post, Target
from asocketio.adapters.memory import MemoryAdapter
from asocketio.config import Config
from asocketio.errors import UsageError
from asocketio.protocol.base import Encoded, Protocol
from asocketio.protocol.custom_json import SharedProtocols
from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.json_codec import CustomJson
from asocketio.protocol.json_parser import JSONParser
from asocketio.protocol.packet import Packet, PacketType
from asocketio.runtime.log import ThrottledLog


class Counting(EngineIO4):
    """Counts how often it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def encode(self, packet: Packet) -> Encoded:
        self.count += 1
        return super().encode(packet)


class Client:
    """What an adapter needs of a client. Its sid is any text."""

    def __init__(self, endpoint: str, sid: str, protocol: Protocol) -> None:
        self.namespace = endpoint
        self.sid = sid
        self.protocol = protocol
        self.rooms: set[str] | None = None
        self.writable = True
        self.gone = False
        self.posted: list[Encoded] = []
        self.post: Post = self.posted.append

    def expect_ack(self, number: int, answered: Any) -> None:
        raise NotImplementedError

    def forget_ack(self, number: int) -> None:
        raise NotImplementedError


class World:
    """An adapter and its clients, each called by its sid. It is the adapter's host."""

    def __init__(self) -> None:
        self.adapter = MemoryAdapter()
        self.adapter.host = self
        self.throttled_log = ThrottledLog()
        self.config = Config()
        self.protocols = SharedProtocols()
        self.protocol = Counting()
        self.clients: dict[str, Client] = {}
        self.crowds = 0

    def check(self, packet: Packet) -> None:
        self.protocols.check(packet)

    def behind_answers(self) -> AbstractContextManager[None]:
        self.crowds += 1
        return nullcontext()

    def add(self, sid: str, *rooms: str, endpoint: str = "/chat", protocol: Protocol | None = None) -> Client:
        client = self.clients[sid] = Client(endpoint, sid, protocol or self.protocol)
        self.adapter.add(client)
        for room in rooms:
            self.adapter.join(client, room)
        return client

    def find(self, rooms: Iterable[str] | None, excluded: Iterable[str] = (), endpoint: str = "/chat") -> list[str]:
        found = self.adapter.local.find(endpoint, None if rooms is None else frozenset(rooms), frozenset(excluded))
        return [client.sid for client in found]

    def meant(self, *rooms: str, excluded: tuple[str, ...] = (), endpoint: str = "/chat") -> list[str]:
        return sorted(self.find(rooms, excluded, endpoint))

    def everybody(self, *excluded: str, endpoint: str = "/chat") -> list[str]:
        return self.find(None, excluded, endpoint)

    @property
    def received(self) -> dict[str, list[Any]]:
        return {sid: [encoded.frames for encoded in client.posted] for sid, client in self.clients.items()}


@pytest.fixture
def world() -> World:
    return World()


# ---- who is where ----------------------------------------------------------------------------------------------


def test_a_target_means_everybody_or_the_members_of_its_rooms(world: World) -> None:
    world.add("a", "red")
    world.add("b", "red", "blue")
    world.add("c", "blue")
    world.add("d")
    assert {
        "everybody": world.everybody(),
        "no room": world.meant(),
        "red": world.meant("red"),
        "blue": world.meant("blue"),
        "red or blue": world.meant("red", "blue"),
        "unknown": world.meant("green"),
        "red or unknown": world.meant("red", "green"),
    } == {
        "everybody": ["a", "b", "c", "d"],
        "no room": [],
        "red": ["a", "b"],
        "blue": ["b", "c"],
        "red or blue": ["a", "b", "c"],
        "unknown": [],
        "red or unknown": ["a", "b"],
    }


def test_members_of_excluded_rooms_are_left_out(world: World) -> None:
    world.add("a", "red")
    world.add("b", "red", "muted")
    world.add("c", "blue")
    assert {
        "not muted": world.everybody("muted"),
        "not in an unknown room": world.everybody("green"),
        "not red": world.everybody("red"),
        "red, not muted": world.meant("red", excluded=("muted",)),
        "red or blue, not muted or blue": world.meant("red", "blue", excluded=("muted", "blue")),
        "red, not red": world.meant("red", excluded=("red",)),
    } == {
        "not muted": ["a", "c"],
        "not in an unknown room": ["a", "b", "c"],
        "not red": ["c"],
        "red, not muted": ["a"],
        "red or blue, not muted or blue": ["a"],
        "red, not red": [],
    }


def test_a_sid_is_a_room_of_one(world: World) -> None:
    world.add("a", "red")
    world.add("b", "red")
    world.add("c", "c")
    with pytest.raises(UsageError, match="another client's sid"):
        world.adapter.join(world.clients["c"], "a")
    assert {
        "b": world.meant("b"),
        "a": world.meant("a"),
        "b or red": world.meant("b", "red"),
        "red, not b": world.meant("red", excluded=("b",)),
        "all but b": world.everybody("b"),
        "elsewhere": world.meant("b", endpoint="/other"),
    } == {
        "b": ["b"],
        "a": ["a"],
        "b or red": ["a", "b"],
        "red, not b": ["a"],
        "all but b": ["a", "c"],
        "elsewhere": [],
    }


def test_namespaces_share_no_rooms(world: World) -> None:
    world.add("a", "red", endpoint="")
    world.add("b", "red", endpoint="/chat")
    assert (world.meant("red", endpoint=""), world.meant("red"), world.everybody(endpoint="/none")) == (
        ["a"],
        ["b"],
        [],
    )


def test_everybody_is_told_in_the_order_of_coming_and_a_room_in_that_of_joining(world: World) -> None:
    for sid in ("c", "a", "b"):
        world.add(sid)
    for sid in ("b", "c", "a"):
        world.adapter.join(world.clients[sid], "red")
    assert (world.everybody(), world.find(["red"])) == (["c", "a", "b"], ["b", "c", "a"])


def test_joining_twice_is_joining_once(world: World) -> None:
    member = world.add("a", "red", "red")
    assert (world.meant("red"), member.rooms) == (["a"], {"red"})
    world.adapter.leave(member, "red")
    assert (world.meant("red"), member.rooms) == ([], set())


def test_leaving_a_room_that_was_not_joined_is_no_error(world: World) -> None:
    member = world.add("a")
    world.adapter.leave(member, "red")
    world.adapter.join(member, "red")
    world.adapter.leave(member, "blue")
    assert (world.meant("red"), member.rooms) == (["a"], {"red"})


def test_a_member_that_is_removed_is_nowhere(world: World) -> None:
    gone = world.add("a", "red", "blue")
    world.add("b", "red")
    world.adapter.remove(gone)
    assert (world.everybody(), world.meant("red"), world.meant("blue"), world.meant("a")) == (["b"], ["b"], [], [])
    assert gone.rooms == set()
    world.adapter.remove(gone)
    assert world.everybody() == ["b"]


def test_removing_a_member_that_was_never_added_is_no_error(world: World) -> None:
    world.adapter.remove(Client("/other", "x", world.protocol))
    assert world.everybody(endpoint="/other") == []


def test_nothing_is_left_when_all_have_gone(world: World) -> None:
    for number in range(10):
        world.add(str(number), "all", f"own {number}", endpoint=f"/{number % 3}")
    for member in world.clients.values():
        world.adapter.remove(member)
    assert (world.adapter.local.namespaces, world.adapter.local.rooms) == ({}, {})


def test_what_starts_anew_is_empty(world: World) -> None:
    world.add("a", "red")
    world.adapter.start()
    assert (world.adapter.local.namespaces, world.adapter.local.rooms) == ({}, {})


def test_members_are_a_copy_that_outlasts_changes(world: World) -> None:
    world.add("a", "red")
    world.add("b", "red")
    found = [
        world.adapter.local.find("/chat", None if rooms is None else frozenset(rooms), frozenset())
        for rooms in (None, {"red"}, {"red", "a"})
    ]
    for member in world.clients.values():
        world.adapter.remove(member)
    assert [sorted(client.sid for client in clients) for clients in found] == [["a", "b"]] * 3


# ---- broadcasts ------------------------------------------------------------------------------------------------

NEWS = Packet(PacketType.EVENT, "/chat", name="news", args=[1, b"\x00"])
FRAMES = ('451-/chat,["news",1,{"_placeholder":true,"num":0}]', b"\x00")


async def test_a_broadcast_reaches_whom_it_means_and_is_encoded_once(world: World) -> None:
    for sid in "abc":
        world.add(sid, "red")
    world.add("d")
    await world.adapter.broadcast(NEWS, Target("/chat", frozenset({"red"}), frozenset({"c"})))
    assert world.received == {"a": [FRAMES], "b": [FRAMES], "c": [], "d": []}
    assert (world.protocol.count, world.clients["a"].posted[0] is world.clients["b"].posted[0]) == (1, True)


def test_a_broadcast_is_queued_at_the_call_in_order(world: World) -> None:
    world.add("a")
    for number in range(3):
        world.adapter.broadcast(Packet(PacketType.EVENT, "/chat", name="n", args=[number]), Target("/chat"))
    assert world.received == {"a": [(f'42/chat,["n",{number}]',) for number in range(3)]}


def test_each_protocol_spells_a_broadcast_once(world: World) -> None:
    other = EngineIO4(JSONParser(CustomJson(None, lambda value: "<own>")))
    world.add("a")
    world.add("b", protocol=other)
    world.add("c")
    world.add("d", protocol=other)
    world.adapter.broadcast(Packet(PacketType.EVENT, "/chat", name="n"), Target("/chat"))
    assert world.received == {
        "a": [('42/chat,["n"]',)],
        "b": [("42/chat,<own>",)],
        "c": [('42/chat,["n"]',)],
        "d": [("42/chat,<own>",)],
    }
    assert world.clients["b"].posted[0] is world.clients["d"].posted[0]


def test_a_volatile_broadcast_leaves_out_who_does_not_keep_up(world: World) -> None:
    for sid in "abc":
        world.add(sid)
    world.clients["b"].writable = False
    world.adapter.broadcast(NEWS, Target("/chat"), volatile=True)
    world.adapter.broadcast(NEWS, Target("/chat"))
    assert world.received == {"a": [FRAMES] * 2, "b": [FRAMES], "c": [FRAMES] * 2}


def test_a_broadcast_to_nobody_encodes_nothing(world: World) -> None:
    world.add("a")
    world.adapter.broadcast(NEWS, Target("/chat", frozenset({"nobody"})))
    world.adapter.broadcast(NEWS, Target("/other"))
    assert (world.received, world.protocol.count) == ({"a": []}, 0)


def test_a_packet_without_a_wire_form_is_noticed_though_nobody_is_there(world: World) -> None:
    with pytest.raises(UsageError, match=r"^cannot be sent as JSON: object is no str"):
        world.adapter.broadcast(Packet(PacketType.EVENT, "/chat", name="n", args=[object()]), Target("/chat"))


async def test_what_only_the_programs_own_json_can_write_may_be_sent_to_a_room_that_has_emptied(world: World) -> None:
    packet = Packet(PacketType.EVENT, "/chat", name="n", args=[{1}])
    own = world.protocols.get(EngineIO4(), None, lambda value: json.dumps(value, default=list))
    member = world.add("a", protocol=own)
    await world.adapter.broadcast(packet, Target("/chat"))
    assert world.received == {"a": [('42/chat,["n", [1]]',)]}
    world.adapter.remove(member)
    await world.adapter.broadcast(packet, Target("/chat"))


def test_what_the_json_of_some_cannot_write_goes_to_the_others_and_is_noticed(world: World) -> None:
    own = EngineIO4(JSONParser(CustomJson(None, lambda value: json.dumps(value, default=list))))
    for sid in "abcd":
        world.add(sid, protocol=own if sid in "bd" else None)
    with pytest.raises(UsageError, match=r"^cannot be sent as JSON: set is no str"):
        world.adapter.broadcast(Packet(PacketType.EVENT, "/chat", name="n", args=[{1}]), Target("/chat"))
    assert world.received == {"a": [], "b": [('42/chat,["n", [1]]',)], "c": [], "d": [('42/chat,["n", [1]]',)]}


def test_a_packet_without_a_wire_form_reaches_nobody(world: World) -> None:
    world.add("a")
    world.add("b")
    with pytest.raises(UsageError):
        world.adapter.broadcast(Packet(PacketType.EVENT, "/chat", name="n", args=[object()]), Target("/chat"))
    assert world.received == {"a": [], "b": []}


@pytest.mark.parametrize(("count", "crowds"), [(CROWD, 0), (CROWD + 1, 1)])
def test_a_broadcast_to_a_crowd_goes_behind_answers(count: int, crowds: int) -> None:
    world = World()
    for number in range(count):
        world.add(f"client {number}")
    world.adapter.broadcast(Packet(PacketType.EVENT, "/chat", name="x"), Target("/chat"))
    assert world.crowds == crowds
    assert all(client.posted for client in world.clients.values())
