"""The two forms in which the package is installed, and which of them a process runs.

*plain* is ``pip install asocketio``: the event loop is asyncio's, HTTP is read by h11, JSON by the standard library.
*fast* is ``asocketio[fast]``: uvloop, httptools, and msgspec and orjson for JSON. Every long test runs on both, each in
an environment of its own (``noxfile.py``); a run that claims a form and finds another ends at once.

``python -m tests.support.forms MODULE ...`` runs a module in the plain form where the accelerators are installed, by
hiding them: so the short tests start servers of both forms in one environment.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import importlib.util
import runpy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ACCELERATORS", "FORMS", "add_form", "announce", "hide", "installed", "served", "unlike"]

ACCELERATORS = ("httptools", "msgspec", "orjson", *(("uvloop",) if sys.platform != "win32" else ()))
FORMS = ("plain", "fast")
JSON = {"plain": "StdJson", "fast": "FastJson"}
LOOPS = {"plain": "asyncio", "fast": "asyncio" if sys.platform == "win32" else "uvloop"}
"""Of a server that is not told which to take."""


def installed() -> list[str]:
    """The accelerators that can be imported here, with their versions."""
    found = [name for name in ACCELERATORS if importlib.util.find_spec(name) is not None]
    return [f"{name} {importlib.metadata.version(name)}" for name in found]


def add_form(parser: argparse.ArgumentParser) -> None:
    """Let a command line claim a form."""
    parser.add_argument("--form", choices=FORMS, help="end at once where another form is installed")


def announce(claimed: str | None) -> str:
    """Print the form of this environment as the first line of a run, and return it.

    Raises:
        SystemExit: it is not the ``claimed`` one, or neither: some accelerators are there and some are not.
    """
    from asocketio.protocol.fast_json import best_json

    names = installed()
    form = "fast" if len(names) == len(ACCELERATORS) else "neither" if names else "plain"
    print(f"form: {form} ({', '.join(names) or 'no accelerators'})", flush=True)
    if form == "neither" or claimed not in (None, form):
        sys.exit(f"this is not the form {claimed or 'plain or fast'}: install 'asocketio' or 'asocketio[fast]'")
    used = type(best_json()).__name__
    if used != JSON[form]:
        sys.exit(f"{used} reads JSON here, and {JSON[form]} is that of the form {form}")
    return form


def served() -> dict[str, str]:
    """What the server that this is called in really runs on; applications under test tell it to the harness."""
    from asocketio.protocol.fast_json import best_json

    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    return {"json": type(best_json()).__name__, "loop": loop}


def unlike(found: Mapping[str, Any], form: str, server: str) -> str:
    """What a server says it runs on (`served`), where that is not ``form``; nothing where it is.

    ``server`` is a name of ``tests.support.servers.SERVERS``: some of them ask for a loop of their own.
    """
    wanted = {"json": JSON[form], "loop": _loop(server, form)}
    wrong = {name: (found[name], value) for name, value in wanted.items() if value and found[name] != value}
    return f"{server} does not run in the form {form}: {wrong} (found, expected)" if wrong else ""


def _loop(server: str, form: str) -> str:
    """The module of its event loop; nothing where the server decides by itself."""
    if server.startswith("uvicorn"):
        return "uvloop" if server.endswith("uvloop") else "asyncio"
    return LOOPS[form] if server == "asocketio" else ""


def hide() -> None:
    """Let no import in this process find an accelerator."""
    for name in ACCELERATORS:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail


def main(arguments: Sequence[str]) -> None:
    """Run the module that is named first in the plain form, with what follows as its command line."""
    hide()
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
