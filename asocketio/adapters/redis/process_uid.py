"""ProcessUid: the name of a server among the others."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["ProcessUid"]


class ProcessUid:
    """A name that is made when it is first asked for, and anew in another process: servers fork with their app made."""

    __slots__ = ("_make", "_process", "_uid")

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self._process = 0
        self._uid = ""

    def get(self) -> str:
        """The name of this process."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._uid = self._make()
        return self._uid
