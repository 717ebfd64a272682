"""However a connection ends, nothing of it is left that only the garbage collector frees, and no timer holds it."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from asocketio import BaseNamespace, SocketIOApp, socketio_manage
from asocketio.servers.uvicorn import WebSocketProtocol
from asocketio.servers.uvicorn_http import http_protocol
from tests.clients.frames import BINARY, CLOSE, TEXT, encode_frame
from tests.clients.http import upgrade_request

LIMIT = 5.0
SETTINGS: dict[str, Any] = {"max_payload": 1000, "ping_interval": 3600.0}


class Main(BaseNamespace):
    async def on_leave(self) -> None:
        await self.socket.disconnect()

    async def on_send_much(self) -> None:
        for _ in range(20):
            self.emit("x", "x" * 100_000)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Views, routes and a websocket of its own."""
    if "socketio" in scope:
        await view(scope, send)
    elif scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/no":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
    elif scope["path"] == "/broken":
        raise RuntimeError("on purpose")
    else:
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def view(scope: Any, send: Any) -> None:
    if b"refuse" in scope["query_string"]:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"who?"})
    elif b"raise" in scope["query_string"]:
        raise RuntimeError("on purpose")
    else:
        await socketio_manage(scope, {"/": Main})


class Client:
    """A connection by a bare socket: no objects of its own that lead to themselves."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = socket.socket()
        self.socket.setblocking(False)

    async def open(self, *data: bytes) -> None:
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self.port))
        await self.send(*data)

    async def send(self, *data: bytes) -> None:
        for each in data:
            await asyncio.get_running_loop().sock_sendall(self.socket, each)

    async def until(self, mark: bytes = b"") -> bytes:
        """What comes, up to ``mark``, or to the end of the connection."""
        data = b""
        async with asyncio.timeout(LIMIT):
            while not mark or mark not in data:
                try:
                    more = await asyncio.get_running_loop().sock_recv(self.socket, 65_536)
                except ConnectionError:
                    break
                if not more:
                    break
                data += more
        return data

    async def websocket(self, target: str, *texts: str, mark: bytes = b"\r\n\r\n") -> None:
        await self.open(upgrade_request(target))
        await self.until(b"\r\n\r\n")
        if texts:
            await self.send(*(encode_frame(TEXT, text) for text in texts))
            await self.until(mark)

    async def join(self, *texts: str, mark: bytes = b"40{") -> None:
        await self.websocket("/socket.io/?EIO=4&transport=websocket", "40", *texts, mark=mark)

    async def say_goodbye(self) -> None:
        await self.send(encode_frame(CLOSE, b"\x03\xe8"))
        await self.until()

    async def poll(self) -> str:
        """Open a session by polling, join, and let a poll wait; the session's id."""
        await self.open(get("/socket.io/?EIO=4&transport=polling"))
        sid = (await self.until(b'"sid":"')).split(b'"sid":"')[1].split(b'"')[0].decode()
        target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        await self.send(post(target, "40"))
        await self.until(b"\r\n\r\nok")
        await self.send(get(target))
        await self.until(b"40{")
        await self.send(get(target))
        return sid

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def get(target: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: a", *more, "", ""]).encode()


def post(target: str, body: str, length: int = 0) -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length or len(body)}\r\n\r\n{body}".encode()


VIEW = "/view/socket.io/?EIO=4&transport=websocket"
Step = Callable[[Client], Awaitable[Any]]
OPEN: dict[str, Step] = {
    # where a connection may be when it ends
    "nothing was sent": lambda client: client.open(),
    "half a request": lambda client: client.open(b"GET / HT"),
    "half a head": lambda client: client.open(b"GET / HTTP/1.1\r\nHost: a\r\nCook"),
    "after an answer": lambda client: answered(client, get("/")),
    "after an error": lambda client: answered(client, get("/broken"), b"Internal Server Error"),
    "after a post": lambda client: answered(client, post("/", "abc")),
    "half a body": lambda client: client.open(post("/", "abc", 100)),
    "many requests": lambda client: answered(client, get("/") * 50),
    "a poll that waits": Client.poll,
    "half a body of a session": lambda client: half_post(client),
    "a websocket": Client.join,
    "a websocket with half a frame": lambda client: half_frame(client),
    "a websocket that is sent much": lambda client: client.join('42["send_much"]'),
    "a websocket after a request": lambda client: after_request(client),
    "a websocket that probes": lambda client: upgrade(client, "2probe"),
    "a websocket that has upgraded": lambda client: upgrade(client, "2probe", "5"),
    "a websocket of 0.9": lambda client: old(client),
    "a websocket of the view": lambda client: client.websocket(VIEW, "40", mark=b"40{"),
    "another application's websocket": lambda client: client.websocket("/x", "hi", mark=b"hi"),
}
CLOSED: dict[str, Step] = {
    # ends that the server brings about, or the protocol
    "the client closes its websocket": lambda client: then(client, client.join(), client.say_goodbye()),
    "and another application's": lambda client: then(client, client.websocket("/x"), client.say_goodbye()),
    "the server closes": lambda client: then(client, client.join('42["leave"]', mark=b"\x88"), client.say_goodbye()),
    "a message that is too large": lambda client: client.join("42" + "x" * 2000, mark=b"too"),
    "broken frames": lambda client: then(client, client.join(), client.send(b"\xff\xff\xff")),
    "binary where none is due": lambda client: then(client, client.join(), client.send(encode_frame(BINARY, b"x"))),
    "no such transport": lambda client: refused(client, "/socket.io/?EIO=4&transport=x"),
    "no such session": lambda client: refused(client, "/socket.io/?EIO=4&transport=websocket&sid=x"),
    "no such session of 0.9": lambda client: then(
        client, client.websocket("/socket.io/1/websocket/x"), client.say_goodbye()
    ),
    "a head that is too large": lambda client: refused(client, "/socket.io/?EIO=4&transport=websocket", "x" * 30_000),
    "another application refuses": lambda client: refused(client, "/no"),
    "the view refuses": lambda client: refused(client, "/view/socket.io/?EIO=4&transport=websocket&refuse"),
    "the view raises": lambda client: refused(client, "/view/socket.io/?EIO=4&transport=websocket&raise"),
    "a websocket without a key": lambda client: over(client, upgrade_request(leave="sec-websocket-key")),
    "one with a long line": lambda client: over(
        client, upgrade_request("/", ("a", "x" * 9000), leave="sec-websocket-key")
    ),
    "no HTTP": lambda client: over(client, b"\x00\x01\r\n\r\n"),
    "a head without an end": lambda client: over(client, b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000),
    "connection: close": lambda client: over(client, get("/", "Connection: close")),
    "HTTP/1.0": lambda client: over(client, get("/").replace(b"1.1", b"1.0")),
    "the view refuses a poll": lambda client: over(
        client, get("/view/socket.io/?EIO=4&transport=polling&refuse", "Connection: close")
    ),
    "the view raises in a poll": lambda client: over(
        client, get("/view/socket.io/?EIO=4&transport=polling&raise", "Connection: close")
    ),
    "a websocket behind a request that waits": lambda client: over(client, post("/", "abc") + upgrade_request("/no")),
}


async def then(client: Client, *steps: Awaitable[Any]) -> None:
    for step in steps:
        await step


async def answered(client: Client, data: bytes, mark: bytes = b"ok") -> None:
    await client.open(data)
    await client.until(mark)


async def over(client: Client, data: bytes) -> None:
    await client.open(data)
    await client.until()


async def refused(client: Client, target: str, cookie: str = "") -> None:
    await over(client, upgrade_request(target, *([("cookie", cookie)] if cookie else [])))


async def half_post(client: Client) -> None:
    await client.open(get("/socket.io/?EIO=4&transport=polling"))
    sid = (await client.until(b'"sid":"')).split(b'"sid":"')[1].split(b'"')[0].decode()
    await client.send(post(f"/socket.io/?EIO=4&transport=polling&sid={sid}", "40", 100))


async def half_frame(client: Client) -> None:
    await client.join()
    await client.send(encode_frame(TEXT, '42["x"]')[:-2])


async def after_request(client: Client) -> None:
    await answered(client, get("/"))
    await client.send(upgrade_request())
    await client.until(b"\r\n\r\n")


async def upgrade(client: Client, *texts: str) -> None:
    poll = Client(client.port)
    sid = await poll.poll()
    await client.websocket(f"/socket.io/?EIO=4&transport=websocket&sid={sid}", *texts, mark=b"3probe")
    poll.close()


async def old(client: Client) -> None:
    opening = Client(client.port)
    await opening.open(get("/socket.io/1/"))
    sid = (await opening.until(b":60:")).split(b"\r\n\r\n")[1].split(b":")[0].decode()
    opening.close()
    await client.websocket(f"/socket.io/1/websocket/{sid}")


class Mounted:
    """One app with namespaces, and one with a view."""

    def __init__(self) -> None:
        self.apps = [
            SocketIOApp(application, namespaces={"/": Main}, **SETTINGS),
            SocketIOApp(application, path="/view/socket.io", **SETTINGS),
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.apps[scope["path"].startswith("/view/")](scope, receive, send)


@asynccontextmanager
async def serving(base: Any) -> AsyncIterator[uvicorn.Server]:
    app = Mounted()
    config = uvicorn.Config(
        app, http=http_protocol(base), ws=WebSocketProtocol, log_level="critical", lifespan="off", port=0
    )  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([socket.create_server(("127.0.0.1", 0))]))
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        for each in app.apps:
            await each.close()
        server.should_exit = True
        await task


OURS = {
    "HTTPProtocol",
    "WebSocketProtocol",
    "_UvicornWebSocket",
    "Connection",
    "RequestResponseCycle",
    "WriteCoalescer",
}


def size(server: uvicorn.Server) -> tuple[int, int]:
    return len(server.server_state.connections), len(server.server_state.tasks)


async def quiet(server: uvicorn.Server, keepers: tuple[int, int]) -> None:
    """Wait until only the clients are there that stay."""
    async with asyncio.timeout(LIMIT):
        while size(server) != keepers:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.005)


async def leftovers(
    server: uvicorn.Server, keepers: tuple[int, int], make: Callable[[], Awaitable[None]]
) -> dict[str, int]:
    """What is left of a few connections: what leads to itself, and what else has not gone."""
    await make()  # what is made once is made
    await quiet(server, keepers)
    gc.collect()
    gc.disable()
    there = ours()
    for _ in range(3):
        await make()
    await quiet(server, keepers)
    for _ in range(30):  # a poll is held for 0.1 s more where a websocket has probed
        if not ours() - there:
            break
        await asyncio.sleep(0.01)
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    left = Counter(type(each).__name__ for each in gc.garbage)
    gc.garbage.clear()
    gc.enable()
    return dict(left + (ours() - there))


def ours() -> Counter[str]:
    return Counter(name for each in gc.get_objects() if (name := type(each).__name__) in OURS)


async def walk(base: Any) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    async with serving(base) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        keepers = [Client(port) for _ in range(2)]
        await keepers[0].join()  # the tasks that handlers leave behind are kept while there is a client
        await keepers[1].websocket(VIEW, "40", mark=b"40{")

        async def end(step: Step, how: Callable[[Client], None]) -> None:
            client = Client(port)
            await step(client)
            how(client)

        ends = [(name, step, how) for name, step in OPEN.items() for how in (Client.close, Client.reset)]
        ends += [(name, step, Client.close) for name, step in CLOSED.items()]
        stay = size(server)
        gc.collect()
        gc.freeze()  # what is there is not looked at again and again
        for name, step, how in ends:
            try:
                left = await leftovers(server, stay, lambda step=step, how=how: end(step, how))  # type: ignore[misc]
            except TimeoutError:
                left = {"a connection that does not end": 1}
            if left:
                found[f"{name}, {how.__name__}"] = left
        for keeper in keepers:
            keeper.close()
    return found


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("base", [H11Protocol, HttpToolsProtocol])
def test_no_end_leaves_anything_to_the_garbage_collector(run: Callable[[Any], Any], base: Any) -> None:
    try:
        assert run(walk(base)) == {}
    finally:
        gc.unfreeze()
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
