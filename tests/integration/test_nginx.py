"""A real nginx in front of a real server, configured as docs/deployment.md says; and what happens where it is not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from asocketio import Config
from tests.clients.http import OPENING, upgrade_request
from tests.clients.protocols import CLIENT_PROTOCOLS, Frame, Packet
from tests.clients.tcp import Connection
from tests.clients.wire import DEADLINE, SOCKETIO, Peer, WebSocket, kind_and_value
from tests.conftest import StartServer
from tests.integration.nginx import BLOCKS, LOCATION, Nginx, with_line, without_line
from tests.integration.test_ending import PROMPT, join, stop, waiting_poll
from tests.interop.test_clients import HERE, SETTINGS
from tests.support.servers import Server

APP = "tests.integration.proxied:app"
UPSTREAM = "127.0.0.1:8000"  # in the documentation
STRANGER = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}  # what anybody can send
# nginx that is sending to a websocket which the server has closed cuts the client, at times without its close frame.
CUT = "a_body_over_the_limit_ends_this_client_only"
IMPATIENT = "2s"  # nginx waits no longer for an answer
WORDS = {"EIO": "4", "transport": "polling"}
UNKNOWN = (400, {"code": 1, "message": "Session ID unknown"})
ADDRESSES = [f"127.0.{number}.1" for number in range(1, 9)]  # Linux has them all

StartNginx = Callable[..., Nginx]


def before(server: Server, location: str = LOCATION) -> str:
    """The location of the documentation, for a server on another port."""
    assert UPSTREAM in location
    return location.replace(UPSTREAM, f"127.0.0.1:{server.port}")


def before_both(servers: tuple[Server, Server], block: str) -> str:
    """An upstream of the documentation, for servers on other ports."""
    for documented, server in zip(("127.0.0.1:8001", "127.0.0.1:8002"), servers, strict=True):
        assert documented in block
        block = block.replace(documented, f"127.0.0.1:{server.port}")
    return block


@pytest.fixture(scope="module", params=["asocketio", "uvicorn-h11-websockets"])
def any_server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server(APP, request.param)


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server(APP, "asocketio")


@pytest.fixture(scope="module")
def pair(start_module_server: StartServer) -> tuple[Server, Server]:
    env = {"SETTINGS": '{"cookie": "io"}'}
    return start_module_server(APP, "asocketio", env=env), start_module_server(APP, "asocketio", env=env)


@pytest.fixture
def start_nginx(tmp_path: Path) -> Iterator[StartNginx]:
    """Proxies of one test."""
    with ExitStack() as stack:
        count = 0

        def start(location: str, **more: str) -> Nginx:
            nonlocal count
            count += 1
            return stack.enter_context(Nginx(tmp_path / f"nginx-{count}", location, **more))

        yield start


@asynccontextmanager
async def peer_of(nginx: Nginx, address: str | None = None, **headers: str) -> AsyncIterator[Peer]:
    """The client's side, from an address of its own."""
    carrier = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(base_url=nginx.url, timeout=DEADLINE, transport=carrier, headers=headers) as http:
        yield Peer(http, nginx.ws_url)


async def joined(peer: Peer, token: str = "somebody") -> Any:
    """A polling session of generation 4 that is in the global namespace, and whose end is in the log."""
    session = await peer.polling(SOCKETIO)
    await session.send(f'40\x1e420["mark","{token}"]')
    while "430[]" not in await session.receive():
        pass
    return session


async def asked(session: Any, name: str, *args: Any) -> Any:
    """The answer to an event of a polling session of generation 4."""
    await session.send("421" + json.dumps([name, *args]))
    return kind_and_value(await session.receive(), "431")


class Talker:
    """A polling session of any generation, by plain requests or as JSONP."""

    def __init__(self, http: httpx.AsyncClient, generation: str, *, jsonp: bool = False) -> None:
        self.sid = ""
        self._http, self._jsonp, self._protocol = http, jsonp, CLIENT_PROTOCOLS[generation]
        self._headers = {"Referer": f"{http.base_url}/page"} if jsonp else {}

    async def open(self) -> None:
        answer = await self._http.get(self._path(), headers=self._headers)
        assert answer.status_code == 200, answer.text
        self.sid, _ = self._protocol.handshake(str(self._protocol.split(answer.content, self._jsonp)[0]))
        if not self._protocol.opens:
            await self.send("40")

    async def poll(self) -> list[Packet]:
        answer = await self.ask_for_more()
        assert answer.status_code == 200, answer.text
        return [self._protocol.read(frame) for frame in self._protocol.split(answer.content, self._jsonp)]

    async def ask_for_more(self) -> httpx.Response:
        return await self._http.get(self._path(), headers=self._headers)

    async def send(self, *frames: Frame) -> None:
        body = self._protocol.body(list(frames), self._jsonp)
        kind = "application/x-www-form-urlencoded" if self._jsonp else "text/plain;charset=UTF-8"
        headers = {**self._headers, "content-type": kind}
        answer = await self._http.post(self._path(), content=body, headers=headers)
        assert answer.status_code == 200, answer.text

    async def emit(self, name: str, *args: Any) -> None:
        await self.send(*self._protocol.event("/", name, list(args)))

    async def ask(self, name: str, *args: Any) -> Any:
        await self.send(*self._protocol.event("/", name, list(args), 7))
        return (await self.heard("ack")).args

    async def heard(self, kind: str) -> Packet:
        """The next packet of a kind."""
        while True:
            for packet in await self.poll():
                if packet.kind == kind:
                    return packet

    def _path(self) -> str:
        return self._protocol.polling_path(self.sid, {}, jsonp=self._jsonp)


# --- every generation, every way to be carried ------------------------------------------------------------------------


@pytest.mark.parametrize("jsonp", [False, True], ids=["polling", "jsonp"])
@pytest.mark.parametrize("generation", CLIENT_PROTOCOLS)
async def test_polling(any_server: Server, start_nginx: StartNginx, generation: str, jsonp: bool) -> None:
    async with peer_of(start_nginx(before(any_server))) as peer:
        talker = Talker(peer.http, generation, jsonp=jsonp)
        await talker.open()
        assert await talker.ask("echo", "é😀\n", 1) == ["é😀\n", 1]
        await talker.emit("later", 0.2)
        begun = time.monotonic()
        assert (await talker.heard("event")).args == ["said", "later"]
        assert time.monotonic() - begun < 2, "a poll that waits is answered when there is something to say"


@asynccontextmanager
async def websocket_of(peer: Peer, nginx: Nginx, generation: str) -> AsyncIterator[WebSocket]:
    protocol = CLIENT_PROTOCOLS[generation]
    sid = ""
    if protocol.allows_transport_switch:
        sid, _ = protocol.handshake((await peer.http.get(protocol.path("polling", "", {}))).text)
    path = protocol.path("websocket", sid, {})
    async with connect(nginx.ws_url + path, compression=None, ping_interval=None) as connection:
        yield WebSocket(connection)


@pytest.mark.parametrize("generation", CLIENT_PROTOCOLS)
async def test_websocket(any_server: Server, start_nginx: StartNginx, generation: str) -> None:
    nginx, protocol = start_nginx(before(any_server)), CLIENT_PROTOCOLS[generation]
    async with peer_of(nginx) as peer, websocket_of(peer, nginx, generation) as websocket:
        if not protocol.opens:
            await websocket.send("40")
        while protocol.read(await websocket.receive()).kind != "connect":
            pass
        await websocket.send(*protocol.event("/", "echo", ["é😀"], 7))
        assert protocol.read(await websocket.receive()).args == ["é😀"]
        for number in range(100):
            await websocket.send(*protocol.event("/", "say", [number]))
        heard = [protocol.read(await websocket.receive()).args for _ in range(100)]
        assert heard == [["said", number] for number in range(100)]


@pytest.mark.parametrize("generation", ["3", "4"])
async def test_upgrade(any_server: Server, start_nginx: StartNginx, generation: str) -> None:
    nginx, protocol = start_nginx(before(any_server)), CLIENT_PROTOCOLS[generation]
    async with peer_of(nginx) as peer:
        talker = Talker(peer.http, generation)
        await talker.open()
        assert await talker.ask("echo", 1) == [1]
        poll = asyncio.create_task(talker.poll())
        path = protocol.path("websocket", talker.sid, {})
        async with connect(nginx.ws_url + path, compression=None, ping_interval=None) as connection:
            websocket = WebSocket(connection)
            await websocket.send("2probe")
            assert await websocket.receive() == "3probe"
            assert [packet.kind for packet in await poll] == ["noop"]
            await talker.emit("say", "queued")
            await websocket.send("5", *protocol.event("/", "say", ["sent"]))
            heard = [protocol.read(await websocket.receive()).args for _ in range(2)]
            assert heard == [["said", "queued"], ["said", "sent"]]


@pytest.mark.parametrize(("version", "mode"), [("4.8.4", "upgrade"), ("2.5.0", "upgrade"), ("0.9.17", "websocket")])
async def test_real_clients(
    start_server: StartServer, start_nginx: StartNginx, node: Path, node_modules: Path, version: str, mode: str
) -> None:
    """All that is checked of clients without a proxy."""
    server = start_server("tests.interop.app:app", "asocketio", args=("--no-access-log",), env=SETTINGS)
    location = before(server)
    nginx = start_nginx(location + location.replace("/socket.io/", "/guarded/"))  # the two paths of that application
    done = await asyncio.to_thread(
        subprocess.run,
        [node, HERE / "run.js", version, mode, str(nginx.port)],
        env={**os.environ, "NODE_MODULES": str(node_modules), **SETTINGS},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{done.stderr}\n{nginx.log()}"
    results = json.loads(done.stdout)
    results.pop(CUT)
    failed = {case: result["error"] for case, result in results.items() if not result["ok"]}
    assert (len(results) > 40, failed) == (True, {}), nginx.log()


# --- what passes, and how long ----------------------------------------------------------------------------------------


def test_the_documented_values_go_with_the_default_settings() -> None:
    config = Config()
    assert f"client_max_body_size {config.max_payload};" in LOCATION
    found = re.search(r"proxy_read_timeout (\d+)s;", LOCATION)
    assert found is not None
    assert int(found[1]) > config.ping_interval + config.ping_timeout


async def test_nginxs_own_buffering_holds_no_poll_back(server: Server, start_nginx: StartNginx) -> None:
    location = without_line(before(server), "proxy_buffering")
    async with peer_of(start_nginx(location)) as peer:
        session = await joined(peer)
        await session.send('42["later",0.3]')
        begun = time.monotonic()
        assert await session.receive() == '42["said","later"]'
        assert time.monotonic() - begun < 2


async def test_max_payload_passes_and_one_byte_more_is_refused_by_nginx(
    server: Server, start_nginx: StartNginx
) -> None:
    async with peer_of(start_nginx(before(server))) as peer:
        session = await joined(peer)
        text = "x" * (Config().max_payload - len('422["echo",""]'))
        await session.send(f'422["echo","{text}"]')
        assert await session.receive() == f'432["{text}"]'
        answer = await session.post(f'422["echo","{text}x"]')
        assert (answer.status_code, "nginx" in answer.text) == (413, True)
        assert await asked(session, "echo", "still here") == ["still here"]


async def test_a_body_that_nginx_finds_too_large_is_lost_whatever_max_payload_says(
    server: Server, start_nginx: StartNginx
) -> None:
    async with peer_of(start_nginx(with_line(before(server), "client_max_body_size", "10k"))) as peer:
        session = await joined(peer)
        answer = await session.post(f'42["say","{"x" * 20_000}"]')
        assert (answer.status_code, "nginx" in answer.text) == (413, True)
        assert await asked(session, "echo", "still here") == ["still here"]


async def test_a_body_that_only_the_server_finds_too_large(server: Server, start_nginx: StartNginx) -> None:
    """nginx is still sending it when it is refused; no answer is lost, and the session lives on."""
    async with peer_of(start_nginx(with_line(before(server), "client_max_body_size", "2m"))) as peer:
        session = await joined(peer)
        answers = [await session.post(f'42["say","{"x" * 1_040_000}"]') for _ in range(10)]
        assert [answer.status_code for answer in answers] == [413] * 10
        assert await asked(session, "echo", "still here") == ["still here"]


async def test_what_waits_for_longer_than_nginx_does(server: Server, start_nginx: StartNginx) -> None:
    nginx = start_nginx(with_line(before(server), "proxy_read_timeout", IMPATIENT))
    polls = [poll_for_too_long(server, nginx, generation) for generation in CLIENT_PROTOCOLS]
    await asyncio.gather(*polls, be_silent_for_too_long(server, nginx))


async def poll_for_too_long(server: Server, nginx: Nginx, generation: str) -> None:
    """A poll that broke is the end of the session, but for 0.9, which comes back."""
    async with peer_of(nginx) as peer:
        talker = Talker(peer.http, generation)
        await talker.open()
        token = f"impatient-{generation}"
        assert await talker.ask("mark", token) == []
        assert (await talker.ask_for_more()).status_code == 504
        if generation == "0.9":
            assert await talker.ask("echo", "back") == ["back"]
        else:
            await server.logs(f"gone {token} transport error")
            answer = await talker.ask_for_more()
            assert (answer.status_code, answer.json()) == UNKNOWN


async def be_silent_for_too_long(server: Server, nginx: Nginx) -> None:
    async with peer_of(nginx) as peer, peer.opened(SOCKETIO) as websocket:
        await join(websocket, "silent")
        assert await websocket.closed() == []
        await server.logs("gone silent transport close")


async def test_pings_keep_a_connection_open(start_server: StartServer, start_nginx: StartNginx) -> None:
    server = start_server(APP, "asocketio", env={"SETTINGS": '{"ping_interval": 0.9}'})
    nginx = start_nginx(with_line(before(server), "proxy_read_timeout", IMPATIENT))
    async with peer_of(nginx) as peer, peer.opened(SOCKETIO) as websocket:
        await join(websocket, "lively")
        session = await joined(peer)
        for _ in range(3):
            frame, body = await asyncio.gather(websocket.receive(), session.receive())
            assert (frame, body) == ("2", "2")
            await asyncio.gather(websocket.send("3"), session.send("3"))


async def test_a_client_that_goes_is_noticed(server: Server, start_nginx: StartNginx) -> None:
    nginx = start_nginx(before(server))
    async with peer_of(nginx) as peer, peer.opened(SOCKETIO) as websocket:
        await join(websocket, "aborting")
        websocket.abort()
        await server.logs("gone aborting transport close")
        poll = await (await joined(peer, "leaving")).waiting()
        poll.cancel()
        await asyncio.wait({poll})
        await server.logs("gone leaving transport error")


async def answer_to(nginx: Nginx, request: bytes) -> bytes:
    """What nginx says to a part of a request, until it closes the connection."""
    with await Connection.tcp(nginx.port) as connection:
        await connection.send(request)
        return await connection.rest()


async def test_nginx_bounds_what_uvicorn_does_not(server: Server, start_nginx: StartNginx) -> None:
    """Heads that are large, and heads and bodies that do not end, never reach the server."""
    nginx = start_nginx(before(server), server="client_header_timeout 1s; client_body_timeout 1s;")
    async with peer_of(nginx) as peer:
        session = await joined(peer)
        query = f"{SOCKETIO}?EIO=4&transport=polling&sid={session.sid}"
        seen = server.log()
        head = f"Host: 127.0.0.1:{nginx.port}\r\nContent-Length: 10\r\n\r\n"
        long_url, long_header, half_a_head, half_a_body = await asyncio.gather(
            peer.get(SOCKETIO, EIO="4", transport="polling", token="x" * 9000),
            peer.http.get(SOCKETIO, params={"EIO": "4", "transport": "polling"}, headers={"Cookie": "x" * 9000}),
            answer_to(nginx, f"GET {query} HTTP/1.1\r\nHost: ".encode()),
            answer_to(nginx, f"POST {query} HTTP/1.1\r\n{head}42".encode()),
        )
        assert (long_url.status_code, long_header.status_code) == (414, 400)
        assert (half_a_head, half_a_body) == (b"", b""), "closed"
        assert server.log() == seen
        assert await asked(session, "echo", "still here") == ["still here"]


# --- the same site ----------------------------------------------------------------------------------------------------

HOSTS = [
    pytest.param(LOCATION, True, id="as-documented"),
    pytest.param(with_line(LOCATION, "proxy_set_header Host", "$host"), False, id="without-its-port"),
    pytest.param(without_line(LOCATION, "proxy_set_header Host"), False, id="nginxs-own"),
]


@pytest.mark.parametrize(("location", "same"), HOSTS)
async def test_a_page_of_the_same_site_needs_the_host_with_its_port(
    server: Server, start_nginx: StartNginx, location: str, same: bool
) -> None:
    nginx = start_nginx(before(server, location))
    async with peer_of(nginx) as peer:
        page = {"Origin": nginx.url}
        query = {"EIO": "4", "transport": "polling"}
        answer = await peer.http.get(SOCKETIO, params=query, headers=page)
        assert answer.status_code == (200 if same else 403)
        answer = await peer.http.get(SOCKETIO, params={**query, "j": "0"}, headers={"Referer": f"{nginx.url}/page"})
        assert answer.status_code == (200 if same else 403)
        answer = await peer.http.get(SOCKETIO, params=query, headers={"Origin": "http://127.0.0.1:1"})
        assert answer.status_code == 403
        assert await websocket_status(nginx, nginx.url) == (101 if same else 403)
        assert await websocket_status(nginx, "http://127.0.0.1:1") == 403
    if not same:
        assert f"Origin is '{nginx.url}'" in server.log()
        assert "a proxy changes Host" in server.log()


async def websocket_status(nginx: Nginx, origin: str) -> int:
    """What a websocket from a page is answered."""
    head = upgrade_request(OPENING, ("origin", origin), host=f"127.0.0.1:{nginx.port}")
    return await Connection.once(nginx.port, head)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_on_the_usual_ports_a_page_and_its_host_have_none(
    server: Server, start_nginx: StartNginx, scheme: str
) -> None:
    async with peer_of(start_nginx(before(server)), Host="chat.example", Origin=f"{scheme}://chat.example") as peer:
        assert (await peer.get(SOCKETIO, EIO="4", transport="polling")).status_code == 200


# --- who the client is ------------------------------------------------------------------------------------------------

TRUST = [pytest.param(True, id="believed"), pytest.param(False, id="not-believed")]


@pytest.fixture(scope="module")
def told(start_module_server: StartServer) -> dict[bool, Server]:
    """A server that believes its proxy, uvicorn's default for one on the same machine, and one that does not."""
    env = {"SETTINGS": '{"cookie": "io"}'}
    return {
        believed: start_module_server(APP, "asocketio", args=believing(believed), env=env) for believed in (True, False)
    }


def believing(believed: bool) -> tuple[str, str]:
    """Arguments of a server that believes nginx here, or somebody elsewhere."""
    return "--forwarded-allow-ips", "127.0.0.1" if believed else "192.0.2.1"


@pytest.mark.parametrize("believed", TRUST)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_client_is_who_nginx_says_if_nginx_is_believed(
    told: dict[bool, Server], start_nginx: StartNginx, believed: bool, scheme: str
) -> None:
    """Whatever the client itself says."""
    location = before(told[believed])
    if scheme == "https":  # what $scheme is behind TLS
        location = with_line(location, "proxy_set_header X-Forwarded-Proto", "https")
    nginx = start_nginx(location)
    async with peer_of(nginx, "127.0.3.1", **STRANGER) as peer:
        session = await joined(peer)
        seen = [scheme, "127.0.3.1"] if believed else ["http", "127.0.0.1"]
        assert (await asked(session, "seen"))[1:] == seen
        answer = await peer.get(SOCKETIO, EIO="4", transport="polling")
        assert ("Secure" in answer.headers["set-cookie"]) is (believed and scheme == "https")
    path = CLIENT_PROTOCOLS["4"].path("websocket", "", {})
    from_there = {"local_addr": ("127.0.3.1", 0), "additional_headers": STRANGER}
    async with connect(nginx.ws_url + path, compression=None, ping_interval=None, **from_there) as connection:
        websocket = WebSocket(connection)
        kind_and_value(await websocket.receive(), "0")
        await websocket.send("40", '421["seen"]')
        kind_and_value(await websocket.receive(), "40")
        assert kind_and_value(await websocket.receive(), "431")[1:] == seen


async def test_what_nginx_does_not_set_the_client_may_say(told: dict[bool, Server], start_nginx: StartNginx) -> None:
    """That is why these lines are in the documentation."""
    location = without_line(before(told[True]), "proxy_set_header X-Forwarded-For")
    location = without_line(location, "proxy_set_header X-Forwarded-Proto")
    async with peer_of(start_nginx(location), **STRANGER) as peer:
        session = await joined(peer)
        assert (await asked(session, "seen"))[1:] == ["https", "203.0.113.9"]


@pytest.mark.parametrize("believed", TRUST)
async def test_sessions_are_counted_for_the_address_that_is_believed(
    start_server: StartServer, start_nginx: StartNginx, believed: bool
) -> None:
    env = {"SETTINGS": '{"max_sessions_per_address": 2}'}
    nginx = start_nginx(before(start_server(APP, "asocketio", args=believing(believed), env=env)))
    async with peer_of(nginx, "127.0.1.1", **STRANGER) as one, peer_of(nginx, "127.0.2.1", **STRANGER) as other:
        await one.polling(SOCKETIO)
        await one.polling(SOCKETIO)
        answer = await one.get(SOCKETIO, **WORDS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        answer = await other.get(SOCKETIO, **WORDS)
        assert answer.status_code == (200 if believed else 503)


# --- the end of a server ----------------------------------------------------------------------------------------------


async def test_a_server_that_is_killed_is_a_502_and_nginx_lives(
    start_server: StartServer, start_nginx: StartNginx
) -> None:
    server = start_server(APP, "asocketio")
    nginx = start_nginx(before(server))
    async with peer_of(nginx) as peer, peer.opened(SOCKETIO) as websocket:
        await join(websocket, "talker")
        poll = await waiting_poll(peer, "poller")
        server.kill()
        assert (await poll).status_code == 502
        assert await websocket.closed() == []
        assert (await peer.get(SOCKETIO, **WORDS)).status_code == 502
        server.__enter__()  # on the same port; the fixture ends it
        assert await asked(await joined(peer), "echo", 1) == [1]


async def test_a_server_that_ends_tells_clients_behind_nginx(
    start_server: StartServer, start_nginx: StartNginx
) -> None:
    server = start_server(APP, "asocketio")
    nginx = start_nginx(before(server))
    path = CLIENT_PROTOCOLS["4"].path("websocket", "", {})
    async with (
        peer_of(nginx) as peer,
        connect(nginx.ws_url + path, compression=None, ping_interval=None) as connection,
    ):
        websocket = WebSocket(connection)
        kind_and_value(await websocket.receive(), "0")
        await join(websocket, "talker")
        poll = await waiting_poll(peer, "poller")
        _, took = await stop(server, signal.SIGTERM)
        answer = await poll
        assert (answer.status_code, answer.json()) == (400, {"code": 1, "message": "Session ID unknown"})
        assert await websocket.closed() == []
        assert connection.close_code in (1000, 1001, 1005), connection.close_code  # it was told, not cut
        assert (await peer.get(SOCKETIO, **WORDS)).status_code == 502
    assert took < PROMPT, server.log()
    told = sorted(line for line in server.log().splitlines() if line.startswith("gone"))
    assert told == [f"gone {who} server shutting down" for who in ("poller", "talker")], server.log()


# --- several processes ------------------------------------------------------------------------------------------------

BY_ADDRESS, BY_COOKIE, SET_COOKIE = BLOCKS[1:4]
TO_BOTH = with_line(LOCATION, "proxy_pass", "http://socketio")


async def processes(peer: Peer, count: int = 3) -> set[int]:
    """Where the events of a session are handled."""
    session = await joined(peer)
    return {(await asked(session, "seen"))[0] for _ in range(count)}


async def test_by_address_each_client_stays_on_one_process(
    pair: tuple[Server, Server], start_nginx: StartNginx
) -> None:
    nginx = start_nginx(TO_BOTH, http=before_both(pair, BY_ADDRESS))
    used: set[int] = set()
    for address in ADDRESSES:
        async with peer_of(nginx, address) as peer:
            here = await processes(peer)
        async with peer_of(nginx, address) as peer:
            assert await processes(peer) == here
        assert len(here) == 1
        used |= here
    assert len(used) == 2


async def test_by_cookie_each_browser_stays_on_one_process(
    pair: tuple[Server, Server], start_nginx: StartNginx
) -> None:
    nginx = start_nginx(f"{TO_BOTH.rstrip().removesuffix('}')}{SET_COOKIE}}}", http=before_both(pair, BY_COOKIE))
    used: set[int] = set()
    for _ in range(20):  # all from one address; httpx keeps cookies as browsers do
        async with peer_of(nginx) as peer:
            here = await processes(peer, 2)
            assert await processes(peer, 1) == here
        assert len(here) == 1
        used |= here
    assert len(used) == 2


async def test_the_cookie_with_the_session_id_comes_too_late_for_a_hash(
    pair: tuple[Server, Server], start_nginx: StartNginx
) -> None:
    """The request that opens the session has none yet: the one after it may go elsewhere."""
    nginx = start_nginx(TO_BOTH, http=with_line(before_both(pair, BY_COOKIE), "hash", "$cookie_io consistent"))
    found = set()
    for _ in range(20):
        async with peer_of(nginx) as peer:
            session = await peer.polling(SOCKETIO)
            found.add((await session.post("40")).status_code)
    assert found == {200, 400}


async def test_a_client_that_does_not_stay_is_unknown_elsewhere(
    pair: tuple[Server, Server], start_nginx: StartNginx
) -> None:
    nginx = start_nginx(TO_BOTH, http=without_line(before_both(pair, BY_ADDRESS), "ip_hash"))
    async with peer_of(nginx) as peer:
        session = await peer.polling(SOCKETIO)
        answer = await session.post("40")  # the other one's turn
        assert (answer.status_code, answer.json()) == UNKNOWN
        assert "it has ended, or it lives in another process" in pair[0].log() + pair[1].log()


async def test_one_poll_that_fails_moves_nobody_else(pair: tuple[Server, Server], start_nginx: StartNginx) -> None:
    """nginx's own max_fails takes a server out for ten seconds: all its clients lose their sessions."""
    location = with_line(TO_BOTH, "proxy_read_timeout", IMPATIENT)
    documented = before_both(pair, BY_ADDRESS)
    careful = start_nginx(location, http=documented)
    hasty = start_nginx(location, http=documented.replace(" max_fails=0", ""))
    answers = await asyncio.gather(answer_after_a_failure(careful), answer_after_a_failure(hasty))
    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[1].json() == UNKNOWN[1]


async def answer_after_a_failure(nginx: Nginx) -> httpx.Response:
    """What a client is answered after a poll of another one of the same process has failed."""
    async with peer_of(nginx, "127.0.1.1") as one, peer_of(nginx, "127.0.1.2") as other:  # ip_hash: three numbers
        session, others = await joined(one), await joined(other)
        answer = await session.poll()  # over proxy_read_timeout here; then nginx asks the other server
        assert (answer.status_code, answer.json()) == UNKNOWN
        return await others.post('42["say",1]')


async def test_clients_of_a_process_that_died_go_to_the_other(
    start_server: StartServer, pair: tuple[Server, Server], start_nginx: StartNginx
) -> None:
    doomed = start_server(APP, "asocketio")
    nginx = start_nginx(TO_BOTH, http=before_both((doomed, pair[1]), BY_ADDRESS))
    moved = 0
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(peer_of(nginx, address)) for address in ADDRESSES]
        sessions = [await joined(peer) for peer in peers]
        homes = [(await asked(session, "seen"))[0] for session in sessions]
        doomed.kill()
        for peer, session, home in zip(peers, sessions, homes, strict=True):
            if home == pair[1].process.pid:
                assert await asked(session, "echo", "still here") == ["still here"]
                continue
            answer = await session.post('42["say",1]')
            assert (answer.status_code, answer.json()) == UNKNOWN
            assert await processes(peer) == {pair[1].process.pid}
            moved += 1
    assert 0 < moved < len(homes)
