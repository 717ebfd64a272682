"""State tables: what they allow, and what they refuse. Every table of the package is looked at."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from asocketio.runtime import eager_runner
from asocketio.runtime.states import IllegalTransition, moved
from asocketio.servers import connection, uvicorn
from asocketio.transports import upgrade


class Door(Enum):
    OPEN = "open"
    SHUT = "shut"


TABLE = {Door.OPEN: frozenset({Door.SHUT}), Door.SHUT: frozenset[Door]()}

TABLES = {
    "pooled task": eager_runner.TASK_MOVES,
    "reading": connection._READING,
    "closing": connection._CLOSING,
    "writing": connection._WRITING,
    "front": uvicorn._ALLOWED,
    "upgrade": upgrade._ALLOWED,
}


def test_what_is_allowed_moves() -> None:
    assert moved(TABLE, Door.OPEN, Door.SHUT) is Door.SHUT


@pytest.mark.parametrize("new", Door)
def test_what_is_not_allowed_raises_and_names_both(new: Door) -> None:
    with pytest.raises(IllegalTransition, match=f"Door: from 'shut' to '{new.value}'"):
        moved(TABLE, Door.SHUT, new)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_has_every_state_and_reaches_it(table: dict[Any, frozenset[Any]]) -> None:
    states = type(next(iter(table)))
    assert set(table) == set(states)
    first = next(iter(states))
    assert {first}.union(*table.values()) == set(states)
