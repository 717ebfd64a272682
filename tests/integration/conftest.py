"""A client's side of the servers that integration tests start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.clients.wire import DEADLINE, Peer
from tests.support.servers import Server

MeetServer = Callable[[Server], Awaitable[Peer]]


@pytest.fixture
async def meet() -> AsyncIterator[MeetServer]:
    """Gives the client's side of a server."""
    async with AsyncExitStack() as stack:

        async def peer(server: Server) -> Peer:
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=DEADLINE))
            return Peer(http, server.ws_url)

        yield peer
