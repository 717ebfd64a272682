"""The ``asocketio`` command: uvicorn with the settings that Socket.IO needs.

It takes what uvicorn takes; what is given on the command line wins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uvicorn.main import main as uvicorn_main

from asocketio.app import FOLLOW_ENV
from asocketio.runtime.tuning import TUNE_ENV

__all__ = ["arguments", "main"]

GRACE = 10
"""Seconds that running requests have to end when the server stops; sockets need far less."""

_OURS = {
    "--log-config": str(
        Path(__file__).with_name("logging.json")
    ),  # shows our logger, hides session ids in uvicorn's lines
    "--ws": "asocketio.servers.uvicorn:WebSocketProtocol",  # the fast lane
    "--http": "asocketio.servers.uvicorn:HTTPProtocol",  # a response is one write
    "--ws-ping-interval": "86400",  # the protocol has its own pings; some of uvicorn's classes take 0 for "at once"
    "--ws-per-message-deflate": "false",  # costs memory and CPU for each socket
    "--timeout-graceful-shutdown": str(GRACE),
}


def arguments(given: Sequence[str]) -> list[str]:
    """The command line for uvicorn: ours where the user said nothing."""
    options = {word.partition("=")[0] for word in given}
    line = list(given)
    for option, value in _OURS.items():
        if option not in options:
            line += [option, value]
    return line


def main(given: Sequence[str] | None = None) -> Any:
    """Run the command; ``given`` is the command line without the program's name."""
    given = sys.argv[1:] if given is None else given
    os.environ.setdefault(TUNE_ENV, "1")
    if not any(word.partition("=")[0] == "--ws-max-size" for word in given):
        os.environ[FOLLOW_ENV] = "1"
    return uvicorn_main.main(args=arguments(given), prog_name="asocketio")


if __name__ == "__main__":
    main()
