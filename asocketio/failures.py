"""What the program's own code raises: seen once, with who and where, and by the program's hook."""

from __future__ import annotations

from asocketio.log import log
from asocketio.socket import Socket

__all__ = ["raised"]


def raised(error: BaseException, what: str, socket: Socket, endpoint: str, event: str) -> None:
    """Log an exception of a handler, a hook, a job or a callback, with its traceback; tell ``on_exception``."""
    about = socket.fields(endpoint, event)
    log.error("%s raised %r", what, error, exc_info=error, extra=about)
    hook = socket.config.on_exception
    if hook is None:
        return
    try:
        hook(error, about)
    except Exception:  # the program's function
        log.exception("on_exception itself failed on %r", error, extra=about)
