"""Queries as dicts, and how many fields they may have."""

from __future__ import annotations

import pytest

from asocketio.errors import MalformedPacket
from asocketio.protocol.query import MAX_FIELDS, read_query


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a", {"a": ""}),
        ("a=1&a=2", {"a": "2"}),
        ("a=%C3%A9+b", {"a": "é b"}),
    ],
)
def test_a_query_is_read_as_its_fields(text: str, fields: dict[str, str]) -> None:
    assert read_query(text) == fields


def test_a_query_has_a_bounded_number_of_fields() -> None:
    def query(count: int) -> str:
        return "&".join(f"f{n}=1" for n in range(count))

    assert len(read_query(query(MAX_FIELDS))) == MAX_FIELDS
    with pytest.raises(MalformedPacket, match=f"^a query of over {MAX_FIELDS} fields$"):
        read_query(query(MAX_FIELDS + 1))
