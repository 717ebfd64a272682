"""Names of workers in the ids of sessions."""

from __future__ import annotations

import secrets

import pytest

from asocketio.workers.names import NAME, name_in, new_name


def test_a_random_name_has_the_form_of_one() -> None:
    names = {new_name() for _ in range(100)}
    assert len(names) > 90
    assert all(NAME.fullmatch(name) for name in names)


def test_the_name_in_an_id_is_found() -> None:
    assert name_in("wk00" + secrets.token_urlsafe(15)) == "wk00"


@pytest.mark.parametrize("sid", ["", "wk00", "a" * 20, "../." + "a" * 20, "wk00" + "a" * 19 + "/", "wk00" + "a" * 21])
def test_what_names_nobody(sid: str) -> None:
    assert name_in(sid) == ""
