"""Publishing: giving messages to Redis in parts, and what is to be done where it refuses some."""

from __future__ import annotations

from collections.abc import Sequence

from asocketio.adapters.redis.connection import Connection
from asocketio.adapters.redis.link import Command
from asocketio.adapters.redis.places import is_lasting, reason_of
from asocketio.errors import BusDown
from asocketio.runtime.log import ThrottledLog

__all__ = ["publish"]

MOST_AT_ONCE = 100
"""Messages that Redis is given before it answers: so many may be lost, at most, when it ends in between."""


async def publish(connection: Connection, commands: Sequence[Command | None], lines: ThrottledLog) -> None:
    """Give Redis the commands, in order; None is nothing.

    Raises:
        BusDown: Redis is away, or refuses all that follows for a reason that passes.
    """
    for at in range(0, len(commands), MOST_AT_ONCE):
        part = [command for command in commands[at : at + MOST_AT_ONCE] if command is not None]
        if not part:
            continue
        try:
            answers = await connection.publish(part)
        except BusDown as error:
            raise BusDown(str(error), at + (min(MOST_AT_ONCE, len(commands) - at) if error.sent else 0)) from None
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        if not refused:
            continue
        if len(refused) == len(part) and not any(map(is_lasting, refused)):
            lines.warning("redis", "Redis refuses messages: %s; trying again", reason_of(refused[0]))
            raise BusDown(reason_of(refused[0]), at)
        # Sent again, those that it took would come twice.
        lines.error("redis", "Redis has refused %d messages, which are lost: %s", len(refused), reason_of(refused[0]))
