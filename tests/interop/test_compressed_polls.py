"""Compressed polls over real connections: raw HTTP clients, the JavaScript clients, and python-socketio's."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import socketio

from tests.conftest import StartServer
from tests.interop.test_clients import DEADLINE, HERE
from tests.support.servers import Server

LARGE = '420["large",2000]'


@pytest.fixture(scope="module", params=["uvicorn-httptools-websockets-sansio", "asocketio"])
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("tests.interop.app:app", request.param, env={"HTTP_COMPRESSION": "1024"})


async def session(client: httpx.AsyncClient) -> str:
    """The URL of a session that has joined the global namespace, and has asked for a large answer."""
    opened = await client.get("/socket.io/?EIO=4&transport=polling")
    url = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened.text[1:])['sid']}"
    await client.post(url, content="40")
    await client.get(url)
    post = await client.post(url, content=LARGE)
    assert (post.text, "content-encoding" in post.headers) == ("ok", False)
    return url


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
async def test_httpx(server: Server, accepted: str) -> None:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}", headers={"accept-encoding": accepted}
    ) as client:
        async with client.stream("GET", await session(client)) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        assert len(raw) == int(answer.headers["content-length"])
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers.get("content-encoding") == ("gzip" if accepted == "gzip" else None)
        assert (gzip.decompress(raw) if accepted == "gzip" else raw).decode() == f'430["{"é" * 2000}"]'


async def test_aiohttp_reads_it(server: Server) -> None:
    base = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=base) as client, aiohttp.ClientSession() as other:
        url = await session(client)
        async with other.get(base + url, headers={"accept-encoding": "gzip"}) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            assert await answer.text() == f'430["{"é" * 2000}"]'


async def test_python_socketio_reads_it(server: Server) -> None:
    async with asyncio.timeout(30):
        client = socketio.AsyncClient()
        await client.connect(f"http://127.0.0.1:{server.port}", transports=["polling"])
        assert await client.call("large", 50_000) == "é" * 50_000
        await client.disconnect()


@pytest.mark.parametrize("version", ["0.9.17", "2.5.0", "4.8.4"])
def test_javascript_clients_in_node_ask_for_nothing(
    server: Server, version: str, node: Path, node_modules: Path
) -> None:
    done: Any = subprocess.run(
        [node, HERE / "run.js", version, "polling", str(server.port), "a_large_answer_arrives"],
        env={**os.environ, "NODE_MODULES": str(node_modules)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert json.loads(done.stdout) == {"a_large_answer_arrives": {"ok": True}}


def test_the_javascript_client_reads_it_by_fetch(server: Server, node: Path, node_modules: Path) -> None:
    done: Any = subprocess.run(
        [node, HERE / "fetch.js", str(server.port)],
        env={**os.environ, "NODE_MODULES": str(node_modules)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    answered = json.loads(done.stdout)
    assert (answered["length"], "gzip" in answered["encodings"]) == (50_000, True)
