"""What a request asks for, and where it has to come to."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from asocketio.asgi.request import GENERATIONS, EngineRequest, guess_responder, parse_request, path_below
from asocketio.asgi.types import Scope
from asocketio.config import Config
from asocketio.errors import BadMethod, BadRequest, HandshakeError, UnknownTransport, UnsupportedVersion
from asocketio.protocol.base import BodyFormat, Protocol
from asocketio.protocol.server_protocol import ServerEngineIO3, ServerEngineIO4, ServerSocketIO09
from asocketio.session.handshake import Handshake

PROTOCOLS: dict[str, Protocol] = {name: cls() for name, cls in GENERATIONS.items()}


def http(query: str, method: str = "GET") -> Scope:
    return {"type": "http", "method": method, "path": "/", "query_string": query.encode("latin-1"), "headers": []}


def websocket(query: str) -> Scope:
    return {"type": "websocket", "path": "/", "query_string": query.encode("latin-1"), "headers": []}


def read(scope: Scope, below: str = "/", only: str = "", **settings: Any) -> EngineRequest:
    protocols = {only: PROTOCOLS[only]} if only else PROTOCOLS
    return parse_request(scope, below, Config.of(settings), protocols)


def visit(generation: str, transport: Any, sid: str = "", body_format: BodyFormat | None = None) -> EngineRequest:
    return EngineRequest(PROTOCOLS[generation], transport, sid, body_format or BodyFormat())


def test_generations_are_found_by_their_name() -> None:
    assert {"0.9": ServerSocketIO09, "3": ServerEngineIO3, "4": ServerEngineIO4} == GENERATIONS


NO_VERSION = "no EIO in the URL, so it is no Socket.IO client (a browser's tab, curl, a health check?)"
SERVED = "; served are 0.9 (socket.io-client 0.9), 3 (socket.io-client 1.x and 2.x), 4 (socket.io-client 3.x and 4.x)"
MANY = {f"x{n}": "1" for n in range(198)}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (http("EIO=4&transport=polling"), visit("4", "polling")),
        (http("EIO=3&transport=polling"), visit("3", "polling")),
        (http("EIO=2&transport=polling"), visit("3", "polling")),
        (
            http("token=a%20b&EIO=4&transport=polling&t=abc123&b64=1"),
            visit("4", "polling", body_format=BodyFormat(text_only=True)),
        ),
        (http("EIO=4&transport=polling&sid="), visit("4", "polling")),
        (http("EIO=4&transport=polling&sid=abc-_"), visit("4", "polling", "abc-_")),
        (http("EIO=4&transport=polling&sid=abc", "POST"), visit("4", "polling", "abc")),
        (http("EIO=4&transport=polling&sid=first&sid=last"), visit("4", "polling", "last")),
        (http("EIO=4&transport=polling&sid=" + quote("é😀")), visit("4", "polling", "é😀")),
        (http("&".join(["EIO=4&transport=polling", *(f"{n}=1" for n in MANY)])), visit("4", "polling")),
        (http("EIO=3&transport=polling&j=12"), visit("3", "polling", body_format=BodyFormat(jsonp_index=12))),
        (
            http("EIO=3&transport=polling&j=0&b64=1"),
            visit("3", "polling", body_format=BodyFormat(True, 0)),
        ),
        (websocket("EIO=4&transport=websocket"), visit("4", "websocket")),
        (websocket("EIO=4&transport=websocket&j=5&t=x"), visit("4", "websocket")),
        (websocket("EIO=3&transport=websocket&j=abc&b64=no"), visit("3", "websocket")),
        (websocket("EIO=3&transport=websocket&b64=1"), visit("3", "websocket", body_format=BodyFormat(True))),
        (websocket("EIO=3&transport=websocket&sid=abc"), visit("3", "websocket", "abc")),
    ],
)
def test_a_request_says_in_its_query_what_it_wants(scope: Scope, expected: EngineRequest) -> None:
    assert read(scope) == expected


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (http("token=a%20b&EIO=4&transport=polling&t=abc123&b64=1"), {"token": "a b"}),
        (http("EIO=4&transport=polling&user=%ff%00"), {"user": "\ufffd\0"}),
        (http("EIO=3&transport=polling&empty=&j=1"), {"empty": ""}),
        (http("EIO=3&transport=polling&b64=true&t=1"), {}),
        (http("EIO=3&transport=polling&b64=no&eio=1&SID=y"), {"b64": "no", "eio": "1", "SID": "y"}),
        (http("&".join(["EIO=4&transport=polling", *(f"{n}=1" for n in MANY)])), MANY),
        (websocket("EIO=3&transport=websocket&j=5&t=x&b64=no"), {"j": "5", "t": "x", "b64": "no"}),
        (websocket("EIO=3&transport=websocket&j=abc&b64=1&i=2&jsonp=3"), {"j": "abc", "i": "2", "jsonp": "3"}),
    ],
)  # fmt: skip
def test_the_other_fields_are_the_programs(scope: Scope, expected: dict[str, str]) -> None:
    found = read(scope)
    assert Handshake(query_string=scope["query_string"], reserved_fields=found.reserved_fields).query == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=b&t=1&jsonp=2&transport=x", {"a": "b", "transport": "x"}),
        ("t=1&jsonp=page&i=2&disconnect=1&j=3", {"jsonp": "page", "i": "2", "disconnect": "1", "j": "3"}),
    ],
)  # fmt: skip
def test_those_of_09_are_the_programs_too(query: str, expected: dict[str, str]) -> None:
    found = read(http(query), "/1/")
    assert Handshake(query_string=query.encode(), reserved_fields=found.reserved_fields).query == expected


def test_the_names_that_a_session_keeps_are_shared() -> None:
    first, second = (read(websocket(f"EIO=3&transport=websocket&j={number}")) for number in (1, 2))
    assert first.reserved_fields is second.reserved_fields


@pytest.mark.parametrize(
    ("below", "scope", "index"),
    [
        ("/1/", http("jsonp=3&i=4"), 3),
        ("/1/", http("i=4"), None),
        ("/1/jsonp-polling/abc", http("jsonp=3&i=4"), 4),
        ("/1/xhr-polling/abc", http("jsonp=3&i=4"), None),
        ("/1/websocket/abc", websocket("jsonp=3&i=4"), None),
        ("/", websocket("EIO=3&j=4"), None),
    ],
)
def test_who_asks_by_script_is_answered_by_one(below: str, scope: Scope, index: int | None) -> None:
    assert guess_responder(scope, below).body_format == BodyFormat(jsonp_index=index)


LEAVES = visit("0.9", "polling", "abc")._replace(closes_session=True)


@pytest.mark.parametrize(
    ("below", "scope", "expected"),
    [
        ("/1/", http("t=1795368179882"), visit("0.9", "polling")),
        ("/1", http("a=b&t=1"), visit("0.9", "polling")),
        ("/1/", http("jsonp=3"), visit("0.9", "polling", body_format=BodyFormat(jsonp_index=3))),
        ("/1/", http("jsonp=3x"), visit("0.9", "polling")),
        ("/1/xhr-polling/abc", http("t=1"), visit("0.9", "polling", "abc")),
        ("/1/xhr-polling/abc/", http("a=b&t=1", "POST"), visit("0.9", "polling", "abc")),
        ("/1/jsonp-polling/abc", http("t=1&i=2"), visit("0.9", "polling", "abc", BodyFormat(jsonp_index=2))),
        ("/1/jsonp-polling/abc", http("i=x"), visit("0.9", "polling", "abc", BodyFormat(jsonp_index=0))),
        ("/1/websocket/abc", websocket(""), visit("0.9", "websocket", "abc")),
        ("/1/xhr-polling/abc/", http("t=1&disconnect=1"), LEAVES),
        ("/1//abc/", http("disconnect=1"), LEAVES),
        ("/1/flashsocket/abc", http("disconnect=1"), LEAVES),
        ("/1/websocket/abc", websocket("disconnect=1&i=2&jsonp=3"), visit("0.9", "websocket", "abc")),
        ("/1/websocket/abc/", http("disconnect=1"), LEAVES._replace(transport="websocket")),
    ],
)
def test_clients_of_09_say_in_the_path_what_they_want(below: str, scope: Scope, expected: EngineRequest) -> None:
    assert read(scope, below) == expected


@pytest.mark.parametrize(
    ("scope", "error", "message"),
    [
        (http(""), UnsupportedVersion, NO_VERSION + SERVED),
        (http("transport=polling"), UnsupportedVersion, NO_VERSION + SERVED),
        (http("EIO=abc&transport=polling"), UnsupportedVersion, "EIO='abc'" + SERVED),
        (http("EIO=5&transport=polling"), UnsupportedVersion, "EIO='5'" + SERVED),
        (http("EIO=04&transport=polling"), UnsupportedVersion, "EIO='04'" + SERVED),
        (http(f"EIO={'9' * 1000}"), UnsupportedVersion, f"EIO='{'9' * 13}'" + SERVED),
        (http("EIO=4"), UnknownTransport, "transport='', expected polling or websocket"),
        (http("EIO=4&transport=abc"), UnknownTransport, "transport='abc', expected polling or websocket"),
        (http("EIO=4&transport=%0a"), UnknownTransport, "transport='\\n', expected polling or websocket"),
        (http("EIO=3&transport=polling&j=1x"), BadRequest, "j='1x', expected the number of a JSONP callback"),
        (http("EIO=3&transport=polling&j="), BadRequest, "j='', expected the number of a JSONP callback"),
        (websocket("EIO=4&transport=polling"), BadRequest, "a websocket with transport='polling'"),
        (
            http("EIO=4&transport=websocket"),
            BadRequest,
            "transport=websocket without an upgrade to websocket; a proxy may have dropped the header",
        ),
        (http("EIO=4&transport=polling", "POST"), BadMethod, "a handshake by 'POST', expected GET"),
        (http("EIO=4&transport=polling", "PUT"), BadMethod, "a handshake by 'PUT', expected GET"),
        (http("EIO=4&transport=polling", "HEAD"), BadMethod, "a handshake by 'HEAD', expected GET"),
        (http("EIO=4&transport=polling&sid=abc", "DELETE"), BadRequest, "'DELETE' on a session, expected GET or POST"),
    ],
)
def test_a_request_that_no_client_makes_is_refused(scope: Scope, error: type[HandshakeError], message: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        read(scope)
    assert (type(caught.value), str(caught.value)) == (error, message)


TRANSPORTS_09 = "served are websocket, xhr-polling, jsonp-polling"


@pytest.mark.parametrize(
    ("below", "scope", "error", "message"),
    [
        ("/1/htmlfile/abc", http(""), UnknownTransport, f"transport 'htmlfile', {TRANSPORTS_09}"),
        ("/1/xhr-polling", http(""), UnknownTransport, f"transport 'xhr-polling', {TRANSPORTS_09}"),
        ("/1//abc", http(""), UnknownTransport, f"transport '', {TRANSPORTS_09}"),
        ("/1/xhr-polling/abc", websocket(""), BadRequest, "a websocket with transport='polling'"),
        ("/1/", http("", "POST"), BadMethod, "a handshake by 'POST', expected GET"),
    ],
)
def test_so_is_one_of_09(below: str, scope: Scope, error: type[HandshakeError], message: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        read(scope, below)
    assert (type(caught.value), str(caught.value)) == (error, message)


@pytest.mark.parametrize(
    ("below", "query", "clients"),
    [
        ("/", "EIO=4&transport=polling", "4, socket.io-client 3.x and 4.x"),
        ("/1/", "", "0.9, socket.io-client 0.9"),
    ],
)
def test_a_generation_that_is_switched_off_is_named(below: str, query: str, clients: str) -> None:
    with pytest.raises(UnsupportedVersion) as caught:
        read(http(query), below, only="3")
    served = "served are 3 (socket.io-client 1.x and 2.x)"
    assert str(caught.value) == f"generation {clients}, is switched off (generations=...); {served}"


@pytest.mark.parametrize("query", ["&".join(["x"] * 201), "EIO=4&transport=polling" + "&a=1" * 4000])
def test_a_request_with_hundreds_of_parameters_is_refused(query: str) -> None:
    with pytest.raises(HandshakeError):
        read(http(query))


@pytest.mark.parametrize(
    ("transports", "scope", "message"),
    [
        (("websocket",), http("EIO=4&transport=polling"), "polling is switched off, served are websocket"),
        (("polling",), websocket("EIO=4&transport=websocket"), "websocket is switched off, served are polling"),
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
