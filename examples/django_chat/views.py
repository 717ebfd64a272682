"""The page asks for a name and keeps it in Django's session; the socket takes it from there."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import redirect, render

from asocketio import BaseNamespace, BroadcastMixin, socketio_accept

MAX_NAME, MAX_TEXT = 20, 1000


class Chat(BaseNamespace, BroadcastMixin):
    async def recv_connect(self) -> None:
        self.name: str = self.session["name"]
        await self.broadcast_event("notice", f"{self.name} is here")

    async def recv_disconnect(self, reason: str) -> None:
        await self.broadcast_event_not_me("notice", f"{self.name} has left")

    async def on_say(self, text: Any) -> bool:
        """Whether the message was passed on."""
        if not isinstance(text, str) or not 1 <= len(text.strip()) <= MAX_TEXT:
            return False
        await self.broadcast_event("said", self.name, text.strip())
        return True


async def page(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        await request.session.aset("name", request.POST.get("name", "").strip()[:MAX_NAME])
        return redirect("/")
    name = await request.session.aget("name")
    return render(request, "chat.html", {"name": name, "max_name": MAX_NAME, "max_text": MAX_TEXT})


async def socketio(request: HttpRequest) -> HttpResponse:
    """Runs once for each socket, before it opens; its answer to a stranger is what the stranger's client gets."""
    name = await request.session.aget("name")
    if not name:
        return HttpResponseForbidden("Tell the page your name first.")
    request.scope["socketio"].session["name"] = name
    socketio_accept(request.scope, request=request)
    return HttpResponse()
