"""The ``asocketio`` command: uvicorn with the settings that Socket.IO needs.

It takes what uvicorn takes. An option wins over a variable ``UVICORN_...``, that wins over what is set here.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import platform
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from copy import copy
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.main import main as uvicorn_main

from asocketio.app import FOLLOW_ENV
from asocketio.errors import UsageError
from asocketio.namespace import BaseNamespace
from asocketio.runtime.tuning import TUNE_ENV

__all__ = ["CheckedConfig", "command", "defaults", "main"]

GRACE = 10
"""Seconds that running requests have to end when the server stops; sockets need far less."""

_OURS: dict[str, Any] = {
    "log_config": str(
        Path(__file__).with_name("logging.json")
    ),  # shows our logger, hides session ids in uvicorn's lines
    "ws": "asocketio.servers.uvicorn:WebSocketProtocol",  # the fast lane
    "http": "asocketio.servers.uvicorn:HTTPProtocol",  # a response is one write
    "ws_ping_interval": 86400.0,  # the protocol has its own pings; some of uvicorn's classes take 0 for "at once"
    "ws_per_message_deflate": False,  # costs memory and CPU for each socket
    "timeout_graceful_shutdown": GRACE,
}
"""Instead of uvicorn's own defaults, by the names of its parameters."""

_MAX_SIZE = "UVICORN_WS_MAX_SIZE"
_SECRETS = ("ssl_keyfile_password",)
_WORKERS = (
    "%d workers: a client must stay on one process, and rooms are those of one process. Polling clients will meet "
    "another worker and be refused (Session ID unknown). Run one process for each port, behind a balancer that keeps "
    "a client on one (docs/deployment.md), or serve transports=('websocket',) alone"
)


class CheckedConfig(uvicorn.Config):
    """uvicorn's, which says in a sentence why an application cannot be served. It is made anew in each process."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if self.workers > 1:
            logging.getLogger("asocketio").warning(_WORKERS, self.workers)

    def load_app(self) -> Any:
        with _told():
            app = super().load_app()
        if self.interface != "auto":
            return app
        if self.factory or _is_factory(app):
            return functools.partial(self._made, app)
        return self._checked(app)

    def load(self) -> None:
        with _told():  # a factory is called there
            super().load()

    def _made(self, factory: Callable[[], Any]) -> Any:
        return self._checked(factory())

    def _checked(self, app: Any) -> Any:
        fault = _fault_of(app)
        if fault is not None:
            _stop(f"{self.app} {fault}")
        self.interface = "asgi3"  # uvicorn takes a functools.partial of one for ASGI 2
        return app


@contextmanager
def _told() -> Generator[None]:
    """Say a mistake of the program in a sentence, with the line that made it, and end."""
    try:
        yield
    except UsageError as error:
        _stop(f"{_line_of(error.__traceback__)}{error}")


def _stop(fault: str) -> NoReturn:
    logging.getLogger("uvicorn.error").error("Error loading ASGI app. %s", fault)
    sys.exit(STARTUP_FAILURE)


def _line_of(traceback: TracebackType | None) -> str:
    """The program's own line in a traceback: the last one that is not of this package."""
    ours = str(Path(__file__).parent)
    found = ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith((ours, "<")):
            found = f"{file}:{traceback.tb_lineno}: "
        traceback = traceback.tb_next
    return found


def _is_factory(app: Any) -> bool:
    """A function that needs no arguments: uvicorn takes it for one that makes the application."""
    return inspect.isfunction(app) and _takes(app, 0)


def _fault_of(app: Any) -> str | None:
    """What is wrong with an application, as uvicorn will see it; None where it may be one."""
    cls = app if isinstance(app, type) else type(app)
    if issubclass(cls, BaseNamespace):
        name = cls.__name__
        return f"is a namespace, not an application: write app = SocketIOApp(namespaces={{'/': {name}}}) and serve that"
    function = app
    while isinstance(function, functools.partial):
        function = function.func
    call = function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004
    if isinstance(app, type) or not inspect.iscoroutinefunction(call) or not _takes(app, 3):
        kind = "a class" if isinstance(app, type) else f"of type {cls.__name__}"
        return (
            f"is {kind}, not an ASGI application: expected a SocketIOApp, or an application of a framework "
            "(one of ASGI 2 needs --interface asgi2, a function that makes one and takes arguments cannot be called)"
        )
    return None


def _takes(function: Any, count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # it does not say
        return True
    return True


def command() -> Any:
    """uvicorn's command with our defaults, its application checked, and ``--version`` of both."""
    ours = copy(uvicorn_main)
    ours.params = [copy(parameter) for parameter in uvicorn_main.params]
    parameters: dict[str, Any] = {str(parameter.name): parameter for parameter in ours.params}
    ours.callback = functools.partial(_serve, uvicorn_main.callback)
    ours.help = (
        "Serve APP by uvicorn with the settings that Socket.IO needs. A variable UVICORN_<OPTION> sets an option."
    )
    parameters["version"].callback = _print_version
    parameters["version"].help = "Display the versions of asocketio and uvicorn and exit."
    parameters["ws_max_size"].show_default = os.environ.get(_MAX_SIZE) or "max_payload of the SocketIOApp"
    return ours


def defaults(parameters: Sequence[Any]) -> dict[str, Any]:
    """What holds without options: ours, and what the environment says. ``--help`` shows it."""
    found = dict(_OURS)
    for parameter in parameters:
        value = os.environ.get(f"UVICORN_{parameter.name.upper()}")
        if value and not getattr(parameter, "multiple", True) and parameter.name not in _SECRETS:
            try:
                found[parameter.name] = parameter.type(value)
            except Exception:  # of click's: the command itself will say what is wrong with it
                continue
    return found


def _print_version(context: Any, parameter: Any, asked: bool) -> None:
    if asked:
        python = f"{platform.python_implementation()} {platform.python_version()}"
        print(f"asocketio {version('asocketio')} on uvicorn {uvicorn.__version__}, {python}, {platform.system()}")
        context.exit()


def _serve(callback: Any, **options: Any) -> Any:
    """What uvicorn's command does, with `CheckedConfig`: it makes its configuration by the name in its module."""
    module: Any = import_module("uvicorn.main")
    former, module.Config = module.Config, CheckedConfig
    try:
        return callback(**options)
    finally:
        module.Config = former


def main(given: Sequence[str] | None = None) -> Any:
    """Run the command; ``given`` is the command line without the program's name."""
    given = sys.argv[1:] if given is None else given
    os.environ.setdefault(TUNE_ENV, "1")
    if not os.environ.get(_MAX_SIZE) and not any(word.partition("=")[0] == "--ws-max-size" for word in given):
        os.environ[FOLLOW_ENV] = "1"
    ours = command()
    return ours.main(args=list(given), prog_name="asocketio", default_map=defaults(ours.params), show_default=True)


if __name__ == "__main__":
    main()
