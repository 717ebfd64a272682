"""SEAM. Transport: one ASGI call (or one connection) that carries a socket.

A transport moves frames between its peer and a `Socket`; it knows nothing of packets, namespaces or users.
`Reader.receive` takes a frame in, ``socket.writer.outbox`` holds what goes out. What a socket needs of it is stated in
`asocketio.session.carrier`; implementations are in this folder, and in ``servers/`` for a server's own connections.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from asocketio.asgi.types import Message
from asocketio.errors import HandshakeError
from asocketio.protocol.websocket_frames import NORMAL_CLOSURE
from asocketio.session.socket import Socket

__all__ = ["HandshakeTransport", "Transport"]


class Transport(ABC):
    """One way to carry a socket for a while."""

    __slots__ = ()

    name: ClassVar[str]
    """``"polling"`` or ``"websocket"``."""

    @abstractmethod
    def flush(self) -> None:
        """The outbox has something: begin to send it. Called once per turn of the event loop at most."""

    @abstractmethod
    def end(self, close_code: int = NORMAL_CLOSURE) -> None:
        """The socket has closed: send what is left, close (a websocket with ``close_code``), and let the call end."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """What is queued now goes out at once, as far as this side knows. Asked before a volatile packet is queued."""


class HandshakeTransport(Transport):
    """A transport whose call asked for a new socket. Unless it says otherwise it carries nothing itself."""

    answered: bool = False
    """The request has its answer, the handshake's or another."""

    @abstractmethod
    async def open(self, socket: Socket) -> None:
        """Answer the handshake: the session is open."""

    @abstractmethod
    async def carry(self, socket: Socket) -> None:
        """Move frames until this call has nothing more to carry."""

    async def refuse(self, error: HandshakeError) -> None:
        """Answer the handshake with ``error``; only where `Protocol.global_is_connection`."""
        raise NotImplementedError

    @abstractmethod
    async def wait_disconnected(self) -> None:
        """Wait until the peer leaves before it was answered. Cancelling it loses nothing that the peer sends."""

    def flush(self) -> None:
        """Never attached."""

    def end(self, close_code: int = NORMAL_CLOSURE) -> None:
        """Never attached."""

    @property
    def writable(self) -> bool:
        return False

    def stop_listening(self) -> None:
        """The call is about to end, whether or not the socket was opened: nothing waits for the peer any more."""

    @abstractmethod
    async def reject(self, message: Message) -> None:
        """Pass an ``http.response.*`` message on as the handshake's answer."""
