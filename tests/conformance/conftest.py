"""Servers for the wire tests: one that takes its time, one that pings as fast as the official suites ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.clients.wire import DEADLINE, Peer
from tests.conftest import StartServer
from tests.support.servers import Server

APP = "tests.conformance.apps:app"
CALM = {"MAX_PAYLOAD": "1000000"}
QUICK = {"PING_INTERVAL": "0.3", "PING_TIMEOUT": "0.2", "CONNECT_TIMEOUT": "1", "UPGRADE_TIMEOUT": "0.5"}


@pytest.fixture(scope="session")
def calm_server(start_session_server: StartServer) -> Server:
    return start_session_server(APP, env=CALM)


@pytest.fixture(scope="session")
def quick_server(start_session_server: StartServer) -> Server:
    return start_session_server(APP, env=QUICK)


@pytest.fixture
async def peer(calm_server: Server) -> AsyncIterator[Peer]:
    """A server with the default times: nothing pings while a test runs."""
    async with httpx.AsyncClient(base_url=calm_server.url, timeout=DEADLINE) as http:
        yield Peer(http, calm_server.ws_url)


@pytest.fixture
async def quick(quick_server: Server) -> AsyncIterator[Peer]:
    """A server with the times of the official suites: pings each 300 ms, 200 ms to answer, 1 s to join."""
    async with httpx.AsyncClient(base_url=quick_server.url, timeout=DEADLINE) as http:
        yield Peer(http, quick_server.ws_url)
