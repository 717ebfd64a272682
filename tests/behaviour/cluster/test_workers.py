"""Workers of one host hear each other: the verbs over their links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asocketio import SocketIOApp
from asocketio.adapters.cluster.adapter import ClusterAdapter
from asocketio.adapters.memory import MemoryAdapter
from asocketio.testing import TestClient
from asocketio.workers import engine as engines
from asocketio.workers.engine import MESH, WorkersEngine
from asocketio.workers.link import connect
from asocketio.workers.siblings import SiblingFolder, named_key
from tests.support.worlds import Recorder, until


def engine_of(app: SocketIOApp) -> WorkersEngine:
    adapter = app.server.adapter
    assert isinstance(adapter, ClusterAdapter)
    assert isinstance(adapter.engine, WorkersEngine)
    return adapter.engine


class Workers:
    """Apps that are siblings, with a client at each."""

    def __init__(self) -> None:
        self.apps: list[SocketIOApp] = []
        self.clients: list[TestClient] = []
        self.namespaces: list[Any] = []

    async def add(self, **settings: Any) -> None:
        app = SocketIOApp(namespaces={"/": Recorder}, workers="test", **settings)
        client = TestClient(app)
        await client.__aenter__()
        self.apps.append(app)
        self.clients.append(client)
        self.namespaces.append(await client.connect())
        await self.know_each_other()

    async def know_each_other(self) -> None:
        await until(lambda: all(len(engine_of(app).members("")) == len(self.apps) - 1 for app in self.apps))

    async def remove(self, number: int) -> None:
        client = self.clients.pop(number)
        del self.namespaces[number]
        await client.__aexit__(None, None, None)
        await self.apps.pop(number).close()


@pytest.fixture
async def workers(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(short_path))
    monkeypatch.setattr(engines, "PAUSE", 0.0)
    found = Workers()
    for _ in range(3):
        await found.add()
    yield found
    while found.apps:
        await found.remove(0)


async def test_a_broadcast_reaches_the_clients_of_all_workers_once(workers: Workers) -> None:
    for number, app in enumerate(workers.apps):
        await app.of("/").emit("news", number)
        for namespace in workers.namespaces:
            assert await namespace.receive() == ("news", number)
    for namespace in workers.namespaces:
        await namespace.nothing()


async def test_questions_reach_all_workers(workers: Workers) -> None:
    everybody = workers.apps[0].of("/")
    assert await everybody.count() == 3
    assert len(await everybody.sockets()) == 3


async def test_a_worker_that_closes_is_waited_for_by_nobody(workers: Workers) -> None:
    await workers.remove(2)
    await workers.know_each_other()
    assert await workers.apps[0].of("/").count() == 2
    await workers.add()
    assert await workers.apps[0].of("/").count() == 3


async def test_a_link_that_breaks_comes_back(workers: Workers) -> None:
    first, second = map(engine_of, workers.apps[:2])
    links = list(second._links.values())
    for link in links:
        link.abort()
    await until(lambda: all(link.lost for link in links) and len(second._links) == 2)
    await workers.know_each_other()
    await workers.apps[1].of("/").emit("news", 1)
    for namespace in workers.namespaces:
        assert await namespace.receive() == ("news", 1)
    assert second.uid in first.members("")


@pytest.mark.parametrize(
    "frames",
    [
        [(MESH, b"[]")], [(MESH, b"\xff")], [(MESH, b'["u","../a",[]]')], [(MESH, b'["u","abcd",[]]'), (99, b"")],
        [(MESH, b'["u","abcd",[]]'), (23, b"?"), (99, b"")],
    ],
)  # fmt: skip
async def test_a_worker_that_says_what_cannot_be_read_is_cut(workers: Workers, frames: list[tuple[int, bytes]]) -> None:
    folder = SiblingFolder(named_key("test", "/socket.io"))
    link = await connect(folder.path_of(folder.names()[0]))
    for kind, payload in frames:
        link.write(kind, payload)
    assert await asyncio.wait_for(link.read(), 5) is None
    await workers.know_each_other()
    assert await workers.apps[0].of("/").count() == 3


async def test_a_worker_that_takes_nothing_is_cut(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "DRAIN_TIMEOUT", 0.0)
    engine = engine_of(workers.apps[0])
    link = next(iter(engine._links.values()))
    link._writable.clear()
    await workers.apps[0].of("/").emit("news", 1)
    await until(lambda: link.lost)
    await workers.know_each_other()


def test_without_siblings_and_with_recovery_rooms_are_those_of_one_process() -> None:
    for settings in ({}, {"workers": "test", "recovery": 10.0}):
        app = SocketIOApp(namespaces={"/": Recorder}, **settings)  # type: ignore[arg-type]
        assert isinstance(app.server.adapter, MemoryAdapter)
