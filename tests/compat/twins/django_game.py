"""Django keeps the session, and a loop sends all players where everybody is, 20 times a second."""

import asyncio
import os
from http.cookies import SimpleCookie
from typing import Any

import socketio
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "for this example only"),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
TICK = 1 / 20
players: dict[str, dict[str, Any]] = {}
ticker: asyncio.Task[None] | None = None
sio = socketio.AsyncServer(async_mode="asgi")


async def login(request: HttpRequest) -> HttpResponse:
    await request.session.aset("name", request.GET.get("name", "nobody"))
    return HttpResponse("welcome")


async def name_of(environ: dict[str, Any]) -> str | None:
    from django.contrib.sessions.backends.signed_cookies import SessionStore

    cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    if settings.SESSION_COOKIE_NAME not in cookies:
        return None
    return await SessionStore(cookies[settings.SESSION_COOKIE_NAME].value).aget("name")


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    global ticker
    name = await name_of(environ)
    if name is None:
        raise socketio.exceptions.ConnectionRefusedError("log in first")
    players[sid] = {"name": name, "x": 0, "speed": 1}
    if ticker is None or ticker.done():
        ticker = sio.start_background_task(tick)


@sio.event
async def speed(sid: str, speed: int) -> None:
    players[sid]["speed"] = speed


@sio.event
async def disconnect(sid: str) -> None:
    del players[sid]


async def tick() -> None:
    while players:
        for player in players.values():
            player["x"] += player["speed"]
        await sio.emit("state", list(players.values()))
        await sio.sleep(TICK)


urlpatterns = [path("login", login)]
application = socketio.ASGIApp(sio, get_asgi_application())
