"""What the protocol suites expect of a server: ``/socket.io/`` with a few events, ``/engine.io/`` with an echo.

The settings come from the environment, so that one application serves the patient tests and the hasty ones.
"""

from __future__ import annotations

import os
from typing import Any

from asocketio import BaseNamespace, ConnectionRefused, SocketIOApp, event
from tests.conformance.echo import echo_app

__all__ = ["app"]


class Main(BaseNamespace):
    async def recv_connect(self, auth: Any) -> None:
        await self.emit("auth", auth)

    async def on_message(self, *args: Any) -> None:
        await self.emit("message-back", *args)

    @event("message-with-ack")
    def with_ack(self, *args: Any) -> tuple[Any, ...]:
        return args

    def on_none(self) -> None:
        return None

    async def on_ask(self, *args: Any) -> None:
        await self.emit("answered", await self.call("question", *args, timeout=10))

    async def on_quit(self) -> None:
        await self.disconnect()

    async def on_quit_all(self) -> None:
        await self.socket.disconnect()


class Auth(BaseNamespace):
    async def recv_connect(self) -> None:
        raise ConnectionRefused("not authorized", {"code": 401, "hint": "token"})


class Closed(BaseNamespace):
    async def recv_connect(self) -> None:
        raise ConnectionRefused("closed")


def _settings() -> dict[str, Any]:
    read = os.environ.get
    settings: dict[str, Any] = {
        "max_payload": int(read("MAX_PAYLOAD", "1000000")),
        "cors_allowed_origins": ["http://allowed.example"],
        "transports": tuple(read("TRANSPORTS", "polling,websocket").split(",")),
    }
    for name in ("ping_interval", "ping_timeout", "connect_timeout", "upgrade_timeout"):
        if name.upper() in os.environ:
            settings[name] = float(os.environ[name.upper()])
    return settings


app = SocketIOApp(
    echo_app(**_settings()),
    namespaces={"/": Main, "/custom": Main, "/auth": Auth, "/closed": Closed},
    **_settings(),
)
