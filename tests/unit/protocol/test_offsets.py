"""Offsets: read back as they were made, and by nobody else."""

from __future__ import annotations

import pytest

from asocketio.protocol.offsets import Offsets


@pytest.mark.parametrize("number", [0, 1, 2, 255, 256, 10**6, 2**48 - 1])
@pytest.mark.parametrize("namespace", ["", "/chat", "/größe😀", "/\ud800"])
def test_an_offset_is_read_as_it_was_made(namespace: str, number: int) -> None:
    offsets = Offsets()
    text = offsets.seal(namespace, number)
    assert len(text) == 16
    assert text.isascii()
    assert offsets.open(namespace, text) == number
    assert offsets.open(namespace + "x", text) is None
    assert Offsets().open(namespace, text) is None


def test_an_offset_tells_nothing() -> None:
    """No part of one follows from another."""
    offsets = Offsets()
    made = [offsets.seal("", number) for number in range(2000)]
    assert len(set(made)) == 2000
    for place in range(16):
        assert len({text[place] for text in made}) == 64


def test_each_changed_character_is_found() -> None:
    offsets = Offsets()
    text = offsets.seal("", 7)
    for place in range(16):
        for other in "AZaz09-_+/= \n":
            changed = text[:place] + other + text[place + 1 :]
            assert changed == text or offsets.open("", changed) is None
