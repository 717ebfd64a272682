"""What goes wrong in the program's own code: seen once, with who and where; and what its client is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asocketio.errors import Disconnected, EventRefused
from asocketio.protocol.packet import ACK, Packet
from asocketio.runtime.jobs import report_failure
from asocketio.session.socket import Socket

__all__ = ["answer_error", "error_answer", "is_late", "raised", "report", "tell_failure", "tell_refusal"]


def raised(error: BaseException, what: str, socket: Socket, namespace: str, event: str) -> None:
    """Log an exception of a handler, a hook, a job or a callback, with its traceback; tell ``on_exception``.

    A client may have it raised as often as it likes: the log counts those of one place, ``on_exception`` hears of each.
    """
    server = socket.server
    report_failure(error, what, server.throttled_log, server.config.on_exception, socket.fields(namespace, event))


def is_late(socket: Socket, error: BaseException, namespace: str) -> bool:
    """Code of a client that has gone tried to reach it: nothing to trouble anybody with."""
    if not _says_gone(error):
        return False
    member = socket.members.get(namespace)
    return member is None or member.gone


def _says_gone(error: BaseException) -> bool:
    """Also where several tasks of a group were told so."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_says_gone, error.exceptions))
    return isinstance(error, Disconnected)


def report(socket: Socket, namespace: str, name: str, message: str, msg_id: int | None, *, quiet: bool) -> None:
    """Tell the program's error handler; if that fails too, log it."""
    _tell(socket, namespace, name, lambda: socket.error(name, message, namespace, msg_id, quiet))


def _tell(socket: Socket, namespace: str, name: str, tell: Callable[[], object]) -> None:
    try:
        tell()
    except Exception as failure:  # the user's function
        socket.server.throttled_log.error(
            "error_handler", "%s: the error_handler itself failed on %s", socket.sid_in(namespace), name, error=failure
        )


def tell_failure(socket: Socket, packet: Packet) -> None:
    """The handler of ``packet`` failed: tell the error handler, and the client by its ack if it wants one."""
    wanted = packet.ack == "data"
    message = f"The handler of {packet.name[:100]!r} failed" if packet.name else "The handler failed"
    quiet = wanted or packet.type is ACK  # a callback is not the client's business
    report(socket, packet.endpoint, "handler_error", message, packet.id, quiet=quiet)
    if wanted:
        answer_error(socket, packet, "handler_error", message)


def tell_refusal(socket: Socket, packet: Packet, refused: EventRefused) -> None:
    """``packet`` is not handled: tell the error handler, and the client by its ack if it wants one."""
    wanted, member = packet.ack == "data", socket.members.get(packet.endpoint)
    if member is not None:
        error = member.instance.error  # gevent's hook
        _tell(socket, packet.endpoint, refused.name, lambda: error(refused.name, refused.message, packet.id, wanted))
    if wanted:
        answer_error(socket, packet, refused.name, refused.message, refused.details)


def answer_error(socket: Socket, packet: Packet, name: str, message: str, details: Any = None) -> None:
    """Acknowledge ``packet`` with an error."""
    socket.send_packet(Packet(ACK, packet.endpoint, args=[error_answer(name, message, details)], id=packet.id))


def error_answer(name: str, message: str, details: Any = None) -> dict[str, Any]:
    """What an awaited ack carries when the handler could not answer."""
    more = {} if details is None else {"details": details}
    return {"error": {"name": name, "message": message, **more}}
