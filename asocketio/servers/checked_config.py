"""CheckedConfig: uvicorn's configuration, which says in a sentence why an application cannot be served."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from asocketio.errors import UsageError
from asocketio.session.handlers import Handlers

__all__ = ["CheckedConfig"]


class CheckedConfig(uvicorn.Config):
    """uvicorn's. Each process that loads the application (``--reload``, ``--workers``) gets it, and checks there."""

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
    ours = str(Path(__file__).parents[1])
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
    if isinstance(getattr(cls, "_handlers", None), Handlers):  # a BaseNamespace, which is above this module
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
