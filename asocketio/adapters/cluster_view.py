"""Cluster: what a program sees of the servers that its server is one of."""

from __future__ import annotations

import secrets

__all__ = ["Cluster"]


class Cluster:
    """The servers of a cluster: ``app.cluster``. Of a server without one it is this one alone."""

    def __init__(self) -> None:
        self._name = secrets.token_hex(8)

    @property
    def name(self) -> str:
        """The name of this server among the others."""
        return self._name

    @property
    def healthy(self) -> bool:
        """The others can be reached, as far as this server knows."""
        return True

    async def members(self) -> frozenset[str]:
        """The names of all servers that are there, with this one. Those that do not answer within 5 s are not."""
        return frozenset((self.name,))
