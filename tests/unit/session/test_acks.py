"""Acks: each answer reaches who asked, once, and only from where it was asked."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.adapters.ack_collector import shared_number
from asocketio.errors import Disconnected, Overflow
from asocketio.session.acks import Acks, Answer, unpack

Answers = list[tuple[str, list[Any] | None, BaseException | None]]


@pytest.fixture
def answers() -> Answers:
    return []


GONE = repr(Disconnected("gone"))


def told(answers: Answers) -> list[tuple[str, Any, str]]:
    """Who heard what."""
    return [(who, args, repr(error)) for who, args, error in answers]


def into(answers: Answers, who: str) -> Answer:
    return lambda args, error: answers.append((who, args, error))


def test_an_answer_reaches_who_asked(answers: Answers) -> None:
    acks = Acks(10)
    acks.expect_number(1, "", into(answers, "first"))
    acks.expect_number(2, "/chat", into(answers, "second"))
    assert (acks.resolve(2, "/chat", ["b", 2]), acks.resolve(1, "", [])) == (True, True)
    assert (answers, len(acks)) == ([("second", ["b", 2], None), ("first", [], None)], 0)


def test_an_answer_counts_once(answers: Answers) -> None:
    acks = Acks(10)
    acks.expect_number(1, "", into(answers, "a"))
    assert [acks.resolve(1, "", [number]) for number in range(3)] == [True, False, False]
    assert answers == [("a", [0], None)]


@pytest.mark.parametrize(("number", "endpoint"), [(2, "/chat"), (None, "/chat"), (-1, "/chat"), (1, ""), (1, "/other")])
def test_an_answer_that_nobody_asked_for_is_dropped(answers: Answers, number: int | None, endpoint: str) -> None:
    acks = Acks(10)
    acks.expect_number(1, "/chat", into(answers, "a"))
    assert acks.resolve(number, endpoint, []) is False
    assert (answers, len(acks)) == ([], 1)
    assert acks.resolve(1, "/chat", ["still"]) is True
    assert answers == [("a", ["still"], None)]


def test_who_does_not_wait_any_more_hears_nothing(answers: Answers) -> None:
    acks = Acks(10)
    acks.expect_number(1, "", into(answers, "a"))
    acks.forget(1)
    acks.forget(1)
    acks.forget(2)
    acks.close("gone")
    assert (acks.resolve(1, "", []), answers, len(acks)) == (False, [], 0)


def test_a_client_owes_only_so_many_answers(answers: Answers) -> None:
    acks = Acks(2)
    for number in (1, 2):
        acks.expect_number(number, "", into(answers, "a"))
    with pytest.raises(Overflow) as caught:
        acks.expect_number(3, "", into(answers, "b"))
    assert (str(caught.value), caught.value.side, len(acks)) == (
        "2 answers are already awaited from this client (max_pending_acks)",
        "out",
        2,
    )
    acks.resolve(1, "", [])
    acks.expect_number(3, "", into(answers, "b"))
    assert len(acks) == 2


def test_all_who_wait_hear_of_the_end(answers: Answers) -> None:
    acks = Acks(10)
    acks.expect_number(1, "", into(answers, "a"))
    acks.expect_number(2, "/chat", into(answers, "b"))
    acks.close("gone")
    acks.close("gone")
    assert (told(answers), len(acks)) == ([("a", None, GONE), ("b", None, GONE)], 0)
    assert answers[0][2] is not answers[1][2]  # a traceback belongs to one of them


def test_only_those_of_a_namespace_hear_of_its_end(answers: Answers) -> None:
    acks = Acks(10)
    acks.expect_number(1, "", into(answers, "a"))
    acks.expect_number(2, "/chat", into(answers, "b"))
    acks.fail("gone", "")
    assert (told(answers), len(acks)) == ([("a", None, GONE)], 1)


def test_who_hears_of_the_end_may_forget_others_and_cannot_ask_again(answers: Answers) -> None:
    acks = Acks(10)

    def heard(args: list[Any] | None, error: BaseException | None) -> None:
        answers.append(("a", args, error))
        acks.forget(2)
        with pytest.raises(Disconnected):
            acks.expect("", into(answers, "c"))

    acks.expect_number(1, "", heard)
    acks.expect_number(2, "", into(answers, "b"))
    acks.close("gone")
    assert (told(answers), len(acks)) == ([("a", None, GONE)], 0)


@pytest.mark.parametrize(
    ("args", "value"), [([], None), ([None], None), ([1], 1), ([[]], []), ([[1, 2]], [1, 2]), ([1, 2], (1, 2))]
)
def test_an_answer_is_none_or_itself_or_a_tuple(args: list[Any], value: Any) -> None:
    assert unpack(args) == value


def test_numbers_of_one_client_are_its_own() -> None:
    acks, others = Acks(10), Acks(10)
    numbers = [each.expect(name, lambda args, error: None) for each in (acks, others) for name in ("", "/a", "")]
    assert numbers == [1, 2, 3] * 2


def test_a_number_for_many_clients_tells_nothing_and_is_nobodys_own() -> None:
    numbers = [shared_number() for _ in range(1000)]
    assert len(set(numbers)) == 1000
    assert all(10**14 <= number < 10**15 for number in numbers)  # old clients read 16 digits
    assert numbers != sorted(numbers)
    assert sum(number % 2 for number in numbers) in range(350, 650)
