"""Django keeps the session, and a loop sends all players where everybody is, 20 times a second.

Run it from the repository root; ``/login?name=ada`` gives the cookie that the socket needs::

    asocketio examples.django_game:application
"""

import asyncio
import os
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.urls import path, re_path

from asocketio import BaseNamespace, SocketIOApp, socketio_accept

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


async def login(request: HttpRequest) -> HttpResponse:
    await request.session.aset("name", request.GET.get("name", "nobody"))
    return HttpResponse("welcome")


async def socketio(request: Any) -> HttpResponse:
    name = await request.session.aget("name")
    if name is None:
        return HttpResponseForbidden("log in first")
    request.scope["socketio"].session["name"] = name
    socketio_accept(request.scope, request=request)
    return HttpResponse()


class Game(BaseNamespace):
    def recv_connect(self) -> None:
        global ticker
        players[self.sid] = {"name": self.session["name"], "x": 0, "speed": 1}
        if ticker is None or ticker.done():
            ticker = asyncio.create_task(tick())

    def on_speed(self, speed: int) -> None:
        players[self.sid]["speed"] = speed

    def recv_disconnect(self) -> None:
        del players[self.sid]


async def tick() -> None:
    while players:
        for player in players.values():
            player["x"] += player["speed"]
        await application.of("/").emit("state", list(players.values()))
        await asyncio.sleep(TICK)


urlpatterns = [path("login", login), re_path(r"^socket\.io/", socketio)]
application = SocketIOApp(get_asgi_application(), namespaces={"/": Game}, guard=True)
