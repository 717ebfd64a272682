"""What is told before a server waits for its connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn

from asocketio.servers.shutdown import close_at_shutdown


class Serving(uvicorn.Server):
    """A server that serves nobody, and tells when it ends."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__(uvicorn.Config("nowhere:app", log_config=None))
        self.log = log

    async def _serve(self, sockets: Any = None) -> None:
        await self.main_loop()
        await self.shutdown(sockets=sockets)

    async def shutdown(self, sockets: Any = None) -> None:
        self.log.append(("shutdown", sockets))


class App:
    def __init__(self, name: str, log: list[Any]) -> None:
        self.name = name
        self.log = log

    def begin_close(self) -> None:
        self.log.append(self.name)


async def in_a_coroutine(server: Serving) -> None:
    await server.serve()


async def in_a_timeout(server: Serving) -> None:
    await asyncio.wait_for(server.serve(), 10)


async def by_hand(server: Serving) -> None:
    await server.main_loop()
    await server.shutdown()


@pytest.mark.parametrize("serve", [Serving.serve, in_a_coroutine, in_a_timeout, by_hand])
async def test_each_app_is_told_once_and_before_the_server_ends(serve: Any) -> None:
    log: list[Any] = []
    server, one, other, gone = Serving(log), App("one", log), App("other", log), App("gone", log)
    task = asyncio.create_task(serve(server))
    for _ in range(5):  # until it runs its loop
        await asyncio.sleep(0)
    for app in (one, other, one, gone):
        close_at_shutdown(app)
    del gone, app
    server.should_exit = True
    async with asyncio.timeout(5):
        await task
    assert sorted(map(str, log[:-1])) == ["one", "other"]
    assert log[-1] == ("shutdown", None)


async def test_other_servers_are_left_alone() -> None:
    close_at_shutdown(App("one", []))
