"""What a session needs of the server that it belongs to, and of the program's namespaces, stated here."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import MutableMapping
from typing import Any

from asocketio.adapters.base import Adapter
from asocketio.config import Config
from asocketio.metrics import Metrics
from asocketio.protocol.custom_json import SharedProtocols
from asocketio.protocol.packet import Packet
from asocketio.runtime.clock import Clock
from asocketio.runtime.eager_runner import EagerRunner
from asocketio.runtime.jobs import Jobs
from asocketio.runtime.log import ThrottledLog

if typing.TYPE_CHECKING:
    from asocketio.session.handlers import Handlers
    from asocketio.session.socket import Socket

__all__ = ["Environ", "HandlerAction", "NamespaceObject", "SessionServer", "SocketAction", "Watched"]

Environ = MutableMapping[str, Any]
"""The ASGI scope of a session's handshake."""


class Watched(typing.Protocol):
    """What is running, and can say so."""

    def warn_slow(self) -> None:
        """Log that it has been running for long."""


class SocketAction(typing.Protocol):
    """Does something with a socket."""

    def __call__(self, socket: Socket, /) -> None: ...


class HandlerAction(typing.Protocol):
    """Does something with a running handler."""

    def __call__(self, handler: Watched, /) -> None: ...


class SessionServer(typing.Protocol):
    """What the sessions of one server share. `asocketio.server.Server` is it."""

    config: Config
    adapter: Adapter
    clock: Clock
    metrics: Metrics
    throttled_log: ThrottledLog
    eager_runner: EagerRunner
    jobs: Jobs
    """Jobs that belong to no client."""
    custom_json: SharedProtocols
    loop: asyncio.AbstractEventLoop | None
    """The event loop that they belong to; None before the first session opens."""
    thread: int
    """The thread of that loop."""
    closing: bool

    flush_soon: SocketAction
    """Flushes a socket at the end of this turn of the event loop."""
    schedule_cleanup: SocketAction
    """Cleans up after a socket that nobody waits for, soon."""
    watch: HandlerAction
    """Warns of a handler that runs for long."""
    unwatch: HandlerAction
    """The handler has ended."""

    @property
    def sockets(self) -> dict[str, Socket]:
        """The sockets by the ids of their sessions."""
        ...

    def opened(self, socket: Socket) -> None:
        """The handshake is about to be answered."""

    def joined(self, socket: Socket) -> None:
        """The client has joined a namespace."""

    def closed(self, socket: Socket) -> None:
        """The connection is over."""

    def trim(self, socket: Socket) -> None:
        """Drop most of what waits for the next poll of a client that was disconnected."""

    def forget(self, socket: Socket) -> None:
        """Nothing can reach the socket any more."""

    def check(self, packet: Packet) -> None:
        """Raise `UsageError` for a packet that nobody receives and that could not be sent to anybody."""


class NamespaceObject(typing.Protocol):
    """One client in one namespace, as the program wrote it. `asocketio.BaseNamespace` is the class to inherit."""

    _handlers: Handlers

    def __init__(self, environ: Environ, ns_name: str, request: Any = None) -> None: ...

    @property
    def way_of_events(self) -> typing.Callable[[Packet], Any]:
        """Takes an event to its handler."""
        ...

    def process_packet(self, packet: Packet) -> Any:
        """Take a packet to its method."""
        ...

    def error(self, error_name: str, error_message: str, msg_id: int | None = None, quiet: bool = False) -> Any: ...

    def is_method_allowed(self, method_name: str) -> bool: ...

    def add_acl_method(self, method_name: str) -> None: ...

    def del_acl_method(self, method_name: str) -> None: ...

    def lift_acl_restrictions(self) -> None: ...

    def reset_acl(self) -> None: ...

    def emit(
        self, event: str, *args: Any, callback: typing.Callable[..., Any] | None = None
    ) -> typing.Awaitable[None]: ...

    def call(self, event: str, *args: Any, timeout: float | None = None) -> typing.Awaitable[Any]: ...

    def disconnect(self, silent: bool = False) -> typing.Awaitable[None]: ...

    def spawn(self, fn: typing.Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.Task[None]: ...

    @property
    def sid(self) -> str: ...
