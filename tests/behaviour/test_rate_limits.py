"""What docs/trust.md promises of `rate_limits`."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from asocketio import BaseNamespace, ConnectionRefused, Packet, PacketType, SocketIOApp, event
from asocketio.session.rate_limit import Rates
from asocketio.testing import TestClient, settle
from tests.support.worlds import Way, binary, serve

Log = pytest.LogCaptureFixture


class Counted(BaseNamespace):
    """Counts what its handlers hear, and what its error handler is told."""

    heard: ClassVar[list[Any]]
    told: ClassVar[list[tuple[Any, ...]]]

    def recv_connect(self) -> None:
        self.socket.error_handler = self.note

    def note(self, socket: Any, name: str, message: str, endpoint: str, msg_id: Any, quiet: bool) -> None:
        self.told.append((name, endpoint, quiet))

    async def on_say(self, *args: Any) -> Any:
        self.heard.append(args)
        return args

    async def on_other(self, *args: Any) -> Any:
        self.heard.append(args)
        return args

    def recv_message(self, data: Any) -> None:
        self.heard.append(data)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Counted.heard = []
    Counted.told = []


def is_limited(answer: Any) -> bool:
    return isinstance(answer, dict) and answer["error"]["name"] == "rate_limited"


async def test_events_over_their_rate_are_dropped_and_said_so(way: Way, caplog: Log) -> None:
    async with serve(Counted, rate_limits={"say": (2, 10.0)}, **way) as client:
        namespace = await client.connect()
        assert [await namespace.call("say", number) for number in range(2)] == [0, 1]
        answer = await namespace.call("say", 2)
        assert answer == {"error": {"name": "rate_limited", "message": "The event 'say' comes too often"}}
        await namespace.emit("say", 3)
        assert await namespace.call("other", 4) == 4  # its own name has no limit
        await namespace.nothing()  # who did not ask hears nothing
        assert Counted.heard == [(0,), (1,), (4,)]
        assert Counted.told == [("rate_limited", "", True), ("rate_limited", "", True)]


async def test_who_floods_costs_few_log_lines(caplog: Log) -> None:
    class Plain(BaseNamespace):
        def on_say(self) -> None: ...

    async with serve(Plain, rate_limits={"*": (1, 1000.0)}) as client:
        namespace = await client.connect()
        for number in range(300):
            await namespace.emit("say" if number % 2 else f"name {number}")
        await settle()
    assert len([record for record in caplog.records if "comes too often" in record.getMessage()]) <= 110


async def test_a_rate_is_refilled_with_time(way: Way) -> None:
    async with serve(Counted, rate_limits={"say": (2, 10.0)}, **way) as client:
        namespace = await client.connect()
        answers = [is_limited(await namespace.call("say")) for _ in range(3)]
        await client.advance(4.9)
        answers.append(is_limited(await namespace.call("say")))
        await client.advance(0.2)
        answers += [is_limited(await namespace.call("say")) for _ in range(2)]
        await client.advance(1000)  # it holds no more than two
        answers += [is_limited(await namespace.call("say")) for _ in range(3)]
    assert answers == [False, False, True, True, False, True, False, False, True]


def joins(way: Way) -> int:
    """What a client has sent to be in the global namespace: before generation 4 it is in there unasked."""
    return int(way["generation"] == 4)


async def test_a_rate_for_all_counts_them_together(way: Way) -> None:
    async with serve(Counted, rate_limits={"*": (3 + joins(way), 10.0), "say": (2, 10.0)}, **way) as client:
        namespace = await client.connect()
        names = ["say", "say", "say", "other", "other"]
        answers = [is_limited(await namespace.call(name, 1)) for name in names]
        # The third "say" was dropped by its own limit and took nothing from the other.
        assert answers == [False, False, True, False, True]
        assert is_limited(await namespace.call("no such event"))


async def test_a_rate_is_each_clients_own(way: Way) -> None:
    limits = {"*": (3 + joins(way), 10.0)}
    app = SocketIOApp(namespaces={"/": Counted, "/b": Counted}, rate_limits=limits)
    async with TestClient(app, **way) as noisy, TestClient(app, **way) as quiet:
        one, two = await noisy.connect(), await quiet.connect()
        other = await noisy.connect("/b")
        assert [is_limited(await one.call("say", n)) for n in range(4)] == [False, False, True, True]
        assert is_limited(await other.call("say"))  # all namespaces of a client share it
        assert await two.call("say", "mine") == "mine"


async def test_joining_namespaces_has_a_rate_too(way: Way) -> None:
    """Or what `recv_connect` asks for could be guessed without end."""

    class Guarded(BaseNamespace):
        asked = 0

        def recv_connect(self) -> None:
            type(self).asked += 1
            raise ConnectionRefused("no")

    limits = {"connect": (3 + joins(way), 10.0)}
    async with serve(Counted, also={"/guarded": Guarded}, rate_limits=limits, **way) as client:
        namespace = await client.connect()
        for _ in range(20):
            with pytest.raises(ConnectionRefused):
                await client.connect("/guarded")
        assert Guarded.asked == 3
        assert await namespace.call("say", "still here") == "still here"
        await client.advance(4)
        with pytest.raises(ConnectionRefused):
            await client.connect("/guarded")
        assert Guarded.asked == 4


@pytest.mark.parametrize("limited", ["user message", "user_message"])
async def test_each_spelling_of_an_event_counts(limited: str, way: Way) -> None:
    class Spelled(BaseNamespace):
        heard = 0

        def on_user_message(self) -> None:
            type(self).heard += 1

    async with serve(Spelled, rate_limits={limited: (2, 10.0)}, **way) as client:
        namespace = await client.connect()
        for _ in range(3):
            await namespace.emit("user message")
            await namespace.emit("user_message")
        assert is_limited(await namespace.call("user message"))
    assert Spelled.heard == 2


async def test_events_that_wait_for_their_namespace_count(way: Way) -> None:
    gate = asyncio.Event()

    class Busy(BaseNamespace):
        async def on_wait(self) -> None:
            await gate.wait()

    async with serve(Busy, also={"/b": Counted}, rate_limits={"say": (2, 10.0)}, **way) as client:
        namespace = await client.connect()
        await namespace.emit("wait")
        joining = asyncio.ensure_future(client.connect("/b"))
        await settle()
        for number in range(20):
            await client.post(Packet(PacketType.EVENT, "/b", name="say", args=[number]))
        gate.set()
        assert is_limited(await (await joining).call("say", "last"))
    assert len(Counted.heard) == 2


async def test_binary_and_messages_count_too(way: Way) -> None:
    async with serve(Counted, rate_limits={"say": (1, 10.0), "message": (1, 10.0)}, **way) as client:
        namespace = await client.connect()
        assert await namespace.call("say", binary(way)) == binary(way)
        assert is_limited(await namespace.call("say", binary(way)))
        for _ in range(3):
            await namespace.send("hello")
        await settle()
        assert Counted.heard == [(binary(way),), "hello"]


async def test_what_is_dropped_changes_no_order(way: Way) -> None:
    async with serve(Counted, rate_limits={"say": (5, 10.0)}, **way) as client:
        namespace = await client.connect()
        for number in range(20):
            await namespace.emit("say", number)
            await namespace.emit("other", number)
        await namespace.call("other", "end")
    others = [args[0] for args in Counted.heard if args[0] in range(5, 20)]
    assert others == list(range(5, 20))
    assert Counted.heard[:10] == [(number,) for number in range(5) for _ in range(2)]


class Named(Counted):
    """Has handlers of more than one name."""

    @event("a", "b:c", "say it")
    def several(self, *args: Any) -> None:
        self.heard.append("several")

    def on_own_name(self, *args: Any) -> None:
        self.heard.append("own name")

    @event("another")
    def on_said(self, *args: Any) -> None:
        self.heard.append("said")


class Catching(Counted):
    @event("*")
    def rest(self, name: str, *args: Any) -> None:
        self.heard.append(name)


class Heard(Counted):
    def on_message(self, *args: Any) -> None:
        self.heard.append("on_message")


SPELLINGS: list[tuple[type[Counted], str, list[str], str]] = [
    *((Named, name, ["a", "b:c", "say it"], "other") for name in ("a", "b:c", "say it")),
    *((Named, name, ["own name", "own_name"], "a") for name in ("own name", "own_name")),
    *((Named, name, ["said", "another"], "own name") for name in ("said", "another")),
    (Catching, "any", ["any", "Any", "any ", "", "anything else"], "say"),
    (Counted, "message", ["message"], "say"),
    (Heard, "message", ["message"], "say"),
]


@pytest.mark.parametrize(("cls", "limited", "names", "free"), SPELLINGS)
async def test_a_rate_is_of_the_handler_whatever_the_name(
    cls: type[Counted], limited: str, names: list[str], free: str, way: Way
) -> None:
    async with serve(cls, rate_limits={limited: (2, 10.0)}, **way) as client:
        namespace = await client.connect()
        for name in names * 2:
            await namespace.emit(name, 1)
        if limited == "message":
            await namespace.send("text")
            if way["generation"] == "0.9":
                await namespace.send({"json": 1})
        await settle()
        assert len(Counted.heard) == 2
        for name in names:
            assert is_limited(await namespace.call(name, 1))
        assert not is_limited(await namespace.call(free, 1))


async def test_two_limits_of_one_handler_both_count(way: Way) -> None:
    async with serve(Named, rate_limits={"a": (3, 10.0), "b:c": (1, 10.0), "*": (1000, 1.0)}, **way) as client:
        namespace = await client.connect()
        assert [is_limited(await namespace.call(name)) for name in ("a", "a", "b:c")] == [False, True, True]


async def test_an_event_that_nothing_handles_is_counted_by_its_name(way: Way) -> None:
    async with serve(Counted, rate_limits={"no such": (1, 10.0)}, **way) as client:
        namespace = await client.connect()
        answers = [(await namespace.call(name))["error"]["name"] for name in ("no such", "no_such", "other one")]
        assert answers == ["no_such_method", "rate_limited", "no_such_method"]


async def test_a_rate_is_of_the_handler_in_each_namespace(way: Way) -> None:
    """One bucket for a limit; which handlers fill it is told by the class of each namespace."""
    async with serve(Named, also={"/c": Catching}, rate_limits={"a": (2, 10.0)}, **way) as client:
        namespace, other = await client.connect(), await client.connect("/c")
        assert not is_limited(await namespace.call("b:c"))
        assert not is_limited(await other.call("whatever"))
        assert is_limited(await other.call("a"))
        assert is_limited(await namespace.call("say it"))


HANDLERS = Counted._handlers


def said(name: str) -> Packet:
    return Packet(PacketType.EVENT, name=name)


def test_names_that_have_no_limit_take_no_memory() -> None:
    rates = Rates({"say": (1, 1.0), "*": (1000, 1.0)})
    for number in range(500):
        assert rates.allow(said(f"made up {number}"), HANDLERS, 0.0)
    assert set(rates._left) == {"*"}


def test_a_bucket_that_is_refilled_in_part_lets_in_part() -> None:
    rates = Rates({"say": (10, 1.0)})
    assert [rates.allow(said("say"), HANDLERS, 0.0) for _ in range(11)] == [True] * 10 + [False]
    assert [rates.allow(said("say"), HANDLERS, 0.35) for _ in range(4)] == [True] * 3 + [False]
    assert rates.allow(said("say"), HANDLERS, 0.41)
    assert not rates.allow(said("say"), HANDLERS, 0.41)


def test_time_that_goes_back_takes_nothing_for_good() -> None:
    rates = Rates({"say": (1, 1.0)})
    assert rates.allow(said("say"), HANDLERS, 100.0)
    assert not rates.allow(said("say"), HANDLERS, 99.0)
    assert rates.allow(said("say"), HANDLERS, 101.1)
