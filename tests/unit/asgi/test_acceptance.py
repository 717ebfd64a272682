"""Which subprotocol a websocket gets."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.asgi.acceptance import Acceptance, choose_subprotocol
from asocketio.config import Config
from asocketio.errors import UsageError


def chosen(offered: Any, setting: Any = None, kind: str = "websocket") -> str | None:
    return choose_subprotocol({"type": kind, "subprotocols": offered}, Config(subprotocols=setting))


@pytest.mark.parametrize(
    ("offered", "setting", "answer"),
    [
        ([], None, None),
        (["a"], None, "a"),
        (["a", "b"], None, "a"),
        (["", "a b", "é", "c\r\nx: y", "d"], None, "d"),
        (["a b"], None, None),
        (["a", "b"], ["b"], "b"),
        (["a", "b"], ["b", "a"], "a"),
        (["a"], ["b"], None),
        (["a"], [], None),
        (["a", "b"], lambda offered, scope: offered[-1], "b"),
        (["a"], lambda offered, scope: None, None),
        (["a"], lambda offered, scope: scope["type"] == "websocket" and "a", "a"),
    ],
)
def test_the_first_that_is_offered_unless_the_setting_says_otherwise(offered: Any, setting: Any, answer: Any) -> None:
    assert chosen(offered, setting) == answer


def test_a_request_that_offers_none_gets_none() -> None:
    assert choose_subprotocol({"type": "websocket"}, Config()) is None
    assert chosen(None) is None
    assert chosen(["a"], kind="http") is None


@pytest.mark.parametrize("answer", ["b", 5, b"a", ["a"], "a\r\nx: y"])
def test_what_was_not_offered_is_not_chosen(answer: Any) -> None:
    with pytest.raises(UsageError, match="expected None or one of those offered"):
        chosen(["a"], lambda offered, scope: answer)


def test_it_is_told_in_the_form_of_the_server() -> None:
    headers = [(b"x", b"y")]
    assert Acceptance().message(headers) == {"type": "websocket.accept", "headers": headers}
    assert Acceptance("a").message() == {"type": "websocket.accept", "headers": [], "subprotocol": "a"}
    assert (Acceptance().headers, Acceptance("a").headers) == ([], [(b"sec-websocket-protocol", b"a")])
