"""The command line, and ending by a signal."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from asocketio import SocketIOApp
from asocketio import __main__ as command
from asocketio.runtime.signals import chain_signals
from asocketio.runtime.tuning import TUNE_ENV
from asocketio.servers.checked_config import CheckedConfig
from asocketio.servers.message_limit import FOLLOW_ENV
from tests.support.worlds import Recorder

OURS = {
    "log_config": str(Path(command.__file__).with_name("logging.json")),
    "ws": "asocketio.servers.uvicorn:WebSocketProtocol",
    "http": "asocketio.servers.uvicorn:HTTPProtocol",
    "ws_ping_interval": 86400.0,
    "ws_per_message_deflate": False,
    "timeout_graceful_shutdown": 10,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command writes into the environment."""
    for name in (FOLLOW_ENV, TUNE_ENV, *(name for name in os.environ if name.startswith("UVICORN_"))):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.pop(FOLLOW_ENV, None)
    os.environ.pop(TUNE_ENV, None)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What uvicorn is asked for, each time."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(command.uvicorn_main, "callback", lambda **options: calls.append(options))
    return calls


def run(*given: str) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as ended:
        command.main(given)
    return int(ended.value.code or 0)


def test_the_command_is_uvicorn_with_our_defaults(served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["asocketio", "chat:app", "--port", "9000"])
    with pytest.raises(SystemExit):
        command.main()
    (options,) = served
    assert (options["app"], options["port"], options["host"]) == ("chat:app", 9000, "127.0.0.1")
    assert {name: options[name] for name in OURS} == OURS
    assert FOLLOW_ENV in os.environ
    assert os.environ[TUNE_ENV] == "1"


SETTINGS: list[tuple[str, str, str, str, Any, Any]] = [
    ("ws", "--ws", "wsproto", "websockets", "wsproto", "websockets"),
    ("http", "--http", "h11", "httptools", "h11", "httptools"),
    ("ws_ping_interval", "--ws-ping-interval", "5", "6", 5.0, 6.0),
    ("ws_per_message_deflate", "--ws-per-message-deflate", "true", "false", True, False),
    ("timeout_graceful_shutdown", "--timeout-graceful-shutdown", "3", "4", 3, 4),
    ("log_config", "--log-config", __file__, command.__file__, __file__, command.__file__),
    ("port", "--port", "9001", "9002", 9001, 9002),
]


@pytest.mark.parametrize(("name", "option", "in_environment", "given", "environment_holds", "option_holds"), SETTINGS)
def test_a_variable_wins_over_our_defaults_and_an_option_over_both(
    name: str, option: str, in_environment: str, given: str, environment_holds: Any, option_holds: Any,
    served: list[Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(f"UVICORN_{name.upper()}", in_environment)
    assert [run("chat:app"), run("chat:app", option, given), run("chat:app", f"{option}={given}")] == [0, 0, 0]
    assert [options[name] for options in served] == [environment_holds, option_holds, option_holds]
    monkeypatch.setenv(f"UVICORN_{name.upper()}", "")  # as if it were not there
    run("chat:app")
    assert served[-1][name] == OURS.get(name, 8000)


def test_the_application_may_be_named_by_the_environment(served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UVICORN_APP", "chat:app")
    assert (run(), served[0]["app"]) == (0, "chat:app")


def shown(text: str) -> str:
    """Without line breaks."""
    return " ".join(text.split())


def test_help_shows_what_holds(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--help") == 0
    text = shown(capsys.readouterr().out)
    for holds in (
        "Usage: asocketio [OPTIONS] APP",
        "[default: asocketio.servers.uvicorn:WebSocketProtocol]",
        "[default: asocketio.servers.uvicorn:HTTPProtocol]",
        "WebSocket ping interval in seconds. [default: 86400.0]",
        "WebSocket per-message-deflate compression [default: False]",
        "Maximum number of seconds to wait for graceful shutdown. [default: 10]",
        "WebSocket max size message in bytes [default: (max_payload of the SocketIOApp)]",
        "[default: 8000]",
    ):
        assert holds in text
    assert "[default: 20.0]" in text  # of the other ones uvicorn's
    monkeypatch.setenv("UVICORN_PORT", "9001")
    monkeypatch.setenv("UVICORN_WS", "wsproto")
    monkeypatch.setenv("UVICORN_WS_MAX_SIZE", "5000")
    monkeypatch.setenv("UVICORN_ACCESS_LOG", "false")
    monkeypatch.setenv("UVICORN_SSL_KEYFILE_PASSWORD", "sesame")
    assert run("--help") == 0
    text = shown(capsys.readouterr().out)
    assert all(f"[default: {value}]" in text for value in ("9001", "wsproto", "(5000)"))
    assert "access-log]" in text
    assert "[default: access-log]" not in text
    assert "sesame" not in text


def test_what_is_wrong_in_the_environment_is_said(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UVICORN_PORT", "many")
    assert (run("chat:app"), served) == (2, [])
    assert "'many' is not a valid integer" in capsys.readouterr().err


def test_the_version_is_ours_and_uvicorns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    ours, uvicorns = version("asocketio"), version("uvicorn")
    assert capsys.readouterr().out.startswith(f"asocketio {ours} on uvicorn {uvicorns}, CPython 3.")


def test_uvicorns_own_command_is_left_as_it_is(served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    run("chat:app")
    with pytest.raises(SystemExit):
        command.uvicorn_main.main(["--version"])
    assert capsys.readouterr().out.startswith("Running uvicorn ")
    assert sys.modules["uvicorn.main"].Config is uvicorn.Config


def test_memory_is_left_alone_where_the_environment_says_so(served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TUNE_ENV, "0")
    run("chat:app")
    assert os.environ[TUNE_ENV] == "0"


@pytest.mark.parametrize(("given", "variable"), [(["--ws-max-size", "5"], ""), (["--ws-max-size=5"], ""), ([], "5")])
def test_a_limit_given_by_hand_is_left_alone(
    given: list[str], variable: str, served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UVICORN_WS_MAX_SIZE", variable)
    run("chat:app", *given)
    assert served[0]["ws_max_size"] == 5
    assert FOLLOW_ENV not in os.environ


# ---- what cannot be served --------------------------------------------------------------------------------------

PROGRAM = """
import asyncio
import functools
from asocketio import BaseNamespace, SocketIOApp

class Desk(BaseNamespace):
    def on_x(self):
        return 1

class Chosen(SocketIOApp): ...

async def with_three(scope, receive, send): ...
async def with_one(scope): ...

def app_of(name="/"):
    return SocketIOApp(namespaces={name: Desk})

def wrong():
    return SocketIOApp(namespaces={"/": 5})

def desk():
    return Desk

app = SocketIOApp(namespaces={"/": Desk})
own = Chosen(namespaces={"/": Desk})
around = functools.partial(with_three)
namespaces = {"/": Desk}
"""
NO_APP = (
    "not an ASGI application: expected a SocketIOApp, or an application of a framework "
    "(one of ASGI 2 needs --interface asgi2, a function that makes one and takes arguments cannot be called)"
)
NAMESPACE = "is a namespace, not an application: write app = SocketIOApp(namespaces={'/': Desk}) and serve that"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Writes the module ``desk_program``."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "desk_program.py"
        path.write_text(text)
        return path

    yield write
    sys.modules.pop("desk_program", None)


def load(name: str, **settings: Any) -> CheckedConfig:
    config = CheckedConfig(name, log_config=None, **settings)
    config.load_app()
    config.load()
    return config


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("json:dumps", {}, f"json:dumps is of type function, {NO_APP}"),
        ("asyncio:sleep", {}, f"asyncio:sleep is of type function, {NO_APP}"),
        ("json:JSONDecoder", {}, f"json:JSONDecoder is a class, {NO_APP}"),
        ("desk_program:Desk", {}, f"desk_program:Desk {NAMESPACE}"),
        ("desk_program:desk", {}, f"desk_program:desk {NAMESPACE}"),
        ("desk_program:desk", {"factory": True}, f"desk_program:desk {NAMESPACE}"),
        ("desk_program:namespaces", {}, f"desk_program:namespaces is of type dict, {NO_APP}"),
        ("desk_program:with_one", {}, f"desk_program:with_one is of type function, {NO_APP}"),
        ("desk_program:wrong", {}, "{file}:19: namespace '/': expected a subclass of BaseNamespace, not 5"),
        (
            "desk_program:wrong", {"factory": True},
            "{file}:19: namespace '/': expected a subclass of BaseNamespace, not 5",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_a_sentence(
    name: str, settings: Any, says: str, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = program(PROGRAM)
    with pytest.raises(SystemExit):
        load(name, **settings)
    (record,) = caplog.records
    assert record.getMessage() == f"Error loading ASGI app. {says.replace('{file}', str(file))}"
    assert record.exc_info is None


@pytest.mark.parametrize("name", ["app", "own", "with_three", "around", "app_of"])
def test_what_can_be_served_is(name: str, program: Any) -> None:
    program(PROGRAM)
    assert load(f"desk_program:{name}").interface == "asgi3"


def test_an_interface_that_is_named_is_not_asked_about(program: Any) -> None:
    program(PROGRAM)
    assert load("desk_program:with_one", interface="asgi2").loaded


MISTAKES = [
    (
        "app = SocketIOApp(namespaces={'/': Desk()})",
        "Desk(...): the server makes the objects, one for each client; give it the class: namespaces={'/': Desk}",
    ),
    (
        "app = SocketIOApp(namespaces={'/': Desk('/desk')})",
        "Desk(...): the server makes the objects, one for each client; give it the class: namespaces={'/': Desk}",
    ),
    (
        "app = SocketIOApp(namespaces={'/': Plain()})",
        "namespace '/': give the class Plain, not an object of it",
    ),
    (
        "app = SocketIOApp(Desk)",
        "Desk is a namespace, not an application: SocketIOApp(namespaces={'/': Desk})",
    ),
    (
        "app = SocketIOApp(namespaces=Desk)",
        "namespaces=<class 'desk_program.Desk'>: expected a dict such as {'/': Chat}",
    ),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES)
def test_a_mistake_in_the_program_is_a_sentence_with_its_line(
    line: str, says: str, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = program(
        "from asocketio import BaseNamespace, SocketIOApp\nclass Desk(BaseNamespace): ...\n"
        f"class Plain(BaseNamespace):\n    def __init__(self): ...\n{line}\n"
    )
    with pytest.raises(SystemExit):
        load("desk_program:app")
    (record,) = caplog.records
    assert record.getMessage() == f"Error loading ASGI app. {file}:5: {says}"


def test_what_else_goes_wrong_keeps_its_traceback(program: Any) -> None:
    program("1 / 0")
    with pytest.raises(ZeroDivisionError):
        load("desk_program:app")


# ---- ending -----------------------------------------------------------------------------------------------------


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


def test_the_configuration_goes_to_other_processes() -> None:
    """Those of ``--reload`` and ``--workers`` do not import ``__main__``."""
    assert CheckedConfig.__module__ == "asocketio.servers.checked_config"
    assert type(pickle.loads(pickle.dumps(CheckedConfig("chat:app", log_config=None)))) is CheckedConfig
