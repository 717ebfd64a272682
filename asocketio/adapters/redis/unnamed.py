"""Unnamed: answers of servers that do not say who they are, as those of Node in the classic form."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator

from asocketio.adapters.cluster.messages import Ack, Answer, ClientCount

__all__ = ["Unnamed"]

MOST = 10_000
"""Questions, the latest ones, whose answers are known."""
MOST_HELD = 100_000
"""Acks of one question that may come before it is known how many there are."""


class Question:
    """Of one question: how many acks each server that was given a name still owes, and acks that came too early."""

    __slots__ = ("held", "owed")

    def __init__(self) -> None:
        self.owed: dict[str, int] = {}
        self.held: list[Ack] = []


class Unnamed:
    """Gives a name to each server that answers without one. Which ack is whose does not matter: their number does."""

    def __init__(self) -> None:
        self._questions: OrderedDict[str, Question] = OrderedDict()
        self._numbers = itertools.count(1)

    def ask(self, request_id: str) -> None:
        """This server asks a question."""
        self._questions[request_id] = Question()
        if len(self._questions) > MOST:
            self._questions.popitem(last=False)

    def is_asked(self, request_id: str) -> bool:
        """Whether the question is one of this server's."""
        return request_id in self._questions

    def named(self, answer: Answer) -> Iterator[tuple[str, Answer]]:
        """Answers with names of servers: none, where an ack has to wait; or several."""
        question = self._questions.get(answer.request_id)
        if question is None:
            return
        if isinstance(answer, Ack):
            yield from self._ack(question, answer)
            return
        name = f"?{next(self._numbers)}"
        yield name, answer
        if isinstance(answer, ClientCount) and answer.clients:
            question.owed[name] = answer.clients
            held, question.held = question.held, []
            for ack in held:
                yield from self._ack(question, ack)

    def _ack(self, question: Question, ack: Ack) -> Iterator[tuple[str, Answer]]:
        for name in question.owed:
            question.owed[name] -= 1
            if not question.owed[name]:
                del question.owed[name]
            yield name, ack
            return
        if len(question.held) < MOST_HELD:
            question.held.append(ack)
