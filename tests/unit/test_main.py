"""The command line, and ending by a signal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asocketio import SocketIOApp
from asocketio import __main__ as command
from asocketio.app import FOLLOW_ENV
from asocketio.runtime.signals import chain_signals
from asocketio.runtime.tuning import TUNE_ENV
from tests.support.worlds import Recorder


def test_what_the_user_says_wins() -> None:
    ours = command.arguments(["chat:app"])
    assert ours == [
        "chat:app",
        "--log-config", str(Path(command.__file__).with_name("logging.json")),
        "--ws", "asocketio.servers.uvicorn:WebSocketProtocol",
        "--http", "asocketio.servers.uvicorn:HTTPProtocol",
        "--ws-ping-interval", "86400",
        "--ws-per-message-deflate", "false",
        "--timeout-graceful-shutdown", "10",
    ]  # fmt: skip
    given = [
        "chat:app",
        "--ws=wsproto",
        "--http=h11",
        "--ws-ping-interval",
        "5",
        "--log-config=mine",
        "--timeout-graceful-shutdown",
        "1",
    ]
    assert command.arguments([*given, "--ws-per-message-deflate=true"]) == [*given, "--ws-per-message-deflate=true"]


@pytest.fixture
def uvicorn_called(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    calls: list[Any] = []
    monkeypatch.setattr(command.uvicorn_main, "main", lambda **given: calls.append(given))
    monkeypatch.delenv(FOLLOW_ENV, raising=False)
    monkeypatch.delenv(TUNE_ENV, raising=False)
    yield calls
    os.environ.pop(FOLLOW_ENV, None)
    os.environ.pop(TUNE_ENV, None)


def test_the_command_is_uvicorn(uvicorn_called: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["asocketio", "chat:app", "--port", "9000"])
    command.main()
    assert uvicorn_called == [{"args": command.arguments(["chat:app", "--port", "9000"]), "prog_name": "asocketio"}]
    assert FOLLOW_ENV in os.environ
    assert os.environ[TUNE_ENV] == "1"


def test_memory_is_left_alone_where_the_environment_says_so(
    uvicorn_called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TUNE_ENV, "0")
    command.main(["chat:app"])
    assert os.environ[TUNE_ENV] == "0"


def test_a_limit_given_by_hand_is_left_alone(uvicorn_called: list[Any]) -> None:
    command.main(["chat:app", "--ws-max-size", "5"])
    assert FOLLOW_ENV not in os.environ


class Server:
    """What uvicorn's lifespan looks like from inside."""

    def __init__(self) -> None:
        self.config = type("Config", (), {"ws_max_size": 16_000_000})()
        self.messages = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]
        self.sent: list[str] = []

    async def receive(self) -> Any:
        return self.messages.pop()

    async def send(self, message: Any) -> None:
        self.sent.append(message["type"])


async def test_under_the_command_the_server_takes_no_more_than_max_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLLOW_ENV, "1")
    server = Server()
    await SocketIOApp(namespaces={"/": Recorder}, max_payload=5000)({"type": "lifespan"}, server.receive, server.send)
    assert server.config.ws_max_size == 5000
    assert server.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


class Closing:
    def __init__(self) -> None:
        self.began = asyncio.Event()

    def begin_close(self) -> None:
        self.began.set()


@pytest.fixture
def handlers() -> Iterator[list[Any]]:
    """Handlers of a server; what it heard."""
    heard: list[Any] = []
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        signal.signal(number, lambda n, frame: heard.append(n))
    yield heard
    for number, handler in former.items():
        signal.signal(number, handler)


async def test_apps_hear_a_signal_before_the_server_does(handlers: list[Any]) -> None:
    one, two = Closing(), Closing()
    for app in (one, two, one):
        chain_signals(app)
    signal.raise_signal(signal.SIGTERM)
    assert handlers == [signal.SIGTERM]
    async with asyncio.timeout(5):
        await one.began.wait()
        await two.began.wait()


async def test_where_nobody_handles_a_signal_neither_do_we(handlers: list[Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chain_signals(Closing())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def test_other_threads_leave_signals_alone(handlers: list[Any]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    await asyncio.to_thread(chain_signals, Closing())
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_that_outlives_its_loop_still_calls_the_server(handlers: list[Any]) -> None:
    app = Closing()

    async def use() -> None:
        chain_signals(app)

    asyncio.run(use())
    signal.raise_signal(signal.SIGTERM)
    assert handlers == [signal.SIGTERM]


async def test_begin_close_closes_once() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    app.begin_close()
    closer = app._closer
    app.begin_close()
    assert app._closer is closer is not None
    await closer


async def test_sockets_end_with_the_lifespan_of_an_application_that_knows_none() -> None:
    async def site(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"

    server = Server()
    app = SocketIOApp(site, namespaces={"/": Recorder})
    await app({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert app.server.closing


async def test_a_lifespan_that_fails_is_the_applications_to_report() -> None:
    async def site(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise RuntimeError("no database")

    server = Server()
    with pytest.raises(RuntimeError, match="no database"):
        await SocketIOApp(site, namespaces={"/": Recorder})({"type": "lifespan"}, server.receive, server.send)
