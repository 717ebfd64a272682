"""Makes an input smaller while it still fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.fuzz.wire.steps import Input

__all__ = ["shrunk"]


def shrunk(given: Input, fails: Callable[[Input], bool]) -> Input:
    """Steps, then writes, then bytes are left out, as long as it ``fails``."""
    given = _without_steps(given, fails)
    for index, step in enumerate(given.steps):
        if step.cuts:
            given = _tried(given, given.changed(index, replace(step, cuts=())), fails)
        given = _without_bytes(given, index, fails)
    return given


def _tried(given: Input, smaller: Input, fails: Callable[[Input], bool]) -> Input:
    return smaller if fails(smaller) else given


def _without_steps(given: Input, fails: Callable[[Input], bool]) -> Input:
    index = len(given.steps) - 1
    while index >= 0:
        given = _tried(given, given.without(index), fails)
        index -= 1
    return given


def _without_bytes(given: Input, index: int, fails: Callable[[Input], bool]) -> Input:
    """Leave out pieces of what a step sends: halves, then ever smaller ones."""
    size = len(given.steps[index].data) // 2
    while size:
        at = 0
        while at < len(given.steps[index].data):
            step = given.steps[index]
            smaller = replace(step, data=step.data[:at] + step.data[at + size :], cuts=())
            tried = given.changed(index, smaller)
            if fails(tried):
                given = tried
            else:
                at += size
        size //= 2
    return given
