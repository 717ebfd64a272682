"""A server that ends and comes again: clients of others come back by themselves, whatever carries them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import engineio
import pytest
import socketio

from tests.conftest import StartServer
from tests.support.servers import ROOT, Server
from tests.support.worlds import until

JAVASCRIPT = """
const client = require(process.argv[1]);
const socket = (client.io || client)(process.argv[2], {
  transports: [process.argv[3]], reconnectionDelay: 50, reconnectionDelayMax: 200,
});
socket.on("connect", () => console.log("connected"));
socket.on("disconnect", () => console.log("disconnected"));
"""


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("client", ["python-socketio", "socket.io-client-4", "socket.io-client-2.5.0"])
async def test_a_client_comes_back_after_a_shutdown(
    client: str, transport: str, node: Path, node_modules: Path, tmp_path: Path
) -> None:
    first = Server("tests.interop.app:app", "asocketio", tmp_path / "first")
    second = Server("tests.interop.app:app", "asocketio", tmp_path / "second")
    second.port = first.port
    command = [sys.executable, "-m", "tests.interop.python_client", first.url, transport]
    if client != "python-socketio":
        package = node_modules / client
        command = [str(node), "-e", JAVASCRIPT, str(package), first.url, transport]
    log = tmp_path / "client"
    with first, running(command, log):
        await until(lambda: log.read_text().split() == ["connected"], 15)
        first.stop()
        with second:
            await until(lambda: log.read_text().split() == ["connected", "disconnected", "connected"], 15)


async def test_pythons_client_takes_a_burst_by_polling_once_it_is_told_to(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docs/migration.md says of its limit of 16 packets in one answer."""
    monkeypatch.setattr(engineio.payload.Payload, "max_decode_packets", 1000)
    heard: list[int] = []
    async with aiohttp.ClientSession() as http:
        client = socketio.AsyncClient(reconnection=False, http_session=http)
        client.on("number", heard.append)
        await client.connect(start_server("tests.interop.app:app").url, transports=["polling"])
        assert await client.call("count", 100) == 100
        assert heard == list(range(100))
        await client.disconnect()
