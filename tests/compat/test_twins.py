"""Three programs, each beside its twin for python-socketio: both do the same, and ours is at most as long."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import tokenize
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import socketio
from socketio.exceptions import ConnectionError as ConnectionRefused

from tests.benchmarks.held import log_in, open_websockets
from tests.clients.frames import split
from tests.clients.tcp import Connection
from tests.conftest import StartServer

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"ours": "examples", "twin": "tests.compat.twins"}
PLAYERS, STATES = 100, 20
PATIENCE = 20.0


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> str:
    return FOLDERS[request.param]


class Client(socketio.AsyncClient):
    """Notes all events; ``sure?`` is answered by "yes" for 7."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        super().__init__(reconnection=False, http_session=http)
        self.heard: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.on("*", lambda *event: self.heard.put_nowait(event))
        self.on("sure?", lambda number: "yes" if number == 7 else "no")

    async def next(self) -> tuple[Any, ...]:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)


@asynccontextmanager
async def clients(url: str, *auths: Any) -> AsyncIterator[list[Client]]:
    async with aiohttp.ClientSession() as http:
        opened = [Client(http) for _ in auths]
        try:
            for client, auth in zip(opened, auths, strict=True):
                await client.connect(url, auth=auth)
            yield opened
        finally:
            for client in opened:
                await client.disconnect()


async def is_refused(url: str, auth: Any) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ConnectionRefused):
            await Client(http).connect(url, auth=auth)


def test_each_program_is_at_most_as_long_as_its_twin() -> None:
    for name in ("jwt_notes", "desk", "django_game"):
        ours, twin = (code_lines(ROOT / folder.replace(".", "/") / f"{name}.py") for folder in FOLDERS.values())
        assert ours <= twin, name


def code_lines(path: Path) -> int:
    """Lines that hold code: no docstrings, comments, and empty ones."""
    source = path.read_text()
    kinds = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in kinds
        for line in range(token.start[0], token.end[0] + 1)
    }
    docstring = ast.parse(source).body[0]
    return len(lines - set(range(docstring.lineno, (docstring.end_lineno or 0) + 1)))


async def test_notes(folder: str, start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(f"{folder}.jwt_notes:app", env={"NOTES": str(tmp_path / "notes")})
    async with httpx.AsyncClient(base_url=server.url) as http:
        refused = await http.post("/login", params={"name": "ada", "password": "x"})
        assert refused.status_code == 401
        tokens = [
            (await http.post("/login", params={"name": name, "password": password})).json()["token"]
            for name, password in (("ada", "sesame"), ("bob", "abracadabra"))
        ]
    for auth in (None, {}, {"token": "x"}, {"token": tokens[0][:-4]}):
        await is_refused(server.url, auth)
    async with clients(server.url, {"token": tokens[0]}, {"token": tokens[1]}) as (ada, bob):
        assert await ada.call("add", "buy milk") is None
        assert await ada.next() == await bob.next() == ("added", "ada", "buy milk")
        await bob.call("add", "done")
        assert await ada.call("all") == [["ada", "buy milk"], ["bob", "done"]]


async def test_desk(folder: str, start_server: StartServer) -> None:
    server = start_server(f"{folder}.desk:app")
    await is_refused(server.url, {})
    async with clients(server.url, {"name": "ada"}, {"name": "bob"}) as (ada, bob):
        await ada.call("join", "red")
        assert await ada.next() == ("count", 1)
        await bob.call("join", "red")
        assert await ada.next() == ("notice", "bob is here")
        assert await bob.next() == ("count", 1)
        assert [await ada.call("file:ready", 6), await ada.call("file:ready", 7)] == ["no", "yes"]
        assert await ada.next() == await bob.next() == ("file", 7)
        await bob.emit("remind", (0.001, "tea"))
        assert await bob.next() == ("notice", "tea")
        await bob.disconnect()
        assert await ada.next() == ("notice", "bob has left")


async def states(connection: Connection, count: int) -> list[Any]:
    """What a player is told of the next ``count`` states, from the first on in which everybody is."""
    found: list[Any] = []
    while True:
        frames, connection.data = split(connection.data)
        for _, payload in frames:
            if payload.startswith(b'42["state"'):
                state = json.loads(payload[2:])[1]
                if found or len(state) == PLAYERS:  # the first come are told of states with some
                    found.append(state)
        if len(found) >= count:
            return found[:count]
        connection.data += await connection.receive()


async def test_game(folder: str, start_server: StartServer) -> None:
    """A hundred players hear the same states, each a step further for everybody."""
    server = start_server(f"{folder}.django_game:application")
    with ExitStack() as stack:
        players = await open_websockets(server.port, await log_in(server.port), PLAYERS)
        for player in players:
            stack.callback(player.close)
            player.data = b""
        heard = await asyncio.gather(*(states(player, STATES) for player in players))
    for each in heard:
        assert {len(state) for state in each} == {PLAYERS}
        assert [state[0]["x"] - each[0][0]["x"] for state in each] == list(range(STATES))
        assert {player["name"] for player in each[-1]} == {"nobody"}


def test_the_ported_desk_is_the_one_of_the_guide() -> None:
    guide = (ROOT / "docs" / "migration.md").read_text().split("## A desk, ported")[1]
    blocks: Iterator[str] = (block.partition("```")[0] for block in guide.split("```python\n")[1:])
    for folder, block in zip(reversed(FOLDERS.values()), blocks, strict=True):
        program = ast.parse((ROOT / folder.replace(".", "/") / "desk.py").read_text())
        assert ast.dump(ast.Module(program.body[1:], [])) == ast.dump(ast.Module(ast.parse(block).body, []))
