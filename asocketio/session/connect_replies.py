"""What a client is told that asks for a namespace it cannot have, or has already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asocketio.errors import Overflow, UsageError
from asocketio.protocol.packet import Packet, PacketType
from asocketio.session.socket import Socket

__all__ = [
    "ack_duplicate_connect",
    "send_connect_error",
    "send_too_large_auth",
    "send_too_many_namespaces",
    "send_unknown_namespace",
]


def ack_duplicate_connect(socket: Socket, namespace: str) -> None:
    """The client is in there already: only 0.9 answers once more.

    A page connects, disconnects and connects again before the first answer (React's StrictMode does): its client sends
    two CONNECTs and no DISCONNECT, and takes the first answer for both. A second answer would be a second ``connect``
    event in the page.
    """
    if socket.protocol.acks_duplicate_connect:
        socket.writer.post(socket.protocol.encode(Packet(PacketType.CONNECT, namespace)))


def send_unknown_namespace(socket: Socket, namespace: str, declared: Iterable[str]) -> None:
    """There is no such namespace."""
    if socket.protocol.opens_global and not namespace:  # there is none, but the client waits for it
        socket.writer.post(socket.protocol.encode(Packet(PacketType.CONNECT)))
        return
    socket.server.throttled_log.warning(
        "namespace", "%s: refused the namespace %r; declared are %s",
        socket.sid_in(""), namespace[:100] or "/", [name or "/" for name in declared], fields=socket.fields(),
    )  # fmt: skip
    data = {"message": "Invalid namespace"}
    socket.writer.post(socket.protocol.encode(Packet(PacketType.ERROR, namespace, data=data)))


def send_too_many_namespaces(socket: Socket, namespace: str) -> None:
    """The client is in enough."""
    socket.count_limit("max_namespaces")
    socket.server.throttled_log.warning(
        "namespaces", "%s: refused the namespace %r: it is in %d already (max_namespaces)",
        socket.sid_in(""), namespace[:100], len(socket.members), fields=socket.fields(),
    )  # fmt: skip
    send_connect_error(socket, namespace, {"message": "Too many namespaces"})


def send_too_large_auth(socket: Socket, namespace: str) -> None:
    """What the client gives for its namespaces is too much to be kept."""
    socket.count_limit("max_head")
    socket.server.throttled_log.warning(
        "auth", "%s: refused in the namespace %r: the auth of its namespaces takes over %d bytes (max_head)",
        socket.sid_in(""), namespace[:100] or "/", socket.config.max_head, fields=socket.fields(),
    )  # fmt: skip
    send_connect_error(socket, namespace, {"message": "Auth too large"})


def send_connect_error(socket: Socket, namespace: str, data: dict[str, Any]) -> None:
    """The program refused it: ``data`` has a message, and what else the program gave."""
    try:
        socket.writer.post(socket.protocol.encode(Packet(PacketType.ERROR, namespace, data=data)))
    except (UsageError, Overflow) as unsendable:
        socket.server.throttled_log.error(
            "refusal", "%s: the data of a refusal %s", socket.sid_in(namespace), unsendable,
            about=namespace, fields=socket.fields(namespace, "connect"),
        )  # fmt: skip
        told = {"message": data["message"][:1000]}
        socket.writer.post(socket.protocol.encode(Packet(PacketType.ERROR, namespace, data=told)))
