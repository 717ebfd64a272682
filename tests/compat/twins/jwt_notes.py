"""FastAPI gives out a JWT; the sockets take it as ``auth``, and keep notes in a database."""

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import socketio
from fastapi import FastAPI, HTTPException

SECRET = os.environ.get("JWT_SECRET", "for this example only, thirty-two characters or more")
USERS = {"ada": "sesame", "bob": "abracadabra"}
database = sqlite3.connect(os.environ.get("NOTES", ":memory:"), check_same_thread=False)
database.execute("CREATE TABLE IF NOT EXISTS notes (author TEXT, text TEXT)")
api = FastAPI()
sio = socketio.AsyncServer(async_mode="asgi")


@api.post("/login")
async def login(name: str, password: str) -> dict[str, str]:
    if USERS.get(name) != password:
        raise HTTPException(401, "wrong name or password")
    claims = {"sub": name, "exp": datetime.now(UTC) + timedelta(hours=1)}
    return {"token": jwt.encode(claims, SECRET, "HS256")}


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: dict[str, Any] | None) -> None:
    try:
        claims = jwt.decode((auth or {}).get("token", ""), SECRET, ["HS256"])
    except jwt.InvalidTokenError:
        raise socketio.exceptions.ConnectionRefusedError("log in first") from None
    await sio.save_session(sid, {"user": claims["sub"]})


@sio.event
async def add(sid: str, text: str) -> None:
    user = (await sio.get_session(sid))["user"]
    with database:
        database.execute("INSERT INTO notes VALUES (?, ?)", [user, text])
    await sio.emit("added", (user, text))


@sio.on("all")
async def all_notes(sid: str) -> list[Any]:
    return database.execute("SELECT author, text FROM notes ORDER BY rowid").fetchall()


app = socketio.ASGIApp(sio, api)
