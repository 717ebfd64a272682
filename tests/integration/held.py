"""Django and FastAPI with a database, and a socket by a view that stays (``held``) or only decides (``guarded``).

Django has its stock middleware, and keeps sessions in the database ``HELD_DATABASE`` (a file of SQLite). FastAPI's
dependency opens it too.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response

from asocketio import BaseNamespace, SocketIOApp, socketio_accept, socketio_manage

__all__ = ["django_guarded", "django_held", "fastapi_guarded", "fastapi_held"]

DATABASE = os.environ.get("HELD_DATABASE", ":memory:")


class Desk(BaseNamespace):
    def on_who(self) -> str:
        return str(self.session["name"])


NAMESPACES = {"/": Desk}


async def serve(request: Any, name: str) -> None:
    """What the views of both frameworks do with a client that they know."""
    request.scope["socketio"].session["name"] = name
    if request.scope["asocketio"].guard:
        socketio_accept(request.scope, request=request)
    else:
        await socketio_manage(request.scope, NAMESPACES, request=request)


# ---- FastAPI


def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(DATABASE, check_same_thread=False)
    connection.execute("PRAGMA schema_version")  # before that the file is not open
    try:
        yield connection
    finally:
        connection.close()


def user(request: Request, connection: Annotated[sqlite3.Connection, Depends(database)]) -> str:
    (name,) = connection.execute("SELECT 'ada' WHERE ? = 'name=ada'", [request.headers.get("cookie")]).fetchone() or [
        ""
    ]
    if not name:
        raise HTTPException(401, "who are you?")
    return str(name)


User = Annotated[str, Depends(user)]


async def log_in(response: Response) -> None:
    response.set_cookie("name", "ada")


async def fastapi_view(request: Request, name: User) -> None:
    await serve(request, name)


api = FastAPI()
api.get("/login")(log_in)
api.get("/socket.io/{_:path}", include_in_schema=False)(fastapi_view)

fastapi_guarded = SocketIOApp(api, namespaces=NAMESPACES, guard=True)
fastapi_held = SocketIOApp(api)


# ---- Django


def _configured() -> None:
    import django
    from django.conf import settings

    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="for tests only",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE, "OPTIONS": {"timeout": 60}}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
        ],
        MIDDLEWARE=[  # as startproject writes them
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        USE_TZ=True,
    )
    django.setup()


_configured()

from django.core.asgi import get_asgi_application  # noqa: E402  (needs the settings above)
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import re_path  # noqa: E402


async def django_log_in(request: Any) -> HttpResponse:
    await request.session.aset("name", "ada")
    return HttpResponse()


async def django_view(request: Any) -> HttpResponse:
    await request.auser()  # as most views do
    name = await request.session.aget("name")
    if name is None:
        return HttpResponse("who are you?", status=401)
    await serve(request, name)
    return HttpResponse()


urlpatterns = [re_path(r"^login$", django_log_in), re_path(r"^socket\.io/", django_view)]
django_guarded = SocketIOApp(get_asgi_application(), namespaces=NAMESPACES, guard=True)
django_held = SocketIOApp(get_asgi_application())


def _make_tables() -> None:
    call_command("migrate", verbosity=0)
    connections.close_all()


if "HELD_DATABASE" in os.environ:
    # In a thread: Django's database functions refuse one with an event loop, in which a server imports this.
    thread = threading.Thread(target=_make_tables)
    thread.start()
    thread.join()
