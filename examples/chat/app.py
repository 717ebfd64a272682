"""A chat with rooms, nicknames and acknowledged messages.

Run it from the repository root, then open http://127.0.0.1:8000/ in two windows::

    asocketio examples.chat.app:app

``/?transport=polling`` does without websockets, ``/#garden`` goes straight to a room.
Who is online is kept in this process, so run one worker.
"""

import re
import time
from collections import Counter, defaultdict, deque
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from asocketio import BaseNamespace, BroadcastMixin, ConnectionRefused, RoomsMixin, SocketIOApp

MAX_NICKNAME = 20
MAX_TEXT = 1000
MAX_HISTORY = 50
ROOM_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,23}")
STANDING_ROOMS = ("lobby", "garden", "workshop")  # listed and remembered even when empty


class Message(TypedDict):
    nickname: str
    text: str
    at: float  # seconds since 1970


online: dict[str, "Chat"] = {}  # by casefolded nickname
history: defaultdict[str, deque[Message]] = defaultdict(partial(deque, maxlen=MAX_HISTORY))


class Chat(BaseNamespace, RoomsMixin, BroadcastMixin):
    """One client. Every argument comes from a stranger, so every argument is checked."""

    nickname = ""
    room = ""

    async def recv_connect(self, auth: Any) -> None:
        nickname = checked_nickname(auth)
        if nickname.casefold() in online:
            raise ConnectionRefused("That nickname is taken.", {"code": "taken"})
        self.nickname = nickname
        online[nickname.casefold()] = self

    async def recv_disconnect(self, reason: str) -> None:
        del online[self.nickname.casefold()]
        await self.leave_room()
        await self.show_rooms()

    async def on_join(self, room: Any) -> dict[str, Any]:
        if not isinstance(room, str) or not ROOM_NAME.fullmatch(room):
            return {"error": "A room's name has 1 to 24 of a-z, 0-9 and the hyphen."}
        await self.leave_room()
        self.room = room
        self.join(room)
        await self.emit_to_room(room, "joined", self.nickname, members(room))
        await self.show_rooms()
        return {"room": room, "members": members(room), "history": list(history[room])}

    async def on_say(self, text: Any) -> dict[str, Any]:
        """The acknowledgement is what the page shows as "delivered"."""
        if not self.room:
            return {"error": "Join a room first."}
        if not isinstance(text, str) or not 1 <= len(text.strip()) <= MAX_TEXT:
            return {"error": f"A message has 1 to {MAX_TEXT} characters."}
        message = Message(nickname=self.nickname, text=text.strip(), at=time.time())
        history[self.room].append(message)
        await self.emit_to_room(self.room, "said", message)
        return {"at": message["at"]}

    async def on_typing(self, typing: Any) -> None:
        """Volatile: to a client that is busy, old news about typing is not worth queueing."""
        if self.room and isinstance(typing, bool):
            await self.to(self.room).volatile.emit("typing", self.nickname, typing)

    async def leave_room(self) -> None:
        room, self.room = self.room, ""
        if not room:
            return
        self.leave(room)
        await self.emit_to_room(room, "left", self.nickname, members(room))
        if not members(room) and room not in STANDING_ROOMS:
            history.pop(room, None)

    async def show_rooms(self) -> None:
        """Tell everybody how many are where."""
        inside = Counter(chat.room for chat in online.values() if chat.room)
        await self.broadcast_event("rooms", {**dict.fromkeys(STANDING_ROOMS, 0), **inside})


def checked_nickname(auth: Any) -> str:
    """The nickname in ``auth``, its spaces tidied.

    Raises:
        ConnectionRefused: there is none, or it is too long, or has characters nobody can see.
    """
    given = auth.get("nickname") if isinstance(auth, dict) else None
    nickname = " ".join(given.split()) if isinstance(given, str) else ""
    if not nickname:
        raise ConnectionRefused("Choose a nickname.", {"code": "empty"})
    if len(nickname) > MAX_NICKNAME:
        raise ConnectionRefused(f"At most {MAX_NICKNAME} characters, please.", {"code": "long"})
    if not nickname.isprintable():
        raise ConnectionRefused("Use characters that can be seen.", {"code": "unprintable"})
    return nickname


def members(room: str) -> list[str]:
    """The nicknames in ``room``, sorted for reading."""
    return sorted((c.nickname for c in online.values() if c.room == room), key=str.casefold)


static = StaticFiles(directory=Path(__file__).parent / "static", html=True)
# A closed laptop says no goodbye. It is gone after these 15 seconds, and its nickname free again.
app = SocketIOApp(
    Starlette(routes=[Mount("/", app=static)]),
    namespaces={"/": Chat},
    ping_interval=10.0,
    ping_timeout=5.0,
)
