"""What the ``asocketio`` command writes at its most talkative: no session's id, and no line of any length."""

from __future__ import annotations

import contextlib
import http.client
import json
from urllib.parse import unquote

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.behaviour.test_log_lines import spelled
from tests.conftest import StartServer
from tests.support.servers import Server

TOKEN = "of.a~user"
"""What a program has its clients put into the query."""


def get(server: Server, target: str, *, method: str = "GET") -> str:
    """The answer to a request whose target is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        connection.putheader("content-length", "0")
        connection.endheaders()
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def joined(target: tuple[str, str]) -> str:
    return "?".join(part for part in target if part)


@pytest.mark.parametrize("ws", ["asocketio.servers.uvicorn:WebSocketProtocol", "websockets", "websockets-sansio"])
@pytest.mark.parametrize("level", ["info", "trace"])
async def test_no_line_has_a_session_id_written_whole(ws: str, level: str, start_server: StartServer) -> None:
    server = start_server("tests.integration.app:app", "asocketio", args=("--log-level", level, "--ws", ws))
    secrets: list[str] = []
    for number in range(len(spelled(""))):
        opened = get(server, f"/socket.io/?EIO=4&transport=polling&token={TOKEN}")
        secrets.append(json.loads(opened[1:])["sid"])
        get(server, joined(spelled(secrets[-1])[number]), method="POST")
    secrets.append(get(server, f"/socket.io/1/?token={TOKEN}").split(":")[0])
    hexed = "".join(f"%{ord(each):02x}" for each in secrets[-1])
    get(server, f"/socket.io/%31/xhr-polling/{hexed}", method="POST")
    for field in (f"%73id={secrets[0]}", f"{'x' * 20_000}=1", f"token={TOKEN}"):
        url = f"{server.ws_url}/socket.io/?EIO=4&transport=websocket&{field}"
        with contextlib.suppress(WebSocketException, OSError), connect(url) as peer:
            secrets.append(json.loads(str(peer.recv(10))[1:])["sid"])
    get(server, "/last")
    await server.logs("/last")
    log = server.log()
    for secret in [*secrets, TOKEN]:
        assert secret not in log
        assert secret not in unquote(log)
    assert log.count("/socket.io/") > len(secrets)
    assert max(map(len, log.splitlines())) < 2100


EVENTS = "/socket.io/?EIO=4&transport=websocket"
REFUSALS: list[tuple[str, tuple[tuple[str, str], ...], int]] = [
    ("/view/?EIO=4&transport=websocket&refuse=401", (), 401),
    ("/view/?EIO=3&transport=websocket&refuse=403", (), 403),
    ("/view/?EIO=4&transport=websocket&refuse=302", (), 302),
    ("/view/?EIO=4&transport=websocket&refuse=404", (), 404),
    ("/view/?EIO=4&transport=websocket&refuse=500", (), 500),
    ("/socket.io/?EIO=9&transport=websocket", (), 400),
    (f"{EVENTS}&sid=nobody", (), 400),
    (EVENTS, (("origin", "https://elsewhere.example"),), 403),
    (EVENTS, (("x-long", "x" * 25_000),), 431),
    ("/elsewhere", (), 403),  # another application closes it
]


async def test_a_websocket_that_is_refused_is_no_error(start_server: StartServer) -> None:
    server = start_server("tests.integration.app:app", "asocketio")
    for target, headers, status in REFUSALS:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        opening = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"}
        fields = {**opening, "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", **dict(headers)}
        try:
            connection.request("GET", target, headers=fields)
            answer = connection.getresponse()
            assert (target, answer.status) == (target, status)
            answer.read()
        finally:
            connection.close()
    get(server, "/last")
    await server.logs("/last")
    assert [line for line in server.log().splitlines() if "ERROR" in line] == []
