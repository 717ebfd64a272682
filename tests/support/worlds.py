"""Small apps that several tests use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal, TypedDict, TypeVar

import pytest

from asocketio import BaseNamespace, SocketIOApp
from asocketio.testing import ClientRefused, TestClient, settle
from tests.clients.asgi import HEADERS, Call

Transport = Literal["websocket", "polling"]


class Way(TypedDict):
    """How a client comes: arguments of `TestClient`."""

    generation: Literal["0.9", 3, 4]
    transport: Literal["websocket", "polling", "jsonp"]


def binary(way: Way) -> Any:
    """A value that is binary where the generation knows such a thing."""
    return "text" if way["generation"] == "0.9" else b"raw"


T = TypeVar("T", bound="Recorder")
GENERATIONS: list[Literal["0.9", 3, 4]] = ["0.9", 3, 4]
TRANSPORTS: list[Literal["websocket", "polling", "jsonp"]] = ["websocket", "polling", "jsonp"]


class Recorder(BaseNamespace):
    """Echoes, and remembers how it ended. ``last`` is the newest object of each class."""

    last: ClassVar[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        type(self).last = self
        self.reasons: list[str] = []

    async def on_echo(self, *args: Any) -> Any:
        return args

    async def recv_disconnect(self, reason: str) -> None:
        self.reasons.append(reason)


@asynccontextmanager
async def serve(
    cls: type[BaseNamespace],
    *,
    generation: Literal["0.9", 3, 4] = 4,
    transport: Literal["websocket", "polling", "jsonp"] = "websocket",
    name: str = "/",
    also: dict[str, type[BaseNamespace]] | None = None,
    **settings: Any,
) -> AsyncIterator[TestClient]:
    """A client of an app that serves ``cls``."""
    app = SocketIOApp(namespaces={name: cls, **(also or {})}, **settings)
    async with TestClient(app, generation=generation, transport=transport) as client:
        yield client


async def call_of(app: Any, path: str, method: str = "GET", **scope: Any) -> tuple[int, bytes]:
    """Status and body of the answer to a plain HTTP request."""
    given = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": HEADERS, "root_path": ""}
    call = Call(app, {**given, **scope})
    call.body_comes(b"")
    await call.task
    return call.status, call.content


async def until(condition: Any, seconds: float = 5.0) -> None:
    """Wait until ``condition()`` holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (a condition of whatever kind)
            await asyncio.sleep(0.001)


async def refused_by_connect_timeout(client: TestClient) -> None:
    """Connect to an app whose view does not decide: the client waits for 45 s, and is refused."""
    opening = asyncio.create_task(client.connect())
    await client.advance(44)
    assert not opening.done()
    await client.advance(2)
    with pytest.raises(ClientRefused, match=r"503|handshake error"):
        await opening


async def refused_by_close(client: TestClient, app: SocketIOApp) -> None:
    """Connect to an app whose view does not decide, and close the app: the client is refused."""
    opening = asyncio.create_task(client.connect())
    await settle()
    await app.close()
    with pytest.raises(ClientRefused, match=r"503|handshake error"):
        await opening
