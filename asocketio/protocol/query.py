"""Query strings: the fields that clients before generation 4 send with a connect, and the bound for all queries."""

from __future__ import annotations

from urllib.parse import parse_qsl

from asocketio.errors import MalformedPacket

__all__ = ["MAX_FIELDS", "read_query"]

MAX_FIELDS = 200
"""Fields in one query. The client decides how many it sends, so the number is bounded."""


def read_query(text: str) -> dict[str, str]:
    """The fields of a query as a dict; the last one of a name counts.

    Raises:
        MalformedPacket: there are over `MAX_FIELDS`.
    """
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise MalformedPacket(f"a query of over {MAX_FIELDS} fields") from None
