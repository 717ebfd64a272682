"""A desk of rooms, questions and reminders, ported from python-socketio line by line (docs/migration.md).

Run it from the repository root::

    asocketio examples.desk:app
"""

import asyncio

from asocketio import BaseNamespace, BroadcastMixin, ConnectionRefused, RoomsMixin, SocketIOApp, event


class Desk(BaseNamespace, RoomsMixin, BroadcastMixin):
    async def recv_connect(self, auth):
        if "name" not in auth:
            raise ConnectionRefused("who are you?")
        self.session["name"] = auth["name"]

    async def on_join(self, room):
        self.join(room)
        await self.emit_to_room(room, "notice", f"{self.session['name']} is here")
        await self.emit("count", len(self.rooms))

    @event("file:ready")
    async def ready(self, number):
        answer = await self.call("sure?", number, timeout=5)
        if answer == "yes":
            await self.broadcast_event("file", number)
        return answer

    async def on_remind(self, seconds, text):
        self.spawn(self.later, seconds, text)

    async def later(self, seconds, text):
        await asyncio.sleep(seconds)
        await self.emit("notice", text)

    async def recv_disconnect(self, reason):
        await self.broadcast_event_not_me("notice", f"{self.session['name']} has left")


app = SocketIOApp(namespaces={"/": Desk}, cors_allowed_origins=["https://www.example.com"])
