"""What clients take of attachments: a packet with more is sent, and closes the connection of most who get it."""

from __future__ import annotations

import logging

__all__ = ["CLIENT_LIMIT", "AttachmentLimit"]

CLIENT_LIMIT = 10
"""Binary values in one packet that socket.io-client takes by default, and this server's ``max_attachments``."""

MOST = 100
"""Events that are named; a program that passes names of its clients on could make any number of them."""

log = logging.getLogger("asocketio")


class AttachmentLimit:
    """Logs, once for each event, that it has more attachments than clients take."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def note(self, namespace: str, event: str, count: int) -> None:
        """A packet has ``count`` attachments. ``event`` is empty for an ack."""
        key = namespace, event
        if count <= CLIENT_LIMIT or key in self._told or len(self._told) >= MOST:
            return
        self._told.add(key)
        what = f"the event {event[:100]!r}" if event else "an ack"
        log.warning(
            "%.100s: %s has %d binary values: socket.io-client takes at most %d in one packet, and closes the "
            "connection; send several events, or join the values",
            namespace or "/", what, count, CLIENT_LIMIT,
        )  # fmt: skip
