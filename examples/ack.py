"""Acknowledgements both ways: a client asks the server, and the server asks a client.

Run it from the repository root, then open http://127.0.0.1:8000/ ::

    asocketio examples.ack:app
"""

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from asocketio import AckTimeout, BaseNamespace, SocketIOApp

THINKING_TIME = 4.0  # seconds


class Quiz(BaseNamespace):
    async def on_greet(self, name: str) -> str:
        """The client asks; what the handler returns is its answer."""
        return f"Hello, {name}!"

    async def on_divide(self, a: int, b: int) -> tuple[int, int]:
        """A tuple is several arguments: ``socket.emit("divide", 17, 5, (quotient, rest) => ...)``."""
        return divmod(a, b)

    async def on_quiz(self) -> str:
        """The server asks, and waits. A client that does not answer in time is no error here."""
        try:
            answer = await self.call("question", "What is 6 × 7?", timeout=THINKING_TIME)
        except AckTimeout:
            return "Time is up: it is 42."
        return "Right!" if answer == 42 else "No, it is 42."

    async def on_ring(self) -> None:
        """The server asks and goes on. ``callback`` is called if and when the client answers."""
        await self.emit("ring", callback=self.answered)

    def answered(self, words: Any = None) -> None:
        self.emit("heard", words)  # queued at the call: a plain function can emit as well


async def page(request: Request) -> FileResponse:
    return FileResponse(Path(__file__).with_name("ack.html"))


app = SocketIOApp(Starlette(routes=[Route("/", page)]), namespaces={"/": Quiz})
