"""Reasons of an end, as the documents have them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asocketio.errors import MalformedPacket, MalformedPayload, PayloadTooLarge, ProtocolError, StrayPacket
from asocketio.session import close_reasons
from asocketio.session.close_reasons import close_code_of_error, final_reason, reason_of_close_code, reason_of_error

REASONS = {value for name, value in vars(close_reasons).items() if name.isupper() and isinstance(value, str)}
TRUST = Path(__file__).parents[3] / "docs" / "trust.md"


def test_the_documents_have_all_of_them() -> None:
    text = TRUST.read_text(encoding="utf-8")
    table = text[text.index("## Reasons of a disconnect") :].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z ]+)` \|", table, re.MULTILINE)) == REASONS


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (MalformedPacket("x"), "parse error", 1000),
        (MalformedPayload("x"), "parse error", 1000),
        (PayloadTooLarge("x", "max_payload"), "transport error", 1009),
        (StrayPacket("x"), "forced close", 1000),
    ],
)
def test_an_error_of_the_client_has_a_reason_and_a_close_code(error: ProtocolError, reason: str, code: int) -> None:
    assert (reason_of_error(error), close_code_of_error(error)) == (reason, code)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1009, "transport error"), (1012, "server shutting down")]
    + [(code, "transport close") for code in (0, 1000, 1001, 1002, 1005, 1006, 1011, 4000)],
)
def test_a_close_code_has_a_reason(code: int, reason: str) -> None:
    assert reason_of_close_code(code) == reason


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_connection_that_ends_while_the_server_closes_is_the_servers_end(reason: str) -> None:
    lost = reason in ("transport close", "transport error")
    assert final_reason(reason, closing=True) == ("server shutting down" if lost else reason)
    assert final_reason(reason, closing=False) == reason
