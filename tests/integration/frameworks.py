"""The same small program in Starlette, FastAPI and Django, each as its users would write it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

import django
from django.conf import settings
from django.http import HttpRequest as DjangoRequest
from django.http import HttpResponse as DjangoResponse
from django.urls import re_path
from fastapi import Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import asocketio
from asocketio import BaseNamespace, BroadcastMixin, RoomsMixin, SocketIOApp, socketio_manage
from tests.integration.app import note

__all__ = ["django_application", "fastapi_application", "starlette_inside", "starlette_outside"]

PATH = "/socket.io/{_:path}"


class Chat(BaseNamespace, RoomsMixin, BroadcastMixin):
    def on_who(self) -> str:
        return str(self.session["name"])

    def on_large(self) -> str:
        return "x" * 10_000

    def recv_disconnect(self, reason: str) -> None:
        note(f"gone {self.session['name']} {reason}")


# ---- Starlette, with middleware on either side of the SocketIOApp


class Stamp(BaseHTTPMiddleware):
    """Leaves a mark on requests and responses."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.stamp = "stamped"
        response = await call_next(request)
        response.headers["x-stamp"] = "stamped"
        return response


async def starlette_view(request: Request) -> Response:
    name = request.query_params.get("name")
    if name is None:
        return PlainTextResponse("who are you?", 401)
    request.scope["socketio"].session["name"] = f"{name} {getattr(request.state, 'stamp', 'unstamped')}"
    await socketio_manage(request.scope, {"/": Chat}, request=request)
    return Response()


def _starlette(*middleware: Middleware) -> Starlette:
    return Starlette(routes=[Route(PATH, starlette_view)], middleware=list(middleware))


# The first in the list is the outermost.
starlette_inside = _starlette(Middleware(SocketIOApp), Middleware(GZipMiddleware, minimum_size=100), Middleware(Stamp))
starlette_outside = _starlette(Middleware(GZipMiddleware, minimum_size=100), Middleware(Stamp), Middleware(SocketIOApp))


# ---- FastAPI: a dependency guards the door, another lives as long as the socket

fastapi_application = FastAPI()
present: list[str] = []


async def current_user(name: str | None = None) -> str:
    if name is None:
        raise HTTPException(401, "who are you?", {"www-authenticate": "Name"})
    return name


async def presence(name: Annotated[str, Depends(current_user)]) -> AsyncIterator[str]:
    present.append(name)
    try:
        yield name
    finally:
        present.remove(name)


@fastapi_application.get(PATH)
async def fastapi_view(request: Request, name: Annotated[str, Depends(presence)]) -> Response:
    request.scope["socketio"].session["name"] = name
    await socketio_manage(request.scope, {"/": Chat}, request=request)
    return Response()


@fastapi_application.get("/present")
async def who_is_present() -> list[str]:
    return present


@fastapi_application.post("/announce/by-app")
async def announce_by_app(text: str) -> None:
    await asocketio.of(fastapi_application, "/").emit("announced", text)


@fastapi_application.post("/announce/by-request")
async def announce_by_request(request: Request, text: str) -> Response:
    await request.scope["asocketio"].of("/").emit("announced", text)
    return JSONResponse(None)


fastapi_application.add_middleware(SocketIOApp)


# ---- Django

if not settings.configured:
    settings.configure(
        SECRET_KEY="for tests only",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DEBUG=bool(os.environ.get("DJANGO_DEBUG")),
        MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    )
    django.setup()


async def django_view(request: Any) -> DjangoResponse:
    assert isinstance(request, DjangoRequest)
    name = request.GET.get("name")
    if name is None:
        return DjangoResponse("who are you?", status=401)
    request.scope["socketio"].session["name"] = name
    await socketio_manage(request.scope, {"/": Chat}, request=request)
    note("django view ends")
    return DjangoResponse()


async def django_page(request: Any) -> DjangoResponse:
    return DjangoResponse("a page")


urlpatterns = [re_path(r"^socket\.io/", django_view), re_path(r"^page$", django_page)]

from django.core.asgi import get_asgi_application  # noqa: E402  (needs the settings above)

django_application = SocketIOApp(get_asgi_application())
