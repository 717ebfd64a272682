"""MessageLimit: the server's own limit of websocket messages, which it buffers whole, beside ``max_payload``."""

from __future__ import annotations

import os

from asocketio.asgi.types import Receive
from asocketio.runtime.log import log

__all__ = ["FOLLOW_ENV", "MessageLimit"]

FOLLOW_ENV = "ASOCKETIO_WS_MAX_SIZE_FOLLOWS"
"""Set in the environment by the ``asocketio`` command: uvicorn's ``--ws-max-size`` becomes ``max_payload``."""


class MessageLimit:
    """Compares the two, once for an app: uvicorn's is set to ours by our command, and warned of elsewhere."""

    def __init__(self, max_payload: int) -> None:
        self._max_payload = max_payload
        self._compared = False

    def compare(self, receive: Receive) -> None:
        """``receive`` is what the server calls the app with. That of uvicorn belongs to what knows its limit."""
        if self._compared:
            return
        server = getattr(getattr(receive, "__self__", None), "config", None)
        limit = getattr(server, "ws_max_size", None)
        if not isinstance(limit, int) or str(getattr(server, "ws", "")).startswith("asocketio.servers"):
            return  # another server, one of uvicorn's HTTP connections, or the lane, which sees to it by itself
        self._compared = True
        if limit <= self._max_payload:
            return
        if FOLLOW_ENV in os.environ:
            server.ws_max_size = self._max_payload  # type: ignore[union-attr]
            return
        log.warning(
            "uvicorn takes websocket messages of up to %d bytes before max_payload=%d can refuse them: "
            "run it with --ws-max-size %d, or by the asocketio command", limit, self._max_payload, self._max_payload,
        )  # fmt: skip
