"""The ``asocketio`` command: uvicorn with the settings that Socket.IO needs.

It takes what uvicorn takes. An option wins over a variable ``UVICORN_...``, that wins over what is set here.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
from collections.abc import Sequence
from copy import copy
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.main import main as uvicorn_main

from asocketio.runtime.tuning import TUNE_ENV
from asocketio.servers.checked_config import CheckedConfig
from asocketio.servers.message_limit import FOLLOW_ENV

__all__ = ["command", "defaults", "main"]

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
