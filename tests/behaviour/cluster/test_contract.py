"""What every engine has to do: a cluster over it is one server to all clients."""

from __future__ import annotations

from contextlib import AsyncExitStack

from asocketio import SocketIOApp
from asocketio.adapters.cluster.adapter import ClusterAdapter
from asocketio.testing import TestClient
from tests.support.cluster import Hub, MemoryEngine
from tests.support.worlds import Recorder, Way


async def test_a_broadcast_reaches_the_clients_of_all_servers_once(way: Way) -> None:
    hub = Hub()
    apps = [SocketIOApp(namespaces={"/": Recorder}, adapter=ClusterAdapter(MemoryEngine(hub))) for _ in range(3)]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(TestClient(app, **way)) for app in apps]
        namespaces = [await client.connect() for client in clients]
        for number, app in enumerate(apps):
            await app.of("/").emit("news", number)
            for namespace in namespaces:
                assert await namespace.receive() == ("news", number)
        for namespace in namespaces:
            await namespace.nothing()
