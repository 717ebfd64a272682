"""Servers of Node that are members of a cluster, see ``tests/interop/cluster/server.js``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.node import ROOT, installed_modules, node_binary

__all__ = ["CLUSTER", "NodeServer", "cluster_modules"]

CLUSTER = ROOT / "tests" / "interop" / "cluster"
ENDS_WITHIN = 10.0  # seconds


def cluster_modules() -> Path:
    """``node_modules`` with the packages of servers of Node."""
    return installed_modules(CLUSTER / "package.json")


class NodeServer:
    """One server of Node, from ``with`` to the end of its block."""

    def __init__(self, kind: str, redis_url: str, name: str, log: Path) -> None:
        self._arguments = (kind, redis_url, name)
        self._log = log
        self.url = ""

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [node_binary(), CLUSTER / "server.js", *self._arguments],
                env={**os.environ, "NODE_MODULES": str(cluster_modules())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port, self._log.read_text()
        self.url = f"http://127.0.0.1:{port}"
        return self

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(ENDS_WITHIN)
        assert self._process.stdout is not None
        self._process.stdout.close()
