"""FastAPI gives out a JWT; the sockets take it as ``auth``, and keep notes in a database.

Run it from the repository root::

    asocketio examples.jwt_notes:app

    $ curl -X POST 'http://127.0.0.1:8000/login?name=ada&password=sesame'
    {"token":"eyJ..."}

    const socket = io("http://127.0.0.1:8000", { auth: { token } });
    socket.on("added", (author, text) => console.log(author, text));
    socket.emit("add", "buy milk");
"""

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from fastapi import FastAPI, HTTPException

from asocketio import BaseNamespace, BroadcastMixin, ConnectionRefused, SocketIOApp

SECRET = os.environ.get("JWT_SECRET", "for this example only, thirty-two characters or more")
USERS = {"ada": "sesame", "bob": "abracadabra"}
database = sqlite3.connect(os.environ.get("NOTES", ":memory:"), check_same_thread=False)
database.execute("CREATE TABLE IF NOT EXISTS notes (author TEXT, text TEXT)")
api = FastAPI()


@api.post("/login")
async def login(name: str, password: str) -> dict[str, str]:
    if USERS.get(name) != password:
        raise HTTPException(401, "wrong name or password")
    claims = {"sub": name, "exp": datetime.now(UTC) + timedelta(hours=1)}
    return {"token": jwt.encode(claims, SECRET, "HS256")}


class Notes(BaseNamespace, BroadcastMixin):
    async def recv_connect(self, auth: dict[str, Any]) -> None:
        try:
            claims = jwt.decode(auth.get("token", ""), SECRET, ["HS256"])
        except jwt.InvalidTokenError:
            raise ConnectionRefused("log in first") from None
        self.session["user"] = claims["sub"]

    async def on_add(self, text: str) -> None:
        with database:
            database.execute("INSERT INTO notes VALUES (?, ?)", [self.session["user"], text])
        await self.broadcast_event("added", self.session["user"], text)

    async def on_all(self) -> list[Any]:
        return database.execute("SELECT author, text FROM notes ORDER BY rowid").fetchall()


app = SocketIOApp(api, namespaces={"/": Notes})
