"""What docs/trust.md promises of errors: each is seen, once, with who and where; and nothing else breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from asocketio import BaseNamespace, ConnectionRefused, Disconnected, SocketIOApp
from asocketio.testing import ClientRefused, TestClient, settle
from tests.support.worlds import Way, serve, until

Log = pytest.LogCaptureFixture


class Sight:
    """What was seen of errors: by the log, by ``on_exception``, and by ``error_handler``."""

    def __init__(self, caplog: Log) -> None:
        self._caplog = caplog
        self.hooked: list[tuple[BaseException, dict[str, str]]] = []
        self.told: list[tuple[str, str]] = []

    def on_exception(self, error: BaseException, about: Any) -> None:
        self.hooked.append((error, dict(about)))

    def error_handler(self, socket: Any, name: str, message: str, endpoint: str, msg_id: Any, quiet: bool) -> None:
        self.told.append((name, endpoint))

    @property
    def records(self) -> list[Any]:
        return [record for record in self._caplog.records if record.exc_info]

    def is_once(self, error: BaseException, *, sid: str, namespace: str, event: str, secret: str = "") -> None:
        """Asserts that exactly this one was seen, everywhere."""
        (record,) = self.records
        assert record.levelno == logging.ERROR
        assert record.exc_info[1] is error
        assert error.__traceback__ is not None
        about = {"sid": sid, "namespace": namespace, "event": event}
        assert {name: getattr(record, name) for name in about} == about
        assert self.hooked == [(error, about)]
        assert self.told == [("handler_error", "" if namespace == "/" else namespace)]
        assert secret == "" or secret not in self._caplog.text + str(self.hooked)


@pytest.fixture
def sight(caplog: Log) -> Sight:
    return Sight(caplog)


class Failing(BaseNamespace):
    """Fails wherever it is told to."""

    fails: Any
    """The error to raise."""
    sight: Sight
    where = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.socket.error_handler = self.sight.error_handler

    def fail(self, where: str) -> None:
        if where == self.where:
            raise self.fails

    def initialize(self) -> None:
        self.fail("initialize")

    async def recv_connect(self) -> None:
        await asyncio.sleep(0)
        self.fail("recv_connect")

    async def recv_disconnect(self) -> None:
        await asyncio.sleep(0)
        self.fail("recv_disconnect")

    def recv_message(self, data: Any) -> None:
        self.fail("recv_message")

    async def on_now(self) -> None:
        self.fail("now")

    def on_plain(self) -> None:
        self.fail("plain")

    async def on_later(self) -> None:
        await asyncio.sleep(0)
        self.fail("later")

    def on_job(self) -> None:
        self.spawn(self.job)

    async def job(self) -> None:
        await asyncio.sleep(0)
        self.fail("job")

    def on_ask(self) -> None:
        self.emit("question", callback=self.answered)

    async def answered(self, answer: Any) -> None:
        await asyncio.sleep(0)
        self.fail("callback")

    def on_echo(self, *args: Any) -> Any:
        return args


@asynccontextmanager
async def failing(sight: Sight, where: str, way: Way, **settings: Any) -> AsyncGenerator[TestClient]:
    """A client whose namespace fails there; its error is ``Failing.fails``."""
    Failing.where, Failing.fails, Failing.sight = where, ValueError("it failed"), sight
    settings = {"on_exception": sight.on_exception, **settings}
    async with serve(Failing, also={"/b": Failing}, **way, **settings) as client:
        yield client


def sid_of(client: TestClient, name: str = "/") -> str:
    """The public sid of a client, as the server has it."""
    app: Any = client.app
    sid: str = app.server.sockets[client.handshake["sid"]][name].sid
    return sid


@pytest.mark.parametrize("where", ["now", "plain", "later"])
@pytest.mark.parametrize("name", ["/", "/b"])
async def test_what_a_handler_raises_is_seen_once(where: str, name: str, way: Way, sight: Sight) -> None:
    async with failing(sight, where, way) as client:
        namespace = await client.connect(name)
        assert (await namespace.call(where))["error"]["name"] == "handler_error"
        sid = sid_of(client, name)
        sight.is_once(Failing.fails, sid=sid, namespace=name, event=where, secret=client.handshake["sid"])
        assert await namespace.call("echo", "lives on") == "lives on"


async def test_what_a_job_raises_is_seen_once(way: Way, sight: Sight) -> None:
    async with failing(sight, "job", way) as client:
        namespace = await client.connect()
        await namespace.call("job")
        await settle()
        sid = sid_of(client)
        sight.is_once(Failing.fails, sid=sid, namespace="/", event="Failing.job", secret=client.handshake["sid"])
        assert await namespace.call("echo", "lives on") == "lives on"


async def test_what_a_callback_raises_is_seen_once(way: Way, sight: Sight) -> None:
    async with failing(sight, "callback", way) as client:
        namespace = await client.connect(on={"question": lambda: "answer"})
        await namespace.emit("ask")
        await until(lambda: sight.told)
        event, secret = "callback Failing.answered", client.handshake["sid"]
        sight.is_once(Failing.fails, sid=sid_of(client), namespace="/", event=event, secret=secret)
        await namespace.nothing()  # the client asked for nothing
        assert await namespace.call("echo", "lives on") == "lives on"


@pytest.mark.parametrize("where", ["initialize", "recv_connect", "recv_disconnect", "recv_message"])
async def test_what_hooks_raise_is_seen_once(where: str, way: Way, sight: Sight) -> None:
    async with failing(sight, where, way) as client:
        if where in ("initialize", "recv_connect"):
            with pytest.raises((ConnectionRefused, ClientRefused)):
                await client.connect()
            event = "connect"
        else:
            namespace = await client.connect()
            await (namespace.send("hello") if where == "recv_message" else client.disconnect())
            await until(lambda: sight.told)
            event = "disconnect" if where == "recv_disconnect" else "message"
        (record,) = sight.records
        assert (record.namespace, record.event, record.exc_info[1]) == ("/", event, Failing.fails)
        assert [error for error, _ in sight.hooked] == [Failing.fails]
        assert sight.told in ([("handler_error", "")], [])  # none, where not even an object was made


@pytest.mark.parametrize("where", ["now", "job", "callback", "recv_connect", "recv_disconnect"])
async def test_an_on_exception_that_fails_is_logged_and_breaks_nothing(where: str, way: Way, sight: Sight) -> None:
    def broken(error: BaseException, about: Any) -> None:
        raise RuntimeError("the hook")

    async with failing(sight, where, way, on_exception=broken) as client:
        if where == "recv_connect":
            with pytest.raises((ConnectionRefused, ClientRefused)):
                await client.connect()
        else:
            namespace = await client.connect(on={"question": lambda: "answer"})
            if where == "recv_disconnect":
                await client.disconnect()
            else:
                await namespace.emit("ask" if where == "callback" else where)
        await until(lambda: len(sight.records) == 2)
        first, second = sight.records
        assert first.exc_info[1] is Failing.fails
        assert "on_exception itself failed" in second.getMessage()
        assert isinstance(second.exc_info[1], RuntimeError)
        if where not in ("recv_connect", "recv_disconnect"):
            assert await namespace.call("echo", "lives on") == "lives on"
    app: Any = client.app
    assert app.server.active_sessions == 0


async def test_an_error_handler_that_fails_is_logged_and_breaks_nothing(way: Way, sight: Sight) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("the handler of errors")

    sight.error_handler = broken  # type: ignore[method-assign]
    async with failing(sight, "now", way) as client:
        namespace = await client.connect()
        assert (await namespace.call("now"))["error"]["name"] == "handler_error"
        assert [type(record.exc_info[1]) for record in sight.records] == [ValueError, RuntimeError]
        assert await namespace.call("echo", "lives on") == "lives on"


async def test_that_a_client_has_gone_is_no_error(way: Way, sight: Sight) -> None:
    gate = asyncio.Event()

    class Late(BaseNamespace):
        async def on_late(self) -> None:
            self.spawn(self.job)
            await gate.wait()
            await self.emit("too late")

        async def job(self) -> None:
            await self.call("question", timeout=1000)

    async with serve(Late, on_exception=sight.on_exception, **way) as client:
        namespace = await client.connect()
        await namespace.emit("late")
        assert await namespace.receive() == ("question",)
        leaving = asyncio.ensure_future(client.lose())
        await settle()
        gate.set()
        await leaving
    assert (sight.records, sight.hooked) == ([], [])


async def test_that_another_client_has_gone_is_one(sight: Sight) -> None:
    """Only what is about a client itself is the way of clients."""

    class Asking(BaseNamespace):
        first: Any = None

        def recv_connect(self) -> None:
            Asking.first = Asking.first or self

        async def on_ask(self) -> None:
            await Asking.first.call("question")

        def on_job(self) -> None:
            self.spawn(Asking.first.call, "question")

    app = SocketIOApp(namespaces={"/": Asking}, on_exception=sight.on_exception)
    async with TestClient(app) as one, TestClient(app) as two:
        other, namespace = await one.connect(), await two.connect()
        await namespace.emit("ask")
        await namespace.emit("job")
        await other.receive()
        await one.disconnect()
        with suppress(TimeoutError):
            await until(lambda: len(sight.hooked) == 2, 2)
    assert [type(error) for error, _ in sight.hooked] == [Disconnected, Disconnected]
    assert len(sight.records) == 2


async def test_a_cancelled_handler_is_told_in_one_line(sight: Sight, caplog: Log) -> None:
    class Endless(BaseNamespace):
        async def on_wait(self) -> None:
            await asyncio.Event().wait()

    async with serve(Endless, on_exception=sight.on_exception) as client:
        namespace = await client.connect()
        await namespace.emit("wait")
        await client.disconnect()
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [line for line in lines if "was still running after close_grace: cancelled" in line]
    assert (sight.records, sight.hooked) == ([], [])
