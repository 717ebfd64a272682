"""The sids that the server makes."""

from __future__ import annotations

import re

import pytest

from asocketio.protocol.sids import is_sid, new_sid


def test_sids_are_unguessable() -> None:
    sids = {new_sid() for _ in range(300)}
    assert len(sids) == 300
    assert all(re.fullmatch(r"~[A-Za-z0-9_-]{20}", sid) for sid in sids)  # 120 bits
    assert all(map(is_sid, sids))


@pytest.mark.parametrize(
    "room", ["", "red", "~", "~red", "~" + 19 * "x", "~" + 21 * "x", 20 * "x", "~" + 20 * "x" + "\n", "#~" + 20 * "x"]
)
def test_other_names_are_none(room: str) -> None:
    assert not is_sid(room)
