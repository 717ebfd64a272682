"""SocketIOApp mounted in a Starlette application: at its own path, and below another one."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from asocketio import BaseNamespace, SocketIOApp

__all__ = ["app"]


class Talk(BaseNamespace):
    def on_echo(self, *args: Any) -> tuple[Any, ...]:
        return args


app = Starlette(
    routes=[
        Mount("/socket.io", app=SocketIOApp(namespaces={"/": Talk})),
        Mount("/nested", app=SocketIOApp(namespaces={"/": Talk})),
        Mount("/renamed/live", app=SocketIOApp(namespaces={"/": Talk}, path="live")),
        Mount("/", app=SocketIOApp(namespaces={"/": Talk}, path="at-root")),
    ]
)
