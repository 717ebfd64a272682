"""A view that only decides (``guard=True``, `socketio_accept`): alike in every framework, generation and transport."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from asgiref.sync import sync_to_async
from fastapi import Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from asocketio import ConnectionRefused, SocketIOApp, UsageError, socketio_accept, socketio_manage
from asocketio.testing import ClientRefused, TestClient, settle
from tests.behaviour.test_corners import respond
from tests.clients.asgi import Client
from tests.clients.raw import CLIENTS
from tests.support.worlds import Recorder, Way, refused_by_close, refused_by_connect_timeout, until

Log = pytest.LogCaptureFixture
PATH = "/socket.io/{_:path}"
HINT = "the view answered without calling socketio_accept"
events: list[str] = []


class Desk(Recorder):
    """What a client can ask of the view that accepted it."""

    def recv_connect(self, auth: Any) -> None:
        events.append("connect")
        if auth.get("token") == "bad":
            raise ConnectionRefused("bad token")

    def on_who(self) -> Any:
        return [self.session.get("name"), self.request is not None, self.environ["asocketio"] is not None]

    async def on_thread(self) -> int:
        return await sync_to_async(threading.get_ident)()


@pytest.fixture(autouse=True)
def nothing_happened() -> None:
    events.clear()


def accept(request: Any, name: str) -> None:
    request.scope["socketio"].session["name"] = name
    socketio_accept(request.scope, request=request)
    events.append("accepted")


# The same view in three frameworks, plain and async: it holds something until it has ended.


class Holding:
    """Middleware that is open as long as the call is."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        if scope["type"] == "http":
            await asyncio.sleep(0)
            events.append("released")


class Stamp(BaseHTTPMiddleware):
    """Middleware that reads the request and the response through streams of its own."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def starlette_app() -> SocketIOApp:
    async def view(request: Request) -> Response:
        name = request.query_params.get("name")
        if name is None:
            return PlainTextResponse("who are you?", 401)
        accept(request, name)
        return StreamingResponse(iter([b"a", b"b" * 2000]))

    middleware = [Middleware(Holding), Middleware(GZipMiddleware, minimum_size=100), Middleware(Stamp)]
    return SocketIOApp(Starlette(routes=[Route(PATH, view)], middleware=middleware), namespaces={"/": Desk}, guard=True)


def fastapi_app(plain: bool = False) -> SocketIOApp:
    api = FastAPI()

    async def held() -> AsyncIterator[None]:
        yield
        events.append("released")

    def user(name: str | None = None) -> str:
        if name is None:
            raise HTTPException(401, "who are you?")
        return name

    def plain_view(request: Request, name: Annotated[str, Depends(user)], _: Annotated[None, Depends(held)]) -> None:
        accept(request, name)

    async def view(request: Request, name: Annotated[str, Depends(user)], _: Annotated[None, Depends(held)]) -> None:
        accept(request, name)

    # The module's annotations are text: these are of this function.
    names = {"held": held, "user": user, "Request": Request, "Annotated": Annotated, "Depends": Depends}
    for each in (plain_view, view):
        each.__annotations__ = {
            key: eval(text, {**names, "str": str}) if key != "return" else None
            for key, text in each.__annotations__.items()
        }
    api.get(PATH, include_in_schema=False)(plain_view if plain else view)
    return SocketIOApp(api, namespaces={"/": Desk}, guard=True)


@pytest.fixture
def django_app() -> Iterator[Any]:
    """Makes the app; its settings hold until the end of the test."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="secret", ROOT_URLCONF=__name__, MIDDLEWARE=[], DEBUG=True)
        django.setup()
    from django.core.asgi import get_asgi_application
    from django.core.signals import request_finished
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import re_path

    def decide(request: Any) -> Any:
        name = request.GET.get("name")
        if name is None:
            return HttpResponse("who are you?", status=401)
        accept(request, name)
        response = HttpResponse("a body that goes nowhere")
        response.set_cookie("seen", "yes")
        return response

    async def view(request: Any) -> Any:
        return decide(request)

    def released(**_: Any) -> None:
        events.append("released")

    def make(plain: bool = False) -> SocketIOApp:
        settings.ROOT_URLCONF = (re_path(r"^socket\.io/", decide if plain else view),)
        return SocketIOApp(get_asgi_application(), namespaces={"/": Desk}, guard=True)

    middleware = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
    request_finished.connect(released)
    try:
        with override_settings(ROOT_URLCONF=(), ALLOWED_HOSTS=["*"], MIDDLEWARE=middleware):
            yield make
    finally:
        request_finished.disconnect(released)


@pytest.fixture(params=["starlette", "fastapi", "fastapi-plain", "django", "django-plain"])
def guarded(way: Way, request: pytest.FixtureRequest, django_app: Any) -> SocketIOApp:
    kind, _, plain = request.param.partition("-")
    if kind == "django":
        return django_app(bool(plain))  # type: ignore[no-any-return]
    return fastapi_app(bool(plain)) if kind == "fastapi" else starlette_app()


async def test_the_socket_opens_when_all_of_the_view_has_ended(guarded: SocketIOApp, way: Way) -> None:
    async with TestClient(guarded, **way, query={"name": "ada"}) as client:
        desk = await client.connect()
        assert events == ["accepted", "released", "connect"]
        assert await desk.call("who") == ["ada", True, True]
        assert await desk.call("echo", 1) == 1
    assert Desk.last.reasons == ["transport close"]
    assert guarded.server.active_sessions == 0


async def test_any_other_answer_refuses(guarded: SocketIOApp, way: Way) -> None:
    async with TestClient(guarded, **way) as client:
        with pytest.raises(ClientRefused, match=r"401|new Error"):
            await client.connect()
        await until(lambda: not guarded.server.active_sessions)  # Django has things to do after its answer
    assert "accepted" not in events
    assert "connect" not in events


async def test_the_database_functions_of_all_handlers_share_a_thread_in_django(django_app: Any) -> None:
    app = django_app()
    async with TestClient(app, query={"name": "ada"}) as one, TestClient(app, query={"name": "bob"}) as two:
        threads = {await (await client.connect()).call("thread") for client in (one, two)}
        assert len(threads) == 1
        assert threads != {threading.get_ident()}


# What a view may do, and may not.


def guard(view: Any, **settings: Any) -> SocketIOApp:
    """``view(scope, receive, send)`` before `Desk`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await view(scope, receive, send)

    return SocketIOApp(app, namespaces={"/": Desk}, guard=True, **settings)


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_2xx_without_accept_refuses_with_a_hint(status: int, way: Way, caplog: Log) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, status)

    app = guard(view)
    async with TestClient(app, **way) as client:
        with pytest.raises(Exception) as refused:  # clients take some for a handshake, and see that it is none
            await client.connect()
    assert not isinstance(refused.value, ConnectionRefused)
    assert events == []
    assert HINT in caplog.text
    assert app.server.active_sessions == 0


@pytest.mark.parametrize("status", [301, 400, 403, 500])
async def test_an_accepted_client_is_refused_by_any_other_answer(status: int, way: Way) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        socketio_accept(scope)
        await respond(send, status, body=b"no")

    app = guard(view)
    async with TestClient(app, **way) as client:
        with pytest.raises(ClientRefused, match=rf"{status}|new Error"):
            await client.connect()
    assert events == []
    assert app.server.active_sessions == 0


async def test_a_view_that_raises_after_its_answer_refuses(way: Way) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        socketio_accept(scope)
        await respond(send)
        raise LookupError("in a background task")

    app = guard(view)
    with pytest.raises(LookupError, match="in a background task"):
        async with TestClient(app, **way) as client:
            await client.connect()
    assert app.server.active_sessions == 0


@pytest.mark.parametrize("accepts", [False, True])
async def test_a_view_without_an_answer_is_a_500(accepts: bool, way: Way, caplog: Log) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        if accepts:
            socketio_accept(scope)

    async with TestClient(guard(view), **way) as client:
        with pytest.raises(ClientRefused, match=r"500|new Error"):
            await client.connect()
    assert "returned without calling socketio_accept and without a response" in caplog.text


@pytest.mark.parametrize("answers", [False, True])
async def test_a_view_that_does_not_end_is_ended_by_connect_timeout(answers: bool, way: Way, caplog: Log) -> None:
    ended: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        socketio_accept(scope)
        if answers:
            await respond(send)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async with TestClient(guard(view), **way) as client:
        await refused_by_connect_timeout(client)
    assert (ended, events) == (["ended"], [])
    assert "the view at '/socket.io/" in caplog.text
    assert "has not ended within connect_timeout (45.0 s)" in caplog.text


async def test_recv_connect_still_decides(way: Way) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        socketio_accept(scope)
        await respond(send)

    async with TestClient(guard(view), **way) as client:
        with pytest.raises((ConnectionRefused, ClientRefused)):
            await client.connect(auth={"token": "bad"})


async def test_the_cookies_of_the_view_reach_the_client(way: Way) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        socketio_accept(scope)
        fields = [(b"Set-Cookie", b"a=1"), (b"content-type", b"text/html"), (b"set-cookie", b"b=2"), (b"x-frame", b"n")]
        await respond(send, 200, fields, b"nowhere")

    app = guard(view, cookie="io")
    generation = str(way["generation"])
    raw = Client(app, generation=generation)
    opened = await raw.handshake()
    fields = [(name, value) for name, value in opened.sent[0]["headers"] if name in (b"set-cookie", b"x-frame")]
    assert [value for _, value in fields] == [fields[0][1], b"a=1", b"b=2"]
    assert fields[0][1].startswith(b"io=")
    assert [value for name, value in opened.sent[0]["headers"] if name == b"content-type"] != [b"text/html"]
    await raw.end()


@pytest.mark.parametrize("carrier", ["websocket", "taken-over"])
async def test_the_cookies_of_the_view_reach_a_websocket(carrier: str) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        socketio_accept(scope)
        await respond(send, 200, [(b"set-cookie", b"a=1")])

    client = CLIENTS[carrier](guard(view))
    await client.open()
    if carrier == "websocket":
        assert client.connection.sent[0]["headers"] == [(b"set-cookie", b"a=1")]  # type: ignore[attr-defined]
    else:
        assert b"\r\nset-cookie: a=1\r\n" in client.peer.head.lower()  # type: ignore[attr-defined]
    await client.end()


async def test_a_frame_that_comes_while_the_view_decides_is_not_lost() -> None:
    decide = asyncio.Event()

    async def view(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        listener = asyncio.create_task(receive())
        await decide.wait()
        socketio_accept(scope)
        await respond(send)
        assert (await listener)["type"] == "http.disconnect"
        assert (await receive())["type"] == "http.disconnect"

    client = CLIENTS["websocket"](guard(view))
    connection = await client.websocket("40", '420["echo",1]')
    assert connection.frames == []
    decide.set()
    await settle()
    assert [frame[:3] for frame in connection.frames] == ['0{"', "40{", "430"]
    await client.end()


async def test_a_client_that_goes_while_the_view_decides_is_heard_of(way: Way) -> None:
    heard: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        heard.append((await receive())["type"])
        socketio_accept(scope)
        await respond(send)

    app = guard(view)
    raw = Client(app, generation=str(way["generation"]))
    call = await raw.get()
    call.disconnect()
    await settle()
    assert heard == ["http.disconnect"]
    await raw.end()
    assert app.server.active_sessions == 0


async def test_what_the_app_does_after_its_call_meets_nobody(transport: str) -> None:
    kept: list[Any] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        kept.extend((receive, send))
        socketio_accept(scope)
        await respond(send)

    async with TestClient(guard(view), transport=transport) as client:  # type: ignore[arg-type]
        desk = await client.connect()
        receive, send = kept
        await respond(send, 500)
        assert (await receive())["type"] == "http.disconnect"
        assert await desk.call("echo", 1) == 1


async def test_closing_while_a_view_decides_refuses_the_client(way: Way) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        socketio_accept(scope)
        await asyncio.Event().wait()

    app = guard(view)
    async with TestClient(app, **way) as client:
        await refused_by_close(client, app)
    assert events == []


async def test_background_tasks_end_first() -> None:
    async def view(request: Request) -> Response:
        accept(request, "ada")

        async def later() -> None:
            await asyncio.sleep(0)
            events.append("background")

        return JSONResponse({}, background=BackgroundTask(later))

    app = SocketIOApp(Starlette(routes=[Route(PATH, view)]), namespaces={"/": Desk}, guard=True)
    async with TestClient(app) as client:
        await client.connect()
    assert events == ["accepted", "background", "connect"]


async def test_a_guarding_view_may_stay_for_the_life_of_the_socket(way: Way) -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await socketio_manage(scope, {"/": Desk})
        await respond(send)
        events.append("view ends")

    async with TestClient(guard(view), **way) as client:
        assert await (await client.connect()).call("echo", 1) == 1
        assert events == ["connect"]
    assert events == ["connect", "view ends"]


async def test_context_variables_of_the_call_reach_the_handlers() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    class Asked(Recorder):
        def on_ask(self) -> str:
            return variable.get()

    async def view(scope: Any, receive: Any, send: Any) -> None:
        variable.set("of the middleware")
        socketio_accept(scope)
        await respond(send)

    async with TestClient(SocketIOApp(view, namespaces={"/": Asked}, guard=True)) as client:
        assert await (await client.connect()).call("ask") == "of the middleware"


# Mistakes.


@pytest.mark.parametrize("arguments", [{}, {"app": guard}, {"namespaces": {"/": Desk}}])
def test_a_guard_needs_something_to_guard(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"guard=True|nothing to serve"):
        SocketIOApp(**arguments, guard=True)


async def refusal_of(app: SocketIOApp, way: Way) -> None:
    async with TestClient(app, **way) as client:
        with pytest.raises(ClientRefused):
            await client.connect()


async def test_accepting_without_a_guard_says_what_to_write(way: Way) -> None:
    said: list[str] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        try:
            socketio_accept(scope)
        except UsageError as error:
            said.append(str(error))
        await respond(send, 403)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await view(scope, receive, send)

    await refusal_of(SocketIOApp(app), way)
    assert "guard=True" in said[0]


async def test_accepting_too_late_and_elsewhere_is_a_usage_error() -> None:
    class Late(Recorder):
        def on_again(self) -> str:
            with pytest.raises(UsageError, match="open already, or refused"):
                socketio_accept(self.environ)
            return "refused"

    async def view(scope: Any, receive: Any, send: Any) -> None:
        socketio_accept(scope)
        socketio_accept(scope, request="the last one counts")
        await respond(send)

    async with TestClient(SocketIOApp(view, namespaces={"/": Late}, guard=True)) as client:
        assert await (await client.connect()).call("again") == "refused"
        assert Late.last.request == "the last one counts"
    with pytest.raises(UsageError, match="has no 'socketio'"):
        socketio_accept({"type": "http"})


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_nothing_of_the_view_outlives_the_socket(transport: Any, caplog: Log) -> None:
    caplog.set_level(logging.CRITICAL)
    app = starlette_app()
    gc.collect()
    gc.disable()
    try:
        async with TestClient(app, transport=transport, query={"name": "ada"}) as client:
            await client.connect()
            gone = [weakref.ref(Desk.last.socket), weakref.ref(Desk.last)]
            del Desk.last
        del client
        await settle()
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()
