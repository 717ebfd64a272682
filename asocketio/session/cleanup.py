"""What follows the end of a connection: its handlers run out, then each namespace is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio

from asocketio.session.dispatcher import Dispatcher

__all__ = ["clean_up", "start_cleanup"]


async def clean_up(dispatcher: Dispatcher) -> None:
    """Run the clean-up of a closed socket.

    It takes at most a few ``close_grace``; a cancellation that comes meanwhile waits for that.
    """
    _, done = dispatcher.lifecycle.run_apart(_clean_up, dispatcher)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):  # it has its deadlines inside
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
    error = cancelled or done.result()
    if error is not None:
        raise error


def start_cleanup(dispatcher: Dispatcher, ended: Callable[[asyncio.Future[BaseException | None]], None]) -> None:
    """`clean_up` for a socket that nobody waits for; then call ``ended`` with what it raised."""
    dispatcher.lifecycle.run_apart(_clean_up, dispatcher)[1].add_done_callback(ended)


async def _clean_up(dispatcher: Dispatcher) -> None:
    socket = dispatcher.socket
    grace, clock = socket.config.close_grace, socket.server.clock
    if dispatcher.busy:
        with clock.deadline(grace, shield=True):
            await dispatcher.wait_done()
    if dispatcher.busy:
        dispatcher.cancel_handlers()
        with clock.deadline(2 * grace, shield=True):
            await dispatcher.wait_done()
    for call in dispatcher.suspended:
        socket.server.throttled_log.error("endless", "%s does not end when cancelled", str(call), about=call.event)
    await dispatcher.lifecycle.close_members()
