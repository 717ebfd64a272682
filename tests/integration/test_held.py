"""A view that only decides leaves nothing behind: no thread, and no connection to the database."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.benchmarks.held import held_by, held_server, log_in, open_websockets
from tests.support.worlds import until

COUNT = 30
POOL = 15
"""Threads that a pool may have grown by; each socket's own would be `COUNT`."""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("app", ["django_guarded", "fastapi_guarded"])
async def test_a_view_that_only_decides_holds_neither_a_thread_nor_a_connection(app: str, tmp_path: Path) -> None:
    with held_server(app, tmp_path) as server, ExitStack() as stack:
        cookie = await log_in(server.port)
        (first,) = await open_websockets(server.port, cookie, 1)
        stack.callback(first.close)
        before = held_by(server, tmp_path)
        for connection in await open_websockets(server.port, cookie, COUNT):
            stack.callback(connection.close)
        await until(lambda: not held_by(server, tmp_path).connections)
        assert held_by(server, tmp_path).threads < before.threads + POOL


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_view_that_stays_in_django_holds_both_which_the_docs_say(tmp_path: Path) -> None:
    with held_server("django_held", tmp_path) as server, ExitStack() as stack:
        cookie = await log_in(server.port)
        before = held_by(server, tmp_path)
        for connection in await open_websockets(server.port, cookie, COUNT):
            stack.callback(connection.close)
        held = held_by(server, tmp_path)
        assert held.connections == COUNT
        assert held.threads > before.threads + POOL
