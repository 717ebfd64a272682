"""The ``asocketio`` command: uvicorn with the settings that Socket.IO needs.

It takes what uvicorn takes; what is given on the command line wins.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from uvicorn.importer import ImportFromStringError, import_from_string
from uvicorn.main import main as uvicorn_main

from asocketio.app import SocketIOApp

__all__ = ["arguments", "main"]

GRACE = 10
"""Seconds that running requests have to end when the server stops; sockets need far less."""


def arguments(given: Sequence[str]) -> list[str]:
    """The command line for uvicorn: ours where the user said nothing.

    Pings are Socket.IO's own business, compression costs memory and CPU per socket, messages
    over the app's ``max_payload`` are refused while they arrive, and the lines of an access log
    would hold session ids.
    """
    options = _options(given)
    ours = {
        "--ws": "websockets-sansio",
        "--ws-ping-interval": "86400",
        "--ws-per-message-deflate": "false",
        "--timeout-graceful-shutdown": str(GRACE),
    }
    if "--ws-max-size" not in options:
        limit = _max_payload(given)
        if limit is not None:
            ours["--ws-max-size"] = str(limit)
    line = list(given)
    for option, value in ours.items():
        if option not in options:
            line += [option, value]
    if "--access-log" not in options:
        line.append("--no-access-log")
    return line


def main(given: Sequence[str] | None = None) -> Any:
    """Run the command; ``given`` is the command line without the program's name."""
    given = sys.argv[1:] if given is None else given
    return uvicorn_main.main(args=arguments(given), prog_name="asocketio")


def _options(given: Sequence[str]) -> set[str]:
    return {word.partition("=")[0] for word in given if word.startswith("--")}


def _max_payload(given: Sequence[str]) -> int | None:
    """The ``max_payload`` of the app on the command line, when it is a `SocketIOApp` that can be imported here."""
    name = next((word for word in given if ":" in word and not word.startswith("-")), None)
    if name is None or "--factory" in given:
        return None
    sys.path.insert(0, _value(given, "--app-dir") or ".")
    try:
        app = import_from_string(name)
    except ImportFromStringError:
        return None  # uvicorn will say it better
    finally:
        sys.path.pop(0)
    return app.config.max_payload if isinstance(app, SocketIOApp) else None


def _value(given: Sequence[str], option: str) -> str | None:
    for index, word in enumerate(given):
        if word == option and index + 1 < len(given):
            return given[index + 1]
        if word.startswith(option + "="):
            return word.partition("=")[2]
    return None


if __name__ == "__main__":
    main()
