"""What a request asks for, and where it has to come to."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from asocketio.config import Config
from asocketio.errors import BadMethod, BadRequest, HandshakeError, UnknownTransport, UnsupportedVersion
from asocketio.protocols.engineio4 import EngineIO4
from asocketio.transport import Scope
from asocketio.visit import GENERATIONS, Visit, path_below, read_visit

PROTOCOL = EngineIO4()


def http(query: str, method: str = "GET") -> Scope:
    return {"type": "http", "method": method, "query_string": query.encode("latin-1")}


def websocket(query: str) -> Scope:
    return {"type": "websocket", "query_string": query.encode("latin-1")}


def read(scope: Scope, **settings: Any) -> Visit:
    return read_visit(scope, Config.of(settings), {"4": PROTOCOL})


def test_generations_are_found_by_their_number_in_the_url() -> None:
    assert {"4": EngineIO4} == GENERATIONS


NO_VERSION = "no EIO in the URL, so it is no Socket.IO client (a browser's tab, curl, a health check?) or one of 0.9"
SERVED = "; served are EIO=4: socket.io-client 3.x and 4.x"


@pytest.mark.parametrize(
    ("scope", "transport", "sid"),
    [
        (http("EIO=4&transport=polling"), "polling", ""),
        (http("token=a%20b&EIO=4&transport=polling&t=abc123&b64=1"), "polling", ""),
        (http("EIO=4&transport=polling&sid="), "polling", ""),
        (http("EIO=4&transport=polling&sid=abc-_"), "polling", "abc-_"),
        (http("EIO=4&transport=polling&sid=abc", "POST"), "polling", "abc"),
        (http("EIO=4&transport=polling&sid=abc", "DELETE"), "polling", "abc"),
        (http("EIO=4&transport=polling&sid=first&sid=last"), "polling", "last"),
        (http("EIO=4&transport=polling&user=%ff%00"), "polling", ""),
        (http("EIO=4&transport=polling&sid=" + quote("é😀")), "polling", "é😀"),
        (http("&".join(["EIO=4&transport=polling", *(f"x{n}=1" for n in range(198))])), "polling", ""),
        (websocket("EIO=4&transport=websocket"), "websocket", ""),
        (websocket("EIO=4&transport=websocket&sid=abc"), "websocket", "abc"),
    ],
)
def test_a_request_says_what_it_wants(scope: Scope, transport: Any, sid: str) -> None:
    assert read(scope) == Visit(PROTOCOL, transport, sid)


@pytest.mark.parametrize(
    ("scope", "error", "message"),
    [
        (
            http(""),
            UnsupportedVersion,
            NO_VERSION + SERVED,
        ),
        (
            http("transport=polling"),
            UnsupportedVersion,
            NO_VERSION + SERVED,
        ),
        (
            http("EIO=abc&transport=polling"),
            UnsupportedVersion,
            "EIO='abc'" + SERVED,
        ),
        (
            http("EIO=5&transport=polling"),
            UnsupportedVersion,
            "EIO='5'" + SERVED,
        ),
        (
            http("EIO=04&transport=polling"),
            UnsupportedVersion,
            "EIO='04'" + SERVED,
        ),
        (http(f"EIO={'9' * 1000}"), UnsupportedVersion, f"EIO='{'9' * 20}'" + SERVED),
        (http("EIO=4"), UnknownTransport, "transport='', expected one of polling, websocket"),
        (http("EIO=4&transport=abc"), UnknownTransport, "transport='abc', expected one of polling, websocket"),
        (http("EIO=4&transport=%0a"), UnknownTransport, "transport='\\n', expected one of polling, websocket"),
        (websocket("EIO=4&transport=polling"), BadRequest, "a websocket with transport='polling'"),
        (
            http("EIO=4&transport=websocket"),
            BadRequest,
            "transport=websocket without an upgrade to websocket; a proxy may have dropped the header",
        ),
        (http("EIO=4&transport=polling", "POST"), BadMethod, "a handshake by 'POST', expected GET"),
        (http("EIO=4&transport=polling", "PUT"), BadMethod, "a handshake by 'PUT', expected GET"),
        (http("EIO=4&transport=polling", "HEAD"), BadMethod, "a handshake by 'HEAD', expected GET"),
    ],
)
def test_a_request_that_no_client_makes_is_refused(scope: Scope, error: type[HandshakeError], message: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        read(scope)
    assert (type(caught.value), str(caught.value)) == (error, message)


@pytest.mark.parametrize("query", ["&".join(["x"] * 201), "EIO=4&transport=polling" + "&a=1" * 10_000])
def test_a_request_with_hundreds_of_parameters_is_refused(query: str) -> None:
    with pytest.raises(HandshakeError):
        read(http(query))


@pytest.mark.parametrize(
    ("transports", "scope", "message"),
    [
        (("websocket",), http("EIO=4&transport=polling"), "transport='polling', expected one of websocket"),
        (("polling",), websocket("EIO=4&transport=websocket"), "transport='websocket', expected one of polling"),
    ],
)
def test_a_transport_that_is_switched_off_is_unknown(transports: Any, scope: Scope, message: str) -> None:
    with pytest.raises(UnknownTransport) as caught:
        read(scope, transports=transports)
    assert str(caught.value) == message


# ---- where ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        # served directly
        ("", "/socket.io/", "/"),
        ("", "/socket.io", "/"),
        ("", "/socket.io/chat", "/chat"),
        ("", "/socket.iox/", None),
        ("", "/socket", None),
        ("", "/", None),
        ("", "", None),
        ("", "/chat/socket.io/", None),
        ("", "/Socket.IO/", None),
        # the server has a root path, and leaves it in the path or not
        ("/api", "/api/socket.io/", "/"),
        ("/api", "/socket.io/", "/"),
        ("/api/", "/api/socket.io/", "/"),
        ("/api", "/api", None),
        ("/api", "/apisocket.io/", None),
        ("/", "/socket.io/", "/"),
        # mounted at our own path
        ("/socket.io", "/socket.io/", "/"),
        ("/socket.io", "/socket.io", "/"),
        ("/socket.io", "/", "/"),
        ("/socket.io", "", "/"),
        ("/socket.io", "/chat", "/chat"),
        ("/socket.io", "/socket.io/chat", "/chat"),
        # mounted at our own path below a root path that the path has, or has not
        ("/api/socket.io", "/api/socket.io/", "/"),
        ("/api/socket.io", "/socket.io/", "/"),
        ("/api/socket.io", "/", "/"),
        # mounted elsewhere
        ("/chat", "/chat/socket.io/", "/"),
        ("/chat", "/chat/other", None),
        ("/xsocket.io", "/xsocket.io/", None),
        ("/a/b", "/b/socket.io/", "/"),
    ],
)
def test_ours_is_found_wherever_the_app_is(root: str, path: str, below: str | None) -> None:
    assert path_below({"type": "http", "root_path": root, "path": path}, "/socket.io") == below


def test_a_scope_may_have_no_root_path() -> None:
    assert path_below({"type": "http", "path": "/socket.io/"}, "/socket.io") == "/"


@pytest.mark.parametrize(("path", "below"), [("/a/b/", "/"), ("/a/b", "/"), ("/a/", None), ("/b/", None)])
def test_ours_may_have_several_parts(path: str, below: str | None) -> None:
    assert path_below({"type": "http", "root_path": "", "path": path}, "/a/b") == below
