"""Three generations of clients in one room: socket.io-client 0.9, 2.x and 4.x, side by side on one page.

Run it from the repository root, then open http://127.0.0.1:8000/ ::

    asocketio examples.three_generations.app:app

``/?transport=polling`` does without websockets. ``/?transport=jsonp`` does without XHR as well, where a client can:
4.x cannot, it polls by XHR.
"""

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from asocketio import BaseNamespace, ConnectionRefused, RoomsMixin, SocketIOApp

MAX_CLIENT = 40
MAX_TEXT = 1000
ROOM = "living room"


class Family(BaseNamespace, RoomsMixin):
    """One client, of whatever generation: nothing below asks which."""

    client = ""

    async def recv_connect(self, auth: Any) -> None:
        """A client of 4.x sends ``auth``; what an older one has in the query of its address comes here too."""
        client = auth.get("client")
        if not isinstance(client, str) or not 1 <= len(client) <= MAX_CLIENT:
            raise ConnectionRefused(f"Say which client you are, in 1 to {MAX_CLIENT} characters.")
        self.client = client
        self.join(ROOM)

    async def on_say(self, text: Any) -> dict[str, Any]:
        """The acknowledgement is what the page shows as "delivered"."""
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_TEXT:
            return {"error": f"A message has 1 to {MAX_TEXT} characters."}
        await self.emit_to_room(ROOM, "said", self.client, text)  # to the others: the page shows its own by itself
        return {}


async def page(request: Request) -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))


app = SocketIOApp(Starlette(routes=[Route("/", page)]), namespaces={"/": Family})
