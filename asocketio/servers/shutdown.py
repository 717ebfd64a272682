"""The end of a server, told to applications that wait for something else.

ASGI says it by ``lifespan.shutdown``, which comes when all calls have ended: a poll that waits is such a call.
A signal is heard before (`asocketio.runtime.signals`); a server that stops in another way ends its connections first.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from asocketio.asgi.types import Receive

__all__ = ["call_at_shutdown"]


def call_at_shutdown(receive: Receive, callback: Callable[[], None]) -> None:
    """Have ``callback`` called when uvicorn ends the connection of a request, before it waits for the answer.

    uvicorn calls ``shutdown()`` of each connection's protocol object, and hands out methods of its own objects, which
    lead there. Does nothing under other servers, and behind middleware that wraps ``receive``.
    """
    request = getattr(receive, "__self__", None)
    protocol: Any = getattr(getattr(request, "on_response", None), "__self__", None)
    own = getattr(protocol, "__dict__", None)
    if own is None or not hasattr(protocol, "shutdown"):
        return
    notice = own.get("shutdown")
    if not isinstance(notice, _Notice):
        notice = protocol.shutdown = _Notice(protocol)
    notice.callbacks.add(callback)


class _Notice:
    """Stands before the ``shutdown`` of one protocol object."""

    __slots__ = ("_protocol", "callbacks")

    def __init__(self, protocol: Any) -> None:
        self._protocol = weakref.ref(protocol)
        self.callbacks: set[Callable[[], None]] = set()

    def __call__(self) -> None:
        for callback in self.callbacks:
            callback()
        protocol = self._protocol()
        if protocol is not None:
            type(protocol).shutdown(protocol)
